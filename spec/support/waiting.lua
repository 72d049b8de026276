-- For specs of scripts that wait: a protocol of lines in simulated time. Each line is a piece of Lua that is run, and
-- what it returns is answered. note() puts the time and some words into a list that outlives versions.

local busted = require "busted"
local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

local PROTOCOL <const> = [[
    local framing = require "parlance.framing"
    parlance = require "parlance"
    sleep = parlance.sleep
    self_name = "%s"
    trace = parlance.shared.trace or {}
    parlance.shared.trace = trace
    function listed(...)
      local all = table.pack(...)
      for i = 1, all.n do all[i] = tostring(all[i]) end
      return table.concat(all, " ")
    end
    function note(...) trace[#trace + 1] = ("%%g %%s"):format(parlance.now(), listed(...)) end
    local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 0 }
    function Lines:make_response() return tostring((assert(load(self.request))(self))) .. "\n" end
    %s
    return Lines]]

local waiting = {}

-- To be called in a describe(): returns the functions with which its specs drive a script.
function waiting.lines()
  local lines, folder, script, session = {}, nil, nil, nil

  local function save(at_load, name) folder:add("protocol.lua", PROTOCOL:format(name or "first", at_load or "")) end

  function lines.load(at_load, options)
    save(at_load)
    options = options or {}
    options.modules = server.SOURCE .. "/lua"
    return simulator.load(folder.path .. "/protocol.lua", options)
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

  function lines.open() return script:open() end
  function lines.advance(seconds) script:advance(seconds) end
  function lines.send(line, to) (to or session):receive((line:gsub("\n", " ")) .. "\n") end
  function lines.answer(from) return (from or session):take():sub(1, -2) end

  function lines.ask(line, to)
    lines.send(line, to)
    return lines.answer(to)
  end

  -- What was noted since this was last asked for.
  function lines.noted()
    return lines.ask("local all = table.concat(trace, ', ') for i = #trace, 1, -1 do trace[i] = nil end return all",
      script:open())
  end

  -- What was logged since then.
  function lines.logged()
    local texts = {}
    for place, line in ipairs((simulator.log())) do texts[place] = line.text:match "^%S+ (.*)$" end
    return table.concat(texts, "\n")
  end

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

return waiting
