-- timeout 300
-- parlance.net over real sockets: connecting, connections that are kept for the next one, and names.

local server = require "support.server"
local socket = require "socket"
local upstream = require "support.upstream"

server.for_each_poller(function(poller)
  describe("parlance.net with " .. poller, function()
    local lines, names = upstream.lines(poller), nil
    local start, stream, send, answer, ask = lines.start, lines.stream, lines.send, lines.answer, lines.ask

    -- Starts the server with a name server that is played here. Returns a client, and what answers the two questions
    -- for a name, one for each family, with these addresses.
    local function start_with_names(addresses)
      names = assert(socket.udp())
      assert(names:setsockname("127.0.0.1", 0))
      names:settimeout(server.DEADLINE)
      local client = start(nil, { "--name-server", "127.0.0.1:" .. select(2, names:getsockname()) })
      return client, function()
        for _ = 1, 2 do
          local query, host, port = assert(names:receivefrom())
          local name = query:match("^[^\0]*\0", 13)
          local kind = string.unpack(">I2", query, 13 + #name)
          local all = addresses[kind == 1 and "v4" or "v6"] or {}
          local reply = query:sub(1, 2) .. string.pack(">I2I2I2I2I2", 0x8180, 1, #all, 0, 0)
            .. name .. query:sub(13 + #name, 16 + #name)
          for _, address in ipairs(all) do
            reply = reply .. string.pack(">I2I2I2I4s2", 0xc00c, kind, 1, 60, address)
          end
          names:sendto(reply, host, port)
        end
      end
    end

    after_each(function()
      if names then names:close() end
      names = nil
    end)

    describe("connect", function()
      it("gives a stream to what listens there", function()
        local client, peer = lines.begin "local s = net.connect(UP) s:write('GET ', 1, '\\r\\n') return s:read('l')"
        assert.equal("GET 1\r", peer:receive "*l" .. "\r")
        peer:send "value\r\nrest"
        assert.equal("value", answer(client))
        assert.is_true(upstream.has_ended(peer)) -- with its task
      end)

      it("keeps nobody else waiting", function()
        local client, other = start(), lines.running:connect()
        send(client, "local s = net.connect(UP) return s:read('l')")
        local peer = lines.up:accept()
        assert.equal("2", ask(other, "return 1 + 1"))
        peer:send "late\n"
        assert.equal("late", answer(client))
      end)

      it("gives nil and the reason where nobody listens", function()
        local client = start()
        local address, bound = upstream.refusing()
        local code <const> = ("return show(net.connect(%q))"):format(address)
        assert.equal('nil "connection refused" "refused"', ask(client, code))
        bound:close()
        assert.equal('nil "No such file or directory" "refused"', ask(client, "return show(net.connect('unix:/none'))"))
      end)

      it("gives nil and the reason where no way leads", function()
        -- TCP has no broadcast. Why the kernel refuses it depends on the machine's routes.
        assert.matches('^nil "[^"]+" "unreachable"$', ask(start(), "return show(net.connect '255.255.255.255:7')"))
      end)

      it("tells both ends of a stream", function()
        local client = start()
        send(client, "local s = net.connect(UP) return show(s.peer_address, s.own_address, s:close(), s.peer_address)")
        local host, port = lines.up:accept():getpeername()
        assert.equal(('%q "%s:%d" true nil'):format(lines.up.address, host, port), answer(client))
      end)

      it("tells no ends of a Unix socket", function()
        lines.listen_unix()
        assert.equal("nil nil", ask(start(), "local s = net.connect(UP) return show(s.peer_address, s.own_address)"))
      end)

      it("finds the loopback by its name", function()
        local client = start()
        send(client, "local s = net.connect('localhost:' .. UP:match ':(%d+)') return s:read('l')")
        lines.up:accept():send "hello\n"
        assert.equal("hello", answer(client))
      end)

      it("connects over IPv6", function()
        local listener = assert(socket.tcp6())
        assert(listener:bind("::1", 0))
        assert(listener:listen(1))
        local port = select(2, listener:getsockname())
        assert.equal(('"[::1]:%d"'):format(port),
          ask(start(), ("local s = net.connect('[::1]:%d') return show(s.peer_address)"):format(port)))
        listener:close()
      end)

      it("connects to a Unix socket", function()
        lines.listen_unix()
        local client = start()
        send(client, "local s = net.connect(UP) return s:read('l')")
        lines.up:accept():send "hello\n"
        assert.equal("hello", answer(client))
      end)

      it("gives up after its timeout", function()
        lines.listen(nil, 0)
        local client = start()
        -- The backlog of one is full, so that the kernel lets the others wait.
        local said = ask(client, [[
          local all, why = {}
          for i = 1, 8 do
            all[i], why, code = net.connect(UP, { timeout = 0.2 })
            if not all[i] then return show(all[i], why, code) end
          end]])
        assert.equal('nil "timeout" "timeout"', said)
      end)

      for call, complaint in pairs {
        ["'x'"] = "the port is missing",
        ["'127.0.0.1:0'"] = "the port is 0",
        ["':80'"] = "the host is missing",
        ["'udp:127.0.0.1:1'"] = "udp: is for datagrams, which have no connection",
        ["{}"] = "bad argument #1",
        ["UP, { tiemout = 1 }"] = "net.connect has no option tiemout",
        ["UP, { timeout = -1 }"] = "timeout must be a number of seconds",
        ["UP, { reuse = 1 }"] = "reuse must be true or false",
      } do
        it("raises for what is no address or no option: " .. call, function()
          assert.matches(complaint, ask(start(), ("return why(function() net.connect(%s) end)"):format(call)))
        end)
      end

      describe("with a name that has several addresses", function()
        local busy, free, port

        -- The backlog of the first address can be filled, so that the kernel lets others wait there.
        before_each(function()
          busy, free = socket.tcp4(), socket.tcp4()
          assert(busy:bind("127.0.0.2", 0))
          port = select(2, busy:getsockname())
          assert(free:bind("127.0.0.3", port))
          assert(free:listen(1))
        end)

        after_each(function()
          busy:close()
          free:close()
        end)

        local function connect()
          local client, serve = start_with_names { v4 = { "\127\0\0\2", "\127\0\0\3" } }
          send(client, ([[
            local before = parlance.now()
            local s = net.connect("upstream.example.:%d")
            return show(s.peer_address, parlance.now() - before)]]):format(port))
          serve()
          local address, took = answer(client):match '^"([%d.]+):%d+" (.*)$'
          return address, tonumber(took)
        end

        it("tries the next one 250 ms later beside the first", function()
          assert(busy:listen(0))
          local fillers = {}
          for i = 1, 3 do
            fillers[i] = socket.tcp4()
            fillers[i]:settimeout(0)
            fillers[i]:connect("127.0.0.2", port)
          end
          local address, took = connect()
          assert.equal("127.0.0.3", address)
          assert.is_true(took > 0.249 and took < 10)
          for _, filler in ipairs(fillers) do filler:close() end
        end)

        it("tries the next one at once where the first refuses", function()
          assert.equal("127.0.0.3", (connect()))
        end)

        it("takes the first one that is there", function()
          assert(busy:listen(1))
          assert.equal("127.0.0.2", (connect()))
        end)
      end)

      it("works for five hundred connections at once", function()
        local client = start()
        local clients = { client }
        for i = 2, 500 do clients[i] = lines.running:connect() end
        local line = "local s <close> = net.connect(UP) s:write(%d, '\\n') return s:read('l')"
        for i = 1, 500 do send(clients[i], line:format(i)) end
        for _ = 1, 500 do
          local peer = lines.up:accept()
          peer:send("re " .. peer:receive "*l" .. "\n")
        end
        for i = 1, 500 do assert.equal("re " .. i, answer(clients[i])) end
      end)
    end)

    describe("release", function()
      it("gives a connection back for the next one that asks for it", function()
        local client = start()
        local LINE <const> = [[
          local s = net.connect(UP, { reuse = true })
          s:write 'x\n'
          return show(s.reused, s:read 'l', s:release())]]
        send(client, LINE)
        local peer = lines.up:accept()
        for _, reused in ipairs { "false", "true", "true" } do
          assert.equal("x", peer:receive "*l")
          peer:send "y\n"
          assert.equal(reused .. ' "y" true', answer(client))
          send(client, LINE)
        end
        assert.equal("x", peer:receive "*l")
        assert.is_true(lines.up:is_quiet(0))
      end)

      it("leaves it to those that ask for it", function()
        local client = start()
        send(client, "return show(net.connect(UP):release())")
        lines.up:accept()
        assert.equal("true", answer(client))
        send(client, "return show(net.connect(UP).reused)")
        lines.up:accept()
        assert.equal("false", answer(client))
      end)

      for why, line in pairs {
        ["bytes are unread"] = "s:read(1)",
        ["a read or a write was cut short"] = "s:set_timeout(0.01) s:read(9)",
        ["sending was ended"] = "s:read(1) s:read(1) s:shutdown()",
      } do
        it("closes a stream where " .. why, function()
          local client, peer = stream(line .. " return show(s:release())")
          peer:send "ab"
          assert.equal(("false %q"):format(why), answer(client))
          assert.is_true(upstream.has_ended(peer))
        end)
      end

      for how, ending in pairs {
        ["cancelled"] = "local task = parlance.spawn(ask) parlance.sleep(0) task:cancel() task:wait()",
        ["ended by a deadline"] = "parlance.within(0.01, ask)",
      } do
        it("closes a stream in a task that is " .. how .. ", because a reply may be late", function()
          local client, peer = stream([[
            local released
            local giving_back <const> = { __close = function() released = show(s:release()) end }
            local function ask()
              local _ <close> = setmetatable({}, giving_back)
              s:write "x\n"
              parlance.sleep(60)
            end
            ]] .. ending .. " return released")
          assert.equal('false "the task was cancelled"', answer(client))
          assert.equal("x", peer:receive "*l")
          assert.is_true(upstream.has_ended(peer))
        end)
      end

      it("closes a stream whose peer has gone", function()
        local client, peer = stream "s:read 'a' return show(s:release())"
        peer:close()
        assert.equal('false "the connection has ended"', answer(client))
      end)

      it("closes a stream whose bytes are unsent, behind them", function()
        lines.listen_unix() -- which takes 200 KiB of a peer that does not read
        local client, peer = stream "s:write(('x'):rep(250000)) return show(s:release())"
        assert.equal('false "bytes are unsent"', answer(client))
        assert.equal(250000, #peer:receive "*a")
      end)

      it("keeps a stream whose peer has not read yet", function()
        local client = stream "for _ = 1, 100 do s:write(('x'):rep(2000)) end return show(s:release())"
        assert.equal("true", answer(client))
      end)

      it("never takes a late reply for the answer to another request", function()
        local client = start()
        local LINE <const> = [[
          local s = net.connect(UP, { reuse = true })
          s:write 'x\n'
          return show(s:read 'l', s:release())]]
        send(client, LINE)
        local first = lines.up:accept()
        first:send "y\n"
        assert.equal('"y" true', answer(client))
        first:send "late\n"
        send(client, LINE)
        lines.up:accept():send "z\n"
        assert.equal('"z" true', answer(client))
        assert.equal("x", first:receive "*l")
        assert.is_true(upstream.has_ended(first))
      end)

      it("forgets a connection that its peer has closed", function()
        local client, peer = lines.begin "return show(net.connect(UP, { reuse = true }):release())"
        assert.equal("true", answer(client))
        peer:close()
        send(client, "return show(net.connect(UP, { reuse = true }).reused)")
        lines.up:accept()
        assert.equal("false", answer(client))
      end)

      it("keeps at most 64 connections to one address", function()
        local client = start()
        send(client, [[
          local all, kept = {}, 0
          for i = 1, 70 do all[i] = assert(net.connect(UP)) end
          for i = 1, 70 do if all[i]:release() then kept = kept + 1 end end
          return kept]])
        for _ = 1, 70 do lines.up:accept() end
        assert.equal("64", answer(client))
      end)
    end)

    describe("resolve", function()
      it("gives the addresses of a name", function()
        local client = start()
        assert.equal('"::1" "127.0.0.1"', ask(client, "return show(table.unpack(net.resolve 'localhost'))"))
        assert.equal('"10.1.2.3"', ask(client, "return show(table.unpack(net.resolve '10.1.2.3'))"))
        assert.equal('"::1"', ask(client, "return show(table.unpack(net.resolve '::1'))"))
      end)

      it("asks the name server, and connects to what that says", function()
        local client, serve = start_with_names { v4 = { "\127\0\0\1" } }
        send(client, "return show(table.unpack(net.resolve 'upstream.example.'))")
        serve()
        assert.equal('"127.0.0.1"', answer(client))
        send(client, "return net.connect('upstream.example.:' .. UP:match ':(%d+)'):read 'l'")
        serve()
        lines.up:accept():send "found\n"
        assert.equal("found", answer(client))
      end)

      it("gives IPv6 and IPv4 addresses in turn", function()
        local client, serve = start_with_names {
          v4 = { "\127\0\0\2", "\127\0\0\3" }, v6 = { ("\0"):rep(15) .. "\1", "\x20\1\x0d\xb8" .. ("\0"):rep(12) },
        }
        send(client, "return show(table.unpack(net.resolve 'upstream.example.'))")
        serve()
        assert.equal('"::1" "127.0.0.2" "2001:db8::" "127.0.0.3"', answer(client))
      end)

      it("tells that no name server answers", function()
        local nobody <const> = assert(socket.udp())
        assert(nobody:setsockname("127.0.0.1", 0))
        local port <const> = select(2, nobody:getsockname())
        nobody:close()
        local client = start(nil, { "--name-server", "127.0.0.1:" .. port })
        assert.equal('nil "no name server has answered" "name"',
          ask(client, "return show(net.resolve 'upstream.example.')"))
      end)

      it("tells that a name has none", function()
        local client = start()
        assert.equal('nil "the name has no address" "name"', ask(client, "return show(net.resolve 'no..name')"))
        assert.matches("must be a name of 1 to 253 bytes", ask(client, "return show(pcall(net.resolve, ''))"))
        assert.equal('nil "the name has no address" "name"', ask(client, "return show(net.connect 'no..name:80')"))
      end)
    end)
  end)
end)
