-- The header of a proxy and the handshake of TLS behind it.

local server = require "support.server"
local socket = require "socket"
local ssl = require "ssl"
local tls = require "support.tls"

local HEADER <const> = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
local SECONDS <const> = 2 -- request_timeout

local WHO <const> = ([[
return {
  close_when_done = false, request_timeout = %d, idle_timeout = 60,
  request_complete = require("parlance.framing").line {},
  make_response = function(self)
    if self.request == "starttls" then self:start_tls() return "go\n" end
    return self.client_address.host .. " " .. self.transport .. " " .. self.tls.server_name .. "\n"
  end,
}
]]):format(SECONDS)

-- A client of TLS whose bytes the spec carries to the server, so that it may cut them anywhere.
local function new_carrier()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local host, port = listener:getsockname()
  local inner = assert(socket.connect(host, port))
  local outer = assert(listener:accept())
  listener:close()
  local client = assert(ssl.wrap(inner, { mode = "client", protocol = "any", verify = "none" }))
  client:sni "web.example"
  client:settimeout(0)
  outer:settimeout(0)
  finally(function()
    client:close()
    outer:close()
  end)
  local carrier = {}

  -- The bytes that the client has to say now.
  function carrier:take()
    client:dohandshake()
    local bytes, _, part = outer:receive(1 << 20)
    return bytes or part
  end

  -- Carries bytes both ways until the client has its answer to a line.
  function carrier:ask(connection, line)
    local answer, is_sent
    local deadline = socket.gettime() + server.DEADLINE
    connection.socket:settimeout(0)
    while not answer do
      assert(socket.gettime() < deadline, "no answer")
      if not is_sent and client:dohandshake() then is_sent = client:send(line) end
      if is_sent then answer = client:receive "*l" end
      local up, _, up_part = outer:receive(1 << 20)
      connection:send(up or up_part)
      local down, _, down_part = connection.socket:receive(1 << 20)
      outer:send(down or down_part)
      if #(down or down_part) == 0 then socket.select({ connection.socket, outer }, nil, 0.01) end
    end
    return answer
  end

  return carrier
end

server.for_each_poller(function(poller)
  describe("--accept-proxy before TLS", function()
    local made, running

    before_each(function()
      made = tls.folder()
      local pair = made:certificate "web.example"
      running = server.start(WHO, {
        poller = poller, listen = { "tls:127.0.0.1:0", "127.0.0.1:0" }, turns = true,
        "--accept-proxy", "127.0.0.1", "--certificate", pair.certificate, "--key", pair.key,
      })
    end)

    after_each(function() made:remove() end)

    it("takes the header and the first bytes of TLS in one piece", function()
      local carrier, client = new_carrier(), running:connect()
      client:send(HEADER .. carrier:take())
      assert.equal("192.0.2.1 tls web.example", carrier:ask(client, "x\n"))
    end)

    it("takes them when they are cut at any byte", function()
      local length = #HEADER + #new_carrier():take()
      assert.is_true(length > #HEADER + 100)
      for cut = 1, length - 1 do
        local carrier, client = new_carrier(), running:connect()
        local bytes = HEADER .. carrier:take()
        client:send_pieces { bytes:sub(1, cut), bytes:sub(cut + 1) }
        assert.equal("192.0.2.1 tls web.example", carrier:ask(client, "x\n"))
        client:close()
      end
    end)

    it("mentions a health check at level debug, with a header and without", function()
      running:connect():close()
      running:wait_for_log ' debug closed [^\n]*detail="before its PROXY header"'
      local client = running:connect()
      client:send "PROXY UNKNOWN\r\n"
      client:close()
      running:wait_for_log " debug handshake_failed "
      assert.equal(0, running:count_in_log " warn ")
    end)

    it("gives the header and the handshake one request_timeout together", function()
      local began = socket.gettime()
      local client = running:connect()
      client:send(HEADER:sub(1, 20))
      assert.is_true(client:is_quiet(SECONDS * 0.7))
      client:send(HEADER:sub(21) .. new_carrier():take():sub(1, 20))
      assert.equal("", (client:receive_rest()))
      assert.is_true(socket.gettime() - began < SECONDS * 1.6)
      running:wait_for_log " warn handshake_failed [^\n]*request_timeout"
    end)

    it("gives the handshake behind STARTTLS all of request_timeout", function()
      local client = running:connect(2)
      client:send(HEADER:sub(1, 20))
      assert.is_true(client:is_quiet(SECONDS * 0.7))
      client:send(HEADER:sub(21) .. "starttls\n")
      assert.equal("go\n", client:receive(3))
      assert.is_true(client:is_quiet(SECONDS * 0.6))
      assert.equal("192.0.2.1 tls web.example",
        assert(tls.wrap(client, { server_name = "web.example" })):send("x\n"):receive_until("\n"):sub(1, -2))
    end)
  end)
end)
