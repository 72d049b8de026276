-- timeout 300
-- Streams to other servers, over real sockets: how they end, and how they stand in a response.

local server = require "support.server"
local upstream = require "support.upstream"

server.for_each_poller(function(poller)
  describe("a stream with " .. poller, function()
    local lines = upstream.lines(poller)
    local start, stream, send, answer, ask = lines.start, lines.stream, lines.send, lines.answer, lines.ask

    describe("of a script", function()
      local APOLOGY <const> = "Lines.handle_error = function(_, why) return why .. '\\n' end "
      local CLOSED <const> = "nil \"closed\" \"closed\""

      it("does nothing after it was closed", function()
        local client, peer = stream [[
          local out = {}
          s:close() s:close()
          for _, name in ipairs { 'read', 'write', 'shutdown', 'detach' } do out[#out + 1] = show(s[name](s)) end
          out[#out + 1] = show(s:peek(1))
          out[#out + 1] = show(s:release())
          return table.concat(out, ', ')]]
        assert.equal(table.concat({ CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, 'false "closed"' }, ", "), answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("wakes who waits for it when another closes it", function()
        local client, peer = stream "kept[1] = s s:write 'x' return show(s:read 'l')"
        peer:receive(1) -- the task reads by now
        assert.equal("true", ask(lines.running:connect(), "return kept[1]:close()"))
        assert.equal(CLOSED, answer(client))
      end)

      it("sends what was written before it is closed", function()
        local client, peer = stream "s:set_timeout(0.01) s:write(('x'):rep(5000000)) s:close() return 'closed'"
        assert.equal("closed", answer(client))
        assert.equal(5000000, #peer:receive "*a")
      end)

      it("sends what was written though bytes are unread", function()
        local client, peer = stream "s:peek(1) s:write(('x'):rep(1000000)) s:close() return 'closed'"
        peer:send(("y"):rep(500000))
        assert.equal("closed", answer(client))
        assert.equal(1000000, #peer:receive "*a")
      end)

      it("ends with the task that made it", function()
        local client, peer = lines.begin "kept[1] = net.connect(UP) return 'done'"
        assert.equal("done", answer(client))
        assert.is_true(upstream.has_ended(peer))
        assert.equal(CLOSED, ask(client, "return show(kept[1]:read())"))
      end)

      it("ends with an error of the task", function()
        local client, peer = lines.begin("kept[1] = net.connect(UP) error 'on purpose'",
          "Lines.handle_error = function() return 'failed\\n' end")
        assert.equal("failed", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("ends when the client is gone", function()
        local client, peer = lines.begin "local s = net.connect(UP) s:write(('x'):rep(1000000)) return s:read 'l'"
        peer:receive(1000000)
        client:reset()
        assert.is_true(upstream.has_ended(peer))
        assert.equal("2", ask(lines.running:connect(), "return 2"))
      end)

      it("is dropped with what is unsent when its task is cancelled, though it is a <close> variable", function()
        local client, peer = stream "s:write(('x'):rep(20000000)) return 'done'"
        peer:receive(1)
        client:reset()
        server.wait_until("the end", function() return lines.running:log():find("reason=peer_reset", 1, true) end)
        local _, why, part = peer:receive(20000000)
        assert.equal("closed", why)
        assert.is_true(#part < 19999999)
      end)

      it("ends when the response takes longer than response_timeout", function()
        local client, peer = lines.begin("local s = net.connect(UP) return s:read 'l'",
          APOLOGY .. "Lines.response_timeout = 0.1")
        assert.equal("response_timeout", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("ends when the task is stopped for taking too long", function()
        local client, peer = lines.begin("local s = net.connect(UP) s:read 'l' while true do end",
          APOLOGY, { "--call-timeout", "0.1" })
        peer:send "\n"
        assert.equal("script_overrun", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("works in a coroutine, in pcall and in an operator", function()
        local client, peer = stream [[
          local add = setmetatable({}, { __add = function() return s:read 'l' end })
          return show(coroutine.wrap(function() return s:read 'l' end)(), select(2, pcall(s.read, s)), add + 1)]]
        peer:send "1\n2\n3\n"
        assert.equal('"1" "2" "3"', answer(client))
      end)

      it("is closed by the collector, and by a finalizer", function()
        local client, peer = lines.begin [[
          (function() net.connect(UP):detach() end)() collectgarbage() collectgarbage() return 1]]
        assert.equal("1", answer(client))
        assert.is_true(upstream.has_ended(peer))
        lines.running:wait_for_log "stream_collected service=%S+ address=\"?127.0.0.1:%d+"
        send(client, [[
          (function()
            local s = net.connect(UP):detach()
            setmetatable({}, { __gc = function()
              kept.gc = show(pcall(s.read, s)) .. show(pcall(s.write, s, 'x')) s:close() s:close()
            end })
          end)()
          collectgarbage() collectgarbage() return kept.gc]])
        peer = lines.up:accept()
        local said = answer(client)
        assert.matches("stream:read cannot wait in a finalizer", said)
        assert.matches("stream:write cannot wait in a finalizer", said)
        assert.is_true(upstream.has_ended(peer))
      end)

      it("is not lost when a script calls its finalizer while a task waits", function()
        local client, peer = stream "kept[1] = s s:write 'x' return show(s:read 'l')"
        peer:receive(1) -- the task reads by now
        local other = lines.running:connect()
        assert.equal("closed", ask(other, "debug.getmetatable(kept[1]).__gc(kept[1]) return 'closed'"))
        assert.equal(CLOSED, answer(client))
        assert.equal("nil", ask(client, "return debug.getmetatable(kept[1]).__gc({})"))
      end)

      it("lives on when it is detached", function()
        local client, peer = lines.begin "kept[1] = net.connect(UP):detach() return 1"
        assert.equal("1", answer(client))
        client:close()
        client = lines.running:connect()
        send(client, "local s = kept[1] s:write 'again\\n' return s:read 'l'")
        assert.equal("again", peer:receive "*l")
        peer:send "yes\n"
        assert.equal("yes", answer(client))
      end)

      it("cannot be used where nothing can wait", function()
        local client, peer = stream "return show(pcall(function() table.sort({ 1, 2 }, function() s:read 'l' end) end))"
        assert.matches("stream:read cannot wait within table.sort", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("leaves no descriptor behind", function()
        local client = start()
        assert.equal("1", ask(client, "return 1"))
        local descriptors = lines.running:descriptors()
        for _ = 1, 20 do
          send(client, "local s = net.connect(UP) return s:read 'l'")
          local peer = lines.up:accept()
          peer:send "x\n"
          assert.equal("x", answer(client))
          peer:close()
        end
        server.wait_until("all to be closed", function() return lines.running:descriptors() <= descriptors end)
      end)
    end)

    describe("in a response", function()
      local RELAY <const> = "Lines.make_response = function() return (assert(net.connect(UP))) end"

      it("is sent until it ends", function()
        local client = start [[
          function Lines:make_response() local s = assert(net.connect(UP)) return { "a", s, "z\n" } end]]
        send(client, "x")
        local peer = lines.up:accept()
        peer:send "bc"
        assert.equal("abc", client:receive(3))
        peer:send(("d"):rep(1000000))
        peer:close()
        assert.is_true(("d"):rep(1000000) .. "z\n" == client:receive(1000002))
        send(client, "x")
        lines.up:accept():close()
        assert.equal("az", answer(client))
      end)

      it("may be all of it", function()
        local client, peer = lines.begin("x", RELAY)
        peer:send "all\n"
        assert.equal("all", answer(client))
        peer:close()
      end)

      it("is read only as fast as the client reads", function()
        local client, peer = lines.begin("x", RELAY)
        peer:settimeout(0.3)
        local _, why, sent = peer:send(("x"):rep(64000000))
        assert.equal("timeout", why)
        assert.is_true(lines.running:memory() < 64000 or server.is_sanitized)
        assert.equal(sent, #client:receive(sent))
      end)

      it("cuts the response when it breaks", function()
        local client, peer = lines.begin("x", RELAY)
        peer:send "abc"
        assert.equal("abc", client:receive(3))
        upstream.reset(peer)
        assert.equal("", (client:receive_rest()))
        lines.running:wait_for_log "a stream of the response: the connection was reset"
      end)

      it("is dropped when the client is gone", function()
        local client, peer = lines.begin("x", RELAY)
        peer:send "abc"
        assert.equal("abc", client:receive(3))
        client:reset()
        local line = ("x"):rep(100000)
        local sent, why
        repeat sent, why = peer:send(line) until not sent
        assert.equal("closed", why)
      end)
    end)
  end)
end)
