--- Moves a script's simulated time by so many seconds, in steps from one deadline to the next. `read` is called after
--- each step: clients read what the server sends at that time.
return function(script, seconds, read)
  local left, before = seconds, nil
  repeat
    local step = math.min(script:deadline() or left, left)
    if step == 0 and before == 0 then step = left end -- This deadline stays in the past: pass over it.
    script:advance(step)
    read()
    left, before = left - step, step
  until left <= 0
end
