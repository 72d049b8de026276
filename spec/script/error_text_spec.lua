-- What an error value says in a message.
local conversation = require "support.conversation"

local function refusal(text)
  local script, why = conversation.load(text)
  assert.is_nil(script)
  return (why:gsub("^.-protocol%.lua", "PATH"))
end

describe("an error", function()
  after_each(conversation.clean)

  for text, wanted in pairs {
    ["error 'a text'"] = "PATH:1: a text",
    ["error('a text', 0)"] = "PATH: a text",
    ["error 'two\\nlines'"] = "PATH:1: two\nlines",
    ["error { code = 5 }"] = "PATH: a table: { code = 5 }",
    ["error { why = 'it\\nis', code = 5, ok = false, at = 1.5, who = {}, f = print }"] =
      "PATH: a table: { at = 1.5, code = 5, f = (function), ok = false, who = (table), why = \"it\\nis\" }",
    ["error { text = ('x'):rep(101) }"] = 'PATH: a table: { text = "' .. ("x"):rep(100) .. '..." }',
    ["error(setmetatable({ code = 5 }, { __tostring = function() return 'it says so' end }))"] = "PATH: it says so",
    ["error(setmetatable({ code = 5 }, { __index = error, __pairs = error, __name = 'x' }))"] =
      "PATH: a table: { code = 5 }",
    ["error(5)"] = "PATH: 5",
    ["error(nil)"] = "PATH: nil",
    ["error(true)"] = "PATH: true",
    ["local x = nil; x()"] = "PATH:1: attempt to call a nil value (local 'x')",
    ["error ' a nil value ('"] = "PATH:1:  a nil value (",
    ["error \" a nil value (field 'x\""] = "PATH:1:  a nil value (field 'x",
  } do
    it("is told: " .. text, function() assert.equal(wanted, refusal(text)) end)
  end

  it("of a table shows eight of its fields at most", function()
    local why = refusal "local t = {} for i = 1, 30 do t['f' .. i] = i end error(t)"
    local _, count = why:gsub("f%d+ = %d+", "")
    assert.equal(8, count)
    assert.truthy(why:find ", %.%.%. }$", why)
  end)

  it("of a table without names keeps what Lua says", function()
    assert.truthy(refusal("error {}"):find "^PATH: table: 0x")
    assert.truthy(refusal("error { 1, 2 }"):find "^PATH: table: 0x")
  end)
end)
