-- The interface of LuaSocket for scripts, on top of streams and datagrams: `require "socket"` gives this module.
--
--     local socket = require "socket"
--     local http = require "socket.http"
--
-- Libraries that were written for LuaSocket run above it unmodified. Where LuaSocket blocks, only the task that has
-- called waits. What parlance does not have raises an error. LuaSocket's own module stays `require "socket.core"`.

local dns = require "parlance.socket.dns"
local limits = require "parlance.socket.limits"
local parlance = require "parlance"
local select_sockets = require "parlance.socket.select"
local tcp = require "parlance.socket.tcp"
local try = require "parlance.socket.try"
local udp = require "parlance.socket.udp"

---@class parlance.socket
local socket = {
  _VERSION = "LuaSocket 3.0.0",
  _SETSIZE = 1024,
  _SOCKETINVALID = -1,
  _DATAGRAMSIZE = 8192,
  BLOCKSIZE = 2048, -- bytes that a source receives at once
  dns = dns,
}

-- ---- sockets ------------------------------------------------------------------------------------

--- Makes a socket that is not connected.
---@return parlance.socket.Tcp
function socket.tcp() return tcp.create() end

--- The same, for IPv4.
---@return parlance.socket.Tcp
function socket.tcp4() return tcp.create "inet" end

--- The same, for IPv6.
---@return parlance.socket.Tcp
function socket.tcp6() return tcp.create "inet6" end

local NO_BINDING <const> = "the local address cannot be chosen"
local FAMILIES <const> = { unspec = false, inet = "inet", inet6 = "inet6" }

--- Makes a socket and connects it.
---@param host string
---@param port integer|string
---@param locaddr? nil must be nil
---@param locport? nil
---@param family? "inet"|"inet6"|"unspec"
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect(host, port, locaddr, locport, family)
  if locaddr or locport then limits.without("socket.connect", NO_BINDING)() end
  local wanted = FAMILIES[family or "unspec"]
  if wanted == nil then error(("bad argument #5 to 'connect' (invalid option '%s')"):format(family), 2) end
  local made = tcp.create(wanted or nil)
  local is_well, why = made:connect(host, port)
  if not is_well then return nil, why end
  return made
end

--- Connects by IPv4.
---@param host string
---@param port integer|string
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect4(host, port) return socket.connect(host, port, nil, nil, "inet") end

--- Connects by IPv6.
---@param host string
---@param port integer|string
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect6(host, port) return socket.connect(host, port, nil, nil, "inet6") end

local NO_LISTENING <const> = "the server listens (parlance --listen), not its scripts"

--- There is none: it raises.
socket.bind = limits.without("socket.bind", NO_LISTENING)

--- Makes a socket for datagrams, of the family of the first address that it uses.
---@return parlance.socket.Udp
function socket.udp() return assert(udp.create "udp") end

--- The same, for IPv4.
---@return parlance.socket.Udp?
---@return string? why
function socket.udp4() return udp.create("udp4", "inet") end

--- The same, for IPv6.
---@return parlance.socket.Udp?
---@return string? why
function socket.udp6() return udp.create("udp6", "inet6") end

socket.select = select_sockets

-- ---- time ---------------------------------------------------------------------------------------

--- Seconds since 1970.
---@return number
function socket.gettime() return parlance.time() end

--- Waits.
---@param seconds number
function socket.sleep(seconds)
  parlance.sleep(math.min(math.max(seconds, 0), limits.LONGEST))
end

-- ---- errors and results -------------------------------------------------------------------------

socket.newtry, socket.protect = try.newtry, try.protect
socket.try = try.newtry()

--- Returns its arguments without the first `count` ones.
---@param count integer
---@return any ...
function socket.skip(count, ...) return select(count + 1, ...) end

-- ---- sources and sinks (LTN 12) -----------------------------------------------------------------

--- Makes a function that calls one of the functions of a table, by its name or "default".
---@param functions table<string, function>
---@return fun(name: string, ...: any): any
function socket.choose(functions)
  return function(name, first, second)
    if type(name) ~= "string" then name, first, second = "default", name, first end
    local chosen = functions[name]
    if not chosen then error(("unknown key (%s)"):format(name), 3) end
    return chosen(first, second)
  end
end

-- What select of LuaSocket asks a source or a sink.
local function callable(connected, call)
  local asked = {
    getfd = function() return connected:getfd() end,
    dirty = function() return connected:dirty() end,
  }
  return setmetatable(asked, { __call = function(_, ...) return call(...) end })
end

--- The kinds of sinks. Libraries add their own.
---@type table<string, function>
socket.sinkt = {}

socket.sinkt["keep-open"] = function(connected)
  return callable(connected, function(chunk)
    if not chunk then return 1 end
    return connected:send(chunk)
  end)
end

socket.sinkt["close-when-done"] = function(connected)
  return callable(connected, function(chunk)
    if chunk then return connected:send(chunk) end
    connected:close()
    return 1
  end)
end

socket.sinkt.default = socket.sinkt["keep-open"]

--- Makes a sink that sends.
socket.sink = socket.choose(socket.sinkt)

--- The kinds of sources. Libraries add their own.
---@type table<string, function>
socket.sourcet = {}

socket.sourcet["by-length"] = function(connected, length)
  return callable(connected, function()
    if length <= 0 then return nil end
    local chunk, why = connected:receive(math.min(socket.BLOCKSIZE, length))
    if not chunk then return nil, why end
    length = length - #chunk
    return chunk
  end)
end

socket.sourcet["until-closed"] = function(connected)
  local is_done
  return callable(connected, function()
    if is_done then return nil end
    local chunk, why, partial = connected:receive(socket.BLOCKSIZE)
    if chunk or why ~= "closed" then return chunk, why end
    connected:close()
    is_done = true
    return partial
  end)
end

socket.sourcet.default = socket.sourcet["until-closed"]

--- Makes a source that receives.
socket.source = socket.choose(socket.sourcet)

return socket
