-- The patterns of KEYS and SCAN: * ? [abc] [^a-z] \x. A pattern is parsed once. A text is compared without recursion,
-- so that no pattern takes exponential time.
local glob = {}

local ANY <const>, STAR <const> = "any", "star"

-- Parses a class from the byte behind its "[". Returns the set of bytes, and the index behind its "]", which may be
-- missing.
local function read_class(pattern, at)
  local set, is_negated = {}, pattern:byte(at) == 94 -- "^"
  if is_negated then at = at + 1 end
  while at <= #pattern and pattern:byte(at) ~= 93 do -- "]"
    if pattern:byte(at) == 92 and at < #pattern then -- "\"
      set[pattern:byte(at + 1)] = true
      at = at + 2
    elseif pattern:byte(at + 1) == 45 and at + 2 <= #pattern then -- "-"
      local low, high = pattern:byte(at), pattern:byte(at + 2)
      for byte = math.min(low, high), math.max(low, high) do set[byte] = true end
      at = at + 3
    else
      set[pattern:byte(at)] = true
      at = at + 1
    end
  end
  if is_negated then
    local others = {}
    for byte = 0, 255 do others[byte] = not set[byte] end
    set = others
  end
  return set, at + 1
end

-- Parses a pattern into a list of ANY, STAR, bytes and sets of bytes.
local function parse(pattern)
  local items, at = {}, 1
  while at <= #pattern do
    local character = pattern:sub(at, at)
    local item
    at = at + 1
    if character == "*" then
      item = STAR
    elseif character == "?" then
      item = ANY
    elseif character == "[" then
      item, at = read_class(pattern, at)
    else
      if character == "\\" and at <= #pattern then
        character = pattern:sub(at, at)
        at = at + 1
      end
      item = character:byte()
    end
    items[#items + 1] = item
  end
  return items
end

local function fits(item, byte)
  return item == ANY or item == byte or type(item) == "table" and item[byte]
end

-- If an item does not match, the last star takes one more byte. Earlier stars need not be tried again: they have taken
-- the shortest text that matches.
local function match(items, text)
  local item, at = 1, 1
  local star, star_at
  while at <= #text do
    if items[item] == STAR then
      star, star_at = item, at
      item = item + 1
    elseif items[item] and fits(items[item], text:byte(at)) then
      item, at = item + 1, at + 1
    elseif star then
      star_at = star_at + 1
      item, at = star + 1, star_at
    else
      return false
    end
  end
  while items[item] == STAR do item = item + 1 end
  return items[item] == nil
end

--- Returns a function that tells whether a text matches.
function glob.compile(pattern)
  if pattern == "*" then return function() return true end end
  local items = parse(pattern)
  return function(text) return match(items, text) end
end

return glob
