-- Raises errors that point at the line of the spec.

-- The folder of the harness's files: ".../parlance/harness".
local OWN <const> = debug.getinfo(1, "S").source:match "^(.*)[/\\][^/\\]*$"

--- Raises the text with the place in the spec that called the harness.
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
