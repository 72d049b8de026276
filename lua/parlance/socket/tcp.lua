-- The TCP sockets of LuaSocket, on top of streams (parlance.net).
--
-- A socket lives until it is closed or collected, as in LuaSocket, and not with the task that has made it. So its
-- stream is detached. If a task is cancelled while it waits for a socket, the socket is closed: nobody knows how much
-- of an answer is still to come, and another task must not take it for its own.

local arguments = require "parlance.socket.arguments"
local limits = require "parlance.socket.limits"
local net = require "parlance.net"
local parlance = require "parlance"
local settings = require "parlance.socket.settings"

local number, refuse, text = arguments.number, arguments.refuse, arguments.text

-- Bytes that are given to the stream at once.
local STEP <const> = 65536

-- LuaSocket's functions in C return all numbers as floats.
local ONE <const> = 1.0

---@class parlance.socket.Tcp
---@field package stream? parlance.Stream
---@field package connecting? parlance.Task it connects without waiting
---@field package input string bytes that have come, those before `place` were received
---@field package block number see settimeout; negative: no limit
---@field package total number
---@field package started number when the call at hand has begun
local Tcp = {}

for name, method in pairs(settings) do Tcp[name] = method end

local function new_class(name) return { __index = setmetatable({ class = name }, { __index = Tcp }) } end

-- A socket becomes a client when it connects, even if that fails.
local Master <const>, Client <const> = new_class "tcp{master}", new_class "tcp{client}"

local function describe(self) return ("%s: %p"):format(self.class, self) end
Master.__tostring, Client.__tostring = describe, describe

local function check_client(self, name)
  if getmetatable(self) ~= Client then
    error(("calling '%s' on bad self (tcp{client} expected)"):format(name), 3)
  end
end

-- ---- making and connecting ----------------------------------------------------------------------

-- What closes the socket when a wait for it is cancelled: the error is a userdata then.
local guarding <const> = {
  __close = function(guard, why)
    if type(why) == "userdata" and guard.socket then guard.socket:close() end
  end,
}

-- It is collected before the stream, which would be logged if it were still open.
local collected <const> = { __gc = function(self) self.stream:close() end }

---@param family? "inet"|"inet6" nil: both
---@return parlance.socket.Tcp
local function create(family)
  local self = {
    input = "", place = 1, block = -1, total = -1, started = 0, stream_timeout = nil, wanted = family,
    received = 0, sent = 0, birthday = parlance.time(),
  }
  self.guard = setmetatable({ socket = self }, guarding)
  return setmetatable(self, Master)
end

local function adopt(self, stream)
  self.stream = stream
  self.collected = setmetatable({ stream = stream }, collected)
end

local function join(host, port)
  return (host:find(":", 1, true) and "[%s]:%s" or "%s:%s"):format(host, port)
end

-- Connects to the addresses of one family in their order.
local function dial_family(family, host, port, limit)
  local addresses, why, code = net.resolve(host)
  if not addresses then return nil, why, code end
  local stream
  why, code = "no address", "name"
  for _, address in ipairs(addresses) do
    if (address:find(":", 1, true) and "inet6" or "inet") == family then
      stream, why, code = net.connect(join(address, port), { timeout = limit() })
      if stream then return stream end
    end
  end
  return nil, why, code
end

local function dial(self, host, port, limit)
  local stream, why, code
  if self.wanted then
    stream, why, code = dial_family(self.wanted, host, port, limit)
  else
    stream, why, code = net.connect(join(host, port), { timeout = limit() })
  end
  if stream then return stream:detach() end
  return nil, limits.word(why, code)
end

-- Waits for a connection that was begun without waiting, for so many seconds. Returns the stream, or nil and why.
local function connected(self, seconds)
  local task = self.connecting
  if task then
    local is_well, why, code = task:wait(seconds)
    if code == "error" then error(why, 0) end
    if not is_well then return nil, why end
  end
  return self.stream, self.failure or "closed"
end

local function no_limit() return 0 end

local function connect_beside(self, host, port)
  local stream, why = dial(self, host, port, no_limit)
  self.connecting = nil
  if stream then adopt(self, stream) end
  self.is_fresh, self.failure = stream ~= nil, why
end

-- The sleep raises where nothing may wait.
local function begin_connecting(self, host, port)
  limits.call("connect", parlance.sleep, 0)
  self.connecting = parlance.spawn(connect_beside, self, host, port)
  return nil, "timeout"
end

-- The first call tells how the connection has ended that was begun before, as on Linux.
local function connect_again(self)
  local why = self.failure
  if self.connecting then return nil, "Operation already in progress" end
  if not self.is_fresh and not why then return nil, "already connected" end
  self.is_fresh, self.failure = nil, nil
  if why then return nil, why end
  return ONE
end

--- Connects to a host, which is a name or an address.
---@param host string
---@param port integer|string
---@return number? one
---@return string? why
function Tcp:connect(host, port)
  host, port = text(host, "connect", 1), text(port, "connect", 2)
  limits.start(self)
  if self.connecting or self.stream or self.failure then return connect_again(self) end
  setmetatable(self, Client)
  port = math.tointeger(tonumber(port))
  if not port or port < 0 or port > 65535 then return nil, "service not supported for socket type" end
  if port == 0 then return nil, "connection refused" end
  if self.block == 0 then return begin_connecting(self, host, port) end
  local _ <close> = self.guard
  local stream, why = limits.call("connect", dial, self, host, port, function() return limits.of(self) end)
  if not stream then return nil, why end
  adopt(self, stream)
  self.is_fresh = true
  return ONE
end

-- ---- receiving ----------------------------------------------------------------------------------

local function set_stream_timeout(self, stream, seconds)
  if seconds == self.stream_timeout then return end
  stream:set_timeout(seconds)
  self.stream_timeout = seconds
end

-- Gets more bytes. Returns nil, or why there are none.
local function fill(self)
  local stream, why = connected(self, limits.of_task(self))
  if not stream then return why end
  set_stream_timeout(self, stream, self.has_shut_input and limits.LEAST or limits.of(self))
  local _ <close> = self.guard
  local bytes, reason, code = stream:read "any"
  if bytes then
    self.input, self.place = bytes, 1
    return nil
  end
  return self.has_shut_input and "closed" or limits.word(reason, code)
end

local function is_empty(self) return self.place > #self.input end

-- Takes the bytes up to this place.
local function take(self, last)
  local bytes = self.input:sub(self.place, last)
  self.received = self.received + #bytes
  self.place = last + 1
  return bytes
end

-- The three ways to receive add what they get to `parts`, and return nil, or why they could not go on.

local function receive_count(self, parts, count)
  repeat
    local why = is_empty(self) and fill(self)
    if why then return why end
    local bytes = take(self, math.min(self.place + count - 1, #self.input))
    parts[#parts + 1] = bytes
    count = count - #bytes
  until count <= 0
end

-- LuaSocket leaves out every CR of a line.
local function receive_line(self, parts)
  repeat
    local why = is_empty(self) and fill(self)
    if why then return why end
    local ending = self.input:find("\n", self.place, true)
    local bytes = take(self, ending or #self.input)
    parts[#parts + 1] = bytes:gsub("[\r\n]", "")
  until ending
end

local function receive_all(self, parts)
  local is_first = true
  repeat
    local why = is_empty(self) and fill(self)
    if why == "closed" and not is_first then return nil end
    if why then return why end
    parts[#parts + 1] = take(self, #self.input)
    is_first = false
  until false
end

-- What a prefix has of the count already is not received again.
local function receive(self, pattern, prefix, parts)
  local count = (type(pattern) == "number" or type(pattern) == "string") and tonumber(pattern)
  if count then
    if count < 0 then refuse("receive", 1, "invalid receive pattern") end
    count = math.tointeger(math.min(count, 2 ^ 53) // 1)
    if prefix == "" or count > #prefix then return receive_count(self, parts, count - #prefix) end
    return nil
  end
  local name = pattern == nil and "*l" or text(pattern, "receive", 1)
  if name:sub(1, 2) == "*l" then return receive_line(self, parts) end
  if name:sub(1, 2) == "*a" then return receive_all(self, parts) end
  refuse("receive", 1, "invalid receive pattern")
end

--- Receives a line without its end ("*l", the default), a number of bytes, or all bytes up to the end ("*a").
---@param pattern? string|integer
---@param prefix? string stands before what is received, and counts for a number of bytes
---@return string?
---@return string? why "closed", "timeout"
---@return string? partial what has come before
function Tcp:receive(pattern, prefix)
  check_client(self, "receive")
  prefix = prefix == nil and "" or text(prefix, "receive", 2)
  limits.start(self)
  local parts = { prefix }
  local why = receive(self, pattern, prefix, parts)
  local bytes = #parts == 1 and prefix or table.concat(parts)
  if why then return nil, why, bytes end
  return bytes, nil, nil
end

--- Whether bytes have been read that were not received yet.
---@return boolean
function Tcp:dirty()
  return not is_empty(self)
end

-- ---- sending ------------------------------------------------------------------------------------

-- Without a limit the stream waits itself when too much is unsent. With one it must have room before, because it keeps
-- what it was given when the time is over.
local function write(self, stream, bytes)
  local seconds = limits.of(self)
  set_stream_timeout(self, stream, seconds)
  if seconds > 0 then
    local has_room, why, code = stream:write()
    if not has_room then return false, limits.word(why, code) end
  end
  local is_well, why, code = stream:write(bytes)
  if is_well then return true end
  return code == "timeout", limits.word(why, code)
end

-- Returns how many bytes were taken, and nil or why not all were.
local function send(self, data, first, last)
  local stream, reason = connected(self, limits.of_task(self))
  if not stream then return 0, reason end
  local _ <close> = self.guard
  for from = first, last, STEP do
    local to = math.min(from + STEP - 1, last)
    local is_taken, why = write(self, stream, data:sub(from, to))
    if not is_taken then return from - first, why end
    if why and to < last then return to + 1 - first, why end
  end
  return last + 1 - first
end

--- Sends the bytes from `first` to `last`.
---@param data string
---@param first? integer
---@param last? integer
---@return number? last the place of the last byte that was sent
---@return string? why "closed", "timeout"
---@return number? partial the same place after a failure
function Tcp:send(data, first, last)
  check_client(self, "send")
  data = text(data, "send", 1)
  first, last = arguments.integer(first, 1, "send", 2), arguments.integer(last, -1, "send", 3)
  if first < 0 then first = #data + first + 1 end
  if last < 0 then last = #data + last + 1 end
  first, last = math.max(first, 1), math.min(last, #data)
  limits.start(self)
  local sent, why = 0, nil
  if first <= last then sent, why = send(self, data, first, last) end
  self.sent = self.sent + sent
  local place = first - 1.0 + sent
  if why then return nil, why, place end
  return place, nil, nil
end

-- ---- ending -------------------------------------------------------------------------------------

local WAYS <const> = { both = true, send = true, receive = true }

--- Ends sending, receiving or both.
---@param how? "both"|"send"|"receive"
---@return number one
function Tcp:shutdown(how)
  check_client(self, "shutdown")
  how = how == nil and "both" or text(how, "shutdown", 1)
  if not WAYS[how] then refuse("shutdown", 1, ("invalid option '%s'"):format(how)) end
  if how == "both" then return self:close() end
  if how == "receive" then self.has_shut_input = true end
  if how == "send" and self.stream then self.stream:shutdown() end
  return ONE
end

--- Closes the socket. What was sent goes out.
---@return number one
function Tcp:close()
  if self.connecting then self.connecting:cancel() end
  if self.stream then self.stream:close() end
  self.connecting, self.stream, self.failure = nil, nil, nil
  return ONE
end

-- ---- statistics ---------------------------------------------------------------------------------

--- How many bytes were received and sent, and how old the socket is in seconds.
---@return number received
---@return number sent
---@return number age
function Tcp:getstats()
  check_client(self, "getstats")
  return self.received + 0.0, self.sent + 0.0, parlance.time() - self.birthday
end

--- Sets what getstats tells.
---@param received? integer
---@param sent? integer
---@param age? number
---@return number one
function Tcp:setstats(received, sent, age)
  check_client(self, "setstats")
  self.received = arguments.integer(received, self.received, "setstats", 1)
  self.sent = arguments.integer(sent, self.sent, "setstats", 2)
  if age then self.birthday = parlance.time() - number(age, 0, "setstats", 3) end
  return ONE
end

Tcp.setpeername = Tcp.connect

-- ---- for select ---------------------------------------------------------------------------------

local function is_socket(value)
  local class = type(value) == "table" and getmetatable(value)
  return class == Client or class == Master
end

--- Whether there is something to wait for: it is connected or connects.
local function is_open(self) return (self.stream or self.connecting) ~= nil end

-- Returns when receive() would not wait. Nothing is taken, so that the wait may be cancelled.
local function wait_to_receive(self)
  local stream = connected(self)
  if not stream then return end
  set_stream_timeout(self, stream, 0)
  stream:peek(1)
end

-- Returns when send() would not wait.
local function wait_to_send(self)
  local stream = connected(self)
  if not stream then return end
  set_stream_timeout(self, stream, 0)
  stream:write()
end

return {
  create = create,
  is_socket = is_socket,
  is_open = is_open,
  wait_to_receive = wait_to_receive,
  wait_to_send = wait_to_send,
}
