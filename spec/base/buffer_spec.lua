local rooms = require "parlance_spec"

describe("buffer", function()
  local buffer

  before_each(function() buffer = rooms.base.buffer() end)

  after_each(function()
    rooms.session.fail_allocations()
    buffer:close()
  end)

  it("owns no memory while it is empty", function()
    assert.equal(0, buffer:size())
    buffer:append ""
    assert.equal(0, buffer:size())
    buffer:append "abc"
    assert.equal(1024, buffer:size())
    buffer:consume(3)
    assert.equal(0, buffer:size())
    assert.equal("", buffer:bytes())
  end)

  it("gives back what was added, in order", function()
    buffer:append "one,"
    buffer:fill("two\0,", 5000)
    buffer:append "three"
    assert.equal("one,two\0,three", buffer:bytes())
    buffer:consume(4)
    assert.equal("two\0,three", buffer:bytes())
  end)

  it("drops no more than is there", function()
    buffer:append "abc"
    buffer:consume(100)
    buffer:consume(1)
    assert.equal("", buffer:bytes())
  end)

  it("reserves at least the room that was asked for", function()
    assert.is_true(buffer:reserve(1) >= 1)
    assert.is_true(buffer:reserve(100000) >= 100000)
    assert.equal("", buffer:bytes())
    buffer:append(("x"):rep(100))
    assert.is_true(buffer:reserve(200000) >= 200000)
    assert.equal(("x"):rep(100), buffer:bytes())
  end)

  -- Whatever the pace at which bytes come and go; `held` of them wait all the while.
  for _, held in ipairs { 0, 1, 500, 1000, 100000, 255960 } do
    for _, step in ipairs { 1, 50, 1000, 30000 } do
      it(("moves a byte a few times at most: %d wait, %d come and go"):format(held, step), function()
        local added, moved, piece = held, 0, ("x"):rep(step)
        buffer:append(("x"):rep(held))
        for _ = 1, 20000000 // (held + step) // 50 + 100 do
          if held > 0 then buffer:consume(step) end
          local size, before = #buffer:bytes(), buffer:place()
          buffer:append(piece)
          added = added + step
          if size > 0 and buffer:place() ~= before then moved = moved + size end
          if held == 0 then buffer:consume(step) end
        end
        assert.is_true(moved <= 2 * added, ("%d of %d"):format(moved, added))
        assert.is_true(buffer:size() <= 4 * (held + step) + 4096, buffer:size())
      end)
    end
  end

  it("is the same queue as a string", function()
    local model, seed = "", 1
    local function random(n)
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return seed >> 8 & n
    end
    for i = 1, 1000 do
      local bytes = string.char(i & 255):rep(random(1023))
      if random(1) == 0 then
        buffer:append(bytes)
        model = model .. bytes
      elseif random(1) == 0 then
        buffer:fill(bytes, #bytes + random(255))
        model = model .. bytes
      else
        local dropped = random(2047)
        buffer:consume(dropped)
        model = model:sub(dropped + 1)
      end
      assert.is_true(model == buffer:bytes())
    end
  end)

  it("does not grow when it is used as a queue of few bytes", function()
    buffer:append(("x"):rep(500))
    for _ = 1, 1000 do
      buffer:append(("y"):rep(100))
      buffer:consume(100)
    end
    assert.is_true(buffer:size() <= 2048)
    assert.equal(500, #buffer:bytes())
  end)

  it("is unharmed by an allocation that fails", function()
    rooms.session.fail_allocations(1)
    assert.equal("no_memory", select(2, buffer:append "abc"))
    assert.equal(0, buffer:size())
    buffer:append "abc"
    rooms.session.fail_allocations(1)
    assert.equal("no_memory", select(2, buffer:append(("x"):rep(5000))))
    assert.equal("abc", buffer:bytes())
  end)

  it("refuses what no memory can hold", function()
    for _, room in ipairs { math.maxinteger, -1, math.mininteger } do
      assert.equal("no_memory", select(2, buffer:reserve(room)))
    end
    assert.equal("", buffer:bytes())
  end)
end)
