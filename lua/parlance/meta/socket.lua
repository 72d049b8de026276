---@meta parlance.socket
-- For editors only: what `require "socket"` gives a script. The module itself is lua/parlance/socket.lua.

--- The interface of LuaSocket, on top of streams (parlance.net) and datagrams. Where LuaSocket blocks, only the task
--- waits that has called. The manual of LuaSocket documents it; docs/upstreams.md tells what is different.
---@class parlance.socket
local socket = {}

---@type string "LuaSocket 3.0.0"
socket._VERSION = nil
---@type integer 1024
socket._SETSIZE = nil
---@type integer -1
socket._SOCKETINVALID = nil
---@type integer 8192
socket._DATAGRAMSIZE = nil
---@type integer bytes that a source receives at once
socket.BLOCKSIZE = nil
---@type table toip(host), getaddrinfo(host), gethostname()
socket.dns = nil
---@type table<string, function> the kinds of sinks; libraries add their own
socket.sinkt = nil
---@type table<string, function> the kinds of sources; libraries add their own
socket.sourcet = nil

--- A socket. It lives until it is closed or collected, not with the task that has made it.
---@class parlance.socket.Tcp
local Tcp = {}

--- Makes a socket that is not connected.
---@return parlance.socket.Tcp
function socket.tcp() end

--- The same, for IPv4.
---@return parlance.socket.Tcp
function socket.tcp4() end

--- The same, for IPv6.
---@return parlance.socket.Tcp
function socket.tcp6() end

--- Makes a socket and connects it.
---@param host string
---@param port integer|string
---@param locaddr? nil the local address cannot be chosen
---@param locport? nil
---@param family? "inet"|"inet6"|"unspec"
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect(host, port, locaddr, locport, family) end

--- Connects by IPv4.
---@param host string
---@param port integer|string
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect4(host, port) end

--- Connects by IPv6.
---@param host string
---@param port integer|string
---@return parlance.socket.Tcp?
---@return string? why
function socket.connect6(host, port) end

--- Raises: the server listens, not its scripts.
function socket.bind() end

--- Makes a socket for datagrams, of the family of the first address that it uses.
---@return parlance.socket.Udp
function socket.udp() end

--- The same, for IPv4.
---@return parlance.socket.Udp?
---@return string? why
function socket.udp4() end

--- The same, for IPv6.
---@return parlance.socket.Udp?
---@return string? why
function socket.udp6() end

--- Waits until one of the sockets can be received from, or sent to, without waiting.
---@param receivers? (parlance.socket.Tcp|parlance.socket.Udp)[]
---@param senders? (parlance.socket.Tcp|parlance.socket.Udp)[]
---@param timeout? number seconds; nil or negative: no limit
---@return table readable a list, which also has the place of each socket
---@return table writable
---@return string? why "timeout"
function socket.select(receivers, senders, timeout) end

--- The seconds since 1970.
---@return number
function socket.gettime() end

--- Waits.
---@param seconds number
function socket.sleep(seconds) end

--- Makes a function that returns its arguments if the first is true. Else it calls the finalizer, and raises what
--- protect() makes nil and the second argument of.
---@param finalizer? fun()
---@return function
function socket.newtry(finalizer) end

--- A function of newtry() without a finalizer.
---@param ... any
---@return any ...
function socket.try(...) end

--- Makes a function that calls `f`, and returns nil and the reason where a try() in it raises. Other errors pass.
---@param f function
---@return function
function socket.protect(f) end

--- Returns its arguments without the first `count` ones.
---@param count integer
---@param ... any
---@return any ...
function socket.skip(count, ...) end

--- Makes a function that calls one of the functions of a table, by its name or "default".
---@param functions table<string, function>
---@return function
function socket.choose(functions) end

--- Makes a sink of LTN 12 that sends: "keep-open" (default) or "close-when-done".
---@param name string|parlance.socket.Tcp
---@param first? any
---@param second? any
---@return any
function socket.sink(name, first, second) end

--- Makes a source of LTN 12 that receives: "until-closed" (default) or "by-length".
---@param name string|parlance.socket.Tcp
---@param first? any
---@param second? any
---@return any
function socket.source(name, first, second) end

--- Connects to a host, which is a name or an address.
---@param host string
---@param port integer|string
---@return number? one
---@return string? why
function Tcp:connect(host, port) end

--- Receives a line without its end ("*l", the default), a number of bytes, or all bytes up to the end ("*a").
---@param pattern? "*l"|"*a"|integer
---@param prefix? string stands before what is received, and counts for a number of bytes
---@return string?
---@return string? why "closed" or "timeout"
---@return string? partial what has come before
function Tcp:receive(pattern, prefix) end

--- Sends the bytes from `first` to `last`.
---@param data string
---@param first? integer
---@param last? integer
---@return number? last the place of the last byte that was sent
---@return string? why "closed" or "timeout"
---@return number? partial the same place after a failure
function Tcp:send(data, first, last) end

--- Limits the time of each call. Both limits count from its beginning. A negative number or nil is no limit.
---@param seconds? number
---@param mode? "b"|"t"
---@return number one
function Tcp:settimeout(seconds, mode) end

--- The limits of both modes.
---@return number block
---@return number total
function Tcp:gettimeout() end

--- Ends sending, receiving, or both, which closes the socket.
---@param how? "both"|"send"|"receive"
---@return number one
function Tcp:shutdown(how) end

--- Closes the socket. What was sent goes out, for 10 s at most.
---@return number one
function Tcp:close() end

--- The address of the other end.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function Tcp:getpeername() end

--- The address of this end.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function Tcp:getsockname() end

--- The family of the addresses.
---@return "inet4"|"inet6"
function Tcp:getfamily() end

--- How many bytes were received and sent, and how old the socket is in seconds.
---@return number received
---@return number sent
---@return number age
function Tcp:getstats() end

--- Sets what getstats tells.
---@param received? integer
---@param sent? integer
---@param age? number
---@return number one
function Tcp:setstats(received, sent, age) end

--- Takes the options of LuaSocket. "tcp-nodelay" is always on, and the others have no effect.
---@param option string
---@param value any
---@return number one
function Tcp:setoption(option, value) end

--- Tells what an option is here.
---@param option string
---@return any
function Tcp:getoption(option) end

--- Whether bytes have been read that were not received yet.
---@return boolean
function Tcp:dirty() end

--- A socket for datagrams. It belongs to the task that has made it, and is closed with it or when it is collected. One
--- that is made while the script is loaded belongs to the script, and can be used in requests and tasks.
---@class parlance.socket.Udp
local Udp = {}

--- Chooses the only peer, to send to and to receive from.
---@param host string a name or an address; "*": there is no peer any more
---@param port? integer|string
---@return number? one
---@return string? why
function Udp:setpeername(host, port) end

--- Chooses the own address.
---@param host string a name or an address; "*": every interface
---@param port integer|string 0: any free port
---@return number? one
---@return string? why
function Udp:setsockname(host, port) end

--- The address of the peer.
---@return string? host
---@return integer|string port or why there is none
---@return "inet"|"inet6"? family
function Udp:getpeername() end

--- The own address.
---@return string? host
---@return string port as a string; or why there is none
---@return "inet"|"inet6"? family
function Udp:getsockname() end

--- The family of the addresses.
---@return "inet4"|"inet6"
function Udp:getfamily() end

--- Sends a datagram to the peer.
---@param data string
---@return number? bytes
---@return string? why "closed", "timeout" or "connection refused"
function Udp:send(data) end

--- Sends a datagram.
---@param data string
---@param address string in numbers
---@param port integer|string
---@return number? bytes
---@return string? why
function Udp:sendto(data, address, port) end

--- Receives a datagram, which may be empty. What is longer is cut off.
---@param size? integer default 8192
---@return string?
---@return string? why "closed", "timeout" or "connection refused"
function Udp:receive(size) end

--- The same, with the address from which it comes.
---@param size? integer default 8192
---@return string?
---@return string host or why there is no datagram
---@return integer? port
function Udp:receivefrom(size) end

--- Limits the time of each call. Both limits count from its beginning. A negative number or nil is no limit.
---@param seconds? number
---@param mode? "b"|"t"
---@return number one
function Udp:settimeout(seconds, mode) end

--- The limits of both modes.
---@return number block
---@return number total
function Udp:gettimeout() end

--- Sets an option of LuaSocket, such as "broadcast".
---@param option string
---@param value boolean|integer
---@return number? one
---@return string? why
function Udp:setoption(option, value) end

--- Tells an option of LuaSocket.
---@param option string
---@return boolean|number|nil value
---@return string? why
function Udp:getoption(option) end

--- Closes the socket.
---@return number one
function Udp:close() end

--- Whether bytes have been read that were not received yet: never.
---@return boolean
function Udp:dirty() end

return socket
