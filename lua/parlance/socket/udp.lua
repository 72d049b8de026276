-- The UDP sockets of LuaSocket, on top of parlance.datagrams.
--
-- A socket belongs to the task that has made it, and is closed with it, or when it is collected. One that is made while
-- the script is loaded is the script's own, and has no descriptor before it is used later.

local arguments = require "parlance.socket.arguments"
local datagrams = require "parlance.datagrams"
local limits = require "parlance.socket.limits"
local net = require "parlance.net"
local settings = require "parlance.socket.settings"

local refuse, text = arguments.refuse, arguments.text

-- Bytes that are received if the script does not say how many, and the most.
local SIZE <const>, SIZE_MAX <const> = 8192, 65536

-- LuaSocket's functions in C return all numbers as floats.
local ONE <const> = 1.0

---@class parlance.socket.Udp
---@field package socket? userdata nil: it has no descriptor yet, or was closed
---@field package family? "inet"|"inet6" nil: that of the first address which is used
---@field package is_closed? boolean
---@field package is_owned boolean it belongs to a task
---@field package block number see settimeout; negative: no limit
---@field package total number
---@field package started number when the call at hand has begun
local Udp = {
  settimeout = settings.settimeout,
  gettimeout = settings.gettimeout,
  getfd = settings.getfd,
  setfd = settings.setfd,
}

local function new_class(name)
  local function describe(self) return ("%s: %p"):format(name, self) end
  return { __index = Udp, __name = name, __tostring = describe }
end

local Connected <const>, Unconnected <const> = new_class "udp{connected}", new_class "udp{unconnected}"

local function check(self, class, name)
  if getmetatable(self) ~= class then
    error(("calling '%s' on bad self (%s expected)"):format(name, class.__name), 3)
  end
end

-- ---- making -------------------------------------------------------------------------------------

local function family_of(address) return address:find(":", 1, true) and "inet6" or "inet" end

local function open(self, name, family) return limits.call(name, datagrams.open, family, self.is_owned) end

--- Makes a socket. Without a family it has no descriptor before it is used.
---@param name string of the function that the script has called
---@param family? "inet"|"inet6" nil: that of the first address
---@return parlance.socket.Udp?
---@return string? why
local function create(name, family)
  local self = { block = -1, total = -1, started = 0, family = family, is_owned = datagrams.may_own() }
  if family and self.is_owned then
    local socket, why = open(self, name, family)
    if not socket then return nil, why end
    self.socket = socket
  end
  return setmetatable(self, Unconnected)
end

-- Calls a method of the socket for this address. Without a socket one is made, and kept if the call is well.
local function use(self, name, address, method, ...)
  if self.socket then return self.socket[method](self.socket, ...) end
  if self.is_closed then return nil, "closed" end
  local family = self.family or family_of(address)
  local socket, why = open(self, name, family)
  if not socket then return nil, why end
  local is_well, reason = socket[method](socket, ...)
  if is_well then
    self.socket, self.family = socket, family
  else
    socket:close()
  end
  return is_well, reason
end

-- ---- addresses ----------------------------------------------------------------------------------

local function is_numeric(host) return host:find(":", 1, true) or host:find "^[%d.]+$" end

local function port_of(port)
  port = math.tointeger(tonumber(port))
  return port and port >= 0 and port <= 65535 and port or nil
end

-- The addresses of a name, of the socket's family. Without a family those of IPv4 are first, as nothing tells whether
-- anybody takes datagrams at an address.
local function resolve(self, name, host)
  if is_numeric(host) then return { host } end
  local found, why, code = limits.call(name, net.resolve, host)
  if not found then return nil, limits.word(why, code) end
  local addresses = {}
  for _, family in ipairs { "inet", "inet6" } do
    for _, address in ipairs(found) do
      local fits = family_of(address) == family and (self.family or family) == family
      if fits then addresses[#addresses + 1] = address end
    end
  end
  return addresses
end

-- Calls a method for the addresses of a host, until one call is well.
local function use_host(self, name, method, host, port)
  local number = port_of(port)
  if not number then return nil, "service not supported for socket type" end
  local addresses, why = resolve(self, name, host)
  if not addresses then return nil, why end
  why = limits.word("", "name")
  for _, address in ipairs(addresses) do
    local is_well, reason = use(self, name, address, method, address, number)
    if is_well then return ONE end
    why = reason
  end
  return nil, why
end

--- Chooses the only peer: to send to, and to receive from.
---@param host string a name or an address; "*": there is no peer any more
---@param port? integer|string
---@return number? one
---@return string? why
function Udp:setpeername(host, port)
  host = text(host, "setpeername", 1)
  if host == "*" then
    if self.socket then self.socket:connect() end
    setmetatable(self, Unconnected)
    return ONE
  end
  local is_well, why = use_host(self, "setpeername", "connect", host, text(port, "setpeername", 2))
  if not is_well then return nil, why end
  setmetatable(self, Connected)
  return ONE
end

--- Chooses the own address.
---@param host string a name or an address; "*": every interface
---@param port integer|string 0: any free port
---@return number? one
---@return string? why
function Udp:setsockname(host, port)
  check(self, Unconnected, "setsockname")
  host, port = text(host, "setsockname", 1), text(port, "setsockname", 2)
  if host == "*" then host = self.family == "inet6" and "::" or "0.0.0.0" end
  return use_host(self, "setsockname", "bind", host, port)
end

--- The address of the peer.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function Udp:getpeername()
  check(self, Connected, "getpeername")
  local host, port
  if self.socket then host, port = self.socket:peer_address() end
  if not host then return nil, "Bad file descriptor" end
  return host, port, family_of(host)
end

--- The own address. As in LuaSocket, the port is a string.
---@return string? host
---@return string port or why there is none
---@return "inet"|"inet6"? family
function Udp:getsockname()
  local host, port
  if self.socket then host, port = self.socket:own_address() end
  if not host then return nil, "Bad file descriptor" end
  return host, tostring(port), family_of(host)
end

---@return "inet4"|"inet6"
function Udp:getfamily() return self.family == "inet6" and "inet6" or "inet4" end

-- ---- datagrams ----------------------------------------------------------------------------------

local function sent(data, is_well, why)
  if not is_well then return nil, why end
  return #data + 0.0
end

--- Sends a datagram to the peer.
---@param data string
---@return number? bytes
---@return string? why "closed", "timeout", "connection refused"
function Udp:send(data)
  check(self, Connected, "send")
  data = text(data, "send", 1)
  limits.start(self)
  if not self.socket then return nil, "closed" end
  return sent(data, limits.call("send", self.socket.send, self.socket, data, limits.of(self)))
end

--- Sends a datagram.
---@param data string
---@param address string in numbers
---@param port integer|string
---@return number? bytes
---@return string? why
function Udp:sendto(data, address, port)
  check(self, Unconnected, "sendto")
  data, address, port = text(data, "sendto", 1), text(address, "sendto", 2), text(port, "sendto", 3)
  limits.start(self)
  local number = port_of(port)
  if not number then return nil, "Name or service not known" end
  return sent(data, limits.call("sendto", use, self, "sendto", address, "send", data, limits.of(self), address, number))
end

-- Returns a datagram, its host and its port, or nil and why.
local function receive(self, name, size)
  size = arguments.integer(size, SIZE, name, 1)
  if size < 0 then return nil, "out of memory" end
  limits.start(self)
  if not self.socket then return nil, "closed" end
  return limits.call(name, self.socket.receive, self.socket, math.min(size, SIZE_MAX), limits.of(self))
end

--- Receives a datagram, which may be empty. What is longer is cut off.
---@param size? integer default 8192
---@return string?
---@return string? why "closed", "timeout", "connection refused"
function Udp:receive(size)
  local data, why = receive(self, "receive", size)
  if not data then return nil, why end
  return data
end

--- The same, with the address from which it comes.
---@param size? integer default 8192
---@return string?
---@return string host or why there is none
---@return integer? port
function Udp:receivefrom(size)
  check(self, Unconnected, "receivefrom")
  local data, host, port = receive(self, "receivefrom", size)
  if not data then return nil, host end
  return data, host, port
end

--- Whether bytes have been read that were not received yet: never.
---@return boolean
function Udp:dirty() return false end

--- Closes the socket.
---@return number one
function Udp:close()
  if self.socket then self.socket:close() end
  self.socket, self.is_closed = nil, true
  return ONE
end

-- ---- options ------------------------------------------------------------------------------------

-- The options that there are, and their types.
local OPTIONS <const> = {
  ["broadcast"] = "boolean", ["dontroute"] = "boolean", ["reuseaddr"] = "boolean", ["reuseport"] = "boolean",
  ["ip-multicast-loop"] = "boolean", ["ipv6-multicast-loop"] = "boolean", ["ipv6-v6only"] = "boolean",
  ["ip-multicast-ttl"] = "number", ["ipv6-unicast-hops"] = "number", ["ipv6-multicast-hops"] = "number",
  ["recv-buffer-size"] = "number", ["send-buffer-size"] = "number",
}

-- Those of LuaSocket that parlance does not have.
local MISSING <const> = {
  ["error"] = true, ["bindtodevice"] = true, ["ip-multicast-if"] = true, ["ip-add-membership"] = true,
  ["ip-drop-membership"] = true, ["ipv6-add-membership"] = true, ["ipv6-drop-membership"] = true,
}

local function check_option(name, option)
  local kind = OPTIONS[option]
  if MISSING[option] then limits.without(name .. " '" .. option .. "'", "parlance has no such option")() end
  if not kind then refuse(name, 1, ("unsupported option `%s'"):format(option)) end
  return kind
end

--- Sets an option of LuaSocket.
---@param option string
---@param value boolean|integer
---@return number? one
---@return string? why
function Udp:setoption(option, value)
  option = text(option, "setoption", 1)
  local number
  if check_option("setoption", option) == "boolean" then
    number = arguments.boolean(value, "setoption", 2) and 1 or 0
  else
    number = arguments.integer(value, nil, "setoption", 2)
  end
  if not self.socket or not self.socket:set_option(option, number) then return nil, "setsockopt failed" end
  return ONE
end

--- Tells an option of LuaSocket.
---@param option string
---@return boolean|number|nil value
---@return string? why
function Udp:getoption(option)
  option = text(option, "getoption", 1)
  local kind = check_option("getoption", option)
  local number = self.socket and self.socket:get_option(option)
  if not number then return nil, "getsockopt failed" end
  if kind == "boolean" then return number ~= 0 end
  return number + 0.0
end

-- ---- for select ---------------------------------------------------------------------------------

local function is_socket(value)
  local class = type(value) == "table" and getmetatable(value)
  return class == Connected or class == Unconnected
end

return {
  create = create,
  is_socket = is_socket,
  is_open = function(self) return self.socket ~= nil end,
  wait_to_receive = function(self) self.socket:await(false) end,
  wait_to_send = function(self) self.socket:await(true) end,
}
