-- self:send() and topics when memory runs out. In a file of its own: the simulator, which spec/script/push_spec.lua
-- uses, has a watchdog of its own.

local conversation = require "support.conversation"
local rooms = require "parlance_spec"

describe("what is pushed", function()
  conversation.frees_all_memory()

  it("is queued whole or not at all, whichever allocation fails", function()
    local lines = conversation.lines([[
      local room = parlance.topic "room"
      local sent = self:send "one\n" and 4 or 0
      local is_subscribed = room:subscribe(self)
      for place = 1, 70 do parlance.topic("t" .. place):subscribe(self) end -- the table grows
      sent = sent + room:publish(("two"):rep(200) .. "\n") * 601
      sent = sent + room:publish "three\n" * 6
      room:unsubscribe(self)
      self:close "enough"
      return sent .. " " .. tostring(is_subscribed) ]], "parlance = require 'parlance'")
    local whole, runs = 0, 0
    for _, in_a_row in ipairs { 1, 2, 1 << 30 } do
      local n = 0
      repeat
        n = n + 1
        local one <close> = lines:open { now = n * 1000 }
        local _, out, last = rooms.base.capture(function()
          rooms.session.fail_allocations(n, in_a_row)
          local out = conversation.feed(one, { "x\n" })
          return out, rooms.session.allocations()
        end)
        rooms.session.fail_allocations()
        runs = runs + 1
        local pushed, sent = out:match "^(.-)(%d+) %a+$"
        if sent then
          assert.equal(tonumber(sent), #pushed)
          if tonumber(sent) == 611 then whole = whole + 1 end
        end
      until n > last
    end
    assert.is_true(runs > 100 and whole >= 3)
  end)
end)
