-- Reads numbers in arguments as strictly as Redis does, and formats numbers as it does.
local numbers = {}

--- Returns the integer that an argument holds, or nil. It must be written as Lua writes it: not "+1", " 1", "01", "1.0"
--- or "0x1", and not more than 64 bits.
function numbers.to_integer(text)
  local value = math.tointeger(tonumber(text))
  return value and tostring(value) == text and value or nil
end

local INFINITE <const> = {
  inf = math.huge, ["+inf"] = math.huge, infinity = math.huge, ["+infinity"] = math.huge,
  ["-inf"] = -math.huge, ["-infinity"] = -math.huge,
}

--- Returns the float that an argument holds, or nil. It is a number that C's strtod() reads, without white space, not
--- NaN, not too large, and not so small that it would become 0.
function numbers.to_float(text)
  if text == "0" then return 0.0 end
  if not text:find "[^%d.]" then -- the fast path for most numbers
    local value = tonumber(text)
    if value and value > 0 and value < math.huge then return value + 0.0 end
  end
  local infinite = INFINITE[text:lower()]
  if infinite then return infinite end
  if not text:find "^[+-]?%.?%x" or text:find "%s" then return nil end
  local is_hexadecimal = text:find "^[+-]?0[xX]"
  -- Lua reads a hexadecimal number without an exponent as an integer, and lets it overflow.
  if is_hexadecimal and not text:find "[pP]" then text = text .. "p0" end
  local value = tonumber(text)
  if not value then return nil end
  value = text:sub(1, 1) == "-" and -math.abs(value + 0.0) or value + 0.0 -- "-0" is not the same as "0"
  if value == math.huge or value == -math.huge then return nil end
  local digits = is_hexadecimal and text:match "[xX](.-)[pP]" or text:match "^[^eE]*"
  if value == 0 and digits:find(is_hexadecimal and "[1-9a-fA-F]" or "[1-9]") then return nil end
  return value
end

--- Formats a float as Redis does.
function numbers.format_float(value)
  if value == math.huge then return "inf" end
  if value == -math.huge then return "-inf" end
  local whole = math.tointeger(value)
  if whole and whole ~= 0 and whole < 1 << 52 and whole > -(1 << 52) then return tostring(whole) end
  return ("%.17g"):format(value)
end

--- Returns the cursor of a SCAN, or nil. It is read as by C's strtoul(): "" is 0, and -1 is the largest cursor.
function numbers.to_cursor(text)
  local sign, digits = text:match "^([+-]?)0*(%d*)$"
  if not digits or sign ~= "" and not text:find "%d" then return nil end
  if #digits > 20 or #digits == 20 and digits > "18446744073709551615" then return nil end
  local value = #digits < 19 and tonumber(digits) or digits == "" and 0 or math.maxinteger
  return sign == "-" and value > 0 and math.maxinteger or value
end

return numbers
