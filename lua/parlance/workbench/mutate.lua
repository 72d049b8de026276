-- Makes inputs from other inputs: what a careless or hostile client might send.

local mutate = {}

local random = math.random

-- The most bytes of an input.
local MOST_BYTES <const> = 4096

-- Tokens that many protocols handle wrongly.
local TOKENS <const> = {
  "\n", "\r\n", "\r\n\r\n", "\r", "\0", "\xff", " ", "\t", ":", ",", "\"", "'", "\\", "%", "%00", "../", "-1", "0", "1",
  "00", "9", "127", "128", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295",
  "9223372036854775807", "9223372036854775808", "99999999999999999999", "1e9", "0x10", "+1", "nan", "inf", "",
}

local function piece(bytes)
  local from = random(#bytes)
  return bytes:sub(from, from + random(0, 15))
end

local function token(pool)
  local words = pool.words
  if #words > 0 and random(2) == 1 then return words[random(#words)] end
  return TOKENS[random(#TOKENS)]
end

-- Each takes an input that is not empty and a place in it, and returns another input.
local CHANGES <const> = {
  function(bytes, at) -- replaces a byte
    return bytes:sub(1, at - 1) .. string.char(random(0, 255)) .. bytes:sub(at + 1)
  end,
  function(bytes, at) -- flips a bit
    return bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ (1 << random(0, 7))) .. bytes:sub(at + 1)
  end,
  function(bytes, at) return bytes:sub(1, at - 1) .. bytes:sub(at + random(1, 16)) end, -- removes bytes
  function(bytes, at) return bytes:sub(1, at) end, -- removes the end
  function(bytes, at, pool) return bytes:sub(1, at) .. token(pool) .. bytes:sub(at + 1) end,
  function(bytes, at, pool) -- replaces bytes by a token
    local word = token(pool)
    return bytes:sub(1, at - 1) .. word .. bytes:sub(at + #word)
  end,
  function(bytes, at) -- repeats a piece
    return bytes:sub(1, at) .. piece(bytes):rep(random(4)) .. bytes:sub(at + 1)
  end,
  function(bytes, _, pool) -- replaces a number
    local digits = {}
    for from, to in bytes:gmatch "()%d+()" do digits[#digits + 1] = { from, to } end
    local place = #digits > 0 and digits[random(#digits)]
    if not place then return bytes .. token(pool) end
    return bytes:sub(1, place[1] - 1) .. token(pool) .. bytes:sub(place[2])
  end,
  function(bytes, at, pool) -- replaces the end by that of another input
    local other = pool.inputs[random(#pool.inputs)]
    return bytes:sub(1, at) .. other:sub(random(#other + 1))
  end,
  function(bytes) return bytes .. bytes end, -- repeats the whole input
}

--- Returns one of pool.inputs with a few changes. pool.words are words of the protocol.
function mutate.next(pool)
  local bytes = pool.inputs[random(#pool.inputs)]
  for _ = 1, random(4) do
    if bytes == "" then bytes = token(pool) end
    if bytes ~= "" then bytes = CHANGES[random(#CHANGES)](bytes, random(#bytes), pool) end
  end
  return bytes:sub(1, MOST_BYTES)
end

--- Returns the short strings in the source of a script. Its commands and keywords are among them.
function mutate.words(files)
  local words, seen = {}, {}
  for _, path in ipairs(files) do
    local file <close> = io.open(path, "rb")
    for word in (file and file:read(1 << 20) or ""):gmatch [["([^"\%c]+)"]] do
      if #word <= 16 and not seen[word] and #words < 500 then
        seen[word] = true
        words[#words + 1] = word
      end
    end
  end
  return words
end

--- Returns the smallest input found for which test() is true, and whether the search ended before `deadline` (of
--- os.clock()). It leaves out pieces, long ones first, and then replaces bytes by "a".
function mutate.shrink(bytes, test, deadline)
  local size = #bytes
  while size >= 1 do
    local at = 1
    while at <= #bytes and os.clock() < deadline do
      local less = bytes:sub(1, at - 1) .. bytes:sub(at + size)
      if test(less) then bytes = less else at = at + size end
    end
    size = size // 2
  end
  for at = 1, #bytes do
    local plain = bytes:sub(1, at - 1) .. "a" .. bytes:sub(at + 1)
    if os.clock() < deadline and bytes:sub(at, at) ~= "a" and test(plain) then bytes = plain end
  end
  return bytes, os.clock() < deadline
end

return mutate
