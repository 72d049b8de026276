-- self:start_tls(): TLS that begins behind a response.

local server = require "support.server"
local tls = require "support.tls"

local MAIL <const> = [[
io.stdout:setvbuf "no"
local parlance = require "parlance"
local framing = require "parlance.framing"
local answers = {}
local waiting
function answers.STARTTLS(self) self:start_tls() return "220 go\r\n" end
function answers.LIST(self) self:start_tls() return { "220", " go", "\r\n" } end
function answers.STREAM(self)
  self:start_tls()
  local left = 5
  return function()
    left = left - 1
    return left > 0 and "220 " or left == 0 and "go\r\n" or nil
  end
end
function answers.LARGE(self) self:start_tls() return { ("220 "):rep(500000), "go\r\n" } end
function answers.SLEEP(self) self:start_tls() parlance.sleep(0.05) return "220 go\r\n" end
function answers.WRITE(self) self:start_tls() self:write("220 ") self:write("go\r\n") end
function answers.CLOSE(self) self:start_tls() self:close "enough" return "220 go\r\n" end
function answers.DONE(self) self.close_when_done = true self:start_tls() return "220 go\r\n" end
function answers.TWICE(self) self:start_tls() self:start_tls() end
function answers.READ(self) self:start_tls() return self:read "l" end
function answers.OTHER(self) return tostring(pcall(waiting.start_tls, waiting)) .. "\r\n" end
function answers.SPAWN(self)
  return select(2, parlance.spawn(function() return select(2, pcall(self.start_tls, self)) end):wait()) .. "\r\n"
end
function answers.WAIT(self) waiting = self return answers.STARTTLS(self) end
function answers.PUSH() return tostring(waiting:send "* pushed\r\n") .. "\r\n" end
function answers.KICK() return tostring(waiting:close "kicked") .. "\r\n" end
function answers.SHOW(self)
  local t, peer = self.tls, self.tls and self.tls.peer
  return ("%s %s %s %s [%s]\r\n"):format(self.transport, t and t.server_name, t and t.alpn, peer and peer.subject,
    self.incoming:sub(1, -3))
end
function answers.VERSION() return "1\r\n" end
function answers.BUSY()
  local began = os.clock()
  while os.clock() - began < 0.05 do end
  return "done\r\n"
end
function answers.SEND(self) self:start_tls() self:send "* pushed\r\n" return "220 go\r\n" end
local function wait_with(self, seconds)
  waiting = self
  self:start_tls()
  parlance.sleep(seconds)
  return "220 go\r\n"
end
function answers.SLOW(self) return wait_with(self, 0.3) end
function answers.LONG(self) return wait_with(self, 30) end
function answers.FAIL(self) self:start_tls() self:send "* pushed\r\n" error "no" end
function answers.END(self) self:start_tls() self:send "* pushed\r\n" self:close() return "220 go\r\n" end
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self)
    print("request: " .. self.request)
    return (answers[self.request] or function() return "500\r\n" end)(self)
  end,
  handle_error = function(_, reason, detail) return reason .. ": " .. detail:match "script1.lua:([^\n]*)" .. "\r\n" end,
  handle_close = function(_, reason) print("closed: " .. reason) end,
}
]]

local SHOWN <const> = "tls web nil nil [SHOW]\r\n"

server.for_each_poller(function(poller)
  local made, pair

  setup(function()
    made = tls.folder()
    pair = made:certificate "web"
  end)
  teardown(function() made:remove() end)

  local function start(...)
    return server.start(MAIL, { poller = poller, turns = true,
      "--certificate", pair.certificate, "--key", pair.key, ... })
  end

  local function begin(running, request, options)
    local client = running:connect()
    client:send((request or "STARTTLS") .. "\r\n")
    if request == "LARGE" then client:receive(4 * 500000 - 4) end
    client:receive_until "go\r\n"
    options = options or {}
    options.server_name = "web"
    return tls.wrap(client, options)
  end

  local function wait_for_output(running, text)
    server.wait_until(text, function() return running:output():find(text, 1, true) end)
  end

  describe("self:start_tls", function()
    it("begins TLS behind the response, however that comes", function()
      local running = start()
      for _, request in ipairs { "STARTTLS", "LIST", "STREAM", "LARGE", "SLEEP", "WRITE", "DONE" } do
        for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
          local client = assert(begin(running, request, { protocol = protocol }))
          assert.equal(SHOWN, client:exchange("SHOW\r\n", #SHOWN))
          client:close()
        end
      end
    end)

    it("leaves self.tls nil before", function()
      local plain = "tcp nil nil nil [SHOW]\r\n"
      assert.equal(plain, start():connect():exchange("SHOW\r\n", #plain))
    end)

    it("works on Unix sockets", function()
      local running = start("--listen", "unix:" .. made.path .. "/socket" .. poller)
      for place, address in ipairs(running.addresses) do
        if address.path then
          local client = running:connect(place)
          client:exchange("STARTTLS\r\n", 8)
          assert(tls.wrap(client, { server_name = "web" }))
          assert.equal(SHOWN, client:exchange("SHOW\r\n", #SHOWN))
        end
      end
    end)

    it("takes the options of listeners: certificates of clients, ALPN, names, the least version", function()
      local authority = made:certificate("authority", { subject = "/CN=authority" })
      local other = made:certificate "other"
      local ann = made:certificate("ann", { by = authority })
      local running = start("--certificate", other.certificate, "--key", other.key,
        "--client-ca", authority.certificate, "--alpn", "mail", "--tls-min", "1.3")
      local client = assert(begin(running, nil, { pair = ann, alpn = { "mail" } }))
      assert.equal("web", client.socket:getpeercertificate():subject()[1].value)
      assert.equal("tls web mail CN=ann [SHOW]\r\n", client:send("SHOW\r\n"):receive_until "\r\n")
      assert.is_nil(begin(running, nil, { pair = ann, alpn = { "mail" }, protocol = "tlsv1_2" }))
      client = running:connect()
      client:exchange("STARTTLS\r\n", 8)
      assert(tls.wrap(client, { server_name = "other", pair = ann, alpn = { "mail" } }))
      assert.equal("other", client.socket:getpeercertificate():subject()[1].value)
    end)

    it("lets self:close() close with the response", function()
      local running = start()
      assert.equal("220 go\r\n", running:connect():send("CLOSE\r\n"):receive_all())
      wait_for_output(running, "closed: enough")
    end)

    local function check_error(request, message, ...)
      local running = server.start(MAIL, { poller = poller, ... })
      assert.equal(message .. "\r\n", running:connect():send(request .. "\r\n"):receive_all())
      running:wait_for_log "script_error"
      return running
    end

    it("raises without a certificate, with file and line", function()
      local running = check_error("STARTTLS", "script_error: 6: "
        .. "self:start_tls needs a certificate: start the server with --certificate")
      running:wait_for_log "script1.lua:6: self:start_tls needs a certificate"
    end)

    it("raises when it is called twice, and when bytes are read that are not secure", function()
      local words = { "--certificate", pair.certificate, "--key", pair.key }
      check_error("TWICE", "script_error: 21: self:start_tls was called before for this response",
        table.unpack(words))
      check_error("READ", "script_error: 22: self:read would take bytes that are not secure: TLS begins behind "
        .. "the response", table.unpack(words))
    end)

    it("raises on a connection with TLS", function()
      local running = start()
      local client = assert(begin(running))
      assert.equal("script_error: 6: self:start_tls: the connection has TLS already\r\n",
        client:send("STARTTLS\r\n"):receive_all())
    end)

    it("works only in make_response of the same connection", function()
      local running = start()
      local client = running:connect()
      assert.matches("works only in the make_response of the same connection",
        client:send("SPAWN\r\n"):receive_until "\r\n")
      assert(begin(running, "WAIT"))
      assert.equal("false\r\n", client:send("OTHER\r\n"):receive_until "\r\n")
      local words = {}
      for name, body in pairs {
        handle_connect = "return { handle_connect = function(self) self:start_tls() end }",
        handle_close = "return { handle_connect = function() end, handle_close = function(self) self:start_tls() end }",
        request_complete = "return { request_complete = function(self) self:start_tls() end, "
          .. "make_response = function() end }",
      } do
        local one = server.start(body .. "\n", { poller = poller, "--certificate", pair.certificate, "--key",
          pair.key })
        one:connect():send("x"):receive_rest()
        one:wait_for_log "script1.lua:1: self:start_tls works only in the make_response of the same connection"
        words[#words + 1] = name
      end
      assert.equal(3, #words)
    end)
  end)

  describe("plain bytes behind the request", function()
    local REQUEST <const>, INJECTED <const> = "STARTTLS\r\n", "SHOW\r\nSHOW\r\n"

    local function check_refused(running, send)
      local before = select(2, running:output():gsub("closed: malformed", ""))
      local client = running:connect()
      send(client)
      client:receive_rest()
      client:close()
      server.wait_until("the end", function()
        return select(2, running:output():gsub("closed: malformed", "")) == before + 1
      end)
      assert.is_nil(running:output():find("request: SHOW", 1, true))
    end

    it("end the connection: whole, and cut at every byte", function()
      local running = start()
      local all = REQUEST .. INJECTED
      check_refused(running, function(client) client:send(all) end)
      for place = 1, #all - 1 do
        check_refused(running, function(client) client:send_pieces { all:sub(1, place), all:sub(place + 1) } end)
      end
      check_refused(running, function(client) client:send_bytes(all) end)
    end)

    it("end the connection while the response waits, and while it is sent", function()
      local running = start()
      check_refused(running, function(client) client:send "SLEEP\r\nSHOW\r\n" end)
      check_refused(running, function(client) client:send_pieces { "SLEEP\r\n", "SHOW\r\n" } end)
      check_refused(running, function(client) client:send_pieces { "LARGE\r\n", "SHOW\r\n" } end)
      check_refused(running, function(client) client:send "STREAM\r\nSHOW\r\n" end)
    end)

    it("end the connection when the script has used its share of time", function()
      check_refused(start(), function(client) client:send "BUSY\r\nSTARTTLS\r\nSHOW\r\n" end)
    end)

    it("end the connection with the answers to the requests before, and the response", function()
      local running = start()
      local client = running:connect()
      assert.equal("1\r\n220 go\r\n", client:send("VERSION\r\nSTARTTLS\r\nVERSION\r\n"):receive_all())
      running:wait_for_log 'malformed .-detail="the peer has sent bytes that are not secure'
    end)
  end)

  describe("a handshake", function()
    it("must be complete within request_timeout", function()
      local running = start("--request-timeout", "0.2")
      for _, hello in ipairs { "", "\22\3\1" } do
        local client = running:connect()
        client:exchange("STARTTLS\r\n", 8)
        if hello ~= "" then client:send(hello) end
        client:receive_rest()
        client:close()
      end
      server.wait_until("two ends", function()
        return select(2, running:output():gsub("closed: request_timeout", "")) == 2
      end)
      running:wait_for_log "warn handshake_failed .-request_timeout"
    end)

    it("has all of request_timeout, also when the header of a proxy has used most of it", function()
      local running = start("--request-timeout", "2", "--accept-proxy", "127.0.0.1")
      local client = running:connect()
      assert.is_true(client:is_quiet(1.6))
      client:send "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
      client:exchange("STARTTLS\r\n", 8)
      assert.is_true(client:is_quiet(1))
      assert(tls.wrap(client, { server_name = "web" }))
      assert.equal(SHOWN, client:exchange("SHOW\r\n", #SHOWN))
    end)

    it("has no limit with --request-timeout 0", function()
      local running = start("--request-timeout", "0", "--idle-timeout", "0.1")
      local client = running:connect()
      client:exchange("STARTTLS\r\n", 8)
      assert.is_true(client:is_quiet(0.3))
      assert(tls.wrap(client, { server_name = "web" }))
      assert.equal(SHOWN, client:exchange("SHOW\r\n", #SHOWN))
    end)

    it("fails for rubbish, a peer that leaves and one that resets", function()
      local running = start()
      local function shake(act, word)
        local client = running:connect()
        client:exchange("STARTTLS\r\n", 8)
        act(client)
        wait_for_output(running, "closed: " .. word)
      end
      shake(function(client) client:send("GET / HTTP/1.1\r\n\r\n"):receive_rest() end, "malformed")
      running:wait_for_log "warn handshake_failed .-the peer speaks HTTP without TLS"
      shake(function(client) client:close() end, "peer_closed")
      shake(function(client) client:send("\22\3\1"):reset() end, "peer_reset")
      shake(function(client) client:send("\22\3\1"):half_close() end, "peer_closed")
    end)

    it("is not begun by a peer that has stopped sending", function()
      local running = start()
      assert.matches("^220 go\r\n", running:connect():exchange_all "STARTTLS\r\n")
      wait_for_output(running, "closed: peer_closed")
    end)

    it("keeps what is pushed until the connection is secure", function()
      local running = start()
      local client, other = running:connect(), running:connect()
      client:exchange("WAIT\r\n", 8)
      assert.equal("true\r\n", other:exchange("PUSH\r\n", 6))
      assert(tls.wrap(client, { server_name = "web" }))
      assert.equal("* pushed\r\n", client:receive(10))
      assert.equal(SHOWN, client:exchange("SHOW\r\n", #SHOWN))
    end)

    it("comes before what was pushed behind self:start_tls(), also while the response waits", function()
      local running = start()
      local client, other = running:connect(), running:connect()
      client:send "SLOW\r\n"
      running:turn()
      assert.equal("true\r\n", other:exchange("PUSH\r\n", 6))
      assert.equal("220 go\r\n", client:receive(8))
      for _, one in ipairs { assert(tls.wrap(client, { server_name = "web" })), assert(begin(running, "SEND")) } do
        assert.equal("* pushed\r\n", one:receive(10))
        assert.equal(SHOWN, one:exchange("SHOW\r\n", #SHOWN))
      end
    end)

    it("does not come, and what was pushed is not sent, when the response fails or ends the connection", function()
      local running = start()
      assert.equal("script_error: 50: no\r\n", running:connect():send("FAIL\r\n"):receive_all())
      assert.equal("220 go\r\n", running:connect():send("END\r\n"):receive_all())
      local client, other = running:connect(), running:connect()
      client:send "LONG\r\n"
      running:turn()
      assert.equal("true\r\ntrue\r\n", other:exchange("PUSH\r\nKICK\r\n", 12))
      assert.equal("", client:receive_all())
    end)

    it("ends when the script closes the connection", function()
      local running = start()
      local client, other = running:connect(), running:connect()
      client:exchange("WAIT\r\n", 8)
      assert.equal("true\r\ntrue\r\n", other:exchange("PUSH\r\nKICK\r\n", 12))
      assert.equal("", client:receive_all())
      wait_for_output(running, "closed: kicked")
    end)

    it("goes on when the script is edited, and the new version answers", function()
      local running = start()
      local client = running:connect()
      client:exchange("STARTTLS\r\n", 8)
      server.write_file(running.folder .. "/script1.lua", (MAIL:gsub('"1\\r\\n"', '"2\\r\\n"')))
      running:wait_for_log "reloaded"
      assert(tls.wrap(client, { server_name = "web" }))
      assert.equal("2\r\n", client:exchange("VERSION\r\n", 3))
    end)

    it("ends when the server stops", function()
      local running = start()
      local client = running:connect()
      client:exchange("STARTTLS\r\n", 8)
      client:send "\22\3\1"
      running:turn()
      assert.equal(0, running:stop())
      running:expect_end()
      assert.matches("drained=%d", running:log())
      assert.matches("closed: drained", running:output())
    end)
  end)
end)

describe("a recording", function()
  server.cleans_up()
  local made, folder, pair, authority, ann

  before_each(function()
    made, folder = tls.folder(), server.new_folder()
    pair, authority = made:certificate "web", made:certificate("authority", { subject = "/CN=authority" })
    ann = made:certificate("ann", { by = authority, names = { "DNS:ann.example", "email:ann@example.org" } })
  end)
  after_each(function()
    made:remove()
    server.remove_folder(folder)
  end)

  local function start(address)
    return server.start(MAIL, { listen = { address or "127.0.0.1:0" }, "--record", folder,
      "--certificate", pair.certificate, "--key", pair.key,
      "--client-ca", authority.certificate, "--client-verify", "optional", "--alpn", "mail" })
  end

  -- Returns the one transcript, which check plays without a fault.
  local function recorded(running)
    running:close_clients()
    running:stop()
    running:expect_end()
    local text
    for name in require("lfs").dir(folder) do
      if name:find "%.transcript$" then
        assert.is_nil(text)
        text = server.read_file(folder .. "/" .. name)
        local status, said, complaint = server.run { "check", running.folder .. "/script1.lua", folder .. "/" .. name }
        assert.equal(0, status, said .. complaint .. text)
      end
    end
    for _, key in ipairs { pair.key, authority.key, ann.key } do
      for line in server.read_file(key):gmatch "[^\n]+" do assert.is_nil(text:find(line, 1, true)) end
    end
    return text
  end

  it("has a line for TLS that begins with the connection", function()
    local running = start "tls:127.0.0.1:0"
    local client = running:connect()
    assert(tls.wrap(client, { server_name = "web", protocol = "tlsv1_3" }))
    client:exchange("SHOW\r\n", #SHOWN)
    local text = recorded(running)
    assert.is_truthy(text:find('\n\n> tls version "TLSv1.3" cipher "TLS_AES_256_GCM_SHA384" server_name "web"\n', 1,
      true), text)
  end)

  it("has a line for TLS that begins behind a response, with the certificate of the client", function()
    local running = start()
    local client = running:connect()
    client:exchange("STARTTLS\r\n", 8)
    assert(tls.wrap(client, { server_name = "web", pair = ann, alpn = { "mail" }, protocol = "tlsv1_2" }))
    client:send("SHOW\r\n"):receive_until "\r\n"
    local text = recorded(running)
    assert.matches('< "220 go\\r\\n"\n[^>]*> tls version "TLSv1.2" cipher "[%w-]+" server_name "web" alpn "mail" '
      .. 'subject "CN=ann" issuer "CN=authority" fingerprint "%x+" name "ann.example" name "ann@example.org"\n', text)
    assert.is_truthy(text:find('< "tls web mail CN=ann [SHOW]\\r\\n"', 1, true), text)
  end)

  it("can be played when the handshake has failed, and when bytes came that are not secure", function()
    local running = start()
    local client = running:connect()
    client:exchange("STARTTLS\r\n", 8)
    client:send("GET / HTTP/1.1\r\n\r\n"):receive_rest()
    local text = recorded(running)
    assert.matches("malformed", text)
    assert.matches('\n> gone  # the handshake of TLS has failed\n$', text)
    server.remove_folder(folder)
    assert(require("lfs").mkdir(folder))
    running = start()
    running:connect():send("STARTTLS\r\nSHOW\r\n"):receive_all()
    assert.matches('> "SHOW\\r\\n"\n< "220 go\\r\\n"\n< end\n$', recorded(running))
  end)
end)

-- A little of SMTP (RFC 5321, RFC 3207).
local SMTP <const> = [[
local framing = require "parlance.framing"
local verbs = {}
function verbs.EHLO(self) return self.tls and "250 mail\r\n" or "250-mail\r\n250 STARTTLS\r\n" end
function verbs.STARTTLS(self)
  self.sender = nil
  self:start_tls()
  return "220 go ahead\r\n"
end
function verbs.MAIL(self, rest)
  self.sender = rest
  return self.tls and "250 fine\r\n" or "530 Must issue a STARTTLS command first\r\n"
end
function verbs.RCPT(self) return self.sender and "250 fine\r\n" or "503 MAIL first\r\n" end
function verbs.DATA(self)
  self:write "354 go on\r\n"
  local lines = 0
  for line in function() return self:read "l" end do
    if line:find "^%.\r?$" then break end
    lines = lines + 1
  end
  return ("250 %d lines for %s\r\n"):format(lines, self.sender)
end
function verbs.QUIT(self) self.close_when_done = true return "221 bye\r\n" end
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  handle_connect = function() return "220 mail\r\n" end,
  make_response = function(self)
    local verb, rest = self.request:match "^(%a+)%s*(.*)$"
    local answer = verbs[(verb or ""):upper()]
    return answer and answer(self, rest) or "500 what?\r\n"
  end,
}
]]

describe("a mail server with self:start_tls", function()
  server.cleans_up()
  local made, pair, running, address

  before_each(function()
    made = tls.folder()
    pair = made:certificate "mail.example"
    running = server.start(SMTP, { "--certificate", pair.certificate, "--key", pair.key })
    address = "127.0.0.1:" .. running.addresses[1].port
  end)
  after_each(function() made:remove() end)

  it("pleases openssl s_client -starttls smtp", function()
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      tls.run({ "sh", "-c", ("printf 'MAIL FROM:<a@b>\\r\\nQUIT\\r\\n' | openssl s_client -crlf -ign_eof -quiet "
        .. "-starttls smtp %s -connect %s -CAfile %s -verify_return_error -verify_hostname mail.example")
        :format(version, address, pair.certificate) }, made.path)
      assert.matches("250 fine\r\n221 bye\r\n$", server.read_file(made.path .. "/openssl.log"))
    end
  end)

  it("pleases the smtplib of Python", function()
    local script = made.path .. "/mail.py"
    server.write_file(script, [[
import smtplib, socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
connect = socket.create_connection
socket.create_connection = lambda address, *rest: connect(("127.0.0.1", port), *rest)
with smtplib.SMTP("mail.example", port) as mail:
  print(mail.mail("a@b")[0])
  print(mail.starttls(context=ssl.create_default_context(cafile=ca)))
  print(mail.sendmail("a@b", "c@d", "one\ntwo\n"))
]])
    tls.run({ "python3", script, tostring(running.addresses[1].port), pair.certificate }, made.path)
    assert.equal("530\n(220, b'go ahead')\n{}\n", server.read_file(made.path .. "/openssl.log"))
  end)
end)
