-- Reads and writes bytes in transcripts: strings, pairs of hexadecimal digits, and patterns.

local fault_of_pattern = require "parlance.workbench.pattern"

local literal = {}

-- The most bytes of a string with its `* N`.
local MOST_BYTES <const> = 64 * 1024 * 1024

literal.MOST_BYTES = MOST_BYTES

local ESCAPES <const> = { n = "\n", r = "\r", t = "\t", ["\\"] = "\\", ['"'] = '"' }
local NAMES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

--- Returns the bytes as a string of a transcript, with its quotes.
function literal.quote(bytes)
  local text = bytes:gsub('[%c"\\\x7f-\xff]', function(byte) return NAMES[byte] or ("\\x%02X"):format(byte:byte()) end)
  return '"' .. text .. '"'
end

-- ---- reading ------------------------------------------------------------------------------------

--- Raises an error that transcript.read() turns into nil and a message.
function literal.complain(...)
  error({ complaint = (...):format(select(2, ...)) }, 0)
end

local complain = literal.complain

--- Returns a piece of the transcript as errors show it: only its beginning if it is long, with all bytes printable.
function literal.shown(text)
  if #text > 40 then return literal.quote(text:sub(1, 40)) .. "..." end
  return literal.quote(text)
end

local shown = literal.shown

-- Reads the string that begins with the quote at `from`. Returns it, and the place after it.
local function read_string(text, from)
  local out, at = {}, from + 1
  while true do
    local plain, stop = text:match('^([^"\\%c]*)()', at)
    out[#out + 1] = plain
    local byte = text:sub(stop, stop)
    if byte == '"' then return table.concat(out), stop + 1 end
    if byte == "" then complain "a string does not end" end
    if byte ~= "\\" then complain("a string holds the control character \\x%02X", byte:byte()) end
    local escape = text:sub(stop + 1, stop + 1)
    local hex, decimal = text:match("^x(%x%x)", stop + 1), text:match("^%d%d?%d?", stop + 1)
    if ESCAPES[escape] then
      out[#out + 1], at = ESCAPES[escape], stop + 2
    elseif hex then
      out[#out + 1], at = string.char(tonumber(hex, 16)), stop + 4
    elseif decimal and tonumber(decimal) < 256 then
      out[#out + 1], at = string.char(tonumber(decimal)), stop + 1 + #decimal
    else
      if escape == "" then complain "a string does not end" end
      complain("a string holds %s, which is no escape", "\\" .. (escape:find "[%g]" and escape or shown(escape)))
    end
  end
end

-- Returns the bytes of one group of pairs of digits.
local function read_group(group)
  local bad = group:match "^%x*(.*)$"
  if bad ~= "" then complain("hex holds %s, which is no hexadecimal digit", shown(bad)) end
  if #group % 2 == 1 then complain("hex needs two digits for each byte, not %s", shown(group)) end
  return (group:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- Reads the pairs of digits at `from`, with or without quotes. Returns the bytes, and the place after the digits.
local function read_hex(text, from)
  local out, at = {}, from
  local quoted, behind = text:match('^%s*"([^"]*)"()', from)
  if not quoted and text:find('^%s*"', from) then complain "a string does not end" end
  for group, stop in (quoted or text):gmatch("([^%s\"~#*]+)()", quoted and 1 or from) do
    local between = quoted or text:sub(at, stop - #group - 1)
    if not quoted and (group == "hex" or between:find "%S") then break end
    out[#out + 1], at = read_group(group), stop
  end
  return table.concat(out), behind or at
end

-- Complains of text that is no string, digits or pattern. `is_first`: it is the first thing after the arrow.
local function complain_of(rest, is_first)
  local hint = is_first and rest:find "^%w" and "; a text stands in double quotes" or ""
  complain("%s makes no sense here%s", shown(rest), hint)
end

--- Reads a string or digits at `at`. Returns the bytes and the place after them, or nil if there are none.
function literal.read_one(text, at)
  if text:find('^"', at) then return read_string(text, at) end
  local stop = text:match("^hex%f[%W]()", at)
  if not stop then return nil end
  local bytes, behind = read_hex(text, stop)
  if bytes == "" then complain "hex needs two digits for each byte: hex 00 01 ff" end
  return bytes, behind
end

--- Reads the strings, digits and patterns from `at` on. Returns a list of { text = } and { pattern = }. Texts that
--- follow one another are joined, and a `* N` after a text or a pattern repeats it.
function literal.read(text, at, allows_patterns)
  local items, size = {}, 0
  while true do
    at = text:match("^%s*()", at)
    local start = allows_patterns and text:match("^~%s*()", at)
    if start and text:sub(start, start) ~= '"' then complain 'a pattern is a string: < ~"%%d+"' end
    local part, stop = literal.read_one(text, start or at)
    if not part then break end
    at = stop
    local times, behind = text:match("^%s*%*%s*(%d+)()", at)
    if times then
      if tonumber(times) * #part > MOST_BYTES then complain("a string of over %d bytes", MOST_BYTES) end
      part, at = part == "" and "" or part:rep(tonumber(times)), behind
    end
    size = size + #part
    if size > MOST_BYTES then complain("a string of over %d bytes", MOST_BYTES) end
    local fault = start and fault_of_pattern(part)
    if fault then complain("%s is no pattern: %s", shown(part), fault) end
    local last = items[#items]
    if not start and last and last.parts then
      last.parts[#last.parts + 1] = part
    else
      items[#items + 1] = start and { pattern = part } or { parts = { part } }
    end
  end
  local rest = text:match("^%s*([^#]*)", at):gsub("%s+$", "")
  if rest ~= "" then complain_of(rest, #items == 0) end
  for _, item in ipairs(items) do
    if item.parts then item.text, item.parts = table.concat(item.parts), nil end
  end
  return items
end

--- Reads texts and joins them. Returns nil if there is none.
function literal.read_text(text, at)
  local items = literal.read(text, at, false)
  return items[1] and items[1].text
end

-- ---- writing ------------------------------------------------------------------------------------

-- The limits of core/server/transcript.c, but for COLUMNS, which counts bytes here.
local COLUMNS <const>, RUN_MIN <const>, HEX_BYTES <const>, RAW_SHARE <const>, TEXT_LINE_MIN <const> = 64, 64, 16, 4, 5

-- Returns the last place of the run of equal bytes that begins at this place.
local function run_end(bytes, at)
  local byte = bytes:byte(at)
  while bytes:byte(at + 1) == byte and byte do at = at + 1 end
  return at
end

-- Counts the bytes that are neither UTF-8 text nor the usual white space.
local function count_raw(bytes)
  local _, raw = bytes:gsub("[\0-\8\11\12\14-\31\127]", "")
  local at = 1
  while at <= #bytes do
    local is_text, bad = utf8.len(bytes, at)
    if is_text then break end
    raw, at = raw + 1, bad + 1
  end
  return raw
end

-- Writes strings of a line each, of at most COLUMNS bytes. A byte that is repeated RUN_MIN times or more is written
-- once with its number.
local function write_strings(out, arrow, bytes)
  local at = 1
  while at <= #bytes do
    local stop = run_end(bytes, at)
    local text = bytes:sub(at, at)
    if stop - at + 1 >= RUN_MIN then
      text = ("%s * %d"):format(literal.quote(text), stop - at + 1)
    else
      stop = math.min(bytes:find("\n", at, true) or #bytes, at + COLUMNS - 1)
      text = literal.quote(bytes:sub(at, stop))
    end
    out[#out + 1] = ("%s %s"):format(arrow, text)
    at = stop + 1
  end
end

local function write_hex(out, arrow, bytes)
  local at = 1
  while at <= #bytes do
    local stop = run_end(bytes, at)
    if stop - at + 1 >= RUN_MIN then
      out[#out + 1] = ("%s hex %02x * %d"):format(arrow, bytes:byte(at), stop - at + 1)
    else
      stop = math.min(at + HEX_BYTES - 1, #bytes)
      local row = bytes:sub(at, stop)
      local digits = row:gsub(".", function(byte) return (" %02x"):format(byte:byte()) end)
      out[#out + 1] = ("%s hex%-" .. 3 * HEX_BYTES .. "s  # %s"):format(arrow, digits, (row:gsub("[^!-~]", ".")))
    end
    at = stop + 1
  end
end

--- Adds lines with the bytes to the list, each after this arrow. Lines of text at the beginning are written as strings.
--- From the first line on that is not text, all the rest is written as pairs of digits if enough of it is binary.
function literal.write(out, arrow, bytes)
  if bytes == "" then out[#out + 1] = arrow .. ' ""' end
  local raw, at, has_begun = count_raw(bytes), 1, false
  while raw > 0 do
    local line = bytes:sub(at, bytes:find("\n", at, true) or #bytes)
    local raw_in_line = count_raw(line)
    local is_text = raw_in_line == 0 and (has_begun or #line >= TEXT_LINE_MIN)
    if not is_text and raw * RAW_SHARE >= #bytes - at + 1 then return write_hex(out, arrow, bytes:sub(at)) end
    write_strings(out, arrow, line)
    raw, at, has_begun = raw - raw_in_line, at + #line, true
  end
  write_strings(out, arrow, bytes:sub(at))
end

--- Returns the bytes as they stand in one line: as strings, or as pairs of digits if enough of them is binary.
function literal.line(bytes)
  local is_hex = bytes ~= "" and count_raw(bytes) * RAW_SHARE >= #bytes
  local parts, at, from = {}, 1, 1
  local function add(stop)
    local plain = bytes:sub(from, stop)
    if plain == "" then return end
    parts[#parts + 1] = is_hex and "hex" .. plain:gsub(".", function(byte) return (" %02x"):format(byte:byte()) end)
      or literal.quote(plain)
  end
  while at <= #bytes do
    local stop = run_end(bytes, at)
    if stop - at + 1 >= RUN_MIN then
      add(at - 1)
      local byte = is_hex and ("hex %02x"):format(bytes:byte(at)) or literal.quote(bytes:sub(at, at))
      parts[#parts + 1] = ("%s * %d"):format(byte, stop - at + 1)
      from = stop + 1
    end
    at = stop + 1
  end
  add(#bytes)
  return #parts > 0 and table.concat(parts, " ") or '""'
end

return literal
