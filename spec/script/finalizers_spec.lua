-- Finalizers of the script: they are stopped like calls, and what goes wrong in one is logged.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local CALL_TIMEOUT <const> = 40 -- ms

local PRELUDE <const> = [[
  function forever() while true do end end
  -- Leaves `count` objects behind that have this finalizer.
  function drop(gc, count) for _ = 1, count or 1 do setmetatable({}, { __gc = gc }) end end]]

local function script(options)
  options = options or {}
  options.call_timeout = options.call_timeout or CALL_TIMEOUT
  return conversation.evaluator(PRELUDE, options)
end

local say <const> = conversation.evaluate

describe("a finalizer", function()
  after_each(conversation.clean)

  it("gets its object, and may be called by the script, too", function()
    assert.equal("yes 3 1 x\n", (say(script({ call_timeout = 5000 }), [[
      local got
      local meta = { __gc = function(o, ...) got = o.name return 3, select("#", ...), ... end }
      setmetatable({ name = "yes" }, meta)
      collectgarbage()
      return got .. " " .. table.concat({ meta.__gc({}, "x") }, " ")]])))
  end)

  it("is the same as without the server for all that a script can do with a metatable", function()
    assert.equal("true false true 5 protected cannot change a protected metatable\n", (say(script(), [[
      local meta = { __gc = function() end, __metatable = "protected" }
      local object = setmetatable({}, meta)
      local plain = setmetatable(setmetatable({}, { __index = { five = 5 } }), nil)
      return table.concat({ tostring(getmetatable(setmetatable({}, nil)) == nil), tostring(pcall(setmetatable, 1, {})),
        tostring(not pcall(setmetatable, {})), setmetatable({}, { __index = { five = 5 } }).five,
        getmetatable(object), select(2, pcall(setmetatable, object, nil)) }, " ")]])))
  end)

  for fact, body in pairs {
    ["in a collection of the script's"] = "drop(forever) collectgarbage() return 'got through'",
    ["where memory is taken"] = "drop(forever) while true do local t = {} end",
    ["in pcall"] = "drop(function() while true do pcall(forever) end end) while true do pcall(collectgarbage) end",
    ["a thousand of them"] = "collectgarbage 'stop' drop(forever, 1000) collectgarbage() return 'got through'",
    ["in a coroutine"] = "coroutine.wrap(function() drop(forever) collectgarbage() end)() return 'got through'",
    ["that makes coroutines"] =
      "drop(function() while true do coroutine.wrap(forever)() end end) collectgarbage() return 'got through'",
    ["that is a callable table"] =
      "drop(setmetatable({}, { __call = forever })) collectgarbage() return 'got through'",
    ["that is a function of C"] =
      "setmetatable({}, { __gc = pcall, __call = forever }) collectgarbage() return 'got through'",
    ["set by the debug library"] =
      "debug.setmetatable({}, { __gc = forever }) collectgarbage() return 'got through'",
    ["that raises what is slow to tell"] = [[
      drop(function() error(setmetatable({}, { __tostring = forever })) end)
      collectgarbage() return 'got through']],
    ["of a variable that it closes"] = [[
      drop(function() local a <close> = setmetatable({}, { __close = forever }) error "x" end)
      collectgarbage() return 'got through']],
  } do
    it("without end is stopped with its call: " .. fact, function()
      local service = script()
      local out, log = say(service, body)
      assert.equal("script_overrun\n", out)
      assert.truthy(log:find(" error script_overrun ", 1, true), log)
      local why <const> = 'detail="it took longer than --call-timeout and was stopped"'
      assert.truthy(log:find("finalizer_error service=protocol " .. why, 1, true), log)
      local after, more = say(service, "collectgarbage() return 'fine'")
      assert.equal("fine\n", after, more)
    end)
  end

  it("without end is stopped alone within parlance.atomic, which goes on", function()
    local service = script()
    local out, log = say(service, [[
      atomic(function() drop(forever, 50) collectgarbage() shared.half = 1 collectgarbage() shared.whole = 1 end)
      return "through"]],
      "return shared.whole")
    assert.truthy(({ ["script_overrun\n"] = true, ["through\n1\n"] = true })[out], out)
    assert.truthy(log:find("finalizer_error", 1, true), log)
    assert.equal("1\n", (say(service, "return shared.whole")))
  end)

  it("without end is stopped when the script is closed", function()
    local service = script()
    assert.equal("kept\n", (say(service, [[
      for i = 1, 100 do shared[i] = setmetatable({}, { __gc = forever }) end
      return 'kept']])))
    local began <const> = os.clock()
    rooms.base.capture(function() service:close() end)
    assert.is_true(os.clock() - began < 2)
  end)

  for fact, case in pairs {
    ["a text"] = { "error 'on purpose'", 'detail="request:1: on purpose"' },
    ["a table"] = { "error { code = 5 }", 'detail="a table: { code = 5 }"' },
    ["a text that is made"] = {
      "error(setmetatable({}, { __tostring = function() return 'made' end }))", "detail=made",
    },
    ["a yield"] = {
      "coroutine.yield()",
      'detail="request:1: coroutine.yield works only in a coroutine that the script has made itself"',
    },
  } do
    it("has its errors logged: " .. fact, function()
      local out, log = say(script(), ("drop(function() %s end) collectgarbage() return 'fine'"):format(case[1]))
      assert.equal("fine\n", out)
      assert.truthy(log:find(" warn finalizer_error service=protocol " .. case[2], 1, true), log)
    end)
  end

  it("that fails again and again is logged twenty times a second", function()
    local _, log = say(script(), "drop(error, 500) collectgarbage() return 'fine'")
    assert.is_true(select(2, log:gsub("finalizer_error", "")) <= 40, log)
  end)

  it("leaves nothing behind", function()
    local count <const> = "collectgarbage() collectgarbage() return collectgarbage 'count' * 1024 // 1"
    local service = script { call_timeout = 5000 }
    local function bytes() return tonumber((say(service, count))) end
    say(service, "drop(error, 100) drop(coroutine.yield, 100) collectgarbage() return 1")
    local before <const> = bytes()
    for _ = 1, 20 do say(service, "drop(error, 100) drop(coroutine.yield, 100) collectgarbage() return 1") end
    assert.is_true(bytes() - before < 2000)
  end)
end)

describe("warn", function()
  after_each(conversation.clean)

  it("goes to the log", function()
    local _, log = say(script(), "warn('careful ', 'now') warn '@on' warn(('x'):rep(5000)) return 1")
    assert.truthy(log:find(' warn script service=protocol message="careful now"\n', 1, true), log)
    assert.truthy(log:find(" message=x+\n", 1), log)
    assert.is_nil(log:find("@on", 1, true), log)
  end)
end)
