-- HTTP for scripts: a function from requests to responses becomes a protocol.
--
--     local http = require "parlance.http"
--
--     return http.serve(function(request)
--       return 200, { ["Content-Type"] = "text/plain" }, "hello, " .. request.target .. "\n"
--     end)
--
-- What a request is and where it ends is decided by framing.http; this module makes the bytes of
-- responses, and says sorry in HTTP when a request or the script cannot be understood.

local framing = require "parlance.framing"

---@class parlance.http
local http = {}

-- ---- words of HTTP ------------------------------------------------------------------------------

--- What stands behind the status code (RFC 9110, 15).
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

--- The methods that are known (RFC 9110, 9.3, and RFC 5789): others deserve a 501, these a 405.
---@type table<string, true>
http.methods = {
  GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, CONNECT = true, OPTIONS = true,
  TRACE = true, PATCH = true,
}

-- The dates that were written last: the same ones come again and again.
local MOST_DATES <const> = 1000
local dates, date_count = {}, 0

--- A time in seconds since 1970 (default: now) as HTTP writes it: "Sun, 06 Nov 1994 08:49:37 GMT".
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

-- Days from 1970-01-01, by counting a year from March on, so that the leap day is its last.
local function days_since_1970(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap_days = year // 4 - year // 100 + year // 400
  return 365 * year + leap_days + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- The seconds since 1970 of a date in any of HTTP's three forms (RFC 9110, 5.6.7), or nil.
---@param text string
---@return integer?
function http.parse_date(text)
  local day, name, year, hour, minute, second =
    text:match "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  if not day then
    day, name, year, hour, minute, second =
      text:match "^%a+day, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$"
    -- Two digits are the year of that ending that is not more than 50 years ahead.
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

--- Undoes percent-encoding, once; nil if a "%" is not followed by two hexadecimal digits.
---@param text string
---@return string?
function http.decode(text)
  if not text:find("%", 1, true) then return text end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- Percent-encodes all that is not a letter, a digit or one of "-._~".
---@param text string
---@return string
function http.encode(text)
  return (text:gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- The path of a request's target, still encoded, and what stands behind the "?" or nil.
---@param target string
---@return string path
---@return string? query
function http.split(target)
  local mark = target:find("?", 1, true)
  local path = mark and target:sub(1, mark - 1) or target
  -- The whole address of the page is also allowed (RFC 9112, 3.2.2).
  if path:sub(1, 1) ~= "/" then path = path:match "^%a[%w+.-]*://[^/]*(.*)$" or path end
  if path == "" then path = "/" end
  return path, mark and target:sub(mark + 1) or nil
end

--- "a=1&b=x+y" as { a = "1", b = "x y" }; of fields with one name the last counts. What is not
--- encoded properly stays as it is.
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

--- Text as it may stand anywhere in a page, also in a quoted attribute.
---@param text string
---@return string
function http.escape(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

-- ---- the head of a response ---------------------------------------------------------------------

-- The status line and the date, by the status. They are good for a second.
local starts, made = {}, 0

local function new_start(status)
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error(("the status must be a whole number from 200 to 599, not %s"):format(status), 0)
  end
  local start = ("HTTP/1.1 %d %s\r\nDate: %s\r\n"):format(status, http.status[status] or "", http.date(made))
  starts[status] = start
  return start
end

local function start_of(status)
  local now = os.time()
  if now ~= made then starts, made = {}, now end
  return starts[status] or new_start(status)
end

-- These say how the bytes are laid out, so they are not the script's business.
local OURS <const> = { ["content-length"] = true, ["transfer-encoding"] = true, date = true }

-- Lines that were made before, by name and value: a server says the same few things most of the time,
-- and looking at every byte of them takes longer than anything else here. Those that speak of the
-- connection are kept apart, so that a response of which all lines are in `known` needs no thought.
local MOST_LINES <const>, LONGEST <const> = 2000, 200
local known, of_connection, known_count = {}, {}, 0

local function check_name(name)
  if type(name) ~= "string" or name:find "[^%w!#$%%&'*+.^_`|~-]" or name == "" then
    error(("%q is no name of a header"):format(tostring(name)), 0)
  end
  if OURS[name:lower()] then error(("the header %s is made by parlance.http"):format(name), 0) end
end

local function new_line(name, value)
  check_name(name)
  local text = type(value) == "number" and tostring(value) or value
  -- A line ending in a value would be the beginning of another header.
  if type(text) ~= "string" or text:find "%c" and text:gsub("\t", ""):find "%c" then
    error(("the header %s cannot have the value %q"):format(name, tostring(value)), 0)
  end
  local line = name .. ": " .. text .. "\r\n"
  if #line <= LONGEST and value == value then -- NaN is no key
    if known_count == MOST_LINES then known, of_connection, known_count = {}, {}, 0 end
    local place = name:lower() == "connection" and of_connection or known
    place[name], known_count = place[name] or {}, known_count + 1
    place[name][value] = line
  end
  return line
end

-- The line of a header; or several, if its value is a list.
local function new_lines(name, value)
  if type(value) ~= "table" then return new_line(name, value) end
  check_name(name)
  local lines, of_name = {}, known[name] or {}
  for place, each in ipairs(value) do lines[place] = of_name[each] or new_line(name, each) end
  return table.concat(lines)
end

-- The order of pairs() is another one in each run of the server, and answers are not to be: several lines
-- are put in the order of the alphabet. This makes it of lines that were never there before in this order.
local ordered, ordered_count = {}, 0

local function put_in_order(lines)
  local list = {}
  for line in lines:gmatch "[^\r]*\r\n" do list[#list + 1] = { line, line:match "^[^:]*", #list } end
  table.sort(list, function(one, other)
    if one[2] ~= other[2] then return one[2] < other[2] end
    return one[3] < other[3] -- what a script gave as a list stays as it is
  end)
  for place, entry in ipairs(list) do list[place] = entry[1] end
  local result = table.concat(list)
  if ordered_count == MOST_LINES then ordered, ordered_count = {}, 0 end
  if #lines <= LONGEST * 4 then ordered[lines], ordered_count = result, ordered_count + 1 end
  return result
end

-- The lines of the script's headers; whether one of them speaks of the connection, and whether it says
-- that it is to close.
local function lines_of(headers)
  local lines, count, connection = "", 0, nil
  for name, value in pairs(headers) do
    local of_name = known[name] or of_connection[name]
    lines = lines .. (of_name and of_name[value] or new_lines(name, value))
    count = count + 1
    if #name == 10 and type(value) ~= "table" and name:lower() == "connection" then
      connection = tostring(value):lower()
    end
  end
  if count > 1 then lines = ordered[lines] or put_in_order(lines) end
  return lines, connection ~= nil, connection and connection:find("close", 1, true) ~= nil
end

-- The end of a head, by the length of the body.
local endings = {}

local function new_ending(length)
  local ending = "Content-Length: " .. length .. "\r\n\r\n"
  if length < 10000 then endings[length] = ending end
  return ending
end

-- ---- the body of a response ---------------------------------------------------------------------

local function is_file(value)
  return io.type(value) == "file"
end

-- A file that tells its length becomes that part of it, so that no more is sent than was promised.
local function measured(file)
  local here = file:seek "cur"
  local size = here and file:seek "end"
  if not size or size == 0 then return file end -- a pipe, or a file as in /proc
  file:seek("set", here)
  return { file = file, length = math.max(size - here, 0) }
end

-- The body as a list of strings, { file, length }, files and functions; and its bytes, or nil if
-- that is known only when it ends.
local function items_of(body)
  local kind = type(body)
  if body == nil then return {}, 0 end
  if kind == "string" then return { body }, #body end
  -- The short way for what is most common of files.
  if kind == "table" and is_file(body.file) and math.type(body.length) == "integer" then
    return { body }, body.length
  end
  if kind ~= "table" or body.file then body = { body } end
  local items, total = {}, 0
  for place, item in ipairs(body) do
    if is_file(item) then item = measured(item) end
    local length
    if type(item) == "string" then
      length = #item
    elseif type(item) == "table" and is_file(item.file) and math.type(item.length) == "integer" then
      length = item.length
    elseif not is_file(item) and type(item) ~= "function" then
      error(("a body cannot be made of a %s"):format(io.type(item) or type(item)), 0)
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

-- What a function or a file gives, each piece with its length before it (RFC 9112, 7.1).
local function in_chunks(item)
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
    if type(piece) ~= "string" then error("the body's function returned a " .. type(piece), 0) end
    return ("%x\r\n%s\r\n"):format(#piece, piece)
  end
end

local function chunked(items)
  local list = {}
  for _, item in ipairs(items) do
    local length = type(item) == "string" and #item or type(item) == "table" and item.length
    if not length then
      list[#list + 1] = in_chunks(item)
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

-- The whole of a response, as make_response may return it; true if the connection is to close.
local function respond(request, status, headers, body)
  local start = start_of(status)
  local lines, has_connection, closes = "", false, false
  if headers then lines, has_connection, closes = lines_of(headers) end
  local is_old = request.version == "1.0"
  local items, length = items_of(body)
  local has_no_body = status == 204 or status == 304 -- RFC 9110, 6.4.1
  local is_chunked = not length and not is_old
  local layout = ""
  if has_no_body and (length == nil or length > 0) then
    error(("a response with status %d has no body"):format(status), 0)
  elseif length and not has_no_body and not (request.method == "HEAD" and body == nil) then
    layout = "Content-Length: " .. length .. "\r\n"
  elseif is_chunked then
    layout = "Transfer-Encoding: chunked\r\n"
  end
  -- In HTTP/1.0 a body of unknown length ends with the connection.
  closes = closes or not request.keep_alive or not length and is_old and request.method ~= "HEAD"
  local connection = ""
  if closes ~= is_old and not has_connection then
    connection = closes and "Connection: close\r\n" or "Connection: keep-alive\r\n"
  end
  local head = start .. lines .. layout .. connection .. "\r\n"
  if request.method == "HEAD" or length == 0 then
    close_files(items)
    return head, closes
  end
  if type(body) == "string" then return head .. body, closes end
  local list = is_chunked and chunked(items) or items
  if #list == 1 then return { head, list[1] }, closes end
  table.insert(list, 1, head)
  return list, closes
end

-- ---- last words ---------------------------------------------------------------------------------

local REASONS <const> = { malformed = 400, too_large = 413, request_timeout = 408 }

-- framing.http begins what it says of a request with the status code that it deserves.
local function handle_error(_, reason, detail)
  local status, why = detail:match "^([45]%d%d) (.*)$"
  if not REASONS[reason] then
    status, why = 500, nil -- the log tells what went wrong; the client need not know
  elseif not status then
    status, why = REASONS[reason], detail
  end
  status = tonumber(status)
  local text = ("%d %s\n%s"):format(status, http.status[status], why and why .. "\n" or "")
  return respond({ method = "GET", version = "1.1", keep_alive = false }, status,
    { ["Content-Type"] = "text/plain" }, text)
end

-- ---- protocols ----------------------------------------------------------------------------------

local DEFAULT_MAX <const>, DEFAULT_MAX_HEAD <const> = 1024 * 1024, 16 * 1024

local FRAMING_OPTIONS <const> = { "max", "max_head", "max_headers" }
local PROTOCOL_OPTIONS <const> = {
  "listen", "example", "blocksize", "max_request", "request_timeout", "idle_timeout", "write_timeout",
  "handle_connect", "handle_close",
}

local function take(options, names, into)
  for _, name in ipairs(names) do
    if options[name] ~= nil then into[name] = options[name] end
    options[name] = nil
  end
  return into
end

--- A protocol that answers each request with what `handler(request, self)` returns: a status, a
--- table of headers or nil, and a body or nil. Date, Content-Length, Transfer-Encoding and Connection
--- are seen to. An error of the handler is answered with 500.
---@param handler parlance.http.Handler
---@param options? parlance.http.Options
---@return parlance.Protocol
function http.serve(handler, options)
  local rest = {}
  for name, value in pairs(options or {}) do rest[name] = value end
  local limits = take(rest, FRAMING_OPTIONS, { max = DEFAULT_MAX, max_head = DEFAULT_MAX_HEAD })
  local protocol = take(rest, PROTOCOL_OPTIONS, {
    close_when_done = false,
    example = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    -- Room for the largest body, also in chunks, so that it is framing.http that refuses a larger.
    max_request = 2 * (limits.max + limits.max_head) + 16 * 1024,
  })
  if next(rest) then error(("http.serve has no option %q"):format(next(rest)), 2) end

  protocol.request_complete = framing.http(limits)
  protocol.handle_error = handle_error

  function protocol.make_response(self)
    local request <const> = self.request
    local status, headers, body = handler(request, self)
    -- The short way for what is most common. (A version that is "1.1" may be left unsaid.)
    if type(body) == "string" and status ~= 204 and status ~= 304 and request.keep_alive
      and request.method ~= "HEAD" and rawget(request, "version") ~= "1.0" then
      local start <const> = start_of(status)
      local ending <const> = endings[#body] or new_ending(#body)
      if not headers then return start .. ending .. body end
      local lines, is_several
      for name, value in pairs(headers) do
        local of_name = known[name]
        local line = of_name and of_name[value]
        if not line then goto long_way end
        if lines then lines, is_several = lines .. line, true else lines = line end
      end
      if is_several then lines = ordered[lines] or put_in_order(lines) end
      return start .. (lines or "") .. ending .. body
    end
    ::long_way::
    local response, closes = respond(request, status, headers, body)
    if closes then self.close_when_done = true end
    return response
  end

  return protocol
end

return http
