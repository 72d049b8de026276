-- Streams to other servers, and tasks that run beside: whose a stream is, and how a deadline ends what it does.

local server = require "support.server"
local upstream = require "support.upstream"

server.for_each_poller(function(poller)
  describe("streams and tasks with " .. poller, function()
    local lines = upstream.lines(poller)
    local client

    local function send(code) lines.send(client, code) end
    local function answer() return lines.answer(client) end

    before_each(function() client = lines.start() end)

    it("a deadline ends a read, and what comes later is not lost", function()
      send [[
        local s = net.connect(UP)
        local first = listed(parlance.within(0.05, s.read, s, 'l'))
        s:write 'go on\n'
        return first .. ', ' .. s:read 'l']]
      local peer = lines.up:accept()
      assert.equal("go on", peer:receive "*l")
      peer:send "late\n"
      assert.equal("nil timeout timeout, late", answer())
    end)

    it("a stream that was made within a deadline belongs to the one that called it", function()
      send "local _, s = parlance.within(5, net.connect, UP) return s:read 'l'"
      lines.up:accept():send "hello\n"
      assert.equal("hello", answer())
    end)

    it("a stream ends with the spawned task that has made it, and what was written goes out", function()
      send [[
        local _, s = parlance.spawn(function()
          local s = net.connect(UP)
          s:write 'written\n'
          return s
        end):wait()
        return listed(s:read 'l')]]
      local peer = lines.up:accept()
      assert.equal("written", peer:receive "*l")
      assert.is_true(upstream.has_ended(peer))
      assert.matches("^nil .*closed$", answer())
    end)

    it("a stream ends with a task that is cancelled in its read", function()
      send [[
        t = parlance.spawn(function() local s = net.connect(UP) s:write 'here\n' s:read 'l' end)
        return 'spawned']]
      assert.equal("spawned", answer())
      local peer = lines.up:accept()
      assert.equal("here", peer:receive "*l")
      send "t:cancel() return listed(t:wait())"
      assert.equal("nil cancelled cancelled", answer())
      assert.is_true(upstream.has_ended(peer))
    end)

    it("one task reads from a stream while another one writes to it", function()
      send [[
        local s = net.connect(UP)
        local reads = parlance.spawn(function() return s:read 'l' end)
        s:write 'question\n'
        return select(2, reads:wait())]]
      local peer = lines.up:accept()
      assert.equal("question", peer:receive "*l")
      peer:send "answer\n"
      assert.equal("answer", answer())
    end)

    it("the first of two that are asked is the answer", function()
      send [[
        local function ask(name)
          local s = net.connect(UP)
          s:write(name, '\n')
          return s:read 'l'
        end
        local first = parlance.any { parlance.spawn(ask, 'a'), parlance.spawn(ask, 'b') }
        return select(2, first:wait())]]
      local one, other = lines.up:accept(), lines.up:accept()
      local name = one:receive "*l"
      other:receive "*l"
      one:send("from " .. name .. "\n")
      assert.equal("from " .. name, answer())
    end)

    it("tasks share a stream by a lock, and each gets its own reply", function()
      send [[
        local s, lock, all = net.connect(UP), parlance.lock(), {}
        for i = 1, 3 do
          all[i] = parlance.spawn(function()
            local held <close> = lock:acquire()
            s:write(i, '\n')
            return s:read 'l'
          end)
        end
        for i = 1, 3 do all[i] = select(2, all[i]:wait()) end
        return listed(table.unpack(all))]]
      local peer = lines.up:accept()
      for _ = 1, 3 do peer:send("reply to " .. peer:receive "*l" .. "\n") end
      assert.equal("reply to 1 reply to 2 reply to 3", answer())
    end)
  end)
end)
