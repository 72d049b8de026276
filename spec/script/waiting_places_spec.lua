-- Where a script can wait and where it cannot, in simulated time.

local line_protocol = require "support.line_protocol"

describe("a script that waits", function()
  local lines = line_protocol.simulate()
  local send, answer, ask, logged = lines.send, lines.answer, lines.ask, lines.logged
  local script, session

  local function start(...) script, session = lines.start(...) end

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

    for name, use in pairs {
      __add = "return t + 1", __sub = "return t - 1", __mul = "return t * 1", __div = "return t / 1",
      __mod = "return t % 1", __pow = "return t ^ 1", __idiv = "return t // 1", __unm = "return -t",
      __band = "return t & 1", __bor = "return t | 1", __bxor = "return t ~ 1", __bnot = "return ~t",
      __shl = "return t << 1", __shr = "return t >> 1", __concat = "return t .. 1", __len = "return #t",
      __index = "return t.x", __call = "return t()", __eq = "return t == other and 'done'",
      __lt = "return t < other and 'done'", __le = "return t <= other and 'done'",
      __newindex = "t.x = 1 return 'done'",
    } do
      it("in the metamethod " .. name, function()
        start()
        local other = "local other = setmetatable({}, getmetatable(t)) "
        assert.equal("", ask(("local t = setmetatable({}, { %s = function() sleep(1) return 'done' end }) %s%s")
          :format(name, other, use)))
        script:advance(1)
        assert.equal("done", answer())
      end)
    end

    it("in a module that another task requires meanwhile, which runs once more", function()
      start "loads = 0"
      lines.add("module.lua", "loads = loads + 1 parlance.sleep(1) return { number = loads }")
      local other = script:open()
      send "return require 'module'.number"
      send("return require 'module'.number", other)
      script:advance(1)
      assert.equal("2", answer())
      assert.equal("2", answer(other))
      assert.equal("2 2", ask "return listed(loads, require 'module'.number)")
    end)

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
        "table.sort({ 2, 1, 3 }, function() sleep(1) end)", "parlance.sleep cannot wait within table.sort",
      },
      ["in string.gsub"] = {
        "('x'):gsub('x', function() sleep(1) end)", "parlance.sleep cannot wait within string.gsub",
      },
      ["in tostring"] = {
        "tostring(setmetatable({}, { __tostring = function() sleep(1) return '' end }))",
        "parlance.sleep cannot wait within tostring",
      },
      ["in the reader of load"] = {
        "assert(load(function() sleep(1) end))", "parlance.sleep cannot wait within load",
      },
      ["in print"] = {
        "print(setmetatable({}, { __tostring = function() sleep(1) end }))", "parlance.sleep cannot wait within print",
      },
      ["in ipairs over a proxy"] = {
        "for _ in ipairs(setmetatable({}, { __index = function() sleep(1) end })) do end",
        "parlance.sleep cannot wait within for iterator",
      },
      ["in table.concat over a proxy"] = {
        "table.concat(setmetatable({}, { __len = function() return 1 end, __index = function() sleep(1) end }))",
        "parlance.sleep cannot wait within table.concat",
      },
      ["in a finalizer"] = {
        [[local said
          setmetatable({}, { __gc = function() said = select(2, pcall(sleep, 1)) end })
          collectgarbage()
          error(said, 0)]],
        "parlance.sleep cannot wait in a finalizer",
      },
      ["in a callback that has another name"] = {
        "local s = table.sort s({ 2, 1 }, function() sleep(1) end)", "parlance.sleep cannot wait within table.sort",
      },
      ["in a callback of a function that pcall has called"] = {
        "assert(pcall(table.sort, { 2, 1 }, function() sleep(1) end))",
        "parlance.sleep cannot wait within table.sort",
      },
      ["in a callback, also where pcall and pairs stand between"] = {
        [[table.sort({ 2, 1 }, function()
            local t = setmetatable({}, { __pairs = function() sleep(1) end })
            assert(pcall(pairs, t))
          end)]],
        "parlance.sleep cannot wait within table.sort",
      },
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
        "parlance.sleep cannot wait within table.sort",
      },
      ["in parlance.atomic"] = {
        "parlance.atomic(sleep, 1)", "parlance.sleep cannot wait within parlance.atomic",
      },
    } do
      it(name, function()
        start()
        local said = ask("local ok, why = pcall(function() " .. case[1] .. " end) return tostring(why)")
        assert.truthy(said:find(case[2], 1, true), said)
      end)
    end

    it("however deep the stack is, which takes no time", function()
      start(nil, { call_timeout = 1000 })
      local said = ask [[
        local function deep(n) if n == 0 then sleep(1) end return (deep(n - 1)) end
        return why(function() table.sort({ 2, 1 }, function() deep(150000) end) end)]]
      assert.matches("parlance.sleep cannot wait here$", said)
    end)

    it("in request_complete, which is told with what to do instead", function()
      start "function Lines:request_complete() sleep(1) return true end"
      send "x"
      local said = "cannot wait in request_complete: decide by the bytes there, and wait in make_response"
      assert.truthy(logged():find("parlance.sleep " .. said, 1, true))
    end)

    it("in handle_close, which is told with the reason", function()
      start "function Lines:handle_close() sleep(1) end"
      session:vanish()
      session:close()
      assert.truthy(logged():find("parlance.sleep cannot wait in handle_close: the connection is over", 1, true))
    end)

    for name, code in pairs {
      ["save: return what is there"] = "function Lines.save() sleep(1) end function Lines.restore() end",
      ["restore: take what is there"] = "function Lines.save() return {} end function Lines.restore() sleep(1) end",
    } do
      it("in " .. name, function()
        start(code)
        assert.equal("refused", lines.edit(code .. " other = 1"))
        assert.truthy(logged():find("parlance.sleep cannot wait in " .. name, 1, true))
      end)
    end

    it("and goes on where a function that cannot wait has caught an error", function()
      start [[
        closed = 0
        function Lines:request_complete() return not pcall(error), #self.incoming, self.incoming end
        function Lines:handle_close() pcall(error) closed = closed + 1 end]]
      assert.equal("0", ask "return closed")
      session:close()
      assert.equal("1", ask("return closed", script:open()))
    end)

    for name, call in pairs {
      ["parlance.sleep"] = "sleep(1)",
      ["parlance.within"] = "parlance.within(1, print)",
      ["queue:pop"] = "parlance.queue():pop()",
      ["net.connect"] = "require 'parlance.net'.connect '127.0.0.1:7'",
      ["net.resolve"] = "require 'parlance.net'.resolve 'localhost'",
    } do
      it("while it is loaded: " .. name, function()
        local loaded, why = lines.load(call)
        assert.is_nil(loaded)
        local said = name .. " cannot wait while the script is loaded: wait in make_response"
        assert.truthy(why:find(said, 1, true), why)
      end)
    end

    it("and then has begun nothing", function()
      start "net = require 'parlance.net'"
      script:play_upstreams { { address = "127.0.0.1:7" } }
      local said = ask "return why(function() table.sort({ 2, 1 }, function() net.connect '127.0.0.1:7' end) end)"
      assert.truthy(said:find("net.connect cannot wait within table.sort", 1, true), said)
      assert.same({ nil, 0, 0 }, { script:accept() })
    end)

    it("in a message handler, where it returns why", function()
      start()
      assert.equal("nil parlance.sleep cannot wait in the message handler of xpcall cannot wait", ask [[
        local got
        xpcall(error, function() got = table.pack(sleep(1)) end)
        return ("%s %s %s"):format(table.unpack(got, 1, 3))]])
    end)

    for name, wait in pairs {
      ["parlance.within"] = "parlance.within(1, print)", ["parlance.any"] = "parlance.any { task }",
      ["task:wait"] = "task:wait()", ["queue:pop"] = "parlance.queue():pop()", ["lock:acquire"] = "lock:acquire()",
      ["self:read"] = "self:read 'l'", ["self:peek"] = "self:peek(1)", ["self:write"] = "self:write 'x'",
      ["net.connect"] = "net.connect(UP)", ["net.resolve"] = "net.resolve 'localhost'",
      ["stream:read"] = "stream:read 'l'", ["stream:write"] = "stream:write(('x'):rep(3000000))",
    } do
      it("in a message handler: " .. name, function()
        start "net = require 'parlance.net' UP = '127.0.0.1:7'"
        script:play_upstreams { { address = "127.0.0.1:7" } }
        local said = ask(([[
          local task, lock, stream, got = parlance.spawn(sleep, 1), parlance.lock(), net.connect(UP)
          local held = lock:acquire()
          xpcall(error, function() got = listed(%s) end)
          return got]]):format(wait))
        assert.equal(("nil %s cannot wait in the message handler of xpcall cannot wait"):format(name), said)
      end)
    end

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

    it("that are wrapped, and cannot be called while they wait", function()
      start()
      send "f = coroutine.wrap(function() sleep(1) return 'done' end) return f()"
      assert.matches("cannot resume: the coroutine waits", ask("return why(f)", script:open()))
      script:advance(1)
      assert.equal("done", answer())
    end)

    it("and one that is the server's, which is refused, too", function()
      start()
      send "co = coroutine.running() sleep(1) return 'done'"
      local other = script:open()
      assert.equal("normal", ask("return coroutine.status(co)", other))
      assert.equal("cannot resume: the coroutine is the server's own",
        ask("return select(2, coroutine.resume(co))", other))
      assert.equal("cannot close: the coroutine is the server's own",
        ask("return select(2, coroutine.close(co))", other))
      script:advance(1)
      assert.equal("done", answer())
    end)

    it("of its own only, to yield in", function()
      start()
      assert.equal("false", ask "return coroutine.isyieldable()")
      assert.equal("true", ask "return coroutine.wrap(coroutine.isyieldable)()")
      assert.matches("only in a coroutine that the script has made", ask "return select(2, pcall(coroutine.yield))")
    end)
  end)
end)
