-- What LuaSocket does, as pieces of Lua. Each gets LuaSocket or what stands for it (`socket`), and a host and a port
-- where a peer listens: it runs each line that it gets as a piece of Lua, and sends what that returns.
--
-- No case says what comes out: spec/parlance/socket_spec.lua runs them with LuaSocket and with parlance.

-- A connected socket `s`; say(TEXT, MORE) has the peer send this text, and do something more; await(TEXT) has it send
-- that, and returns when all of it is there, with its first byte received.
local PRELUDE <const> = [[
  local socket, host, port = ...
  local s = assert(socket.connect(host, port))
  local function say(text, more)
    assert(s:send(((more or "") .. (" return %q"):format(text)):gsub("\n", "n") .. "\n"))
  end
  local function await(text) say("!" .. text) assert(s:receive(1)) end
  local ending = "self.close_when_done = true"
]]

local function case(name, code) return { name = name, code = (PRELUDE .. code):gsub("\n", " ") } end

return {
  -- ---- receive --------------------------------------------------------------------------------
  case("receives a line", [[say "one\r\n" return s:receive()]]),
  case("receives a line that LF ends", [[say "one\ntwo" return s:receive "*l"]]),
  case("leaves out every CR of a line", [[say "o\rn\r\re\r\n" return s:receive()]]),
  case("receives empty lines", [[say "\r\n\n" return s:receive(), s:receive()]]),
  case("receives lines that came at once", [[say "1\n2\n3\n" return s:receive(), s:receive(), s:receive()]]),
  case("takes what begins with *l for a line", [[say "one\n" return s:receive "*line"]]),
  case("receives a number of bytes", [[say "abcdef" return s:receive(4), s:receive(2)]]),
  case("receives a number that is a string", [[say "abcdef" return s:receive "4"]]),
  case("receives a number without its fraction", [[say "abcdef" return s:receive(4.9)]]),
  case("receives no byte where there is one", [[await "a" return s:receive(0)]]),
  case("receives no byte at the end", [[say("", ending) return s:receive(0)]]),
  case("receives all bytes", [[say("abc\r\ndef", ending) return s:receive "*a"]]),
  case("receives all bytes behind a line", [[say("abc\r\ndef", ending) return s:receive(), s:receive "*a"]]),
  case("receives all bytes where none are left", [[say("", ending) return s:receive "*a"]]),
  case("receives all bytes, and then none", [[say("a", ending) return s:receive "*a", s:receive "*a"]]),
  case("gives a line that the end cuts", [[say("ab\rc", ending) return s:receive()]]),
  case("gives bytes that the end cuts", [[say("abc", ending) return s:receive(10)]]),
  case("receives nothing behind the end", [[say("a\n", ending) return s:receive(), s:receive()]]),
  case("receives 300,000 bytes", [[
    s:send "return ('x'):rep(299999) .. '\\n'\n"
    local line = s:receive()
    return #line]]),
  case("receives 300,000 bytes by their number", [[
    s:send "return ('x'):rep(300000)\n"
    return #s:receive(300000)]]),

  -- ---- the prefix -----------------------------------------------------------------------------
  case("puts a prefix before a line", [[say "one\n" return s:receive("*l", "pre")]]),
  case("leaves the CR of a prefix", [[say "one\n" return s:receive("*l", "p\rre")]]),
  case("counts a prefix", [[say "abcdef" return s:receive(4, "12")]]),
  case("receives nothing where the prefix is all", [[say "abcdef" return s:receive(2, "12")]]),
  case("gives a prefix that is more than all", [[say "abcdef" return s:receive(2, "1234")]]),
  case("puts a prefix before all", [[say("abc", ending) return s:receive("*a", "12")]]),
  case("gives a prefix with what was cut", [[say("abc", ending) return s:receive(9, "12")]]),
  case("takes a number for a prefix", [[say "one\n" return s:receive("*l", 12)]]),
  case("goes on with what was cut", [[
    await "abc"
    s:settimeout(0.05)
    local _, why, part = s:receive(6)
    s:settimeout()
    say "def"
    return why, part, s:receive(6, part)]]),

  -- ---- time-outs ------------------------------------------------------------------------------
  case("times out with nothing", [[s:settimeout(0.05) return s:receive()]]),
  case("times out with part of a line", [[await "a\rbc" s:settimeout(0.05) return s:receive()]]),
  case("times out with some bytes", [[await "abc" s:settimeout(0.05) return s:receive(10)]]),
  case("times out with all that came", [[await "abc" s:settimeout(0.05) return s:receive "*a"]]),
  case("times out with a prefix", [[await "abc" s:settimeout(0.05) return s:receive(10, "12")]]),
  case("times out by the total", [[await "abc" s:settimeout(0.05, "t") return s:receive(10)]]),
  case("times out by the smaller one", [[s:settimeout(9, "b") s:settimeout(0.05, "t") return s:receive()]]),
  case("does not wait with 0", [[s:settimeout(0) return s:receive()]]),
  case("has what came with 0", [[await "ab\n" s:settimeout(0) return s:receive()]]),
  case("loses nothing by a time-out", [[
    await "" s:settimeout(0.05)
    local first, why, part = s:receive()
    s:settimeout(-1)
    say "a\n"
    return first, why, part, s:receive()]]),
  case("tells its limits", [[s:settimeout(1) s:settimeout(2, "t") return s:gettimeout()]]),
  case("has no limits at first", [[return s:gettimeout()]]),
  case("returns 1 from settimeout", [[return s:settimeout(1), s:settimeout(nil), s:settimeout("2", "r")]]),

  -- ---- send -----------------------------------------------------------------------------------
  case("tells the last byte that was sent", [[return s:send "return 1\n"]]),
  case("sends from a byte on", [[return s:send("xxreturn 'a'\n", 3), s:receive(1)]]),
  case("sends up to a byte", [[return s:send("return 'a'\nxxx", 1, 11), s:receive(1)]]),
  case("counts bytes from the end", [[return s:send("xxreturn 'a'\nxx", -13, -3), s:receive(1)]]),
  case("sends what there is of a wider range", [[return s:send("return 'a'\n", -99, 99), s:receive(1)]]),
  case("sends nothing of an empty range", [[return s:send("abc", 3, 2)]]),
  case("sends an empty string", [[return s:send ""]]),
  case("sends numbers", [[return s:send(12.5), s:send "\n"]]),
  case("sends a megabyte", [[
    local count = s:send("return #'" .. ("x"):rep(1000000) .. "' .. '\\n'\n")
    return count, s:receive()]]),

  -- ---- the end --------------------------------------------------------------------------------
  case("closes twice", [[return s:close(), s:close()]]),
  case("sends nothing when closed", [[s:close() return s:send "abc"]]),
  case("sends from a byte on when closed", [[s:close() return s:send("abc", 2)]]),
  case("receives nothing when closed", [[s:close() return s:receive()]]),
  case("receives what was read when closed", [[await "a\nbc" s:receive() s:close() return s:receive(5)]]),
  case("ends sending alone", [[say "last\n" return s:shutdown "send", s:receive(), s:receive()]]),
  case("sends nothing behind its end", [[s:shutdown "send" return s:send "abc"]]),
  case("ends both ways", [[return s:shutdown(), s:send "abc"]]),
  case("receives nothing behind that", [[s:shutdown "both" return s:receive()]]),
  case("ends receiving", [[return s:shutdown "receive", s:receive()]]),

  -- ---- what a socket tells --------------------------------------------------------------------
  case("tells the other end", [[local a, b, c = s:getpeername() return a, b == port, math.type(b), c]]),
  case("tells its own end", [[local a, b, c = s:getsockname() return a, tonumber(b) > 0, c]]),
  case("tells no end of what is not connected", [[return socket.tcp():getpeername()]]),
  case("tells no end of what is closed", [[s:close() return s:getpeername()]]),
  case("tells no own end of what is closed", [[s:close() return s:getsockname()]]),
  case("tells its family", [[return s:getfamily()]]),
  case("tells the family it will have", [[return socket.tcp6():getfamily(), socket.tcp():getfamily()]]),
  case("tells how much went over", [[
    say "abc\ndef"
    s:receive() s:receive(2)
    local received, sent, age = s:getstats()
    return received, sent, age >= 0]]),
  case("takes other statistics", [[
    local one = s:setstats(5, 6, 100)
    local received, sent, age = s:getstats()
    return one, received, sent, age >= 100]]),
  case("tells that bytes were read", [[await "abc" local is = s:dirty() s:receive(3) return is, s:dirty()]]),
  case("tells its class", [[
    return s.class, socket.tcp().class, tostring(s):match "^(%S+ )0x%x+$", tostring(socket.tcp()):match "^(%S+ )"]]),
  case("sets its options", [[return s:setoption("tcp-nodelay", true), s:setoption("keepalive", true)]]),
  case("tells an option", [[s:setoption("tcp-nodelay", true) return s:getoption "tcp-nodelay"]]),

  -- ---- connect --------------------------------------------------------------------------------
  case("connects a socket", [[local t = socket.tcp() return t:connect(host, port), t.class]]),
  case("connects by a port that is a string", [[return socket.tcp():connect(host, tostring(port))]]),
  case("connects by IPv4", [[return socket.connect4(host, port):getfamily(), socket.tcp4():connect(host, port)]]),
  case("connects by a family", [[return socket.connect(host, port, nil, nil, "inet"):getpeername()]]),
  case("connects once", [[
    local t = socket.tcp()
    return t:connect(host, port), t:connect(host, port), t:connect(host, port)]]),
  case("is refused", [[return socket.connect(host, 1)]]),
  case("is a client when it was refused", [[
    local t = socket.tcp()
    local a, b = t:connect(host, 1)
    return a, b, t.class]]),
  case("connects without waiting", [[
    local t = socket.tcp()
    t:settimeout(0)
    local a, b = t:connect(host, port)
    local readable, writable = socket.select(nil, { t }, 20)
    return a, b, #readable, writable[1] == t, t:connect(host, port), t:connect(host, port)]]),
  case("is refused without waiting", [[
    local t = socket.tcp4()
    t:settimeout(0)
    local a, b = t:connect(host, 1)
    if b == "timeout" then
      socket.select(nil, { t }, 20)
      a, b = t:connect(host, 1)
    end
    return a, b]]),

  -- ---- select ---------------------------------------------------------------------------------
  case("selects what can be received from", [[
    local t = socket.connect(host, port)
    say "a"
    local readable, writable, why = socket.select({ t, s }, nil, 20)
    return #readable, readable[1] == s, readable[s], readable[t], #writable, why]]),
  case("selects what has bytes left", [[
    await "abc"
    local readable, writable, why = socket.select({ s }, {}, 20)
    return #readable, #writable, why, s:receive(3)]]),
  case("selects what has ended", [[
    say("", ending)
    local readable = socket.select({ s }, nil, 20)
    return #readable, s:receive()]]),
  case("selects what can be sent to", [[
    local readable, writable, why = socket.select({ s }, { s }, 20)
    return #readable, #writable, writable[s], why]]),
  case("selects nothing in time", [[
    local readable, writable, why = socket.select({ s }, nil, 0.05)
    return #readable, #writable, why]]),
  case("selects nothing at once", [[
    local readable, writable, why = socket.select({ s }, nil, 0)
    return #readable, #writable, why]]),
  case("selects of nothing", [[
    local readable, writable, why = socket.select(nil, {}, 0.01)
    return #readable, #writable, why]]),
  case("does not select what is closed", [[
    s:close()
    local readable, writable, why = socket.select({ s }, { s }, 0.01)
    return #readable, #writable, why]]),
  case("selects both of two", [[
    local t = socket.connect(host, port)
    await "a" t:send "return '!b'\n" t:receive(1)
    local readable = socket.select({ t, s }, nil, 20)
    return #readable]]),
  case("takes nothing when it selects", [[
    say "one\n"
    socket.select({ s }, nil, 20) socket.select({ s }, nil, 20)
    return s:receive()]]),

  -- ---- errors and results ---------------------------------------------------------------------
  case("tries what is well", [[return socket.try(1, 2, 3)]]),
  case("tries nothing", [[local is_well, what = pcall(socket.try, false) return is_well, type(what)]]),
  case("protects from try", [[return socket.protect(function() socket.try(nil, "why", "more") end)()]]),
  case("protects from try with nil", [[return socket.protect(function() socket.try(nil) end)()]]),
  case("protects from try with a table", [[
    local why = {}
    local a, b = socket.protect(function() socket.try(false, why) end)()
    return a, b == why]]),
  case("protects what is well", [[return socket.protect(function(...) return "a", ... end)(1, nil, 2)]]),
  case("does not protect from errors", [[return pcall(socket.protect(function() error("oh", 0) end))]]),
  case("does not protect from tables", [[
    local why = { "oh" }
    local is_well, what = pcall(socket.protect(function() error(why) end))
    return is_well, what == why]]),
  case("protects within", [[
    return socket.protect(function()
      local a, b = socket.protect(function() socket.try(nil, "inner") end)()
      socket.try(a, "outer of " .. b)
    end)()]]),
  case("calls the finalizer", [[
    local calls = 0
    local try = socket.newtry(function() calls = calls + 1 end)
    local a, b = socket.protect(function() try(1) try(nil, "why") end)()
    return a, b, calls]]),
  case("does not protect from errors of the finalizer", [[
    local try = socket.newtry(function() error("oh", 0) end)
    return pcall(socket.protect(function() try(nil, "why") end))]]),
  case("makes a try without a finalizer", [[return socket.protect(function() socket.newtry()(nil, "why") end)()]]),
  case("skips results", [[return socket.skip(1, 2, 3)]]),
  case("skips all results", [[return "first", socket.skip(5, 2, 3)]]),
  case("skips no result", [[return socket.skip(0, 2, 3)]]),

  -- ---- sources and sinks ----------------------------------------------------------------------
  case("chooses by name", [[
    local f = socket.choose { default = function(...) return "d", ... end, a = function(...) return "a", ... end }
    return table.concat({ f("a", 1, 2, 3) }, " "), f(nil, 1), f(1, 2)]]),
  case("has no other name", [[return socket.choose {} "a"]]),
  case("has a source by length", [[
    say "abcdef"
    local source = socket.source("by-length", s, 4)
    return source(), source(), s:receive(2)]]),
  case("has a source by length that is cut", [[
    say("abc", ending)
    return socket.source("by-length", s, 4)()]]),
  case("has a source up to the end", [[
    s:send(ending .. " return ('x'):rep(3000)\n")
    local source = socket.source("until-closed", s)
    return #source(), #source(), source()]]),
  case("has that source by default", [[say("a", ending) return socket.source(s)()]]),
  case("has a sink that stays open", [[
    local sink = socket.sink("keep-open", s)
    return sink "return 'a'\n", sink(nil), s:receive(1)]]),
  case("has a sink that closes", [[
    local sink = socket.sink("close-when-done", s)
    return sink "return 'a'\n", sink(nil), s:receive(1)]]),
  case("has that sink by default", [[return socket.sink(s) "return 'a'\n", s:receive(1)]]),
  case("tells of sources and sinks whether bytes were read", [[
    await "abc"
    return socket.sink("keep-open", s):dirty(), socket.source("by-length", s, 3).dirty()]]),

  -- ---- time, names, constants -----------------------------------------------------------------
  case("sleeps", [[
    local before = socket.gettime()
    local count = select("#", socket.sleep(0.02))
    return count, socket.gettime() - before >= 0.019]]),
  case("does not sleep for less than nothing", [[return select("#", socket.sleep(-1))]]),
  case("tells the time since 1970", [[return math.type(socket.gettime()), math.abs(socket.gettime() - os.time()) < 5]]),
  case("finds the loopback", [[return (socket.dns.toip "localhost")]]),
  case("resolves an address", [[
    local all = socket.dns.getaddrinfo "127.0.0.1"
    return #all, all[1].family, all[1].addr]]),
  case("resolves an address of IPv6", [[
    local all = socket.dns.getaddrinfo "::1"
    return #all, all[1].family, all[1].addr]]),
  case("tells the name of the machine", [[return socket.dns.gethostname()]]),
  case("has the constants", [[return socket._VERSION, socket.BLOCKSIZE, socket._SETSIZE, socket._DATAGRAMSIZE]]),
  case("has all names", [[
    local missing = {}
    for _, name in ipairs { "_SOCKETINVALID", "bind", "choose", "connect", "connect4", "connect6", "dns", "gettime",
      "newtry", "protect", "select", "sink", "sinkt", "skip", "sleep", "source", "sourcet", "tcp", "tcp4", "tcp6",
      "try", "udp", "udp4", "udp6" } do
      if socket[name] == nil then missing[#missing + 1] = name end
    end
    for _, name in ipairs { "accept", "bind", "close", "connect", "dirty", "getfamily", "getfd", "getoption",
      "getpeername", "getsockname", "getstats", "gettimeout", "listen", "receive", "send", "setfd", "setoption",
      "setpeername", "setsockname", "setstats", "settimeout", "shutdown" } do
      if s[name] == nil then missing[#missing + 1] = name end
    end
    return #missing, table.concat(missing, " ")]]),

  -- ---- misuse ---------------------------------------------------------------------------------
  case("refuses another pattern", [[return s:receive "x"]]),
  case("refuses a pattern of Lua", [[return s:receive "l"]]),
  case("refuses a negative number", [[return s:receive(-1)]]),
  case("refuses a table as a pattern", [[return s:receive {}]]),
  case("refuses a table as a prefix", [[return s:receive("*l", {})]]),
  case("refuses to send nothing", [[return s:send()]]),
  case("refuses another mode", [[return s:settimeout(1, "x")]]),
  case("refuses a time that is none", [[return s:settimeout "x"]]),
  case("refuses another way to end", [[return s:shutdown "x"]]),
  case("refuses another option", [[return s:setoption("x", true)]]),
  case("refuses an option that is not boolean", [[return s:setoption("keepalive", 1)]]),
  case("refuses another option to tell", [[return s:getoption "x"]]),
  case("refuses to connect without a host", [[return socket.tcp():connect()]]),
  case("refuses to connect without a port", [[return socket.tcp():connect(host)]]),
  case("refuses to receive from what is not connected", [[return socket.tcp():receive()]]),
  case("refuses to send to what is not connected", [[return socket.tcp():send "a"]]),
  case("refuses to end what is not connected", [[return socket.tcp():shutdown()]]),
  case("refuses statistics of what is not connected", [[return socket.tcp():getstats()]]),
}
