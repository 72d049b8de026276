-- parlance.settings, and the field `settings` of a protocol, which documents them.
local conversation = require "support.conversation"

-- A protocol that answers with what the body returns, and documents `field`.
local function script(body, field, settings)
  return conversation.load(([[
    local settings = require("parlance").settings
    local function try(f, ...) return tostring(select(2, pcall(f, ...))) end
    return {
      close_when_done = false,
      settings = %s,
      request_complete = require("parlance.framing").line { max = 100 },
      make_response = function(self) %s end,
    }]]):format(field or "nil", body), { settings = settings })
end

local function answer(body, settings, field)
  local session <close> = assert(script(body, field, settings)):open()
  return conversation.feed(session, { "\n" })
end

describe("parlance.settings", function()
  after_each(conversation.clean)

  it("has what was given, as strings", function()
    assert.equal("/srv string", answer("return settings.root .. ' ' .. type(settings.limit)",
      { root = "/srv", limit = "5" }))
    assert.equal("a\0b=c\n", answer("return settings.x", { x = "a\0b=c\n" }))
    assert.equal("<>", answer("return '<' .. settings.x .. '>'", { x = "" }))
  end)

  it("has nil for what was not given", function()
    assert.equal("nil", answer("return tostring(settings.root)"))
    assert.equal("nil", answer("return tostring(settings[1]) ", { root = "/" }))
  end)

  it("is a table that pairs goes through", function()
    assert.equal("table a=1 b=2 ", answer([[
      local list = {}
      for name, value in pairs(settings) do list[#list + 1] = name .. "=" .. value .. " " end
      table.sort(list)
      return type(settings) .. " " .. table.concat(list)]], { a = "1", b = "2" }))
    assert.equal("0", answer "local n = 0 for _ in pairs(settings) do n = n + 1 end return tostring(n)")
  end)

  it("cannot be changed", function()
    local wanted = "parlance.settings cannot be changed; a setting is given with --set"
    for _, statement in ipairs { "settings.root = 'x'", "settings.other = 'x'", "settings[1] = 1" } do
      local said = answer(("return try(function() %s end) .. '\\n' .. settings.root"):format(statement), { root = "/" })
      assert.equal("/", said:match "\n(.*)")
      assert.truthy(said:find(wanted, 1, true), said)
    end
    assert.truthy(answer("return try(setmetatable, settings, nil)"):find("protected metatable", 1, true))
  end)

  it("is seen by modules beside the script", function()
    local session <close> = conversation.script([[
      local m = require "m"
      return { request_complete = require("parlance.framing").line {}, make_response = function() return m.root end }]],
      { settings = { root = "/srv" } }, { ["m.lua"] = "return { root = require('parlance').settings.root }" }):open()
    assert.equal("/srv", conversation.feed(session, { "\n" }))
  end)
end)

describe("the field `settings`", function()
  after_each(conversation.clean)

  local function warnings(field, given)
    local log = conversation.capture(function() assert(script("return ''", field, given)) end)
    return (log:gsub("%S+ ", "", 1))
  end

  it("may document what is given", function()
    assert.equal("", warnings("{ root = 'the folder' }", { root = "/" }))
    assert.equal("", warnings "{ root = 'the folder' }")
    assert.equal("", warnings "{}")
  end)

  it("has its absence warned of for a setting that is given, and a near name suggested", function()
    assert.equal("warn unknown_setting service=protocol setting=rot meant=root\n",
      warnings("{ root = 'the folder', port = 'of the other' }", { rot = "/" }))
    assert.equal("warn unknown_setting service=protocol setting=spool\n",
      warnings("{ root = 'the folder' }", { spool = "/", root = "/" }))
    assert.equal("warn unknown_setting service=protocol setting=root\n", warnings("{}", { root = "/" }))
    assert.equal("warn unknown_setting service=protocol setting=root\n", warnings("nil", { root = "/" }))
  end)

  for field, wanted in pairs {
    ["5"] = "settings is number (5), not a table: name = \"what it is\"",
    ["'root'"] = "settings is string (root), not a table: name = \"what it is\"",
    ["true"] = "settings is boolean (true), not a table: name = \"what it is\"",
    ["{ 'root' }"] = "settings holds [1]; its keys must be the names of settings",
    ["{ [true] = 'x' }"] = "settings holds [true]; its keys must be the names of settings",
    ["{ root = true }"] = "settings.root is boolean, not a line of text that says what it is",
    ["{ root = {} }"] = "settings.root is table, not a line of text that says what it is",
    ["{ root = 5 }"] = "settings.root is number, not a line of text that says what it is",
    ["{ root = 'a\\nb' }"] = "settings.root is not one line of text",
    ["{ root = 'a\\0b' }"] = "settings.root is not one line of text",
    ["{ ['ro ot'] = 'x' }"] = "settings has \"ro ot\", which is no name: it must have letters, digits and \"_\", "
      .. "and no digit first",
    ["{ [''] = 'x' }"] = "settings has \"\", which is no name: it must have letters, digits and \"_\", "
      .. "and no digit first",
    ["(function() local all = {} for i = 1, 101 do all['s' .. i] = 'x' end return all end)()"] =
      "settings has more than 100 names",
  } do
    it("is refused when it is " .. field, function()
      local loaded, why = script("return ''", field)
      assert.is_nil(loaded)
      assert.equal("PATH: " .. wanted, (why:gsub("^.-protocol%.lua", "PATH")))
    end)
  end
end)
