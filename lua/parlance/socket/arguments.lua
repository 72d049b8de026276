-- Checks the arguments of functions, with the errors of LuaSocket. The position in an error is that of the caller of
-- the function that checks.

local arguments = {}

local LEVEL <const> = 3

local function complain(name, place, what, level)
  error(("bad argument #%d to '%s' (%s)"):format(place, name, what), level)
end

function arguments.refuse(name, place, what)
  complain(name, place, what, LEVEL + 1)
end

local function expect(kind, value, name, place)
  complain(name, place, ("%s expected, got %s"):format(kind, value == nil and "no value" or type(value)), LEVEL + 2)
end

--- A string, or a number as one.
---@return string
function arguments.text(value, name, place)
  if type(value) == "string" then return value end
  if type(value) ~= "number" then expect("string", value, name, place) end
  return tostring(value)
end

--- A number, or a string as one; `default` in the place of nil.
---@return number
function arguments.number(value, default, name, place)
  if value == nil then value = default end
  local number = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if not number then expect("number", value, name, place) end
  return number
end

--- A number without its fraction.
---@return integer
function arguments.integer(value, default, name, place)
  local number = arguments.number(value, default, name, place)
  return math.tointeger(number) or math.tointeger(number < 0 and math.ceil(number) or number // 1) or 0
end

function arguments.boolean(value, name, place)
  if type(value) ~= "boolean" then expect("boolean", value, name, place) end
  return value
end

return arguments
