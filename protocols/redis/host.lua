-- The functions of the server that this protocol uses: clocks, a table that outlives reloads, timers, and atomic calls.
-- A spec may load the protocol without a server; then stubs take their place.
local has_server, parlance = pcall(require, "parlance")
if not has_server then parlance = { shared = {}, version = "none", now = os.clock, time = os.time } end

local function call(run, ...)
  return run(...)
end

local function do_nothing() end

local host = {
  shared = parlance.shared,
  version = parlance.version,
  log = parlance.log or do_nothing,
  now = parlance.now, -- seconds of a monotonic clock
  time = parlance.time, -- seconds since 1970
  atomic = parlance.atomic or call, -- runs a function that --call-timeout does not stop
  memory = parlance.memory or do_nothing, -- returns the bytes that Lua uses, and the limit if there is one
}

local TASK <const> = { cancel = do_nothing }

--- Runs a function at an interval in seconds. The result has a method cancel().
host.every = parlance.every or function() return TASK end

return host
