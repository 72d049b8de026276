-- Checks whether a text is a valid Lua pattern. Lua reports a fault only when a match reaches it, which may be in the
-- middle of a play.

local MOST_CAPTURES <const> = 32 -- LUA_MAXCAPTURES

-- Returns the place after the set whose "[" is at `at`, or nil if the set does not end. The first byte of a set may be
-- a "]".
local function set_end(pattern, at)
  at = at + 1
  if pattern:sub(at, at) == "^" then at = at + 1 end
  repeat
    if at > #pattern then return nil end
    at = at + (pattern:sub(at, at) == "%" and 2 or 1)
  until pattern:sub(at, at) == "]"
  return at + 1
end

-- Each function reads the item at `at` and returns the place after it, or nil and what is wrong. `captures` tells of
-- each capture whether it is closed.
local ITEMS <const> = {}

ITEMS["("] = function(pattern, at, captures)
  local is_place = pattern:sub(at + 1, at + 1) == ")"
  captures[#captures + 1] = is_place
  if #captures > MOST_CAPTURES then return nil, "too many captures" end
  return at + (is_place and 2 or 1)
end

ITEMS[")"] = function(_, at, captures)
  for i = #captures, 1, -1 do
    if not captures[i] then
      captures[i] = true
      return at + 1
    end
  end
  return nil, "a ) without a ("
end

ITEMS["["] = function(pattern, at)
  local stop = set_end(pattern, at)
  if not stop then return nil, "a [ without its ]" end
  return stop
end

ITEMS["%"] = function(pattern, at, captures)
  local kind = pattern:sub(at + 1, at + 1)
  if kind == "" then return nil, "a % at its end" end
  if kind == "b" then
    if at + 3 > #pattern then return nil, "%b without two bytes after it" end
    return at + 4
  elseif kind == "f" then
    if pattern:sub(at + 2, at + 2) ~= "[" then return nil, "%f without a [ after it" end
    return at + 2
  elseif kind:find "%d" and not captures[tonumber(kind)] then
    return nil, ("%%%s without a capture of that number before it"):format(kind)
  end
  return at + 2
end

--- Returns what is wrong with the pattern, or nil.
return function(pattern)
  local at, captures = 1, {}
  while at <= #pattern do
    local item = ITEMS[pattern:sub(at, at)]
    local behind, why = at + 1, nil
    if item then behind, why = item(pattern, at, captures) end
    if not behind then return why end
    at = behind
  end
  for _, is_closed in ipairs(captures) do
    if not is_closed then return "a ( without its )" end
  end
  return nil
end
