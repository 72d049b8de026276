-- What the server gives this protocol: the time, a table that stays when the script is edited, and a way to
-- run a function whole. A spec may load the protocol without a server; then a stand-in takes its place.
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
  now = parlance.now, -- seconds, on a clock that only goes forward
  time = parlance.time, -- seconds since 1970
  atomic = parlance.atomic or call, -- runs a function that --call-timeout does not stop
  memory = parlance.memory or do_nothing, -- the bytes that Lua uses, and the limit if there is one
}

local TASK <const> = { cancel = do_nothing }

--- Runs a function every so many seconds; the result has a method cancel().
host.every = parlance.every or function() return TASK end

return host
