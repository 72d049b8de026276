-- The look-ups of LuaSocket, on top of parlance.net.resolve.

local arguments = require "parlance.socket.arguments"
local limits = require "parlance.socket.limits"
local net = require "parlance.net"

---@class parlance.socket.dns
local dns = {}

local NO_REVERSE <const> = "parlance looks up the addresses of names only"

local function is_ipv6(address) return address:find(":", 1, true) ~= nil end

--- The first IPv4 address of a name.
---@param host string
---@return string? address
---@return table|string resolved { name, alias, ip }, the last a list of addresses; or why there is none
function dns.toip(host)
  host = arguments.text(host, "toip", 1)
  local addresses = {}
  for _, address in ipairs(limits.call("dns.toip", net.resolve, host) or {}) do
    if not is_ipv6(address) then addresses[#addresses + 1] = address end
  end
  if not addresses[1] then return nil, "host not found" end
  return addresses[1], { name = host, alias = {}, ip = addresses }
end

--- All addresses of a name.
---@param host string
---@return { family: "inet"|"inet6", addr: string }[]?
---@return string? why
function dns.getaddrinfo(host)
  host = arguments.text(host, "getaddrinfo", 1)
  local addresses, why, code = limits.call("dns.getaddrinfo", net.resolve, host)
  if not addresses then return nil, limits.word(why, code) end
  for place, address in ipairs(addresses) do
    addresses[place] = { family = is_ipv6(address) and "inet6" or "inet", addr = address }
  end
  return addresses
end

--- The name of this machine.
---@return string?
---@return string? why
function dns.gethostname()
  local file <close>, why = io.open "/proc/sys/kernel/hostname"
  if not file then return nil, why end
  return file:read "l"
end

dns.tohostname = limits.without("dns.tohostname", NO_REVERSE)
dns.getnameinfo = limits.without("dns.getnameinfo", NO_REVERSE)

return dns
