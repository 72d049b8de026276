-- Errors that point at the line of the spec, however deep in the harness they come up.

-- What the sources of the harness have in common: ".../parlance/harness".
local OWN <const> = debug.getinfo(1, "S").source:match "^(.*)[/\\][^/\\]*$"

--- Raises the text, with the place that called into the harness.
---@param text string
return function(text)
  local level = 2
  while true do
    local info <const> = debug.getinfo(level, "S")
    if not info or info.source:sub(1, #OWN) ~= OWN then break end
    level = level + 1
  end
  error(text, level)
end
