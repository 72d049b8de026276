-- What the specs of the harness share: a script for its clients, and how an error is looked at.

local assert = require "luassert"

local harnessed = {}

-- Answers each line: its text in brackets, or what the line asks for.
harnessed.LINES = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local count = 0
local Lines = { close_when_done = false, request_timeout = 30, idle_timeout = 60, write_timeout = 10 }
Lines.request_complete = framing.line { max = 100 }

local does = {
  boom = function() error "on purpose" end,
  spin = function() while true do end end,
  who = function(self) return table.concat({ self.client_address.host, self.client_address.port, self.host,
    self.server.host, self.server.port }, " ") end,
  count = function() count = count + 1; return tostring(count) end,
  time = function() return os.time() .. " " .. parlance.now() .. " " .. parlance.time() end,
  variable = function() return tostring(os.getenv "PARLANCE_HARNESS_SPEC") end,
  quit = function(self) self.close_when_done = true; return "bye" end,
  log = function() parlance.log("error", "said", { text = 'a "b"\\\n\tc', empty = "" }) return "" end,
  folder = function() return require "beside" end,
  simulated = function() return tostring(parlance.simulated) end,
  write = function()
    local spool = parlance.settings.spool or os.getenv "PARLANCE_HARNESS_SPEC"
    io.open(spool .. "/mail", "w"):write("x"):close()
    return io.open(spool .. "/mail"):read "a" .. " " .. spool
  end,
  run = function() return tostring(os.execute "true") end,
}

function Lines:make_response()
  local word, number = self.request:match "^(%l+) ?(%d*)$"
  if word == "many" then
    local left = tonumber(number)
    return { function() left = left - 1; return left >= 0 and ("m"):rep(1024) or nil end }
  end
  if does[word] then return does[word](self) .. "\n" end
  return "[" .. self.request .. "]\n"
end

function Lines:handle_error(reason, detail) return "sorry: " .. reason .. "\n" end
function Lines:handle_close(reason) parlance.log("info", "left", { reason = reason }) end
return Lines
]]

--- The message of the error that it raises.
function harnessed.failure_of(f, ...)
  local is_done, why = pcall(f, ...)
  assert.is_false(is_done)
  return why
end

return harnessed
