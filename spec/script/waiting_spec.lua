-- Scripts that wait, in simulated time: what goes on meanwhile, and how a wait is cancelled.

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

  describe("finds in self.incoming", function()
    for found, complete in pairs { ["by a framing"] = "framing.line()", ["by the script"] = [[function(self)
      local last = self.incoming:find "\n"
      return last ~= nil, last, last and self.incoming:sub(1, last - 1)
    end]] } do
      it("what it has found before, for each request by itself, which was found " .. found, function()
        start("Lines.request_complete = " .. complete .. [[
          function Lines:make_response()
            local before = self.incoming
            if self.request:find "wait" then sleep(1) end
            return ("%s %s; "):format(before == self.incoming, before:gsub("\n", "+"))
          end]])
        session:receive "wait 1\nx\nwait 2\nhal"
        assert.equal("", session:take())
        script:advance(1)
        assert.equal("true wait 1+x+wait 2+hal; true x+wait 2+hal; ", session:take())
        script:advance(1)
        session:receive "f\n"
        assert.equal("true wait 2+hal; true half+; ", session:take())
      end)
    end

    it("only what is behind the request, if it looks after a wait", function()
      start()
      session:receive "sleep(1) return self.incoming\nreturn self.request"
      script:advance(1)
      assert.equal("return self.request", answer())
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

    it("also in a coroutine that is resumed, in the middle of others", function()
      start()
      send [[
        local function wait()
          local x <close> = setmetatable({}, { __close = function() note 'innermost' end })
          sleep(9)
        end
        local function resume() coroutine.resume(coroutine.create(wait)) note 'resumed' end
        local function wrap() coroutine.wrap(resume)() note 'wrapped' end
        local x <close> = setmetatable({}, { __close = function(_, why) note(why) end })
        xpcall(wrap, function() note 'handled' end)
        note 'went on']]
      session:vanish()
      assert.equal("0 innermost, 0 cancelled", noted())
    end)

    for name, wait in pairs {
      ["parlance.sleep"] = "sleep(5)", ["net.connect"] = "net.connect(UP)", ["net.resolve"] = "net.resolve 'localhost'",
      ["stream:read"] = "stream:read 'l'", ["stream:peek"] = "stream:peek(1)", ["self:read"] = "self:read 'l'",
      ["self:peek"] = "self:peek(1)", ["self:write"] = "self:write 'x'", ["task:wait"] = "task:wait()",
      ["parlance.any"] = "parlance.any { task }", ["queue:pop"] = "queue:pop()",
      ["parlance.within"] = "parlance.within(5, print)", ["lock:acquire"] = "lock:acquire()",
      ["a wait in a coroutine"] = "coroutine.wrap(function() return sleep(5) end)()",
      ["a wait in pcall"] = "select(2, pcall(sleep, 5))",
    } do
      it("and then has each wait return at once: " .. name, function()
        start "net = require 'parlance.net' UP = '127.0.0.1:7'"
        script:play_upstreams { { address = "127.0.0.1:7" } }
        send(([[
          local stream = net.connect(UP) stream:detach()
          local task, queue, lock = parlance.spawn(sleep, 1000), parlance.queue(), parlance.lock()
          local held = lock:acquire()
          local x <close> = setmetatable({}, { __close = function() note(%s) end })
          sleep(1000)]]):format(wait))
        session:vanish()
        assert.equal("0 nil cancelled cancelled", noted())
      end)
    end

    for name, wait in pairs { ["for something else"] = "sleep(10)", ["for its peer"] = "self:read 'l'" } do
      it("when its peer stops sending, with half_close = false: while it waits " .. name, function()
        start "Lines.half_close = false"
        send("local x <close> = setmetatable({}, { __close = function(_, why) note(why) end }) " .. wait)
        assert.is_true(session:receive_end())
        assert.equal("0 cancelled", noted())
        assert.equal("peer_closed", session:reason())
      end)
    end

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

    it("with the place of the wait in the log and for handle_error, also within coroutines", function()
      start "Lines.response_timeout = 2 function Lines:handle_error(_, detail) note(detail) end"
      local said <const> = "request:3: the response waited for longer than response_timeout"
      for _, code in ipairs {
        "local f = load('\\n\\n sleep(10)', '=request') f()",
        "local f = load('\\n\\n sleep(10)', '=request') coroutine.wrap(function() pcall(f) end)()",
        "local f = load('\\n\\n sleep(10)', '=request') return function() f() end",
      } do
        local client = script:open()
        send(code, client)
        script:advance(2)
        assert.truthy(logged():find(("detail=%q"):format(said), 1, true))
      end
      assert.equal(("2 %s, 4 %s"):format(said, said), noted())
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

  it("closes its variables after an error, which may wait", function()
    start "function Lines:handle_error(why) return why end"
    send "local x <close> = setmetatable({}, { __close = function(_, e) sleep(1) note(e) end }) error('on purpose', 0)"
    assert.is_false(session:finished())
    script:advance(1)
    assert.equal("script_error", session:take())
    assert.equal("1 on purpose", noted())
  end)

  it("is stopped when a variable that is closed after an error takes too long", function()
    start(nil, { call_timeout = 50 })
    send [[local x <close> = setmetatable({}, { __close = function() sleep(1) while true do end end })
      error 'on purpose']]
    script:advance(1)
    assert.is_true(session:finished())
    assert.truthy(logged():find("error script_overrun service=protocol", 1, true))
  end)

  it("has no message handler called for a stop, which is logged with its place", function()
    start(nil, { call_timeout = 50 })
    send "xpcall(function() while true do end end, function() note 'handled' end) note 'went on'"
    assert.equal("", noted())
    assert.truthy(logged():find(":1: the call took longer than 0.05 s (--call-timeout) and was stopped", 1, true))
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

  it("is stopped although its time is over only in the C function that begins a wait", function()
    start([[
      tasks = { parlance.spawn(parlance.sleep, 100) }
      parlance.atomic(function()
        for _ = 1, 20 do table.move(tasks, 1, #tasks, #tasks + 1) end
      end)]], { call_timeout = 20 })
    assert.equal("1048576", ask "return #tasks")
    ask "note 'begins' parlance.any(tasks, 1) note 'goes on' return 'late'"
    script:advance(1)
    assert.equal("0 begins", noted())
    assert.truthy(logged():find("error script_overrun service=protocol", 1, true))
    assert.equal("script_overrun", session:reason())
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
