-- self:send() and self:close(), in simulated time: from where they may be called, what goes first, and what is refused.

local line_protocol = require "support.line_protocol"

-- `clients` has all connections by their number, and `ended` the reasons why they were closed.
local SETUP <const> = [[
    clients, ended = {}, {}
    function Lines:handle_connect() clients[#clients + 1] = self end
    function Lines:handle_close(why) ended[#ended + 1] = why end ]]

describe("a connection", function()
  local lines = line_protocol.simulate()
  local logged = lines.logged
  local script, one, other

  local function start(rest, options)
    script, one = lines.start(SETUP .. (rest or ""), options)
    other = script:open()
    one:take()
    other:take()
  end

  local function edit(rest) return lines.edit(SETUP .. rest) end
  local function send(to, code) lines.send(code, to) end

  local function ask(to, code)
    send(to, code)
    return to:take()
  end

  describe("is sent bytes", function()
    it("by another one, at once", function()
      start()
      assert.equal("true\n", ask(one, "return clients[2]:send 'news\\n'"))
      assert.equal("news\n", other:take())
    end)

    it("with zero bytes in them, and none at all", function()
      start()
      assert.equal("true\n", ask(one, "return clients[2]:send 'a\\0b'"))
      assert.equal("true\n", ask(one, "return clients[2]:send ''"))
      assert.equal("a\0b", other:take())
    end)

    it("before the response that calls for them: sent first goes first", function()
      start()
      assert.equal("1 2 3\n", ask(one, "self:send '1 ' self:send '2 ' return 3"))
    end)

    it("behind the responses before them", function()
      start()
      one:receive "return 1\nreturn 2\nself:send 'news\\n' return 3\n"
      assert.equal("1\n2\nnews\n3\n", one:take())
    end)

    it("in handle_connect, handle_error and a function of a response", function()
      start [[
        function Lines:handle_connect() clients[#clients + 1] = self self:send "hello " return "world\n" end
        function Lines:handle_error(why) self:send "sorry " return why .. "\n" end]]
      local third = script:open()
      assert.equal("hello world\n", third:take())
      send(third, "return { 'a', function() if not self.n then self.n = 1 self:send 'c' return 'b' end end, 'z' }")
      assert.equal("abzc", third:take())
      send(third, "error 'on purpose'")
      assert.equal("sorry script_error\n", third:take())
      assert.is_true(third:finished())
    end)

    it("in handle_close, but not itself", function()
      start "function Lines:handle_close() clients[2]:send(listed(self:send 'x') .. '\\n') end"
      one:close()
      assert.equal("false closed\n", other:take())
    end)

    it("in a finalizer", function()
      start()
      send(one, [[
        local found = setmetatable({}, { __gc = function() clients[2]:send 'collected\n' end })
        found = nil
        collectgarbage()
        return 1]])
      assert.equal("collected\n", other:take())
    end)

    it("and all that waits behind its response before it is closed", function()
      start()
      send(one, "self:write 'begun\\n' sleep(5) return 'late'")
      assert.equal("true true\n", ask(other, "return listed(clients[1]:send 'kept\\n', tostring(clients[1]:close()))"))
      script:advance(0.001)
      assert.equal("begun\nkept\n", one:take())
      assert.is_true(one:finished())
    end)

    it("in a finalizer that runs in request_complete", function()
      start [[
        function Lines:request_complete()
          setmetatable({}, { __gc = function() clients[2]:send "collected\n" end })
          collectgarbage()
          return true
        end
        function Lines:make_response() return "" end]]
      send(one, "")
      assert.equal("collected\n", other:take())
      assert.equal("", logged())
    end)

    it("by a task of parlance.every", function()
      start "parlance.every(1, function() for _, client in ipairs(clients) do client:send 'tick\\n' end end)"
      script:advance(2)
      assert.equal("tick\ntick\n", one:take())
      assert.equal("tick\ntick\n", other:take())
    end)

    it("while its task waits that has written nothing", function()
      start()
      send(one, "sleep(1) return 'late'")
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal("news\n", one:take())
      script:advance(1)
      assert.equal("late\n", one:take())
    end)

    it("while handle_connect waits", function()
      start "function Lines:handle_connect() clients[#clients + 1] = self sleep(1) return 'welcome\\n' end"
      script:advance(1)
      one:take()
      local third = script:open()
      send(one, "return clients[3]:send 'early\\n'")
      assert.equal("early\n", third:take())
      script:advance(1)
      assert.equal("welcome\n", third:take())
    end)

    it("by its own task, before and behind a wait", function()
      start()
      send(one, "self:send '1 ' sleep(1) self:send '2 ' return 3")
      assert.equal("1 ", one:take())
      script:advance(1)
      assert.equal("2 3\n", one:take())
    end)

    it("while its task waits in self:read, also if that has written something", function()
      start()
      send(one, "self:write 'name? ' return 'hello ' .. self:read 'l'")
      assert.equal("name? ", one:take())
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal("news\n", one:take())
      send(one, "ada")
      assert.equal("hello ada\n", one:take())
    end)

    it("before what its task writes next, if that waits in self:read meanwhile", function()
      start()
      send(one, "self:write '1 ' self:send '3 ' self:write '2 ' self:read 'l' return 4")
      assert.equal("1 2 3 ", one:take())
      send(one, "x")
      assert.equal("4\n", one:take())
    end)

    it("behind the response of a task that has written a part of it", function()
      start()
      send(one, "self:write 'one ' sleep(1) self:write 'two ' return 'three'")
      assert.equal("one ", one:take())
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal("", one:take())
      script:advance(1)
      assert.equal("two three\nnews\n", one:take())
    end)

    it("behind the response of a task that waits until its peer has read", function()
      start()
      send(one, "self:write(('x'):rep(300000)) self:write 'y' return 'z'")
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal(("x"):rep(300000) .. "yz\nnews\n", one:take())
    end)

    it("behind a file or a stream that is being sent", function()
      start()
      local path = lines.add("file", ("x"):rep(100000))
      send(one, ("return { assert(io.open %q), 'end\\n' }"):format(path))
      assert.equal(("x"):rep(1000), one:take(1000))
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal(("x"):rep(99000) .. "end\nnews\n", one:take())
      send(one, "local n = 0 return function() n = n + 1 sleep(1) return n < 3 and tostring(n) or nil end")
      script:advance(1)
      assert.equal("1", one:take())
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal("", one:take())
      script:advance(2)
      assert.equal("2news\n", one:take())
    end)

    it("and is answered while they wait to be read", function()
      start()
      local long = ("x"):rep(100000)
      send(other, ("return clients[1]:send(('x'):rep(%d))"):format(#long))
      assert.is_true(one:wants_input())
      send(one, "return 'answer'")
      assert.equal(long .. "answer\n", one:take())
    end)

    it("and is not read while more than 256 KiB wait", function()
      start()
      send(other, "return clients[1]:send(('x'):rep(300000))")
      assert.is_false(one:wants_input())
      assert.equal(300000, #one:take())
      assert.is_true(one:wants_input())
    end)

    it("although its request is not complete yet", function()
      start()
      one:receive "return "
      send(other, "return clients[1]:send 'news\\n'")
      assert.equal("news\n", one:take())
      assert.equal("5\n", (one:receive "5\n" and one:take()))
    end)

    it("before its last words after a failure", function()
      start "function Lines:handle_error(why) return why .. '\\n' end"
      send(other, "return clients[1]:send(('x'):rep(1000)) and clients[1]:send(('y'):rep(1000))")
      send(one, "error 'on purpose'")
      assert.equal(("x"):rep(1000) .. ("y"):rep(1000) .. "script_error\n", one:take())
    end)

    it("after the script was edited, by its new version", function()
      start "parlance.shared.clients = parlance.shared.clients or clients"
      assert.equal("reloaded", edit [[
        function Lines:make_response() return tostring(parlance.shared.clients[2]:send "new\n") end]])
      assert.equal("true", ask(one, ""))
      assert.equal("new\n", other:take())
    end)
  end)

  describe("cannot be sent bytes", function()
    it("when it is over: the kept self says so", function()
      start()
      other:close()
      assert.equal("false closed\n", ask(one, "return listed(clients[2]:send 'x')"))
      assert.equal("false closed\n", ask(one, "return listed(clients[2]:close())"))
    end)

    it("when it is about to be over", function()
      start()
      send(other, [[
        self.close_when_done = true
        return { 'last ', function() if not done then done = true return 'words' end end }]])
      other:take(1)
      assert.equal("false closed\n", ask(one, "return listed(clients[2]:send 'x')"))
      assert.equal("ast words", other:take())
      assert.is_true(other:finished())
    end)

    it("when more than max_unsent would wait", function()
      start("Lines.max_unsent = 10")
      send(one, "return clients[2]:send '12345' and clients[2]:send '6789' and clients[2]:send '0'")
      assert.equal("false slow_reader\n", ask(one:take() and one, "return listed(clients[2]:send 'x')"))
      assert.equal("1234567890", other:take())
      assert.equal("true\n", ask(one, "return listed(clients[2]:send '1234567890')"))
      other:take()
      assert.equal("false slow_reader\n", ask(one, "return listed(clients[2]:send '12345678901')"))
      assert.is_false(other:finished())
    end)

    it("behind a response that breaks off, in a finalizer that runs then", function()
      start([[
        collectgarbage("incremental", 1, 1000, 0)
        function trap() setmetatable({}, { __gc = function() if broken then clients[1]:send "x" end trap() end }) end
        for _ = 1, 100 do trap() end]], { allow_effects = true })
      send(one, "return { 'begun', function() broken = true error 'on purpose' end, io.popen 'true', io.popen 'true' }")
      script:advance(0.1)
      assert.equal("begun", one:take())
      assert.equal("script_error", one:reason())
    end)

    it("over 1 MiB, if nothing says otherwise", function()
      start()
      assert.equal("true true false\n", ask(one, [[
        local function try(n) return tostring((clients[2]:send(("x"):rep(n)))) end
        return try((1 << 20) - 1) .. " " .. try(1) .. " " .. try(1)]]))
    end)

    it("over the option, which comes before the field", function()
      start("Lines.max_unsent = 100", { max_unsent = 2 })
      assert.equal("true false\n", ask(one, [[
        return tostring(clients[2]:send 'ab') .. ' ' .. tostring((clients[2]:send 'c'))]]))
    end)

    it("behind a stream, where they count", function()
      start "Lines.max_unsent = 10"
      send(one, "return function() sleep(1) end")
      assert.equal("true false\n", ask(other, [[
        return tostring(clients[1]:send '1234567890') .. ' ' .. tostring((clients[1]:send '1'))]]))
    end)

    it("but the bytes of a response do not count", function()
      start "Lines.max_unsent = 10"
      send(one, "return (('x'):rep(200000))")
      assert.equal("true false\n", ask(other, [[
        return tostring(clients[1]:send '1234567890') .. ' ' .. tostring((clients[1]:send '1'))]]))
    end)

    it("that are no string", function()
      start()
      for _, case in ipairs { "nil", "5", "{}", "" } do
        local said = ask(one, ("return why(function() self:send(%s) end)"):format(case))
        assert.matches("string expected", said)
      end
      assert.matches("sends one string", ask(one, "return why(function() self:send('a', 'b') end)"))
      assert.matches("table expected", ask(one, "return why(function() self.send 'a' end)"))
    end)

    for name, case in pairs {
      ["in request_complete"] = {
        "function Lines:request_complete() self:send 'x' return true end",
        "send cannot be called in request_complete: decide by the bytes there, and call it in make_response",
      },
      ["in request_complete, to another one"] = {
        "function Lines:request_complete() clients[2]:close() return true end",
        "close cannot be called in request_complete",
      },
    } do
      it(name, function()
        start(case[1])
        send(one, "x")
        assert.truthy(logged():find(case[2], 1, true))
      end)
    end

    for _, name in ipairs { "save", "restore" } do
      it("in " .. name, function()
        local saves = [[
          parlance.shared.clients = parlance.shared.clients or clients
          function Lines.save() return {} end
          function Lines.restore() end ]]
        start(saves)
        assert.equal("reloaded", edit(saves .. " -- edited"))
        local sends = ("function Lines.%s() parlance.shared.clients[1]:send 'x' end"):format(name)
        if name == "save" then
          assert.equal("reloaded", edit(saves .. sends))
          assert.equal("refused", edit(saves .. " -- once more"))
        else
          assert.equal("refused", edit(saves .. sends))
        end
        local log = logged()
        assert.truthy(log:find(("send cannot be called in %s: "):format(name), 1, true), log)
      end)
    end

    it("while the script is loaded", function()
      start "parlance.shared.clients = clients"
      assert.equal("refused", edit "parlance.shared.clients[1]:send 'x'")
      assert.truthy(logged():find("send cannot be called while the script is loaded: ", 1, true))
    end)
  end)

  describe("is closed", function()
    it("by another one, when what was sent before is out", function()
      start()
      assert.equal("true\n", ask(one, "return clients[2]:send 'bye\\n' and clients[2]:close()"))
      assert.equal("bye\n", other:take())
      assert.is_true(other:finished())
      other:close()
      assert.equal("closed\n", ask(one, "return table.concat(ended)"))
    end)

    it("with a reason of its own, which handle_close is given", function()
      start()
      send(one, "return clients[2]:close 'kicked out'")
      assert.equal("kicked out", other:reason())
      other:close()
      assert.equal("true\nkicked out\n", ask(one, "return table.concat(ended)"))
    end)

    it("by itself, behind the response", function()
      start()
      assert.equal("bye\n", ask(one, "self:close() return 'bye'"))
      assert.is_true(one:finished())
      assert.equal("closed", one:reason())
    end)

    it("by itself, behind a response that waits", function()
      start()
      assert.equal("", ask(one, "self:close 'enough' sleep(1) return 'bye'"))
      script:advance(1)
      assert.equal("bye\n", one:take())
      assert.equal("enough", one:reason())
    end)

    it("in handle_connect", function()
      start()
      assert.equal("reloaded", edit "function Lines:handle_connect() self:close() return 'full\\n' end")
      local third = script:open()
      assert.equal("full\n", third:take())
      assert.is_true(third:finished())
    end)

    it("in a function of a response, when all of the response is out", function()
      start()
      send(one, [[
        local n = 0
        return { function() n = n + 1 self:close() return n < 3 and "x" or nil end, "z" }]])
      one:receive "return 'not answered'\n"
      assert.equal("xxz", one:take())
      assert.equal("closed", one:reason())
    end)

    it("and takes no further request", function()
      start()
      one:receive "self:close() return 1\nreturn 2\n"
      assert.equal("1\n", one:take())
      send(other, "return clients[2]:send 'x' and self:close()")
      assert.equal("xtrue\n", other:take())
    end)

    it("and cannot be sent more", function()
      start()
      assert.equal("false closed\n", ask(one, "self:close() return listed(self:send 'x')"))
      assert.equal("false closed\n", ask(other, "clients[2]:close() return listed(self:close())"))
    end)

    it("while its response waits, which is cancelled", function()
      start()
      send(one, "local x <close> = setmetatable({}, { __close = function(_, why) told = tostring(why) end }) sleep(9)")
      send(other, "return clients[1]:close 'kicked'")
      assert.is_true(one:finished())
      assert.equal("kicked", one:reason())
      assert.equal("true\ncancelled\n", ask(other, "return told"))
      assert.equal("", logged())
    end)

    it("while a function of its response waits, which is cancelled; what is behind it is not sent", function()
      start()
      send(one, [[
        return { "a", function()
          local x <close> = setmetatable({}, { __close = function(_, why) told = tostring(why) end })
          sleep(1)
          return "b"
        end, "c" }]])
      send(other, "return clients[1]:close()")
      assert.equal("a", one:take())
      assert.is_true(one:finished())
      assert.equal("closed", one:reason())
      assert.equal("true\ncancelled\n", ask(other, "return told"))
    end)

    it("behind a file, but not behind a stream that does not wait", function()
      start()
      local path = lines.add("file", ("x"):rep(100000))
      send(one, ("return { assert(io.open %q), 'end\\n', function() return 'y' end }"):format(path))
      assert.equal(("x"):rep(1000), one:take(1000))
      send(other, "return clients[1]:send 'not sent' and clients[1]:close()")
      assert.equal(("x"):rep(99000) .. "end\n", one:take())
      assert.is_true(one:finished())
    end)

    it("in a finalizer", function()
      start()
      send(one, "setmetatable({}, { __gc = function() clients[2]:close 'collected' end }) collectgarbage() return 1")
      assert.equal("collected", other:reason())
    end)

    it("with a reason that is one", function()
      start()
      for _, reason in ipairs { "{}", "''", "'a\\0b'", "('x'):rep(65)" } do
        local said = ask(one, ("return why(function() self:close(%s) end)"):format(reason))
        assert.matches("bad argument #1", said)
      end
      assert.equal("true\n", ask(one, "return self:close(('x'):rep(64))"))
    end)
  end)

  it("has the fields of its protocol in the place of methods, which is warned of", function()
    start "function Lines:send() return 'mine' end Lines.close = 5 Lines.read = 6 function Lines.write() return 7 end"
    local log = logged()
    for _, name in ipairs { "close", "send", "read", "write" } do
      assert.truthy(log:find("warn method_hidden service=protocol field=" .. name, 1, true), log)
    end
    assert.equal("mine 5 6 7\n", ask(one, "return listed(self:send(), self.close, self.read, self:write())"))
  end)

  describe("with a protocol that has encode", function()
    it("is sent what that makes of all arguments", function()
      start "function Lines.encode(data, ...) return ('%s(%s)'):format(data, table.concat({ ... }, ',')) end"
      assert.equal("f(1,2)true\n", ask(one, "return self:send('f', 1, 2)"))
      assert.equal("g()true\n", ask(one, "return self:send('g')"))
    end)

    it("is sent nothing if encode raises or returns no string", function()
      start "function Lines.encode(data) return data() end"
      local said = ask(one, "return why(function() self:send(function() error 'on purpose' end) end)")
      assert.matches("^[^\n]*on purpose\n$", said)
      said = ask(one, "return why(function() self:send(print) end)")
      assert.matches("encode returned nil %(nil%), not a string", said)
    end)

    it("may be closed and sent to by encode", function()
      start "function Lines.encode(data) return type(data) == 'function' and data() or data end"
      assert.equal("innerouter true\n", ask(one, [[
        return self:send(function() self:send 'inner' return 'outer ' end)]]))
      assert.equal("false closed\n", ask(one, [[
        return listed(self:send(function() self:close() return 'x' end))]]))
    end)

    it("cannot wait in encode", function()
      start "function Lines.encode() sleep(1) end"
      assert.matches("parlance.sleep cannot wait within send", ask(one, "return why(function() self:send(1) end)"))
    end)
  end)

  it("may be one of a thousand that read nothing", function()
    start "Lines.max_unsent = 100"
    local all = {}
    for i = 1, 1000 do all[i] = script:open() end
    assert.equal("10020 1002\n", ask(one, [[
      local sent, refused = 0, 0
      for i = 1, 11 do
        for _, client in ipairs(clients) do
          if client:send '0123456789' then sent = sent + 1 else refused = refused + 1 end
        end
      end
      return sent .. " " .. refused]]):sub(101))
    for i = 1, 1000 do assert.equal(("0123456789"):rep(10), all[i]:take()) end
  end)
end)
