---@meta parlance.net
-- For editors only: what `require "parlance.net"` gives a script. The module itself is in C.

--- Streams to other servers. All functions and methods that wait do so without keeping anybody else waiting;
--- docs/waiting.md tells where a script may wait.
---
---     local upstream <close>, why = net.connect("127.0.0.1:6379", { timeout = 2 })
---     if not upstream then return "-ERR " .. why .. "\r\n" end
---     upstream:write("GET ", key, "\r\n")
---     local line = upstream:read("l")
---
--- A failure that the network causes is returned: nil, a reason and a code. Misuse is an error.
---@class parlance.net
local net = {}

---@alias parlance.net.ConnectCode
---| "refused"|"unreachable"|"timeout"|"name"|"certificate"|"handshake"|"cancelled"
---@alias parlance.net.Code "closed"|"reset"|"timeout"|"malformed"|"too_large"|"full"|"cancelled"

---@class parlance.net.Options
---@field timeout? number seconds for all of it, the look-up of the name included; default 10; 0: no limit
---@field reuse? boolean take a connection to the same address, with the same `tls`, that a stream has released
---@field tls? boolean|parlance.net.Tls true: TLS, verified for the host of the address; default false

---@class parlance.net.Tls
---@field server_name? string the name that the certificate must have; default: the host of the address
---@field ca? string a PEM file of the authorities to trust; default: those of the system
---@field certificate? string a PEM file of a certificate of one's own, with its chain
---@field key? string a PEM file of its key; default: the file of the certificate
---@field alpn? string the protocols to offer, such as "h2,http/1.1"
---@field verify? boolean false: nothing is verified; default true

--- A connection to another server. It belongs to the task that has made it, and ends with it. One task may read from
--- it and one may write to it at a time.
---@class parlance.Stream
---@field reused boolean it is a connection that was used before
---@field peer_address string? of the other server, such as "127.0.0.1:6379"; nil: it is closed, or a Unix socket
---@field own_address string? of this end
---@field tls parlance.Tls? what is known of the TLS; nil: it is plain, or closed
local Stream = {}

--- Connects to "host:port", "[ipv6]:port" or "unix:PATH". The addresses of a name are tried one after the other, each
--- 250 ms after the one before or as soon as that has failed.
---@param address string
---@param options? parlance.net.Options
---@return parlance.Stream?
---@return string? why
---@return parlance.net.ConnectCode? code
function net.connect(address, options) end

--- Looks up the addresses of a name.
---@param name string
---@return string[]? addresses such as "127.0.0.1" and "::1", in the order in which they are to be tried
---@return string? why
---@return string? code "name" or "cancelled"
function net.resolve(name) end

--- Reads one thing, all of it or nothing: "l" (default; a line without its end, LF or CR LF), "L" (a line with its
--- end), a number of bytes, "a" (all bytes up to the end, at most 16 MiB), "any" (what has come: 1 byte to 64 KiB), or
--- what a framing finds. After "closed" and "reset" the bytes that had come can be read with "any"; "timeout" loses
--- nothing.
---@param what? "l"|"L"|"a"|"any"|integer|parlance.framing.Framing
---@return any value
---@return string? why
---@return parlance.net.Code? code
function Stream:read(what) end

--- Returns the next bytes, which stay.
---@param count integer 1 to 65536
---@return string?
---@return string? why
---@return parlance.net.Code? code
function Stream:peek(count) end

--- Returns an iterator that reads the same each time. The end ends the loop; anything else that goes wrong is an
--- error.
---@param what? "l"|"L"|"any"|integer|parlance.framing.Framing
---@return fun(): any
function Stream:lines(what) end

--- Writes the strings, whole and in their order. Waits while more than 256 KiB are unsent. After "timeout" the stream
--- has taken the bytes nevertheless. The next write then takes nothing, and returns "full", while more than 256 KiB
--- are still unsent.
---@param ... string|number
---@return parlance.Stream?
---@return string? why
---@return parlance.net.Code? code
function Stream:write(...) end

--- Limits the time of each read and write. The default is no limit in a request, because response_timeout holds there,
--- and 60 s in a background task.
---@param seconds number 0: no limit
function Stream:set_timeout(seconds) end

--- Ends sending when what was written has been sent. Reading goes on.
---@return true?
---@return string? why
---@return parlance.net.Code? code
function Stream:shutdown() end

--- Closes the stream. What was written goes out for 10 s at most; nobody waits for that. A stream may also be a
--- `<close>` variable.
---@return true
function Stream:close() end

--- Gives the connection back for `reuse`, or closes it if it cannot be used again: if a read or a write was cut short,
--- bytes are unread or unsent, or the task was cancelled. It is kept for 60 s, and 64 of one address at most. The
--- stream is closed in both cases.
---@return boolean
---@return string? why it was closed
function Stream:release() end

--- Begins TLS on a plain connection, when all that was written has gone out. If that fails, the stream is closed. Bytes
--- that have come before, and that were not read, are such a failure: they must not be taken for secure ones. It takes
--- as long as set_timeout() says, or 10 s.
---@param options? true|parlance.net.Tls default true
---@return parlance.Stream?
---@return string? why
---@return "certificate"|"handshake"|"timeout"|"closed"|"cancelled"|nil code
function Stream:start_tls(options) end

--- The stream does not end with its task any more, but when it is closed or collected.
---@return parlance.Stream?
---@return string? why
---@return parlance.net.Code? code
function Stream:detach() end

return net
