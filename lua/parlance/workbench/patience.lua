--- Moves simulated time for clients that wait for something.

-- The most seconds that a client waits if the protocol has no response_timeout.
local MOST <const> = 3600

--- The time moves from event to event until `is_over()` returns true. It moves only while a task of the script waits
--- for something, and for as long as a response may take, counted from the last bytes on. `read` is called at each
--- instant: clients read what the server sends. It returns how many bytes there are now. `script` has the functions
--- response_timeout(), task_deadline() and advance() of a script in the simulator.
---
--- Returns whether `is_over()` returned true.
return function(script, is_over, read)
  local patience = script:response_timeout()
  if patience == 0 then patience = MOST end
  local left, had = patience, read()
  while not is_over() do
    local step = script:task_deadline()
    if not step or step > left then return false end
    script:advance(step)
    left = left - step
    local has = read()
    if has ~= had then left, had = patience, has end
  end
  return true
end
