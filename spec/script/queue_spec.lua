-- parlance.queue(), through which tasks pass values.

local line_protocol = require "support.line_protocol"

describe("parlance.queue", function()
  local lines = line_protocol.simulate()
  local start, ask, send, answer = lines.start, lines.ask, lines.send, lines.answer

  local TAKE <const> = [[
    q = parlance.queue(3)
    function take(name, seconds) note(name, listed(q:pop(seconds))) end
    function put(value, seconds) note('put', value, listed(q:push(value, seconds))) end
    function after_gc() collectgarbage() collectgarbage() end]]

  it("gives the values in the order in which they were pushed", function()
    start(TAKE)
    assert.equal("true 1 2 3", ask [[
      local ok = q:push(1) and q:push(2) and q:push(3)
      return listed(ok, q:pop(), q:pop(), q:pop())]])
  end)

  it("tells how many values are there", function()
    start(TAKE)
    assert.equal("0 2 1", ask [[
      local before = #q
      q:push 'a' q:push 'b'
      local filled = #q
      q:pop()
      return listed(before, filled, #q)]])
  end)

  it("is not emptied by a script that calls its finalizer", function()
    start(TAKE)
    assert.equal("1", ask "q:push(1) getmetatable(q).__gc(q) return listed(q:pop())")
  end)

  it("gives every kind of value but nil", function()
    start(TAKE)
    assert.equal("true", ask [[
      local t = {}
      q:push(false) q:push(t)
      return q:pop() == false and q:pop() == t]])
    assert.matches("bad argument #2.*must not be nil", ask "return select(2, pcall(q.push, q, nil))")
    assert.matches("bad argument #2.*must not be nil", ask "return select(2, pcall(q.push, q))")
  end)

  it("gives them to the tasks in the order in which they came", function()
    start(TAKE)
    ask "for _, name in ipairs { 'a', 'b', 'c' } do parlance.spawn(take, name) end"
    ask "for i = 1, 4 do q:push(i) end"
    assert.equal("0 a 1, 0 b 2, 0 c 3", lines.noted())
    assert.equal("4", ask "return q:pop()")
  end)

  it("has room for 1,024 values, or as many as it is told", function()
    start(TAKE)
    assert.equal("1024 full full", ask [[
      local q, n = parlance.queue(), 0
      while true do
        local ok, why, code = q:push(n)
        if not ok then return listed(n, why, code) end
        n = n + 1
      end]])
    assert.equal("true false full full", ask "local q = parlance.queue(1) return listed(q:push(1), q:push(2))")
    for _, capacity in ipairs { "0", "-1", "1.5", "2e9", "'x'" } do
      assert.matches("bad argument #1", ask("return select(2, pcall(parlance.queue, " .. capacity .. "))"))
    end
  end)

  describe("pop", function()
    it("returns nil and the time-out", function()
      start(TAKE)
      send "return listed(q:pop(1))"
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      assert.equal("nil timeout timeout", ask "return listed(q:pop(0))")
    end)

    it("works where nothing may wait if there is a value", function()
      start(TAKE)
      assert.matches("1.*queue:pop cannot wait within table.sort", ask [[
        q:push(1)
        local got
        return listed(select(2, pcall(function()
          table.sort({ 1, 2 }, function() note(q:pop()) q:pop() end)
        end))) .. table.concat(trace)]])
    end)

    it("gives the value to the next task where the one that got it is cancelled before it goes on", function()
      start(TAKE)
      ask "a = parlance.spawn(take, 'a') b = parlance.spawn(take, 'b')"
      ask "q:push(1) q:push(2) a:cancel()"
      assert.equal("0 b 2", lines.noted())
      assert.equal("1", ask "return q:pop(0)")
    end)

    it("puts the value of a cancelled task back to the front", function()
      start(TAKE)
      ask "a = parlance.spawn(take, 'a')"
      ask "q:push(1) q:push(2) q:push(3) q:push(4) a:cancel()"
      assert.equal("1 2 3 4", ask "return listed(q:pop(), q:pop(), q:pop(), q:pop())")
      assert.equal("", lines.noted())
    end)

    it("hands the value of a cancelled task to one that waits", function()
      start(TAKE)
      ask "a = parlance.spawn(take, 'a') b = parlance.spawn(take, 'b')"
      ask "q:push(1) a:cancel()"
      assert.equal("0 b 1", lines.noted())
    end)

    it("loses nothing when its connection is gone, or is out of time", function()
      start(TAKE)
      local other = lines.open()
      send("return q:pop()", other)
      other:vanish()
      ask "q:push(1)"
      assert.equal("1", ask "return q:pop(0)")
      send("return listed(parlance.within(1, q.pop, q))", other)
      send "return listed(parlance.within(1, q.pop, q))"
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      ask "q:push(2)"
      assert.equal("2", ask "return q:pop(0)")
    end)

    it("keeps a value that came within the time", function()
      start(TAKE)
      send [[
        parlance.spawn(function() sleep(1) q:push 'value' end)
        return listed(parlance.within(2, q.pop, q))]]
      lines.advance(1)
      assert.equal("true value", answer())
    end)

    it("returns at once in a task that was cancelled", function()
      start(TAKE)
      ask [[t = parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function() note(q:pop(), listed(q:pop())) end })
        sleep(10)
      end)]]
      ask "q:push(1) t:cancel()"
      assert.equal("0 1 nil cancelled cancelled", lines.noted())
    end)
  end)

  describe("push", function()
    it("waits for room, first come, first served", function()
      start(TAKE)
      ask "for i = 1, 6 do parlance.spawn(put, i, 10) end"
      assert.equal("0 put 1 true, 0 put 2 true, 0 put 3 true", lines.noted())
      assert.equal("1 2", ask "return listed(q:pop(), q:pop())")
      assert.equal("0 put 4 true, 0 put 5 true", lines.noted())
      assert.equal("3 4 5 6", ask "return listed(q:pop(), q:pop(), q:pop(), q:pop())")
    end)

    it("returns false when there was no room in time, and the value is gone", function()
      start(TAKE)
      ask "for i = 1, 3 do q:push(i) end parlance.spawn(put, 4, 1) parlance.spawn(put, 5, 2)"
      lines.advance(1)
      assert.equal("1 put 4 false timeout timeout", lines.noted())
      assert.equal("1 2 3 5", ask "return listed(q:pop(), q:pop(), q:pop(), q:pop())")
    end)

    it("takes back the value of a task that is cancelled while it waits", function()
      start(TAKE)
      ask "for i = 1, 3 do q:push(i) end t = parlance.spawn(put, 4, 10) parlance.spawn(put, 5, 10)"
      ask "t:cancel()"
      assert.equal("1 2 3 5", ask "return listed(q:pop(), q:pop(), q:pop(), q:pop())")
      assert.equal("0 put 5 true", lines.noted())
    end)

    it("of a task that was cancelled does not wait", function()
      start(TAKE)
      ask [[
        for i = 1, 3 do q:push(i) end
        t = parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function() put(4, 1) end })
          sleep(10)
        end)]]
      ask "t:cancel()"
      assert.equal("0 put 4 false cancelled cancelled", lines.noted())
    end)

    it("cannot wait where nothing may", function()
      start(TAKE)
      assert.matches("queue:push cannot wait within table.sort", ask [[
        for i = 1, 3 do q:push(i) end
        return select(2, pcall(function() table.sort({ 1, 2 }, function() q:push(4, 1) end) end))]])
    end)

    it("is refused in request_complete, and while the script is loaded", function()
      start "q = parlance.queue() function Lines:request_complete() q:push(1) return true end"
      send "x"
      assert.truthy(lines.logged():find("queue:push cannot be called in request_complete", 1, true))
      local loaded, why = lines.load "parlance.queue():push(1)"
      assert.is_nil(loaded)
      assert.truthy(why:find("queue:push cannot be called while the script is loaded", 1, true), why)
    end)

    it("may come from a finalizer, in the middle of another push", function()
      start(TAKE)
      ask [[
        local function trap()
          setmetatable({}, { __gc = function()
            q:push 'g'
            q:pop(0)
            if not stopped then trap() end
          end })
        end
        trap()
        for i = 1, 20000 do
          q:push({ i }, 0)
          q:pop(0)
        end
        stopped = true]]
      assert.equal("fine", ask "while q:pop(0) do end return 'fine'")
    end)

    it("begins again where a finalizer cancels the task that pushes", function()
      start(TAKE)
      ask [[
        for i = 1, 3 do q:push(i) end
        t = parlance.spawn(function()
          for i = 1, 2000 do
            if i == 1000 then setmetatable({}, { __gc = function() t:cancel() end }) end
            q:push({ i }, 0.001)
          end
          note 'never'
        end)]]
      lines.advance(3)
      ask "after_gc()"
      lines.advance(3)
      assert.equal("nil cancelled cancelled", ask "return listed(t:wait())")
      assert.equal("1 2 3", ask "return listed(q:pop(), q:pop(), q:pop())")
    end)
  end)

  describe("close", function()
    it("lets what is there be taken, and refuses more", function()
      start(TAKE)
      ask "q:push(1) q:close() q:close()"
      assert.equal("false closed closed", ask "return listed(q:push(2))")
      assert.equal("false closed closed", ask "return listed(q:push(2, 1))")
      assert.equal("1 nil closed closed", ask "return listed(q:pop(), q:pop())")
    end)

    it("wakes all that wait", function()
      start(TAKE)
      ask "parlance.spawn(take, 'a') parlance.spawn(take, 'b', 10)"
      ask "q:close()"
      assert.equal("0 a nil closed closed, 0 b nil closed closed", lines.noted())
      ask "q = parlance.queue(1) q:push(0) parlance.spawn(put, 1, 10) parlance.spawn(put, 2, 10)"
      ask "q:close()"
      assert.equal("0 put 1 false closed closed, 0 put 2 false closed closed", lines.noted())
      assert.equal("0 nil closed closed", ask "return listed(q:pop(), q:pop())")
    end)

    it("keeps what goes back to it", function()
      start(TAKE)
      ask "t = parlance.spawn(take, 'a')"
      ask "q:push(1) t:cancel() q:close()"
      assert.equal("1 nil closed closed", ask "return listed(q:pop(), q:pop())")
    end)
  end)

  it("goes over into the next version, with what waits for it", function()
    start(TAKE .. " parlance.shared.q = q")
    ask "q:push('one') parlance.spawn(function() sleep(1) parlance.shared.q:push('of ' .. self_name) end)"
    assert.equal("reloaded", lines.edit("q = parlance.shared.q", "second"))
    assert.equal("one", ask "return q:pop()")
    send "return q:pop()"
    lines.advance(1)
    assert.equal("of first", answer())
  end)

  it("goes over with save and restore", function()
    start("local jobs = parlance.queue() function push(x) jobs:push(x) end function Lines.save() return jobs end")
    ask "push 'job'"
    assert.equal("reloaded", lines.edit("function Lines.restore(q) jobs = q end", "second"))
    assert.equal("job", ask "return jobs:pop()")
  end)

  it("is collected with what is in it, also where that leads back to it", function()
    start(TAKE)
    assert.equal("nil", ask [[
      weak = setmetatable({}, { __mode = 'k' })
      do
        local q, t = parlance.queue(), {}
        t.q = q
        weak[t] = true
        q:push(t)
      end
      after_gc()
      return next(weak)]])
    ask "q:push({}) q:pop() after_gc()"
  end)

  it("gives a value up when it is taken", function()
    start(TAKE)
    assert.equal("nil", ask [[
      weak = setmetatable({}, { __mode = 'k' })
      do local t = {} weak[t] = true q:push(t) end
      q:pop()
      after_gc()
      return next(weak)]])
  end)

  it("passes ten thousand values between ten pairs of tasks", function()
    start(TAKE)
    ask [[
      sum = 0
      for i = 1, 10 do
        parlance.spawn(function() for n = 1, 1000 do q:push(n, 10) end end)
        parlance.spawn(function() for _ = 1, 1000 do local n = q:pop() sum = sum + n end end)
      end]]
    lines.advance(1)
    assert.equal(tostring(10 * 1000 * 1001 // 2), ask "return sum")
  end)

  it("refuses what is no queue", function()
    start(TAKE)
    for _, call in ipairs { "q.push", "q.pop", "q.close" } do
      assert.matches("bad argument #1", ask("return select(2, pcall(" .. call .. ", io.stdout, 1))"))
    end
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(q.pop, q, -1))")
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(q.push, q, 1, -1))")
  end)
end)
