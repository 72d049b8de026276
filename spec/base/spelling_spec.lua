-- The name that may be meant by one that is not known.
local base <const> = require("parlance_spec").base

local NAMES <const> = { "delimited", "fixed", "http", "length_line", "line", "netstring", "prefixed", "resp" }

describe("spelling", function()
  it("finds the name that is nearest", function()
    for wrong, right in pairs {
      lines = "line", lin = "line", ilne = "line", Line = "line", htttp = "http", lenght_line = "length_line",
      lengthLine = "length_line", ["length-line"] = "length_line", net_string = "netstring", delimiter = "delimited",
      prefix = "prefixed", fixd = "fixed", res = "resp",
    } do
      assert.equal(right, base.spelling_nearest(wrong, NAMES), wrong)
    end
  end)

  it("finds none where none is near", function()
    for _, name in ipairs { "", "x", "either", "port", "websocket", ("line"):rep(10) } do
      assert.is_nil(base.spelling_nearest(name, NAMES), name)
    end
    assert.is_nil(base.spelling_nearest("line", {}))
  end)

  it("wants short names to be exact but for their style", function()
    assert.is_nil(base.spelling_nearest("lo", { "lu" }))
    assert.equal("lu", base.spelling_nearest("LU", { "lu" }))
  end)

  it("takes the first of two that are as near", function()
    assert.equal("abcd1", base.spelling_nearest("abcd3", { "abcd1", "abcd2" }))
    assert.equal("abcd2", base.spelling_nearest("abcd3", { "abcd2", "abcd1" }))
  end)
end)
