-- Finalizers that run when no version of the script serves: while the first one is loaded, and when the script ends.
-- Whatever they call does no harm.

local line_protocol = require "support.line_protocol"
local server = require "support.server"

-- What finalizers call. They run in the order from the last one to the first one.
local CALLS <const> = {
  "client:send 'x'", "client:close()", "client:set_response_timeout(1)", "client:read()", "client:write 'x'",
  "topic:publish 'x'", "topic:subscribe(client)", "topic:unsubscribe(client)", "parlance.topic 'other'",
  "parlance.connections()", "parlance.memory()", "parlance.log('info', 'x')", "parlance.atomic(tostring, 1)",
  "parlance.spawn(print)", "parlance.every(1, print)", "parlance.sleep(0)", "parlance.within(1, print)",
  "parlance.any({ task }, 0)", "task:wait(0)", "task:cancel()", "ticks:cancel()",
  "parlance.queue()", "queue:close()", "queue:pop(0)", "queue:push(1)",
  "parlance.lock()", "lock:acquire(0)", "rawset(_ENV, 'held', nil)",
  "stream:read 'any'", "stream:write 'x'", "stream.peer_address", "stream:set_timeout(1)", "stream:release()",
  "other:shutdown()", "other:detach()", "other:close()", "net.connect(address)", "net.resolve 'localhost'",
  "child:wait(0)", "child:kill()", "child.stdin:write 'x'", "child.stdout:detach()", "child:close()",
  "process.spawn { 'true' }",
  "listed(child, stream, task, ticks, topic)",
}

local function traps()
  local texts = {}
  for place, call in ipairs(CALLS) do texts[place] = ("trap(%q, function() return %s end)"):format(call, call) end
  return table.concat(texts, "\n")
end

local SETUP <const> = [[
  net, process = require "parlance.net", require "parlance.process"
  topic, queue, lock = parlance.topic "topic", parlance.queue(), parlance.lock()
  function trap(call, f)
    return setmetatable({}, { __gc = function() print(call .. " -> " .. show(pcall(f))) io.stdout:flush() end })
  end
  function traps() return { ]] .. traps():gsub("\n", ",\n") .. [[ } end ]]

server.for_each_poller(function(poller)
  describe("where no version of the script serves, with " .. poller, function()
    local lines = line_protocol.serve(poller)

    it("finalizers may call anything when the script ends", function()
      local client = lines.start(SETUP .. "\nfunction Lines.encode(data) return data end")
      lines.ask(client, ([[
        client, address, held = self, "127.0.0.1:%d", lock:acquire()
        task, ticks = parlance.spawn(sleep, 100), parlance.every(100, print)
        stream, other = net.connect(address):detach(), net.connect(address):detach()
        parlance.spawn(function() child = process.spawn { 'cat' } sleep(100) end)
        while not child do sleep(0.001) end
        parlance.shared.traps = traps()
        return 1]]):format(lines.running.addresses[1].port))
      client:close()
      lines.running:expect_end()
      assert.equal(0, lines.running:stop())
      local printed = lines.running:output()
      for _, call in ipairs(CALLS) do assert.truthy(printed:find(call .. " -> ", 1, true), call) end
      assert.truthy(printed:find([[client:send 'x' -> true false "closed"]], 1, true), printed)
      assert.truthy(printed:find("topic:publish 'x' -> true 0", 1, true), printed)
    end)

    it("finalizers may call anything while the first one is loaded", function()
      local client = lines.start(SETUP .. "\ntraps() collectgarbage()")
      assert.equal("2", lines.ask(client, "return 1 + 1"))
      for _, call in ipairs(CALLS) do assert.truthy(lines.running:output():find(call .. " -> ", 1, true), call) end
    end)
  end)
end)
