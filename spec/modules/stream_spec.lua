-- timeout 300
-- Streams to other servers, over real sockets: what a script reads and writes.

local process = require("parlance_spec").process
local server = require "support.server"
local upstream = require "support.upstream"

server.for_each_poller(function(poller)
  describe("a stream with " .. poller, function()
    local lines = upstream.lines(poller)
    local stream, answer, ask = lines.stream, lines.answer, lines.ask

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

      for name, case in pairs {
        ["takes a frame as the request that it is"] = {
          "local r = s:read(framing.http()) return show(r.method, r.target, r.body)",
          { "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" }, '"PUT" "/x" "abc"',
        },
        ["takes what a Redis answers, a null as nil without a reason"] = {
          [[local replies, all = framing.resp { replies = true }, {}
            for i = 1, 6 do
              local reply, why, code = s:read(replies)
              all[i] = listed(reply, why, code)
            end
            return table.concat(all, ", ")]],
          { "+OK\r\n$-1\r", "\n:4\r\n-ER", "R no\r\n$2\r\na", "b\r\n" },
          "OK nil nil, nil nil nil, 4 nil nil, ERR no nil nil, ab nil nil, nil closed closed",
        },
        ["takes a response of HTTP up to its length, and one without a length up to the end"] = {
          [[local responses = framing.http { responses = true }
            local one, two = s:read(responses), s:read(responses)
            local keeps_one, keeps_two = one.keep_alive, two.keep_alive
            return show(one.status, one.body, keeps_one, two.status, two.body, keeps_two, s:read(responses))]],
          { "HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nnone", "HTTP/1.1 200 OK\r\n\r\nup to ", "the end" },
          '404 "none" true 200 "up to the end" false nil "closed" "closed"',
        },
        ["takes the answer to a HEAD without the body that its length speaks of"] = {
          [[local r = s:read(framing.http { responses = true, method = "HEAD" })
            return show(r.status, r.body, r.headers["content-length"], s:read("any"))]],
          { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext" }, '200 "" "4" "next"',
        },
        ["takes all up to the end, and then nothing"] = {
          "return show(#s:read 'a', s:read 'a', s:read 'any')", { ("x"):rep(300000) },
          '300000 "" nil "closed" "closed"',
        },
        ["takes ten megabytes by number"] = {
          "local a = s:read(10000000) return show(#a, #s:read('a'))", { ("x"):rep(10000001) }, "10000000 1",
        },
        ["takes at most 64 KiB as what has come"] = {
          [[local most, all = 0, 0
            while true do
              local piece = s:read 'any'
              if not piece then return show(most <= 65536, all) end
              most, all = math.max(most, #piece), all + #piece
            end]],
          { ("x"):rep(1000000) }, "true 1000000",
        },
        ["tells the end, and keeps what had come"] = {
          "return show(s:read 'l', select(3, s:read(9)), s:read 'any', s:read 'any')", { "half" },
          'nil "closed" "half" nil "closed" "closed"',
        },
        ["refuses a line of more than 1 MiB"] = {
          "return show(s:read 'l')", { ("x"):rep(1024 * 1024 + 1) }, 'nil "the line has more than 1 MiB" "too_large"',
        },
        ["goes on where peek has looked"] = {
          "return show(s:peek(2), s:peek(1), s:read 'l')", { "abc\n" }, '"ab" "a" "abc"',
        },
        ["gives lines"] = {
          "local all = {} for line in s:lines() do all[#all + 1] = line end return show(table.unpack(all))",
          { "one\ntwo\r\n\nfour" }, '"one" "two" ""',
        },
      } do
        it(name, function()
          local client, peer = stream(case[1])
          for _, piece in ipairs(case[2]) do peer:send(piece) end
          peer:close()
          assert.equal(case[3], answer(client))
        end)
      end

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

      it("tells a broken connection, and keeps what had come", function()
        local client, peer = stream "s:write 'x' s:peek(4) local got = s:read 'l' return show(got, s:read 'l')"
        peer:receive(1)
        peer:send "half"
        upstream.reset(peer)
        assert.equal('nil nil "the connection was reset" "reset"', answer(client))
      end)

      it("tells a time-out, which loses nothing", function()
        local client, peer = stream [[
          s:peek(4)
          s:set_timeout(0.05)
          local a, b, c = s:read(5)
          return show(a, b, c, s:read 'any')]]
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

      it("is for one task at a time", function()
        local client, peer = stream "kept[1] = s s:write 'x' return show(s:read 'l')"
        peer:receive(1) -- the task reads by now
        local other = lines.running:connect()
        assert.matches("another task reads from the stream", ask(other, "return show(pcall(kept[1].read, kept[1]))"))
        peer:send "mine\n"
        assert.equal('"mine"', answer(client))
      end)

      it("tells what is malformed, each time", function()
        local client, peer = stream [[
          local function read_code() return (select(3, s:read(framing.netstring()))) end
          return show(read_code(), read_code())]]
        peer:send "x:"
        assert.equal('"malformed" "malformed"', answer(client))
      end)

      it("raises a failure in a loop over lines, which only the end ends", function()
        local client, peer = stream "return why(function() s:set_timeout(0.01) for _ in s:lines 'L' do end end)"
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
        assert.equal("now", ask(lines.running:connect(), "return 'now'"))
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
  end)
end)
