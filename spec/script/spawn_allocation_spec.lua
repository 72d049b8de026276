-- parlance.spawn(), locks, queues and deadlines when memory runs out. In a file of its own: the simulator, which
-- spec/script/spawn_spec.lua uses, has a watchdog of its own. Nobody runs the tasks here; they end with their script.

local conversation = require "support.conversation"
local rooms = require "parlance_spec"

describe("when any allocation fails", function()
  conversation.frees_all_memory()

  for name, body in pairs {
    ["spawn is whole or not there"] = [[
      local is_well, task = pcall(parlance.spawn, print, 1, 2, {})
      return is_well and (task:cancel() and "made" or "?") or "refused" ]],
    ["a lock is whole or not there"] = [[
      local is_well, lock = pcall(parlance.lock)
      if not is_well then return "refused" end
      local is_held, held = pcall(lock.acquire, lock)
      if not is_held then return lock:acquire(0) and "made" or "?" end
      local again = lock:acquire(0)
      return again and "?" or "made" ]],
    ["a value is in a queue or not"] = [[
      local is_well, queue = pcall(parlance.queue)
      if not is_well then return "refused" end
      if not pcall(queue.push, queue, {}) then return queue:pop(0) and "?" or "made" end
      return queue:pop(0) and not queue:pop(0) and "made" or "?" ]],
    ["a deadline is over with its function"] = [[
      local is_well, why = pcall(parlance.within, 1, function() return {} end)
      return is_well and "made" or "refused" ]],
    ["a wait begins or raises"] = [[
      local task = pcall(parlance.spawn, print)
      pcall(parlance.sleep, 1)
      return "?" ]],
    ["a wait for the first of several begins or raises"] = [[
      local is_well, task = pcall(parlance.spawn, print)
      if is_well then pcall(parlance.any, { task, task }, 1) end
      return is_well and "?" or "refused" ]],
    ["a wait for room begins or raises"] = [[
      local queue = parlance.queue(1)
      queue:push(1)
      pcall(queue.push, queue, {}, 10)
      return "made" ]],
  } do
    it(name, function()
      local service = conversation.lines(body, "parlance = require 'parlance'")
      for _, in_a_row in ipairs { 1, 2, 1 << 30 } do
        local n = 0
        repeat
          n = n + 1
          local one <close> = service:open { now = n * 1000 }
          local _, out, last = rooms.base.capture(function()
            rooms.session.fail_allocations(n, in_a_row)
            local out = conversation.feed(one, { "x\n" })
            return out, rooms.session.allocations()
          end)
          rooms.session.fail_allocations()
          if not name:find "^a wait" then assert.not_equal("?", out:sub(1, 1)) end
        until n > last
      end
    end)
  end
end)
