-- What LuaSocket does with datagrams, as pieces of Lua. Each gets LuaSocket or what stands for it (`socket`), and an
-- address. spec/parlance/udp_spec.lua runs them with LuaSocket and with parlance.

-- Two bound sockets with a time-out, `a` and `b`, and their ports; `gone` is a port that nobody has.
local PRELUDE <const> = [[
  local socket, host = ...
  local function bound()
    local s = assert(socket.udp4())
    assert(s:setsockname(host, 0))
    s:settimeout(5)
    return s, math.tointeger(select(2, s:getsockname()))
  end
  local a, at = bound()
  local b, bt = bound()
  local c, gone = bound()
  c:close()
]]

local function case(name, code) return { name = name, code = (PRELUDE .. code):gsub("\n", " ") } end

return {
  -- ---- datagrams ------------------------------------------------------------------------------
  case("sends to an address", [[return a:sendto("hello", host, bt), b:receive()]]),
  case("tells where a datagram comes from", [[a:sendto("hello", host, bt) local d, h, p = b:receivefrom()
    return d, h, p == at, math.type(p)]]),
  case("sends to a peer", [[return a:setpeername(host, bt), a:send "hello", b:receive()]]),
  case("receives from a peer alone", [[a:setpeername(host, bt) b:sendto("right", host, at)
    local other = bound() other:sendto("wrong", host, at)
    return a:receive(), a:settimeout(0.01), a:receive()]]),
  case("keeps datagrams apart", [[a:sendto("1", host, bt) a:sendto("2", host, bt) return b:receive(), b:receive()]]),
  case("sends and receives an empty datagram", [[
    return a:sendto("", host, bt), b:receive(), a:setpeername(host, bt), a:send "", b:receive()]]),
  case("cuts off what is longer than the size", [[a:sendto("hello", host, bt) a:sendto("next", host, bt)
    return b:receive(3), b:receive()]]),
  case("cuts off what is longer than 8192 bytes", [[a:sendto(("x"):rep(9000), host, bt) return #b:receive()]]),
  case("receives no bytes of a datagram", [[a:sendto("hello", host, bt) a:sendto("next", host, bt)
    return b:receive(0), b:receive()]]),
  case("sends the longest datagram", [[local long = ("x"):rep(65507)
    return a:sendto(long, host, bt), b:receive(70000) == long]]),
  case("refuses a datagram that is too long", [[a:setpeername(host, bt)
    return pcall(function() return a:send(("x"):rep(65508)) end)]]),
  case("goes on after a datagram that was too long", [[a:sendto(("x"):rep(65508), host, bt)
    return a:sendto("hello", host, bt), b:receive()]]),
  case("takes numbers for strings", [[return a:sendto(12, host, tostring(bt)), b:receive()]]),
  case("tells that nobody takes what was sent", [[a:setpeername(host, gone)
    return a:send "x", select(2, a:receive())]]),
  case("tells it when the next one is sent", [[a:setpeername(host, gone) local first = a:send "x"
    return first, select(2, a:send "y"), a:send "z"]]),
  case("times out", [[a:settimeout(0.02) return a:receive()]]),
  case("times out in all", [[a:settimeout(0.02, "t") return a:receivefrom()]]),
  case("does not wait", [[a:settimeout(0) return a:receive()]]),
  case("receives without waiting what is there", [[b:settimeout(0) a:sendto("hello", host, bt) return b:receive()]]),

  -- ---- addresses ------------------------------------------------------------------------------
  case("tells its addresses", [[a:setpeername(host, bt) local h, p, f = a:getsockname() local g, q, e = a:getpeername()
    return h, p == tostring(at), f, g, q == bt, e, math.type(q)]]),
  case("has no address before it is used", [[return socket.udp():getsockname()]]),
  case("takes every interface", [[local s = socket.udp() local well = s:setsockname("*", 0)
    local h, p, f = s:getsockname() return well, h, p ~= "0", f]]),
  case("has families", [[return socket.udp():getfamily(), socket.udp4():getfamily(), socket.udp6():getfamily()]]),
  case("sends by IPv6", [[local s, r = socket.udp6(), socket.udp6() r:setsockname("::1", 0) r:settimeout(5)
    local h, p = r:getsockname() s:sendto("hello", h, p) local d, from = r:receivefrom() return d, from]]),
  case("takes the family of the first address", [[local s = socket.udp() s:sendto("x", "::1", gone)
    return s:getfamily(), select(3, s:getsockname())]]),
  case("keeps the families apart", [[return a:sendto("x", "::1", bt)]]),
  case("keeps the families apart for a peer", [[return socket.udp6():setpeername(host, bt)]]),
  case("sends to no name", [[return a:sendto("x", "localhost", bt)]]),
  case("sends to no name of a port", [[return a:sendto("x", host, "no port")]]),
  case("has no peer at a name of a port", [[return a:setpeername(host, "no port")]]),
  case("binds once", [[return a:setsockname(host, 0)]]),
  case("binds to no address that is taken", [[return socket.udp():setsockname(host, bt)]]),
  case("binds to no address of others", [[return socket.udp():setsockname("203.0.113.1", 0)]]),
  case("binds to a name", [[local s = socket.udp4() return s:setsockname("localhost", 0), (s:getsockname())]]),
  case("has a peer by its name", [[local s = socket.udp4()
    return s:setpeername("localhost", bt), s:send "x", b:receive()]]),
  case("has another peer", [[a:setpeername(host, gone) return a:setpeername(host, bt), a:send "x", b:receive()]]),
  case("has no peer any more", [[a:setpeername(host, bt)
    return a:setpeername "*", pcall(function() return a:send "x" end),
    tostring(a):match "^[^:]*"]]),
  case("sends to addresses again", [[a:setpeername(host, gone) a:setpeername "*"
    return a:sendto("x", host, bt), b:receive()]]),
  case("tells what it is", [[local first = tostring(a):match "^[^:]*" a:setpeername(host, bt)
    return first, tostring(a):match "^[^:]*"]]),

  -- ---- options --------------------------------------------------------------------------------
  case("has options", [[local all = {}
    for _, name in ipairs { "broadcast", "dontroute", "reuseaddr", "reuseport", "ip-multicast-loop" } do
      all[#all + 1] = tostring(a:getoption(name)) .. a:setoption(name, true) .. tostring(a:getoption(name))
    end
    return table.concat(all, " ")]]),
  case("has numbers for options", [[return a:setoption("ip-multicast-ttl", 3), a:setoption("recv-buffer-size", 50000),
    a:getoption "recv-buffer-size", a:setoption("send-buffer-size", 50000), a:getoption "send-buffer-size"]]),
  case("has options of IPv6", [[local s = socket.udp6() return s:getoption "ipv6-v6only",
    s:setoption("ipv6-unicast-hops", 3), s:getoption "ipv6-unicast-hops", s:setoption("ipv6-multicast-hops", 4),
    s:getoption "ipv6-multicast-hops", s:setoption("ipv6-multicast-loop", false), s:getoption "ipv6-multicast-loop"]]),
  case("has no options of IPv6 for IPv4", [[return a:setoption("ipv6-unicast-hops", 3)]]),
  case("tells no options of IPv6 for IPv4", [[return a:getoption "ipv6-unicast-hops"]]),
  case("has no options before it is used", [[return socket.udp():setoption("broadcast", true)]]),
  case("tells no options before it is used", [[return socket.udp():getoption "broadcast"]]),
  case("does not broadcast", [[return a:sendto("x", "255.255.255.255", 9)]]),
  case("tells its time-outs", [[a:settimeout(1) a:settimeout(2, "t") return a:gettimeout()]]),
  case("is never dirty", [[a:sendto("x", host, bt) return b:dirty()]]),

  -- ---- select ---------------------------------------------------------------------------------
  case("is selected when something is there", [[a:sendto("x", host, bt)
    local r, w, why = socket.select({ a, b }, nil, 5)
    return #r, r[1] == b, r[b], #w, why]]),
  case("is selected when it can be sent to", [[local r, w = socket.select({ a }, { a, b }, 5)
    return #r, #w, w[a] ~= nil]]),
  case("is not selected", [[local r, w, why = socket.select({ a, b }, nil, 0.01) return #r, #w, why]]),

  -- ---- ends and misuse ------------------------------------------------------------------------
  case("closes", [[return a:close(), a:close()]]),
  case("has no address when it is closed", [[a:close() return a:getsockname()]]),
  case("has all names", [[local missing = {}
    for _, name in ipairs { "close", "dirty", "getfamily", "getfd", "getoption", "getpeername", "getsockname",
      "gettimeout", "receive", "receivefrom", "send", "sendto", "setfd", "setoption", "setpeername", "setsockname",
      "settimeout" } do
      if a[name] == nil then missing[#missing + 1] = name end
    end
    return #missing]]),
  case("refuses to send without a peer", [[return a:send "x"]]),
  case("has no address of a peer without one", [[return a:getpeername()]]),
  case("refuses to send elsewhere than to the peer", [[a:setpeername(host, bt) return a:sendto("x", host, bt)]]),
  case("refuses to tell where a peer's datagram comes from", [[a:setpeername(host, bt) return a:receivefrom()]]),
  case("refuses to bind with a peer", [[a:setpeername(host, bt) return a:setsockname("*", 0)]]),
  case("refuses to send nothing", [[a:setpeername(host, bt) return a:send()]]),
  case("refuses to send to no port", [[return a:sendto("x", host)]]),
  case("refuses a peer without a port", [[return a:setpeername(host)]]),
  case("refuses a size that is none", [[return a:receive {}]]),
  case("refuses another option", [[return a:setoption("x", true)]]),
  case("refuses an option of TCP", [[return a:getoption "tcp-nodelay"]]),
  case("refuses an option that is not boolean", [[return a:setoption("broadcast", 1)]]),
}
