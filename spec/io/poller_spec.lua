local spec = require "parlance_spec"
local io = spec.io

-- Every descriptor that a test opens, closed when it is over.
local opened

local function keep(...)
  for _, fd in ipairs { ... } do opened[#opened + 1] = fd end
  return ...
end

local function close(fd)
  for place, other in ipairs(opened) do
    if other == fd then table.remove(opened, place) end
  end
  io.close(fd)
end

-- The poller's answer for one owner.
local function event_of(events, owner)
  for _, event in ipairs(events) do
    if event.owner == owner then return event end
  end
end

for _, name in ipairs { "epoll", "select" } do
  describe("poller " .. name, function()
    local poller, before

    before_each(function()
      opened = {}
      before = spec.process.descriptors()
      poller = assert(io.poller(name))
    end)

    after_each(function()
      poller:close()
      for _, fd in ipairs(opened) do io.close(fd) end
      assert.equal(before, spec.process.descriptors())
    end)

    local function watched_pair(interest, owner)
      local near, far = keep(io.pair())
      assert(poller:add(near, interest, owner))
      return near, far
    end

    it("tells its name", function()
      assert.equal(name, poller:name())
    end)

    it("reports nothing where there is nothing to read, when the time is up", function()
      watched_pair("r", 1)
      local start = spec.process.now()
      assert.same({}, poller:wait(60))
      assert.is_true(spec.process.now() - start >= 0.05)
    end)

    it("does not wait with a time of 0", function()
      watched_pair("r", 1)
      assert.same({}, poller:wait(0))
    end)

    it("waits without a descriptor", function()
      assert.same({}, poller:wait(1))
    end)

    it("reports what can be read, by its owner", function()
      local _, far = watched_pair("r", 7)
      watched_pair("r", 8)
      io.write(far, { "x" })
      assert.same({ { owner = 7, read = true, write = false, gone = false } }, poller:wait(5000))
    end)

    it("reports by level: again, until it has been read", function()
      local near, far = watched_pair("r", 1)
      io.write(far, { "xy" })
      for _ = 1, 3 do assert.equal(1, #poller:wait(5000)) end
      io.read(near, 1)
      assert.equal(1, #poller:wait(5000))
      io.read(near, 1)
      assert.same({}, poller:wait(0))
    end)

    it("reports what can be written only to those who ask", function()
      local near = watched_pair("r", 1)
      assert.same({}, poller:wait(0))
      assert(poller:change(near, "rw"))
      assert.same({ { owner = 1, read = false, write = true, gone = false } }, poller:wait(5000))
      assert(poller:change(near, "r"))
      assert.same({}, poller:wait(0))
    end)

    it("does not report a full peer as writable", function()
      local near, far = watched_pair("w", 1)
      repeat until not io.write(near, { ("x"):rep(65536) })
      assert.same({}, poller:wait(0))
      while io.read(far) do end
      assert.is_true(event_of(poller:wait(5000), 1).write)
    end)

    it("reports both at once", function()
      local _, far = watched_pair("rw", 1)
      io.write(far, { "x" })
      local event = event_of(poller:wait(5000), 1)
      assert.is_true(event.read and event.write)
    end)

    it("does not report one that asks for nothing", function()
      local near, far = watched_pair("", 1)
      io.write(far, { "x" })
      assert.same({}, poller:wait(0))
      assert(poller:change(near, "r"))
      assert.equal(1, #poller:wait(5000))
    end)

    it("reports what is not asked for any more only when it is asked for again", function()
      local near, far = watched_pair("r", 1)
      assert(poller:change(near, ""))
      io.write(far, { "x" })
      for _ = 1, 3 do assert.same({}, poller:wait(0)) end
      assert(poller:change(near, "r"))
      assert.same({ { owner = 1, read = true, write = false, gone = false } }, poller:wait(5000))
      assert(poller:change(near, "w"))
      assert.same({ { owner = 1, read = false, write = true, gone = false } }, poller:wait(5000))
    end)

    describe("when the peer is gone", function()
      it("reports a socket as readable and writable", function()
        local _, far = watched_pair("rw", 1)
        close(far)
        local event = event_of(poller:wait(5000), 1)
        assert.is_true(event.read and event.write)
      end)

      it("reports a socket as no more than it asked for", function()
        local _, far = watched_pair("r", 1)
        close(far)
        local event = event_of(poller:wait(5000), 1)
        assert.is_true(event.read)
        assert.is_false(event.write)
      end)

      it("reports a half-closed socket as readable, and not as gone", function()
        local _, far = watched_pair("r", 1)
        io.shutdown_write(far)
        local event = event_of(poller:wait(5000), 1)
        assert.is_true(event.read)
        assert.is_false(event.gone)
      end)

      it("reports a pipe without a writer as readable", function()
        local reader, writer = keep(io.pipe())
        assert(poller:add(reader, "r", 1))
        close(writer)
        assert.is_true(event_of(poller:wait(5000), 1).read)
      end)

      it("reports a pipe without a reader as writable", function()
        local reader, writer = keep(io.pipe())
        assert(poller:add(writer, "w", 1))
        close(reader)
        assert.is_true(event_of(poller:wait(5000), 1).write)
      end)

      it("reports a reset connection as readable and writable", function()
        local listener = keep(io.listen("127.0.0.1:0")[1])
        local _, port = io.local_address(listener)
        local client = keep(io.connect(port))
        local server = keep((io.accept(listener)))
        assert(poller:add(server, "rw", 1))
        for place, fd in ipairs(opened) do
          if fd == client then table.remove(opened, place) end
        end
        io.close(client, true)
        -- Writable it was before; readable is what the reset makes it.
        local deadline = spec.process.now() + 5
        local event
        repeat
          event = event_of(poller:wait(5000), 1)
        until event.read or spec.process.now() > deadline
        assert.is_true(event.read and event.write)
      end)
    end)

    it("never reports a descriptor that was removed", function()
      local near, far = watched_pair("rw", 1)
      io.write(far, { "x" })
      poller:remove(near)
      assert.same({}, poller:wait(0))
    end)

    it("takes a removed descriptor's number again, for another owner", function()
      local near, far = watched_pair("r", 1)
      io.write(far, { "x" })
      poller:remove(near)
      assert(poller:add(near, "r", 2))
      assert.equal(2, poller:wait(5000)[1].owner)
    end)

    it("goes on after the highest descriptor was removed", function()
      local _, far = watched_pair("r", 1)
      local highest = watched_pair("r", 2)
      poller:remove(highest)
      io.write(far, { "x" })
      assert.equal(1, poller:wait(5000)[1].owner)
    end)

    it("ignores the removal of what it does not know", function()
      poller:remove(0)
      poller:remove(-1)
      poller:remove(100000)
    end)

    it("refuses what is watched already, not watched, or not open", function()
      local near = watched_pair("r", 1)
      assert.same({ nil, "error", "EEXIST" }, { poller:add(near, "r", 1) })
      local other, closed = keep(io.pair())
      assert.same({ nil, "error", "ENOENT" }, { poller:change(other, "r") })
      close(closed)
      assert.same({ nil, "error", "EBADF" }, { poller:add(closed, "r", 1) })
      assert.same({ nil, "error", "EBADF" }, { poller:add(-1, "r", 1) })
      assert.same({}, poller:wait(0))
    end)

    it("starves nobody when fewer fit than are ready", function()
      for owner = 1, 20 do
        local _, far = watched_pair("r", owner)
        io.write(far, { "x" })
      end
      for _, capacity in ipairs { 1, 3, 7 } do
        local times = {}
        for _ = 1, 60 // capacity do
          local events = poller:wait(5000, capacity)
          assert.equal(capacity, #events)
          for _, event in ipairs(events) do times[event.owner] = (times[event.owner] or 0) + 1 end
        end
        for owner = 1, 20 do assert.is_true((times[owner] or 0) >= 2, owner .. " starved") end
      end
    end)

    it("ends the wait at a signal, with no events", function()
      watched_pair("r", 1)
      finally(function() io.alarm(0) end)
      io.alarm(20)
      local start = spec.process.now()
      assert.same({}, poller:wait(20000))
      assert.is_true(spec.process.now() - start < 10)
    end)

    it("holds hundreds of descriptors", function()
      local far_ends = {}
      for owner = 1, 200 do far_ends[owner] = select(2, watched_pair("r", owner)) end
      for owner = 2, 200, 2 do io.write(far_ends[owner], { "x" }) end
      local events = poller:wait(5000)
      assert.equal(100, #events)
      for _, event in ipairs(events) do assert.equal(0, event.owner % 2) end
    end)
  end)
end

describe("poller_create", function()
  it("refuses a name that it does not know", function()
    assert.same({ nil, "error", "EINVAL" }, { io.poller("kqueue") })
  end)
end)

describe("poller select", function()
  before_each(function() opened = {} end)
  after_each(function()
    for _, fd in ipairs(opened) do io.close(fd) end
  end)

  it("refuses a descriptor from FD_SETSIZE on, and goes on with the others", function()
    local poller <close> = assert(io.poller("select"))
    local limit <const> = 1024
    local near, far = keep(io.pair())
    local low = keep(assert(io.duplicate(near, limit - 1)))
    local high = keep(assert(io.duplicate(near, limit)))
    assert.equal("full", select(2, poller:add(high, "r", 1)))
    assert.same({ nil, "error", "ENOENT" }, { poller:change(high, "w") })
    poller:remove(high)
    if low == limit - 1 then assert(poller:add(low, "r", 2)) end
    assert(poller:add(near, "r", 3))
    io.write(far, { "x" })
    assert.is_true(event_of(poller:wait(5000), 3).read)
    assert.equal(low == limit - 1, event_of(poller:wait(5000), 2) ~= nil)
  end)
end)

describe("poller epoll", function()
  before_each(function() opened = {} end)
  after_each(function()
    for _, fd in ipairs(opened) do io.close(fd) end
  end)

  it("holds a descriptor of any number", function()
    local poller <close> = assert(io.poller("epoll"))
    local near, far = keep(io.pair())
    local high = keep(assert(io.duplicate(near, 1024)))
    assert(poller:add(high, "r", 1))
    io.write(far, { "x" })
    assert.equal(1, poller:wait(5000)[1].owner)
  end)

  it("tells that the peer has stopped sending where that was asked for, also behind unread bytes", function()
    local poller <close> = assert(io.poller "epoll")
    local near, far = keep(io.pair())
    assert(poller:add(near, "e", 1))
    io.write(far, { "bytes" })
    assert.same({}, poller:wait(0))
    io.shutdown_write(far)
    assert.same({ { owner = 1, read = false, write = false, gone = false, ended = true } }, poller:wait(5000))
  end)

  it("tells that the peer is gone even where nothing was asked for", function()
    local poller <close> = assert(io.poller("epoll"))
    local near, far = keep(io.pair())
    assert(poller:add(near, "", 1))
    close(far)
    assert.same({ { owner = 1, read = false, write = false, gone = true } }, poller:wait(5000))
  end)
end)
