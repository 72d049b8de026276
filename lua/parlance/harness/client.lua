-- A client of a protocol under test: what it sends, and what it gets to read.

local complain = require "parlance.harness.complain"
local quote = require "parlance.harness.quote"
local report = require "parlance.workbench.report"

-- So much of what the server sends is taken from it before the spec asks for it, in bytes: as much
-- as lies between two machines when one of them does not read.
local READ_AHEAD <const> = 1 << 20

-- An answer of which so much has come is taken to have no end.
local ENDLESS <const> = 64 << 20

---@class parlance.harness.Client
---@field private case parlance.harness.Case
---@field private session table? of parlance.simulator; nil when the conversation has ended
---@field private unread string[] what was sent and not yet read, in pieces: from unread[first] to unread[last]
---@field private first integer
---@field private last integer
---@field private offset integer how many bytes of the first were read
---@field private is_half_closed boolean
---@field private end_was_read boolean
---@field private inbox string[] what came and was not yet received
---@field private size integer of that, in bytes
---@field private read_ahead integer
---@field private gone string? why the spec can do nothing more with it
---@field private word string the reason, when the session is gone
---@field private count integer of requests, when the session is gone
---@field package port integer
---@field package host string
---@field package may_fail boolean
---@field package detail string? what the log said when it failed
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
  case.clients[#case.clients + 1] = self -- before it is greeted: that may fail
  self.session = script:open {
    host = self.host, port = self.port, name = options.name, server_host = at.host, server_port = at.port,
  }
  return self
end

-- ---- what goes on behind the spec's back --------------------------------------------------------

-- Takes output until there are so many bytes; whether there was any.
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

-- Has the next piece read, or the end behind the last of them; whether any of it was.
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
  return count > 0
end

-- The server is through with it; what it has not read by now it never will. One that goes on is
-- stopped by this.
local function finish(self)
  local session <const> = self.session
  local word <const> = session:reason()
  self.unread, self.first, self.last, self.offset = {}, 1, 0, 0
  self.word, self.count, self.session = word == "none" and "stopped" or word, session:requests(), nil
  session:close()
end

--- Moves bytes both ways until no more can be; at least `wanted` are taken, if there are as many.
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

--- The server is asked to stop.
---@package
function Client:drain()
  if self.session then self.session:drain() end
  self:pump()
end

--- Ends it, and lets the spec do nothing more with it.
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

-- What the server sends is moved on, and its failures are raised.
local function settle(self, wanted)
  self:pump(wanted)
  self.case:check()
end

-- The first `count` bytes of what came.
local function cut_inbox(self, count)
  local all <const> = table.concat(self.inbox)
  self.size = #all - count
  self.inbox = self.size > 0 and { all:sub(count + 1) } or {}
  return all:sub(1, count)
end

-- Why there is not what was asked for.
local function lack(self, what)
  local there <const> = self.size == 0 and "nothing is there" or
    ("%d bytes are there: %s"):format(self.size, quote(table.concat(self.inbox)))
  local state <const> = self.session and "the server has not closed" or "the server has closed: " .. self.word
  complain(("expected %s, but %s; %s"):format(what, there, state))
end

-- ---- what a spec says ---------------------------------------------------------------------------

--- Sends bytes. Each argument is a piece that the server reads by itself: `client:send("hel", "lo\n")`
--- is a line that TCP has cut in two. Returns the client: `client:send("hello\n"):receive()`.
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

--- Sends bytes one by one: the server reads each of them by itself.
---@param bytes string
---@return parlance.harness.Client
function Client:send_bytes(bytes)
  local pieces <const> = {}
  for byte in bytes:gmatch "." do pieces[#pieces + 1] = byte end
  return self:send_pieces(pieces)
end

--- Sends a list of pieces, each of which the server reads by itself: see harness.cuts().
---@param pieces string[]
---@return parlance.harness.Client
function Client:send_pieces(pieces)
  for place = 1, #pieces do self:send(pieces[place]) end -- a nil among them is an error
  return self
end

--- What the server has sent and was not yet received: all of it, "" if there is nothing. With a count:
--- exactly so many bytes; an error if they are not there.
---@param count? integer
---@return string
function Client:receive(count)
  check_present(self)
  if count and (math.type(count) ~= "integer" or count < 0) then complain "receive() takes a number of bytes" end
  settle(self, count or ENDLESS)
  if count and self.size < count then lack(self, count .. " bytes") end
  if not count and self.size >= ENDLESS then complain "the server sends without end: receive it in parts" end
  return cut_inbox(self, count or self.size)
end

--- Everything up to and with this text, such as "\n"; an error if it is not there.
---@param text string
---@return string
function Client:receive_until(text)
  check_present(self)
  settle(self, ENDLESS)
  local all <const> = table.concat(self.inbox)
  self.inbox = { all }
  local _, last <const> = all:find(text, 1, true)
  if not last then lack(self, quote(text)) end
  return cut_inbox(self, last)
end

--- What the server has sent and was not yet received must be just these bytes. If it is not, the error shows both
--- in hexadecimal digits, side by side. Returns the client.
---@param bytes string
---@return parlance.harness.Client
function Client:expect(bytes)
  if type(bytes) ~= "string" then complain("expect() takes a string, and this is a " .. type(bytes)) end
  local got <const> = self:receive()
  if got == bytes then return self end
  local what <const> = got == "" and "the server has sent nothing" or "the server has not sent what is expected"
  local state <const> = self.session and "" or ", and has closed: " .. self.word
  local lines <const> = report.compare(bytes, got, "expected", "got")
  complain(("%s%s\n%s"):format(what, state, table.concat(lines, "\n")))
end

--- Sends no more; the server may still answer. (shutdown, `nc -N`.)
---@return parlance.harness.Client
function Client:half_close()
  check_present(self)
  self.is_half_closed = true
  settle(self)
  return self
end

--- Leaves in the orderly way, without reading what may still come. Once it has left, no harm.
function Client:close()
  if self.gone then return end
  self.is_half_closed = true
  self:pump()
  self:leave("this client has closed", true)
  self.case:check()
end

--- The connection breaks (RST): whatever was in hand, and whatever came and was not received, is lost.
function Client:reset()
  check_present(self)
  self:leave("this client has reset the connection", true)
  self.case:check()
end

--- Whether the server has closed and everything it said was received.
---@return boolean
function Client:closed()
  return not self.session and self.size == 0
end

--- Why the conversation has ended, the word that handle_close gets ("done", "peer_closed", "malformed" ...),
--- and for a failure the detail that the log has; nil while it goes on.
---@return string?
---@return string? detail
function Client:reason()
  local word <const> = self.session and self.session:reason() or self.word
  if word == "none" then return nil end
  return word, self.detail
end

--- How many requests of this client were answered.
---@return integer
function Client:requests()
  return self.session and self.session:requests() or self.count
end

return Client
