-- HTTP for scripts: makes a protocol of a function that answers requests.
--
--     local http = require "parlance.http"
--
--     return http.serve(function(request)
--       return 200, { ["Content-Type"] = "text/plain" }, "hello, " .. request.target .. "\n"
--     end)
--
-- framing.http reads the requests, and C code makes the heads of responses. This module turns the body that the
-- function returns into the items of a response, and makes the responses to errors.

local framing = require "parlance.framing"
local response = require "parlance.http.response"
local url = require "parlance.http.url"

---@class parlance.http
local http = {}

-- ---- status, methods, dates, URLs ---------------------------------------------------------------

--- The reason phrases of status codes (RFC 9110, 15).
---@type table<integer, string>
http.status = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information",
  [204] = "No Content", [205] = "Reset Content", [206] = "Partial Content",
  [300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
  [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
  [404] = "Not Found", [405] = "Method Not Allowed", [406] = "Not Acceptable",
  [407] = "Proxy Authentication Required", [408] = "Request Timeout", [409] = "Conflict",
  [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed",
  [413] = "Content Too Large", [414] = "URI Too Long", [415] = "Unsupported Media Type",
  [416] = "Range Not Satisfiable", [417] = "Expectation Failed", [421] = "Misdirected Request",
  [422] = "Unprocessable Content", [426] = "Upgrade Required", [428] = "Precondition Required",
  [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
  [503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
}

--- The known methods (RFC 9110, 9.3, and RFC 5789). If a handler does not support a method, it answers 405 for a known
--- one and 501 for others.
---@type table<string, true>
http.methods = {
  GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, CONNECT = true, OPTIONS = true,
  TRACE = true, PATCH = true,
}

-- A cache of dates that were written.
local MOST_DATES <const> = 1000
local dates, date_count = {}, 0

--- Formats a time in seconds since 1970 (default: now) for HTTP: "Sun, 06 Nov 1994 08:49:37 GMT".
---@param time? integer
---@return string
function http.date(time)
  time = time or os.time()
  local date = dates[time]
  if not date then
    if date_count == MOST_DATES then dates, date_count = {}, 0 end
    date = os.date("!%a, %d %b %Y %H:%M:%S GMT", time)
    dates[time], date_count = date, date_count + 1
  end
  return date
end

local MONTHS <const> = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6,
  Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- Returns the days since 1970-01-01. A year counts from March on, so that the leap day is its last day.
local function days_since_1970(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap_days = year // 4 - year // 100 + year // 400
  return 365 * year + leap_days + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- Parses a date in any of HTTP's three formats (RFC 9110, 5.6.7). Returns the seconds since 1970, or nil.
---@param text string
---@return integer?
function http.parse_date(text)
  local day, name, year, hour, minute, second =
    text:match "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  if not day then
    day, name, year, hour, minute, second =
      text:match "^%a+day, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$"
    -- A year of two digits is not more than 50 years in the future.
    if day then
      local now = tonumber(os.date "!%Y")
      year = now - now % 100 + tonumber(year)
      if year > now + 50 then year = year - 100 end
    end
  end
  if not day then
    name, day, hour, minute, second, year =
      text:match "^%a%a%a (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$"
  end
  local month = MONTHS[name]
  day, hour, minute, second = tonumber(day), tonumber(hour), tonumber(minute), tonumber(second)
  if not month or not day or day < 1 or day > 31 or hour > 23 or minute > 59 or second > 60 then return nil end
  return days_since_1970(tonumber(year), month, day) * 86400 + hour * 3600 + minute * 60 + second
end

--- Decodes percent-encoding once. Returns nil if a "%" is not followed by two hexadecimal digits.
---@type fun(text: string): string?
http.decode = url.decode

--- Percent-encodes every byte but letters, digits and "-._~".
---@param text string
---@return string
function http.encode(text)
  return (text:gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- Splits the target of a request into its path, which stays encoded, and its query or nil.
---@type fun(target: string): path: string, query: string?
http.split = url.split

--- Parses "a=1&b=x+y" into { a = "1", b = "x y" }. If a name is there several times, the last value counts. A name or
--- a value with wrong percent-encoding stays as it is.
---@param text? string
---@return table<string, string>
function http.query(text)
  local fields = {}
  for name, value in (text or ""):gmatch "([^&=]+)=?([^&]*)" do
    name, value = name:gsub("+", " "), value:gsub("+", " ")
    fields[http.decode(name) or name] = http.decode(value) or value
  end
  return fields
end

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Escapes text for use in HTML, also in a quoted attribute.
---@param text string
---@return string
function http.escape(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

-- ---- the body of a response ---------------------------------------------------------------------

local function is_file(value)
  return io.type(value) == "file"
end

-- Turns a file of known length into { file, length }, so that not more bytes are sent than Content-Length says.
local function measured(file)
  local here = file:seek "cur"
  local size = here and file:seek "end"
  if not size or size == 0 then return file end -- a pipe, or a file of /proc
  file:seek("set", here)
  return { file = file, length = math.max(size - here, 0) }
end

-- Returns the error text for an item of a body; `place` is its index if it is in a list.
local function fault_of_item(item, place)
  local kind = io.type(item) or type(item)
  if kind == "table" and item.file ~= nil then
    if io.type(item.file) == "closed file" then kind = "part of a closed file" else kind = "part of no file" end
    if is_file(item.file) then kind = "part of a file without a whole number for its length" end
  end
  if kind == "userdata" and (getmetatable(item) or {}).__name == "parlance.stream" then
    kind = "stream: return a function that reads it"
  end
  if place then return ("a body cannot be made of a list whose item %d is a %s"):format(place, kind) end
  return "a body cannot be made of a " .. kind
end

-- Returns the error text for a list that has other keys or a hole; items behind a nil would not be sent.
local function fault_of_list(list)
  local length, count = #list, 0
  for key in next, list do
    if math.type(key) ~= "integer" or key < 1 then
      return ("a body cannot be made of a table with the field %q"):format(tostring(key))
    end
    count = count + 1
  end
  if count == length then return nil end
  local hole = 1
  while list[hole] ~= nil do hole = hole + 1 end
  return fault_of_item(nil, hole)
end

-- Copies a list, so that items that a metatable gives become plain ones.
local function plain(list)
  local items = {}
  for place, item in ipairs(list) do items[place] = item end
  return items
end

-- Returns the body as a list of strings, { file, length }, files and functions, and its length, or nil if that is not
-- known. Or nil, nil and an error text.
local function items_of(body)
  local kind = type(body)
  if body == nil then return {}, 0 end
  if kind == "string" then return { body }, #body end
  -- The fast path for a file with its length.
  if kind == "table" and is_file(body.file) and math.type(body.length) == "integer" then
    return { body }, body.length
  end
  local is_list = kind == "table" and body.file == nil
  if not is_list then body = { body } end
  if getmetatable(body) then body = plain(body) end
  local fault = fault_of_list(body)
  if fault then return nil, nil, fault end
  local items, total = {}, 0
  for place = 1, #body do
    local item = body[place]
    if is_file(item) then item = measured(item) end
    local length
    if type(item) == "string" then
      length = #item
    elseif type(item) == "table" and is_file(item.file) and math.type(item.length) == "integer" then
      length = item.length
    elseif not is_file(item) and type(item) ~= "function" then
      return nil, nil, fault_of_item(item, is_list and place)
    end
    items[place] = item
    total = total and length and total + length or nil
  end
  return items, total
end

local function close_files(items)
  for _, item in ipairs(items) do
    local file = type(item) == "table" and item.file or item
    if is_file(file) then file:close() end
  end
end

-- Returns a function that gives the pieces of a function or a file as chunks (RFC 9112, 7.1).
local function in_chunks(item, complain)
  local pull = item
  if is_file(item) then
    pull = function()
      local piece = item:read(65536)
      if not piece then item:close() end
      return piece
    end
  end
  return function()
    local piece = pull()
    if piece == nil or piece == "" then return piece end
    if type(piece) ~= "string" then complain("the body's function returned a " .. type(piece)) end
    return ("%x\r\n%s\r\n"):format(#piece, piece)
  end
end

local function chunked(items, complain)
  local list = {}
  for _, item in ipairs(items) do
    local length = type(item) == "string" and #item or type(item) == "table" and item.length
    if not length then
      list[#list + 1] = in_chunks(item, complain)
    elseif length > 0 then
      list[#list + 1] = ("%x\r\n"):format(length)
      list[#list + 1] = item
      list[#list + 1] = "\r\n"
    end
  end
  list[#list + 1] = "0\r\n\r\n"
  return list
end

-- ---- responses ----------------------------------------------------------------------------------

-- Returns the response whose body is no string, as a list for make_response, and whether the connection closes.
local function respond_in_parts(make, complain, request, status, headers, body)
  local items, length, fault = items_of(body)
  if not items then complain(fault) end
  local head, closes = make(request, status, headers, body, length or false)
  if request.method == "HEAD" or length == 0 then
    close_files(items)
    return head, closes
  end
  -- In HTTP/1.0 a body of unknown length ends with the connection.
  local list = (length or request.version == "1.0") and items or chunked(items, complain)
  if #list == 1 then return { head, list[1] }, closes end
  table.insert(list, 1, head)
  return list, closes
end

-- ---- errors -------------------------------------------------------------------------------------

local REASONS <const> = { malformed = 400, too_large = 413, request_timeout = 408, overloaded = 503 }

local make_error_response <const> = response.new(http.status, http.date)

-- Whether the request that failed is a HEAD, whose response has no content (RFC 9110, 9.3.2). If the request is not
-- complete, its first bytes tell. An empty line may stand before it; after other bytes no request is read.
local function is_for_head(self, reason)
  local request = not REASONS[reason] and self.request
  if request then return request.method == "HEAD" end
  local incoming <const> = self.incoming or ""
  return (incoming:find "^HEAD " or incoming:find "^\r\nHEAD ") ~= nil
end

-- The details of framing.http begin with a status code.
local function handle_error(self, reason, detail)
  local status, why = detail:match "^([45]%d%d) (.*)$"
  if not REASONS[reason] then
    status, why = 500, nil -- the log has the error; the client must not see it
  elseif not status then
    status, why = REASONS[reason], detail
  end
  status = tonumber(status)
  local text = ("%d %s\n%s"):format(status, http.status[status], why and why .. "\n" or "")
  local headers = { ["Content-Type"] = "text/plain", ["Retry-After"] = status == 503 and "1" or nil }
  local request = { keep_alive = false, method = is_for_head(self, reason) and "HEAD" or nil }
  return (make_error_response(request, status, headers, text))
end

-- ---- protocols ----------------------------------------------------------------------------------

local DEFAULT_MAX <const>, DEFAULT_MAX_HEAD <const> = 1024 * 1024, 16 * 1024

local FRAMING_OPTIONS <const> = { "max", "max_head", "max_headers", "stream_body" }
local HANDLER_OPTIONS <const> = { "expect" }
local PROTOCOL_OPTIONS <const> = {
  "listen", "example", "blocksize", "half_close", "max_request", "max_unsent", "max_tasks", "request_timeout",
  "idle_timeout", "write_timeout", "response_timeout", "handle_connect", "handle_close", "settings",
}

local function take(options, names, into)
  for _, name in ipairs(names) do
    if options[name] ~= nil then into[name] = options[name] end
    options[name] = nil
  end
  return into
end

--- Makes a protocol that answers each request with the values that `handler(request, self)` returns: a status, a table
--- of headers or nil, and a body or nil. Date, Content-Length, Transfer-Encoding and Connection are added. If the
--- handler raises an error, the response is a 500.
---
--- `options.expect(request, self)` is called for a request with `Expect: 100-continue`, before the client sends the
--- body. If it returns nothing, the client gets 100 Continue. If it returns a response, as the handler does, that is
--- sent at once, and the connection is closed.
---@param handler parlance.http.Handler
---@param options? parlance.http.Options
---@return parlance.Protocol
function http.serve(handler, options)
  if type(handler) ~= "function" and not (getmetatable(handler) or {}).__call then
    error(("http.serve needs a function from requests to responses, not a %s"):format(type(handler)), 2)
  end
  local rest = {}
  for name, value in pairs(options or {}) do rest[name] = value end
  local expect <const> = take(rest, HANDLER_OPTIONS, {}).expect
  local is_streamed <const> = rest.stream_body
  local limits = take(rest, FRAMING_OPTIONS, {
    max = not is_streamed and DEFAULT_MAX or nil,
    max_head = DEFAULT_MAX_HEAD,
  })
  local protocol = take(rest, PROTOCOL_OPTIONS, {
    close_when_done = false,
    half_close = false,
    example = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    -- Enough for the largest body in chunks, so that framing.http itself refuses larger ones.
    max_request = 2 * ((is_streamed and 0 or limits.max) + limits.max_head) + 16 * 1024,
  })
  if next(rest) then error(("http.serve has no option %q"):format(next(rest)), 2) end

  protocol.request_complete = framing.http(limits)
  protocol.handle_error = handle_error

  -- make(request, status, headers, body, length) returns the response if the body is a string, else its head if the
  -- length (false: unknown) is given; and whether the connection closes.
  local make <const>, complain <const> = response.new(http.status, http.date, handler)

  function protocol.make_response(self)
    local request <const> = self.request
    local status, headers, body = handler(request, self)
    if is_streamed and not response.goes_on(self) then request.keep_alive = false end
    local answer, closes = make(request, status, headers, body)
    if not answer then answer, closes = respond_in_parts(make, complain, request, status, headers, body) end
    if closes then self.close_when_done = true end
    return answer
  end

  if expect then
    local make_refusal <const>, complain_of_refusal <const> = response.new(http.status, http.date, expect)

    function protocol.handle_expect(self)
      local request <const> = self.request
      local status, headers, body = expect(request, self)
      if status == nil then return nil end
      request.keep_alive = false -- the client may send the body or not
      return make_refusal(request, status, headers, body)
        or (respond_in_parts(make_refusal, complain_of_refusal, request, status, headers, body))
    end
  end

  return protocol
end

return http
