-- parlance.every(), in simulated time; in the server's own it is in spec/server/tasks_spec.lua.

local line_protocol = require "support.line_protocol"

-- The line at which the protocol has the piece of Lua that a spec puts there.
local LINE <const> = select(2, line_protocol.script():gsub("\n", ""))

describe("parlance.every", function()
  local lines = line_protocol.simulate()
  local ask, edit, noted = lines.ask, lines.edit, lines.noted
  local script

  local function start(...) script = lines.start(...) end

  it("runs the function every so many seconds, and not before the first of them have passed", function()
    start "parlance.every(0.5, function(...) note(select('#', ...)) end)"
    assert.equal("", noted())
    script:advance(0.499)
    assert.equal("", noted())
    script:advance(1.6)
    assert.equal("0.5 0, 1 0, 1.5 0, 2 0", noted())
  end)

  it("tells the simulator when it runs next", function()
    start "task = parlance.every(2, function() end)"
    assert.equal(2, script:deadline())
    script:advance(1.5)
    assert.equal(0.5, script:deadline())
    assert.equal("true", ask "return task:cancel()")
    assert.is_nil(script:deadline())
  end)

  it("begins when a request makes it, too", function()
    start()
    script:advance(0.25)
    ask "parlance.every(1, function() note 'a' end)"
    script:advance(2.25)
    assert.equal("1.25 a, 2.25 a", noted())
  end)

  it("keeps its pace with times that are no whole milliseconds", function()
    start "parlance.every(1 / 60, function() count = (count or 0) + 1 end)"
    script:advance(60)
    assert.equal("3600", ask "return count")
  end)

  it("runs those of one time in the order in which they were made", function()
    start "for name = 1, 20 do parlance.every(1, function() note(name) end) end"
    script:advance(1)
    local wanted = {}
    for name = 1, 20 do wanted[name] = "1 " .. name end
    assert.equal(table.concat(wanted, ", "), noted())
  end)

  it("goes on after an error, which is logged with its place", function()
    start "parlance.every(1, function() note 'a' error 'on purpose' end)"
    script:advance(2)
    assert.equal("1 a, 2 a", noted())
    local log = lines.log()
    assert.equal(2, #log)
    assert.matches('^error script_error service=protocol task="every 1 s" detail=', log[1])
    assert.truthy(log[1]:find(("protocol.lua:%d: on purpose\n"):format(LINE), 1, true), log[1])
  end)

  it("logs twenty errors a second, and how many it has left out", function()
    start "parlance.every(0.01, function() error 'on purpose' end)"
    script:advance(0.995)
    assert.equal(20, #lines.log())
    script:advance(0.1)
    local log = lines.log()
    assert.matches("suppressed_before=79", log[1])
  end)

  it("is stopped when a run takes too long, and goes on", function()
    start("parlance.every(1, function() note 'a' if #trace == 1 then while true do end end end)", { call_timeout = 50 })
    script:advance(2)
    assert.equal("1 a, 2 a", noted())
    local overruns = {}
    for _, line in ipairs(lines.log()) do -- on a busy machine that it was blocked is logged as well
      if line:find "^error script_overrun service=protocol" then overruns[#overruns + 1] = line end
    end
    assert.equal(1, #overruns)
    assert.truthy(overruns[1]:find(("protocol.lua:%d: "):format(LINE), 1, true), overruns[1])
  end)

  it("survives a run without memory", function()
    start("parlance.every(1, function() note 'a' if #trace == 1 then local x = ('x'):rep(1 << 30) end end)",
      { memory_limit = 1 << 22 })
    script:advance(2)
    assert.equal("1 a, 2 a", noted())
    assert.matches("^error out_of_memory service=protocol", lines.log()[1])
  end)

  describe("cancel", function()
    it("ends it, once", function()
      start "task = parlance.every(1, function() note 'a' end)"
      script:advance(1)
      assert.equal("1 a", noted())
      assert.equal("true", ask "return task:cancel()")
      assert.equal("false finished", ask "local a, b = task:cancel() return tostring(a) .. ' ' .. b")
      script:advance(5)
      assert.equal("", noted())
    end)

    it("may come from the function itself", function()
      start "task = parlance.every(1, function() note(tostring((task:cancel()))) collectgarbage() collectgarbage() end)"
      script:advance(5)
      assert.equal("1 true", noted())
      assert.equal("false", ask "return task:cancel()")
    end)

    it("of another that is due at the same time holds", function()
      start [[
        local all = {}
        for name = 1, 5 do
          all[name] = parlance.every(1, function() note(name) if name == 2 then all[3]:cancel() all[1]:cancel() end end)
        end]]
      script:advance(1)
      assert.equal("1 1, 1 2, 1 4, 1 5", noted())
      script:advance(1)
      assert.equal("2 2, 2 4, 2 5", noted())
    end)

    it("gives the function up", function()
      start [[
        weak = setmetatable({}, { __mode = "k" })
        local function f() end
        weak[f] = true
        task = parlance.every(1, f)]]
      assert.equal("true", ask "collectgarbage() return next(weak) ~= nil")
      ask "return task:cancel()"
      assert.equal("nil", ask "collectgarbage() return next(weak)")
    end)
  end)

  it("goes on when nobody holds the task", function()
    start "parlance.every(1, function() note 'a' end) collectgarbage() collectgarbage()"
    ask "collectgarbage()"
    script:advance(1)
    assert.equal("1 a", noted())
  end)

  it("may make others and end them while it runs", function()
    start [[
      parlance.every(1, function()
        if inner then inner:cancel() end
        inner = parlance.every(0.4, function() note "inner" end)
        note "outer"
      end)]]
    script:advance(2.5)
    assert.equal("1 outer, 1.4 inner, 1.8 inner, 2 outer, 2.4 inner", noted())
  end)

  describe("whose function waits", function()
    it("leaves out the runs that come meanwhile, and keeps its pace", function()
      start "parlance.every(1, function() note 'a' parlance.sleep(2.5) note 'b' end)"
      script:advance(8)
      assert.equal("1 a, 3.5 b, 4 a, 6.5 b, 7 a", noted())
    end)

    it("keeps nobody waiting", function()
      start "parlance.every(1, function() parlance.sleep(100) end)"
      script:advance(1)
      assert.equal("now", ask "return 'now'")
    end)

    it("logs an error behind a wait, and goes on", function()
      start "parlance.every(1, function() parlance.sleep(0.5) note 'a' error 'on purpose' end)"
      script:advance(2.5)
      assert.equal("1.5 a, 2.5 a", noted())
      local log = lines.log()
      assert.equal(2, #log)
      assert.matches('^error script_error service=protocol task="every 1 s" detail=', log[1])
    end)

    it("is cancelled in its wait", function()
      start [[
        task = parlance.every(1, function()
          local x <close> = setmetatable({}, { __close = function(_, why) note(tostring(why)) end })
          parlance.sleep(100)
        end)]]
      script:advance(1)
      assert.equal("true", ask "return task:cancel()")
      assert.equal("1 cancelled", noted())
      assert.equal("false", ask "return task:cancel()")
      script:advance(5)
      assert.equal("", noted())
      assert.is_nil(script:deadline())
      assert.equal("", table.concat(lines.log()))
    end)

    it("can cancel itself, and ends at its next wait", function()
      start "task = parlance.every(1, function() note(tostring(task:cancel())) parlance.sleep(1) note 'never' end)"
      script:advance(5)
      assert.equal("1 true", noted())
      assert.equal("false", ask "return task:cancel()")
    end)

    it("can cancel another one that is in its wait at the same time", function()
      start [[
        a = parlance.every(1, function() parlance.sleep(1) note 'a' b:cancel() end)
        b = parlance.every(1, function() parlance.sleep(1) note 'b' a:cancel() end)]]
      script:advance(5)
      assert.equal("2 a, 4 a", noted())
    end)
  end)

  it("is waited for until it is cancelled", function()
    start "task = parlance.every(1, function() note 'a' end)"
    local waits = script:open()
    waits:receive "return table.concat({ select(2, task:wait()) }, ' ')\n"
    script:advance(2)
    assert.equal("", waits:take())
    ask "return task:cancel()"
    assert.equal("cancelled cancelled\n", waits:take())
    assert.equal("1 a, 2 a", noted())
  end)

  it("is a value that says what it is", function()
    start "task = parlance.every(0.1, function() end)"
    assert.equal(("task: every 0.1 s, %s:%d"):format(lines.path(), LINE), ask "return tostring(task)")
    ask "return task:cancel()"
    assert.equal("task: every 0.1 s, finished", ask "return tostring(task)")
    assert.equal("userdata", ask "return type(task)")
  end)

  it("refuses what is no time and no function", function()
    start()
    local function why(arguments)
      return (ask("return select(2, pcall(parlance.every, " .. arguments .. "))"):gsub("'.-'", "F"))
    end
    for _, seconds in ipairs { "0", "-1", "0.0009", "1.1e9", "0/0", "1/0" } do
      assert.equal("bad argument #1 to F (must be a number of seconds from 0.001 to 1e9)",
        why(seconds .. ", print"))
    end
    assert.equal("bad argument #1 to F (number expected, got nil)", why "nil, print")
    assert.equal("bad argument #1 to F (number expected, got table)", why "{}, print")
    assert.equal("bad argument #2 to F (function expected, got no value)", why "1")
    assert.equal("bad argument #2 to F (function expected, got table)", why "1, {}")
    assert.is_nil(script:deadline())
    assert.equal("false", ask "return pcall(getmetatable(parlance.every(1, print)).__index.cancel, {})")
  end)

  it("has an end to how many there are", function()
    start()
    assert.equal("10000", ask [[
      local made = {}
      for n = 1, 20000 do
        local is_well, task = pcall(parlance.every, 1000, print)
        if not is_well then why = task break end
        made[n] = task
      end
      all = made return #made]])
    assert.equal("every: too many tasks", ask "return why")
    assert.equal("true", ask "all[5000]:cancel() return (pcall(parlance.every, 1, print))")
    assert.equal("false", ask "return (pcall(parlance.every, 1, print))")
  end)

  describe("in a hot edit", function()
    it("ends with its version, and the new one's begins when it takes over", function()
      start "parlance.every(1, function() note(self_name) end)"
      ask "parlance.every(1, function() note 'of a request' end)"
      script:advance(1.5)
      assert.equal("1 first, 1 of a request", noted())
      assert.equal("reloaded", edit("parlance.every(1, function() note(self_name) end)", "second"))
      script:advance(2)
      assert.equal("2.5 second, 3.5 second", noted())
    end)

    it("never begins where the version is refused, and the old one's goes on", function()
      start "parlance.every(1, function() note(self_name) end)"
      script:advance(0.5)
      assert.equal("refused", edit("parlance.every(0.1, function() note(self_name) end) error 'no good'", "second"))
      script:advance(1)
      assert.equal("1 first", noted())
      assert.equal("1", ask "local n = 0 for _ in pairs(parlance.shared) do n = n + 1 end return n")
    end)

    it("can be cancelled while its version is loaded", function()
      start()
      assert.equal("reloaded", edit("assert(parlance.every(1, function() note 'a' end):cancel())"))
      script:advance(3)
      assert.equal("", noted())
    end)

    it("is known to have finished when it has ended with its version", function()
      start "parlance.shared.task = parlance.every(1, print)"
      assert.equal("reloaded", edit "parlance.shared.was = parlance.shared.task")
      assert.equal("false finished", ask [[
        local a, b = parlance.shared.was:cancel() return tostring(a) .. " " .. b]])
      assert.equal("task: every 1.0 s, finished", ask "return tostring(parlance.shared.was)")
    end)

    it("is not made by what an old version has still in hand", function()
      start()
      assert.equal("reloaded", edit([[
        function Lines:make_response()
          if self.request ~= "slow" then return tostring((assert(load(self.request))())) .. "\n" end
          local pulls = 0
          return { ("x"):rep(300000), function()
            pulls = pulls + 1
            if pulls == 1 then note(tostring(parlance.every(1, function() note "old" end))) return "!" end
          end, "\n" }
        end]], "second"))
      local slow = script:open()
      slow:receive "slow\n"
      assert.equal("reloaded", edit("", "third"))
      slow:take()
      assert.equal("0 task: every 1.0 s, finished", noted())
      script:advance(3)
      assert.equal("", noted())
    end)

    it("cannot be made in save and restore", function()
      start "function Lines.save() note(select(2, pcall(parlance.every, 1, print))) return 1 end"
      assert.equal("reloaded",
        edit "function Lines.restore() note(select(2, pcall(parlance.every, 1, print))) end")
      assert.equal("0 every: no task can be made here, 0 every: no task can be made here", noted())
      assert.equal("true", ask "return (pcall(parlance.every, 1, print))")
    end)
  end)

  it("cannot be made by a finalizer at the end", function()
    start [[
      parlance.every(1, function() end)
      setmetatable({}, { __gc = function() parlance.every(1, print) end })
      last = setmetatable({}, { __gc = function() parlance.every(1, print) end })]]
    lines.close()
  end)
end)
