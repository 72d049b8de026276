---@meta _
-- For editors only: the types of `require "parlance.http"`. Its functions are in ../http.lua. The request,
-- parlance.http.Request, is in framing.lua, because framing.http makes it.

--- The body of a response, or nothing. A file is sent from its current position.
---@alias parlance.http.Body parlance.Item|parlance.Item[]|nil

--- Headers by name. A list makes one header for each of its values, as for Set-Cookie.
---@alias parlance.http.Headers table<string, string|number|(string|number)[]>

--- Limits of the request, as for framing.http, and fields of the protocol.
---@class parlance.http.Options
---@field max? integer bytes of a request's body; default 1 MiB, with `stream_body` without a limit
---@field max_head? integer bytes of a request's head; default 16384
---@field max_headers? integer header fields of a request; default 100
---@field stream_body? boolean whether `request.body` is a stream (parlance.http.StreamedRequest); default false
---@field listen? string
---@field example? string
---@field blocksize? integer
---@field half_close? boolean default false
---@field max_unsent? integer
---@field max_request? integer default: what the largest body and head can take
---@field request_timeout? number
---@field idle_timeout? number
---@field write_timeout? number
---@field response_timeout? number
---@field max_tasks? integer
---@field settings? table<string, string> names of settings, and a line about each
---@field expect? parlance.http.Expect
---@field handle_connect? fun(self: parlance.Connection): parlance.Response
---@field handle_close? fun(self: parlance.Connection, reason: parlance.Reason)

--- Is called for a request whose client waits before it sends the body; the request has no body yet. If the function
--- returns nothing, the client may send the body. A response, as of the handler, is sent at once, and then the
--- connection is closed.
---@alias parlance.http.Expect
---| fun(request: parlance.http.Request, self: parlance.Connection): integer?, parlance.http.Headers?, parlance.http.Body

--- A function from requests to responses: a status (200 to 599), headers or nil, and a body or nil.
---@alias parlance.http.Handler
---| fun(request: parlance.http.Request, self: parlance.Connection): integer, parlance.http.Headers?, parlance.http.Body
