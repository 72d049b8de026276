-- A simulated client of a script.

local complain = require "parlance.harness.complain"
local quote = require "parlance.harness.quote"
local report = require "parlance.workbench.report"

-- The most bytes that a client takes from the server before the spec reads them. They stand for the buffers of the
-- network.
local READ_AHEAD <const> = 1 << 20

-- A response of so many bytes counts as endless.
local ENDLESS <const> = 64 << 20

---@class parlance.harness.Client
---@field private case parlance.harness.Case
---@field private session table? of parlance.simulator; nil when the conversation has ended
---@field private unread string[] pieces that were sent and that the session has not read: unread[first] to unread[last]
---@field private first integer
---@field private last integer
---@field private offset integer how many bytes of unread[first] the session has read
---@field private is_half_closed boolean
---@field private end_was_read boolean
---@field private inbox string[] pieces from the server that the spec has not received
---@field private size integer how many bytes are in the inbox
---@field private read_ahead integer
---@field private gone string? why the spec can no longer use this client
---@field private word string the reason of the end, once the session has ended
---@field private count integer how many requests were answered, once the session has ended
---@field package port integer
---@field package host string
---@field package may_fail boolean
---@field package detail string? the detail in the log of the first failure
local Client = {}
Client.__index = Client

---@param case parlance.harness.Case
---@param script table of parlance.simulator
---@param options parlance.harness.Options
---@param number integer of this client
---@return parlance.harness.Client
---@package
function Client.new(case, script, options, number)
  local self <const> = setmetatable({
    case = case, unread = {}, first = 1, last = 0, offset = 0, is_half_closed = false,
    end_was_read = false, inbox = {}, size = 0,
    host = options.host or "192.0.2.1", port = options.port or 50000 + number,
    read_ahead = options.read_ahead or READ_AHEAD, may_fail = options.may_fail or false,
  }, Client)
  local at <const> = options.server or {}
  case.clients[#case.clients + 1] = self -- This comes first: handle_connect may fail.
  self.session = script:open {
    host = self.host, port = self.port, name = options.name, server_host = at.host, server_port = at.port,
    tls = options.tls, proxy = options.proxy,
  }
  return self
end

-- ---- moving bytes -------------------------------------------------------------------------------

-- Takes output until the inbox has `wanted` bytes. Returns whether there was any.
local function take(self, wanted)
  local before <const> = self.size
  while self.size < wanted do
    local bytes <const> = self.session:take(wanted - self.size)
    if bytes == "" then break end
    self.inbox[#self.inbox + 1] = bytes
    self.size = self.size + #bytes
  end
  return self.size > before
end

-- Gives the session the next piece, or the end after the last piece. Returns whether it has read any of it.
local function give(self)
  local piece <const> = self.unread[self.first]
  if not piece then
    if not self.is_half_closed or self.end_was_read then return false end
    self.end_was_read = self.session:receive_end()
    return self.end_was_read
  end
  local count <const> = self.session:receive(piece, self.offset + 1)
  self.offset = self.offset + count
  if self.offset == #piece then
    self.unread[self.first], self.first, self.offset = nil, self.first + 1, 0
  end
  if count == 0 and self.is_half_closed and not self.end_was_read then
    self.end_was_read = self.session:receive_end(true) -- while a task waits, the end may be seen behind unread bytes
    return self.end_was_read
  end
  return count > 0
end

-- Closes the session. It reads no more of what was sent.
local function finish(self)
  local session <const> = self.session
  local word <const> = session:reason()
  self.unread, self.first, self.last, self.offset = {}, 1, 0, 0
  self.word, self.count, self.session = word == "none" and "stopped" or word, session:requests(), nil
  session:close()
end

--- Moves bytes in both directions until nothing moves. Takes at least `wanted` bytes if there are as many.
---@package
function Client:pump(wanted)
  if not self.session then return end
  wanted = math.max(wanted or 0, self.read_ahead)
  repeat
    local has_moved = take(self, wanted)
    has_moved = give(self) or has_moved
  until not has_moved
  if self.session:finished() then finish(self) end
end

--- The server begins to stop.
---@package
function Client:drain()
  if self.session then self.session:drain() end
  self:pump()
end

--- Ends the client. `why` is the error of all later calls.
---@package
function Client:leave(why, is_broken)
  self.gone, self.inbox, self.size = why, {}, 0
  if self.session and is_broken then self.session:vanish() end
  if self.session then finish(self) end
end

local function check_present(self)
  if getmetatable(self) ~= Client then complain "functions of a client are called with a colon: client:send(...)" end
  if self.gone then complain(self.gone) end
end

-- Moves bytes and raises faults of the script.
local function settle(self, wanted)
  self:pump(wanted)
  self.case:check()
end

-- Moves bytes. While a task of the script waits for something, the time moves until `is_there()` returns true or the
-- session has ended.
local function await(self, wanted, is_there)
  self.case:await(function() return is_there() or not self.session end, function()
    self:pump(wanted)
    return self.size
  end)
  self.case:check()
end

-- Removes the first `count` bytes of the inbox and returns them.
local function cut_inbox(self, count)
  local all <const> = table.concat(self.inbox)
  self.size = #all - count
  self.inbox = self.size > 0 and { all:sub(count + 1) } or {}
  return all:sub(1, count)
end

-- Raises that the inbox lacks what the spec expects.
local function lack(self, what)
  local there <const> = self.size == 0 and "nothing is there" or
    ("%d bytes are there: %s"):format(self.size, quote(table.concat(self.inbox)))
  local state <const> = self.session and "the server has not closed" or "the server has closed: " .. self.word
  complain(("expected %s, but %s; %s"):format(what, there, state))
end

-- ---- functions for specs ------------------------------------------------------------------------

--- Sends bytes. The server reads each argument separately: `client:send("hel", "lo\n")` sends a line
--- that TCP has cut in two. Returns the client: `client:send("hello\n"):receive()`.
---@param ... string
---@return parlance.harness.Client
function Client:send(...)
  check_present(self)
  if self.is_half_closed then complain "this client has called half_close()" end
  for place = 1, select("#", ...) do
    local piece <const> = select(place, ...)
    if type(piece) ~= "string" then complain("send() takes strings, and this is a " .. type(piece)) end
    if piece ~= "" and self.session then
      self.last = self.last + 1
      self.unread[self.last] = piece
    end
  end
  settle(self)
  return self
end

--- Sends bytes one by one: the server reads each of them separately.
---@param bytes string
---@return parlance.harness.Client
function Client:send_bytes(bytes)
  local pieces <const> = {}
  for byte in bytes:gmatch "." do pieces[#pieces + 1] = byte end
  return self:send_pieces(pieces)
end

--- Sends a list of pieces. The server reads each of them separately: see harness.cuts().
---@param pieces string[]
---@return parlance.harness.Client
function Client:send_pieces(pieces)
  for place = 1, #pieces do self:send(pieces[place]) end -- a nil among them is an error
  return self
end

--- Returns all bytes from the server that were not yet received; "" if there are none. With a count it returns
--- exactly so many bytes, and raises if there are fewer. While a task of the script waits, the time moves until so many
--- bytes are there.
---@param count? integer
---@return string
function Client:receive(count)
  check_present(self)
  if count and (math.type(count) ~= "integer" or count < 0) then complain "receive() takes a number of bytes" end
  if count then
    await(self, count, function() return self.size >= count end)
  else
    settle(self, ENDLESS)
  end
  if count and self.size < count then lack(self, count .. " bytes") end
  if not count and self.size >= ENDLESS then complain "the server sends without end: receive it in parts" end
  return cut_inbox(self, count or self.size)
end

--- Returns the bytes up to the end of this text, such as "\n". While a task of the script waits, the time moves until
--- the text is there. Raises if it does not come.
---@param text string
---@return string
function Client:receive_until(text)
  check_present(self)
  local last
  await(self, ENDLESS, function()
    self.inbox = { table.concat(self.inbox) }
    last = select(2, self.inbox[1]:find(text, 1, true))
    return last ~= nil
  end)
  if not last then lack(self, quote(text)) end
  return cut_inbox(self, last)
end

--- Checks that the bytes from the server that were not yet received are exactly these. While a task of the script
--- waits, the time moves until they are there. The error shows both in hexadecimal digits, side by side. Returns the
--- client.
---@param bytes string
---@return parlance.harness.Client
function Client:expect(bytes)
  if type(bytes) ~= "string" then complain("expect() takes a string, and this is a " .. type(bytes)) end
  check_present(self)
  await(self, ENDLESS, function() return self.size >= #bytes end)
  local got <const> = self:receive()
  if got == bytes then return self end
  local what <const> = got == "" and "the server has sent nothing" or "the server has not sent what is expected"
  local state <const> = self.session and "" or ", and has closed: " .. self.word
  local lines <const> = report.compare(bytes, got, "expected", "got")
  complain(("%s%s\n%s"):format(what, state, table.concat(lines, "\n")))
end

--- Begins TLS (STARTTLS). While a task of the script waits, the time moves until the script has said so
--- (`self:start_tls`) and its response is there. Raises if it does not. Returns the client.
---@param tls? parlance.Tls what the client shows: what the script is to find in `self.tls`
---@return parlance.harness.Client
function Client:start_tls(tls)
  if tls ~= nil and type(tls) ~= "table" then complain("start_tls() takes a table, and this is a " .. type(tls)) end
  check_present(self)
  local has_begun = false
  await(self, 0, function()
    has_begun = has_begun or self.session ~= nil and self.session:start_tls(tls or {})
    return has_begun
  end)
  if not has_begun then complain "the script does not begin TLS: self:start_tls() in make_response does" end
  settle(self)
  return self
end

--- Stops sending, as shutdown() and `nc -N` do. The server may still answer.
---@return parlance.harness.Client
function Client:half_close()
  check_present(self)
  self.is_half_closed = true
  settle(self)
  return self
end

--- Closes the connection without reading what the server still sends. Further calls do nothing.
function Client:close()
  if self.gone then return end
  self.is_half_closed = true
  self:pump()
  self:leave("this client has closed", true)
  self.case:check()
end

--- Resets the connection (RST). Bytes that were not yet received are lost.
function Client:reset()
  check_present(self)
  self:leave("this client has reset the connection", true)
  self.case:check()
end

--- Returns whether the server has closed, or has stopped sending, and all its bytes were received.
---@return boolean
function Client:closed()
  return (not self.session or self.session:has_ended()) and self.size == 0
end

--- Returns why the conversation has ended: the reason that handle_close gets ("done", "peer_closed", "malformed"
--- ...), and for a failure the detail in the log. Returns nil while the conversation goes on.
---@return string?
---@return string? detail
function Client:reason()
  local word <const> = self.session and self.session:reason() or self.word
  if word == "none" then return nil end
  return word, self.detail
end

--- Returns how many requests of this client were answered.
---@return integer
function Client:requests()
  return self.session and self.session:requests() or self.count
end

return Client
