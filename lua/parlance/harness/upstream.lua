-- A party that a script connects to, played by a spec.

local complain = require "parlance.harness.complain"
local quote = require "parlance.harness.quote"
local report = require "parlance.workbench.report"

---@class parlance.harness.Upstream
---@field private case parlance.harness.Case
---@field private party table see parlance.workbench.upstreams
---@field private inbox string
---@field package address string
---@field package options parlance.harness.UpstreamOptions
local Upstream = {}
Upstream.__index = Upstream

---@param case parlance.harness.Case
---@param address string
---@param options parlance.harness.UpstreamOptions
---@return parlance.harness.Upstream
---@package
function Upstream.new(case, address, options)
  return setmetatable({ case = case, address = address, options = options, inbox = "" }, Upstream)
end

--- Each script that connects gets a party of its own; a spec usually has one.
---@param party table
---@package
function Upstream:join(party)
  self.party = party
end

--- Reads what the script has sent.
---@package
function Upstream:pump()
  if self.party then self.inbox = self.inbox .. self.party:take() end
end

local function check(self)
  if getmetatable(self) ~= Upstream then complain "functions of an upstream are called with a colon" end
  if not self.party then complain "no script was opened" end
end

-- While a task of the script waits, the time moves until `is_there()` returns true.
local function await(self, is_there)
  check(self)
  self.case:await(is_there, function()
    self.case:pump()
    return #self.inbox
  end)
  self.case:check()
end

-- Lets the script take what was sent.
local function settle(self)
  self.case:pump()
  self.case:check()
  return self
end

--- Sends bytes on the last connection that the script has made. Returns the upstream.
---@param ... string
---@return parlance.harness.Upstream
function Upstream:send(...)
  check(self)
  for place = 1, select("#", ...) do
    local piece <const> = select(place, ...)
    if type(piece) ~= "string" then complain("send() takes strings, and this is a " .. type(piece)) end
    if self.party:receive(piece, 1, #piece) < #piece then complain "the script has not connected" end
    settle(self)
  end
  return self
end

--- Returns all bytes from the script that were not yet received; "" if there are none. With a count it returns exactly
--- so many bytes. While a task of the script waits, the time moves until so many bytes are there.
---@param count? integer
---@return string
function Upstream:receive(count)
  check(self)
  if count then
    await(self, function() return #self.inbox >= count end)
    if #self.inbox < count then
      complain(("expected %d bytes, but %d bytes are there: %s"):format(count, #self.inbox, quote(self.inbox)))
    end
  else
    settle(self)
  end
  local bytes <const> = self.inbox:sub(1, count or -1)
  self.inbox = self.inbox:sub(#bytes + 1)
  return bytes
end

--- Checks that the bytes from the script that were not yet received are exactly these. While a task of the script
--- waits, the time moves until they are there. Returns the upstream.
---@param bytes string
---@return parlance.harness.Upstream
function Upstream:expect(bytes)
  if type(bytes) ~= "string" then complain("expect() takes a string, and this is a " .. type(bytes)) end
  await(self, function() return #self.inbox >= #bytes end)
  local got <const> = self:receive()
  if got == bytes then return self end
  local what <const> = got == "" and "the script has sent nothing" or "the script has not sent what is expected"
  complain(("%s to %s\n%s"):format(what, self.address,
    table.concat(report.compare(bytes, got, "expected", "got"), "\n")))
end

--- Stops sending on the last connection, as a server that closes does. Returns the upstream.
---@return parlance.harness.Upstream
function Upstream:close()
  check(self)
  if not self.party:receive_end() then complain "the script has not connected" end
  return settle(self)
end

--- Resets the last connection. Returns the upstream.
---@return parlance.harness.Upstream
function Upstream:reset()
  check(self)
  self.party:vanish()
  return settle(self)
end

--- Returns whether the script has ended the connection that was last sent on, or its side of it.
---@return boolean
function Upstream:closed()
  settle(self)
  return self.party:has_ended()
end

--- Returns how many connections the script has made.
---@return integer
function Upstream:connections()
  settle(self)
  return #self.party.numbers
end

--- The script must begin TLS on the last connection (`stream:start_tls`), and have sent nothing before that was not yet
--- received. While a task of the script waits, the time moves until it does. With a code the handshake fails. Returns
--- the upstream.
---@param failure? "certificate"|"handshake"
---@param why? string
---@return parlance.harness.Upstream
function Upstream:start_tls(failure, why)
  if failure and failure ~= "certificate" and failure ~= "handshake" then
    complain "start_tls() takes nothing, \"certificate\" or \"handshake\""
  end
  await(self, function() return self.party:wants_tls() end)
  if not self.party:wants_tls() then complain(("the script does not begin TLS with %s"):format(self.address)) end
  self:expect ""
  self.party:begin_tls(failure, why or failure)
  return settle(self)
end

--- All further connects to upstreams are refused. Returns the upstream.
---@return parlance.harness.Upstream
function Upstream:refuse()
  check(self)
  self.party.script:refuse_upstreams()
  return self
end

return Upstream
