-- Returns a function that runs one cycle of Lua's collector, and returns the ms of its longest step. The clock is a
-- function that returns seconds.
return function(clock)
  collectgarbage "collect" -- ends the cycle that is under way
  local longest, is_over = 0, false
  while not is_over do
    local start = clock()
    is_over = collectgarbage("step", 0)
    longest = math.max(longest, clock() - start)
  end
  return longest * 1000
end
