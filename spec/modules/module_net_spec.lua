-- timeout 300
-- Streams to other servers, over real sockets: what a script reads and writes, and how it ends.

local process = require("parlance_spec").process
local server = require "support.server"
local socket = require "socket"
local upstream = require "support.upstream"

-- A protocol of lines: each is a piece of Lua that is run, and what it returns is answered. UP is the address of the
-- upstream.
local function protocol(address, rest)
  return ([[
    parlance = require "parlance"
    framing = require "parlance.framing"
    net = require "parlance.net"
    UP = %q
    kept = {}
    function show(...)
      local all = table.pack(...)
      for i = 1, all.n do
        all[i] = type(all[i]) == "string" and ("%%q"):format(all[i]):gsub("\\\n", "\\n") or tostring(all[i])
      end
      return table.concat(all, " ")
    end
    local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 0 }
    function Lines:make_response()
      local text = self.request
      self_now = self
      return tostring((assert(load(text, "=line"))(self))) .. "\n"
    end
    %s
    return Lines
  ]]):format(address, rest or "")
end

server.for_each_poller(function(poller)
  describe("parlance.net with " .. poller, function()
    local up, running

    local function start(rest, options)
      options = options or {}
      options.poller = poller
      running = server.start(protocol(up.address, rest), options)
      return running:connect()
    end

    local function send(client, line) client:send((line:gsub("\n", " ")) .. "\n") end
    local function answer(client) return client:receive_until "\n":sub(1, -2) end
    local function ask(client, line)
      send(client, line)
      return answer(client)
    end

    before_each(function() up = upstream.listen() end)
    after_each(function() up:close() end)

    describe("connect", function()
      it("gives a stream to what listens there", function()
        local client = start()
        send(client, "local s = net.connect(UP) s:write('GET ', 1, '\\r\\n') return s:read('l')")
        local peer = up:accept()
        assert.equal("GET 1\r", peer:receive "*l" .. "\r")
        peer:send "value\r\nrest"
        assert.equal("value", answer(client))
        assert.is_true(upstream.has_ended(peer)) -- with its task
      end)

      it("keeps nobody else waiting", function()
        local client, other = start(), running:connect()
        send(client, "local s = net.connect(UP) return s:read('l')")
        local peer = up:accept()
        assert.equal("2", ask(other, "return 1 + 1"))
        peer:send "late\n"
        assert.equal("late", answer(client))
      end)

      it("gives nil and the reason where nobody listens", function()
        local client = start()
        assert.equal('nil "connection refused" "refused"',
          ask(client, ("return show(net.connect(%q))"):format(upstream.refusing())))
        assert.equal('nil "No such file or directory" "refused"', ask(client, "return show(net.connect('unix:/none'))"))
      end)

      it("tells both ends of a stream", function()
        local client = start()
        send(client, "local s = net.connect(UP) return show(s.peer_address, s.own_address, s:close(), s.peer_address)")
        local host, port = up:accept():getpeername()
        assert.equal(('%q "%s:%d" true nil'):format(up.address, host, port), answer(client))
      end)

      it("tells no ends of a Unix socket", function()
        up:close()
        up = upstream.listen(os.tmpname() .. ".sock")
        assert.equal("nil nil", ask(start(), "local s = net.connect(UP) return show(s.peer_address, s.own_address)"))
        os.remove((up.address:gsub("^unix:", "")))
      end)

      it("finds the loopback by its name", function()
        local client = start()
        send(client, "local s = net.connect('localhost:' .. UP:match ':(%d+)') return s:read('l')")
        up:accept():send "hello\n"
        assert.equal("hello", answer(client))
      end)

      it("connects to a Unix socket", function()
        up:close()
        up = upstream.listen(os.tmpname() .. ".sock")
        local client = start()
        send(client, "local s = net.connect(UP) return s:read('l')")
        up:accept():send "hello\n"
        assert.equal("hello", answer(client))
        os.remove((up.address:gsub("^unix:", "")))
      end)

      it("gives up after its timeout", function()
        up:close()
        up = upstream.listen(nil, 0)
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

      it("raises for what is no address or no option", function()
        local client = start()
        local function complaint(line) return ask(client, "return select(2, pcall(function() " .. line .. " end))") end
        assert.matches("the port is missing", complaint "net.connect('x')")
        assert.matches("the port is 0", complaint "net.connect('127.0.0.1:0')")
        assert.matches("the host is missing", complaint "net.connect(':80')")
        assert.matches("bad argument #1", complaint "net.connect({})")
        assert.matches("net.connect has no option tiemout", complaint "net.connect(UP, { tiemout = 1 })")
        assert.matches("timeout must be a number of seconds", complaint "net.connect(UP, { timeout = -1 })")
        assert.matches("reuse must be true or false", complaint "net.connect(UP, { reuse = 1 })")
      end)

      it("works for five hundred connections at once", function()
        local client = start()
        local clients = { client }
        for i = 2, 500 do clients[i] = running:connect() end
        local line = "local s <close> = net.connect(UP) s:write(%d, '\\n') return s:read('l')"
        for i = 1, 500 do send(clients[i], line:format(i)) end
        for _ = 1, 500 do
          local peer = up:accept()
          peer:send("re " .. peer:receive "*l" .. "\n")
        end
        for i = 1, 500 do assert.equal("re " .. i, answer(clients[i])) end
      end)
    end)

    -- Runs a line that has the stream `s`. Returns the client and the upstream's end.
    local function stream(line, rest)
      local client = start(rest)
      send(client, "local s <close> = assert(net.connect(UP)) " .. line)
      return client, up:accept()
    end

    describe("read", function()
      for _, case in ipairs {
        { "a line without its end", "'l'", { "one\r\ntwo\n" }, '"one"', "two\n" },
        { "a line as Lua's files name it", "'*l'", { "one\n" }, '"one"', "" },
        { "a line without being told what", "", { "one\n" }, '"one"', "" },
        { "an empty line", "'l'", { "\r\n" }, '""', "" },
        { "a line with its end", "'L'", { "one\r\ntwo" }, [["one\13\n"]], "two" },
        { "a line in pieces", "'l'", { "o", "n", "e", "\r", "\n" }, '"one"', "" },
        { "so many bytes", "5", { "ab", "cdefg" }, '"abcde"', "fg" },
        { "no byte", "0", { "ab" }, '""', "ab" },
        { "what has come", "'any'", { "abc" }, '"abc"', "" },
        { "a frame", "framing.delimited { delimiter = ';' }", { "a", "b", ";c" }, '"ab"', "c" },
        { "a netstring", "framing.netstring()", { "3:", "abc", ",x" }, '"abc"', "x" },
        { "a frame with a length", "framing.prefixed { format = '>I2' }", { "\0", "\3ab", "cd" }, '"abc"', "d" },
      } do
        it("takes " .. case[1], function()
          local client, peer = stream(("local a = s:read(%s) return show(a, s:read('a'))"):format(case[2]))
          for _, piece in ipairs(case[3]) do peer:send(piece) end
          peer:close()
          assert.equal(("%s %q"):format(case[4], case[5]):gsub("\\\n", "\\n"), answer(client))
        end)
      end

      it("takes a frame as the request that it is", function()
        local client, peer = stream "local r = s:read(framing.http()) return show(r.method, r.target, r.body)"
        peer:send "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        assert.equal('"PUT" "/x" "abc"', answer(client))
      end)

      it("takes what a Redis answers, a null as nil without a reason", function()
        local client, peer = stream [[
          local replies, all = framing.resp { replies = true }, {}
          for i = 1, 6 do
            local reply, why, code = s:read(replies)
            all[i] = ("%s/%s/%s"):format(reply, why, code)
          end
          return table.concat(all, " ") ]]
        for _, piece in ipairs { "+OK\r\n$-1\r", "\n:4\r\n-ER", "R no\r\n$2\r\na", "b\r\n" } do peer:send(piece) end
        peer:close()
        assert.equal("OK/nil/nil nil/nil/nil 4/nil/nil ERR no/nil/nil ab/nil/nil nil/closed/closed", answer(client))
      end)

      it("takes a response of HTTP up to its length, and one without a length up to the end", function()
        local client, peer = stream [[
          local responses = framing.http { responses = true }
          local one, two = s:read(responses), s:read(responses)
          return show(one.status, one.body, one.keep_alive, two.status, two.body, two.keep_alive, s:read(responses)) ]]
        peer:send "HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nnone"
        peer:send "HTTP/1.1 200 OK\r\n\r\nup to "
        peer:send "the end"
        peer:close()
        assert.equal('404 "none" true 200 "up to the end" false nil "closed" "closed"', answer(client))
      end)

      for _, case in ipairs {
        { "closed", "Content-Length: 9\r\n", function(peer) peer:close() end },
        { "reset", "", upstream.reset },
      } do
        local code, length, break_it = table.unpack(case)
        it("takes no response of HTTP that is cut short: " .. code, function()
          local client, peer = stream "s:write 'x' return show(select(3, s:read(framing.http { responses = true })))"
          peer:receive(1)
          peer:send("HTTP/1.1 200 OK\r\n" .. length .. "\r\nabc")
          break_it(peer)
          assert.equal(("%q"):format(code), answer(client))
        end)
      end

      it("takes the answer to a HEAD without the body that its length speaks of", function()
        local client, peer = stream [[
          local r = s:read(framing.http { responses = true, method = "HEAD" })
          return show(r.status, r.body, r.headers["content-length"], s:read("any")) ]]
        peer:send "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
        assert.equal('200 "" "4" "next"', answer(client))
      end)

      it("takes all up to the end, and then nothing", function()
        local client, peer = stream "return show(#s:read 'a', s:read 'a', s:read 'any')"
        peer:send(("x"):rep(300000))
        peer:close()
        assert.equal('300000 "" nil "closed" "closed"', answer(client))
      end)

      it("takes ten megabytes by number", function()
        local client, peer = stream "local a = s:read(10000000) return show(#a, #s:read('a'))"
        peer:send(("x"):rep(10000001))
        peer:close()
        assert.equal("10000000 1", answer(client))
      end)

      it("takes at most 64 KiB as what has come", function()
        local client, peer = stream [[
          local most, all = 0, 0
          while true do
            local piece = s:read 'any'
            if not piece then return show(most <= 65536, all) end
            most, all = math.max(most, #piece), all + #piece
          end]]
        peer:send(("x"):rep(1000000))
        peer:close()
        assert.equal("true 1000000", answer(client))
      end)

      it("tells the end, and keeps what had come", function()
        local client, peer = stream "return show(s:read 'l', select(3, s:read(9)), s:read 'any', s:read 'any')"
        peer:send "half"
        peer:close()
        assert.equal('nil "closed" "half" nil "closed" "closed"', answer(client))
      end)

      it("tells a broken connection, and keeps what had come", function()
        local client, peer = stream "s:write 'x' s:peek(4) local got = s:read 'l' return show(got, s:read 'l')"
        peer:receive(1)
        peer:send "half"
        upstream.reset(peer)
        assert.equal('nil nil "the connection was reset" "reset"', answer(client))
      end)

      it("tells a time-out, which loses nothing", function()
        local client, peer = stream "s:set_timeout(0.05) local a, b, c = s:read(5) return show(a, b, c, s:read 'any')"
        peer:send "half"
        assert.equal('nil "timeout" "timeout" "half"', answer(client))
      end)

      it("has a time-out for all of it, however often a byte comes", function()
        local client, peer = stream "s:set_timeout(0.1) return show(s:read 'l')"
        local before = process.now()
        peer:settimeout(0)
        client.socket:settimeout(0.01)
        local said
        repeat
          peer:send "x"
          said = client.socket:receive "*l"
        until said or process.now() > before + 20
        assert.equal('nil "timeout" "timeout"', said)
      end)

      it("tells what is malformed or too large, once and for all", function()
        local client, peer = stream "return show(s:read(framing.netstring()))"
        peer:send "x:"
        assert.matches('nil ".*" "malformed"', answer(client))
      end)

      it("refuses a line of more than 1 MiB", function()
        local client, peer = stream "return show(s:read 'l')"
        peer:send(("x"):rep(1024 * 1024 + 1))
        assert.equal('nil "the line has more than 1 MiB" "too_large"', answer(client))
      end)

      it("refuses more than 16 MiB", function()
        local client, peer = stream "return show(s:read(2^24 + 1)) .. show(s:read(framing.netstring()))"
        peer:send "99999999:"
        assert.matches('^nil ".*" "too_large"nil ".*" "too_large"$', answer(client))
      end)

      it("raises for what cannot be read", function()
        local client = stream [[
          local function complaint(...) return select(2, pcall(s.read, s, ...)) end
          return show(complaint 'x', complaint(-1), complaint(1.5), complaint({}), complaint('l', 'l'))]]
        local said = answer(client)
        assert.matches('must be "l", "L", "a", "any", a number or a framing', (said:gsub("\\", "")))
        assert.matches("must be a whole number from 0 on", said)
        assert.matches("string, number or framing expected, got table", said)
        assert.matches("one thing is read at a time", said)
      end)

      it("goes on where peek has looked", function()
        local client, peer = stream "return show(s:peek(2), s:peek(1), s:read 'l')"
        peer:send "abc\n"
        assert.equal('"ab" "a" "abc"', answer(client))
      end)

      it("is for one task at a time", function()
        local client, peer = stream "kept[1] = s return show(s:read 'l')"
        local other = running:connect()
        assert.matches("another task reads from the stream", ask(other, "return show(pcall(kept[1].read, kept[1]))"))
        peer:send "mine\n"
        assert.equal('"mine"', answer(client))
      end)

      it("gives lines", function()
        local client, peer = stream [[
          local all = {}
          for line in s:lines() do all[#all + 1] = line end
          return show(table.unpack(all))]]
        peer:send "one\ntwo\r\n\nfour"
        peer:close()
        assert.equal('"one" "two" ""', answer(client))
        client, peer = stream "return show(pcall(function() s:set_timeout(0.01) for _ in s:lines 'L' do end end))"
        peer:send "one\n"
        assert.matches("stream:lines: timeout", answer(client))
      end)
    end)

    describe("write", function()
      it("takes strings and numbers, and returns the stream", function()
        local client, peer = stream "return show(s:write('a', 1, 2.5, ''):write() == s)"
        assert.equal("true", answer(client))
        assert.equal("a12.5", peer:receive "*a")
      end)

      it("sends everything, whatever the peer takes at once", function()
        local client, peer = stream [[
          for i = 1, 50 do s:write(('x'):rep(100000)) end
          s:write(('y'):rep(3000000))
          return 'all']]
        local all = peer:receive(8000000)
        assert.equal(5000000, #all:match "^x+")
        assert.equal("all", answer(client))
      end)

      it("waits while the peer takes nothing, until the time-out, and has taken its bytes", function()
        local client, peer = stream [[
          s:set_timeout(0.1)
          local count, done, why, code = 0
          repeat
            done, why, code = s:write(('x'):rep(100000))
            count = count + 1
          until not done
          return show(count, why, code)]]
        local count, rest = answer(client):match "^(%d+) (.*)$"
        assert.equal('"timeout" "timeout"', rest)
        assert.equal(count * 100000, #peer:receive "*a")
      end)

      it("keeps nobody else waiting", function()
        local client, peer = stream "s:write(('x'):rep(10000000)) return 'done'"
        assert.equal("now", ask(running:connect(), "return 'now'"))
        peer:receive(10000000)
        assert.equal("done", answer(client))
      end)

      it("tells a broken connection", function()
        local client, peer = stream [[
          s:write 'x'
          for _ = 1, 1000 do
            local done, why, code = s:write 'x'
            if not done then return show(done, why, code) end
            parlance.sleep(0.001)
          end]]
        peer:receive(1)
        upstream.reset(peer)
        assert.equal('nil "the connection was reset" "reset"', answer(client))
      end)

      it("is over after shutdown, and reading is not", function()
        local client, peer = stream "s:write 'last' s:shutdown() return show(s:read 'l', s:write 'more')"
        assert.equal("last", peer:receive "*a")
        peer:send "answer\n"
        assert.equal('"answer" nil "closed" "closed"', answer(client))
      end)
    end)

    describe("a stream", function()
      local APOLOGY <const> = "Lines.handle_error = function(_, why) return why .. '\\n' end "
      local CLOSED <const> = "nil \"closed\" \"closed\""

      it("does nothing after it was closed", function()
        local client, peer = stream [[
          local out = { tostring(s) ~= nil }
          s:close() s:close()
          for _, name in ipairs { 'read', 'write', 'shutdown', 'detach' } do out[#out + 1] = show(s[name](s)) end
          out[#out + 1] = show(s:peek(1))
          out[#out + 1] = show(s:release())
          return table.concat(out == nil and {} or { table.unpack(out, 2) }, ', ')]]
        assert.equal(table.concat({ CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, 'false "closed"' }, ", "), answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("wakes who waits for it when another closes it", function()
        local client = stream "kept[1] = s return show(s:read 'l')"
        assert.equal("true", ask(running:connect(), "return kept[1]:close()"))
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
        local client, peer = start(), nil
        assert.equal("done", (function()
          send(client, "kept[1] = net.connect(UP) return 'done'")
          peer = up:accept()
          return answer(client)
        end)())
        assert.is_true(upstream.has_ended(peer))
        assert.equal(CLOSED, ask(client, "return show(kept[1]:read())"))
      end)

      it("ends with an error of the task", function()
        local client = start "Lines.handle_error = function() return 'failed\\n' end"
        send(client, "kept[1] = net.connect(UP) error 'on purpose'")
        local peer = up:accept()
        assert.equal("failed", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("ends when the client is gone", function()
        local client = start()
        send(client, "local s = net.connect(UP) s:write(('x'):rep(1000000)) return s:read 'l'")
        local peer = up:accept()
        peer:receive(1000000)
        client:reset()
        assert.is_true(upstream.has_ended(peer))
        assert.equal("2", ask(running:connect(), "return 2"))
      end)

      it("is dropped with what is unsent when its task is cancelled, though it is a <close> variable", function()
        local client, peer = stream "s:write(('x'):rep(20000000)) return 'done'"
        peer:receive(1)
        client:reset()
        server.wait_until("the end", function() return running:log():find("reason=peer_reset", 1, true) end)
        local _, why, part = peer:receive(20000000)
        assert.equal("closed", why)
        assert.is_true(#part < 19999999)
      end)

      it("ends when the response takes longer than response_timeout", function()
        local client = start(APOLOGY .. "Lines.response_timeout = 0.1")
        send(client, "local s = net.connect(UP) return s:read 'l'")
        local peer = up:accept()
        assert.equal("response_timeout", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("ends when the task is stopped for taking too long", function()
        local client = start(APOLOGY, { "--call-timeout", "0.1" })
        send(client, "local s = net.connect(UP) s:read 'l' while true do end")
        local peer = up:accept()
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
        local client = start()
        send(client, "(function() net.connect(UP):detach() end)() collectgarbage() collectgarbage() return 1")
        local peer = up:accept()
        assert.equal("1", answer(client))
        assert.is_true(upstream.has_ended(peer))
        running:wait_for_log "stream_collected service=%S+ address=\"?127.0.0.1:%d+"
        send(client, [[
          (function()
            local s = net.connect(UP):detach()
            setmetatable({}, { __gc = function()
              kept.gc = show(pcall(s.read, s)) .. show(pcall(s.write, s, 'x')) s:close() s:close()
            end })
          end)()
          collectgarbage() collectgarbage() return kept.gc]])
        peer = up:accept()
        local said = answer(client)
        assert.matches("stream:read cannot wait in a finalizer", said)
        assert.matches("stream:write cannot wait in a finalizer", said)
        assert.is_true(upstream.has_ended(peer))
      end)

      it("is not lost when a script calls its finalizer while a task waits", function()
        local client = stream "kept[1] = s return show(s:read 'l')"
        assert.equal("closed", ask(running:connect(), "debug.getmetatable(kept[1]).__gc(kept[1]) return 'closed'"))
        assert.equal(CLOSED, answer(client))
        assert.equal("nil", ask(client, "return debug.getmetatable(kept[1]).__gc({})"))
      end)

      it("lives on when it is detached", function()
        local client = start()
        send(client, "kept[1] = net.connect(UP):detach() return 1")
        local peer = up:accept()
        assert.equal("1", answer(client))
        client:close()
        client = running:connect()
        send(client, "local s = kept[1] s:write 'again\\n' return s:read 'l'")
        assert.equal("again", peer:receive "*l")
        peer:send "yes\n"
        assert.equal("yes", answer(client))
      end)

      it("cannot be used where nothing can wait", function()
        local client, peer = stream "return show(pcall(function() table.sort({ 1, 2 }, function() s:read 'l' end) end))"
        assert.matches("stream:read cannot wait within sort", answer(client))
        assert.is_true(upstream.has_ended(peer))
      end)

      it("leaves no descriptor behind", function()
        local client = start()
        local id = running.process:pid()
        for _ = 1, 20 do
          send(client, "local s = net.connect(UP) return s:read 'l'")
          local peer = up:accept()
          peer:send "x\n"
          assert.equal("x", answer(client))
          peer:close()
        end
        local function count()
          local all = 0
          for _ in require("lfs").dir(("/proc/%d/fd"):format(id)) do all = all + 1 end
          return all
        end
        local now = count()
        server.wait_until("all to be closed", function() return count() <= now end)
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
        local peer = up:accept()
        for _, reused in ipairs { "false", "true", "true" } do
          assert.equal("x", peer:receive "*l")
          peer:send "y\n"
          assert.equal(reused .. ' "y" true', answer(client))
          send(client, LINE)
        end
        assert.equal("x", peer:receive "*l")
        assert.is_true(up:is_quiet(0))
      end)

      it("leaves it to those that ask for it", function()
        local client = start()
        send(client, "return show(net.connect(UP):release())")
        up:accept()
        assert.equal("true", answer(client))
        send(client, "return show(net.connect(UP).reused)")
        up:accept()
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

      it("closes a stream whose peer has gone, or is not read by its peer", function()
        local client, peer = stream "s:read 'a' return show(s:release())"
        peer:close()
        assert.equal('false "the connection has ended"', answer(client))
        send(client, [[
          local s = assert(net.connect(UP))
          s:set_timeout(0.05)
          while s:write(('x'):rep(100000)) do end
          s = assert(net.connect(UP))
          for _ = 1, 100 do s:write(('x'):rep(2000)) end
          return show(s:release())]])
        up:accept()
        up:accept()
        assert.matches("^true$", answer(client))
      end)

      it("never takes a late reply for the answer to another request", function()
        local client = start()
        local LINE <const> = [[
          local s = net.connect(UP, { reuse = true })
          s:write 'x\n'
          return show(s:read 'l', s:release())]]
        send(client, LINE)
        local first = up:accept()
        first:send "y\n"
        assert.equal('"y" true', answer(client))
        first:send "late\n"
        send(client, LINE)
        up:accept():send "z\n"
        assert.equal('"z" true', answer(client))
        assert.equal("x", first:receive "*l")
        assert.is_true(upstream.has_ended(first))
      end)

      it("forgets a connection that its peer has closed", function()
        local client = start()
        send(client, "return show(net.connect(UP, { reuse = true }):release())")
        local peer = up:accept()
        assert.equal("true", answer(client))
        peer:close()
        send(client, "return show(net.connect(UP, { reuse = true }).reused)")
        up:accept()
        assert.equal("false", answer(client))
      end)

      it("keeps at most 64 connections to one address", function()
        local client = start()
        send(client, [[
          local all, kept = {}, 0
          for i = 1, 70 do all[i] = assert(net.connect(UP)) end
          for i = 1, 70 do if all[i]:release() then kept = kept + 1 end end
          return kept]])
        for _ = 1, 70 do up:accept() end
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
        local names <close> = setmetatable({ socket = assert(socket.udp()) },
          { __close = function(self) self.socket:close() end })
        assert(names.socket:setsockname("127.0.0.1", 0))
        names.socket:settimeout(server.DEADLINE)
        local client = start(nil, { "--name-server", "127.0.0.1:" .. select(2, names.socket:getsockname()) })
        -- Both families are asked for: there is an IPv4 address only.
        local function serve()
          for _ = 1, 2 do
            local query, host, port = assert(names.socket:receivefrom())
            local name = query:match("^[^\0]*\0", 13)
            local kind = string.unpack(">I2", query, 13 + #name)
            local reply = query:sub(1, 2) .. string.pack(">I2I2I2I2I2", 0x8180, 1, kind == 1 and 1 or 0, 0, 0)
              .. name .. query:sub(13 + #name, 16 + #name)
            if kind == 1 then reply = reply .. string.pack(">I2I2I2I4s2", 0xc00c, 1, 1, 60, "\127\0\0\1") end
            names.socket:sendto(reply, host, port)
          end
        end
        send(client, "return show(table.unpack(net.resolve 'upstream.example.'))")
        serve()
        assert.equal('"127.0.0.1"', answer(client))
        send(client, "return net.connect('upstream.example.:' .. UP:match ':(%d+)'):read 'l'")
        serve()
        up:accept():send "found\n"
        assert.equal("found", answer(client))
      end)

      it("tells that a name has none", function()
        local client = start()
        assert.equal('nil "the name has no address" "name"', ask(client, "return show(net.resolve 'no..name')"))
        assert.matches("must be a name of 1 to 253 bytes", ask(client, "return show(pcall(net.resolve, ''))"))
        assert.equal('nil "the name has no address" "name"', ask(client, "return show(net.connect 'no..name:80')"))
      end)
    end)

    describe("a stream in a response", function()
      it("is sent until it ends", function()
        local client = start [[
          function Lines:make_response() local s = assert(net.connect(UP)) return { "a", s, "z\n" } end]]
        send(client, "x")
        local peer = up:accept()
        peer:send "bc"
        assert.equal("abc", client:receive(3))
        peer:send(("d"):rep(1000000))
        peer:close()
        assert.is_true(("d"):rep(1000000) .. "z\n" == client:receive(1000002))
        send(client, "x")
        up:accept():close()
        assert.equal("az", answer(client))
      end)

      it("may be all of it", function()
        local client = start "Lines.make_response = function() return (assert(net.connect(UP))) end"
        send(client, "x")
        local peer = up:accept()
        peer:send "all\n"
        assert.equal("all", answer(client))
        peer:close()
      end)

      it("is read only as fast as the client reads", function()
        local client = start "Lines.make_response = function() return (assert(net.connect(UP))) end"
        send(client, "x")
        local peer = up:accept()
        peer:settimeout(0.3)
        local _, why, sent = peer:send(("x"):rep(64000000))
        assert.equal("timeout", why)
        assert.is_true(running:memory() < 64000 or server.is_sanitized)
        assert.equal(sent, #client:receive(sent))
      end)

      it("cuts the response when it breaks", function()
        local client = start "Lines.make_response = function() return (assert(net.connect(UP))) end"
        send(client, "x")
        local peer = up:accept()
        peer:send "abc"
        assert.equal("abc", client:receive(3))
        upstream.reset(peer)
        assert.equal("", (client:receive_rest()))
        running:wait_for_log "a stream of the response: the connection was reset"
      end)

      it("is dropped when the client is gone", function()
        local client = start "Lines.make_response = function() return (assert(net.connect(UP))) end"
        send(client, "x")
        local peer = up:accept()
        peer:send "abc"
        assert.equal("abc", client:receive(3))
        client:reset()
        local line = ("x"):rep(100000)
        peer:settimeout(5)
        repeat local sent = peer:send(line) until not sent
      end)
    end)
  end)
end)
