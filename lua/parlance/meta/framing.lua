---@meta parlance.framing
-- For editors only: what `require "parlance.framing"` gives a script. The module itself is in C.

--- Framings: values that take the place of `request_complete`.
---
---     return {
---       request_complete = framing.line { max = 1024 },
---       make_response = function(self) return self.request:upper() .. "\n" end,
---     }
---
--- A constructor raises an error for an option that is unknown or not valid.
---@class parlance.framing
local framing = {}

--- A framing. It can be called like `request_complete`, with `self` or with any table that has `incoming`. It returns the
--- same: `true, n`, and sets `request`; `false, n`; `nil, detail`; or `nil, "too_large", detail`. With `self` it
--- remembers how far it has come in the request.
---@class parlance.framing.Framing
---@overload fun(on: { incoming: string, request: any }): boolean?, integer|string, string?

--- `max` limits the request in bytes, without the bytes that frame it. Without `max`, only `max_request` limits the
--- request.
---@class parlance.framing.MaxOptions
---@field max? integer

---@class parlance.framing.DelimitedOptions: parlance.framing.MaxOptions
---@field delimiter string 1 to 64 bytes that end a request

---@class parlance.framing.FixedOptions
---@field size integer bytes of every request, at least 1

---@class parlance.framing.PrefixedOptions: parlance.framing.MaxOptions
---@field format? string the length field: one integer option of `string.pack`; default ">I4"; without > or < it has the byte order of the machine
---@field offset? integer bytes before the length field; default 0
---@field adjust? integer added to the length to get the bytes that follow the length field; default 0
---@field strip? integer bytes removed from the front of the request; default: all up to the end of the length field

---@class parlance.framing.HttpOptions
---@field max? integer bytes of a body
---@field max_head? integer bytes of the request line and the header fields; default 16384
---@field max_headers? integer header fields; default 100
---@field stream_body? boolean whether a request is complete when its head is, and its body is a stream; default false
---@field responses? boolean whether it finds what a server answers instead of a request; default false
---@field method? string with `responses`: the method of the request that is answered; "HEAD" and "CONNECT" matter

--- The value of `self.request` with `framing.http`.
---@class parlance.http.Request
---@field method string such as "GET"
---@field target string as it was sent, such as "/a%20b?c=d"
---@field version "1.0"|"1.1"
---@field headers table<string, string> by lower-case names; repeated fields are joined with ", " (cookie: "; ")
---@field body string "" if there is none
---@field keep_alive boolean whether the client wants to keep the connection after the response

--- The value of `self.request` with `framing.http { stream_body = true }`.
---@class parlance.http.StreamedRequest: parlance.http.Request
---@field body parlance.Stream can only be read: it has no `write`, `shutdown`, `release` and `detach`

--- What `framing.http { responses = true }` gives.
---@class parlance.http.Response
---@field status integer such as 200
---@field reason string such as "OK"; it may be empty
---@field version "1.0"|"1.1"
---@field headers table<string, string|string[]> by lower-case names; repeated fields are joined with ", "; "set-cookie" is a list
---@field body string "" if there is none
---@field keep_alive boolean whether the server wants to keep the connection

---@class parlance.framing.RespOptions: parlance.framing.MaxOptions
---@field max_arguments? integer 1 to 1048576, which is the default; with `replies`: of all values, arrays included
---@field reuse? boolean whether the list of a small request is used again for later requests; default false
---@field replies? boolean whether it finds what a Redis answers instead of a command; default false

--- An error in what a Redis answers. `tostring` gives the text.
---@class parlance.resp.Error
---@field err string such as "ERR unknown command"

--- An array in what a Redis answers. A null in it is nil, so that `#` does not count it.
---@class parlance.resp.Array
---@field n integer how many values it has
---@field [integer] string|integer|nil|parlance.resp.Error|parlance.resp.Array

--- Text up to a line feed. One carriage return before it belongs to the ending.
---@param options? parlance.framing.MaxOptions
---@return parlance.framing.Framing
function framing.line(options) end

--- Bytes up to a delimiter.
---@param options parlance.framing.DelimitedOptions
---@return parlance.framing.Framing
function framing.delimited(options) end

--- Always the same number of bytes.
---@param options parlance.framing.FixedOptions
---@return parlance.framing.Framing
function framing.fixed(options) end

--- A decimal length, a line feed, and that many bytes: "5\nhello".
---@param options? parlance.framing.MaxOptions
---@return parlance.framing.Framing
function framing.length_line(options) end

--- A binary length field in a header of fixed size, and the bytes that it counts.
---
---     framing.prefixed { format = ">I2" }                           -- DNS over TCP
---     framing.prefixed { offset = 1, adjust = -4, strip = 0 }       -- PostgreSQL: a type, and a
---                                                                   -- length that counts itself
---@param options? parlance.framing.PrefixedOptions
---@return parlance.framing.Framing
function framing.prefixed(options) end

--- A decimal length, a colon, that many bytes, a comma: "5:hello,".
--- https://cr.yp.to/proto/netstrings.txt
---@param options? parlance.framing.MaxOptions
---@return parlance.framing.Framing
function framing.netstring(options) end

--- A request of HTTP/1.0 or HTTP/1.1, read strictly by RFC 9112, with a body by Content-Length or in chunks. The detail
--- of a failure begins with the status code for the response: see handle_error.
---
--- With `stream_body = true`, a request is complete when its head is, and its body is a stream of the bytes of the body
--- alone, chunks decoded: `request.body:read(65536)`. It has `read`, `peek`, `lines`, `set_timeout` and `close`, and can
--- be read until the response was sent. Such a framing can only be the `request_complete` of a protocol.
---
--- With `responses = true`: a response, a `parlance.http.Response`, for `stream:read`.
---@param options? parlance.framing.HttpOptions
---@return parlance.framing.Framing
function framing.http(options) end

--- A Redis command: an array of bulk strings ("*1\r\n$4\r\nPING\r\n"), or an inline command ("PING\r\n").
--- The request is the list of its arguments, `string[]`, empty for an empty line or array.
---
--- With `replies = true`: what a Redis answers (RESP2), for `stream:read`. A string or an integer is one, a null is nil
--- without a reason, an error is a `parlance.resp.Error`, an array a `parlance.resp.Array`.
--- https://redis.io/docs/latest/develop/reference/protocol-spec/
---@param options? parlance.framing.RespOptions
---@return parlance.framing.Framing
function framing.resp(options) end

return framing
