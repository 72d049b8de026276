-- Bytes as they are shown to people.

local transcripts = require "parlance.workbench.transcript"

-- At most so many are.
local SHOWN <const> = 200

--- As they stand in a script or a transcript, in quotes.
---@param bytes string
---@return string
return function(bytes)
  local text <const> = transcripts.quote(bytes:sub(1, SHOWN))
  return #bytes <= SHOWN and text or ("%s... (%d bytes)"):format(text, #bytes)
end
