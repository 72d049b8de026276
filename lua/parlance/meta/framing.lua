---@meta parlance.framing
-- For editors only: what `require "parlance.framing"` gives a script. The module itself is in C.

--- Ways to frame requests, as values that stand where `request_complete` would.
---
---     return {
---       request_complete = framing.line { max = 1024 },
---       make_response = function(self) return self.request:upper() .. "\n" end,
---     }
---
--- A constructor raises an error for an option that it does not have or cannot use.
---@class parlance.framing
local framing = {}

--- A way to frame requests. It can be called as `request_complete` would be, on `self` or on any table
--- with `incoming`, and answers the same: `true, n`, and sets `request`; `false, n`; `nil, detail`; or
--- `nil, "too_large", detail`. On `self` it remembers how far it has looked at a request.
---@class parlance.framing.Framing
---@overload fun(on: { incoming: string, request: any }): boolean?, integer|string, string?

--- The `max` of these options limits the request in bytes, without what frames it. Left out, the
--- server's own `max_request` is the only limit.
---@class parlance.framing.MaxOptions
---@field max? integer

---@class parlance.framing.DelimitedOptions: parlance.framing.MaxOptions
---@field delimiter string 1 to 64 bytes that end a request

---@class parlance.framing.FixedOptions
---@field size integer bytes of every request, at least 1

---@class parlance.framing.PrefixedOptions: parlance.framing.MaxOptions
---@field format? string the length field: one integer option of `string.pack`; default ">I4"; without > or < as the machine has it
---@field offset? integer bytes before the length field; default 0
---@field adjust? integer added to the length to get the bytes that follow the length field; default 0
---@field strip? integer bytes left off the front of the request; default all up to the end of the length field

---@class parlance.framing.HttpOptions
---@field max? integer bytes of a body
---@field max_head? integer bytes of the request line and the header fields; default 16384
---@field max_headers? integer header fields; default 100

--- What `self.request` is behind `framing.http`.
---@class parlance.http.Request
---@field method string such as "GET"
---@field target string as it was sent, such as "/a%20b?c=d"
---@field version "1.0"|"1.1"
---@field headers table<string, string> by lower-case names; repeated fields are joined with ", " (cookie: "; ")
---@field body string "" if there is none
---@field keep_alive boolean whether the client wants to go on after the response

---@class parlance.framing.RespOptions: parlance.framing.MaxOptions
---@field max_arguments? integer 1 to 1048576, which is the default
---@field reuse? boolean whether the list of a small request is used again for a later one; default false

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

--- A request of HTTP/1.0 or HTTP/1.1, strictly by RFC 9112; its body by Content-Length or in chunks.
--- What is wrong with one is told to handle_error with the status code that it deserves in front.
---@param options? parlance.framing.HttpOptions
---@return parlance.framing.Framing
function framing.http(options) end

--- A Redis command: an array of bulk strings ("*1\r\n$4\r\nPING\r\n"), or an inline command ("PING\r\n").
--- The request is the list of its arguments, `string[]`, empty for an empty line or array.
--- https://redis.io/docs/latest/develop/reference/protocol-spec/
---@param options? parlance.framing.RespOptions
---@return parlance.framing.Framing
function framing.resp(options) end

return framing
