-- Bytes as they are shown to people.

-- At most so many are.
local SHOWN <const> = 200

local NAMED <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

--- As they stand in a script, in quotes.
---@param bytes string
---@return string
return function(bytes)
  local text <const> = bytes:sub(1, SHOWN):gsub('[%c"\\\x80-\xff]', function(byte)
    return NAMED[byte] or ("\\x%02x"):format(byte:byte())
  end)
  return #bytes <= SHOWN and ('"%s"'):format(text) or ('"%s"... (%d bytes)'):format(text, #bytes)
end
