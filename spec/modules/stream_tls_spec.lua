-- timeout 300
-- TLS to other servers: who is trusted, what fails and how, and what a stream does over TLS.

local server = require "support.server"
local socket = require "socket"
local tls = require "support.tls"
local upstream = require "support.upstream"

-- Reads so many bytes and none of those behind them, which LuaSocket would take, too.
local function read_plain(peer, count)
  local read, all = require("parlance_spec").io.read, ""
  while #all < count do
    assert(#socket.select({ peer }, nil, server.DEADLINE) > 0)
    all = all .. (read(peer:getfd(), count - #all) or "")
  end
  return all
end

server.for_each_poller(function(poller)
  describe("TLS to another server with " .. poller, function()
    local lines = upstream.lines(poller)
    local answer, ask, send = lines.answer, lines.ask, lines.send
    local made, authority, web

    -- All specs have one folder: making keys takes long.
    setup(function()
      made = tls.folder()
      authority = made:certificate "authority"
      web = made:certificate("web", { names = { "DNS:localhost", "DNS:web.example", "IP:127.0.0.1" }, by = authority })
    end)
    teardown(function() made:remove() end)

    local function start(code, options)
      return lines.start(("CA = %q %s"):format(authority.certificate, code or ""), options)
    end

    -- Runs a line that connects to an upstream. Returns the client and the upstream's end: after its handshake.
    local function begin(code, options, at_load)
      local client = start(at_load)
      send(client, code)
      return client, tls.serve(lines.up:accept(), web, options)
    end

    local function stream(code, options)
      return begin("local s <close> = assert(net.connect(UP, { tls = { ca = CA } })) " .. code, options)
    end

    describe("verifies", function()
      it("against the authorities of the system by default", function()
        local client, peer = begin "return listed(net.connect(UP, { tls = true }))"
        assert.is_nil(peer)
        assert.equal("nil the certificate of 127.0.0.1 is refused: unable to get local issuer certificate certificate",
          answer(client))
      end)

      it("against those of ca, and tells what it knows of the other server", function()
        local client, peer = stream [[
          s:write "hello\n"
          local t, line = s.tls, s:read()
          return listed(line, t.version, t.cipher, t.server_name, t.alpn, t.peer.subject, t.peer.issuer)]]
        assert.equal("hello", peer:receive "*l")
        peer:send "answer\n"
        assert.equal("answer TLSv1.3 TLS_AES_256_GCM_SHA384 nil nil CN=web CN=authority", answer(client))
      end)

      it("the name of the address, which it asks for, but no number", function()
        local client = start()
        for host, shown in pairs { localhost = "localhost", ["127.0.0.1"] = "nil" } do
          send(client, ("local s <close> = assert(net.connect(%q, { tls = { ca = CA } })) return s.tls.server_name")
            :format(lines.up.address:gsub("^[^:]+", host)))
          local peer = assert(tls.serve(lines.up:accept(), web))
          assert.equal(shown, tostring(peer:getsniname()))
          assert.equal(shown, answer(client))
        end
      end)

      it("the name of server_name, with another port or a Unix socket", function()
        lines.listen_unix()
        local client, peer = begin [[
          local s <close> = assert(net.connect(UP, { tls = { ca = CA, server_name = "Web.example." } }))
          return s.tls.server_name]]
        assert.equal("Web.example", peer:getsniname())
        assert.equal("web.example", answer(client))
      end)

      for shown, text in pairs {
        ["another name"] = { "'other.example'", "other.example is refused: hostname mismatch" },
        ["another number"] = { "'192.0.2.1'", "192.0.2.1 is refused: IP address mismatch" },
      } do
        it("and refuses " .. shown, function()
          local client = begin(("return listed(net.connect(UP, { tls = { ca = CA, server_name = %s } }))")
            :format(text[1]))
          assert.equal(("nil the certificate of %s certificate"):format(text[2]), answer(client))
        end)
      end

      it("and refuses one that has expired, and one that signs itself", function()
        local old = made:certificate("old", { names = { "IP:127.0.0.1" }, by = authority, days = -1 })
        local own = made:certificate("own", { names = { "IP:127.0.0.1" } })
        local client = start()
        for _, case in ipairs {
          { old, "certificate has expired" }, { own, "self%-signed certificate" },
        } do
          send(client, "return listed(net.connect(UP, { tls = { ca = CA } }))")
          tls.serve(lines.up:accept(), case[1])
          assert.matches("127.0.0.1 is refused: " .. case[2] .. " certificate$", answer(client))
        end
      end)

      it("nothing with verify = false, and warns of it once", function()
        local client = start()
        for _ = 1, 3 do
          send(client, "local s <close> = assert(net.connect(UP, { tls = { verify = false } })) return s:read()")
          assert(tls.serve(lines.up:accept(), made:certificate("any", { names = { "DNS:x" } }))):send "well\n"
          assert.equal("well", answer(client))
        end
        local _, count = lines.running:log():gsub("tls_not_verified", "")
        assert.equal(1, count)
      end)

      it("with a certificate of its own, if the other server asks for one", function()
        local options = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = authority.certificate }
        local me = made:certificate("me", { by = authority })
        local client, peer = begin(([[
          local s <close> = assert(net.connect(UP, { tls = { ca = CA, certificate = %q, key = %q } }))
          return s:read()]]):format(me.certificate, me.key), options)
        assert.equal("me", peer:getpeercertificate():subject()[1].value)
        peer:send "well\n"
        assert.equal("well", answer(client))
        send(client, "return listed(assert(net.connect(UP, { tls = { ca = CA } })):read())")
        assert.is_nil(tls.serve(lines.up:accept(), web, options))
        assert.matches("^nil .*certificate required reset$", answer(client))
      end)

      it("and agrees on a protocol of alpn", function()
        local client, peer = begin([[
          local s <close> = assert(net.connect(UP, { tls = { ca = CA, alpn = "h2,http/1.1" } }))
          return s.tls.alpn]], { alpn = { "http/1.1" } })
        assert.equal("http/1.1", peer:getalpn())
        assert.equal("http/1.1", answer(client))
      end)
    end)

    describe("fails", function()
      it("where the other server does not speak TLS", function()
        local client = start()
        send(client, "return listed(net.connect(UP, { tls = true }))")
        lines.up:accept():send "220 hello, this is no TLS\r\n"
        assert.equal("nil TLS: the peer does not speak TLS handshake", answer(client))
      end)

      it("where the other server closes, or resets, in the middle", function()
        local client = start()
        for _, leave in ipairs { function(peer) peer:close() end, upstream.reset } do
          send(client, "return listed(net.connect(UP, { tls = true }))")
          local peer = lines.up:accept()
          assert(peer:receive(11))
          leave(peer)
          assert.matches("^nil TLS: .+ handshake$", answer(client))
        end
      end)

      it("with the reason that the other server gives", function()
        local client, peer = begin("return listed(net.connect(UP, { tls = { ca = CA } }))",
          { protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256" })
        assert.is_nil(peer)
        assert.matches("^nil TLS: .*alert handshake failure handshake$", answer(client))
      end)

      it("within the time for connecting, if the other server says nothing", function()
        local client = start()
        send(client, "return listed(net.connect(UP, { timeout = 0.1, tls = true }))")
        local peer = lines.up:accept()
        assert.equal("nil timeout timeout", answer(client))
        peer:receive(1)
        assert.is_true(select(2, peer:receive "*a") ~= "timeout")
      end)

      it("where a file cannot be used, before it connects", function()
        tls.run({ "mkfifo", made.path .. "/pipe" }, made.path)
        finally(function() os.remove(made.path .. "/pipe") end)
        local client = start()
        for _, case in ipairs {
          { "ca = '/nowhere'", "/nowhere: No such file or directory" },
          { ("ca = %q"):format(authority.key), authority.key .. ": it has no certificate in the PEM format" },
          { ("ca = %q"):format(made.path), made.path .. ": Is a directory" },
          { ("ca = %q"):format(made.path .. "/pipe"), made.path .. "/pipe: it is not a regular file" },
          { ("certificate = %q"):format(web.certificate), web.certificate
            .. ": it has no private key in the PEM format" },
          { ("certificate = %q, key = %q"):format(web.certificate, authority.key),
            authority.key .. ": the key does not fit the certificate" },
        } do
          assert.equal(("nil %s certificate"):format(case[2]),
            ask(client, ("return listed(net.connect(UP, { tls = { %s } }))"):format(case[1])))
        end
        assert.is_true(lines.up:is_quiet(0.05))
      end)

      it("with an error where the options are none", function()
        local client = start()
        for options, complaint in pairs {
          ["1"] = "tls must be true or a table of options",
          ["{ verfy = false }"] = "tls has no option verfy",
          ["{ verify = 0 }"] = "tls.verify must be true or false",
          ["{ ca = 1 }"] = "tls.ca must be a string",
          ["{ ca = '' }"] = "tls.ca must not be empty or hold a zero",
          ["{ key = 'a' }"] = "tls.key needs tls.certificate",
          ["{ alpn = 'a,,b' }"] = "tls.alpn must be a list, such as h2,http/1.1",
          ["{ server_name = ('x'):rep(254) }"] = "tls.server_name must have at most 253 bytes",
          ["{ server_name = '.example' }"] = "tls.server_name must not begin with a dot",
        } do
          local got = ask(client, ("return why(function() net.connect(UP, { tls = %s }) end)"):format(options))
          assert.matches(":1: bad argument #2 to 'connect' %(" .. complaint:gsub("%p", "%%%0"), got)
        end
        assert.matches("needs a server_name", ask(client,
          "return why(function() net.connect('unix:/x', { tls = true }) end)"))
      end)

      it("when what it runs in is over", function()
        local client = start()
        for _, code in ipairs {
          "return listed(parlance.within(0.05, net.connect, UP, { tls = true }))",
          [[local t = parlance.spawn(net.connect, UP, { tls = true })
            parlance.any({ t }, 0.05) return listed(t:cancel())]],
        } do
          send(client, code)
          local peer = lines.up:accept()
          assert.is_truthy(answer(client))
          peer:receive(11)
          assert.is_true(select(2, peer:receive "*a") ~= "timeout")
        end
        send(client, "net.connect(UP, { tls = true })")
        local peer = lines.up:accept()
        client:reset()
        peer:receive(11)
        assert.is_true(select(2, peer:receive "*a") ~= "timeout")
      end)
    end)

    describe("a stream", function()
      for _, case in ipairs {
        { "a line", "'l'", "one\r\ntwo\n", '"one"', "two\n" },
        { "so many bytes", "5", "abcdefg", '"abcde"', "fg" },
        { "a frame", "framing.delimited { delimiter = ';' }", "ab;c", '"ab"', "c" },
        { "a frame with a length", "framing.prefixed { format = '>I2' }", "\0\3abcd", '"abc"', "d" },
      } do
        it("reads " .. case[1] .. ", in one record or a byte in each", function()
          for _, size in ipairs { #case[3], 1 } do
            local client, peer = stream(("local a = s:read(%s) return show(a, s:read('a'))"):format(case[2]))
            for at = 1, #case[3], size do peer:send(case[3]:sub(at, at + size - 1)) end
            peer:close()
            assert.equal(("%s %q"):format(case[4], case[5]):gsub("\\\n", "\\n"), answer(client))
          end
        end)
      end

      it("reads everything, peeks, and returns what has come", function()
        local client, peer = stream [[
          local two, all = s:peek(2), #s:read "a"
          return show(two, all, s:read "any")]]
        local text = ("x"):rep(1000000)
        assert.equal(#text, (peer:send(text)))
        peer:close()
        assert.equal('"xx" 1000000 "" "closed" "closed"', (answer(client):gsub("nil", '""')))
      end)

      it("writes as fast as the other server reads", function()
        local client, peer = stream [[
          local piece, waits = ("0123456789abcdef"):rep(16384), 0
          for _ = 1, 32 do
            local began = parlance.now()
            s:write(piece)
            if parlance.now() > began then waits = waits + 1 end
          end
          s:shutdown()
          return show(waits > 0, s:read "a")]]
        local pieces = {}
        repeat
          local bytes, why, part = peer:receive(65536)
          assert(why ~= "timeout")
          pieces[#pieces + 1] = bytes or part
        until why
        assert.is_true(table.concat(pieces) == ("0123456789abcdef"):rep(32 * 16384))
        peer:send "all\n" -- the other direction is still open
        peer:close()
        assert.equal([[true "all\n"]], answer(client))
      end)

      it("tells a connection that was cut from its end", function()
        local client, peer = stream "return show(s:read(), s:read(9)) .. show(s:read 'any')"
        peer:send "line\npart"
        tls.cut(peer)
        assert.equal([["line" nil "the connection has ended without TLS's close_notify" "reset""part"]], answer(client))
        client, peer = stream "return show(s:read(9))"
        peer:send "part"
        peer:close()
        assert.equal([[nil "closed" "closed"]], answer(client))
      end)

      it("reads what has come before a reset that writing finds", function()
        local client = start()
        send(client, [[
          local s <close> = assert(net.connect(UP, { tls = { ca = CA } }))
          s:write "large\n"
          sleep(0.01)
          assert(io.open(CA .. ".busy", "w")):close()
          local file
          repeat file = io.open(CA .. ".gone") until file
          file:close()
          s:write "more\n"
          sleep(0.01)
          return show(#(s:read() or ""), s:write "x")]])
        local accepted = lines.up:accept()
        accepted:setoption("tcp-nodelay", true)
        local peer = tls.serve(accepted, web)
        assert.equal("large", peer:receive "*l")
        local busy, gone = authority.certificate .. ".busy", authority.certificate .. ".gone"
        server.wait_until("the script", function() return os.remove(busy) end)
        assert(peer:send(("x"):rep(20000) .. "\n"))
        tls.reset(peer)
        server.write_file(gone, "")
        assert.equal([[20000 nil "the connection was reset" "reset"]], answer(client))
        os.remove(gone)
      end)

      it("loses nothing when the time is over", function()
        local client, peer = stream [[
          s:set_timeout(0.05)
          local first = listed(s:read(10))
          self:write(first, "\n")
          s:set_timeout(0)
          return s:read(10)]]
        peer:send "01234"
        assert.equal("nil timeout timeout", answer(client))
        peer:send "56789"
        assert.equal("0123456789", answer(client))
      end)

      it("sends what was written before it was closed, although the other server has stopped sending", function()
        local front = server.start(([[
          local net, parlance = require "parlance.net", require "parlance"
          return { handle_connect = function(self) parlance.tunnel(self, assert(net.connect %q)) end }]])
          :format(lines.up.address), { poller = poller, listen = { "tls:127.0.0.1:0" }, "--certificate",
          web.certificate, "--key", web.key })
        local client = start(("FRONT = '127.0.0.1:%d'"):format(front.addresses[1].port))
        send(client, [[
          local s = assert(net.connect(FRONT, { tls = { ca = CA } }))
          s:read "a"
          s:write(("x"):rep(4000000))
          s:close()
          return "done"]])
        local behind = lines.up:accept()
        behind:shutdown "send"
        assert.equal("done", answer(client))
        assert.equal(4000000, #behind:receive "*a")
      end)

      it("may be a response, with back pressure", function()
        local client = start()
        send(client, "local s = net.connect(UP, { tls = { ca = CA } }) self.close_when_done = true return s")
        local peer = assert(tls.serve(lines.up:accept(), web))
        peer:send(("y"):rep(3000000))
        peer:close()
        assert.equal(3000000, #client:receive_all())
      end)

      it("is joined to a client by a tunnel, whose ends are passed on", function()
        local client = start()
        send(client, [[
          local s = assert(net.connect(UP, { tls = { ca = CA } }))
          s:write "first\n"
          parlance.tunnel(self, s)]])
        local peer = assert(tls.serve(lines.up:accept(), web))
        assert.equal("first", peer:receive "*l")
        client:send(("c"):rep(100000) .. "\n")
        assert.equal(100000, #peer:receive "*l")
        client:half_close()
        assert.equal("closed", (select(2, peer:receive(1))))
        peer:send(("u"):rep(2000000))
        peer:close()
        assert.equal(2000000, #client:receive_all())
      end)
    end)

    describe("a kept connection", function()
      local TLS <const> = "tls = { ca = CA }"
      local ASK <const> = [[
        function ask(options)
          options.reuse = true
          local s = assert(net.connect(UP, options))
          s:write "ping\n"
          local line = s:read()
          return listed(line, s.reused, s:release())
        end]]

      local function pong(peer, text)
        assert.equal("ping", peer:receive "*l")
        peer:send((text or "pong") .. "\n")
      end

      it("is used again for the same options", function()
        local client = start(ASK)
        send(client, ("return ask { %s }"):format(TLS))
        local peer = assert(tls.serve(lines.up:accept(), web))
        pong(peer)
        assert.equal("pong false true", answer(client))
        for _ = 1, 3 do
          send(client, ("return ask { %s }"):format(TLS))
          pong(peer)
          assert.equal("pong true true", answer(client))
        end
      end)

      for _, other in ipairs {
        "", "tls = { ca = CA, server_name = 'web.example' }", "tls = { verify = false }",
        "tls = { ca = CA, alpn = 'h2' }", "tls = { ca = OTHER }",
      } do
        it("is not used for { " .. other .. " }", function()
          local client = start(ASK .. (" OTHER = %q"):format(made.path .. "/both.pem"))
          server.write_file(made.path .. "/both.pem", server.read_file(authority.certificate))
          for _, order in ipairs { { TLS, other }, { other, TLS } } do
            for _, options in ipairs(order) do
              send(client, ("return ask { %s }"):format(options))
              local peer = lines.up:accept()
              if options ~= "" then peer = assert(tls.serve(peer, web)) end
              pong(peer)
              assert.equal("pong false true", answer(client))
            end
            lines.running:stop()
            client = start(ASK .. (" OTHER = %q"):format(made.path .. "/both.pem"))
          end
        end)
      end

      it("is not used when the file of the authorities has changed, which is read again", function()
        local file = made.path .. "/changing.pem"
        local stranger = made:certificate "stranger"
        server.write_file(file, server.read_file(authority.certificate))
        local client = start(ASK .. (" CHANGING = %q"):format(file))
        send(client, "return ask { tls = { ca = CHANGING } }")
        pong(assert(tls.serve(lines.up:accept(), web)))
        assert.equal("pong false true", answer(client))
        os.remove(file)
        server.write_file(file, server.read_file(stranger.certificate))
        send(client, "return why(function() ask { tls = { ca = CHANGING } } end)")
        assert.is_nil(tls.serve(lines.up:accept(), web))
        assert.matches("is refused: ", answer(client))
      end)

      it("is closed when anything comes, or the other server ends it", function()
        local client = start(ASK)
        for _, spoil in ipairs { function(peer) peer:send "late\n" end, function(peer) peer:close() end, tls.cut } do
          send(client, ("return ask { %s }"):format(TLS))
          local peer = assert(tls.serve(lines.up:accept(), web))
          pong(peer)
          assert.equal("pong false true", answer(client))
          spoil(peer)
          ask(client, "parlance.sleep(0.05)")
        end
      end)
    end)

    it("resumes a session with the same server and name", function()
      local process = require("parlance_spec").process
      local log = made.path .. "/s_server.log"
      local child <close> = assert(process.spawn({ "openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
        "-cert", web.certificate, "-key", web.key }, { stdout = log, stderr = log }))
      local port
      server.wait_until("openssl to listen", function()
        port = server.read_file(log):match "ACCEPT %S*:(%d+)"
        return port
      end)
      local client = start(("UP = '127.0.0.1:%s'"):format(port))
      local code = [[
        local s = assert(net.connect(UP, { tls = { ca = CA, server_name = NAME } }))
        s:write "GET / HTTP/1.0\r\n\r\n"
        return s:read "a":match "(%%a+), TLSv1"]]
      local function found(name) return ask(client, code:gsub("NAME", ("%q"):format(name)):gsub("%%%%", "%%")) end
      assert.equal("New", found "localhost")
      assert.equal("Reused", found "localhost")
      assert.equal("New", found "web.example")
      assert.equal("Reused", found "localhost")
      assert.is_nil(child:wait(0))
    end)

    describe("stream:start_tls", function()
      local START <const> = "local s = assert(net.connect(UP)) s:write 'STARTTLS\\n' local first = s:read() "

      local function begin_plain(code, at_load)
        local client = start(at_load)
        send(client, START .. code)
        local peer = lines.up:accept()
        assert.equal("STARTTLS", peer:receive "*l")
        return client, peer
      end

      it("begins TLS behind plain bytes", function()
        local client, peer = begin_plain [[
          assert(s:start_tls { ca = CA, server_name = "web.example" } == s)
          s:write "secret\n"
          return listed(first, s:read(), s.tls.version, s:release())]]
        peer:send "go\n"
        peer = assert(tls.serve(peer, web))
        assert.equal("web.example", peer:getsniname())
        assert.equal("secret", peer:receive "*l")
        peer:send "answer\n"
        assert.equal("go answer TLSv1.3 false TLS began behind plain bytes", answer(client))
      end)

      it("verifies, and closes the stream that is refused", function()
        local client, peer = begin_plain "return listed(s:start_tls()) .. listed(s:read()) .. listed(s:write 'x')"
        peer:send "go\n"
        assert.is_nil(tls.serve(peer, web))
        assert.equal("nil the certificate of 127.0.0.1 is refused: unable to get local issuer certificate certificate"
          .. "nil closed closednil closed closed", answer(client))
      end)

      it("sends what was written before as plain bytes", function()
        local client, peer = begin_plain [[
          s:write(("x"):rep(200000))
          s:start_tls { ca = CA }
          return s:read()]]
        peer:send "go\n"
        assert.equal(("x"):rep(200000), read_plain(peer, 200000))
        peer = assert(tls.serve(peer, web))
        peer:send "well\n"
        assert.equal("well", answer(client))
      end)

      it("fails where plain bytes have come behind what was read, wherever these are cut", function()
        local text = "go\nevil bytes\n"
        for cut = 3, #text do
          local client, peer = begin_plain(
            "local all = listed(s:start_tls { ca = CA }) return all .. ' ' .. listed(s:read())")
          peer:send(text:sub(1, cut))
          if cut == 3 then
            -- They come when the script has begun already.
            assert(peer:receive(5))
            peer:send(text:sub(cut + 1))
            assert.equal("nil TLS: the peer does not speak TLS handshake nil closed closed", answer(client))
          else
            peer:send(text:sub(cut + 1))
            assert.equal("nil TLS: the peer has sent plain bytes before the handshake handshake nil closed closed",
              answer(client))
          end
          lines.running:stop()
        end
      end)

      it("fails where the other server has closed, and when the time is over", function()
        local client, peer = begin_plain "s:read() return listed(s:start_tls { ca = CA })"
        peer:send "go\n"
        peer:close()
        assert.equal("nil TLS: the peer has closed the connection handshake", answer(client))
        client, peer = begin_plain "s:set_timeout(0.05) return listed(s:start_tls { ca = CA }) .. listed(s:read())"
        peer:send "go\n"
        assert.equal("nil timeout timeoutnil closed closed", answer(client))
      end)

      it("fails where the other server resets before the handshake begins", function()
        local go, busy = made.path .. "/go" .. poller, made.path .. "/busy" .. poller
        local client, peer = begin_plain(([[
          io.open(%q, "w"):close()
          local file
          repeat file = io.open %q until file
          file:close()
          return listed(s:start_tls { ca = CA })]]):format(busy, go))
        peer:send "go\n"
        server.wait_until("the script", function() return io.open(busy) end):close()
        upstream.reset(peer)
        server.write_file(go, "")
        assert.matches("^nil TLS: ", answer(client))
      end)

      it("is an error twice, for a pipe, and while another task uses the stream", function()
        local client, peer = begin_plain [[
          local t = parlance.spawn(function() return why(function() sleep(0) s:read() end) end)
          local w = parlance.spawn(function() return why(function() sleep(0) s:write "plain" end) end)
          s:start_tls { ca = CA }
          local _, one = t:wait() local _, two = w:wait()
          return listed(one, two, why(function() s:start_tls { ca = CA } end))]]
        peer:send "go\n"
        peer = assert(tls.serve(peer, web))
        local got = answer(client)
        assert.matches("another task begins TLS on the stream.*another task begins TLS on the stream.*has TLS already",
          got)
        peer:close()
        assert.matches("a pipe of a program has no start_tls", ask(client, [[
          local child <close> = require "parlance.process".spawn { "true" }
          return why(function() child.stdout:start_tls() end)]]))
      end)
    end)
  end)
end)
