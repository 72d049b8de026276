-- timeout 300
-- Listeners with TLS.

local io_room = require("parlance_spec").io
local lfs = require "lfs"
local server = require "support.server"
local tls = require "support.tls"

local LINES <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local function shown(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts, keys = {}, {}
  for key in pairs(value) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for place, key in ipairs(keys) do
    parts[place] = key .. "=" .. shown(value[math.tointeger(tonumber(key)) or key])
  end
  return "{" .. table.concat(parts, " ") .. "}"
end
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000000 },
  make_response = function(self)
    local count = tonumber(self.request)
    if count then return ("x"):rep(count) .. "\n" end
    if self.request == "tls" then return shown(self.tls) .. "\n" end
    if self.request == "quit" then self.close_when_done = true end
    if self.request == "transport" then return self.transport .. "\n" end
    if self.request:find "^/" then return { io.open(self.request, "rb"), "\n" } end
    return self.request:upper() .. "\n"
  end,
  handle_close = function(_, reason) print("closed: " .. reason) end,
}
]]

-- Calls a method of the server until its output has the text.
local function wait_for_output(running, text)
  server.wait_until(text, function() return running:output():find(text, 1, true) end)
end

server.for_each_poller(function(poller)
  local made

  before_each(function() made = tls.folder() end)
  after_each(function() made:remove() end)

  local function start(pairs_of_files, ...)
    local options = { poller = poller, listen = { "tls:127.0.0.1:0" }, ... }
    for _, pair in ipairs(pairs_of_files) do
      for _, word in ipairs { "--certificate", pair.certificate, "--key", pair.key } do
        options[#options + 1] = word
      end
    end
    return server.start(pairs_of_files.script or LINES, options)
  end

  local function ask(running, options, request)
    local client = assert(tls.wrap(running:connect(), options))
    local answer = client:send((request or "tls") .. "\n"):receive_until "\n"
    return answer, client
  end

  it("answers with TLS 1.2 and 1.3", function()
    local running = start { made:certificate "web" }
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      assert.equal("HELLO\n", (ask(running, { protocol = version }, "hello")))
    end
    assert.matches("version=TLSv1.2", (ask(running, { protocol = "tlsv1_2" })))
    assert.matches("cipher=TLS_AES_256_GCM_SHA384.*version=TLSv1.3", (ask(running, { protocol = "tlsv1_3" })))
  end)

  it("refuses TLS 1.2 with --tls-min 1.3", function()
    local running = start({ made:certificate "web" }, "--tls-min", "1.3")
    assert.is_nil(tls.wrap(running:connect(), { protocol = "tlsv1_2" }))
    running:wait_for_log 'handshake_failed .-detail="unsupported protocol"'
    assert.equal("HELLO\n", (ask(running, { protocol = "tlsv1_3" }, "hello")))
  end)

  it("exchanges keys by elliptic curves, and not by finite fields, which would keep all others waiting", function()
    local running = start { made:certificate "web" }
    for group, fact in pairs { ["P-384"] = "New, TLSv1.3", ffdhe2048 = "New, %(NONE%)", ffdhe8192 = "New, %(NONE%)" } do
      local command = "openssl s_client -connect 127.0.0.1:%d -groups %s </dev/null || true"
      tls.run({ "sh", "-c", command:format(running.addresses[1].port, group) }, made.path)
      assert.matches(fact, server.read_file(made.path .. "/openssl.log"))
    end
  end)

  it("tells the script the transport", function()
    local pair = made:certificate "web"
    local path = made.path .. "/socket"
    local running = server.start(LINES, { poller = poller, "--certificate", pair.certificate, "--key", pair.key,
      listen = { "tls:127.0.0.1:0", "tcp:127.0.0.1:0", "unix:" .. path, "tls:unix:" .. path .. "2" } })
    assert.equal("tls\n", (ask(running, nil, "transport")))
    assert.equal("tcp\n", running:connect(2):exchange("transport\n", 4))
    assert.equal("nil\n", running:connect(2):exchange("tls\n", 4))
    assert.equal("unix\n", running:connect(3):exchange("transport\n", 5))
    local client = assert(tls.wrap(running:connect(4)))
    assert.equal("tls\n", client:exchange("transport\n", 4))
  end)

  it("tells the script the name that the client asked for, in small letters, and the protocol of ALPN", function()
    local running = start({ made:certificate "web" }, "--alpn", "h2,http/1.1")
    local answer = ask(running, { server_name = "Web.Example", alpn = { "http/1.1", "h2" } })
    assert.matches("alpn=h2 ", answer)
    assert.matches("server_name=web.example ", answer)
    assert.is_nil(answer:find("peer=", 1, true))
    assert.is_nil(ask(running):find("alpn=", 1, true))
  end)

  it("refuses a client that knows none of the protocols", function()
    local running = start({ made:certificate "web" }, "--alpn", "h2")
    assert.is_nil(tls.wrap(running:connect(), { alpn = { "http/1.1" } }))
    running:wait_for_log "handshake_failed"
  end)

  describe("the certificate", function()
    local function subject(running, name, protocol)
      local client = assert(tls.wrap(running:connect(), { server_name = name, protocol = protocol }))
      return client.socket:getpeercertificate():subject()[1].value
    end

    it("is picked by the name that the client asks for", function()
      local running = start {
        made:certificate "first.example",
        made:certificate("wild", { names = { "DNS:*.wild.example" } }),
        made:certificate "exact.wild.example",
      }
      for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
        assert.equal("first.example", subject(running, nil, protocol))
        assert.equal("first.example", subject(running, "other.example", protocol))
        assert.equal("first.example", subject(running, "first.example", protocol))
        assert.equal("wild", subject(running, "a.wild.example", protocol))
        assert.equal("exact.wild.example", subject(running, "EXACT.wild.example", protocol))
        assert.equal("first.example", subject(running, "a.b.wild.example", protocol))
      end
    end)

    it("is picked by the name, whatever the kind of its key is", function()
      local ec = made:certificate("ec.example", { kind = "ec" })
      local rsa = made:certificate("rsa.example", { kind = "rsa" })
      for _, pairs_of_files in ipairs { { ec, rsa }, { rsa, ec } } do
        local running = start(pairs_of_files)
        for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
          assert.equal("rsa.example", subject(running, "rsa.example", protocol))
          assert.equal("ec.example", subject(running, "ec.example", protocol))
        end
      end
    end)

    it("may stand in one file with its key", function()
      local pair = made:certificate "web"
      local both = made.path .. "/both.pem"
      server.write_file(both, server.read_file(pair.key) .. server.read_file(pair.certificate))
      local running = server.start(LINES,
        { poller = poller, listen = { "tls:127.0.0.1:0" }, "--certificate", both })
      assert.equal("HELLO\n", (ask(running, nil, "hello")))
    end)

    it("may stand between other things", function()
      local pair = made:certificate "web"
      local all = made.path .. "/all.pem"
      tls.run({ "sh", "-c", ("openssl x509 -text -in %s >%s && (echo text; cat %s; echo; echo more) >>%s")
        :format(pair.certificate, all, pair.key, all) }, made.path)
      local running = server.start(LINES, { poller = poller, listen = { "tls:127.0.0.1:0" }, "--certificate", all })
      assert.equal("HELLO\n", (ask(running, nil, "hello")))
    end)

    it("comes with its chain", function()
      local root = made:certificate("root", { subject = "/CN=root" })
      local pair = made:certificate("web", { by = root })
      server.write_file(pair.certificate, server.read_file(pair.certificate) .. server.read_file(root.certificate))
      local running = start { pair }
      local client = assert(tls.wrap(running:connect(), { ca = root.certificate }))
      assert.equal(2, #client.socket:getpeerchain())
    end)
  end)

  describe("a certificate that is replaced", function()
    local function named(running)
      local client = assert(tls.wrap(running:connect()))
      local name = client.socket:getpeercertificate():subject()[1].value
      return name, client
    end

    local function replace(pair, by)
      for _, kind in ipairs { "certificate", "key" } do
        server.write_file(pair[kind] .. ".new", server.read_file(by[kind]))
        assert(os.rename(pair[kind] .. ".new", pair[kind]))
      end
    end

    it("is used for new handshakes, and old connections go on", function()
      local pair = made:certificate "web"
      local running = start { pair }
      local name, client = named(running)
      assert.equal("web", name)
      replace(pair, made:certificate "renewed")
      running:wait_for_log "certificates_reloaded"
      server.wait_until("the new certificate", function() return named(running) == "renewed" end)
      assert.equal("HELLO\n", client:exchange("hello\n", 6))
    end)

    it("changes nothing if it cannot be used", function()
      local pair = made:certificate "web"
      local running = start { pair }
      server.write_file(pair.key, server.read_file(made:certificate("other").key))
      running:wait_for_log "certificates_refused service=%S+ .-web.key: the key does not fit"
      assert.equal("web", (named(running)))
      server.write_file(pair.certificate, server.read_file(made.path .. "/other.pem"))
      server.wait_until("the new certificate", function() return named(running) == "other" end)
    end)

    it("changes nothing if no client could use it", function()
      local pair = made:certificate "web"
      local running = start { pair }
      replace(pair, made:certificate("weak", { kind = "weak" }))
      running:wait_for_log "certificates_refused .-web.pem: no client can use it: ee key too small"
      assert.equal("web", (named(running)))
    end)

    it("changes nothing while files are half-written, missing, expired or no files at all", function()
      local pair, other = made:certificate "web", made:certificate "other"
      local expired = made:certificate("expired", { days = -1 })
      local whole = server.read_file(pair.certificate)
      local running = start { pair }
      local _, client = named(running)
      for round, spoil in ipairs {
        function() server.write_file(pair.certificate, whole:sub(1, #whole // 2)) end,
        function() server.write_file(pair.certificate, "") end,
        function() end, -- it is missing
        function() assert(lfs.mkdir(pair.certificate)) end,
        function() replace(pair, { certificate = other.certificate, key = pair.key }) end,
        function() replace(pair, expired) end,
      } do
        os.remove(pair.certificate)
        server.write_file(pair.certificate, whole)
        server.wait_until("the old certificate", function() return named(running) == "web" end)
        local before = running:count_in_log " error certificates_refused "
        os.remove(pair.certificate)
        spoil()
        server.wait_until("refusal " .. round, function()
          return running:count_in_log " error certificates_refused " > before
        end)
        assert.equal("web", (named(running)))
        lfs.rmdir(pair.certificate)
      end
      assert.equal("HELLO\n", client:exchange("hello\n", 6))
      assert.is_nil(running:log():find("PRIVATE", 1, true))
    end)

    it("is replaced over and over, by new files and in place, and no connection fails", function()
      local pair = made:certificate "web"
      local others = { made:certificate "one", made:certificate("two", { kind = "rsa" }) }
      local running = start { pair }
      local _, client = named(running)
      local memory
      for round = 1, 30 do
        local by = others[round % 2 + 1]
        if round % 3 == 0 then
          server.write_file(pair.certificate, server.read_file(by.certificate))
          server.write_file(pair.key, server.read_file(by.key))
        else
          replace(pair, by)
        end
        server.wait_until("round " .. round, function()
          local name, new = named(running)
          new:close()
          return name == (round % 2 == 0 and "one" or "two")
        end)
        assert.equal("HELLO\n", client:exchange("hello\n", 6))
        if round == 10 then memory = running:memory() end
      end
      assert.equal(0, running:count_in_log "handshake_failed")
      assert.is_true(server.is_sanitized or running:memory() < memory + 1000)
    end)

    it("is warned of when it ends within 14 days", function()
      local running = start { made:certificate("web", { days = 13 }) }
      running:wait_for_log "warn certificate_ends service=script1 file=%S+ days=1[23]"
      running = start { made:certificate("later", { days = 16 }) }
      assert.equal("later", (named(running)))
      assert.equal(0, running:count_in_log "certificate_ends")
    end)
  end)

  it("resumes a session for the same name alone", function()
    local running = start { made:certificate "web" }
    local address = "127.0.0.1:" .. running.addresses[1].port
    local file = made.path .. "/session"
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      local function shake(name, option)
        tls.run({ "sh", "-c", ("echo quit | openssl s_client -ign_eof %s -connect %s -servername %s %s %s")
          :format(version, address, name, option, file) }, made.path)
        return server.read_file(made.path .. "/openssl.log"):match "\n(%a+), TLSv"
      end
      assert.equal("New", shake("web", "-sess_out"))
      assert.equal("Reused", shake("web", "-sess_in"))
      assert.equal("New", shake("other", "-sess_in"))
    end
  end)

  describe("a client's certificate", function()
    local authority

    before_each(function() authority = made:certificate("authority", { subject = "/O=Makers/CN=authority" }) end)

    it("is asked for with --client-ca, and told to the script", function()
      local running = start({ made:certificate "web" }, "--client-ca", authority.certificate)
      local pair = made:certificate("ann", { by = authority, subject = "/O=Users\\, all/CN=ann",
        names = { "DNS:ann.example", "email:ann@example.org", "IP:192.0.2.7", "IP:2001:db8::7", "URI:urn:ann" } })
      for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
        local answer, client = ask(running, { pair = pair, protocol = protocol })
        assert.matches("peer={fingerprint=%x+ issuer=CN=authority,O=Makers names={1=ann.example "
          .. "2=ann@example.org 3=192.0.2.7 4=2001:db8::7 5=urn:ann} subject=CN=ann,O=Users\\, all}", answer)
        assert.equal(64, #answer:match "fingerprint=(%x+)")
        client:close()
      end
    end)

    it("must be there, and of an authority", function()
      local running = start({ made:certificate "web" }, "--client-ca", authority.certificate)
      local stranger = made:certificate "stranger"
      for _, pair in ipairs { false, stranger } do
        local client = tls.wrap(running:connect(), { pair = pair or nil, protocol = "tlsv1_2" })
        assert.is_nil(client)
      end
      running:wait_for_log "handshake_failed.-peer did not return a certificate"
      running:wait_for_log "handshake_failed.-self%-signed certificate"
    end)

    it("may be missing with --client-verify optional, but not be a stranger's", function()
      local running = start({ made:certificate "web" }, "--client-ca", authority.certificate,
        "--client-verify", "optional")
      assert.is_nil((ask(running)):find("peer=", 1, true))
      local stranger = made:certificate "stranger"
      assert.is_nil(tls.wrap(running:connect(), { pair = stranger, protocol = "tlsv1_2" }))
    end)
  end)

  describe("a peer", function()
    it("that does not speak TLS gets one line in the log and a close", function()
      local running = start { made:certificate "web" }
      local half_hello = "\22\3\1\2\0\1\0\1\252" .. ("x"):rep(600)
      for _, words in ipairs { "GET / HTTP/1.1\r\n\r\n", "hello\nhello\n", ("\0"):rep(1000), half_hello } do
        local before = running:count_in_log "handshake_failed"
        local client = running:connect()
        client:send(words):receive_rest()
        client:close()
        server.wait_until("a line", function() return running:count_in_log "warn handshake_failed" == before + 1 end)
      end
      assert.equal("HELLO\n", (ask(running, nil, "hello")))
      running:stop()
      assert.matches("malformed=4", running:log())
      running:expect_end()
    end)

    it("that comes and goes is only mentioned at level debug", function()
      local running = start { made:certificate "web" }
      running:connect():close()
      running:wait_for_log "debug handshake_failed"
    end)

    it("must complete the handshake within request_timeout", function()
      local running = start({ made:certificate "web" }, "--request-timeout", "0.2")
      local client = running:connect()
      client:send "\22\3\1"
      assert.equal("", client:receive_all())
      running:wait_for_log "handshake_failed .-request_timeout"
    end)

    -- Tells what comes, piece by piece.
    local PIECES <const> = [[
io.stdout:setvbuf "no"
return {
  close_when_done = false,
  handle_connect = function(self)
    for bytes in function() return self:read "any" end do print("piece of " .. #bytes) end
  end,
  request_complete = function() return false end,
  make_response = function() end,
  handle_close = function(_, reason) print("closed: " .. reason) end,
}
]]

    -- Returns a client that has shaken hands, and what makes its records.
    local function shake(running)
      local client, records = running:connect(), io_room.tls_client()
      local bytes, is_over = records:shake ""
      client:send(bytes)
      client.socket:settimeout(0)
      server.wait_until("the handshake", function()
        local all, _, part = client.socket:receive(65536)
        bytes, is_over = records:shake(all or part)
        return is_over
      end)
      client.socket:settimeout(server.DEADLINE, "t")
      return client:send(bytes), records
    end

    it("may change its keys, but is cut off if it does so over and over", function()
      local running = start { made:certificate "web", script = PIECES }
      local moderate, records = shake(running)
      for count = 1, 20 do
        for _ = 1, 30 do moderate:send(records:key_update()) end
        moderate:send(records:record "hello")
        server.wait_until("a piece", function() return select(2, running:output():gsub("piece of 5", "")) == count end)
      end
      assert.is_nil(running:output():find("closed", 1, true))
      for count, period in ipairs { 2000, 8 } do
        local greedy, greedy_records = shake(running)
        local updates = {}
        for place = 1, 1999 do
          updates[place] = greedy_records:key_update() .. (place % period == 0 and greedy_records:record "x" or "")
        end
        greedy.socket:send(table.concat(updates))
        server.wait_until("the end", function()
          return select(2, running:output():gsub("closed: peer_reset", "")) == count
        end)
      end
    end)

    it("that says its end gets its answers, and an end that can be told from a cut one", function()
      local running = start { made:certificate "web" }
      local script = made.path .. "/half.py"
      server.write_file(script, [[
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing)
plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def run(call):
  while True:
    try:
      result = call()
      plain.sendall(outgoing.read())
      return result
    except ssl.SSLWantReadError:
      plain.sendall(outgoing.read())
      data = plain.recv(65536)
      if data: incoming.write(data)
      else: incoming.write_eof()
run(tls.do_handshake)
tls.write(b"200000\nbye\n")
try: tls.unwrap()
except ssl.SSLError: pass
plain.sendall(outgoing.read())
total = b""
try:
  while True:
    part = run(lambda: tls.read(65536))
    total += part
except ssl.SSLZeroReturnError:
  print(len(total), total[-4:], "end")
except ssl.SSLError as error:
  print(len(total), error)
]])
      tls.run({ "python3", script, tostring(running.addresses[1].port) }, made.path)
      assert.equal("200005 b'BYE\\n' end\n", server.read_file(made.path .. "/openssl.log"))
      wait_for_output(running, "closed: peer_closed")
    end)

    it("that closes the socket without a word is taken for one that has broken", function()
      local running = start { made:certificate "web" }
      local _, client = ask(running, nil, "hello")
      client:send "half a requ"
      tls.truncate(client)
      wait_for_output(running, "closed: peer_reset")
    end)
  end)

  describe("bytes", function()
    it("come whole in large requests and responses", function()
      local running = start { made:certificate "web" }
      local client = assert(tls.wrap(running:connect()))
      local line = ("abcdefg"):rep(70000)
      client:send(line .. "\n" .. line .. "\n")
      assert.equal(line:upper() .. "\n" .. line:upper() .. "\n", client:receive(2 * #line + 2))
      assert.equal(("x"):rep(5000000) .. "\n", client:send("5000000\n"):receive(5000001))
    end)

    it("come whole in requests that come together", function()
      local running = start { made:certificate "web" }
      local client = assert(tls.wrap(running:connect()))
      local requests = {}
      for place = 1, 20000 do requests[place] = "r" .. place end
      local all = table.concat(requests, "\n") .. "\n"
      client:send(all)
      assert.equal(all:upper(), client:receive(#all))
    end)

    it("come whole in files", function()
      local running = start { made:certificate "web" }
      local path = made.path .. "/file"
      local bytes = ("0123456789abcdef"):rep(200000) .. "end"
      server.write_file(path, bytes)
      local client = assert(tls.wrap(running:connect()))
      assert.equal(bytes .. "\n", client:send(path .. "\n"):receive(#bytes + 1))
    end)
  end)
end)

describe("parlance with TLS", function()
  local made

  before_each(function() made = tls.folder() end)
  after_each(function() made:remove() end)

  local function complaint(...)
    local status, _, complaints = server.run { ... }
    assert.equal(2, status)
    assert.equal(1, select(2, complaints:gsub("\n", "")), complaints)
    return complaints
  end

  local function with(pair, ...)
    return complaint("-l", "tls:127.0.0.1:0", "--certificate", pair.certificate, "--key", pair.key, ...)
  end

  local ECHO <const> = server.SOURCE .. "/protocols/echo.lua"

  it("needs a certificate", function()
    assert.matches("an address with tls: needs %-%-certificate FILE", complaint("-l", "tls:127.0.0.1:0", ECHO))
  end)

  it("refuses options that would do nothing", function()
    local pair = made:certificate "web"
    for _, given in ipairs { { "alpn", "h2" }, { "tls-min", "1.3" }, { "client-ca", pair.certificate } } do
      assert.matches("--" .. given[1] .. " needs --certificate FILE",
        complaint("--" .. given[1], given[2], "-l", "127.0.0.1:0", ECHO), 1, true)
    end
    for _, verify in ipairs { "required", "optional" } do
      assert.matches("--client-verify needs --client-ca FILE", with(pair, "--client-verify", verify, ECHO), 1, true)
    end
  end)

  it("refuses files that it cannot use", function()
    local pair, other = made:certificate "web", made:certificate "other"
    local missing = made.path .. "/missing"
    local rubbish = made.path .. "/rubbish"
    server.write_file(rubbish, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    assert.matches("missing: No such file", with({ certificate = missing, key = pair.key }, ECHO))
    assert.matches("missing: No such file", with({ certificate = pair.certificate, key = missing }, ECHO))
    assert.matches("other.key: the key does not fit", with({ certificate = pair.certificate, key = other.key }, ECHO))
    assert.matches("web.key: it has no certificate", with({ certificate = pair.key, key = pair.key }, ECHO))
    local words = with({ certificate = pair.certificate, key = rubbish }, ECHO)
    assert.matches("rubbish: it has no private key", words)
    assert.is_nil(words:find("c2VjcmV0", 1, true))
    local locked = made.path .. "/locked"
    for _, cipher in ipairs { "pkcs8 -topk8", "ec -aes128" } do
      tls.run({ "sh", "-c", ("openssl %s -passout pass:secret -in %s -out %s"):format(cipher, pair.key, locked) },
        made.path)
      local complained = with({ certificate = pair.certificate, key = locked }, ECHO)
      assert.matches("locked: the key has a pass phrase\n$", complained)
    end
    local pipe = made.path .. "/pipe"
    tls.run({ "mkfifo", pipe }, made.path)
    for _, path in ipairs { made.path, pipe } do
      local why = path == pipe and "pipe: it is not a regular file" or ": Is a directory"
      assert.matches(why, with({ certificate = path, key = pair.key }, ECHO), 1, true)
      assert.matches(why, with({ certificate = pair.certificate, key = path }, ECHO), 1, true)
      assert.matches(why, with(pair, "--client-ca", path, ECHO), 1, true)
    end
    assert.matches("rubbish: it has no certificate", with(pair, "--client-ca", rubbish, ECHO))
  end)

  it("refuses a certificate that no client could use", function()
    local weak, odd = made:certificate("weak", { kind = "weak" }), made:certificate("odd", { kind = "odd" })
    assert.matches("weak.pem: no client can use it: ee key too small", with(weak, ECHO))
    assert.matches("odd.pem: no client can use it: no shared cipher", with(odd, ECHO))
  end)

  it("refuses a certificate that has expired", function()
    local pair = made:certificate("web", { days = -1 })
    assert.matches("web.pem: the certificate has expired on ", with(pair, ECHO))
  end)

  it("refuses values that make no sense", function()
    assert.matches("%-%-key a: it must stand behind", complaint("--key", "a", ECHO))
    assert.matches("%-%-tls%-min 1.1", complaint("--tls-min", "1.1", ECHO))
    assert.matches("%-%-client%-verify maybe", complaint("--client-verify", "maybe", ECHO))
    assert.matches("%-%-alpn a,,b", complaint("--alpn", "a,,b", ECHO))
  end)
end)
