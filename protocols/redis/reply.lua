-- Makes replies as bytes of RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/.
local reply = {
  OK = "+OK\r\n",
  QUEUED = "+QUEUED\r\n",
  NOTHING = "$-1\r\n", -- the null bulk string
  NO_LIST = "*-1\r\n", -- the null array
  EMPTY = "*0\r\n",
  WRONG_TYPE = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
  SYNTAX = "-ERR syntax error\r\n",
  NO_INTEGER = "-ERR value is not an integer or out of range\r\n",
  NOT_POSITIVE = "-ERR value is out of range, must be positive\r\n",
  NO_KEY = "-ERR no such key\r\n",
  NO_FLOAT = "-ERR value is not a valid float\r\n",
  OUT_OF_MEMORY = "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
  OVERFLOW = "-ERR increment or decrement would overflow\r\n",
}

-- A cache of headers such as "$5\r\n" by length.
local HEADERS <const> = setmetatable({}, {
  __index = function(headers, length)
    local header = "$" .. length .. "\r\n"
    if length < 1024 then headers[length] = header end
    return header
  end,
})

for length = 1, 128 do HEADERS[length] = "$" .. length .. "\r\n" end -- Lua keeps these in an array

reply.HEADERS = HEADERS

-- Formatting a number is slow. For numbers below a million, the text of the thousands and of the last three digits is
-- cached.
local function remember(make)
  return setmetatable({}, {
    __index = function(texts, number)
      texts[number] = make(number)
      return texts[number]
    end,
  })
end

local SMALL <const> = remember(function(number) return ":" .. number .. "\r\n" end)
local THOUSANDS <const> = remember(function(number) return ":" .. number end)
local LAST <const> = remember(function(number) return ("%03d\r\n"):format(number) end)

function reply.integer(value)
  if value < 0 or value >= 1000000 then return ":" .. value .. "\r\n" end
  if value < 1000 then return SMALL[value] end
  return THOUSANDS[value // 1000] .. LAST[value % 1000]
end

function reply.bulk(value)
  return HEADERS[#value] .. value .. "\r\n"
end

-- The end of the item before, and the header: each string of a list takes two pieces instead of three.
local NEXT_HEADERS <const> = setmetatable({}, {
  __index = function(headers, length)
    local header = "\r\n" .. HEADERS[length]
    if length < 1024 then headers[length] = header end
    return header
  end,
})

--- Makes an array of `count` strings, values[from], values[from + step] and so on; both are 1 by default. false becomes
--- the null bulk string.
function reply.array(values, count, from, step)
  from, step = from or 1, step or 1
  local pieces, last = { "*" .. count }, 1
  for place = from, from + (count - 1) * step, step do
    local value = values[place]
    if value then
      pieces[last + 1] = NEXT_HEADERS[#value]
      pieces[last + 2] = value
      last = last + 2
    else
      pieces[last + 1] = "\r\n$-1"
      last = last + 1
    end
  end
  pieces[last + 1] = "\r\n"
  return table.concat(pieces)
end

--- Makes an error reply of one line. Arguments of a client are shown up to a zero byte, as by Redis.
function reply.error(format, ...)
  local texts = table.pack(...)
  for i = 1, texts.n do
    if type(texts[i]) == "string" then texts[i] = texts[i]:match "^[^\0]*" end
  end
  return "-" .. format:format(table.unpack(texts)):gsub("[\r\n]", " ") .. "\r\n"
end

function reply.wrong_arguments(name)
  return reply.error("ERR wrong number of arguments for '%s' command", name)
end

--- Makes the error reply for an integer that is out of range.
function reply.not_between(least, most)
  return reply.error("ERR value is out of range, value must between %d and %d", least, most)
end

return reply
