---@meta parlance.http
-- For editors only: the types of `require "parlance.http"`, which is in ../http.lua.

---@class parlance.http
---@field status table<integer, string> the texts behind the status codes
---@field methods table<string, true> the methods that are known
local http = {}

--- What a response can have for a body: nothing; a string; a file, sent from where it stands; a part of
--- a regular file; a function that is called for the next piece until it returns nil; a list of these.
---@alias parlance.http.Body nil|string|file*|parlance.FilePart|fun(): string?|(string|file*|parlance.FilePart|fun(): string?)[]

---@alias parlance.http.Headers table<string, string|number|(string|number)[]>

---@class parlance.http.Options
---@field max? integer bytes of a request's body; default 1 MiB
---@field max_head? integer bytes of a request's head; default 16384
---@field max_headers? integer header fields of a request; default 100
---@field listen? string
---@field example? string
---@field blocksize? integer
---@field max_request? integer default: what the largest body and head can take
---@field request_timeout? number
---@field idle_timeout? number
---@field write_timeout? number
---@field handle_connect? fun(self: parlance.Protocol): parlance.Response
---@field handle_close? fun(self: parlance.Protocol, reason: parlance.Reason)

--- A protocol that answers each request with what the function returns: a status (200 to 599), a table
--- of headers or nil, and a body or nil. Date, Content-Length, Transfer-Encoding and Connection are
--- seen to. An error of the function is answered with 500.
---
---     return http.serve(function(request)
---       return 200, { ["Content-Type"] = "text/plain" }, "hello, " .. request.target .. "\n"
---     end)
---@param handler fun(request: parlance.http.Request, self: parlance.Protocol): integer, parlance.http.Headers?, parlance.http.Body
---@param options? parlance.http.Options
---@return parlance.Protocol
function http.serve(handler, options) end

--- "Sun, 06 Nov 1994 08:49:37 GMT"
---@param time? integer seconds since 1970; default now
---@return string
function http.date(time) end

--- The seconds since 1970 of a date in one of HTTP's three forms; nil if it is in none.
---@param text string
---@return integer?
function http.parse_date(text) end

--- Undoes percent-encoding, once; nil if it is not done properly.
---@param text string
---@return string?
function http.decode(text) end

--- Percent-encodes all but letters, digits and "-._~".
---@param text string
---@return string
function http.encode(text) end

--- The path of a target, still encoded, and what stands behind its "?".
---@param target string
---@return string path
---@return string? query
function http.split(target) end

--- "a=1&b=x+y" as { a = "1", b = "x y" }.
---@param text? string
---@return table<string, string>
function http.query(text) end

--- Escapes what has a meaning in HTML.
---@param text string
---@return string
function http.escape(text) end

return http
