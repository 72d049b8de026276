-- What a socket of LuaSocket is told, and what it tells: time-outs, addresses and options.

local arguments = require "parlance.socket.arguments"
local limits = require "parlance.socket.limits"

local number, refuse, text = arguments.number, arguments.refuse, arguments.text

-- LuaSocket's functions in C return all numbers as floats.
local ONE <const> = 1.0

---@class parlance.socket.Tcp
local settings = {}

-- ---- time-outs ----------------------------------------------------------------------------------

--- Limits the time of each call. Both limits count from its beginning. A negative number or nil is no limit.
---@param seconds? number
---@param mode? "b"|"t" "b" (default) or "t", which hold beside each other
---@return number one
function settings:settimeout(seconds, mode)
  seconds = number(seconds, -1, "settimeout", 1)
  local letter = (mode == nil and "b" or text(mode, "settimeout", 2)):sub(1, 1)
  if letter == "b" then
    self.block = seconds
  elseif letter == "t" or letter == "r" then
    self.total = seconds
  else
    refuse("settimeout", 2, "invalid timeout mode")
  end
  return ONE
end

--- The two limits.
---@return number block
---@return number total
function settings:gettimeout() return self.block + 0.0, self.total + 0.0 end

-- ---- addresses ----------------------------------------------------------------------------------

-- The address of a stream as LuaSocket tells it.
local function parts_of(address)
  if not address then return nil, "Bad file descriptor" end
  local host, port = address:match "^%[(.*)%]:(%d+)$"
  if host then return host, math.tointeger(port), "inet6" end
  host, port = address:match "^(.*):(%d+)$"
  return host, math.tointeger(port), "inet"
end

--- The address of the other end.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function settings:getpeername() return parts_of(self.stream and self.stream.peer_address) end

--- The address of this end.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function settings:getsockname() return parts_of(self.stream and self.stream.own_address) end

---@return "inet4"|"inet6"
function settings:getfamily()
  local _, _, family = self:getsockname()
  return (family or self.wanted) == "inet6" and "inet6" or "inet4"
end

-- ---- options ------------------------------------------------------------------------------------

-- The options of LuaSocket, and what they are here. Those that are set have no effect.
local OPTIONS <const> = {
  ["keepalive"] = false, ["reuseaddr"] = false, ["reuseport"] = false, ["tcp-nodelay"] = true, ["ipv6-v6only"] = false,
  ["tcp-keepidle"] = 0, ["tcp-keepcnt"] = 0, ["tcp-keepintvl"] = 0, ["recv-buffer-size"] = 0, ["send-buffer-size"] = 0,
  ["tcp-fastopen"] = 0, ["tcp-defer-accept"] = 0, ["tcp-fastopen-connect"] = 0, ["bindtodevice"] = "", ["linger"] = {},
}

local function check_option(name, which)
  local default = OPTIONS[which]
  if default == nil then refuse(name, 1, ("unsupported option `%s'"):format(which)) end
  return default
end

--- Takes the options of LuaSocket. "tcp-nodelay" is always on, and the others have no effect.
---@param option string
---@param value any
---@return number one
function settings:setoption(option, value)
  option = text(option, "setoption", 1)
  if type(check_option("setoption", option)) == "boolean" then arguments.boolean(value, "setoption", 2) end
  return ONE
end

--- Tells what an option is here.
---@param option string
---@return any
function settings:getoption(option)
  option = text(option, "getoption", 1)
  local value = check_option("getoption", option)
  if option == "linger" then return { on = false, timeout = 0 } end
  return value
end

-- ---- what is missing ----------------------------------------------------------------------------

local NO_DESCRIPTOR <const> = "a socket of parlance has no descriptor of its own"
local NO_LISTENING <const> = "the server listens (parlance --listen), not its scripts"

settings.getfd = limits.without("getfd", NO_DESCRIPTOR)
settings.setfd = limits.without("setfd", NO_DESCRIPTOR)
settings.bind = limits.without("bind", NO_LISTENING)
settings.listen = limits.without("listen", NO_LISTENING)
settings.accept = limits.without("accept", NO_LISTENING)
settings.setsockname = settings.bind

return settings
