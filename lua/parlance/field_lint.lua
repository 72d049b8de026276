-- Fields of a protocol whose names are nearly those of fields that the server knows, such as `idle_timout` or
-- `closeWhenDone`. The server never looks at such a field, so it warns of it when it loads a version.

-- In the order of the warnings.
local KNOWN <const> = {
  "request_complete", "make_response", "handle_connect", "handle_expect", "handle_error", "handle_close", "save",
  "restore", "blocksize", "close_when_done", "example", "idle_timeout", "listen", "max_request", "request_timeout",
  "settings", "write_timeout",
}

-- No person writes a protocol with more fields.
local MOST_FIELDS <const> = 1000

-- For each known name, how many letters may differ. Many other words are near to a short one.
local tolerance <const> = {}
for _, name in ipairs(KNOWN) do
  local letters = #name:gsub("_", "")
  tolerance[name] = letters < 8 and 0 or letters < 13 and 1 or 2
end

-- The names of fields that the server does not know, in alphabetical order.
local function unknown_names(protocol)
  local names, count = {}, 0
  for name in next, protocol do
    count = count + 1
    if count > MOST_FIELDS then break end
    if type(name) == "string" and not tolerance[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- A list of pairs: the name of a field, and the known name that the protocol lacks and that is nearest to it.
--- `distance(a, b)` tells how many letters differ.
return function(protocol, distance)
  local names, found = unknown_names(protocol), {}
  for _, known in ipairs(KNOWN) do
    if rawget(protocol, known) == nil then
      local nearest, least = nil, tolerance[known] + 1
      for i = 1, #names do
        local away = distance(names[i], known)
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
