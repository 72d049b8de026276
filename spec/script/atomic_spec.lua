-- parlance.atomic and parlance.memory: what must be whole, and what is left of the memory.
local conversation = require "support.conversation"

local CALL_TIMEOUT <const> = 40 -- ms
local LIMIT <const> = 2 * 1024 * 1024

local PRELUDE <const> = [[
  function overrun() while true do end end
  -- Uses the processor for so many times the time limit of a call.
  function work(limits)
    local start = os.clock()
    while os.clock() - start < limits * 0.04 do end
  end]]

local function script(options)
  options = options or {}
  options.call_timeout = options.call_timeout or CALL_TIMEOUT
  return conversation.evaluator(PRELUDE, options)
end

local say <const> = conversation.evaluate

describe("parlance.atomic", function()
  after_each(conversation.clean)

  it("passes arguments and results, nil among them", function()
    assert.equal("3 nil 2 nil\n", (say(script(), [[
      local a, b, c, d = atomic(function(...) return select("#", ...), nil, select(2, ...), nil end, nil, 2, nil)
      return ("%s %s %s %s"):format(a, b, c, d)]])))
    assert.equal("0\n", (say(script(), "return select('#', atomic(function() end))")))
  end)

  for fact, case in pairs {
    ["a text"] = { "return select(2, pcall(atomic, error, 'on purpose', 0))", "on purpose" },
    ["any value"] = { "local e = {} return select(2, pcall(atomic, error, e)) == e", "true" },
    ["nil"] = { "return select('#', pcall(atomic, error))", "2" },
    ["what is no function"] = { "return pcall(atomic, 5)", "false" },
    ["nothing at all"] = {
      "return select(2, pcall(atomic))", "bad argument #1 to 'parlance.atomic' %(value expected%)",
    },
  } do
    it("passes an error through: " .. fact, function()
      assert.truthy(say(script(), case[1]):match("^" .. case[2] .. "\n$"))
    end)
  end

  it("is not stopped by the time limit, and is logged with its place", function()
    local out, log = say(script(), "return atomic(function(a) work(4) return a end, 'whole')")
    assert.equal("whole\n", out)
    local place, ms = log:match " warn atomic service=protocol place=\"(request:1: run)\" ms=(%d+) "
    assert.truthy(place, log)
    assert.is_true(tonumber(ms) > CALL_TIMEOUT)
  end)

  it("is not stopped in pcall, in coroutines and in another atomic", function()
    local out = say(script(), [[
      return atomic(function()
        pcall(work, 2)
        coroutine.wrap(function() work(2) coroutine.yield() end)()
        atomic(work, 2)
        work(2)
        return "whole"
      end)]])
    assert.equal("whole\n", out)
  end)

  it("does not count for the limit of its call", function()
    local out, log = say(script(), "atomic(work, 3) work(0.5) atomic(work, 3) return 'through'")
    assert.equal("through\n", out)
    assert.is_nil(log:find("script_overrun", 1, true))
  end)

  for fact, body in pairs {
    ["behind it"] = "atomic(work, 2) overrun()",
    ["behind one that failed"] = "pcall(atomic, error) overrun()",
    ["behind one in a coroutine that failed"] = "coroutine.resume(coroutine.create(atomic), error) overrun()",
    ["between many of them"] = "while true do atomic(function() end) end",
  } do
    it("leaves the limit for the rest of the call: " .. fact, function()
      local service = script()
      local out, log = say(service, body)
      assert.equal("script_overrun\n", out)
      assert.truthy(log:find(" error script_overrun ", 1, true), log)
      assert.equal("fine\n", (say(service, "return 'fine'")))
    end)
  end

  it("cannot be left by a yield", function()
    assert.equal("false\n", (say(script(), [[
      local co = coroutine.create(function() return pcall(atomic, coroutine.yield) end)
      return select(2, coroutine.resume(co))]])))
  end)

  describe("under a memory limit", function()
    -- Takes memory until that fails, and keeps all but a few small pieces of it.
    local FILL <const> = [[
      shared.held = shared.held or {}
      local held = shared.held
      pcall(function() while true do held[#held + 1] = ("x"):rep(1000) .. #held end end)
      for _ = 1, 40 do table.remove(held) end
      return #held > 1000]]

    local function full() return script { memory_limit = LIMIT, call_timeout = 5000 } end

    it("may use the reserve", function()
      local service = full()
      local out = say(service, FILL, [[return pcall(string.rep, "y", 100000)]],
        [[return #atomic(string.rep, "y", 100000)]], [[return pcall(string.rep, "z", 100000)]])
      assert.equal("true\nfalse\n100000\nfalse\n", out)
    end)

    it("has no more than the reserve", function()
      assert.equal("false\n", (say(full(), [[return pcall(atomic, string.rep, "y", 3 << 20)]])))
    end)

    it("leaves the script within reach when what it has taken of the reserve stays", function()
      local service = full()
      local out = say(service, [[
        hoard = {}
        return pcall(atomic, function() while true do hoard[#hoard + 1] = ("y"):rep(100) .. #hoard end end)]],
        "local used, limit = memory() return used > limit")
      assert.equal("false\ntrue\n", out)
      -- On a connection that comes only now.
      assert.equal("there\n", (say(service, "return 'there'")))
    end)

    it("has an end of that, too: calls that keep all that they can get come to it", function()
      local service = full()
      local more <const> = [[
        hoard = hoard or {}
        pcall(atomic, function() while true do hoard[#hoard + 1] = ("y"):rep(100) .. #hoard end end)
        pcall(function() while true do hoard[#hoard + 1] = ("y"):rep(100) .. #hoard end end)
        return memory()]]
      local most = 0
      for _ = 1, 5 do most = math.max(most, tonumber((say(service, more))) or 0) end
      assert.is_true(most > LIMIT and most < LIMIT + (256 + 64) * 1024, most)
    end)

    it("lets go of what it has taken of the reserve", function()
      local service = full()
      say(service, [[
        hoard = {}
        return pcall(atomic, function() while true do hoard[#hoard + 1] = ("y"):rep(100) .. #hoard end end)]])
      assert.equal("let go\n", (say(service, "atomic(function() hoard = nil end) collectgarbage() return 'let go'")))
      assert.equal("100000\nfalse\n", (say(service, "return #('y'):rep(100000)",
        "collectgarbage() local used, limit = memory() return used > limit")))
    end)

    it("gives the reserve back when it fails", function()
      local out = say(full(), FILL, "pcall(atomic, error) return pcall(string.rep, 'y', 100000)")
      assert.equal("true\nfalse\n", out)
    end)
  end)
end)

describe("parlance.memory", function()
  after_each(conversation.clean)

  it("tells what is used and what may be", function()
    local out = say(script { memory_limit = LIMIT }, [[
      collectgarbage "stop"
      local used, limit = memory()
      local more = ("x"):rep(100000)
      local taken = memory() - used
      collectgarbage "restart"
      return taken >= #more and used < limit and math.abs(memory() - collectgarbage "count" * 1024) < 1000 and limit]])
    assert.equal(("%d\n"):format(LIMIT), out)
  end)

  it("tells no limit where there is none", function()
    assert.equal("1\n", (say(script(), "return select('#', memory())")))
  end)
end)
