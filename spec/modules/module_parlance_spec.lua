local conversation = require "support.conversation"
local rooms = require "parlance_spec"

-- What the body returns, and what it logs, without the times.
local function say(body)
  local session <close> = conversation.lines("local parlance = require 'parlance' " .. body):open()
  local log, out = rooms.base.capture(function() return conversation.feed(session, { "\n" }) end)
  return out, (log:gsub("%f[^%c\0]%d+%-%d+%-%d+T[%d:.]+Z ", ""):gsub("^%d+%-%d+%-%d+T[%d:.]+Z ", ""))
end

describe("parlance", function()
  after_each(function()
    conversation.clean()
    rooms.base.log_configure("info", "text")
  end)

  describe("log", function()
    it("writes a message, with or without fields", function()
      local _, log = say [[
        parlance.log("info", "hello")
        parlance.log("warn", "with a field", { answer = 42 })
        parlance.log("error", "", nil)
        return "" ]]
      assert.equal('info script service=protocol message=hello\n'
        .. 'warn script service=protocol message="with a field" answer=42\n'
        .. 'error script service=protocol message=""\n', log)
    end)

    it("shows values of every type, and keys too", function()
      local out, log = say [[
        local value = setmetatable({}, { __tostring = function() return "it self" end })
        for _, v in ipairs { 1, 0.5, true, value, "a\nb", 1 / 0 } do parlance.log("info", v, { [v] = v }) end
        return "ok" ]]
      assert.equal("ok", out)
      for _, wanted in ipairs {
        "message=1 1=1\n", "message=0.5 0.5=0.5\n", "message=true true=true\n",
        'message="it self" "it self"="it self"\n', [[message="a\nb" "a\nb"="a\nb"]], "message=inf inf=inf\n",
      } do
        assert.truthy(log:find(wanted, 1, true), wanted .. log)
      end
    end)

    it("refuses what it does not know", function()
      local out = say [[
        local function try(...) return (select(2, pcall(parlance.log, ...)):gsub(" to '[^']*'", "")) .. "\n" end
        return try("loud", "x") .. try() .. try("info", "x", 5) ]]
      assert.equal("bad argument #1 (the level must be debug, info, warn or error)\n"
        .. "bad argument #1 (string expected, got no value)\n"
        .. "bad argument #3 (table expected, got number)\n", out)
    end)

    it("may be raised in by a value", function()
      local out = say [[
        return tostring((pcall(parlance.log, "info", "x", { a = setmetatable({}, { __tostring = error }) }))) ]]
      assert.equal("false", out)
    end)

    it("writes hostile bytes as one line", function()
      local _, log = say [[
        local all = {}
        for byte = 0, 255 do all[#all + 1] = string.char(byte) end
        all = table.concat(all):rep(50)
        for cut = 1, 40 do parlance.log("info", all:sub(cut), { [all:sub(1, 300)] = all, number = 1 }) end
        return "" ]]
      assert.equal(40, select(2, log:gsub("\n", "")))
    end)

    it("is silent under the level that is set", function()
      local _, log = say [[ parlance.log("debug", "hidden") return "" ]]
      assert.equal("", log)
    end)
  end)

  it("has a clock that goes on, in seconds", function()
    local out = say [[
      local a, b = parlance.now(), parlance.now()
      return tostring(math.type(a) == "float" and b >= a and b - a < 1) ]]
    assert.equal("true", out)
  end)

  it("tells the time as os.time does, with its fraction", function()
    local out = say [[
      local before, time, after = os.time(), parlance.time(), os.time()
      return tostring(math.type(time) == "float" and time >= before and time < after + 2) ]]
    assert.equal("true", out)
  end)

  it("shares a table among the conversations of a script, not with another script", function()
    local body <const> = [[
      local shared = require "parlance".shared
      shared.count = (shared.count or 0) + 1
      return shared.count .. ";"]]
    local one, other = conversation.lines(body), conversation.lines(body)
    assert.equal("1;", conversation.feed(one:open(), { "\n" }))
    assert.equal("2;", conversation.feed(one:open(), { "\n" }))
    assert.equal("1;", conversation.feed(other:open(), { "\n" }))
  end)

  it("tells the version", function()
    assert.truthy(say("return parlance.version"):find "^%d+%.%d+%.%d+$")
  end)
end)
