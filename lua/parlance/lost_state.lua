-- Finds the state that a hot edit loses: tables and queues that were filled in the old version and are empty in the new
-- one.
--
-- The server calls this just before the new version takes over, and logs a warning afterwards. In C, lost state is
-- called "dropped". Tables and queues are compared by their names: globals, fields of the protocol, and the locals that
-- functions of the script and of the modules beside it use.

local parlance = require "parlance"

local getinfo, getupvalue = debug.getinfo, debug.getupvalue

-- Limits of the search: a table of a script may have millions of fields, and all connections wait meanwhile.
local MOST_FIELDS <const>, MOST_DEPTH <const>, MOST_VALUES <const> = 100, 3, 2000

local PROTOCOL <const>, GLOBALS <const> = 1, 2

-- Returns the values for a loop over the first fields of a table. Does not call metamethods.
local function few(fields)
  local count = 0
  return function(_, name)
    count = count + 1
    if count <= MOST_VALUES then return next(fields, name) end
  end, fields
end

local function is_queue(value)
  local metatable = type(value) == "userdata" and debug.getmetatable(value)
  return metatable and rawget(metatable, "__name") == "parlance.queue"
end

local function is_store(value) return type(value) == "table" or is_queue(value) end

local function is_filled(value)
  if type(value) == "table" then return next(value) ~= nil end
  return #value > 0
end

-- Returns the tables and queues of a version by their names, such as "local scores (game.lua)".
local function stores_of(roots)
  local found, seen, visited = {}, {}, 0
  local visit
  for _, value in few(parlance.shared) do -- These are never lost.
    if is_store(value) then seen[value] = true end
  end

  local function note(name, value)
    if is_store(value) and not found[name] then found[name] = value end
  end

  local function visit_function(value, depth)
    for i = 1, math.maxinteger do
      local name, upvalue = getupvalue(value, i)
      if not name or name == "" then break end -- The upvalues of C functions have no names.
      if name ~= "_ENV" then
        if is_store(upvalue) then
          note(("local %s (%s)"):format(name, getinfo(value, "S").short_src), upvalue)
        end
        visit(upvalue, depth)
      end
    end
  end

  function visit(value, depth)
    local kind = type(value)
    if kind ~= "function" and kind ~= "table" or seen[value] or depth > MOST_DEPTH or visited >= MOST_VALUES then
      return
    end
    seen[value] = true
    visited = visited + 1
    if kind == "function" then return visit_function(value, depth + 1) end
    local fields = 0
    for _, field in next, value do
      fields = fields + 1
      if fields > MOST_FIELDS then break end
      visit(field, depth + 1)
    end
  end

  for name, value in few(roots[GLOBALS]) do
    if type(name) == "string" and _G[name] == nil then
      note("global " .. name, value)
      visit(value, 0)
    end
  end
  for name, value in few(roots[PROTOCOL]) do
    if type(name) == "string" then note("field " .. name, value) end
  end
  visit(roots[PROTOCOL], 0)
  return found
end

-- Whether the table is weak or fills itself (its __index is a function). Such a table is a cache and does not count.
local function is_cache(value)
  local metatable = debug.getmetatable(value)
  return metatable and (rawget(metatable, "__mode") ~= nil or type(rawget(metatable, "__index")) == "function")
end

--- Returns the names of the lost tables and queues in one text, or nil.
return function(old, new)
  local before, now = stores_of(old), stores_of(new)
  local lost = {}
  for name, value in pairs(before) do
    local successor = now[name]
    local is_lost = successor and successor ~= value and is_filled(value) and not is_filled(successor)
    if is_lost and not is_cache(value) then
      lost[#lost + 1] = name
    end
  end
  if #lost == 0 then return nil end
  table.sort(lost)
  return table.concat(lost, ", ")
end
