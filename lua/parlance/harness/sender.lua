-- A simulated client that sends datagrams to a script.

local complain = require "parlance.harness.complain"
local datagrams = require "parlance.workbench.datagrams"
local quote = require "parlance.harness.quote"
local report = require "parlance.workbench.report"

---@class parlance.harness.Sender
---@field private case parlance.harness.Case
---@field private sender table of parlance.workbench.datagrams
---@field private gone string? why the spec can no longer use this sender
---@field package port integer
---@field package host string
---@field package may_fail boolean
---@field package detail string? the detail in the log of the first failure
local Sender = {}
Sender.__index = Sender

---@param case parlance.harness.Case
---@param script table of parlance.simulator
---@param options parlance.harness.Options
---@param number integer of this client
---@return parlance.harness.Sender
---@package
function Sender.new(case, script, options, number)
  local self <const> = setmetatable({
    case = case, host = options.host or "192.0.2.1", port = options.port or 50000 + number,
    may_fail = options.may_fail or false,
  }, Sender)
  local at <const> = options.server or {}
  self.sender = datagrams.sender(script, {
    host = self.host, port = self.port, name = options.name, server_host = at.host, server_port = at.port,
  })
  case.clients[#case.clients + 1] = self
  return self
end

--- Reads what has come.
---@package
function Sender:pump()
  self.sender:take()
end

Sender.drain = Sender.pump -- A server that stops answers what has arrived.

--- Ends the sender. `why` is the error of all later calls.
---@package
function Sender:leave(why)
  self.gone = why
  self.sender:close()
end

local function check_present(self)
  if getmetatable(self) ~= Sender then complain "functions of a sender are called with a colon: sender:send(...)" end
  if self.gone then complain(self.gone) end
end

local function check_strings(name, ...)
  for place = 1, select("#", ...) do
    local kind <const> = type(select(place, ...))
    if kind ~= "string" then complain(("%s() takes strings, and this is a %s"):format(name, kind)) end
  end
end

-- Raises faults of the script.
local function settle(self)
  self:pump()
  self.case:check()
end

--- Sends datagrams: each argument is one. Returns the sender: `sender:send("hello"):receive()`.
---@param ... string
---@return parlance.harness.Sender
function Sender:send(...)
  check_present(self)
  check_strings("send", ...)
  for _, text in ipairs { ... } do
    if #text > datagrams.LONGEST then complain(("a datagram has at most %d bytes"):format(datagrams.LONGEST)) end
    self.sender:send { text = text }
    settle(self)
  end
  return self
end

--- Returns the next datagram from the server that was not yet received; nil if there is none.
---@return string?
function Sender:receive()
  check_present(self)
  settle(self)
  local first <const> = table.remove(self.sender.received, 1)
  return first and first.text
end

-- Returns the datagrams as the lines of an error.
local function listed(list)
  if #list == 0 then return "  none" end
  local lines <const> = {}
  for i, text in ipairs(list) do lines[i] = "  " .. quote(text) end
  return table.concat(lines, "\n")
end

--- Checks that the datagrams from the server that were not yet received are exactly these, in this order; without
--- arguments, that there are none. While a task of the script waits, the time moves until they are there. Returns the
--- sender.
---@param ... string
---@return parlance.harness.Sender
function Sender:expect(...)
  check_present(self)
  check_strings("expect", ...)
  local expected <const>, got <const> = { ... }, {}
  self.case:await(function() return #self.sender.received >= #expected end, function()
    self:pump()
    return self.sender.count
  end)
  settle(self)
  for i, one in ipairs(self.sender.received) do got[i] = one.text end
  self.sender.received = {}
  for i = 1, math.max(#expected, #got) do
    if not expected[i] or not got[i] then
      complain(("expected %d datagrams, and %d have come\nexpected\n%s\ngot\n%s"):format(#expected, #got,
        listed(expected), listed(got)))
    elseif expected[i] ~= got[i] then
      local lines <const> = report.compare(expected[i], got[i], "expected", "got")
      complain(("datagram %d is not what is expected\n%s"):format(i, table.concat(lines, "\n")))
    end
  end
  return self
end

--- Returns why the datagram has ended that has ended last: "done", "malformed" ..., and for a failure the detail in the
--- log of the first one. Returns nil before.
---@return string?
---@return string? detail
function Sender:reason()
  local word <const> = self.sender:reason()
  if word == "none" then return nil end
  return word, self.detail
end

--- Returns how many datagrams of this sender were answered.
---@return integer
function Sender:requests()
  return self.sender:requests()
end

return Sender
