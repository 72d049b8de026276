-- parlance.lock(), which one task holds at a time.

local line_protocol = require "support.line_protocol"

describe("parlance.lock", function()
  local lines = line_protocol.simulate()
  local start, ask, send, answer = lines.start, lines.ask, lines.send, lines.answer

  -- hold(name, seconds) holds the lock for so long.
  local HOLD <const> = [[
    lock = parlance.lock()
    function hold(name, seconds, patience)
      local held <close> = lock:acquire(patience)
      if not held then note(name, 'has none') return end
      note(name, 'has it')
      sleep(seconds)
    end
    function holds(names, seconds)
      for name in names:gmatch '%S+' do parlance.spawn(hold, name, seconds) end
    end
    function after_gc() collectgarbage() collectgarbage() end]]

  it("is held by one task at a time, first come, first served", function()
    start(HOLD)
    ask "holds('a b c', 1)"
    assert.equal("0 a has it", lines.noted())
    lines.advance(2)
    assert.equal("1 b has it, 2 c has it", lines.noted())
  end)

  it("is released after an error, after a cancel and by one that is stopped", function()
    start(HOLD, { call_timeout = 50 })
    ask "parlance.spawn(function() local held <close> = lock:acquire() error 'on purpose' end) holds('a', 1)"
    assert.equal("0 a has it", lines.noted())
    ask "t = parlance.spawn(hold, 'b', 100) holds('c', 1)"
    lines.advance(1)
    ask "t:cancel()"
    assert.equal("1 b has it, 1 c has it", lines.noted())
    ask "parlance.spawn(function() local held <close> = lock:acquire() while true do end end) holds('d', 1)"
    lines.advance(1)
    assert.equal("2 d has it", lines.noted())
  end)

  it("passes by one that has waited for too long, and one that was cancelled", function()
    start(HOLD)
    ask "holds('a', 3) parlance.spawn(hold, 'b', 1, 1) c = parlance.spawn(hold, 'c', 1) holds('d', 1)"
    lines.advance(1)
    ask "c:cancel()"
    lines.advance(3)
    assert.equal("0 a has it, 1 b has none, 3 d has it", lines.noted())
  end)

  it("goes on to the next where the one that got it is cancelled before it goes on", function()
    start(HOLD)
    ask [[
      parlance.spawn(function()
        do
          local held <close> = lock:acquire()
          b = parlance.spawn(hold, 'b', 1)
          holds('c', 1)
          sleep(1)
        end
        b:cancel()
      end)]]
    lines.advance(1)
    assert.equal("1 c has it", lines.noted())
    assert.equal("nil cancelled cancelled", ask "return listed(b:wait())")
  end)

  it("looks and does not wait with no seconds", function()
    start(HOLD)
    ask "holds('a', 1)"
    assert.equal("nil timeout timeout", ask "return listed(lock:acquire(0))")
    assert.equal("nil timeout timeout", ask [[
      local got
      table.sort({ 1, 2 }, function() got = listed(lock:acquire(0)) end)
      return got]])
    assert.matches("lock:acquire cannot wait within table.sort",
      ask "return select(2, pcall(function() table.sort({ 1, 2 }, function() lock:acquire() end) end))")
    lines.advance(1)
    assert.equal("true", ask "local held <close> = lock:acquire(0) return held ~= nil")
  end)

  it("is not held by one that the deadline of within() has ended", function()
    start(HOLD)
    ask "holds('a', 2)"
    send "return listed(parlance.within(1, hold, 'b', 1))"
    lines.advance(1)
    assert.equal("nil timeout timeout", answer())
    lines.advance(1)
    assert.equal("true", ask "local held <close> = lock:acquire(0) return held ~= nil")
  end)

  it("can be taken while a cancelled task closes its variables, if it is free", function()
    start(HOLD)
    ask [[t = parlance.spawn(function()
      local x <close> = setmetatable({}, { __close = function()
        note(lock:acquire(1) ~= nil, listed(lock:acquire(1)))
      end })
      sleep(10)
    end)]]
    ask "t:cancel()"
    assert.equal("0 true nil cancelled cancelled", lines.noted())
  end)

  it("is released when what holds it is collected", function()
    start(HOLD)
    ask "lock:acquire() holds('a', 1)"
    assert.equal("", lines.noted())
    ask "after_gc()"
    assert.equal("0 a has it", lines.noted())
    assert.matches("warn lock_collected service=protocol detail=", lines.logged())
  end)

  it("is collected without a word where it was released, and when the script ends", function()
    start(HOLD)
    ask "do local held <close> = lock:acquire() end after_gc() kept = lock:acquire()"
    lines.close()
    assert.equal("", lines.logged())
  end)

  it("survives that all that wait for it are collected with it", function()
    start(HOLD)
    ask [[
      local other = parlance.lock()
      parlance.spawn(function() local held <close> = other:acquire() other:acquire(5) end)
      other = nil
      after_gc()]]
    lines.advance(5)
    ask "after_gc()"
  end)

  it("goes through ten thousand tasks", function()
    start(HOLD)
    ask [[
      for i = 1, 10000 do
        parlance.spawn(function()
          local held <close> = lock:acquire()
          sleep(0.001)
          count = (count or 0) + 1
        end)
      end]]
    lines.advance(10)
    assert.equal("10000", ask "return count")
  end)

  it("is waited for by requests as well, and stays the same in the next version", function()
    start(HOLD .. " parlance.shared.lock = parlance.shared.lock or lock")
    ask "parlance.spawn(function() local held <close> = parlance.shared.lock:acquire() sleep(2) end)"
    assert.equal("reloaded", lines.edit(HOLD))
    send "local held <close> = parlance.shared.lock:acquire() return self_name"
    lines.advance(1)
    assert.equal("", answer())
    lines.advance(1)
    assert.equal("first", answer())
  end)

  it("refuses what is no lock and no time", function()
    start(HOLD)
    assert.matches("bad argument #1", ask "return select(2, pcall(lock.acquire))")
    assert.matches("bad argument #1", ask "return select(2, pcall(lock.acquire, io.stdout))")
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(lock.acquire, lock, -1))")
  end)
end)
