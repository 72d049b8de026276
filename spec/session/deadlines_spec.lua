-- The limits of time of a session, on a clock that is moved by hand.
local conversation = require "support.conversation"

local asked <const>, quietly <const> = conversation.asked, conversation.quietly

describe("session", function()
  after_each(conversation.clean)

  describe("deadlines", function()
    local function open(now)
      return asked("request_timeout = 2, idle_timeout = 5, write_timeout = 3"):open { now = now }
    end

    it("are idle_timeout before the first request and between two", function()
      local session = open(1000)
      assert.equal(6000, session:deadline())
      session:receive("a.", 3000)
      conversation.output(session)
      session:expire(7999)
      assert.is_false(session:finished())
      assert.equal(8000, session:deadline())
      session:expire(8000)
      assert.is_true(session:finished())
      assert.equal("idle_timeout", session:reason())
      assert.is_nil(session:deadline())
    end)

    it("are request_timeout from the first byte, not from the last", function()
      local session = open(0)
      session:receive("a", 1000):receive("b", 2900)
      assert.equal(3000, session:deadline())
      quietly(function() session:expire(3000) end)
      assert.equal("request_timeout", session:reason())
    end)

    it("begin anew with the bytes behind a request", function()
      local session = open(0)
      session:receive("a", 1000):receive("b.c", 2500)
      session:take(100, 2500)
      assert.equal(4500, session:deadline())
    end)

    it("are write_timeout while output waits, from the last progress", function()
      local session = open(0)
      session:receive("abc.", 1000)
      assert.equal(4000, session:deadline())
      session:take(1, 3500)
      assert.equal(6500, session:deadline())
      quietly(function() session:expire(6500) end)
      assert.equal("write_timeout", session:reason())
      assert.is_true(session:finished())
      assert.is_false(session:has_output())
    end)

    it("leave a request its time after the response before it was read slowly", function()
      local session = open(0)
      session:receive("abc.de", 1000)
      for now = 2000, 8000, 2000 do session:take(1, now) end
      session:take(1, 9000)
      assert.equal(11000, session:deadline())
      assert.equal("<def>", conversation.feed(session, { "f." }))
    end)

    describe("of a stream that has nothing", function()
      local fifo, path, session

      before_each(function()
        path = conversation.folder { fifo = "" } .. "/fifo"
        assert(os.remove(path))
        assert(os.execute("mkfifo " .. path))
        fifo = assert(io.open(path, "r+"))
        fifo:setvbuf "no"
        local script = conversation.script(([[
          local framing = require "parlance.framing"
          return {
            close_when_done = false, idle_timeout = 5, write_timeout = 3,
            request_complete = framing.line {},
            make_response = function() return { "<", assert(io.open(%q, "rb")), ">" } end,
            handle_error = function() return "!" end,
          }]]):format(path))
        session = script:open { now = 0, asks_later = true }
        session:receive("x\n", 1000)
        assert.equal("<", session:take(10, 1000))
      end)

      after_each(function() fifo:close() end)

      it("are when it is asked again, ever later", function()
        local now = 1000
        for _, pause in ipairs { 10, 20, 40, 80, 100, 100 } do
          assert.equal(now + pause, session:deadline())
          session:expire(now + pause - 1)
          assert.equal(now + pause, session:deadline())
          now = now + pause
          session:expire(now)
          assert.is_false(session:has_output())
        end
        fifo:write "one"
        session:expire(now + 99)
        assert.is_false(session:has_output())
        session:expire(now + 100)
        assert.equal("one", session:take(10, now + 100))
        assert.equal(now + 110, session:deadline())
        fifo:close()
        session:expire(now + 110)
        assert.equal(">", session:take(10, now + 110))
        assert.is_nil((session:take(10, now + 110)))
        assert.equal(now + 110 + 5000, session:deadline())
        fifo = assert(io.open(path, "r+"))
      end)

      it("are idle_timeout in the end, from when it first had nothing", function()
        session:expire(5999)
        assert.is_false(session:finished())
        quietly(function() session:expire(6000) end)
        assert.is_true(session:finished())
        assert.equal("file_error", session:reason())
        assert.is_false(session:has_output())
      end)

      it("end nothing if it has something by then, though it was not asked since", function()
        session:expire(5990)
        fifo:write "late"
        session:expire(6000)
        assert.is_false(session:finished())
        assert.equal("late", session:take(10, 6000))
        assert.equal(6010, session:deadline())
        quietly(function() session:expire(11000) end)
        assert.equal("file_error", session:reason())
      end)

      it("are write_timeout while output waits", function()
        fifo:write "one"
        session:expire(1010)
        assert.equal(1020, session:deadline())
        quietly(function() session:expire(4010) end)
        assert.equal("write_timeout", session:reason())
      end)
    end)

    it("move when the peer goes on taking what was sent before", function()
      local session = open(0)
      session:receive("abc.", 1000)
      session:take(1, 2000)
      session:delivered(4500)
      assert.equal(7500, session:deadline())
      conversation.output(session)
      session:delivered(6000)
      assert.equal(11000, session:deadline()) -- of idle_timeout
      session:receive("d", 7000)
      session:delivered(8000)
      assert.equal(9000, session:deadline()) -- of request_timeout
    end)

    describe("count from the end of a call that takes long", function()
      local function open_slow(more)
        return asked("request_timeout = 2, idle_timeout = 5, write_timeout = 3" .. (more or ""))
          :open { now = 0, takes = 4000 }
      end

      it("for the response that it has made", function()
        local session = open_slow()
        session:receive("abc.", 1000)
        assert.equal(8000, session:deadline())
      end)

      it("for the next request, once the response was read at once", function()
        local session = open_slow()
        session:receive("abc.", 1000)
        session:take(100, 5000)
        assert.equal(10000, session:deadline())
      end)

      it("for a request that began meanwhile", function()
        local session = open_slow()
        session:receive("abc.de", 1000)
        session:take(100)
        assert.equal(session:now() + 2000, session:deadline())
      end)

      it("for the greeting", function()
        local session = open_slow(", handle_connect = function() return 'hi' end")
        assert.equal(7000, session:deadline())
      end)

      it("but a request that is asked about counts from its first byte", function()
        local session = open_slow()
        session:receive("a", 1000)
        assert.equal(3000, session:deadline())
      end)
    end)

    it("never come where the limit is 0", function()
      local session = asked("request_timeout = 0, idle_timeout = 0, write_timeout = 0"):open()
      assert.is_nil(session:deadline())
      session:receive("a")
      assert.is_nil(session:deadline())
      session:receive(".")
      assert.is_nil(session:deadline())
      session:expire(math.maxinteger - 1)
      assert.equal("none", session:reason())
    end)
  end)
end)
