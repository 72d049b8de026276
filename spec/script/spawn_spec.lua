-- parlance.spawn() in simulated time: when tasks run, how many there may be, and what becomes of them at an edit and at
-- the end.

local line_protocol = require "support.line_protocol"

describe("parlance.spawn", function()
  local lines = line_protocol.simulate()
  local start, ask, send, answer = lines.start, lines.ask, lines.send, lines.answer

  it("runs the function beside, with its arguments, when the one that calls it has its turn behind it", function()
    start()
    assert.equal("first", ask [[
      parlance.spawn(function(...) note('ran', ...) end, 'a', 'b')
      note 'first'
      return 'first']])
    assert.equal("0 first, 0 ran a b", lines.noted())
  end)

  it("keeps nobody waiting while the function waits", function()
    start()
    ask "parlance.spawn(function() sleep(1) note 'done' end)"
    assert.equal("now", ask "return 'now'")
    lines.advance(1)
    assert.equal("1 done", lines.noted())
  end)

  it("runs those that are made in the order of their making", function()
    start()
    ask "for i = 1, 5 do parlance.spawn(note, i) end"
    assert.equal("0 1, 0 2, 0 3, 0 4, 0 5", lines.noted())
  end)

  it("goes on when nobody holds the task, and when its connection is over", function()
    start()
    local other = lines.open()
    ask("parlance.spawn(function() sleep(1) note 'done' end) collectgarbage()", other)
    other:vanish()
    other:close()
    ask "collectgarbage() collectgarbage()"
    lines.advance(1)
    assert.equal("1 done", lines.noted())
  end)

  it("may spawn others", function()
    start()
    ask [[
      local function nest(n)
        note(n)
        if n > 0 then parlance.spawn(nest, n - 1) end
      end
      parlance.spawn(nest, 3)]]
    assert.equal("0 3, 0 2, 0 1, 0 0", lines.noted())
  end)

  it("waits in coroutines of the script as well", function()
    start()
    ask [[parlance.spawn(function()
      local each = coroutine.wrap(function() for i = 1, 2 do sleep(1) coroutine.yield(i) end end)
      note(each(), each())
    end)]]
    lines.advance(2)
    assert.equal("2 1 2", lines.noted())
  end)

  it("gives a value that says what it is", function()
    start()
    ask "t = parlance.spawn(sleep, 1)"
    assert.equal("task: spawned", ask "return tostring(t)")
    lines.advance(1)
    assert.equal("task: spawned, finished", ask "return tostring(t)")
  end)

  it("refuses what is no function", function()
    start()
    assert.matches("function expected, got no value", ask "return select(2, pcall(parlance.spawn))")
    assert.matches("function expected, got string", ask "return select(2, pcall(parlance.spawn, 'x'))")
    for _, call in ipairs { "t.wait()", "t.wait({})", "t.cancel()", "t.wait(io.stdout)" } do
      assert.matches("bad argument", ask(
        "t = parlance.spawn(print) return select(2, pcall(function() " .. call .. " end))"))
    end
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(t.wait, t, -1))")
    assert.matches("number expected", ask "return select(2, pcall(t.wait, t, {}))")
  end)

  it("passes many arguments and results", function()
    start()
    assert.equal("", ask [[
      local many = {}
      for i = 1, 5000 do many[i] = i end
      local t = parlance.spawn(function(...) sleep(1) return ... end, table.unpack(many))
      local got = table.pack(t:wait())
      return got.n .. ' ' .. tostring(got[1]) .. ' ' .. got[5001] ]])
    lines.advance(1)
    assert.equal("5001 true 5000", answer())
  end)

  describe("is limited", function()
    it("to 10,000 tasks, which all run", function()
      start()
      assert.equal("10000 spawn: too many tasks", ask [[
        local n = 0
        while true do
          local ok, why = pcall(parlance.spawn, function() sleep(1) count = (count or 0) + 1 end)
          if not ok then return n .. ' ' .. why end
          n = n + 1
        end]])
      lines.advance(1)
      assert.equal("10000", ask "return count")
      assert.equal("true", ask "return (pcall(parlance.spawn, print))")
    end)

    it("to 10,000 that are cancelled at once, each by another one", function()
      start()
      ask [[
        all = {}
        for i = 1, 10000 do
          all[i] = parlance.spawn(function()
            local x <close> = setmetatable({}, { __close = function()
              count = (count or 0) + 1
              if all[i + 1] then all[i + 1]:cancel() end
            end })
            sleep(100)
          end)
        end]]
      ask "all[1]:cancel()"
      assert.equal("10000", ask "return count")
    end)

    it("by the field max_tasks", function()
      start "Lines.max_tasks = 3"
      assert.equal("3 spawn: too many tasks", ask [[
        for n = 0, 10 do
          local ok, why = pcall(parlance.spawn, sleep, 1)
          if not ok then return n .. ' ' .. why end
        end]])
    end)

    it("by the option, which counts before the field", function()
      start("Lines.max_tasks = 3", { max_tasks = 2 })
      assert.equal("false", ask [[
        parlance.spawn(sleep, 1)
        parlance.every(1, print)
        return pcall(parlance.spawn, sleep, 1)]])
    end)

    it("by a field that is a whole number", function()
      for _, value in ipairs { "0", "-1", "1.5", "'x'", "2e9" } do
        local loaded, why = lines.load("Lines.max_tasks = " .. value)
        assert.is_nil(loaded)
        assert.matches("max_tasks is .*, not a whole number of tasks, from 1 to 1e9", why)
      end
    end)
  end)

  describe("is refused", function()
    it("in request_complete", function()
      start "function Lines:request_complete() parlance.spawn(print) return true end"
      send "x"
      assert.truthy(lines.logged():find("parlance.spawn cannot be called in request_complete", 1, true))
    end)

    it("in save and restore", function()
      start "function Lines.save() note(select(2, pcall(parlance.spawn, print))) return 1 end"
      assert.equal("reloaded",
        lines.edit "function Lines.restore() note(select(2, pcall(parlance.spawn, print))) end")
      assert.matches("parlance.spawn cannot be called in save.*parlance.spawn cannot be called in restore",
        lines.noted())
    end)

    it("when the script is being closed", function()
      start [[
        parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function()
            parlance.log('info', tostring(select(2, pcall(parlance.spawn, print))))
          end })
          sleep(10)
        end)
        last = setmetatable({}, { __gc = function() parlance.spawn(print) end })]]
      lines.close()
      assert.truthy(lines.logged():find("spawn: no task can be made here", 1, true))
    end)
  end)

  it("works in handle_close", function()
    start "function Lines:handle_close(why) parlance.spawn(function() sleep(1) note(why) end) end"
    local other = lines.open()
    other:vanish()
    other:close()
    lines.advance(1)
    assert.equal("1 peer_reset", lines.noted())
  end)

  describe("in a hot edit", function()
    it("begins when its version takes over", function()
      start "parlance.spawn(function() note(self_name) sleep(1) note(self_name) end)"
      lines.advance(1)
      assert.equal("0 first, 1 first", lines.noted())
      assert.equal("reloaded", lines.edit("parlance.spawn(function() note(self_name) end)", "second"))
      assert.equal("1 second", lines.noted())
    end)

    it("never begins when its version is refused, which is told", function()
      start()
      assert.equal("refused", lines.edit "parlance.shared.t = parlance.spawn(note, 'ran') error 'no good'")
      assert.equal("", lines.noted())
      assert.equal("nil cancelled cancelled", ask "return listed(parlance.shared.t:wait())")
      assert.equal("false finished", ask "return listed(parlance.shared.t:cancel())")
    end)

    it("can be cancelled while its version is loaded", function()
      start()
      assert.equal("reloaded", lines.edit "parlance.shared.t = parlance.spawn(note, 'ran') parlance.shared.t:cancel()")
      assert.equal("", lines.noted())
    end)

    it("is cancelled with its version where that has made it while it was loaded", function()
      start [[parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function(_, why) note(self_name, tostring(why)) end })
        parlance.spawn(function()
          local y <close> = setmetatable({}, { __close = function() note 'inner' end })
          sleep(10)
        end)
        sleep(10)
      end)]]
      lines.advance(1)
      assert.equal("reloaded", lines.edit("", "second"))
      assert.equal("1 first cancelled, 1 inner", lines.noted())
    end)

    it("is cancelled where it was made by every(), and every() with its run", function()
      start [[parlance.every(1, function()
        local x <close> = setmetatable({}, { __close = function() note 'run' end })
        parlance.spawn(function()
          local y <close> = setmetatable({}, { __close = function() note 'spawned' end })
          sleep(10)
        end)
        sleep(10)
      end)]]
      lines.advance(1)
      assert.equal("reloaded", lines.edit "")
      assert.equal("1 run, 1 spawned", lines.noted())
      lines.advance(10)
      assert.equal("", lines.noted())
    end)

    it("goes on where a request has made it, and keeps its version", function()
      start()
      ask [[parlance.spawn(function()
        sleep(1)
        parlance.spawn(function() sleep(1) note(self_name) end)
        note(self_name)
      end)]]
      assert.equal("reloaded", lines.edit("", "second"))
      assert.equal("reloaded", lines.edit("", "third"))
      lines.advance(2)
      assert.equal("1 first, 2 first", lines.noted())
    end)

    it("is not made any more by what was cancelled with its version", function()
      start [[parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function()
          local t = parlance.spawn(note, 'ran')
          note(listed(t:cancel()))
        end })
        sleep(10)
      end)]]
      assert.equal("reloaded", lines.edit "")
      assert.equal("0 false finished", lines.noted())
    end)

    it("does not count the tasks of the version before it", function()
      start("for _ = 1, 3 do parlance.spawn(sleep, 100) end", { max_tasks = 3 })
      assert.equal("reloaded", lines.edit "for _ = 1, 3 do parlance.spawn(sleep, 200) end")
      assert.equal("refused", lines.edit "for _ = 1, 4 do parlance.spawn(sleep, 100) end")
      assert.equal("false", ask "return pcall(parlance.spawn, sleep, 1)")
    end)
  end)

  it("is cancelled before its state is closed, and closes its variables", function()
    start [[
      for i = 1, 3 do
        parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function(_, why)
            parlance.log('info', i .. tostring(why))
          end })
          sleep(10)
        end)
      end
      parlance.every(1, function()
        local x <close> = setmetatable({}, { __close = function() parlance.log('info', 'run') end })
        sleep(10)
      end)]]
    lines.advance(1)
    ask "parlance.spawn(function() parlance.log('info', 'never') end)"
    lines.logged()
    lines.close()
    assert.matches("1cancelled.*2cancelled.*3cancelled.*message=run", lines.logged())
  end)

  it("is forgotten when it takes too long at the end", function()
    start([[
      for i = 1, 30 do
        parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function() while true do end end })
          parlance.within(100, sleep, 100)
        end)
      end]], { call_timeout = 200 })
    local began = os.clock()
    lines.close()
    assert.is_true(os.clock() - began < 4)
  end)
end)
