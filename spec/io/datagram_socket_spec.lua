-- Datagrams in batches, and answers from the address that was asked.

local io = require("parlance_spec").io
local luasocket = require "socket"

local DEADLINE <const> = 10

describe("datagram_socket", function()
  local opened, peers

  before_each(function() opened, peers = {}, {} end)
  after_each(function()
    io.drop_datagrams()
    for _, fd in ipairs(opened) do io.close(fd) end
    for _, peer in ipairs(peers) do peer:close() end
  end)

  -- Returns the descriptor and the port of a listener.
  local function listen(address)
    local fd = assert(io.listen(address or "udp:127.0.0.1:0"))[1]
    opened[#opened + 1] = fd
    assert(io.prepare_datagrams(fd))
    local _, port = io.local_address(fd)
    return fd, port
  end

  local function peer_to(host, port)
    local peer = host:find ":" and luasocket.udp6() or luasocket.udp4()
    peer:settimeout(DEADLINE)
    assert(peer:setpeername(host, port))
    peers[#peers + 1] = peer
    return peer
  end

  local function receive(fd)
    assert(io.ready(fd, "read", DEADLINE))
    return assert(io.receive_datagrams(fd))
  end

  it("is bound to every address of a name, with one free port", function()
    local fds = assert(io.listen "udp:localhost:0")
    for _, fd in ipairs(fds) do opened[#opened + 1] = fd end
    local _, port = io.local_address(fds[1])
    for _, fd in ipairs(fds) do assert.equal(port, select(2, io.local_address(fd))) end
  end)

  it("cannot be bound where another program has a socket", function()
    local _, port = listen()
    local fds, why, errno = io.listen("udp:127.0.0.1:" .. port)
    assert.same({ nil, "bind", "EADDRINUSE" }, { fds, why, errno })
  end)

  it("gets what has come with one call, each with its sender, an empty one too", function()
    local fd, port = listen()
    local peer = peer_to("127.0.0.1", port)
    local own = math.tointeger(select(2, peer:getsockname()))
    for _, bytes in ipairs { "one", "", "three\0" } do assert(peer:send(bytes)) end
    local all = receive(fd)
    assert.same({ "one", "", "three\0" }, { all[1].bytes, all[2].bytes, all[3].bytes })
    for _, one in ipairs(all) do
      assert.same({ "127.0.0.1", own }, { one.host, one.port })
    end
    assert.same({ nil, "again", "EAGAIN" }, { io.receive_datagrams(fd) })
  end)

  it("gets 32 at once, and the rest with the next call", function()
    local fd, port = listen()
    local peer = peer_to("127.0.0.1", port)
    for i = 1, 40 do assert(peer:send(tostring(i))) end
    local first, second = receive(fd), receive(fd)
    assert.same({ 32, 8 }, { #first, #second })
    assert.same({ "1", "33" }, { first[1].bytes, second[1].bytes })
  end)

  it("gets the longest datagram that there is whole", function()
    local fd, port = listen()
    local longest = ("x"):rep(65507)
    assert(peer_to("127.0.0.1", port):send(longest))
    assert.equal(longest, receive(fd)[1].bytes)
  end)

  for _, case in ipairs {
    { "udp:127.0.0.1:0", "127.0.0.1", false },
    { "udp:[::1]:0", "::1", false },
    { "udp:0.0.0.0:0", "127.0.0.1", true },
    { "udp:0.0.0.0:0", "127.0.0.5", true },
    { "udp:[::]:0", "::1", true },
  } do
    local address, asked, has_own = table.unpack(case)
    it(("answers from %s when %s is asked"):format(asked, address), function()
      local fd, port = listen(address)
      local peer = peer_to(asked, port) -- It gets nothing from any other address.
      assert(peer:send "?")
      local one = receive(fd)[1]
      assert.equal(has_own, one.has_own)
      assert(io.add_datagram(one.route, "!"))
      assert(io.add_datagram(one.route, ""))
      assert(io.send_datagrams(fd))
      assert.same({ "!", "" }, { peer:receive(), peer:receive() })
    end)
  end

  it("sends more than one call takes, in order", function()
    local fd, port = listen()
    local peer = peer_to("127.0.0.1", port)
    assert(peer:send "?")
    local route = receive(fd)[1].route
    for i = 1, 70 do assert(io.add_datagram(route, tostring(i))) end
    assert(io.send_datagrams(fd))
    for i = 1, 70 do assert.equal(tostring(i), peer:receive()) end
    assert.is_true(io.has_no_datagrams())
  end)

  it("tells of one that is too large, and sends the others", function()
    local fd, port = listen()
    local peer = peer_to("127.0.0.1", port)
    assert(peer:send "?")
    local route = receive(fd)[1].route
    for _, bytes in ipairs { "before", ("x"):rep(65508), "after" } do assert(io.add_datagram(route, bytes)) end
    assert.same({ nil, "error", "EMSGSIZE", 65508 }, { io.send_datagrams(fd) })
    assert.is_true(io.send_datagrams(fd))
    assert.same({ "before", "after" }, { peer:receive(), peer:receive() })
  end)

  it("is not harmed by a peer that is gone", function()
    local fd, port = listen()
    local gone = peer_to("127.0.0.1", port)
    assert(gone:send "?")
    local route = receive(fd)[1].route
    gone:close()
    for _ = 1, 3 do
      assert(io.add_datagram(route, "!"))
      assert(io.send_datagrams(fd))
    end
    assert.same({ nil, "again", "EAGAIN" }, { io.receive_datagrams(fd) })
    assert(peer_to("127.0.0.1", port):send "still there")
    assert.equal("still there", receive(fd)[1].bytes)
  end)

  it("holds 4096 datagrams, and no more than 4 MiB", function()
    local fd, port = listen()
    assert(peer_to("127.0.0.1", port):send "?")
    local route = receive(fd)[1].route
    for _ = 1, 4096 do assert(io.add_datagram(route, "")) end
    assert.same({ nil, "full" }, { table.unpack({ io.add_datagram(route, "") }, 1, 2) })
    io.drop_datagrams()
    local large = ("x"):rep(1024 * 1024)
    for _ = 1, 4 do assert(io.add_datagram(route, large)) end
    assert.same({ nil, "full" }, { table.unpack({ io.add_datagram(route, "x") }, 1, 2) })
    -- What fails makes room.
    assert.same({ nil, "error", "EMSGSIZE" }, { table.unpack({ io.send_datagrams(fd) }, 1, 3) })
    assert.is_true(io.add_datagram(route, large))
  end)

  it("is broken when its descriptor is closed", function()
    assert.same({ nil, "error", "EBADF" }, { io.receive_datagrams(-1) })
  end)
end)
