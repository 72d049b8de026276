-- Calls that do not come back: each is stopped, whatever it wraps itself in, and what comes after it
-- is served as ever.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local CALL_TIMEOUT <const> = 30 -- ms

local PROTOCOL <const> = [[
  local framing = require "parlance.framing"
  local P = { close_when_done = false, request_complete = framing.line {} }
  function P:make_response()
    if self.request == "fine" then return "fine\n" end
    local function overrun() while true do end end
    %s
  end
  function P:handle_error(reason) return reason end
  %s
  return P]]

local function script(body, more, options)
  options = options or {}
  options.call_timeout = options.call_timeout or CALL_TIMEOUT
  return conversation.script(PROTOCOL:format(body, more or ""), options)
end

-- What a conversation says to these lines; the log is checked to tell of the overrun.
local function converse(service, lines, is_overrun)
  local session <close> = service:open()
  local log, out = rooms.base.capture(function() return conversation.feed(session, { lines }) end)
  local reason <const> = session:reason()
  if is_overrun then
    assert.equal("script_overrun", reason)
    assert.truthy(log:find(" error script_overrun ", 1, true), log)
    assert.truthy(log:find("the call took longer than 0.03 s (--call-timeout) and was stopped", 1, true), log)
  end
  return out, reason
end

describe("watchdog", function()
  after_each(conversation.clean)

  describe("stops", function()
    for fact, body in pairs {
      ["a loop"] = "overrun()",
      ["a loop without a call or a jump back but one"] = "::again:: goto again",
      ["an endless recursion with tail calls"] = "local function f() return f() end f()",
      ["a loop in pcall"] = "pcall(overrun)",
      ["pcalls in a loop"] = "while true do pcall(overrun) end",
      ["pcalls of C functions in a loop"] = "while true do pcall(error) end",
      ["xpcalls in a loop with a handler that loops"] =
        "while true do xpcall(overrun, function() while true do end end) end",
      ["pcall in pcall in pcall"] =
        "while true do pcall(function() while true do pcall(function() pcall(overrun) end) end end) end",
      ["a loop in a coroutine"] = "coroutine.wrap(overrun)()",
      ["coroutines in a loop"] = "while true do coroutine.wrap(function() for _ = 1, 100 do end end)() end",
      ["coroutines in pcalls in a loop"] = "while true do pcall(coroutine.wrap(overrun)) end",
      ["resumes in a loop"] = "while true do coroutine.resume(coroutine.create(overrun)) end",
      ["a loop that yields"] = [[
        local f = coroutine.wrap(function() while true do coroutine.yield() end end)
        while true do f() end]],
      ["a coroutine in a coroutine in a coroutine"] = [[
        while true do
          pcall(coroutine.wrap(function()
            while true do
              coroutine.resume(coroutine.create(function() while true do pcall(coroutine.wrap(overrun)) end end))
            end
          end))
        end]],
      ["a coroutine that was made before"] = [[
        self.co = self.co or coroutine.wrap(function() coroutine.yield() while true do pcall(overrun) end end)
        self.co()
        self.co()]],
      ["stacks that overflow in a loop"] =
        "while true do pcall(function() local function f() return 1 + f() end f() end) end",
      ["a loop in a metamethod"] = "return #setmetatable({}, { __len = overrun })",
      ["a loop in a __close"] = "do local a <close> = setmetatable({}, { __close = overrun }) end",
      ["a loop in a __close of one that was stopped"] =
        "local a <close> = setmetatable({}, { __close = overrun }) overrun()",
      ["a loop in the __close of a coroutine"] = [[
        local co = coroutine.create(function()
          local a <close> = setmetatable({}, { __close = overrun })
          coroutine.yield()
        end)
        coroutine.resume(co)
        while true do coroutine.close(co) end]],
      ["a loop in a variable of a coroutine that was stopped"] = [[
        while true do
          pcall(coroutine.wrap(function()
            local a <close> = setmetatable({}, { __close = overrun })
            overrun()
          end))
        end]],
      ["a message handler that loops behind an error of its own"] =
        "while true do xpcall(error, function() while true do pcall(overrun) end end) end",
      ["a loop in a callback of table.sort"] = "table.sort({ 3, 1, 2 }, function() while true do end end)",
      ["a loop in a callback of string.gsub"] = "('abc'):gsub('.', function() while true do pcall(overrun) end end)",
      ["a loop in load"] = "load(function() while true do end end)",
      ["a loop in a function of the response"] = "return { 'x', function() while true do pcall(overrun) end end }",
      ["a loop in the __tostring of an error"] =
        "while true do pcall(error, setmetatable({}, { __tostring = overrun })) end",
    } do
      it(fact, function()
        local service = script(body)
        local out, reason = converse(service, "fine\nslow\nfine\n", true)
        assert.equal("script_overrun", reason)
        local is_in_response <const> = fact:find "of the response"
        assert.equal(is_in_response and "fine\nx" or "fine\nscript_overrun", out)
        assert.equal("fine\nfine\n", converse(service, "fine\nfine\n"))
      end)
    end

    it("request_complete, the greeting and the end", function()
      for name, more in pairs {
        request_complete = "function P:request_complete() while true do end end",
        handle_connect = "function P:handle_connect() while true do end end",
      } do
        local service = script("", more)
        local session
        rooms.base.capture(function()
          session = service:open()
          session:receive "x"
        end)
        assert.equal("script_overrun", session:reason(), name)
        assert.equal("script_overrun", (conversation.output(session)))
      end
      local service = script("", "function P:handle_close() while true do pcall(error) end end")
      local session = service:open()
      local log = rooms.base.capture(function() session:close() end)
      assert.truthy(log:find(" error script_overrun ", 1, true), log)
    end)

    it("last words that overrun too", function()
      local service = script("overrun()", "function P:handle_error() while true do end end")
      assert.equal("fine\n", (converse(service, "fine\nslow\n", true)))
      assert.equal("fine\n", (converse(service, "fine\n")))
    end)

    it("an error whose text is slow to be made", function()
      local service = script "error(setmetatable({}, { __tostring = overrun }))"
      local out, reason = converse(service, "slow\n")
      assert.equal("script_error", reason)
      assert.equal("script_error", out)
      assert.equal("fine\n", converse(service, "fine\n"))
    end)

    it("a variable that is closed slowly behind an error", function()
      local service = script "local a <close> = setmetatable({}, { __close = overrun }) error 'x'"
      assert.equal("script_overrun", (select(2, converse(service, "slow\n"))))
      assert.equal("fine\n", converse(service, "fine\n"))
    end)

    it("a script that does not come to its end while it is loaded", function()
      local loaded, reason = conversation.load("while true do pcall(error) end", { call_timeout = CALL_TIMEOUT })
      assert.is_nil(loaded)
      assert.truthy(reason:find("protocol.lua:1: the call took longer than 0.03 s", 1, true), reason)
    end)
  end)

  it("makes os.exit an error, since it would end the server", function()
    assert.equal("false os.exit() is called, which would end the server", (converse(script [[
      local is_well, why = pcall(os.exit, 0)
      return tostring(is_well) .. " " .. why]], "x\n")))
  end)

  it("takes debug.sethook away, since a hook could not be stopped", function()
    assert.equal("nil", (converse(script "return tostring(debug.sethook)", "x\n")))
  end)

  it("counts each call by itself, not a batch of them", function()
    local service = script([[
      local now = require "parlance".now
      local start = now()
      while now() - start < 0.06 do end
      return "ok\n"]], "", { call_timeout = 400 })
    assert.equal(("ok\n"):rep(8), converse(service, ("slow\n"):rep(8)))
  end)

  -- A busy machine takes its time to begin a program: only from then on the call waits.
  it("counts the processor's time, so that a call that waits is not stopped, but logged with its place", function()
    local service = script [[
      assert(io.popen "sleep 0.5"):read "a"
      return "ok\n"]]
    local session <close> = service:open()
    local log, out = rooms.base.capture(function() return conversation.feed(session, { "slow\n" }) end)
    assert.equal("ok\n", out)
    local line, call, ms =
      log:match ' warn blocked service=protocol place="[^"]*protocol.lua:(%d+): function <[^"]*" call=(%S+) ms=(%d+) '
    assert.equal("6", line)
    assert.equal("read", call)
    assert.is_true(tonumber(ms) >= 490, log)
    assert.is_nil(log:find("script_overrun", 1, true))
  end)

  it("logs where a coroutine waits, each time", function()
    local service = script [[
      coroutine.wrap(function() os.execute "sleep 0.3" end)()
      return "ok\n"]]
    local session <close> = service:open()
    local log, out = rooms.base.capture(function() return conversation.feed(session, { ("slow\n"):rep(3) }) end)
    assert.equal(("ok\n"):rep(3), out)
    assert.truthy(log:find('protocol.lua:6: function <[^"]*protocol.lua:6>" call=execute ms='), log)
    assert.equal(3, select(2, log:gsub(" blocked ", "")))
  end)

  it("leaves no hook behind", function()
    local service = script [[
      if self.request == "slow" then while true do coroutine.wrap(function() pcall(overrun) end)() end end
      return tostring(debug.gethook()) .. tostring(coroutine.wrap(debug.gethook)()) .. "\n"]]
    for _ = 1, 3 do converse(service, "slow\n", true) end
    assert.equal("nilnil\n", converse(service, "hook\n"))
  end)

  it("does not stop anything without a call timeout", function()
    local service = script([[
      local start = os.clock()
      while os.clock() - start < 0.05 do end
      return "ok\n"]], "", { call_timeout = 0 })
    assert.equal("ok\n", converse(service, "slow\n"))
  end)

  it("stops scripts that take turns", function()
    local one, other = script "overrun()", script "coroutine.wrap(overrun)()"
    for _ = 1, 3 do
      assert.equal("script_overrun", converse(one, "slow\n", true))
      assert.equal("fine\n", converse(other, "fine\n"))
      assert.equal("script_overrun", converse(other, "slow\n", true))
      assert.equal("fine\n", converse(one, "fine\n"))
    end
  end)
end)
