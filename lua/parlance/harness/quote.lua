-- Shows bytes in messages.

local transcripts = require "parlance.workbench.transcript"

-- The most bytes that are shown.
local SHOWN <const> = 200

--- Returns the bytes as a quoted string of a transcript.
---@param bytes string
---@return string
return function(bytes)
  local text <const> = transcripts.quote(bytes:sub(1, SHOWN))
  return #bytes <= SHOWN and text or ("%s... (%d bytes)"):format(text, #bytes)
end
