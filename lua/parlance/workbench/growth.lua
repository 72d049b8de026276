-- Measures the memory that conversations leave behind.

-- How many conversations a test plays, in how many rounds, and how many bytes each conversation may leave behind.
local INPUTS <const>, ROUNDS <const>, LEFT <const> = 50, 4, 16

--- `play()` plays a conversation with the script. Returns a fault with how many bytes each one leaves behind, or nil. A
--- few conversations mostly show that there are none.
return function(script, play)
  local function size_after(inputs)
    for _ = 1, inputs do play() end
    return script:memory(true)
  end
  local few = INPUTS // 5
  if size_after(few) >= size_after(INPUTS - few) then return nil end
  local least, before = math.maxinteger, script:memory(true)
  for _ = 2, ROUNDS do
    local size = size_after(INPUTS)
    least, before = math.min(least, size - before), size
    if least < LEFT * INPUTS then return nil end
  end
  return { kind = "memory", left = least // INPUTS }
end
