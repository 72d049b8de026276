-- Scripts that wait, in simulated time: where a wait works and where it does not, what goes on meanwhile, and how it is
-- cancelled.

local line_protocol = require "support.line_protocol"

describe("a script that waits", function()
  local lines = line_protocol.simulate()
  local send, answer, ask, noted, logged = lines.send, lines.answer, lines.ask, lines.noted, lines.logged
  local script, session

  local function start(...) script, session = lines.start(...) end

  it("answers when the wait is over", function()
    start()
    assert.equal("", ask "sleep(0.5) return 'late'")
    script:advance(0.499)
    assert.equal("", answer())
    script:advance(0.001)
    assert.equal("late", answer())
    assert.equal("next", ask "return 'next'")
  end)

  it("keeps nobody else waiting", function()
    start()
    ask "sleep(5) return 'late'"
    local other = script:open()
    assert.equal("now", ask("return 'now'", other))
  end)

  it("answers the next requests of the connection behind it, in their order", function()
    start()
    session:receive "sleep(1) return 1\nreturn 2\nsleep(1) return 3\nreturn 4\n"
    script:advance(1)
    assert.equal("1\n2", answer())
    script:advance(1)
    assert.equal("3\n4", answer())
  end)

  it("goes on for two hundred connections at once", function()
    start()
    local all = {}
    for i = 1, 200 do
      all[i] = script:open()
      send("sleep(0.5) return " .. i, all[i])
    end
    script:advance(0.5)
    for i = 1, 200 do assert.equal(tostring(i), answer(all[i])) end
  end)

  describe("can do so", function()
    for name, body in pairs {
      ["in pcall"] = "return select(2, pcall(function() sleep(1) return 'done' end))",
      ["and raise in pcall"] = "return (select(2, pcall(function() sleep(1) error('done', 0) end)))",
      ["in xpcall"] = "return select(2, xpcall(function() sleep(1) return 'done' end, print))",
      ["and raise in xpcall"] =
        "return select(2, xpcall(function() sleep(1) error('do', 0) end, function(e) return e .. 'ne' end))",
      ["in a coroutine that is wrapped"] = "return coroutine.wrap(function() sleep(1) return 'done' end)()",
      ["in a coroutine that is resumed"] = [[
        local co = coroutine.create(function(a)
          sleep(0.5)
          local b = coroutine.yield(a .. 'o')
          sleep(0.5)
          return b
        end)
        local _, one = coroutine.resume(co, 'd')
        local _, two = coroutine.resume(co, 'ne')
        return one .. two]],
      ["in coroutines within each other"] = [[
        local function nest(n)
          if n == 0 then sleep(1) return 'done' end
          return coroutine.wrap(nest)(n - 1)
        end
        return nest(50)]],
      ["and raise in a coroutine"] = [[
        local co = coroutine.create(function() sleep(1) error('done', 0) end)
        local ok, why = coroutine.resume(co)
        return ok == false and coroutine.status(co) == 'dead' and why]],
      ["in an operator"] = "return setmetatable({}, { __add = function() sleep(1) return 'done' end }) + 1",
      ["in an index"] = "return setmetatable({}, { __index = function() sleep(1) return 'done' end }).x",
      ["in pairs"] = [[
        local t = setmetatable({}, { __pairs = function() sleep(1) return next, { done = 1 } end })
        for k in pairs(t) do return k end]],
      ["in an iterator"] = "for x in function(_, last) sleep(1) return not last and 'done' or nil end do return x end",
      ["in a variable that is closed"] = [[
        local done
        do local x <close> = setmetatable({}, { __close = function() sleep(1) done = 'done' end }) end
        return done]],
      ["in the closing value of a loop"] = [[
        local done
        for _ in function() end, nil, nil, setmetatable({}, { __close = function() sleep(1) done = 'done' end }) do end
        return done]],
      ["in dofile"] = "return dofile(MODULE) and 'done'",
      ["in require"] = "return require 'module'.value == 'required' and 'done'",
    } do
      it(name, function()
        start()
        local path = lines.add("module.lua", "parlance.sleep(1) return { value = 'required' }")
        assert.equal("", ask((body:gsub("MODULE", ("%q"):format(path)))))
        script:advance(1)
        assert.equal("done", answer())
      end)
    end

    it("in handle_connect", function()
      start "function Lines:handle_connect() sleep(1) return 'welcome\\n' end"
      send "return 'first'"
      assert.equal("", answer())
      script:advance(1)
      assert.equal("welcome\nfirst", answer())
    end)

    it("in handle_error", function()
      start [[
        Lines.request_complete = function() return nil, "malformed" end
        function Lines:handle_error() sleep(1) return "sorry\n" end]]
      send "x"
      assert.equal("", answer())
      script:advance(1)
      assert.equal("sorry", answer())
      assert.is_true(session:finished())
    end)

    it("in a function of a response", function()
      start [[
        function Lines:make_response()
          local n = 0
          return { "a", function() sleep(1) n = n + 1 return n < 3 and tostring(n) or nil end, "z" }
        end]]
      send "x"
      assert.equal("a", session:take())
      script:advance(1)
      assert.equal("1", session:take())
      script:advance(2)
      assert.equal("2z", session:take())
    end)
  end)

  describe("cannot do so", function()
    for name, case in pairs {
      ["in table.sort"] = {
        "table.sort({ 2, 1, 3 }, function() sleep(1) end)", "parlance.sleep cannot wait within sort",
      },
      ["in string.gsub"] = { "('x'):gsub('x', function() sleep(1) end)", "parlance.sleep cannot wait within gsub" },
      ["in tostring"] = {
        "tostring(setmetatable({}, { __tostring = function() sleep(1) return '' end }))",
        "parlance.sleep cannot wait within tostring",
      },
      ["in the reader of load"] = { "assert(load(function() sleep(1) end))", "parlance.sleep cannot wait within " },
      ["in a coroutine that is closed"] = {
        [[local co = coroutine.create(function()
            local x <close> = setmetatable({}, { __close = function() sleep(1) end })
            coroutine.yield()
          end)
          coroutine.resume(co)
          assert(coroutine.close(co))]],
        "parlance.sleep cannot wait in a variable that coroutine.close closes",
      },
      ["in a coroutine within table.sort"] = {
        "table.sort({ 2, 1, 3 }, function() coroutine.wrap(function() sleep(1) end)() end)",
        "parlance.sleep cannot wait within sort",
      },
      ["in parlance.atomic"] = { "parlance.atomic(sleep, 1)", "parlance.sleep cannot wait within " },
    } do
      it(name, function()
        start()
        local said = ask("local ok, why = pcall(function() " .. case[1] .. " end) return tostring(why)")
        assert.truthy(said:find(case[2], 1, true), said)
      end)
    end

    it("in request_complete, which is told", function()
      start "function Lines:request_complete() sleep(1) return true end"
      send "x"
      assert.truthy(logged():find("parlance.sleep cannot wait in request_complete", 1, true))
    end)

    it("in handle_close", function()
      start "function Lines:handle_close() sleep(1) end"
      session:vanish()
      session:close()
      assert.truthy(logged():find("parlance.sleep cannot wait in handle_close", 1, true))
    end)

    it("and goes on where a function that cannot wait has caught an error", function()
      start [[
        closed = 0
        function Lines:request_complete() return not pcall(error), #self.incoming, self.incoming end
        function Lines:handle_close() pcall(error) closed = closed + 1 end]]
      assert.equal("0", ask "return closed")
      session:close()
      assert.equal("1", ask("return closed", script:open()))
    end)

    it("while it is loaded", function()
      local loaded, why = lines.load "sleep(1)"
      assert.is_nil(loaded)
      assert.truthy(why:find("parlance.sleep cannot wait", 1, true))
    end)

    it("in a message handler, where it returns why", function()
      start()
      assert.equal("nil parlance.sleep cannot wait in the message handler of xpcall cannot wait", ask [[
        local got
        xpcall(error, function() got = table.pack(sleep(1)) end)
        return ("%s %s %s"):format(table.unpack(got, 1, 3))]])
    end)

    it("with a number that is none", function()
      start()
      assert.matches("number expected", ask "return select(2, pcall(sleep, 'x'))")
      assert.matches("from 0 to 1e9", ask "return select(2, pcall(sleep, -1))")
    end)
  end)

  describe("has coroutines", function()
    it("that are normal while they wait, and cannot be resumed or closed", function()
      start()
      send "co = coroutine.create(function() sleep(1) return 'done' end) return select(2, coroutine.resume(co))"
      local other = script:open()
      assert.equal("normal", ask("return coroutine.status(co)", other))
      assert.equal("cannot resume: the coroutine waits", ask("return select(2, coroutine.resume(co))", other))
      assert.equal("cannot close: the coroutine waits", ask("return select(2, coroutine.close(co))", other))
      script:advance(1)
      assert.equal("done", answer())
      assert.equal("dead", ask("return coroutine.status(co)", other))
    end)

    it("of its own only, to yield in", function()
      start()
      assert.equal("false", ask "return coroutine.isyieldable()")
      assert.equal("true", ask "return coroutine.wrap(coroutine.isyieldable)()")
      assert.matches("only in a coroutine that the script has made", ask "return select(2, pcall(coroutine.yield))")
    end)
  end)

  describe("is cancelled", function()
    local CLOSES <const> = [[
      local function closing(name)
        return setmetatable({}, { __close = function(_, why)
          note(name, tostring(why), select('#', sleep(1)), (select(3, sleep(1))))
        end })
      end
      local a <close> = closing 'outer'
      pcall(function()
        coroutine.wrap(function()
          local b <close> = closing 'inner'
          xpcall(sleep, function() note 'handled' end, 10)
          note 'went on'
        end)()
      end)
      note 'caught']]

    it("when its peer is gone: only its variables are closed, the innermost first", function()
      start()
      send(CLOSES)
      script:advance(1)
      session:vanish()
      assert.equal("1 inner cancelled 3 cancelled, 1 outer cancelled 3 cancelled", noted())
      assert.equal("", logged())
    end)

    for name, catch in pairs {
      pcall = "pcall(held)",
      ["coroutine.resume"] = "coroutine.resume(coroutine.create(held))",
      ["coroutine.wrap"] = "pcall(coroutine.wrap(held))",
    } do
      it("also if a variable that it closes raises another error, within " .. name, function()
        start "Lines.response_timeout = 1"
        send([[local function held()
          local x <close> = setmetatable({}, { __close = function()
            note(tostring((pcall(error, 'caught within')))) error 'another' end })
          sleep(10)
        end ]] .. catch .. " note 'escaped' return 'escaped'")
        script:advance(1)
        assert.equal("", answer())
        assert.is_true(session:finished())
        assert.equal("1 false", noted())
        local next_one = script:open()
        assert.equal("", ask("return select('#', sleep(0.5))", next_one))
        script:advance(0.5)
        assert.equal("0", answer(next_one))
      end)
    end

    it("in a function of a response, also if a variable that it closes raises another error", function()
      start [[
        Lines.response_timeout = 1
        function Lines:make_response()
          return { "a", function()
            pcall(function()
              local x <close> = setmetatable({}, { __close = function() error 'another' end })
              sleep(10)
            end)
            return 'escaped'
          end }
        end]]
      send "x"
      script:advance(1)
      assert.equal("a", session:take())
      assert.is_true(session:finished())
    end)

    it("before handle_close is called", function()
      start "function Lines:handle_close(why) note('closed', why) end"
      send "local x <close> = setmetatable({}, { __close = function() note 'x' end }) sleep(10)"
      session:vanish()
      session:close()
      assert.equal("0 x, 0 closed peer_reset", noted())
    end)

    it("when it waits for longer than response_timeout", function()
      start "Lines.response_timeout = 2 function Lines:handle_error(why) note(why) return why .. '\\n' end"
      send "sleep(10)"
      script:advance(1.999)
      assert.equal("", answer())
      script:advance(0.001)
      assert.equal("response_timeout", answer())
      assert.is_true(session:finished())
      assert.truthy(logged():find("warn response_timeout service=protocol", 1, true))
    end)

    it("after the time that was set for this request", function()
      start "Lines.response_timeout = 2"
      ask "(...):set_response_timeout(5) sleep(4.5) return 'late'"
      script:advance(4.5)
      assert.equal("late", answer())
      ask "(...):set_response_timeout(0) sleep(4.5) return 'late'"
      script:advance(4.5)
      assert.equal("late", answer())
      ask "sleep(2.5)"
      script:advance(2)
      assert.is_true(session:finished())
      local refused = ask("return select(2, pcall((...).set_response_timeout, (...), -1))", script:open())
      assert.matches("seconds", refused)
    end)

    it("after the time that was set for this request, in a function of its response, too", function()
      start [[
        Lines.response_timeout = 2
        function Lines:make_response()
          self:set_response_timeout(5)
          return function() sleep(4.5) return "x" end
        end]]
      ask "x"
      script:advance(4.5)
      assert.equal("x", session:take())
    end)

    it("when its waits together take longer than response_timeout", function()
      start "Lines.response_timeout = 2"
      send "sleep(1.5) sleep(1.5) return 'late'"
      script:advance(1.999)
      assert.is_false(session:finished())
      script:advance(0.001)
      assert.is_true(session:finished())
      assert.equal("", answer())
    end)

    it("when a function of its response waits for too long: nothing more is sent", function()
      start [[
        Lines.response_timeout = 2
        function Lines:handle_error(why) return why end
        function Lines:make_response()
          local n = 0
          return { "a", function()
            n = n + 1
            sleep(1.5)
            if n == 3 then sleep(1.5) end
            return tostring(n)
          end }
        end]]
      send "x"
      assert.equal("a", session:take())
      script:advance(1.5)
      assert.equal("1", session:take())
      script:advance(1.5)
      assert.equal("2", session:take())
      script:advance(1.999)
      assert.is_false(session:finished())
      script:advance(0.001)
      assert.equal("", session:take())
      assert.is_true(session:finished())
    end)

    it("when it is being closed, with its script", function()
      start()
      send "local x <close> = setmetatable({}, { __close = function() parlance.log('info', 'closed') end }) sleep(10)"
      lines.close()
      assert.truthy(logged():find("message=closed", 1, true))
    end)
  end)

  it("is stopped when it takes too long, and what it has to close is closed", function()
    start(nil, { call_timeout = 50 })
    send "local x <close> = setmetatable({}, { __close = function() sleep(1) note 'x' end }) sleep(1) while true do end"
    script:advance(1)
    script:advance(1)
    assert.equal("2 x", noted())
    assert.truthy(logged():find("error script_overrun service=protocol", 1, true))
  end)

  it("is stopped for good when what it has to close takes too long as well", function()
    start(nil, { call_timeout = 50 })
    send [[local x <close> = setmetatable({}, { __close = function() while true do pcall(error) end end })
      while true do end]]
    assert.is_true(session:finished())
    assert.equal("fine", ask("return 'fine'", script:open()))
  end)

  it("goes on in the version that it began with", function()
    start "version = 'first'"
    send "sleep(1) return version"
    assert.equal("reloaded", lines.edit "version = 'second'")
    assert.equal("second", ask("return version", script:open()))
    script:advance(1)
    assert.equal("first", answer())
    assert.equal("second", ask "return version")
  end)

  it("logs an error after a wait with its place", function()
    start()
    send "sleep(1) error 'on purpose'"
    script:advance(1)
    local log = logged()
    assert.truthy(log:find('[string "sleep(1) error \'on purpose\'"]:1: on purpose', 1, true), log)
    assert.truthy(log:find("protocol.lua:", 1, true), log)
  end)
end)
