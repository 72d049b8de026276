-- --accept-proxy: listed peers, and only they, send a header of the PROXY protocol first.

local server = require "support.server"
local tls = require "support.tls"

local SIGNATURE <const> = "\r\n\r\n\0\r\nQUIT\n"
local V1 <const> = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

-- Answers a line with what it knows of both ends.
local WHO <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local function text(value)
  if type(value) ~= "table" then return tostring(value) end
  local names, fields = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do fields[#fields + 1] = name .. "=" .. text(value[name]) end
  return "{" .. table.concat(fields, " ") .. "}"
end
local P = {
  close_when_done = false,
  request_timeout = %s,
  idle_timeout = 60,
  request_complete = framing.line {},
  make_response = function(self)
    local client, own = self.client_address, self.server
    return ("%%s %%s %%d %%s %%d %%s\n"):format(self.request, client.host, client.port, own.host, own.port,
      text(self.proxy))
  end,
  handle_close = function(self, reason) print(reason, self.client_address.host) end,
}
%s
return P
]]

local function record(type, value) return string.pack(">Bs2", type, value) end

local function v2(ends, records, family, command)
  return SIGNATURE .. string.pack(">BBs2", command or 0x21, family or 0x11, ends .. (records or ""))
end

local function v2_from(last, records)
  return v2(string.char(192, 0, 2, last, 198, 51, 100, 7) .. string.pack(">I2I2", 56324, 443), records)
end

server.for_each_poller(function(poller)
  local folder

  before_each(function() folder = server.new_folder() end)
  after_each(function() server.remove_folder(folder) end)

  local function start(list, options, more, request_timeout)
    local settings = { poller = poller, listen = { "127.0.0.1:0", "[::1]:0", "unix:" .. folder .. "/s" },
      turns = true }
    if list then
      settings[#settings + 1] = "--accept-proxy"
      settings[#settings + 1] = list
    end
    for _, word in ipairs(options or {}) do settings[#settings + 1] = word end
    return server.start(WHO:format(request_timeout or 30, more or ""), settings)
  end

  local function ask(client, bytes)
    client:send(bytes or "x\n")
    return client.socket:receive "*l"
  end

  local FROM <const> = "x 192.0.2.1 56324 198.51.100.7 443 "

  describe("--accept-proxy", function()
    it("takes both ends from a header of version 1", function()
      local running = start "127.0.0.0/8"
      local client = running:connect()
      assert.equal(FROM .. "{}", ask(client, V1 .. "x\n"))
      assert.equal(FROM .. "{}", ask(client))
    end)

    it("takes both ends of IPv6", function()
      local running = start "127.0.0.1"
      assert.equal("x 2001:db8::1 1 2001:db8::2 2 {}",
        ask(running:connect(), "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\nx\n"))
    end)

    it("takes both ends and the records from a header of version 2", function()
      local running = start "::1,127.0.0.1"
      local records = record(1, "h2") .. record(2, "example.org") .. record(5, "id-1") .. record(0x20, "\7\0\0\0\0"
        .. record(0x21, "TLSv1.3") .. record(0x23, "AES") .. record(0x22, "client") .. record(0x24, "RSA-SHA256")
        .. record(0x25, "RSA2048"))
      assert.equal(FROM .. "{alpn=h2 authority=example.org ssl={cipher=AES common_name=client has_certificate=true "
        .. "key=RSA2048 signature=RSA-SHA256 verified=true version=TLSv1.3} unique_id=id-1}",
        ask(running:connect(), v2_from(1, records) .. "x\n"))
      assert.equal(FROM .. "{ssl={has_certificate=true verified=false}}",
        ask(running:connect(2), v2_from(1, record(0x20, "\3\0\0\0\1")) .. "x\n"))
    end)

    it("is recorded, and check plays it", function()
      local records = record(2, "example.org") .. record(0x20, "\7\0\0\0\0" .. record(0x21, "TLSv1.3"))
      local running = start("127.0.0.1", { "--record", folder }, [[
        P.make_response = function(self) return text(self.proxy) .. "\n" end]])
      assert.matches("authority=example.org", ask(running:connect(), v2_from(1, records) .. "x\n"))
      running:close_clients()
      assert.equal(0, running:stop())
      running:expect_end()
      local found = 0
      for name in require("lfs").dir(folder) do
        if name:find "^script1.*%.transcript$" then
          local path = folder .. "/" .. name
          local status, said, complaint = server.run { "check", running.folder .. "/script1.lua", path }
          assert.equal(0, status, said .. complaint)
          assert.is_truthy(server.read_file(path):find('\nproxy authority "example.org" version "TLSv1.3" '
            .. 'has_certificate "true" verified "true"\n', 1, true), server.read_file(path))
          found = found + 1
        end
      end
      assert.equal(1, found)
    end)

    it("takes Unix sockets as the two ends", function()
      local running = start "127.0.0.1"
      local path = "/run/a.sock"
      local both = ("\0"):rep(108) .. path .. ("\0"):rep(108 - #path)
      assert.equal("x unix 0 unix:/run/a.sock 0 {}", ask(running:connect(), v2(both, "", 0x31) .. "x\n"))
    end)

    it("keeps the real ends if the header names none", function()
      local running = start "127.0.0.1"
      for _, header in ipairs { "PROXY UNKNOWN\r\n", v2("", "", 0, 0x20) } do
        local client = running:connect()
        local host, port = client.socket:getsockname()
        assert.equal(("x %s %d 127.0.0.1 %d {}"):format(host, port, running.addresses[1].port),
          ask(client, header .. "x\n"))
      end
    end)

    for name, header in pairs { ["version 1"] = V1, ["version 2"] = v2_from(1) } do
      it("reads a header of " .. name .. " byte by byte", function()
        local running = start "127.0.0.1"
        local client = running:connect()
        client:send_bytes(header .. "x\n")
        assert.equal(FROM .. "{}", client.socket:receive "*l")
      end)
    end

    it("leaves the bytes behind the header to the protocol", function()
      local running = start "127.0.0.1"
      local client = running:connect()
      client:send(V1:sub(1, 10))
      running:turn()
      client:send(V1:sub(11) .. "x\n" .. V1 .. "y")
      assert.equal(FROM .. "{}", client.socket:receive "*l")
      assert.equal(V1:sub(1, -3) .. FROM:sub(2) .. "{}", client.socket:receive "*l")
      assert.equal("y" .. FROM:sub(2) .. "{}", ask(client, "\n"))
    end)

    it("lets a protocol speak first only behind the header", function()
      local running = start("127.0.0.1", nil, "P.handle_connect = function(self) return self.client_address.host end")
      local client = running:connect()
      running:turn()
      assert.is_true(client:is_quiet(0.02))
      assert.equal("192.0.2.1", client:exchange(V1, 9))
    end)

    it("asks no header of others", function()
      local running = start "127.0.0.2,unix"
      local client = running:connect()
      assert.is_truthy(ask(client):find "^x 127%.0%.0%.1 .* nil$")
      assert.is_truthy(ask(client, V1):find "^PROXY TCP4 .* 127%.0%.0%.1 ")
      assert.is_truthy(ask(running:connect(2)):find "^x ::1 .* nil$")
      assert.equal(FROM .. "{}", ask(running:connect(1, "127.0.0.2"), V1 .. "x\n"))
    end)

    it("takes `unix` for Unix peers", function()
      local running = start "unix"
      assert.equal(FROM .. "{}", ask(running:connect(3), V1 .. "x\n"))
      assert.is_truthy(ask(running:connect(1)):find "^x 127%.0%.0%.1 ")
    end)

    it("adds up when it is given twice, and counts ::ffff:127.0.0.1 as IPv4", function()
      local running = start("::1", { "--accept-proxy", "::ffff:127.0.0.1" })
      for nth = 1, 2 do assert.equal(FROM .. "{}", ask(running:connect(nth), V1 .. "x\n")) end
    end)

    for fact, case in pairs {
      ["a request without a header"] = { "GET / HTTP/1.1\r\n", "it begins as no header of the PROXY protocol does" },
      ["a wrong line"] = { "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "the line has not two addresses and two ports" },
      ["a wrong checksum"] = { v2_from(1, record(3, "abcd")), "the checksum is wrong" },
    } do
      it("closes and logs " .. fact, function()
        local running = start "127.0.0.1"
        local client = running:connect()
        client:send(case[1])
        assert.equal("", (client:receive_rest()))
        running:wait_for_log(' warn malformed service=script1 peer=127%.0%.0%.1 port=%d+ buffered=%d+ hex="[%x ]+" '
          .. 'text=[^\n]* detail="PROXY header: ' .. case[2])
        running:stop()
        assert.equal("", running:output())
      end)
    end

    it("shows no bytes of a wrong header with --log-bytes 0", function()
      local running = start("127.0.0.1", { "--log-bytes", "0" })
      running:connect():send "secret\n"
      running:wait_for_log(" warn malformed service=script1 peer=127%.0%.0%.1 port=%d+ buffered=7 detail=")
      assert.is_nil(running:log():find("secret", 1, true))
    end)

    it("logs a connection that is closed before its first byte at debug", function()
      local running = start "127.0.0.1"
      running:connect():close()
      running:wait_for_log ' debug closed service=script1 peer=127.0.0.1 port=%d+ reason=peer_closed '
      local client = running:connect()
      running:turn()
      client:reset()
      running:wait_for_log ' debug closed service=script1 peer=127.0.0.1 port=%d+ reason=peer_[cr][^\n]* '
      assert.equal(0, running:count_in_log " warn ")
      assert.equal(0, running:count_in_log " error ")
    end)

    it("logs a connection that is closed within its header", function()
      local running = start "127.0.0.1"
      local client = running:connect()
      client:send(V1:sub(1, 20))
      running:turn()
      client:close()
      running:wait_for_log ' warn malformed [^\n]*detail="PROXY header: the peer has closed within it"'
    end)

    it("gives the header request_timeout, and no more when bytes come", function()
      local running = start("127.0.0.1", nil, nil, 0.2)
      local silent, slow = running:connect(), running:connect()
      for place = 1, 3 do slow:send(V1:sub(place, place)) running:turn() end
      assert.equal("", (silent:receive_rest()))
      assert.equal("", (slow:receive_rest()))
      server.wait_until("two lines",
        function() return running:count_in_log ' warn request_timeout [^\n]*"PROXY header: it did not come' == 2 end)
    end)

    it("forgets the time of the header when the header has come", function()
      local running = start("127.0.0.1", nil, nil, 0.2)
      local client = running:connect()
      running:turn()
      client:send(V1)
      assert.is_true(client:is_quiet(0.4))
      assert.equal(FROM .. "{}", ask(client))
    end)

    it("looks up the name of the client, and not of the proxy", function()
      local running = start("127.0.0.1", { "--resolve-names", "--name-server", "127.0.0.1:1" },
        "P.make_response = function(self) return self.host .. '\\n' end")
      assert.equal("localhost", ask(running:connect(), "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nx\n"))
      local client = running:connect()
      running:turn()
      client:send "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"
      running:turn()
      assert.equal("localhost", ask(client))
    end)

    it("takes a header that came in time while the server was busy, and looks up the name then", function()
      local go = folder .. "/go"
      local running = start("127.0.0.1", { "--resolve-names", "--name-server", "127.0.0.1:1", "--call-timeout", "0" },
        ([[
local answer = P.make_response
P.make_response = function(self)
  if self.request ~= "wait" then return answer(self) end
  print "waiting"
  local file
  repeat file = io.open %q until file
  file:close()
  return "waited\n"
end]]):format(go), 0.2)
      local client, other = running:connect(), running:connect(3)
      running:turn()
      other:send "wait\n"
      server.wait_until("the script", function() return running:output():find("waiting", 1, true) end)
      client:send(V1 .. "x\n")
      local begin = server.now()
      server.wait_until("request_timeout", function() return server.now() - begin > 0.3 end)
      server.write_file(go, "")
      assert.equal("waited", other.socket:receive "*l")
      assert.equal(FROM .. "{}", client.socket:receive "*l")
      assert.equal(0, running:count_in_log " warn ")
    end)

    it("reads the header before the handshake of TLS", function()
      local made = tls.folder()
      finally(function() made:remove() end)
      local pair = made:certificate "web"
      local running = server.start(WHO:format(30, ""), {
        poller = poller, listen = { "tls:127.0.0.1:0" }, turns = true,
        "--accept-proxy", "127.0.0.1", "--certificate", pair.certificate, "--key", pair.key,
      })
      for _, pieces in ipairs { { V1 }, { V1:sub(1, 20), V1:sub(21) } } do
        local client = running:connect()
        client:send_pieces(pieces)
        assert.equal(FROM .. "{}\n", assert(tls.wrap(client)):send("x\n"):receive_until "\n")
      end
      assert.is_nil(tls.wrap(running:connect()))
      running:wait_for_log ' warn malformed [^\n]*detail="PROXY header: it begins as no header'
    end)

    it("answers what has come behind its header when the server stops", function()
      local running = start "127.0.0.1"
      local whole, half = running:connect(), running:connect()
      half:send(V1:sub(1, 20))
      running:turn()
      running.process:signal(19)
      whole:send(V1 .. "x\n")
      running:terminate()
      running.process:signal(18)
      assert.equal(FROM .. "{}\n", whole:receive_all())
      assert.equal("", (half:receive_rest()))
      assert.equal(0, running:wait())
    end)

    it("tells a finalizer of the client that it asks for, and of no other", function()
      local running = start("127.0.0.1", nil, [[
local others = {}
P.make_response = function(self)
  if self.request == "other" then
    others[1] = self
    return "kept\n"
  end
  local stop, wrong = false, 0
  local function again()
    setmetatable({}, { __gc = function()
      for _, name in ipairs { "client_address", "server", "proxy" } do
        rawset(others[1], name, nil)
        local _ = others[1][name]
      end
      if not stop then again() end
    end })
  end
  again()
  collectgarbage("setpause", 0)
  for _ = 1, 2000 do
    for _, name in ipairs { "client_address", "server", "proxy" } do rawset(self, name, nil) end
    if self.client_address.host ~= "192.0.2.1" or self.server.host ~= "198.51.100.7"
      or self.proxy.authority ~= "a" or self.proxy.unique_id ~= "one" then wrong = wrong + 1 end
  end
  stop = true
  return wrong .. "\n"
end]])
      assert.equal("kept", ask(running:connect(),
        v2(("\x20"):rep(32) .. "\0\1\0\2", record(5, "two") .. record(2, "b"), 0x21) .. "other\n"))
      assert.equal("0", ask(running:connect(), v2_from(1, record(2, "a") .. record(5, "one")) .. "x\n"))
    end)
  end)

  describe("--max-connections-per-peer", function()
    it("closes what a peer has more, and logs it", function()
      local running = start(nil, { "--max-connections-per-peer", "2" })
      local first, second = running:connect(), running:connect()
      assert.is_truthy(ask(first))
      assert.is_truthy(ask(second))
      assert.equal("", (running:connect():receive_rest()))
      running:wait_for_log ' warn refused service=script1 peer=127.0.0.1 [^\n]*detail="the peer has max_con'
      assert.is_truthy(ask(running:connect(1, "127.0.0.2")))
      assert.is_truthy(ask(running:connect(2)))
      first:close()
      running:wait_for_log " debug closed [^\n]*reason=peer_closed "
      assert.is_truthy(ask(running:connect()))
      assert.is_truthy(ask(second))
    end)

    it("limits its lines in the log", function()
      local running = start(nil, { "--max-connections-per-peer", "1" })
      local kept = running:connect()
      assert.is_truthy(ask(kept))
      for _ = 1, 100 do assert.equal("", (running:connect():receive_rest())) end
      assert.is_true(running:count_in_log " warn refused " < 60)
      assert.is_truthy(ask(kept))
    end)

    it("counts by the client that a header names", function()
      local running = start("127.0.0.1", { "--max-connections-per-peer", "1" })
      local first = running:connect()
      assert.is_truthy(ask(first, V1 .. "x\n"))
      local other = running:connect()
      assert.is_truthy(ask(other, v2_from(2) .. "x\n"))
      local over = running:connect()
      over:send(V1)
      assert.equal("", (over:receive_rest()))
      running:wait_for_log ' warn refused service=script1 peer=192.0.2.1 port=56324 descriptor=%d+ detail='
      first:close()
      running:wait_for_log " debug closed [^\n]*peer=192.0.2.1 port=56324 reason=peer_closed requests=1"
      assert.equal(FROM .. "{}", ask(running:connect(), V1 .. "x\n"))
    end)

    it("does not count proxies themselves, nor Unix peers", function()
      local running = start("127.0.0.1", { "--max-connections-per-peer", "1" })
      for _ = 1, 3 do
        assert.is_truthy(ask(running:connect(), "PROXY UNKNOWN\r\nx\n"))
        assert.is_truthy(ask(running:connect(3)))
        running:connect()
      end
      assert.equal(0, running:count_in_log " refused ")
    end)

    it("is off with 0", function()
      local running = start(nil, { "--max-connections-per-peer", "0" })
      for _ = 1, 20 do assert.is_truthy(ask(running:connect())) end
    end)
  end)
end)
