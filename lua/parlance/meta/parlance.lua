---@meta parlance

---What a script has from its server.
---@class parlance
---@field version string the server's version, such as "0.1.0"
---@field shared table the service's own: it stays when the script is edited
local parlance = {}

---Writes an event to the server's log.
---@param level "debug"|"info"|"warn"|"error"
---@param message any converted with tostring
---@param fields? table<any, any> further fields of the line
function parlance.log(level, message, fields) end

---Seconds on a clock that only goes forward, from an arbitrary start.
---@return number
function parlance.now() end

---@class parlance.Address
---@field host string numeric; "unix" for a client on a Unix socket
---@field port integer 0 for a Unix socket

---So many bytes of a regular file, from where it stands.
---@class parlance.FilePart
---@field file file*
---@field length integer

---What a response can be made of: a string; a list of strings, open files, parts of files and
---functions that are called for the next piece until they return nil; or nothing.
---@alias parlance.Response string|(string|file*|parlance.FilePart|fun(): string?)[]|nil

---@alias parlance.Reason
---| "done"            # the response was sent and close_when_done holds
---| "peer_closed"     # the peer stopped sending, and everything it asked for was answered
---| "peer_reset"      # the connection broke
---| "malformed"       # the bytes can never become a request
---| "too_large"       # the request is over a limit
---| "request_timeout" # the request did not get complete in time
---| "idle_timeout"    # no request began in time
---| "write_timeout"   # the peer did not take its response
---| "script_error"    # the script raised, or answered what the contract does not know
---| "script_overrun"  # a call into the script took too long
---| "out_of_memory"   # the script's memory limit, or the machine's
---| "file_error"      # a file of a response could not be read, or shrank while it was sent
---| "drained"         # the server is stopping
---| "stopped"         # the server stopped before the conversation could be finished

---The table that a script returns. Every connection's `self` inherits from it.
---@class parlance.Protocol
---@field incoming string the bytes that are buffered, from the core
---@field request any what a framing decoded, from the core
---@field client_address parlance.Address the peer, from the core
---@field host string the peer's name if names are resolved, else its address, from the core
---@field server parlance.Address the listener, from the core
---@field eof? boolean true once the peer has stopped sending, from the core
---@field close_when_done? boolean close after the response; default true
---@field blocksize? integer bytes per read of a file that is no regular one; default 65536
---@field listen? string the default address, such as "localhost:8888"
---@field example? string bytes that a client may send, for the suggestion at the start
---@field max_request? integer bytes; default 1 MiB
---@field request_timeout? number seconds; default 30
---@field idle_timeout? number seconds; default 300
---@field write_timeout? number seconds; default 30
---@field request_complete? parlance.framing.Framing|fun(self: parlance.Protocol): boolean?, (integer|string)?
---@field make_response? fun(self: parlance.Protocol): parlance.Response
---@field handle_connect? fun(self: parlance.Protocol): parlance.Response
---@field handle_error? fun(self: parlance.Protocol, reason: parlance.Reason, detail: string): parlance.Response
---@field handle_close? fun(self: parlance.Protocol, reason: parlance.Reason)
---@field save? fun(): any what the next version is to get when the script is edited
---@field restore? fun(state: any) gets what the version before has saved

return parlance
