-- Scripts and conversations with them, for the specs of session/ and script/. Whatever a spec makes
-- through here is closed and removed by conversation.clean(), for after_each.

local assert = require "luassert"
local busted = require "busted"
local rooms <const> = require "parlance_spec"

local conversation = {}

local folders, scripts = {}, {}

-- A folder with these files in it: { ["name.lua"] = "text" }.
function conversation.folder(files)
  local folder <const> = rooms.session.folder()
  folders[folder] = files
  conversation.last_folder = folder
  for name, text in pairs(files) do
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    assert(file:write(text))
  end
  return folder
end

-- The script at this path, which must be valid.
function conversation.open(path, options)
  local script <const> = assert(rooms.session.load(path, options))
  scripts[#scripts + 1] = script
  return script
end

-- Loads a script of this text, with other files beside it; nil and the reason when it is not valid.
function conversation.load(text, options, beside)
  local files <const> = { ["protocol.lua"] = text }
  for name, more in pairs(beside or {}) do files[name] = more end
  local path <const> = conversation.folder(files) .. "/protocol.lua"
  local script, reason = rooms.session.load(path, options)
  if not script then return nil, reason, path end
  scripts[#scripts + 1] = script
  return script
end

-- The same for a script that must be valid.
function conversation.script(text, options, beside)
  return assert(conversation.load(text, options, beside))
end

-- A protocol of one line: framing.line answers what the body of make_response says, and stays.
function conversation.lines(body, more)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() %s end
    %s
    return Lines]]):format(body, more or ""))
end

-- A protocol whose requests are lines of Lua: each answer is the value that the line returns. `prelude` is code
-- that runs before.
function conversation.evaluator(prelude, options)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local parlance = require "parlance"
    atomic, memory, shared = parlance.atomic, parlance.memory, parlance.shared
    %s
    local P = { close_when_done = false, request_complete = framing.line { max = 4000 } }
    function P:make_response()
      local run = assert(load(self.request, "=request"))
      return tostring(run()) .. "\n"
    end
    function P:handle_error(reason) return reason .. "\n" end
    return P]]):format(prelude), options)
end

-- Sends requests, which may be chunks of several lines, on a new connection. Returns the answers and the log.
function conversation.evaluate(script, ...)
  local session <close> = script:open()
  local lines <const> = {}
  for i, chunk in ipairs { ... } do lines[i] = chunk:gsub("%s*\n%s*", " ") .. "\n" end
  local log, out = rooms.base.capture(function() return conversation.feed(session, lines) end)
  return out, log
end

function conversation.clean()
  rooms.session.fail_allocations()
  for _, script in ipairs(scripts) do script:close() end
  for folder, files in pairs(folders) do
    for name in pairs(files) do os.remove(folder .. "/" .. name) end
    assert(os.remove(folder))
  end
  folders, scripts = {}, {}
end

-- In a describe(): cleans up after each test, and checks that all memory of the core was freed.
function conversation.frees_all_memory()
  local blocks
  busted.before_each(function() blocks = rooms.session.blocks() end)
  busted.after_each(function()
    conversation.clean()
    assert.equal(blocks, rooms.session.blocks(), "blocks that nobody freed")
  end)
end

-- All that comes until nothing more does, by a peer that takes at most `step` bytes at once; and
-- the kinds of the pieces in which it came.
function conversation.output(session, step)
  local pieces, kinds = {}, {}
  for bytes, kind in function() return session:take(step or 1 << 20) end do
    pieces[#pieces + 1] = bytes
    if kinds[#kinds] ~= kind then kinds[#kinds + 1] = kind end
  end
  return table.concat(pieces), kinds
end

-- Feeds the pieces one after the other as a well-mannered owner does, which reads only when asked
-- to, and takes all output; tells the end of the input if `is_end`. Returns what came out.
function conversation.feed(session, pieces, is_end, in_place)
  local out = {}
  local function take() out[#out + 1] = conversation.output(session) end
  take()
  for _, bytes in ipairs(pieces) do
    if session:wants_input() then
      if in_place then session:receive_in_place(bytes) else session:receive(bytes) end
    end
    take()
  end
  if is_end and session:wants_input() then session:finish() end
  take()
  return table.concat(out)
end

-- Every way to cut `bytes`: whole, byte by byte, and in two at each place.
function conversation.cuts(bytes)
  local ways <const> = { { bytes }, {} }
  for i = 1, #bytes do ways[2][i] = bytes:sub(i, i) end
  for i = 1, #bytes - 1 do ways[#ways + 1] = { bytes:sub(1, i), bytes:sub(i + 1) } end
  return ways
end

-- Runs f with standard error captured; what was written there and what f returned.
conversation.capture = rooms.base.capture

return conversation
