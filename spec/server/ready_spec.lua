local rooms = require "parlance_spec"

describe("ready", function()
  local queue

  before_each(function() queue = rooms.server.ready() end)

  local function add(...)
    for _, name in ipairs { ... } do queue:add(name) end
  end

  local function take_all()
    local taken = {}
    for name in function() return queue:take() end do taken[#taken + 1] = name end
    return taken
  end

  it("has nothing at first", function()
    assert.is_nil(queue:take())
    assert.equal(0, queue:count())
  end)

  it("gives them out in the order in which they came", function()
    add(3, 1, 2)
    assert.equal(3, queue:count())
    assert.same({ 3, 1, 2 }, take_all())
    assert.equal(0, queue:count())
  end)

  it("keeps the place of one that is there already", function()
    add(1, 2, 1)
    assert.equal(2, queue:count())
    assert.same({ 1, 2 }, take_all())
  end)

  it("takes one that was taken out again, at the end", function()
    add(1, 2)
    assert.equal(1, queue:take())
    add(1)
    assert.same({ 2, 1 }, take_all())
  end)

  it("forgets those that are removed, from every place", function()
    add(1, 2, 3, 4, 5)
    for _, name in ipairs { 1, 3, 5, 9 } do queue:remove(name) end
    queue:remove(3)
    assert.equal(2, queue:count())
    assert.same({ 2, 4 }, take_all())
    add(3)
    queue:remove(3)
    assert.is_nil(queue:take())
  end)
end)
