-- Exceptions of LuaSocket: try() raises them, and protect() turns them into results again.

local try = {}

-- The metatable of what try() raises: a table with the reason.
local exception <const> = {}
exception.__metatable = exception

local function check(finalizer, is_well, ...)
  if is_well then return is_well, ... end
  if finalizer then finalizer() end
  error(setmetatable({ (...) }, exception), 0)
end

--- Makes a function that returns its arguments if the first is true, and else raises the second after it has called
--- the finalizer.
---@param finalizer? fun()
---@return fun(...: any): ...
function try.newtry(finalizer)
  return function(...) return check(finalizer, ...) end
end

local function finish(is_well, ...)
  if is_well then return ... end
  local why = ...
  if type(why) == "table" and getmetatable(why) == exception then return nil, why[1] end
  error(why, 0)
end

--- Makes a function that calls `f`, and returns nil and the reason where a try() in it raises. Other errors pass.
---@param f function
---@return function
function try.protect(f)
  return function(...) return finish(pcall(f, ...)) end
end

return try
