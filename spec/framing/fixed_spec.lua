local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.fixed", function()
  local fixed <const> = framing.fixed { size = 4 }

  it("is complete with its size", function()
    assert.are.same({ answer = "complete", length = 4, payload = "a\0\nd", seen = 0 }, feed(fixed, "a\0\nd"))
  end)

  it("finds two requests one after the other", function()
    local bytes <const> = "abcdefgh"
    local first = feed(fixed, bytes)
    assert.are.equal("abcd", first.payload)
    assert.are.equal("efgh", feed(fixed, bytes:sub(first.length + 1)).payload)
  end)

  it("asks for the whole of it until then", function()
    for _, bytes in ipairs { "", "a", "abc" } do
      assert.are.same({ answer = "partial", length = 4, seen = #bytes }, feed(fixed, bytes))
    end
  end)

  it("may be a single byte", function()
    assert.are.equal("a", feed(framing.fixed { size = 1 }, "ab").payload)
  end)

  it("may be larger than any memory", function()
    assert.are.equal(math.maxinteger, feed(framing.fixed { size = math.maxinteger }, "ab").length)
  end)
end)
