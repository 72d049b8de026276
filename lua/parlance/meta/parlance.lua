---@meta parlance
-- For editors only: what `require "parlance"` gives a script, and what a script gives the server.

--- What a script has from its server.
---@class parlance
---@field version string the server's version, such as "0.1.0"
---@field shared table the service's own: it stays when the script is edited
---@field settings table<string, string> what was given with --set NAME=VALUE; cannot be changed
---@field simulated boolean whether this is a check, fuzz, a preflight or a spec, and not a server
local parlance = {}

--- Writes an event to the server's log.
---@param level "debug"|"info"|"warn"|"error"
---@param message any converted with tostring
---@param fields? table<any, any> further fields of the line
function parlance.log(level, message, fields) end

--- Seconds on a clock that only goes forward, from an arbitrary start.
---@return number
function parlance.now() end

--- Seconds since 1970 with their fraction, by the clock as it is set now. It may jump.
---@return number
function parlance.time() end

--- Runs f(...) to its end and returns what it returns. The time limit of a call does not stop it, and it may use
--- a reserve of memory over the memory limit. An error in f passes through. f must not yield.
---@generic T
---@param f fun(...): T...
---@param ... any
---@return T...
function parlance.atomic(f, ...) end

--- How many bytes of memory the script uses now, garbage included, and its limit.
---@return integer used
---@return integer? limit nil: there is none
function parlance.memory() end

--- What parlance.every() returns. It goes on whether you keep it or not.
---@class parlance.Task
local Task = {}

--- The function is not run any more. It may be called from within the function, too.
---@return boolean is_cancelled false if it had ended before
---@return "finished"? why
function Task:cancel() end

--- Runs `f` every so many seconds, for the first time when that many have passed, one run at a time. Runs that
--- were missed are not made up for. An error is logged, and it goes on. An error where it cannot be made: in `save`
--- and `restore`, or when there are 10,000 already.
---@param seconds number from 0.001 to 1e9
---@param f fun()
---@return parlance.Task
function parlance.every(seconds, f) end

---@class parlance.Address
---@field host string numeric; "unix" for a client on a Unix socket
---@field port integer 0 for a Unix socket

--- So many bytes of a regular file, from where it stands.
---@class parlance.FilePart
---@field file file*
---@field length integer

--- What goes out as a part of a response: a string; an open file, from where it stands; a part of one; or a
--- function that is called for the next piece until it returns nil.
---@alias parlance.Item string|file*|parlance.FilePart|(fun(): string?)

--- What a response is: an item, a list of items, or nothing.
---@alias parlance.Response parlance.Item|parlance.Item[]|nil

--- Why a conversation ended.
---@alias parlance.Reason
---| "done"            # the response was sent and close_when_done holds
---| "peer_closed"     # the peer stopped sending, and everything it asked for was answered
---| "peer_reset"      # the connection broke
---| "malformed"       # the bytes can never become a request
---| "too_large"       # the request is over a limit
---| "request_timeout" # the request did not get complete in time
---| "idle_timeout"    # no request began in time
---| "write_timeout"   # the peer did not take its response
---| "overloaded"      # the server buffers too much for all connections, and this one held the most
---| "script_error"    # the script raised, or answered what the contract does not know
---| "script_overrun"  # a call into the script took too long
---| "out_of_memory"   # the script's memory limit, or the machine's
---| "file_error"      # a file of a response could not be read, shrank, or had nothing to read for idle_timeout
---| "drained"         # the server is stopping
---| "stopped"         # the server stopped before the conversation could be finished

--- The table that a script returns.
---@class parlance.Protocol
---@field request_complete? parlance.framing.Framing|fun(self: parlance.Connection): boolean?, (integer|string)?, any
---@field make_response? fun(self: parlance.Connection): parlance.Response
---@field handle_connect? fun(self: parlance.Connection): parlance.Response
---@field handle_expect? fun(self: parlance.Connection): parlance.Response behind framing.http: nil has the body sent
---@field handle_error? fun(self: parlance.Connection, reason: parlance.Reason, detail: string): parlance.Response
---@field handle_close? fun(self: parlance.Connection, reason: parlance.Reason)
---@field save? fun(): any what the next version is to get when the script is edited
---@field restore? fun(state: any) gets what the version before has saved
---@field close_when_done? boolean close after the response; default true
---@field blocksize? integer bytes per read of a file that is no regular one; default 65536
---@field listen? string the default address, such as "localhost:8888"
---@field example? string bytes that a client may send, for the suggestion at the start
---@field max_request? integer bytes; default 1 MiB
---@field request_timeout? number seconds; default 30
---@field idle_timeout? number seconds; default 300
---@field write_timeout? number seconds; default 30
---@field settings? table<string, string> the settings that the script reads: for each name, what it is

--- The `self` of a connection: a table of its own that inherits from the protocol. What you keep in it
--- besides, you declare in a class of your own:
---
---     ---@class greet.Connection: parlance.Connection
---     ---@field name? string
---     local protocol = {}
---
---     function protocol:make_response()
---       self.name = self.name or self.request
---@class parlance.Connection: parlance.Protocol
---@field incoming string the bytes that are buffered
---@field request any the third value of request_complete, or what a framing decoded: a string; parlance.http.Request with HTTP, string[] with Redis
---@field client_address parlance.Address the peer
---@field host string the peer's name if names are resolved, else its address
---@field server parlance.Address the listener
---@field eof? true once the peer has stopped sending

return parlance
