-- The seed of a tool, which decides all that is chance in a script.

local seeds = {}

-- The seed if none is given.
local DEFAULT <const> = 1

--- Sets the options `seed` and `string_seed` of simulator.load() to the seed of the command line, a number, a text or
--- nil.
function seeds.set(options, seed)
  seed = math.tointeger(tonumber(seed)) or DEFAULT
  options.seed = seed & 0xffffffff
  options.string_seed = seed % 0x7fffffff + 1 -- 0 would be a random one.
end

return seeds
