-- Streams to other servers, in simulated time: their limits of time, whose they are, and two tasks that use one.

local line_protocol = require "support.line_protocol"

local UP <const> = "192.0.2.1:7"

describe("a stream in simulated time", function()
  local lines = line_protocol.simulate()
  local send, answer, ask, noted = lines.send, lines.answer, lines.ask, lines.noted
  local script, session

  local function start(at_load)
    script, session = lines.start(("net = require 'parlance.net' UP = %q %s"):format(UP, at_load or ""))
    script:play_upstreams { { address = UP } }
  end

  describe("that is connected", function()
    before_each(function()
      start()
      script:play_upstreams { { address = UP, failure = "timeout" } }
    end)

    it("is given up after 10 s if nothing says otherwise", function()
      send "return show(net.connect(UP))"
      script:advance(9.999)
      assert.equal("", answer())
      script:advance(0.001)
      assert.equal('nil "timeout" "timeout"', answer())
    end)

    it("is given up after the time that is set for this alone", function()
      send "return show(net.connect(UP, { timeout = 2.5 }))"
      script:advance(2.499)
      assert.equal("", answer())
      script:advance(0.001)
      assert.equal('nil "timeout" "timeout"', answer())
    end)

    it("has no limit with 0 but that of the request", function()
      send "return show(net.connect(UP, { timeout = 0 }))"
      script:advance(59.999)
      assert.is_false(session:finished())
      script:advance(0.001)
      assert.is_true(session:finished())
    end)
  end)

  for _, code in ipairs { "refused", "unreachable", "name" } do
    it("has a code for why it is not there: " .. code, function()
      start()
      script:play_upstreams { { address = UP, failure = code, why = "on purpose" } }
      assert.matches(('^nil ".*" "%s"$'):format(code), ask "return show(net.connect(UP))")
    end)
  end

  describe("of a request", function()
    it("has no time-out of its own", function()
      start "Lines.response_timeout = 0"
      send "local s = net.connect(UP) return show(s:read 'l')"
      script:advance(100000)
      assert.equal("", answer())
      script:upstream_send(1, "late\n")
      assert.equal('"late"', answer())
    end)

    it("ends with it after response_timeout, which is 60 s if nothing says otherwise", function()
      start()
      send "local s = net.connect(UP) return show(s:read 'l')"
      script:advance(59.999)
      assert.is_false(session:finished())
      script:advance(0.001)
      assert.is_true(session:finished())
      assert.equal("reset", script:upstream_state(1))
    end)

    it("does not start response_timeout anew with the bytes that come", function()
      start()
      send "local s = net.connect(UP) return show(s:read 'l')"
      script:advance(30)
      script:upstream_send(1, "a part")
      script:advance(30)
      assert.is_true(session:finished())
    end)
  end)

  describe("of a task that runs beside", function()
    it("has a time-out of 60 s for each read and each write", function()
      start()
      ask [[parlance.spawn(function()
          local s = net.connect(UP)
          note(s:read 'l')
          note(s:write(('x'):rep(2000000)))
        end)]]
      script:advance(200)
      assert.equal("60 nil timeout timeout, 120 nil timeout timeout", noted())
    end)

    it("has that in a function of parlance.every, too", function()
      start "parlance.every(5, function() local s <close> = net.connect(UP) note(s:read 'l') end)"
      script:advance(70)
      assert.equal("65 nil timeout timeout", noted())
    end)

    it("has none with 0", function()
      start()
      ask "parlance.spawn(function() local s = net.connect(UP) s:set_timeout(0) note(s:read 'l') end)"
      script:advance(100000)
      script:upstream_send(1, "late\n")
      assert.equal("100000 late", noted())
    end)
  end)

  it("that was given back is kept for 60 s", function()
    start()
    local LINE <const> = "local s = net.connect(UP, { reuse = true }) return listed(s.reused, s:release())"
    assert.equal("false true", ask(LINE))
    script:advance(59.999)
    assert.equal("true true", ask(LINE))
    script:advance(59.999)
    assert.equal("open", script:upstream_state(1))
    script:advance(0.001)
    assert.equal("closed", script:upstream_state(1))
    assert.equal("false true", ask(LINE))
  end)

  describe("that was closed", function()
    -- The other side takes 1 MiB without reading.
    local CLOSES <const> = "local s = net.connect(UP) s:write(('x'):rep(1100000)) s:close() return 'closed'"

    it("has 10 s for what was written, and then is reset", function()
      start()
      assert.equal("closed", ask(CLOSES))
      script:advance(9.999)
      assert.equal("open", script:upstream_state(1))
      script:advance(0.001)
      assert.equal("reset", script:upstream_state(1))
    end)

    it("stops sending behind it, and is closed when the other side stops, too", function()
      start()
      assert.equal("closed", ask(CLOSES))
      script:advance(9.999)
      assert.equal(1048576, #script:upstream_take(1))
      script:advance(0)
      assert.equal(1100000 - 1048576, #script:upstream_take(1))
      assert.equal("shut", script:upstream_state(1))
      script:upstream_end(1)
      assert.equal("closed", script:upstream_state(1))
    end)
  end)

  describe("of two tasks", function()
    it("sends what each of them writes whole", function()
      start()
      send "kept = net.connect(UP) kept:write(('a'):rep(200000)) sleep(1) kept:write 'a' return 'done'"
      assert.equal("true", ask("return tostring(kept:write('b', 'c', 'd') == kept)", script:open()))
      script:advance(1)
      assert.equal(("a"):rep(200000) .. "bcda", script:upstream_take(1))
    end)

    it("has one writer at a time: the second gets an error", function()
      start()
      send "kept = net.connect(UP) kept:write(('a'):rep(2000000)) return 'done'"
      local said = ask("return show(pcall(kept.write, kept, 'b'))", script:open())
      assert.matches("another task writes to the stream", said)
      local all = script:upstream_take(1) .. script:upstream_take(1)
      assert.equal(("a"):rep(2000000), all)
      assert.equal("done", answer())
    end)

    it("is closed with the one that has made it, for both", function()
      start()
      assert.equal("1", ask "kept = net.connect(UP) return 1")
      assert.equal("closed", script:upstream_state(1))
      assert.equal('nil "closed" "closed" nil "closed" "closed"',
        ask "local function of(...) return show(...) end return of(kept:read 'l') .. ' ' .. of(kept:write 'x')")
    end)

    it("cannot be returned by a request that has not made it", function()
      start()
      ask "return parlance.spawn(function() kept = net.connect(UP) end):wait()"
      assert.equal("", ask "return kept")
      assert.matches("a stream of the response is closed", lines.logged())
    end)

    it("cannot be returned twice, in one list or in two responses", function()
      start()
      send "kept = net.connect(UP) return kept"
      local other = script:open()
      assert.equal("", ask("return { 'begun', kept }", other))
      assert.matches("a stream cannot be returned twice", lines.logged())
      script:upstream_send(1, "whole")
      script:upstream_end(1)
      assert.equal("whole", session:take())
      send "local s = net.connect(UP) return { 'begun', s, s }"
      assert.equal("", session:take())
      assert.matches("a stream cannot be returned twice", lines.logged())
      assert.equal("closed", script:upstream_state(2))
    end)

    it("has the files beside it closed where it cannot be returned", function()
      start()
      send "file = io.open '/dev/null' kept = net.connect(UP) kept:close() return { file, kept }"
      assert.is_true(session:finished())
      assert.equal("closed file", ask("return io.type(file)", script:open()))
    end)
  end)

  it("that is detached lives until it is collected, which is logged", function()
    start()
    ask "net.connect(UP):detach()"
    assert.equal("open", script:upstream_state(1))
    ask "collectgarbage()"
    assert.equal("closed", script:upstream_state(1))
    assert.matches("warn stream_collected service=protocol address=192.0.2.1:7", lines.logged())
  end)

  it("that is detached and kept lives until it is closed", function()
    start()
    ask "kept = net.connect(UP) kept:detach()"
    session:vanish()
    script:upstream_send(1, "hello\n")
    assert.equal("hello", ask("return kept:read 'l'", script:open()))
    ask("kept:close()", script:open())
    assert.equal("closed", script:upstream_state(1))
  end)

  it("that is detached goes over into the next version", function()
    start()
    ask "local s = net.connect(UP) s:detach() parlance.shared.stream = s"
    assert.equal("reloaded", lines.edit "-- the next version")
    script:upstream_send(1, "hello\n")
    assert.equal("hello", ask("return parlance.shared.stream:read 'l'", script:open()))
    ask("parlance.shared.stream:close()", script:open())
  end)
end)
