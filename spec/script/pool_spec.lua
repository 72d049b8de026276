-- The small blocks of a script's state: no byte is lost, and freed memory goes back.
-- release only
local rooms = require "parlance_spec"

describe("pool", function()
  for seed = 1, 4 do
    it("keeps the bytes of its blocks, and returns freed memory; seed " .. seed, function()
      local left, most = rooms.script.pool_churn(seed, 200000)
      assert.is_true(left <= 65, left) -- a slab of each size at most, and the pool
      assert.is_true(most < 3000, most) -- many blocks are one of malloc()
    end)
  end

  it("takes little more than the memory limit, though each of its slabs holds one block", function()
    local limit <const> = 8 * 1024 * 1024
    local slabs = rooms.script.pool_scatter(limit)
    assert.is_true(slabs > limit / 16384, slabs) -- it was full
    assert.is_true(slabs <= (limit * 1.25 + 2 * 1024 * 1024) / 16384 + 1, slabs)
  end)
end)
