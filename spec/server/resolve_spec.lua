-- Looking up names never delays anybody but the peer whose name it is.

local socket = require "socket"
local server = require "support.server"

local WHO <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line { max = 100 },
  make_response = function(self) return self.host .. " " .. self.client_address.host .. "\n" end,
}
]]

-- A name in the form of the DNS: each label behind its length.
local function encode(name)
  local labels = {}
  for label in name:gmatch "[^.]+" do labels[#labels + 1] = string.pack("s1", label) end
  return table.concat(labels) .. "\0"
end

-- What a name server says to a query for the name of an address; nil: there is none.
local function reply(query, name)
  local id = string.unpack(">I2", query)
  local place = 13
  while query:byte(place) ~= 0 do place = place + query:byte(place) + 1 end
  local question = query:sub(13, place + 4)
  if not name then return string.pack(">I2I2I2I2I2I2", id, 0x8183, 1, 0, 0, 0) .. question end
  return string.pack(">I2I2I2I2I2I2", id, 0x8180, 1, 1, 0, 0) .. question
    .. string.pack(">I2I2I2I4s2", 0xc00c, 12, 1, 60, encode(name))
end

local function ask(client)
  client:send "x\n"
  return client.socket:receive "*l"
end

server.for_each_poller(function(poller)
  describe("--resolve-names", function()
    local names, running

    before_each(function()
      names = assert(socket.udp())
      assert(names:setsockname("127.0.0.1", 0))
      names:settimeout(server.DEADLINE)
      local _, port = names:getsockname()
      local folder = server.new_folder()
      server.remove_folder(folder)
      running = server.start(WHO, {
        poller = poller, "--resolve-names", "--name-server", "127.0.0.1:" .. port,
        listen = { "127.0.0.1:0", "unix:" .. folder },
      })
    end)

    after_each(function() names:close() end)

    it("gives self.host the name that the name server tells", function()
      local client = running:connect(1, "127.0.0.2")
      client:send "x\n"
      local query, host, port = assert(names:receivefrom())
      assert.is_truthy(query:find("\0012\0010\0010\003127\007in-addr\004arpa\0", 1, true))
      names:sendto(reply(query, "peer.example.org"), host, port)
      assert.equal("peer.example.org 127.0.0.2", client.socket:receive "*l")
    end)

    it("gives self.host the address where there is no name", function()
      local client = running:connect(1, "127.0.0.2")
      client:send "x\n"
      local query, host, port = assert(names:receivefrom())
      names:sendto(reply(query), host, port)
      assert.equal("127.0.0.2 127.0.0.2", client.socket:receive "*l")
    end)

    it("delays nobody else while the name server is silent, and its peer for no more than six seconds", function()
      local waiting = running:connect(1, "127.0.0.2")
      local begin = server.now()
      waiting:send "x\n"
      assert(names:receivefrom())
      -- Whom the hosts file knows, and whom nobody has to look up.
      for _ = 1, 20 do
        local asked = server.now()
        assert.is_truthy(ask(running:connect(1)):find " 127%.0%.0%.1$")
        assert.equal("unix unix", ask(running:connect(2)))
        assert.is_true(server.now() - asked < 0.5)
      end
      assert.is_true(server.now() - begin < 3)
      assert.equal("127.0.0.2 127.0.0.2", waiting.socket:receive "*l")
      local took = server.now() - begin
      assert.is_true(took > 1 and took < 6, took)
    end)

    it("forgets a peer that goes away meanwhile, and stops while a look-up is under way", function()
      local gone = running:connect(1, "127.0.0.2")
      assert(names:receivefrom())
      gone:close()
      local query, host, port
      local waiting = running:connect(1, "127.0.0.3")
      repeat query, host, port = assert(names:receivefrom()) until query:find("\0013\0010", 1, true)
      assert.is_truthy(host and port)
      running:terminate()
      local begin = server.now()
      assert.equal("", (waiting:receive_rest()))
      running:close_clients()
      assert.equal(0, running:wait())
      assert.is_true(server.now() - begin < 2)
      running:expect_end()
    end)
  end)
end)

describe("without --resolve-names", function()
  server.cleans_up()

  it("nobody is asked, and self.host is the address", function()
    local running = server.start(WHO)
    assert.equal("127.0.0.2 127.0.0.2", ask(running:connect(1, "127.0.0.2")))
  end)
end)
