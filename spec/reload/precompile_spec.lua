-- The files of a new version are read and compiled on a thread before the version is made.
local conversation = require "support.conversation"
local editable = require "support.editable"
local rooms = require "parlance_spec"

local open, version = editable.open, editable.version

local LINES <const> = 200

-- So many lines of Lua.
local function filler(lines)
  local all = {}
  for i = 1, lines or LINES do all[i] = ("do local name%d = function(a) return a + %d end end"):format(i, i) end
  return table.concat(all, "\n")
end

local function long(name, body, more)
  return version(name, body, (more or "") .. "\n" .. filler())
end

local function ask(session, line)
  return conversation.feed(session, { line .. "\n" })
end

describe("a new version that is compiled on a thread", function()
  before_each(function() rooms.base.log_configure("info", "text") end)
  after_each(conversation.clean)

  -- Reloads; `between()` is called once, when the thread has finished, and before the version is made. Returns what
  -- came of it and the log.
  local function reload(tell, between)
    local calls = 0
    local outcome, log = tell("reload", false, 1000, function()
      calls = calls + 1
      if between and calls == 1 then between() end
    end)
    assert.equal(outcome ~= "unchanged", calls >= 1) -- and once for each file that is loaded
    return outcome, log
  end

  it("leaves the old version to answer meanwhile", function()
    local script, save, _, tell = open(version "one")
    local session <close> = script:open()
    save(long "two")
    local outcome = reload(tell, function()
      assert.equal("one 1\n", ask(session, 1))
      local other <close> = script:open()
      assert.equal("one x\n", ask(other, "x"))
    end)
    assert.equal("reloaded", outcome)
    assert.equal("two x\n", ask(session, "x"))
    assert.equal("two y\n", ask(script:open(), "y"))
  end)

  it("leaves those who go on in between as much memory as they had, though it may not suffice for it", function()
    local needs <const> = "#(('x'):rep(1 << 18) .. self.request)"
    local script, save, _, tell = open(version("one", needs), nil, { memory_limit = 1 << 20 })
    save(version("two", "1", filler(8000)))
    local session <close> = script:open()
    local outcome, log = reload(tell, function() assert.equal("one 262145\n", ask(session, "x")) end)
    assert.equal("refused", outcome)
    assert.matches("not enough memory", log, 1, true)
    assert.equal("one 262145\n", ask(session, "x"))
    save(version "three")
    assert.equal("reloaded", (reload(tell)))
    assert.equal("three x\n", ask(session, "x"))
  end)

  it("is none for a file that was only touched", function()
    local _, save, _, tell = open(long "one")
    save(long "one")
    local outcome = reload(tell)
    assert.equal("unchanged", outcome)
  end)

  it("runs after that, and gets the state that the old version has then", function()
    local ran = "parlance.shared.ran = (parlance.shared.ran or 0) + 1 "
    local state = "Lines.n = 0 function Lines.save() return Lines.n end function Lines.restore(n) Lines.n = n end "
    local count = "(function() Lines.n = Lines.n + 1 return parlance.shared.ran end)()"
    local script, save, _, tell = open(version("one", count, state .. ran))
    local session <close> = script:open()
    save(long("two", "Lines.n", state .. ran))
    local outcome = reload(tell, function() assert.equal("one 1\n", ask(session, "")) end)
    assert.equal("reloaded", outcome)
    assert.equal("two 1\n", ask(session, ""))
  end)

  it("is what was read, though it is saved anew meanwhile", function()
    local script, save, look, tell = open(version "one")
    save(long "two")
    local outcome = reload(tell, function() save(long "three") end)
    assert.equal("reloaded", outcome)
    assert.equal("two x\n", ask(script:open(), "x"))
    assert.equal("reloaded", (look()))
    assert.equal("three x\n", ask(script:open(), "x"))
    assert.equal("unchanged", (look()))
  end)

  it("has the modules that were read with the script", function()
    local script, save, look, tell = open(version("one", "require 'helper'", "require 'helper'"),
      { ["helper.lua"] = "return 1" })
    save(long("two", "require 'helper'", "require 'helper'"))
    save(filler() .. " return 2", "helper.lua")
    local outcome = reload(tell, function() save("return 3", "helper.lua") end)
    assert.equal("reloaded", outcome)
    assert.equal("two 2\n", ask(script:open(), ""))
    assert.equal("reloaded", (look()))
    assert.equal("two 3\n", ask(script:open(), ""))
  end)

  it("is nothing where a file was missing: it may come any moment, and no half of it is to be met", function()
    local script, save, look, tell = open(version("one", "require 'helper'", "require 'helper'"),
      { ["helper.lua"] = "return 1" })
    save(nil, "helper.lua")
    local outcome, log = reload(tell)
    assert.equal("lacking", outcome)
    assert.equal("", log)
    save("return 2", "helper.lua")
    assert.equal("reloaded", (look()))
    assert.equal("one 2\n", ask(script:open(), ""))
  end)

  it("is one function for each time that a module is asked for", function()
    local more = [[
      local first = require "helper"
      package.loaded.helper = nil
      local second = require "helper"
      assert(first ~= second and first.n == 2 and second.n == 2)
    ]]
    local _, save, look = open(version("one", "1", "require 'helper'"), { ["helper.lua"] = "return { n = 1 }" })
    save("return { n = 2 }", "helper.lua")
    save(version("two", "2", more))
    assert.equal("reloaded", (look()))
  end)

  it("does not count where it is not asked for", function()
    local script, save, look = open(version("one", "1", "require 'helper'"), { ["helper.lua"] = "return 1" })
    local before = #script:files()
    save("this is no Lua", "helper.lua")
    save(long "two")
    assert.equal("reloaded", (look()))
    assert.equal("two x\n", ask(script:open(), "x"))
    assert.equal(before - 1, #script:files())
    save("nor is this", "helper.lua")
    assert.equal("unchanged", (look()))
  end)

  it("has the fingerprint of what is loaded at once", function()
    local _, save, look, tell = open(version("one", "require 'helper'", "require 'helper'"),
      { ["helper.lua"] = "return 1", ["more.lua"] = "return 1" })
    local text = long("two", "require 'more'", "require 'more'")
    save(text)
    assert.equal("reloaded", (look()))
    local reloaded = tell "fingerprint"
    local path = tell "path"
    local at_once = conversation.open(path)
    assert.equal(at_once:fingerprint(), reloaded)
  end)

  it("has the right line in what is wrong with it", function()
    local script, save, _, tell = open(version "one")
    save(filler(150) .. "\nx = = 1\n" .. filler(20))
    local outcome, log = reload(tell)
    assert.equal("refused", outcome)
    assert.matches("protocol.lua:151: unexpected symbol near '='", log, 1, true)
    assert.equal("one x\n", ask(script:open(), "x"))
    save(filler(150) .. "\nerror 'no'\n")
    outcome, log = reload(tell)
    assert.equal("refused", outcome)
    assert.matches("protocol.lua:151: no", log, 1, true)
  end)

  it("may begin with a line for the shell, and with a byte order mark", function()
    local long_line = "#" .. ("x"):rep(5000) .. "\n"
    for _, first in ipairs { "#!/usr/bin/env parlance\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF# no Lua\n", long_line } do
      local script, save, look = open(version "one")
      save(first .. long "two")
      assert.equal("reloaded", (look()))
      assert.equal("two x\n", ask(script:open(), "x"))
    end
    local _, save, _, tell = open(version "one")
    save("#!/bin/sh\n\nx = = 1")
    local _, log = tell("reload", false, 1000)
    assert.matches("protocol.lua:3:", log, 1, true)
  end)

  it("may be binary where a module is, and not where the script is", function()
    local binary = string.dump(assert(load(filler() .. " return 2", "@helper.lua")))
    local script, save, _, tell = open(version("one", "require 'helper'", "require 'helper'"),
      { ["helper.lua"] = "return 1" })
    save(binary, "helper.lua")
    assert.equal("reloaded", (reload(tell)))
    assert.equal("one 2\n", ask(script:open(), ""))
    save(binary)
    local outcome, log = reload(tell)
    assert.equal("refused", outcome)
    assert.matches("attempt to load a binary chunk", log)
  end)

  it("is not stopped for the time that others take", function()
    local script, save, _, tell = open(version "one", nil, { call_timeout = 40 })
    local session <close> = script:open()
    save(long "two")
    local outcome, log = reload(tell, function()
      local till = rooms.process.now() + 0.08
      repeat assert.equal("one x\n", ask(session, "x")) until rooms.process.now() > till
    end)
    assert.equal("reloaded", outcome)
    assert.is_true(tonumber(log:match " ms=([%d.]+)") < 80, log)
    assert.equal("two x\n", ask(session, "x"))
  end)

  it("is refused for want of memory, and the next good version is taken", function()
    local script, save, _, tell = open(version "one", nil, { memory_limit = 300 * 1024 })
    save(filler(4000))
    local outcome, log = reload(tell)
    assert.equal("refused", outcome)
    assert.matches("not enough memory", log)
    assert.equal("unchanged", (reload(tell)))
    assert.equal("one x\n", ask(script:open(), "x"))
    save(long "two")
    assert.equal("reloaded", (reload(tell)))
    assert.equal("two x\n", ask(script:open(), "x"))
  end)

  it("is not what the old version has required only since it serves: that would take memory for nothing", function()
    local files = {}
    for i = 1, 30 do files[("m%d.lua"):format(i)] = filler() .. " return " .. i end
    local script, save, _, tell = open(version("one", "require('m' .. self.request)"), files,
      { memory_limit = 640 * 1024 })
    local session <close> = script:open()
    for i = 1, 30 do assert.equal(("one %d\n"):format(i), ask(session, i)) end
    local text = long("two", "require('m' .. self.request)")
    save(text)
    local outcome, log = reload(tell, function() assert.equal("one 7\n", ask(session, 7)) end)
    assert.equal("reloaded", outcome, log)
    assert.equal("two 7\n", ask(session, 7))
    save("return 8", "m7.lua")
    assert.equal("reloaded", (reload(tell)))
    assert.equal("two 8\n", ask(session, 7))
  end)

  it("takes no memory from a version that needs less of it than the one before", function()
    local files, all = {}, {}
    for i = 1, 30 do
      files[("m%d.lua"):format(i)], all[i] = filler() .. " return " .. i, ("require 'm%d'"):format(i)
    end
    local fill = "local list = {} for i = 1, 8000 do list[i] = i end"
    for limit = 800, 1200, 20 do
      local script, save, _, tell = open(version("one", "1", table.concat(all, "\n")), files,
        { memory_limit = limit * 1024 })
      save(long("two", nil, fill))
      local outcome, log = reload(tell)
      assert.equal("reloaded", outcome, limit .. "K: " .. log)
      assert.equal("two x\n", ask(script:open(), "x"))
    end
  end)

  -- The allocations that fail are those of the making if `is_late`, else those of the thread and of its start.
  local function fail_each_allocation(is_late)
    local remarks = ("-- nothing to see here\n"):rep(200)
    local serving = "v0"
    local script, save, look, tell = open(version(serving, nil, remarks))
    local outcomes = {}
    for _, count in ipairs { 1, 2, 1 << 30 } do
      local n = 0
      repeat
        n = n + 1
        local name = ("v%d.%d"):format(count, n)
        local last
        save(version(name, nil, remarks))
        if not is_late then rooms.session.fail_allocations(n, count) end
        local outcome = tell("reload", false, 1000, function()
          if is_late then return rooms.session.fail_allocations(n, count) end
          last = rooms.session.allocations()
          rooms.session.fail_allocations()
        end)
        last = last or rooms.session.allocations()
        rooms.session.fail_allocations()
        outcomes[outcome] = true
        if outcome ~= "reloaded" then
          assert.equal(serving .. " x\n", ask(script:open(), "x"))
          name = name .. "b"
          save(version(name, nil, remarks))
          assert.equal("reloaded", (look()))
        end
        assert.equal(name .. " x\n", ask(script:open(), "x"))
        serving = name
      until n > last
    end
    return outcomes
  end

  it("takes over or is refused, whichever allocation fails while it is made", function()
    local outcomes = fail_each_allocation(true)
    assert.is_true(outcomes.reloaded and outcomes.refused)
  end)

  it("takes over or is refused, whichever allocation of the thread fails", function()
    assert.is_true(fail_each_allocation(false).reloaded)
  end)

  it("goes on when the old version requires more meanwhile", function()
    local files = {}
    for i = 1, 20 do files[("m%d.lua"):format(i)] = "return " .. i end
    local script, save, _, tell = open(version("one", "require('m' .. self.request)"), files)
    local session <close> = script:open()
    save(long "two")
    local required = 0
    local outcome = reload(tell, function()
      for _ = 1, 12 do
        required = required + 1
        local number = math.min(required, 20)
        assert.equal(("one %d\n"):format(number), ask(session, number))
      end
    end)
    assert.equal("reloaded", outcome)
    assert.is_true(required > 9)
    assert.equal("two x\n", ask(session, "x"))
  end)

  it("outlives the conversations that end meanwhile, and the version that they had", function()
    local script, save, look, tell = open(version "one")
    local session = script:open()
    conversation.feed(session, { "begun" })
    save(version "two")
    assert.equal("reloaded", (look()))
    save(long "three")
    local outcome, log = reload(tell, function() session:close() end)
    assert.equal("reloaded", outcome)
    assert.matches("generation=3 .* on_old=0\n", log)
    assert.equal("three x\n", ask(script:open(), "x"))
  end)

  it("leaves Lua's collector as it was", function()
    for _, stops in ipairs { "", "collectgarbage 'stop' " } do
      local running = "collectgarbage 'isrunning'"
      local script, save, _, tell = open(version("one", running, stops))
      local session <close> = script:open()
      local before = ask(session, ""):match "(%S+)\n$"
      save(long("two", running))
      assert.equal("reloaded", (reload(tell, function()
        assert.equal(before, ask(session, ""):match "(%S+)\n$")
      end)))
      assert.equal(before, ask(session, ""):match "(%S+)\n$")
    end
  end)

  it("may allocate 64 KiB, and not much more, before Lua's collector goes on", function()
    local drops_garbage <const> = [[(function()
      collectgarbage()
      setmetatable({}, { __gc = function() parlance.shared.is_collected = true end })
    end)()]]
    local makes_garbage <const> = [[
      kib = 0
      while not parlance.shared.is_collected do
        kib = kib + 1
        local _ = kib .. ("x"):rep(512)
      end]]
    local script, save, _, tell = open(version("one", drops_garbage))
    local session <close> = script:open()
    save(long("two", "kib", makes_garbage))
    assert.equal("reloaded", (reload(tell, function() ask(session, "") end)))
    local kib = tonumber(ask(session, ""):match "(%d+)\n$")
    assert.is_true(kib > 16 and kib < 128, kib .. " KiB")
  end)
end)
