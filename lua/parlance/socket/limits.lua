-- What the sockets of scripts have in common: the time-outs of LuaSocket, its errors, and what may not be done.

local parlance = require "parlance"

local limits = {}

-- Seconds. A call that must not wait gives the loop one turn, in which bytes may come. A wait without an end has the
-- longest time that there is.
limits.LEAST = 0.001
limits.LONGEST = 1e9

-- ---- time-outs ----------------------------------------------------------------------------------

-- How many seconds a socket may still wait in this call; nil: there is no limit. "b" and "t" count from the beginning
-- of the call both, and the smaller one holds.
local function left(socket)
  local block, total = socket.block, socket.total
  if block < 0 and total < 0 then return nil end
  local past = parlance.now() - socket.started
  if block < 0 then return math.max(total - past, 0) end
  if total < 0 then return math.max(block - past, 0) end
  return math.min(block, math.max(total - past, 0))
end

--- Notes that a call begins.
function limits.start(socket)
  socket.started = parlance.now()
end

--- The time that a socket may still wait as streams take it: in seconds, and 0 for no limit.
---@return number
function limits.of(socket)
  local seconds = left(socket)
  return seconds and math.min(math.max(seconds, limits.LEAST), limits.LONGEST) or 0
end

--- The same for tasks, which take nil for no limit.
---@return number?
function limits.of_task(socket)
  local seconds = left(socket)
  return seconds and math.min(seconds, limits.LONGEST)
end

-- ---- errors -------------------------------------------------------------------------------------

local WORDS <const> = {
  closed = "closed",
  reset = "closed",
  timeout = "timeout",
  refused = "connection refused",
  name = "host or service not provided, or not known",
}

--- What LuaSocket calls a failure of a stream.
---@param why string
---@param code string
---@return string
function limits.word(why, code)
  return WORDS[code] or why
end

local LOADING <const> = "cannot [%a ]+ while the script is loaded"

local function finish(name, is_well, ...)
  if is_well then return ... end
  local why = ...
  local what = type(why) == "string" and why:match(LOADING)
  if not what then error(why, 0) end
  error(("%s %s: call it in make_response, or use LuaSocket's own functions, which block: require \"socket.core\"")
    :format(name, what), 0)
end

--- Calls a function that waits, or opens a socket. While a script is loaded that raises, and tells what to do instead.
---@param name string of the function that the script has called
---@param f function
---@return any ...
function limits.call(name, f, ...)
  return finish(name, pcall(f, ...))
end

--- Makes a function that raises because parlance has no such thing.
---@param name string
---@param why string
function limits.without(name, why)
  return function() error(("%s: %s; LuaSocket's own is in require \"socket.core\""):format(name, why), 2) end
end

return limits
