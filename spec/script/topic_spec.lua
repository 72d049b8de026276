-- parlance.topic(), in simulated time: who is sent what, in which order, and what ends a subscription.

local line_protocol = require "support.line_protocol"

local SETUP <const> = [[
    topic = parlance.topic
    room = topic "room"
    clients = parlance.shared.clients or {}
    parlance.shared.clients = clients
    function Lines:handle_connect()
      clients[#clients + 1] = self
      self.number = #clients
      room:subscribe(self)
    end
    function Lines:handle_close(reason) ended = reason end ]]

describe("a topic", function()
  local lines = line_protocol.simulate()
  local logged = lines.logged
  local script, one, two, three

  local function start(rest)
    script, one = lines.start(SETUP .. (rest or ""))
    two, three = script:open(), script:open()
  end

  local function edit(rest) return lines.edit(SETUP .. rest) end

  local function ask(to, code)
    lines.send(code, to)
    return to:take()
  end

  it("sends what is published to all that have subscribed, and tells how many they are", function()
    start()
    assert.equal("news\n3\n", ask(one, "return room:publish 'news\\n'"))
    assert.equal("news\n", two:take())
    assert.equal("news\n", three:take())
  end)

  it("sends nothing to nobody", function()
    start()
    assert.equal("0\n", ask(one, "return topic 'other':publish 'x'"))
    assert.equal("x3\n", ask(one, "return room:publish 'x'"))
    assert.equal("3\n", ask(one, "return room:publish ''"))
  end)

  it("has one name, under which it is always the same", function()
    start()
    assert.equal("true\n", ask(one, "return topic 'room' == room"))
    assert.equal("false\n", ask(one, "return topic 'a' == room"))
    assert.equal("topic: room\n", ask(one, "return tostring(room)"))
  end)

  it("sends in the order of subscribing", function()
    start [[
      local order = topic "order"
      function subscribe(...) for _, n in ipairs { ... } do order:subscribe(clients[n]) end end
      Lines.max_unsent = 4]]
    -- Who cannot take more is closed in the order of the list.
    ask(one, "subscribe(3, 1, 2) return 1")
    assert.equal("3\n", ask(one, "return topic 'order':publish 'abcd'"):sub(-2))
    local order = {}
    for _, client in ipairs { one, two, three } do order[#order + 1] = client:take() end
    assert.same({ "", "abcd", "abcd" }, order)
  end)

  it("sends once to who subscribes twice", function()
    start()
    assert.equal("true\n", ask(two, "return listed(room:subscribe(self))"))
    assert.equal("x3\n", ask(one, "return room:publish 'x'"))
    assert.equal("x", two:take())
  end)

  it("sends no more to who has unsubscribed", function()
    start()
    assert.equal("true\n", ask(two, "return room:unsubscribe(self)"))
    assert.equal("false\n", ask(two, "return room:unsubscribe(self)"))
    assert.equal("x2\n", ask(one, "return room:publish 'x'"))
    assert.equal("", two:take())
  end)

  it("sends no more to who is over", function()
    start()
    two:close()
    assert.equal("x2\n", ask(one, "return room:publish 'x'"))
    three:vanish()
    assert.equal("x1\n", ask(one, "return room:publish 'x'"))
  end)

  it("takes no subscription of who is over", function()
    start()
    two:close()
    assert.equal("false closed\n", ask(one, "return listed(topic 'a':subscribe(clients[2]))"))
    assert.equal("false closed\n", ask(one, "self:close() return listed(topic 'a':subscribe(self))"))
  end)

  it("keeps those that have subscribed when the script is edited", function()
    start()
    assert.equal("reloaded", edit "-- edited")
    collectgarbage()
    assert.equal("x3\n", ask(one, "collectgarbage() return topic 'room':publish 'x'"))
    assert.equal("x", two:take())
  end)

  it("goes with the last reference, and stays while somebody has subscribed", function()
    start()
    assert.equal("true\n", ask(one, [[
      local function leave(name)
        for i = 1, 20000 do topic(name .. i) end
        collectgarbage()
        return collectgarbage "count"
      end
      local before = leave "first"
      return leave "second" < before + 100]]))
    ask(two, "topic 'kept':subscribe(self) return 1")
    assert.equal("1\n", ask(one, "collectgarbage() return topic 'kept':publish 'x'"))
    assert.equal("x", two:take())
  end)

  it("forgets a connection with many subscriptions", function()
    start()
    ask(two, "for i = 1, 1000 do topic(tostring(i)):subscribe(self) end return 1")
    ask(three, "for i = 1, 1000, 2 do topic(tostring(i)):subscribe(self) end return 1")
    local sum = "local n = 0 for i = 1, 1000 do n = n + topic(tostring(i)):publish '.' end return n"
    assert.equal("1500\n", ask(one, sum))
    two:close()
    assert.equal("500\n", ask(one, sum))
  end)

  describe("with a slow reader", function()
    it("closes it with slow_reader, and sends to the others", function()
      start "Lines.max_unsent = 4"
      assert.equal("abcd3\n", ask(one, "return room:publish 'abcd'"))
      two:take()
      assert.equal("abcd2\n", ask(one, "return room:publish 'abcd'"))
      assert.is_true(three:finished())
      assert.equal("slow_reader", three:reason())
      assert.equal("", three:take())
      three:close()
      assert.equal("slow_reader\n", ask(one, "return ended"))
      assert.truthy(logged():find("warn slow_reader service=protocol", 1, true))
      assert.equal("abcd", two:take())
      assert.equal("x2\n", ask(one, "return room:publish 'x'"))
    end)

    it("calls no handle_error for it", function()
      start "Lines.max_unsent = 1 function Lines:handle_error() failed = true return 'sorry' end"
      ask(one, "room:publish 'a' room:publish 'b' return 1")
      assert.is_true(two:finished())
      assert.equal("", two:take())
    end)

    it("leaves out what it cannot take with slow = drop", function()
      start "topic('room', { slow = 'drop' }) Lines.max_unsent = 4"
      ask(one, "room:publish 'abcd' return 1")
      two:take()
      one:take()
      assert.equal("abcd2\n", ask(one, "return room:publish 'abcd'"))
      assert.is_false(three:finished())
      assert.equal("abcd", three:take())
      two:take()
      assert.equal("x3\n", ask(one, "return room:publish 'x'"))
      assert.equal("x", three:take())
    end)

    it("that publishes itself, and gets its response no more", function()
      start "Lines.max_unsent = 1"
      one:receive "room:publish 'a' room:publish 'b' return 'response'\n"
      assert.is_true(one:finished())
      assert.equal("slow_reader", one:reason())
    end)

    it("whose request waits, which is cancelled", function()
      start "Lines.max_unsent = 1"
      two:receive("local x <close> = setmetatable({}, { __close = function(_, why) told = tostring(why) end })" ..
        " sleep(9)\n")
      ask(one, "topic('room'):unsubscribe(self) room:publish 'a' room:publish 'b' return 1")
      assert.equal("slow_reader", two:reason())
      assert.equal("cancelled\n", ask(one, "return told"))
    end)

    it("raises an error for a message that nobody could take", function()
      start "Lines.max_unsent = 4"
      assert.matches("publish: the message has 5 bytes, and max_unsent is 4",
        ask(one, "return why(function() room:publish 'abcde' end)"))
      assert.is_false(two:finished())
    end)
  end)

  describe("with a protocol that has encode", function()
    it("makes the bytes once for each publish", function()
      start "function Lines.encode(a, b) count = (count or 0) + 1 return a .. '=' .. b .. ' ' end"
      assert.equal("a=b 3 1\n", ask(one, "return room:publish('a', 'b') .. ' ' .. count"))
      assert.equal("a=b ", two:take())
    end)

    it("may publish, subscribe, unsubscribe and close in it", function()
      start "function Lines.encode(data) return type(data) == 'function' and data() or data end"
      assert.equal("inner outer 3\n", ask(one, [[
        return room:publish(function() room:publish 'inner ' return 'outer ' end)]]))
      assert.equal("inner outer ", two:take())
      three:take()
      assert.equal("x2\n", ask(one, "return room:publish(function() room:unsubscribe(clients[2]) return 'x' end)"))
      assert.equal("x3\n", ask(one, "return room:publish(function() room:subscribe(clients[2]) return 'x' end)"))
      assert.equal("x2\n", ask(one, "return room:publish(function() clients[3]:close() return 'x' end)"))
      assert.equal("xx", three:take())
      assert.is_true(three:finished())
    end)
  end)

  it("may be published to in handle_close and in a finalizer", function()
    start "function Lines:handle_close() room:publish(self.number .. ' left\\n') end"
    two:close()
    assert.equal("2 left\n", one:take())
    ask(one, "setmetatable({}, { __gc = function() room:publish 'collected' end }) collectgarbage() return 1")
    assert.equal("2 left\ncollected", three:take())
  end)

  it("sends behind a stream, and while a request waits", function()
    start()
    one:receive "sleep(1) return 'late'\n"
    two:receive "local n = 0 return function() n = n + 1 sleep(1) return n < 3 and tostring(n) or nil end\n"
    assert.equal("x3\n", ask(three, "return room:publish 'x'"))
    assert.equal("x", one:take())
    script:advance(1)
    assert.equal("late\n", one:take())
    assert.equal("1", two:take())
    script:advance(2)
    assert.equal("2x", two:take())
  end)

  describe("cannot be used", function()
    for name, case in pairs {
      ["in request_complete: publish"] = {
        "function Lines:request_complete() room:publish 'x' return true end",
        "publish cannot be called in request_complete",
      },
      ["in request_complete: subscribe"] = {
        "function Lines:request_complete() room:subscribe(self) return true end",
        "subscribe cannot be called in request_complete",
      },
    } do
      it(name, function()
        start(case[1])
        one:receive "x\n"
        assert.truthy(logged():find(case[2], 1, true))
      end)
    end

    it("while the script is loaded", function()
      start()
      assert.equal("refused", edit "room:publish 'x'")
      assert.truthy(logged():find("publish cannot be called while the script is loaded", 1, true))
    end)

    for call, text in pairs {
      ["topic()"] = "string expected",
      ["topic(5)"] = "string expected",
      ["topic('a', 5)"] = "table expected",
      ["topic('a', { fast = true })"] = "there is no option fast",
      ["topic('a', { slow = 'wait' })"] = "slow must be \"close\" or \"drop\"",
      ["topic('a', { slow = true })"] = "slow must be a string",
      ["room:subscribe()"] = "table expected",
      ["room.subscribe({}, self)"] = "parlance.topic expected",
      ["room:publish()"] = "string expected",
      ["room:publish({})"] = "string expected",
      ["room.publish('x')"] = "parlance.topic expected",
    } do
      it("wrongly: " .. call, function()
        start()
        local said = ask(one, ("return why(function() %s end)"):format(call))
        assert.truthy(said:find(text, 1, true), said)
      end)
    end

    it("with a table that is no self", function()
      start()
      assert.equal("false closed\n", ask(one, "return listed(room:subscribe({}))"))
      assert.equal("false\n", ask(one, "return room:unsubscribe({})"))
    end)
  end)

  it("of one service is not that of another", function()
    start()
    local other = assert(lines.load(SETUP))
    local stranger = other:open()
    assert.equal("x3\n", ask(one, "return room:publish 'x'"))
    assert.equal("", stranger:take())
    other:close()
  end)
end)
