-- The memory that a session takes, and the refusing of those that take the most.
local conversation = require "support.conversation"

local asked <const>, quietly <const> = conversation.asked, conversation.quietly

describe("session", function()
  after_each(conversation.clean)

  describe("memory", function()
    it("is none between two requests, and what an unfinished one takes", function()
      local session = asked():open()
      assert.equal(0, session:memory())
      session:receive "a"
      assert.is_true(session:memory() >= 1 and session:memory() <= 1024)
      session:receive(("b"):rep(10000))
      assert.is_true(session:memory() >= 10000 and session:memory() <= 11000, session:memory())
      session:receive "."
      conversation.output(session)
      assert.equal(0, session:memory())
    end)

    it("is none while a request waits that the script has", function()
      local session = conversation.lines [[
        require "parlance".sleep(1000)
      ]]:open()
      session:receive(("a"):rep(900))
      assert.is_true(session:memory() >= 900)
      session:receive "\n"
      assert.equal(0, session:memory())
    end)

    it("is what was not sent, with all of a long string, and without one that others send, too", function()
      local script = conversation.lines [[
        KEPT = KEPT or ("k"):rep(100000)
        return self.request == "kept" and KEPT or { "ab", ("x"):rep(100000), "cd", ("y"):rep(100000) }
      ]]
      local session, other = script:open(), script:open()
      session:receive "x\n"
      local all = session:memory()
      assert.is_true(all >= 200004 and all <= 202000, all)
      session:take(50000)
      assert.is_true(session:memory() >= 200000, session:memory())
      session:take(60000)
      assert.is_true(session:memory() <= all - 100000, session:memory())
      conversation.output(session)
      assert.equal(0, session:memory())
      session:receive "kept\n"
      other:receive "kept\n"
      assert.is_true(session:memory() + other:memory() < 110000)
      conversation.output(session)
      conversation.output(other)
      assert.equal(0, session:memory() + other:memory())
    end)

    it("is that of a long string for the next one that holds it, when the one before is done", function()
      local script = conversation.lines [[
        KEPT = KEPT or ("k"):rep(100000)
        return self.request == "twice" and { KEPT, "and", KEPT } or KEPT
      ]]
      local one, two, three = script:open(), script:open(), script:open()
      one:receive "kept\n"
      two:receive "twice\n"
      assert.is_true(one:memory() >= 100000 and two:memory() < 2000)
      conversation.output(one)
      three:receive "kept\n"
      assert.is_true(one:memory() == 0 and two:memory() < 2000 and three:memory() >= 100000)
      conversation.output(three)
      two:claim()
      assert.is_true(two:memory() >= 100000 and two:memory() < 102000)
      two:take(100001)
      two:claim()
      assert.is_true(two:memory() >= 100000 and two:memory() < 102000)
      conversation.output(two)
      assert.equal(0, one:memory() + two:memory() + three:memory())
    end)
  end)

  describe("refusing", function()
    local function open()
      return asked(nil, "function Asked:handle_error(reason) return '!' .. reason end"):open()
    end

    it("drops an unfinished request and leaves last words", function()
      local session = open()
      session:receive(("a"):rep(10000))
      local _, log = quietly(function() assert.is_false(session:refuse()) end)
      assert.truthy(log:find(" warn overloaded ", 1, true))
      assert.equal("!overloaded", (conversation.output(session)))
      assert.equal("overloaded", session:reason())
      assert.is_true(session:finished())
    end)

    it("gives up output that waits, also last words that nobody reads", function()
      local session = open()
      session:receive(("a"):rep(5000) .. ".")
      quietly(function() assert.is_true(session:refuse()) end)
      assert.is_true(session:finished())
      assert.equal(0, session:memory())
      session = open()
      session:receive(("a"):rep(5000))
      quietly(function()
        assert.is_false(session:refuse())
        assert.is_true(session:memory() > 0)
        assert.is_true(session:refuse())
      end)
      assert.equal(0, session:memory())
      assert.equal("overloaded", session:reason())
    end)
  end)
end)
