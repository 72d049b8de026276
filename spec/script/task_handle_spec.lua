-- What parlance.spawn() returns: task:wait(), task:cancel(), parlance.any(), and the errors that nobody waits for, in
-- simulated time.

local line_protocol = require "support.line_protocol"

describe("a task", function()
  local lines = line_protocol.simulate()
  local start, ask, send, answer = lines.start, lines.ask, lines.send, lines.answer

  describe("wait", function()
    it("returns true and what the function has returned, each time", function()
      start()
      ask "t = parlance.spawn(function(a) sleep(1) return a, nil, 'c' end, 'a')"
      send "return listed(t:wait())"
      local other = lines.open()
      send("return listed(t:wait())", other)
      assert.equal("", answer())
      lines.advance(1)
      assert.equal("true a nil c", answer())
      assert.equal("true a nil c", answer(other))
      assert.equal("true a nil c", ask "collectgarbage() return listed(t:wait())")
      assert.equal("true a nil c", ask "return listed(t:wait(0))")
    end)

    it("returns true alone where nothing was returned", function()
      start()
      assert.equal("true", ask "return listed(parlance.spawn(function() end):wait())")
    end)

    it("returns nil and the time-out, and the task goes on", function()
      start()
      send "t = parlance.spawn(function() sleep(2) return 'late' end) return listed(t:wait(1))"
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      assert.equal("nil timeout timeout", ask "return listed(t:wait(0))")
      send "return listed(t:wait(1))"
      lines.advance(1)
      assert.equal("true late", answer())
    end)

    it("returns nil and the error, which is not logged then", function()
      start()
      send "t = parlance.spawn(function() sleep(1) error('on purpose', 0) end) return listed(t:wait())"
      lines.advance(1)
      assert.equal("nil on purpose error", answer())
      assert.equal("nil on purpose error", ask "return listed(t:wait())")
      assert.equal("", lines.logged())
    end)

    it("gives the value that was raised, whatever it is", function()
      start()
      send [[
        local why = {}
        local t = parlance.spawn(function() sleep(1) error(why) end)
        local ok, got, code = t:wait()
        return listed(ok, got == why, code, parlance.spawn(error):wait())]]
      lines.advance(1)
      assert.equal("nil true error nil nil error", answer())
    end)

    it("for one's own end is an error", function()
      start()
      send [[
        local t
        t = parlance.spawn(function() return pcall(t.wait, t) end)
        return listed(select(3, t:wait()))]]
      assert.equal("a task cannot wait for its own end", answer())
    end)

    it("of two tasks for each other lasts until one is cancelled", function()
      start()
      ask [[
        a = parlance.spawn(function() return listed(b:wait()) end)
        b = parlance.spawn(function() return listed(a:wait()) end)]]
      lines.advance(10)
      ask "b:cancel()"
      assert.equal("true nil cancelled cancelled", ask "return listed(a:wait())")
    end)

    it("cannot be where nothing may wait, unless the task has ended", function()
      start()
      ask "t = parlance.spawn(sleep, 1)"
      assert.matches("task:wait cannot wait within table.sort",
        ask "return select(2, pcall(function() table.sort({ 1, 2 }, function() t:wait() end) end))")
      lines.advance(1)
      assert.equal("true", ask [[
        local got
        table.sort({ 1, 2 }, function() got = t:wait() end)
        return tostring(got)]])
    end)
  end)

  describe("an error that nobody waits for", function()
    it("is logged at once, with its place", function()
      start()
      ask "parlance.spawn(function() sleep(1) error 'on purpose' end)"
      lines.advance(1)
      local text = lines.logged()
      assert.matches("^error script_error service=protocol task=spawned detail=", text)
      assert.truthy(text:find("on purpose", 1, true), text)
      assert.truthy(text:find("in function", 1, true), text)
    end)

    it("is logged before the pending variables are closed, and known to one that comes later", function()
      start()
      ask [[t = parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function() sleep(5) note 'x' end })
        error('on purpose', 0)
      end)]]
      assert.truthy(lines.logged():find("on purpose", 1, true))
      send "return listed(t:wait())"
      lines.advance(5)
      assert.equal("nil on purpose error", answer())
      assert.equal("", lines.logged())
    end)

    it("is logged when the one that waited was cancelled before it", function()
      start()
      ask "t = parlance.spawn(function() sleep(2) error 'on purpose' end) w = parlance.spawn(function() t:wait() end)"
      lines.advance(1)
      ask "w:cancel()"
      lines.advance(1)
      assert.truthy(lines.logged():find("on purpose", 1, true))
    end)

    it("of a call that took too long is one, too", function()
      start(nil, { call_timeout = 50 })
      ask "t = parlance.spawn(function() while true do pcall(error) end end)"
      assert.truthy(lines.logged():find("error script_overrun service=protocol task=spawned", 1, true))
      assert.equal("nil error", ask "local a, _, b = t:wait() return listed(a, b)")
    end)

    it("is one where there is no memory", function()
      start(nil, { memory_limit = 1 << 22 })
      ask "t = parlance.spawn(function() return ('x'):rep(1 << 30) end)"
      assert.truthy(lines.logged():find("error out_of_memory service=protocol task=spawned", 1, true))
    end)
  end)

  describe("cancel", function()
    -- Begins a task `t` that sleeps, and runs this piece of Lua when its variable is closed.
    local function spawn_closing(code)
      ask(([[t = parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function() %s end })
        sleep(10)
      end)]]):format(code))
    end

    it("raises in the wait at hand: only the variables are closed, the innermost first", function()
      start()
      ask [[
        local function closing(name)
          return setmetatable({}, { __close = function(_, why) note(name, tostring(why), listed(sleep(1))) end })
        end
        t = parlance.spawn(function()
          local a <close> = closing 'outer'
          pcall(function()
            coroutine.wrap(function()
              local b <close> = closing 'inner'
              xpcall(sleep, function() note 'handled' end, 10)
              note 'went on'
            end)()
          end)
          note 'caught'
        end)]]
      lines.advance(1)
      assert.equal("true", ask "return listed(t:cancel())")
      assert.equal("1 inner cancelled nil cancelled cancelled, 1 outer cancelled nil cancelled cancelled",
        lines.noted())
      assert.equal("", lines.logged())
      assert.equal("nil cancelled cancelled", ask "return listed(t:wait())")
      assert.equal("false finished", ask "return listed(t:cancel())")
    end)

    it("of a task that has not begun is never run", function()
      start()
      ask "t = parlance.spawn(note, 'ran') t:cancel()"
      assert.equal("", lines.noted())
      assert.equal("nil cancelled cancelled", ask "return listed(t:wait())")
    end)

    it("of a task that has finished is told", function()
      start()
      ask "t = parlance.spawn(note, 'ran')"
      assert.equal("false finished", ask "return listed(t:cancel())")
    end)

    it("of oneself raises in the next wait", function()
      start()
      send [[
        local t
        t = parlance.spawn(function()
          note(t:cancel())
          note(t:cancel())
          sleep(1)
          note 'went on'
        end)
        return listed(t:wait())]]
      assert.equal("nil cancelled cancelled", answer())
      assert.equal("0 true, 0 true", lines.noted())
    end)

    it("of one that waits no more lets it end", function()
      start()
      assert.equal("true done", ask [[
        local t
        t = parlance.spawn(function() t:cancel() return 'done' end)
        return listed(t:wait())]])
    end)

    it("may come from a variable that is being closed", function()
      start()
      ask [[
        b = parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function() note('b', listed(a:cancel())) end })
          sleep(10)
        end)
        a = parlance.spawn(function()
          local x <close> = setmetatable({}, { __close = function()
            note('a', listed(b:cancel()), listed(a:cancel()))
          end })
          sleep(10)
        end)]]
      ask "a:cancel()"
      assert.equal("0 a true true, 0 b false finished", lines.noted())
    end)

    it("wakes the ones that wait for it", function()
      start()
      send "t = parlance.spawn(sleep, 10) return listed(t:wait())"
      ask("t:cancel()", lines.open())
      assert.equal("nil cancelled cancelled", answer())
    end)

    it("of the one that waits leaves the task alone", function()
      start()
      ask [[
        t = parlance.spawn(function() sleep(1) note 'done' end)
        w = parlance.spawn(function() t:wait() end)
        v = parlance.spawn(function() return (t:wait()) end)]]
      ask "w:cancel()"
      lines.advance(1)
      assert.equal("1 done", lines.noted())
      assert.equal("true true", ask "return listed(v:wait())")
    end)

    it("is over in one slice, however often the task tries to wait", function()
      start()
      spawn_closing "for _ = 1, 1000 do sleep(10) end note 'closed'"
      ask "t:cancel()"
      assert.equal("0 closed", lines.noted())
    end)

    it("logs what closing a variable raises", function()
      start()
      spawn_closing "error('on purpose', 0)"
      ask "t:cancel()"
      assert.truthy(lines.logged():find("on purpose", 1, true))
      assert.equal("nil on purpose error", ask "return listed(t:wait())")
    end)

    it("stops what takes too long to be closed", function()
      start(nil, { call_timeout = 50 })
      spawn_closing "while true do end"
      ask "t:cancel()"
      assert.truthy(lines.logged():find("error script_overrun service=protocol task=spawned", 1, true))
      assert.equal("fine", ask "return 'fine'")
    end)

    it("may come from a finalizer", function()
      start()
      ask "t = parlance.spawn(sleep, 10)"
      ask "setmetatable({}, { __gc = function() t:cancel() parlance.spawn(note, 'made') end }) collectgarbage()"
      assert.equal("nil cancelled cancelled", ask "return listed(t:wait())")
      assert.equal("0 made", lines.noted())
    end)
  end)

  describe("any", function()
    it("returns the task that has ended first, at once or when it ends", function()
      start()
      send [[
        a, b, c = parlance.spawn(sleep, 3), parlance.spawn(sleep, 1), parlance.spawn(sleep, 2)
        local first = parlance.any { a, b, c }
        return first == b]]
      lines.advance(1)
      assert.equal("true", answer())
      lines.advance(2)
      assert.equal("true", ask "return parlance.any { a, c, b } == b")
      assert.equal("true", ask "return parlance.any { a, c } == c")
    end)

    it("returns nil and the time-out", function()
      start()
      send "a = parlance.spawn(sleep, 3) return listed(parlance.any({ a, a }, 1))"
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      assert.equal("nil timeout timeout", ask "return listed(parlance.any({ a }, 0))")
    end)

    it("takes no notice of changes to the list", function()
      start()
      ask "list = { parlance.spawn(sleep, 1), parlance.spawn(sleep, 2) } first = list[1]"
      send "return parlance.any(list) == first"
      ask("list[1], list[2] = nil, nil collectgarbage()", lines.open())
      lines.advance(1)
      assert.equal("true", answer())
    end)

    it("has the errors that are waited for, and not the others, kept from the log", function()
      start()
      send [[
        a = parlance.spawn(function() sleep(1) error 'one' end)
        b = parlance.spawn(function() sleep(2) error 'two' end)
        return parlance.any { a, b } == a]]
      lines.advance(1)
      assert.equal("true", answer())
      assert.equal("", lines.logged())
      lines.advance(1)
      assert.truthy(lines.logged():find("two", 1, true))
    end)

    it("can be cancelled", function()
      start()
      ask "a = parlance.spawn(sleep, 1) b = parlance.spawn(sleep, 2) w = parlance.spawn(parlance.any, { a, b })"
      ask "w:cancel()"
      assert.equal("nil cancelled cancelled", ask "return listed(w:wait())")
      lines.advance(2)
      assert.equal("true", ask "return listed(b:wait())")
    end)

    it("refuses what is no list of tasks, and one's own task", function()
      start()
      for _, list in ipairs { "{}", "nil", "{ 1 }", "{ io.stdout }", "{ parlance.spawn(print), 'x' }" } do
        assert.matches("bad argument #1", ask("return select(2, pcall(parlance.any, " .. list .. "))"))
      end
      assert.matches("its own end", ask [[
        local t
        t = parlance.spawn(function() return select(2, pcall(parlance.any, { t })) end)
        return select(2, t:wait())]])
    end)
  end)
end)
