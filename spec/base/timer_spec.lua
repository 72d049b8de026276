local base = require("parlance_spec").base

describe("timer", function()
  local timers

  before_each(function() timers = base.timers() end)
  after_each(function() timers:close() end)

  -- The names of all that are due, in order.
  local function take_all(now)
    local taken = {}
    for name in function() return timers:take(now) end do taken[#taken + 1] = name end
    return taken
  end

  it("has no next time while none is set", function()
    assert.is_nil(timers:next())
    assert.is_nil(timers:take(math.maxinteger))
  end)

  it("is due at its time, and not before", function()
    timers:set(1, 100)
    assert.equal(100, timers:next())
    assert.is_nil(timers:take(99))
    assert.equal(1, timers:take(100))
    assert.is_nil(timers:take(100))
    assert.is_nil(timers:next())
  end)

  it("comes in the order of the times, however they were set", function()
    for _, when in ipairs { 50, 10, 40, 20, 30, 60 } do timers:set(when, when) end
    assert.same({ 10, 20, 30 }, take_all(35))
    assert.equal(40, timers:next())
    assert.same({ 40, 50, 60 }, take_all(1000))
  end)

  it("takes those of one time in the order in which they were set", function()
    local names = {}
    for name = 1, 100 do
      names[name] = name
      timers:set(name, 7)
    end
    assert.same(names, take_all(7))
  end)

  it("takes one that was set anew behind those of its time", function()
    for name = 1, 5 do timers:set(name, 7) end
    timers:set(2, 7)
    timers:set(4, 6)
    timers:set(4, 7)
    timers:cancel(1)
    timers:set(1, 7)
    assert.same({ 3, 5, 2, 4, 1 }, take_all(7))
  end)

  it("moves to a later and to an earlier time", function()
    for name = 1, 9 do timers:set(name, name * 10) end
    timers:set(1, 95)
    timers:set(9, 5)
    assert.same({ 9, 2, 3, 4, 5, 6, 7, 8, 1 }, take_all(100))
  end)

  it("can be set again once it was taken", function()
    timers:set(1, 10)
    assert.equal(1, timers:take(10))
    timers:set(1, 20)
    assert.same({ 1 }, take_all(20))
  end)

  it("is never due once it was cancelled", function()
    for name = 1, 9 do timers:set(name, name) end
    for _, name in ipairs { 9, 1, 5 } do timers:cancel(name) end
    assert.equal(2, timers:next())
    assert.same({ 2, 3, 4, 6, 7, 8 }, take_all(100))
  end)

  it("may be cancelled when it is not set", function()
    timers:set(1, 10)
    timers:cancel(2)
    timers:cancel(1)
    timers:cancel(1)
    assert.is_nil(timers:next())
  end)

  it("holds times before zero and the end of time", function()
    timers:set(1, math.maxinteger)
    timers:set(2, math.mininteger)
    timers:set(3, -1)
    assert.same({ 2, 3 }, take_all(0))
  end)

  it("keeps 100,000 in order, a third moved and a third cancelled", function()
    local seed = 42
    local function random(limit)
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return (seed >> 8) % limit
    end
    local when, order, sets = {}, {}, 0
    local function set(name)
      sets = sets + 1
      when[name], order[name] = random(50000), sets
      timers:set(name, when[name])
    end
    for name = 1, 100000 do set(name) end
    for name = 1, 100000, 3 do set(name) end
    for name = 2, 100000, 3 do
      when[name] = nil
      timers:cancel(name)
    end
    local before, last, count = nil, -1, 0
    for name in function() return timers:take(1000000) end do
      -- Plain comparisons: a hundred thousand asserts take a while.
      if when[name] < last then error(("%d came after %d"):format(when[name], last)) end
      if when[name] == last and order[name] < order[before] then error(("%d came after %d"):format(name, before)) end
      before, last, when[name], count = name, when[name], nil, count + 1
    end
    assert.equal(66667, count)
    assert.is_nil(next(when))
  end)
end)
