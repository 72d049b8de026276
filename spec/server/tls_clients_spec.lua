-- What clients of the field see of a listener with TLS: openssl s_client and curl.

local server = require "support.server"
local tls = require "support.tls"

-- HTTP that tells what it knows of the client.
local PEER <const> = [[
return {
  close_when_done = false,
  request_complete = require("parlance.framing").http {},
  make_response = function(self)
    local text = self.tls.version .. " " .. (self.tls.peer and self.tls.peer.subject or "nobody") .. "\n"
    return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#text, text)
  end,
}
]]

server.for_each_poller(function(poller)
  local made, pair

  before_each(function()
    made = tls.folder()
    pair = made:certificate("localhost", { names = { "DNS:localhost", "IP:127.0.0.1" } })
  end)
  after_each(function() made:remove() end)

  local function start(...)
    return server.start(PEER, { poller = poller, listen = { "tls:127.0.0.1:0" },
      "--certificate", pair.certificate, "--key", pair.key, ... })
  end

  -- What a command prints; PORT stands for the port.
  local function output(running, command)
    command = command:gsub("PORT", running.addresses[1].port):gsub("FOLDER", made.path)
    tls.run({ "sh", "-c", "LD_PRELOAD= timeout 20 " .. command .. "; true" }, made.path)
    return server.read_file(made.path .. "/openssl.log")
  end

  local function s_client(running, options)
    return output(running, "openssl s_client -ign_eof -connect 127.0.0.1:PORT " .. options .. " </dev/null")
  end

  describe("openssl s_client", function()
    it("cannot have versions before TLS 1.2, or ciphers without secrecy", function()
      local running = start()
      local old = "-cipher ALL:@SECLEVEL=0"
      for option, why in pairs {
        ["-tls1 " .. old] = "protocol version", ["-tls1_1 " .. old] = "protocol version",
        ["-tls1_2 -cipher eNULL:@SECLEVEL=0"] = "handshake failure",
        ["-tls1_2 -cipher aNULL:@SECLEVEL=0"] = "handshake failure",
        ["-tls1_2 -cipher AES128-SHA:AES256-SHA"] = "handshake failure",
      } do
        assert.matches("alert " .. why, s_client(running, option), 1, true)
      end
      server.wait_until("a line for each", function() return running:count_in_log " warn handshake_failed " == 5 end)
    end)

    it("gets the better cipher if it asks for a worse one first", function()
      local running = start("--idle-timeout", "0.1")
      local text = s_client(running, "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-GCM-SHA256")
      assert.matches("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", text, 1, true)
      text = s_client(running, "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256")
      assert.matches("Cipher is ECDHE-ECDSA-CHACHA20-POLY1305", text, 1, true)
    end)

    it("gets no compression, and cannot negotiate again", function()
      local running = start()
      local text = output(running, "sh -c 'mkfifo FOLDER/in && exec 3<>FOLDER/in && echo R >&3 && "
        .. "openssl s_client -comp -tls1_2 -connect 127.0.0.1:PORT <FOLDER/in'")
      assert.matches("Compression: NONE", text, 1, true)
      assert.matches("Secure Renegotiation IS supported", text, 1, true)
      assert.matches("RENEGOTIATING.*no renegotiation", text)
    end)

    it("is told when none of its protocols is known", function()
      local running = start("--alpn", "http/1.1", "--idle-timeout", "0.1")
      assert.matches("alert no application protocol", s_client(running, "-alpn h2"), 1, true)
      assert.matches("ALPN protocol: http/1.1", s_client(running, "-alpn h2,http/1.1"), 1, true)
    end)
  end)

  describe("curl", function()
    local function curl(running, options)
      return output(running, "curl -sS --cacert FOLDER/localhost.pem " .. options)
    end

    it("keeps its connection, with both versions", function()
      local running = start()
      for option, version in pairs { ["1.2"] = "TLSv1.2", ["1.3"] = "TLSv1.3" } do
        assert.equal(version .. " nobody\n1" .. version .. " nobody\n0",
          curl(running, "-w '%{num_connects}' --tls-max " .. option .. (" https://localhost:PORT/"):rep(2)))
      end
    end)

    it("does not trust an authority that it does not know, and the log says so", function()
      local running = start()
      made:certificate "other"
      assert.matches("curl: (60)", curl(running, "--cacert FOLDER/other.pem https://localhost:PORT/"), 1, true)
      running:wait_for_log ' warn handshake_failed [^\n]*detail="alert unknown ca"'
    end)

    it("shows its certificate", function()
      local authority = made:certificate "authority"
      made:certificate("ann", { by = authority })
      made:certificate "stranger"
      local running = start("--client-ca", authority.certificate)
      local function as(name, version)
        return curl(running, ("--tls-max %s --cert FOLDER/%s.pem --key FOLDER/%s.key https://localhost:PORT/")
          :format(version, name, name))
      end
      for _, version in ipairs { "1.2", "1.3" } do
        assert.equal("TLSv" .. version .. " CN=ann\n", as("ann", version))
        assert.matches("unknown ca", as("stranger", version), 1, true)
        assert.matches("alert", curl(running, "--tls-max " .. version .. " https://localhost:PORT/"), 1, true)
      end
    end)

    it("is told that it speaks HTTP without TLS by a log line", function()
      local running = start()
      assert.matches("curl: (52)", curl(running, "http://localhost:PORT/"), 1, true)
      running:wait_for_log ' warn handshake_failed [^\n]*detail="the peer speaks HTTP without TLS"'
    end)
  end)
end)
