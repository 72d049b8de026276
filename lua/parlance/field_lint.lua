-- Finds fields of a protocol whose names look misspelled, such as `idle_timout` or `closeWhenDone`. The server does not
-- read such a field, so it logs a warning when it loads a version.

-- The fields that the server knows, in the order of the warnings.
local KNOWN <const> = {
  "request_complete", "make_response", "handle_connect", "handle_expect", "handle_error", "handle_close", "save",
  "restore", "encode", "amplification", "blocksize", "close_when_done", "datagram", "example", "half_close",
  "idle_timeout", "listen", "max_request", "max_tasks", "max_unsent", "request_timeout", "response_timeout",
  "settings", "write_timeout",
}

-- The most fields that are examined.
local MOST_FIELDS <const> = 1000

-- Returns how many letters a name has. "_" and "-" are none.
local function count_letters(name) return #name:gsub("[_-]", "") end

-- How many letters a known name has, and how many of a misspelled name may differ. Short names allow none: many words
-- are similar.
local letters_of <const>, tolerance <const> = {}, {}
for _, name in ipairs(KNOWN) do
  local letters = count_letters(name)
  letters_of[name] = letters
  tolerance[name] = letters < 8 and 0 or letters < 13 and 1 or 2
end

-- Returns the names of fields that the server does not know, in alphabetical order, and how many letters each has.
local function unknown_names(protocol)
  local names, count = {}, 0
  for name in next, protocol do
    count = count + 1
    if count > MOST_FIELDS then break end
    if type(name) == "string" and not tolerance[name] then names[#names + 1] = name end
  end
  table.sort(names)
  local letters = {}
  for i = 1, #names do letters[i] = count_letters(names[i]) end
  return names, letters
end

--- Returns a list in which the name of each misspelled field is followed by the known name that was probably meant: one
--- that the protocol lacks. `distance(a, b)` returns how many letters differ. It is not called for names whose lengths
--- alone differ by too much.
return function(protocol, distance)
  local names, letters = unknown_names(protocol)
  local found = {}
  if #names == 0 then return found end
  for _, known in ipairs(KNOWN) do
    if rawget(protocol, known) == nil then
      local nearest, least, wanted = nil, tolerance[known] + 1, letters_of[known]
      for i = 1, #names do
        local may_be_near = math.abs(letters[i] - wanted) < least
        local away = may_be_near and distance(names[i], known) or least
        if away < least then nearest, least = names[i], away end
      end
      if nearest then
        found[#found + 1] = nearest
        found[#found + 1] = known
      end
    end
  end
  return found
end
