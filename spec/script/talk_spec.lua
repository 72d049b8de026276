-- self:read, self:peek and self:write: a function that answers talks with its peer itself.

local line_protocol = require "support.line_protocol"
local server = require "support.server"

describe("self in simulated time", function()
  local lines = line_protocol.simulate()
  local script, session

  local function start(rest) script, session = lines.start(rest) end
  local function send(code) lines.send(code, session) end

  it("has no last words behind what was written, when it is cancelled", function()
    start "Lines.response_timeout = 1 function Lines:handle_error(why) return why end"
    send "self:write 'part' parlance.sleep(10)"
    script:advance(1)
    assert.equal("part", session:take())
    assert.is_true(session:finished())
  end)

  it("begins response_timeout anew with what is written", function()
    start "Lines.response_timeout = 1"
    send "for i = 1, 4 do parlance.sleep(0.6) self:write(i) end return ''"
    script:advance(2.4)
    assert.equal("1234\n", session:take())
  end)

  describe("read", function()
    for _, case in ipairs {
      { "'l'", { "one\r\nrest" }, '"one"' },
      { "'L'", { "one", "\n" }, '"one\\n"' },
      { "3", { "a", "b", "c" }, '"abc"' },
      { "0", {}, '""' },
      { "'any'", { "x" }, '"x"' },
      { "framing.netstring()", { "3:a", "bc", "," }, '"abc"' },
    } do
      it("takes " .. case[1] .. " behind the request", function()
        start()
        send("return show(self:read(" .. case[1] .. "))")
        for _, piece in ipairs(case[2]) do session:receive(piece) end
        assert.equal(case[3] .. "\n", session:take())
      end)
    end

    it("takes what came with the request, and leaves the rest for the next one", function()
      start()
      session:receive "return show(self:read(3), self:peek(2), self.request)\nabcreturn 1 + 1\n"
      assert.equal('"abc" "re" "return show(self:read(3), self:peek(2), self.request)"\n2\n',
        session:take())
    end)

    it("takes all up to the end, and tells the end", function()
      start()
      send "return show(self:read 'a', self:read 'l')"
      session:receive "abc"
      session:receive_end()
      assert.equal('"abc" nil "closed" "closed"\n', session:take())
      assert.is_true(session:finished())
    end)

    it("tells what is malformed and too large", function()
      start()
      send "return show(select(3, self:read(framing.netstring())), select(3, self:read(2^24 + 1)))"
      session:receive "x:"
      assert.equal('"malformed" "too_large"\n', session:take())
    end)

    it("works in handle_connect, which may be all of a conversation", function()
      start [[
        function Lines:handle_connect()
          self:write "name? "
          local name = self:read "l"
          self:write("hello ", name, "\n")
          self.close_when_done = true
        end]]
      assert.equal("name? ", session:take())
      session:receive "ann\n"
      assert.equal("hello ann\n", session:take())
      assert.is_true(session:finished())
    end)

    it("raises elsewhere, and for another connection", function()
      start "other = nil function Lines:handle_close() pcall(self.read, self) end"
      send "other = self return 1"
      session:take()
      session = script:open()
      send "return show(pcall(other.read, other))"
      assert.matches("self:read works only in the handle_connect and make_response of the same connection",
        session:take())
      for complaint, call in pairs {
        ["a number or a framing"] = "self.read, self, 'x'",
        ["one thing is read at a time"] = "self.read, self, 'l', 1",
        ["number expected"] = "self.peek, self",
        ["table expected"] = "self.read",
      } do
        send("return show(pcall(" .. call .. "))")
        assert.matches(complaint, session:take())
      end
    end)

    it("is cancelled when the peer is gone", function()
      start "closed = 0"
      send [[
        local x <close> = setmetatable({}, { __close = function(_, e) parlance.log('info', tostring(e)) end })
        self:read()]]
      session:vanish()
      assert.truthy(lines.logged():find("message=cancelled", 1, true))
    end)
  end)

  describe("is limited", function()
    it("by idle_timeout while it reads, from the last byte on, and not by response_timeout", function()
      start "Lines.idle_timeout = 10 Lines.response_timeout = 3"
      send "return self:read 'l'"
      script:advance(9)
      session:receive "a"
      script:advance(9)
      session:receive "b"
      script:advance(9)
      session:receive "\n"
      assert.equal("ab\n", session:take())
      send "return self:read 'l'"
      script:advance(10)
      assert.is_true(session:finished())
      assert.equal("", session:take())
    end)

    it("by response_timeout while it waits for something else, which a byte starts anew", function()
      start "Lines.response_timeout = 3 function Lines:handle_error(why) return why .. '\\n' end"
      send "parlance.sleep(2) self:read 'l' parlance.sleep(2) return 'done'"
      script:advance(2)
      session:receive "\n"
      script:advance(2)
      assert.equal("done\n", session:take())
      send "parlance.sleep(2) self:read 'l' parlance.sleep(4) return 'done'"
      script:advance(2)
      session:receive "\n"
      script:advance(3)
      assert.equal("response_timeout\n", session:take())
    end)
  end)

  describe("write", function()
    it("sends at the next wait, before what is returned, and returns self", function()
      start()
      send "self:write('a', 1, ''):write('b') parlance.sleep(1) return 'c'"
      assert.equal("a1b", session:take())
      script:advance(1)
      assert.equal("c\n", session:take())
    end)

    it("waits while too much is unsent", function()
      start()
      send "for i = 1, 10 do self:write(('x'):rep(100000)) end return 'done'"
      local all = ""
      repeat
        local piece = session:take(100000)
        all = all .. piece
        script:advance(0)
      until piece == ""
      assert.equal(("x"):rep(1000000) .. "done\n", all)
    end)

    it("has begun the response, so that an error is no reason for last words", function()
      start "function Lines:handle_error() return 'sorry\\n' end"
      send "self:write 'a' error 'on purpose'"
      assert.equal("a", session:take())
      assert.is_true(session:finished())
    end)

    it("lets what is pushed through while it reads", function()
      start "all = {}"
      send "all[1] = self self:write 'a' self:read 'l' return 'c'"
      assert.equal("a", session:take())
      local first = session
      session = script:open()
      send "return all[1]:send 'b'"
      assert.equal("true\n", session:take())
      assert.equal("b", first:take())
      first:receive "\n"
      assert.equal("c\n", first:take())
    end)
  end)
end)

server.for_each_poller(function(poller)
  describe("self with " .. poller, function()
    it("reads and writes as the peer does", function()
      local running = server.start(line_protocol.script(), { poller = poller, turns = true })
      local client = running:connect()
      client:send "for n = 1, 3 do self:write(n, ' ', self:read 'l', '\\n') end return 'end'\n"
      for n = 1, 3 do assert.equal(n .. " x\n", client:exchange("x\n", 4)) end
      assert.equal("end\n", client:receive(4))
      client:send "return #self:read(3000000)\n"
      client:send(("x"):rep(3000000))
      assert.equal("3000000\n", client:receive(8))
      client:send "for _ = 1, 30 do self:write(('x'):rep(100000)) end return ''\n"
      assert.equal(3000001, #client:receive(3000001))
      client:send_bytes "return self:read 'l'\nabc\n"
      assert.equal("abc\n", client:receive(4))
    end)
  end)
end)
