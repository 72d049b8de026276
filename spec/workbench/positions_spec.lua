-- Which places of a conversation are played where there are too many.

local positions = require "parlance.workbench.positions"
local transcripts = require "parlance.workbench.transcript"

local function gather(iterator)
  local all = {}
  for place in iterator do all[#all + 1] = place end
  return all
end

describe("workbench.positions", function()
  it("are at most 1,024, and fewer where each play is long", function()
    for _, case in ipairs {
      { 0, 0, 1024 }, { 1, 1, 1024 }, { 256 * 1024, 0, 1024 }, { 512 * 1024, 0, 512 }, { 16 * 1024 * 1024, 0, 16 },
      { 1 << 40, 0, 16 }, { 0, 8192, 256 },
    } do
      assert.equal(case[3], positions.most(case[1], case[2]))
    end
  end)

  it("beside ends are those of steps and of lines", function()
    local self = assert(transcripts.read('> "ab\\ncd"\n< "x"\n> "efgh"\n', "t.transcript"))
    assert.same({ 2, 3, 4, 5, 6, 8, 9, 10 }, positions.ends(self))
  end)

  describe("choose", function()
    it("takes all where they are few", function()
      assert.same({ 3, 4, 5 }, positions.choose(3, 5, { 4 }, 3))
      assert.same({}, positions.choose(1, 0, {}, 3))
    end)

    it("takes the first, the last, those beside ends, and others evenly spread, just as many as it may", function()
      assert.same({ 1, 25, 26, 40, 50, 75, 100 }, positions.choose(1, 100, { 25, 40, 200 }, 7))
      local chosen = positions.choose(0, 99999, { 500, 501, 502, 70000 }, 1024)
      assert.equal(1024, #chosen)
      local set, widest = {}, 0
      for i, place in ipairs(chosen) do
        set[place] = true
        widest = math.max(widest, place - (chosen[i - 1] or 0))
      end
      for _, place in ipairs { 0, 500, 501, 502, 70000, 99999 } do assert.is_true(set[place], place) end
      assert.is_true(widest < 110, widest)
    end)

    it("takes half of them beside ends at most, spread over all of those", function()
      local ends = {}
      for place = 1, 50000 do ends[place] = place end
      local chosen = positions.choose(1, 100000, ends, 100)
      assert.equal(100, #chosen)
      local early = 0
      for _, place in ipairs(chosen) do early = early + (place <= 50000 and 1 or 0) end
      assert.is_true(early >= 50 and early < 80, early)
    end)

    it("chooses the same each time", function()
      assert.same(positions.choose(0, 5000, { 17, 4000 }, 1024), positions.choose(0, 5000, { 17, 4000 }, 1024))
    end)
  end)

  it("are gone through in their order, or far apart first", function()
    assert.same({ 1, 2, 3, 4, 5 }, gather(positions.each({ 1, 2, 3, 4, 5 }, true)))
    assert.same({ 1, 5, 3, 2, 4 }, gather(positions.each({ 1, 2, 3, 4, 5 }, false)))
    assert.same({}, gather(positions.each({}, false)))
    assert.same({ 7 }, gather(positions.each({ 7 }, false)))
  end)
end)
