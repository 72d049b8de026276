-- Scripts and conversations with them, without a server. conversation.clean(), for after_each, closes and removes all
-- that a spec has made here.

local assert = require "luassert"
local busted = require "busted"
local rooms <const> = require "parlance_spec"

local conversation = {}

local folders, scripts = {}, {}

-- Makes a folder with these files: { ["name.lua"] = "text" }.
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

-- Loads the script at this path, which must be valid.
function conversation.open(path, options)
  local script <const> = assert(rooms.session.load(path, options))
  scripts[#scripts + 1] = script
  return script
end

-- Loads a script of this text, with other files beside it. Returns nil and the reason if it is not valid.
function conversation.load(text, options, beside)
  local files <const> = { ["protocol.lua"] = text }
  for name, more in pairs(beside or {}) do files[name] = more end
  local path <const> = conversation.folder(files) .. "/protocol.lua"
  local script, reason = rooms.session.load(path, options)
  if not script then return nil, reason, path end
  scripts[#scripts + 1] = script
  return script
end

-- Like conversation.load(), for a script that must be valid.
function conversation.script(text, options, beside)
  return assert(conversation.load(text, options, beside))
end

-- Makes a protocol of lines with this body of make_response. `more` is code before the return.
function conversation.lines(body, more)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() %s end
    %s
    return Lines]]):format(body, more or ""))
end

-- Makes a protocol with a request_complete in Lua: a request ends at a full stop. `fields` and `more` are code for the
-- table and behind it.
function conversation.asked(fields, more)
  return conversation.script(([[
    local Asked = { close_when_done = false, %s }
    function Asked:request_complete()
      local stop = self.incoming:find("[.!]")
      if not stop then return false, self.wait and #self.incoming + self.wait or nil end
      if self.incoming:byte(stop) == 33 then return nil, "no shouting" end
      return true, stop
    end
    function Asked:make_response() return "<" .. self.incoming:match("^[^.]*") .. ">" end
    %s
    return Asked]]):format(fields or "", more or ""))
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

-- Takes all output as a peer that reads at most `step` bytes at once. Returns the bytes and the kinds of the pieces.
function conversation.output(session, step)
  local pieces, kinds = {}, {}
  for bytes, kind in function() return session:take(step or 1 << 20) end do
    pieces[#pieces + 1] = bytes
    if kinds[#kinds] ~= kind then kinds[#kinds + 1] = kind end
  end
  return table.concat(pieces), kinds
end

-- Feeds the pieces one after the other, each only if the session wants input, and takes all output. If `is_end`, the
-- input ends then. Returns the output.
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

-- Returns the ways to cut `bytes`: whole, byte by byte, and in two at each place.
function conversation.cuts(bytes)
  local ways <const> = { { bytes }, {} }
  for i = 1, #bytes do ways[2][i] = bytes:sub(i, i) end
  for i = 1, #bytes - 1 do ways[#ways + 1] = { bytes:sub(1, i), bytes:sub(i + 1) } end
  return ways
end

-- Calls f and returns the bytes written to standard error, and the results of f.
conversation.capture = rooms.base.capture

--- Calls a function and returns its result, and then what it has logged.
function conversation.quietly(f)
  local log, result = rooms.base.capture(f)
  return result, log
end

return conversation
