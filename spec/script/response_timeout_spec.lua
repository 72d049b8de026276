-- response_timeout: how long a function that answers may wait, in simulated time. See waiting_spec.lua for what becomes
-- of a request that waits for longer.

local line_protocol = require "support.line_protocol"

describe("response_timeout", function()
  local lines = line_protocol.simulate()
  local send, answer = lines.send, lines.answer
  local script, session

  local function start(...) script, session = lines.start(...) end

  -- The connection ends after so many seconds, and not before.
  local function ends_after(seconds)
    script:advance(seconds - 0.001)
    assert.is_false(session:finished())
    script:advance(0.001)
    session:take()
    assert.is_true(session:finished())
  end

  it("is 60 s if nothing says otherwise", function()
    start()
    send "sleep(1000)"
    ends_after(60)
  end)

  it("is what the option says before the field", function()
    start("Lines.response_timeout = 2", { response_timeout = 5000 })
    send "sleep(1000)"
    ends_after(5)
  end)

  it("is none with 0", function()
    start "Lines.response_timeout = 0"
    send "sleep(1000000) return 'late'"
    script:advance(1000000)
    assert.equal("late", answer())
  end)

  it("holds for handle_connect", function()
    start [[
      Lines.response_timeout = 2
      function Lines:handle_connect() sleep(1000) end
      function Lines:handle_error(why) return "sorry: " .. why end]]
    script:advance(1.999)
    assert.is_false(session:finished())
    script:advance(0.001)
    assert.equal("sorry: response_timeout", session:take())
    assert.is_true(session:finished())
  end)

  it("begins anew for each request, also of one that follows at once", function()
    start "Lines.response_timeout = 2 function Lines:handle_connect() sleep(1.9) return 'hello; ' end"
    session:receive "sleep(1.9) return 1\nsleep(1.9) return 2\n"
    script:advance(1.9)
    session:receive "sleep(1.9) return 1\nsleep(1.9) return 2\n"
    script:advance(3.8)
    assert.equal("hello; 1\n2\n", session:take())
  end)

  it("begins anew for handle_error", function()
    start [[
      Lines.response_timeout = 2
      function Lines:handle_error(why) sleep(1.9) return why end]]
    send "sleep(1.9) error 'on purpose'"
    script:advance(1.9)
    script:advance(1.899)
    assert.equal("", session:take())
    script:advance(0.001)
    assert.equal("script_error", session:take())
    assert.is_true(session:finished())
  end)

  it("begins anew for the handle_error that it has caused itself", function()
    start "Lines.response_timeout = 2 function Lines:handle_error(why) sleep(1.9) return why end"
    send "sleep(1000)"
    script:advance(2)
    script:advance(1.9)
    assert.equal("response_timeout", session:take())
  end)

  it("has no handle_error called for handle_error", function()
    start [[
      Lines.response_timeout = 2
      function Lines:handle_error(why) note(why) sleep(1000) end]]
    send "error 'on purpose'"
    ends_after(2)
    assert.equal("0 script_error", lines.noted())
    assert.equal("script_error", session:reason())
  end)

  it("begins anew for each piece of a stream in a response", function()
    start "net = require 'parlance.net' Lines.response_timeout = 2"
    script:play_upstreams { { address = "127.0.0.1:7" } }
    send "return { 'begun;', net.connect '127.0.0.1:7' }"
    for _ = 1, 3 do
      script:advance(1.999)
      script:upstream_send(1, "x")
    end
    assert.equal("begun;xxx", session:take())
    ends_after(2)
    assert.equal("response_timeout", session:reason())
    assert.equal("reset", script:upstream_state(1))
  end)

  it("begins anew with each byte to and from the peer", function()
    start "Lines.response_timeout = 2"
    send "sleep(1.9) self:write 'a' sleep(1.9) note(self:read(1)) sleep(1.9) self:write 'b' sleep(1000)"
    script:advance(1.9)
    assert.equal("a", session:take())
    script:advance(1.9)
    session:receive "x"
    script:advance(1.9)
    assert.equal("b", session:take())
    ends_after(2)
    assert.equal("3.8 x", lines.noted())
  end)

  it("does not hold in self:read, where idle_timeout does", function()
    start "Lines.response_timeout = 2 Lines.idle_timeout = 9"
    send "return self:read 'l'"
    ends_after(9)
    assert.equal("idle_timeout", session:reason())
  end)

  it("does not hold in self:write, where write_timeout does", function()
    start "Lines.response_timeout = 2 Lines.write_timeout = 9"
    send "for _ = 1, 10 do self:write(('x'):rep(100000)) end"
    script:advance(8.999)
    assert.is_false(session:finished())
    script:advance(0.001)
    assert.equal("write_timeout", session:reason())
  end)
end)
