-- Parses lines of the server's log.

local log = {}

local ESCAPES <const> = { n = "\n", r = "\r", t = "\t" }

local function unescape(text)
  return (text:gsub("\\(.)(%x?%x?)", function(letter, digits)
    if letter == "x" then return string.char(tonumber(digits, 16)) end
    return (ESCAPES[letter] or letter) .. digits
  end))
end

-- Each of these reads the value at `place` and returns it with the position after it.
local function read_quoted(text, place)
  local last = place + 1
  while last <= #text and text:sub(last, last) ~= '"' do
    last = last + (text:sub(last, last) == "\\" and 2 or 1)
  end
  return unescape(text:sub(place + 1, last - 1)), last + 1
end

-- The detail is the last field. It may have several lines, such as a traceback.
local function read_block(text, place)
  return (text:sub(place):gsub("\n    ", "\n")), #text + 1
end

local function read_word(text, place)
  return text:match("^([^ ]*)()", place)
end

local function find_reader(key, text, place)
  if text:sub(place, place) == '"' then return read_quoted end
  return key == "detail" and text:find("\n", place, true) and read_block or read_word
end

---@class parlance.harness.Event
---@field level "debug"|"info"|"warn"|"error"
---@field event string the name of the event
---@field fields table<string, string>
---@field text string the line, without the time

--- Parses a line.
---@param line string
---@return parlance.harness.Event
function log.parse(line)
  local text <const> = line:match "^%S+ (.*)$"
  local level, event, place = text:match "^(%l+) (%S+)()"
  local fields <const> = {}
  while true do
    local key, start = text:match("^ ([^ =]+)=()", place)
    if not key then break end
    local value, behind = find_reader(key, text, start)(text, start)
    fields[key], place = value, behind
  end
  return { level = level, event = event, fields = fields, text = text }
end

return log
