---@meta parlance
-- For editors only: the module `require "parlance"`, and the types of a protocol.

--- The functions of the server for scripts.
---@class parlance
---@field version string the server's version, such as "0.1.0"
---@field shared table shared by all versions of the script: it stays when the script is edited
---@field settings table<string, string> the values of --set NAME=VALUE; read-only
---@field simulated boolean true in check, fuzz, preflight and specs; false in a server
local parlance = {}

--- Writes an event to the server's log.
---@param level "debug"|"info"|"warn"|"error"
---@param message any converted with tostring
---@param fields? table<any, any> further fields of the line
function parlance.log(level, message, fields) end

--- Returns the seconds of a clock that never goes back. Its start is arbitrary.
---@return number
function parlance.now() end

--- Returns the seconds since 1970, with their fraction, by the system clock. This clock can jump.
---@return number
function parlance.time() end

--- Runs f(...) to its end and returns what it returns. The time limit of a call does not stop it, and it may use
--- a reserve of memory over the memory limit. An error in f passes through. f must not yield.
---@generic T
---@param f fun(...): T...
---@param ... any
---@return T...
function parlance.atomic(f, ...) end

--- Returns how many bytes of memory the script uses now, including garbage, and its limit.
---@return integer used
---@return integer? limit nil: there is no limit
function parlance.memory() end

--- The value that parlance.spawn() and parlance.every() return. The task runs even if you do not keep this value.
---@class parlance.Task
local Task = {}

--- Ends the task: the wait that it is in, or else its next one, is cancelled. A function of every() is not called any
--- more. The function itself may call this, too.
---@return boolean is_cancelled false if it had ended before
---@return "finished"? why
function Task:cancel() end

--- Waits for the end of the task. Returns true and what its function has returned; or nil, why and a code. If the
--- function has raised an error, why is the value that was raised. A task that waits for its own end gets an error.
---@param seconds? number 0: do not wait
---@return true? is_well
---@return any ... what the function has returned; else why and "error", "timeout" or "cancelled"
function Task:wait(seconds) end

--- Runs f(...) beside, when the server is back in its loop. f may wait. An error that nobody waits for is logged at
--- once. spawn() raises an error in `request_complete`, `save` and `restore`, and if the script has `max_tasks` already.
---@param f function
---@param ... any
---@return parlance.Task
function parlance.spawn(f, ...) end

--- Waits for the first of these tasks that has ended.
---@param tasks parlance.Task[]
---@param seconds? number 0: do not wait
---@return parlance.Task? first
---@return "timeout"|"cancelled"|nil why
---@return "timeout"|"cancelled"|nil code
function parlance.any(tasks, seconds) end

--- What lock:acquire() returns: closing it releases the lock.
---@class parlance.Held

---@class parlance.Lock
local Lock = {}

--- Waits until nobody holds the lock. Keep the value in a `<close>` variable.
---@param seconds? number 0: do not wait
---@return parlance.Held? held
---@return "timeout"|"cancelled"|nil why
---@return "timeout"|"cancelled"|nil code
function Lock:acquire(seconds) end

--- Makes a lock that one task holds at a time.
---@return parlance.Lock
function parlance.lock() end

---@class parlance.Queue
---@operator len: integer how many values can be taken
local Queue = {}

--- Puts a value at the end. With seconds it waits for room. It raises an error in `request_complete`, `save` and
--- `restore`, and while the script is loaded.
---@param value any not nil
---@param seconds? number
---@return boolean is_queued
---@return "full"|"timeout"|"closed"|"cancelled"|nil why
---@return "full"|"timeout"|"closed"|"cancelled"|nil code
function Queue:push(value, seconds) end

--- Waits for a value, and takes it from the front.
---@param seconds? number 0: do not wait
---@return any value
---@return "timeout"|"closed"|"cancelled"|nil why
---@return "timeout"|"closed"|"cancelled"|nil code
function Queue:pop(seconds) end

--- Refuses all that is pushed from now on. What is there can be taken.
function Queue:close() end

--- Makes a queue. parlance.shared, or save and restore, take it into the next version.
---@param capacity? integer default 1024
---@return parlance.Queue
function parlance.queue(capacity) end

--- Joins a connection and a stream both ways until both have stopped sending. What waits to go out goes first, then what
--- was read before, then the bytes as they come. If one side is reset, so is the other, and the request is cancelled. It
--- is the last thing on a connection: only nil may be returned behind it. It works in `make_response` and
--- `handle_connect` of that connection. The stream is closed for the script from then on.
---@param connection parlance.Connection
---@param stream parlance.Stream
---@return integer? to_stream how many bytes went to the stream; nil: nothing was begun
---@return integer|string to_client how many went to the client; else why
---@return "closed"|"reset"|"cancelled"|"cannot wait"|nil code
function parlance.tunnel(connection, stream) end

--- Returns the `self` of each client that is connected and will not be closed, in the order in which they came.
---@return parlance.Connection[]
function parlance.connections() end

--- Runs f(...). When the time is over, what f does is cancelled.
---@param seconds number
---@param f function
---@param ... any
---@return true? is_in_time
---@return any ... what f returns; else "timeout", "timeout"
function parlance.within(seconds, f, ...) end

--- Calls `f` at regular times, for the first time after `seconds`, one call at a time. Calls that were missed are left
--- out. An error in `f` is logged, and the task continues. every() raises an error in `save` and `restore`, and if the
--- script has `max_tasks` already. f may wait.
---@param seconds number from 0.001 to 1e9
---@param f fun()
---@return parlance.Task
function parlance.every(seconds, f) end

--- Waits for so many seconds. Other connections are served meanwhile. It works in `make_response`, `handle_connect`,
--- `handle_error`, in functions of a response and in tasks. Elsewhere it raises an error that says what to do instead.
--- In the message handler of `xpcall`, and in a request that was cancelled, it returns nil, why and a code at once.
---@param seconds number from 0 to 1e9
---@return nil
---@return string? why
---@return "cancelled"|"cannot wait"|nil code
function parlance.sleep(seconds) end

--- What parlance.topic() returns. Connections that subscribe are sent what is published.
---@class parlance.Topic
local Topic = {}

--- Subscribes a connection. A connection that has subscribed keeps its place. The end of the connection unsubscribes it.
--- An edit of the script does not. Where `self:send` may not be called, this raises an error, too.
---@param connection parlance.Connection
---@return boolean is_subscribed
---@return "closed"? why the connection is over
function Topic:subscribe(connection) end

--- Unsubscribes a connection.
---@param connection parlance.Connection
---@return boolean was_subscribed
function Topic:unsubscribe(connection) end

--- Sends bytes to all subscribers, in the order in which they subscribed, as `self:send` does. The bytes are in memory
--- once for all of them. A protocol with `encode` makes them of all arguments.
---@param data any a string, or what `encode` takes
---@param ... any
---@return integer count for how many connections the bytes were queued
function Topic:publish(data, ...) end

--- Returns the topic with this name. A service has one of each name, in all its versions.
---@param name string
---@param options? { slow?: "close"|"drop" } a client that cannot take a message is closed (default), or misses it
---@return parlance.Topic
function parlance.topic(name, options) end

---@class parlance.Address
---@field host string numeric; "unix" for a client on a Unix socket
---@field port integer 0 for a Unix socket

--- `length` bytes of a regular file, from its current position.
---@class parlance.FilePart
---@field file file*
---@field length integer

--- A part of a response: a string; an open file, which is sent from its current position; a part of a file; or a function
--- that returns the next piece, or nil at the end.
---@alias parlance.Item string|file*|parlance.Stream|parlance.FilePart|(fun(): string?)

--- A response: an item, a list of items, or nothing.
---@alias parlance.Response parlance.Item|parlance.Item[]|nil

--- Why a conversation ended.
---@alias parlance.Reason
---| "done"            # the response was sent, and close_when_done is true
---| "closed"          # the script called self:close(); a reason that it gave stands in place of this word
---| "peer_closed"     # the peer stopped sending, and all its requests were answered
---| "peer_reset"      # the connection broke
---| "malformed"       # the bytes can never become a request
---| "too_large"       # the request is over a limit
---| "request_timeout" # the request was not complete in time
---| "idle_timeout"    # no request began in time
---| "write_timeout"   # the peer did not read its response
---| "response_timeout" # the response waited too long for something other than its peer
---| "slow_reader"     # more than max_unsent bytes were published that the peer did not read
---| "overloaded"      # the server buffers too much for all connections, and this one held the most
---| "script_error"    # the script raised an error, or returned a value that the contract does not have
---| "script_overrun"  # a call into the script took too long
---| "out_of_memory"   # the script reached its memory limit, or the machine has no memory left
---| "file_error"      # a file of a response could not be read, shrank, or had nothing to read for idle_timeout
---| "drained"         # the server is stopping, and no request was unanswered
---| "stopped"         # the server stopped before the conversation could be finished

--- The table that a script returns.
---@class parlance.Protocol
---@field request_complete? parlance.framing.Framing|fun(self: parlance.Connection): boolean?, (integer|string)?, any
---@field make_response? fun(self: parlance.Connection): parlance.Response
---@field datagram? parlance.framing.Framing|fun(self: parlance.Connection): boolean?, (integer|string)?, any decodes datagrams; without it, self.request is their bytes
---@field handle_connect? fun(self: parlance.Connection): parlance.Response
---@field handle_expect? fun(self: parlance.Connection): parlance.Response with framing.http; nil: the client may send the body
---@field handle_error? fun(self: parlance.Connection, reason: parlance.Reason, detail: string): parlance.Response
---@field handle_close? fun(self: parlance.Connection, reason: parlance.Reason)
---@field save? fun(): any returns what the next version gets when the script is edited
---@field restore? fun(state: any) gets what the save() of the version before has returned
---@field close_when_done? boolean close after the response; default true
---@field half_close? boolean false: a client that stops sending while its request waits is gone; default true
---@field blocksize? integer bytes that are read at once from a file that is not a regular file; default 65536
---@field listen? string the default address, such as "localhost:8888"
---@field example? string bytes that a client may send, for the suggestion at the start
---@field encode? fun(data: any, ...: any): string makes the bytes of what self:send() and publish() are given
---@field max_request? integer bytes; default 1 MiB
---@field max_unsent? integer bytes that may wait to be sent by self:send() and publish(); default 1 MiB
---@field request_timeout? number seconds; default 30
---@field idle_timeout? number seconds; default 300
---@field write_timeout? number seconds; default 30
---@field response_timeout? number seconds; default 60
---@field amplification? integer the answers to a datagram have at most so many times its bytes; default: any number
---@field max_tasks? integer tasks that run beside the requests; default 10,000
---@field settings? table<string, string> the settings that the script reads, each with a description

--- What a proxy tells of its client beside the two addresses. A header of version 1, or a proxy that connects for itself,
--- tells nothing.
---@class parlance.Proxy
---@field authority? string the host name that the client has asked for (SNI)
---@field alpn? string the protocol that the client and the proxy speak
---@field unique_id? string what the proxy calls the connection
---@field ssl? parlance.ProxySsl nil: the client does not speak TLS, or the proxy does not tell

---@class parlance.ProxySsl
---@field version? string such as "TLSv1.3"
---@field cipher? string
---@field common_name? string of the client's certificate
---@field signature? string how the proxy's certificate is signed
---@field key? string the kind of its key
---@field has_certificate boolean the client has shown a certificate
---@field verified boolean it has, and the proxy has verified it

--- What is known of the TLS of a connection. What is not known is nil.
---@class parlance.Tls
---@field version "TLSv1.2"|"TLSv1.3"
---@field cipher string
---@field server_name? string the name that the client asked for, in small letters
---@field alpn? string the protocol that was chosen
---@field peer? parlance.Certificate the client's certificate

--- A certificate.
---@class parlance.Certificate
---@field subject string as in RFC 4514
---@field issuer string as in RFC 4514
---@field names string[] hosts, addresses of IP and of e-mail, URIs
---@field fingerprint string SHA-256 in hexadecimal

--- The `self` of a connection: a table that inherits from the protocol. If you keep fields of your own in it, declare
--- them in a class:
---
---     ---@class greet.Connection: parlance.Connection
---     ---@field name? string
---     local protocol = {}
---
---     function protocol:make_response()
---       self.name = self.name or self.request
---@class parlance.Connection: parlance.Protocol
---@field incoming string the bytes that are buffered
---@field request any the third value of request_complete, or what a framing decoded: a string, a parlance.http.Request or string[]
---@field client_address parlance.Address the peer
---@field host string the peer's name if names are resolved, else its address
---@field server parlance.Address the listener
---@field proxy? parlance.Proxy with --accept-proxy: what the proxy of the peer has told
---@field transport "tcp"|"tls"|"udp"|"unix"
---@field tls? parlance.Tls nil without TLS
---@field eof? true once the peer has stopped sending
local Connection = {}

--- Sends bytes that answer no request. Any function of the script may call it for any connection, except in
--- `request_complete`, `save`, `restore` and while the script is loaded. It never waits. The bytes do not land within a
--- response. A protocol with `encode` makes the bytes of all arguments.
---@param data any a string, or what `encode` takes
---@param ... any
---@return boolean is_queued
---@return "closed"|"tunnel"|"slow_reader"|"overloaded"|"too_large"|"amplification"|nil why slow_reader: more than max_unsent would wait; the last two: of a datagram
function Connection:send(data, ...) end

--- Sets how long the answer to the request in hand may wait, instead of `response_timeout`. It also holds for the
--- functions of the response.
---@param seconds number 0: there is no limit
function Connection:set_response_timeout(seconds) end

--- Ends the connection when what was queued before is sent. A response that waits is cancelled; a function that calls
--- this for its own connection goes on, and its response is sent. The rules of `send` hold.
---@param reason? string from 1 to 64 bytes for handle_close and the log; default "closed"
---@return boolean is_closed
---@return "closed"? why it is over already
function Connection:close(reason) end

--- Begins TLS when the response of this `make_response` was sent. A byte that the peer has sent behind the request ends
--- the connection with the reason "malformed". Raises an error without a certificate (--certificate), on a connection
--- that has TLS, when it is called twice, and everywhere but in the `make_response` of the same connection.
---@return boolean is_noted
---@return "closed"? why it is over already
function Connection:start_tls() end

--- Reads from the peer what stands behind the request, as `Stream:read` of parlance.net does. Only `handle_connect` and
--- `make_response` of the same connection may read, and what they call. What is left is the next request. While it waits,
--- `idle_timeout` holds, and not `response_timeout`.
---@param what? "l"|"L"|"a"|"any"|integer|parlance.framing.Framing
---@return any value
---@return string? why
---@return "closed"|"malformed"|"too_large"|"cancelled"|nil code
function Connection:read(what) end

--- Returns the next bytes, which stay.
---@param count integer 1 to 65536
---@return string?
---@return string? why
---@return "closed"|"cancelled"|nil code
function Connection:peek(count) end

--- Writes a part of the response: it is sent at the next wait, and before what the function returns. Waits while more than
--- 256 KiB are unsent; meanwhile `write_timeout` holds. The rules of `read` hold.
---@param ... string|number
---@return parlance.Connection?
---@return string? why
---@return "closed"|"cancelled"|nil code
function Connection:write(...) end

return parlance
