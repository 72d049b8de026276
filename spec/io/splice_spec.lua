-- Bytes that the kernel moves from one socket to another.

local io = require("parlance_spec").io

describe("splice", function()
  local opened, before, way, limit

  local function pair()
    local near, far = io.pair()
    opened[#opened + 1], opened[#opened + 2] = near, far
    return near, far
  end

  local function connection()
    local listener = assert(io.listen("127.0.0.1:0"))[1]
    local _, port = io.local_address(listener)
    local client = assert(io.connect(port))
    local accepted = assert(io.accept(listener))
    io.close(listener)
    opened[#opened + 1], opened[#opened + 2] = client, accepted
    return client, accepted
  end

  local function count_open()
    local count = 0
    for fd = 0, 255 do if io.is_open(fd) then count = count + 1 end end
    return count
  end

  -- `count` bytes of a pattern, behind the first `from`.
  local function pattern(from, count)
    return ("0123456789abcdef"):rep(count // 16 + 2):sub(from % 16 + 1, from % 16 + count)
  end

  -- Writes the pattern, of which `had` bytes are written, until the socket takes no more. Returns how many are now.
  local function fill(fd, had)
    while true do
      local sent = io.write(fd, { pattern(had, 65536) })
      had = had + (sent or 0)
      if not sent or sent < 65536 then return had end
    end
  end

  before_each(function()
    opened, before = {}, count_open()
    way = io.splice()
  end)
  after_each(function()
    if limit then io.limit_descriptors(limit) end
    limit = nil
    way:close()
    for _, fd in ipairs(opened) do io.close(fd) end
    assert.equal(before, count_open())
  end)

  for kind, open in pairs { ["Unix sockets"] = pair, ["TCP sockets"] = connection } do
    for _, has_pipes in ipairs { true, false } do
      describe(("between %s, %s"):format(kind, has_pipes and "with pipes" or "without a descriptor for one"), function()
        local source, from, to, sink

        before_each(function()
          source, from = open()
          to, sink = open()
          if not has_pipes then limit = assert(io.limit_descriptors(3)) end
        end)

        it("moves what is there", function()
          io.write(source, { "hello" })
          assert.same({ "again", 5 }, { way:move(from, to, 1 << 20) })
          assert.equal("hello", io.read(sink))
          assert.same({ "again", 0 }, { way:move(from, to, 1 << 20) })
          assert.same({ 0, false, has_pipes and 1 or 0 }, { way:state() })
        end)

        it("tells the end behind all bytes", function()
          io.write(source, { "hello" })
          io.shutdown_write(source)
          local status, moved
          repeat
            status, moved = way:move(from, to, 1 << 20)
          until status == "closed" or moved == 0
          assert.equal("closed", status)
          assert.equal("hello", io.read(sink))
          assert.same({ "closed", 0 }, { way:move(from, to, 1 << 20) })
        end)

        it("is blocked while the other side takes nothing, and loses nothing", function()
          local sent, moved, got = 0, 0, 0
          repeat
            sent = fill(source, sent)
            local status, count = way:move(from, to, 1 << 20)
            moved = moved + count
          until status == "again" and select(2, way:state())
          repeat
            local status, count = way:move(from, to, 1 << 20)
            moved = moved + count
            local bytes = io.read(sink, 1 << 20)
            if bytes then
              assert.is_true(bytes == pattern(got, #bytes))
              got = got + #bytes
            end
            assert.is_truthy(status == "again" or status == "ok")
          until got == sent
          assert.equal(sent, moved)
          assert.same({ 0, false, has_pipes and 1 or 0 }, { way:state() })
        end)

        it("moves no more than its budget and a piece", function()
          fill(source, 0)
          local status, moved = way:move(from, to, 1)
          assert.is_truthy(status == "ok" or status == "again")
          assert.is_true(moved <= 512 * 1024)
        end)
      end)
    end
  end

  it("tells that a side is broken", function()
    local source, from = connection()
    local to = connection()
    io.close(source, true)
    table.remove(opened, 1)
    local status
    repeat status = way:move(from, to, 1) until status ~= "again"
    assert.equal("error", status)
  end)

  it("drops what a blocked way holds at its end", function()
    local source, from = pair()
    local to = pair()
    repeat
      fill(source, 0)
      way:move(from, to, 1 << 20)
    until select(2, way:state())
    way:close()
    assert.equal(0, (way:state()))
  end)
end)
