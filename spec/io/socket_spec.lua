local spec = require "parlance_spec"
local io = spec.io

-- Containers often have no IPv6.
local function has_ipv6()
  local fds = io.listen("[::1]:0")
  if fds then io.close(fds[1]) end
  return fds ~= nil
end

describe("socket", function()
  local opened, before, folder

  local function keep(fd)
    opened[fd] = true
    return fd
  end

  local function close(fd, reset)
    opened[fd] = nil
    io.close(fd, reset)
  end

  local function listen(address, backlog)
    local fds = assert(io.listen(address, backlog))
    for _, fd in ipairs(fds) do keep(fd) end
    return fds
  end

  local function pair()
    local near, far = io.pair()
    return keep(near), keep(far)
  end

  -- Both ends of a TCP connection over the loopback.
  local function connection()
    local listener = listen("127.0.0.1:0")[1]
    local _, port = io.local_address(listener)
    local client = keep(assert(io.connect(port)))
    return keep((assert(io.accept(listener)))), client
  end

  local function it_with_ipv6(fact, test)
    it(fact, function()
      if not has_ipv6() then return pending("there is no IPv6 here") end
      test()
    end)
  end

  local function write_file(name, bytes)
    local path = folder .. "/" .. name
    local file <close> = assert(_G.io.open(path, "wb"))
    file:write(bytes)
    return path
  end

  before_each(function()
    opened = {}
    before = spec.process.descriptors()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  after_each(function()
    for fd in pairs(opened) do io.close(fd) end
    os.execute("rm -r " .. folder)
    assert.equal(before, spec.process.descriptors())
  end)

  describe("listen", function()
    it("knows by itself what localhost is, and every name that ends in .localhost", function()
      for _, name in ipairs { "localhost", "LocalHost", "localhost.", "a.localhost", "A.b.LOCALHOST." } do
        local found = {}
        for _, fd in ipairs(listen(name .. ":0")) do found[#found + 1] = io.local_address(fd) end
        table.sort(found)
        assert.same(has_ipv6() and { "127.0.0.1", "::1" } or { "127.0.0.1" }, found, name)
      end
    end)

    it("takes a free port for 0 and tells it", function()
      local host, port = io.local_address(listen("127.0.0.1:0")[1])
      assert.equal("127.0.0.1", host)
      assert.is_true(port > 0)
    end)

    it_with_ipv6("listens on every interface in both families, on one port", function()
      local fds = listen(":0")
      assert.equal(2, #fds)
      local hosts, ports = {}, {}
      for place, fd in ipairs(fds) do hosts[place], ports[place] = io.local_address(fd) end
      table.sort(hosts)
      assert.same({ "0.0.0.0", "::" }, hosts)
      assert.equal(ports[1], ports[2])
      for _, family in ipairs { "ipv4", "ipv6" } do keep(assert(io.connect(ports[1], family))) end
      for _, fd in ipairs(fds) do keep((assert(io.accept(fd)))) end
    end)

    it_with_ipv6("finds a port that both families have, time after time", function()
      for _ = 1, 50 do
        local fds = listen(":0")
        assert.equal(select(2, io.local_address(fds[1])), select(2, io.local_address(fds[2])))
        for _, fd in ipairs(fds) do close(fd) end
      end
    end)

    it_with_ipv6("keeps IPv6 to itself", function()
      local fd = listen("[::1]:0")[1]
      assert.is_true(io.settings(fd).v6_only)
      assert.same({ "::1" }, { (io.local_address(fd)) })
    end)

    it("looks names up", function()
      for _, fd in ipairs(listen("localhost:0")) do
        local host = io.local_address(fd)
        assert.is_true(host == "127.0.0.1" or host == "::1")
      end
    end)

    it("makes sockets that neither block nor are inherited", function()
      for _, address in ipairs { "127.0.0.1:0", "unix:" .. folder .. "/socket" } do
        local settings = io.settings(listen(address)[1])
        assert.is_true(settings.nonblocking and settings.close_on_exec)
      end
    end)

    it("is refused a port that is in use", function()
      local _, port = io.local_address(listen("127.0.0.1:0")[1])
      assert.same({ nil, "bind", "EADDRINUSE" }, { io.listen("127.0.0.1:" .. port) })
    end)

    it_with_ipv6("fails as a whole when one family's port is in use, and leaves nothing open", function()
      local _, port = io.local_address(listen("[::1]:0")[1])
      local count = spec.process.descriptors()
      assert.same({ nil, "bind", "EADDRINUSE" }, { io.listen(":" .. port) })
      assert.equal(count, spec.process.descriptors())
    end)

    it("is refused an address that this machine does not have", function()
      assert.same({ nil, "bind", "EADDRNOTAVAIL" }, { io.listen("192.0.2.77:0") })
    end)

    it("can listen again at once on the port of a connection that it has closed", function()
      local listener = listen("127.0.0.1:0")[1]
      local _, port = io.local_address(listener)
      local client = keep(assert(io.connect(port)))
      close((io.accept(listener)))
      close(listener)
      assert.same({ port }, { select(2, io.local_address(listen("127.0.0.1:" .. port)[1])) })
      close(client)
    end)
  end)

  describe("listen on a Unix socket", function()
    local path

    before_each(function() path = folder .. "/socket" end)

    it("makes the file, and takes connections", function()
      local listener = listen("unix:" .. path)[1]
      local client = keep(assert(io.connect_unix(path)))
      local fd, host, port = io.accept(listener)
      keep(fd)
      assert.same({ "unix", 0 }, { host, port })
      io.write(client, { "hello" })
      assert.equal("hello", io.read(fd))
    end)

    it("replaces a file that nobody listens on any more", function()
      close(listen("unix:" .. path)[1])
      assert.same({ nil, "error", "ECONNREFUSED" }, { io.connect_unix(path) })
      listen("unix:" .. path)
      keep(assert(io.connect_unix(path)))
    end)

    it("leaves a live one alone", function()
      local listener = listen("unix:" .. path)[1]
      assert.same({ nil, "another server listens there", "EADDRINUSE" }, { io.listen("unix:" .. path) })
      keep(assert(io.connect_unix(path)))
      keep((assert(io.accept(listener))))
    end)

    it("leaves a live one alone whose backlog is full", function()
      listen("unix:" .. path, 0)
      keep(assert(io.connect_unix(path)))
      assert.same({ nil, "another server listens there", "EADDRINUSE" }, { io.listen("unix:" .. path) })
    end)

    it("leaves a file that is no socket alone", function()
      write_file("socket", "precious")
      assert.same({ nil, "a file that is not a socket is in the way", "EEXIST" }, { io.listen("unix:" .. path) })
      local file <close> = assert(_G.io.open(path))
      assert.equal("precious", file:read("a"))
    end)

    it("leaves a link alone, even to a socket", function()
      close(listen("unix:" .. folder .. "/other")[1])
      assert(os.execute(("ln -s %s/other %s"):format(folder, path)))
      assert.equal("EEXIST", select(3, io.listen("unix:" .. path)))
    end)

    it("says which folder is missing", function()
      assert.same({ nil, "bind", "ENOENT" }, { io.listen("unix:" .. folder .. "/none/socket") })
    end)
  end)

  describe("accept", function()
    it("has nothing while nobody waits", function()
      assert.same({ nil, "again", "EAGAIN" }, { io.accept(listen("127.0.0.1:0")[1]) })
    end)

    it("gives a socket without delays that neither blocks nor is inherited, and the peer", function()
      local listener = listen("127.0.0.1:0")[1]
      local _, port = io.local_address(listener)
      local client = keep(assert(io.connect(port)))
      local fd, host, peer_port = io.accept(listener)
      local settings = io.settings(keep(fd))
      assert.is_true(settings.nonblocking and settings.close_on_exec and settings.no_delay)
      assert.same({ io.local_address(client) }, { host, peer_port })
    end)

    it("is full when there is no descriptor left, and the connection stays queued", function()
      local listener = listen("127.0.0.1:0")[1]
      local _, port = io.local_address(listener)
      keep(assert(io.connect(port)))
      local free = assert(io.duplicate(listener, 0))
      io.close(free)
      local limit = assert(io.limit_descriptors(free))
      finally(function() io.limit_descriptors(limit) end)
      for _ = 1, 3 do assert.same({ nil, "full", "EMFILE" }, { io.accept(listener) }) end
      io.limit_descriptors(limit)
      keep((assert(io.accept(listener))))
    end)

    it("hands on a connection that was reset while it waited, or none", function()
      local listener = listen("127.0.0.1:0")[1]
      local _, port = io.local_address(listener)
      close(assert(io.connect(port)), true)
      local fd, status = io.accept(listener)
      if fd then
        assert.is_true(io.ready(keep(fd), "r", 5))
        assert.same({ nil, "error", "ECONNRESET" }, { io.read(fd) })
      else
        assert.equal("again", status)
      end
    end)

    it("fails on what is no listener", function()
      local near = pair()
      assert.same({ nil, "error", "EINVAL" }, { io.accept(near) })
    end)
  end)

  describe("read", function()
    it("has nothing, then bytes as they came, then the end", function()
      local near, far = pair()
      assert.same({ nil, "again", "EAGAIN" }, { io.read(near) })
      io.write(far, { "a\0b" })
      assert.equal("a\0", io.read(near, 2))
      assert.equal("b", io.read(near, 2))
      io.shutdown_write(far)
      assert.equal("closed", select(2, io.read(near)))
      assert.equal("closed", select(2, io.read(near)))
    end)

    it("tells of a reset", function()
      local server, client = connection()
      close(client, true)
      assert.is_true(io.ready(server, "r", 5))
      assert.same({ nil, "error", "ECONNRESET" }, { io.read(server) })
    end)
  end)

  describe("write", function()
    -- Reads until the other side has ended or there are so many bytes.
    local function read_all(fd, most)
      local parts, length = {}, 0
      while length < most and io.ready(fd, "r", 5) do
        local bytes = io.read(fd)
        if not bytes then break end
        parts[#parts + 1], length = bytes, length + #bytes
      end
      return table.concat(parts)
    end

    it("sends several spans in order, empty ones too", function()
      local near, far = pair()
      assert.equal(6, io.write(near, { "ab", "", "\0c", "de" }))
      assert.equal("ab\0cde", io.read(far))
      assert.equal(0, io.write(near, {}))
      assert.equal(0, io.write(near, { "", "" }))
    end)

    it("falls short where there are more spans than it takes at once", function()
      local near, far = pair()
      local spans = {}
      for place = 1, 1000 do spans[place] = "x" end
      local sent = io.write(near, spans)
      assert.is_true(sent > 1 and sent < 1000)
      assert.equal(("x"):rep(sent), io.read(far))
    end)

    it("falls short when the peer does not read, and then must wait", function()
      for _, spans in ipairs { { ("x"):rep(1 << 23) }, { ("y"):rep(1 << 22), ("z"):rep(1 << 22) } } do
        local near, far = pair()
        local whole = table.concat(spans)
        local sent = io.write(near, spans)
        assert.is_true(sent > 0 and sent < #whole)
        assert.same({ nil, "again", "EAGAIN" }, { io.write(near, { "x" }) })
        assert.is_true(read_all(far, sent) == whole:sub(1, sent))
        assert.equal(1, io.write(near, { "x" }))
      end
    end)

    it("tells of a peer that is gone, without a signal", function()
      for _, spans in ipairs { { "x" }, { "x", "y" } } do
        local near, far = pair()
        close(far)
        assert.same({ nil, "error", "EPIPE" }, { io.write(near, spans) })
      end
    end)

    it("holds back what has more to come, and sends it with the rest", function()
      local held = false
      -- For 200 ms only, so that a busy machine may need another try.
      for _ = 1, 5 do
        local server, client = connection()
        assert.equal(1, io.write(server, { "a" }, true))
        local first, status = io.read(client)
        assert.equal(1, io.write(server, { "b" }))
        assert.is_true(io.ready(client, "r", 5))
        assert.equal("ab", (first or "") .. io.read(client))
        held = held or status == "again"
        if held then break end
      end
      assert.is_true(held)
    end)
  end)

  describe("send_file", function()
    local near, far, file

    local function open(bytes)
      near, far = pair()
      file = keep(assert(io.open(write_file("file", bytes))))
    end

    it("sends from an offset and moves it along", function()
      open("0123456789")
      assert.same({ 4, 7 }, { io.send_file(near, file, 3, 4) })
      assert.equal("3456", io.read(far))
    end)

    it("sends what there is, then tells that the file has ended", function()
      open("0123456789")
      assert.same({ 2, 10 }, { io.send_file(near, file, 8, 100) })
      assert.equal("89", io.read(far))
      assert.equal("closed", select(2, io.send_file(near, file, 10, 100)))
      assert.equal("closed", select(2, io.send_file(near, file, 999, 1)))
    end)

    it("sends nothing when nothing is asked for", function()
      open("0123456789")
      assert.same({ 0, 10 }, { io.send_file(near, file, 10, 0) })
    end)

    it("falls short when the peer does not read, and goes on from there", function()
      local whole = ("0123456789abcdef"):rep(1 << 18)
      open(whole)
      local parts, offset = {}, 0
      local short, waited = false, false
      while offset < #whole do
        local sent, moved = io.send_file(near, file, offset, #whole - offset)
        if sent then
          short = short or sent < #whole - offset
          assert.equal(offset + sent, moved)
          offset = moved
        else
          assert.equal("again", moved)
          waited = true
          assert.is_true(io.ready(far, "r", 5))
          parts[#parts + 1] = assert(io.read(far))
        end
      end
      io.shutdown_write(near)
      for bytes in function() return io.ready(far, "r", 5) and io.read(far) end do
        parts[#parts + 1] = bytes
      end
      assert.is_true(short and waited)
      assert.is_true(table.concat(parts) == whole)
    end)

    it("tells of a peer that is gone", function()
      open("0123456789")
      local server, client = connection()
      close(client, true)
      assert.is_true(io.ready(server, "r", 5))
      assert.equal("error", select(2, io.send_file(server, file, 0, 10)))
    end)

    it("reads files that sendfile does not serve", function()
      open("")
      -- The kernel has no sendfile for this one, nor does it tell its size.
      local odd = keep(assert(io.open("/proc/self/environ")))
      local sent, offset = io.send_file(near, odd, 2, 5)
      assert.same({ 5, 7 }, { sent, offset })
      local plain <close> = assert(_G.io.open("/proc/self/environ", "rb"))
      assert.equal(plain:read("a"):sub(3, 7), io.read(far))
    end)

    it("fails on what cannot be read at an offset", function()
      open("")
      local reader, writer = io.pipe()
      keep(reader)
      keep(writer)
      assert.same({ nil, "error", "ESPIPE" }, { io.send_file(near, reader, 0, 5) })
    end)
  end)

  describe("keep_alive", function()
    it("of a listener holds for what is accepted from it", function()
      local listener = listen("127.0.0.1:0")[1]
      local _, port = io.local_address(listener)
      assert.is_true(io.keep_alive(listener, 77))
      local client = keep(assert(io.connect(port)))
      local accepted = keep((assert(io.accept(listener))))
      assert.equal(77, io.settings(accepted).keepalive)
      assert.equal(0, io.settings(client).keepalive)
    end)

    it("is an error where it cannot be", function()
      assert.same({ nil, "error", "ENOTSOCK" }, { io.keep_alive(0, 1) })
    end)
  end)

  describe("remove_file", function()
    it("leaves the file of a socket that was closed and handed on, until nobody listens", function()
      local path = folder .. "/socket"
      local listener = listen("unix:" .. path)[1]
      local successor = keep(io.duplicate(listener, 0))
      close(listener)
      io.remove_file(path)
      close(keep(assert(io.connect_unix(path))))
      close(successor)
      io.remove_file(path)
      assert.same({ nil, "error", "ENOENT" }, { io.connect_unix(path) })
    end)

    it("leaves what is no socket", function()
      local path = write_file("socket", "do not lose me")
      io.remove_file(path)
      local file <close> = assert(_G.io.open(path))
      assert.equal("do not lose me", file:read "a")
    end)
  end)

  describe("unacknowledged", function()
    -- Writes until no more is taken.
    local function fill(fd)
      local piece = ("x"):rep(65536)
      while io.write(fd, { piece }) do end
    end

    local function drain(fd)
      while io.ready(fd, "r", 0.2) and io.read(fd) do end
    end

    it("goes down when the peer reads, and is 0 when it has taken all", function()
      for _, open in ipairs { pair, connection } do
        local near, far = open()
        assert.equal(0, io.unacknowledged(near))
        fill(near)
        local waiting = io.unacknowledged(near)
        assert.is_true(waiting > 0)
        repeat assert(io.ready(far, "r", 5) and io.read(far)) until io.unacknowledged(near) < waiting
        drain(far)
        assert.equal(0, io.unacknowledged(near))
      end
    end)

    it("is 0 where it cannot be told", function()
      local fd = io.open "/dev/null"
      assert.equal(0, io.unacknowledged(fd))
      io.close(fd)
    end)
  end)

  describe("shutdown_write", function()
    it("ends one direction only", function()
      local near, far = pair()
      io.shutdown_write(near)
      assert.equal("closed", select(2, io.read(far)))
      assert.equal(1, io.write(far, { "x" }))
      assert.equal("x", io.read(near))
    end)
  end)

  describe("close", function()
    it("ends in order, or with a reset", function()
      local server, client = connection()
      close(client)
      assert.is_true(io.ready(server, "r", 5))
      assert.equal("closed", select(2, io.read(server)))
    end)

    it("ignores -1", function()
      io.close(-1)
      io.close(-1, true)
    end)
  end)
end)
