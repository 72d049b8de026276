-- Scripts that a spec edits, without a server. conversation.clean() removes them.

local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local editable = {}

-- Returns the text of a protocol of lines. Each answer begins with the name of the version, and continues with the
-- value of the expression `body`. `more` is code before the return.
function editable.version(name, body, more)
  return ([[
    local framing = require "parlance.framing"
    local parlance = require "parlance"
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() return "%s " .. tostring((%s)) .. "\n" end
    %s
    return Lines]]):format(name, body or "self.request", more or "")
end

-- Loads a script of this text, and returns it with three functions. save(text, name) writes a file beside it, or
-- removes the file if there is no text. look(now) calls script:reload(), and tell(method, ...) calls any method of the
-- script; both return its result and the log without the times.
function editable.open(text, beside, options)
  local files <const> = { ["protocol.lua"] = text }
  for name, more in pairs(beside or {}) do files[name] = more end
  local folder <const> = conversation.folder(files)
  local script <const> = conversation.open(folder .. "/protocol.lua", options)
  local function save(new, name)
    name = name or "protocol.lua"
    files[name] = new or nil
    if not new then return assert(os.remove(folder .. "/" .. name)) end
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    assert(file:write(new))
  end
  local function tell(method, ...)
    local arguments <const> = table.pack(...)
    local result
    local log = rooms.base.capture(function()
      result = script[method](script, table.unpack(arguments, 1, arguments.n))
    end)
    return result, (log:gsub("%d+%-%d+%-%d+T[%d:.]+Z ", ""):gsub(folder:gsub("%p", "%%%0"), "FOLDER"))
  end
  local function look(now, is_forced)
    return tell("reload", is_forced or false, now or 1000)
  end
  return script, save, look, tell
end

return editable

