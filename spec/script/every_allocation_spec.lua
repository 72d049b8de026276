-- parlance.every() when memory runs out. In a file of its own: the simulator, which spec/script/every_spec.lua
-- uses, has a watchdog of its own.

local conversation = require "support.conversation"
local rooms = require "parlance_spec"

describe("parlance.every", function()
  conversation.frees_all_memory()

  it("is whole or not there, whichever allocation fails", function()
    local many = conversation.lines([[
      for place = 1, #made do made[place]:cancel() end -- of a call that got no memory
      if self.request == "count" then
        made = {}
        while pcall(function() made[#made + 1] = parlance.every(1000, print) end) do end
        return tostring(#made)
      end
      local is_well, task, count = nil, nil, 0
      repeat
        is_well, task = pcall(parlance.every, 1000, print)
        if is_well then count = count + 1 made[count] = task end
      until not is_well or count == 200 -- more than the heap has room for at first
      for place = 1, count do is_well = made[place]:cancel() and is_well end
      return is_well and "made" or "refused" ]], "parlance = require 'parlance' made = {}")
    local saw = {}
    for _, in_a_row in ipairs { 1, 2, 1 << 30 } do
      local n = 0
      repeat
        n = n + 1
        local one <close> = many:open { now = n * 1000 }
        local _, out, last = rooms.base.capture(function()
          rooms.session.fail_allocations(n, in_a_row)
          local out = conversation.feed(one, { "x\n" })
          return out, rooms.session.allocations()
        end)
        rooms.session.fail_allocations()
        saw[out] = true
      until n > last
    end
    saw[""] = nil -- there was no memory for anything else
    assert.same({ made = true, refused = true }, saw)
    local one <close> = many:open()
    assert.equal("10000", conversation.feed(one, { "count\n" }))
  end)
end)
