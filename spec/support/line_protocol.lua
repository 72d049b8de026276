-- A protocol of lines for specs, and what drives it over sockets and in simulated time. Each line is a piece of Lua,
-- which has its connection as `self`. What it returns is the response: a table, a function or a userdata as it is, and
-- anything else as a line of text.

local busted = require "busted"
local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

-- For the lines there are: listed(), which makes words of values; show(), which quotes strings among them; why(), which
-- returns what a function raises; and note(), which puts the time and some words into a list that outlives versions.
local PROTOCOL <const> = [[
    framing = require "parlance.framing"
    parlance = require "parlance"
    sleep = parlance.sleep
    self_name = "%s"
    trace = parlance.shared.trace or {}
    parlance.shared.trace = trace
    local function joined(to_text, ...)
      local all = table.pack(...)
      for i = 1, all.n do all[i] = to_text(all[i]) end
      return table.concat(all, " ")
    end
    local function quoted(value)
      return type(value) == "string" and ("%%q"):format(value):gsub("\\\n", "\\n") or tostring(value)
    end
    function listed(...) return joined(tostring, ...) end
    function show(...) return joined(quoted, ...) end
    function why(f) return (select(2, pcall(f))) end
    function note(...) trace[#trace + 1] = ("%%g %%s"):format(parlance.now(), listed(...)) end
    local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 0 }
    local AS_IT_IS <const> = { table = true, ["function"] = true, userdata = true }
    function Lines:make_response()
      local answer = (assert(load("local self = ...; " .. self.request, self.request))(self))
      return AS_IT_IS[type(answer)] and answer or tostring(answer) .. "\n"
    end
    %s
    return Lines]]

local line_protocol = {}

--- The script, with a piece of Lua that stands before its end and may change the table `Lines`.
function line_protocol.script(at_load, name) return PROTOCOL:format(name or "first", at_load or "") end

local function one_line(code) return (code:gsub("\n", " ")) .. "\n" end

-- ---- over sockets --------------------------------------------------------------------------------

--- Returns the functions with which specs drive a server of their own, and in `running` the one that was started last.
function line_protocol.serve(poller)
  local lines = {}

  function lines.start(at_load, options)
    options = options or {}
    options.poller = poller
    lines.running = server.start(line_protocol.script(at_load), options)
    return lines.running:connect()
  end

  function lines.send(client, code) client:send(one_line(code)) end
  function lines.answer(client) return (client:receive_until "\n":sub(1, -2)) end

  function lines.ask(client, code)
    lines.send(client, code)
    return lines.answer(client)
  end

  return lines
end

-- ---- in simulated time ---------------------------------------------------------------------------

--- To be called in a describe(): returns the functions with which its specs drive a script.
function line_protocol.simulate()
  local lines, folder, script, session = {}, nil, nil, nil

  local function save(at_load, name) folder:add("protocol.lua", line_protocol.script(at_load, name)) end

  function lines.path() return folder.path .. "/protocol.lua" end

  function lines.load(at_load, options)
    save(at_load)
    options = options or {}
    options.modules = server.SOURCE .. "/lua"
    return simulator.load(lines.path(), options)
  end

  function lines.start(at_load, options)
    script = assert(lines.load(at_load, options))
    session = script:open()
    return script, session
  end

  function lines.edit(at_load, name)
    save(at_load, name)
    return script:reload()
  end

  --- Writes a file beside the script, and returns its path.
  function lines.add(name, content)
    folder:add(name, content)
    return folder.path .. "/" .. name
  end

  function lines.open() return script:open() end
  function lines.advance(seconds) script:advance(seconds) end
  function lines.send(code, to) (to or session):receive(one_line(code)) end
  function lines.answer(from) return (from or session):take():sub(1, -2) end

  function lines.ask(code, to)
    lines.send(code, to)
    return lines.answer(to)
  end

  -- What was noted since this was last asked for.
  function lines.noted()
    return lines.ask("local all = table.concat(trace, ', ') for i = #trace, 1, -1 do trace[i] = nil end return all",
      script:open())
  end

  -- What was logged since then, as a list.
  function lines.log()
    local texts = {}
    for place, line in ipairs((simulator.log())) do texts[place] = line.text:match "^%S+ (.*)$" end
    return texts
  end

  function lines.logged() return table.concat(lines.log(), "\n") end

  function lines.close()
    script:close()
    script = nil
  end

  busted.before_each(function()
    folder = tree.new {}
    simulator.log()
  end)

  busted.after_each(function()
    if script then script:close() end
    script = nil
    folder:remove()
  end)

  return lines
end

return line_protocol
