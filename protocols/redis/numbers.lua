-- Numbers in arguments, read as strictly as Redis reads them, and as it writes them.
local numbers = {}

--- The integer that an argument holds, or nil. One is an integer when it is written as Lua writes it:
--- no "+1", " 1", "01", "1.0" or "0x1", and nothing over 64 bits.
function numbers.to_integer(text)
  local value = math.tointeger(tonumber(text))
  return value and tostring(value) == text and value or nil
end

local INFINITE <const> = {
  inf = math.huge, ["+inf"] = math.huge, infinity = math.huge, ["+infinity"] = math.huge,
  ["-inf"] = -math.huge, ["-infinity"] = -math.huge,
}

--- The float that an argument holds, or nil: what C's strtod() reads, without white space or a NaN, and nothing
--- that is too large, or so small that it would be 0.
function numbers.to_float(text)
  if text == "0" then return 0.0 end
  if not text:find "[^%d.]" then -- as most are, and then one look is enough
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
  value = text:sub(1, 1) == "-" and -math.abs(value + 0.0) or value + 0.0 -- "-0" is a number of its own
  if value == math.huge or value == -math.huge then return nil end
  local digits = is_hexadecimal and text:match "[xX](.-)[pP]" or text:match "^[^eE]*"
  if value == 0 and digits:find(is_hexadecimal and "[1-9a-fA-F]" or "[1-9]") then return nil end
  return value
end

--- A float as Redis answers it.
function numbers.format_float(value)
  if value == math.huge then return "inf" end
  if value == -math.huge then return "-inf" end
  local whole = math.tointeger(value)
  if whole and whole ~= 0 and whole < 1 << 52 and whole > -(1 << 52) then return tostring(whole) end
  return ("%.17g"):format(value)
end

--- The cursor of a SCAN, or nil: what C's strtoul() reads, so that "" is 0 and -1 the largest there is.
function numbers.to_cursor(text)
  local sign, digits = text:match "^([+-]?)0*(%d*)$"
  if not digits or sign ~= "" and not text:find "%d" then return nil end
  if #digits > 20 or #digits == 20 and digits > "18446744073709551615" then return nil end
  local value = #digits < 19 and tonumber(digits) or digits == "" and 0 or math.maxinteger
  return sign == "-" and value > 0 and math.maxinteger or value
end

return numbers
