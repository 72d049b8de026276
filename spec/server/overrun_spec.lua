-- A call into the script that takes too long is stopped, whatever it wraps itself in.

local server = require "support.server"

local TIMEOUT <const> = 0.2

-- Requests are lines; `ok` is answered at once, every other one runs into the trap.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local forever = function() while true do end end
local looping = setmetatable({}, { __close = forever, __index = function(t, k) return t[k + 1] end })
return {
  close_when_done = false,
  request_complete = framing.line { max = 100 },
  make_response = function(self)
    if self.request == "ok" then return "fine\n" end
    do %s end
    return "got through\n"
  end,
  handle_close = function(_, reason) print(reason) io.flush() end,
}
]]

local TRAPS <const> = {
  { "a plain loop", "while true do end" },
  { "a loop of pcall", "while true do pcall(error) end" },
  { "a loop of pcall around a loop", "while true do pcall(forever) end" },
  { "nested pcall", "local function f() pcall(f) while true do pcall(pcall, forever) end end f()" },
  { "a recursion of pcall", "local function f() pcall(f) pcall(f) end f()" },
  { "a loop in xpcall", "while true do xpcall(forever, function(e) return e end) end" },
  { "a message handler that loops", "xpcall(error, forever)" },
  { "a message handler that loops when its call is stopped", "xpcall(forever, forever)" },
  { "a coroutine", "coroutine.wrap(forever)()" },
  { "a coroutine under pcall", "while true do pcall(coroutine.wrap(forever)) end" },
  { "a coroutine in a coroutine",
    "coroutine.wrap(function() while true do coroutine.resume(coroutine.create(forever)) end end)()" },
  { "a generator without end", "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end" },
  { "a comparator of table.sort",
    "local t = {} for i = 1, 100 do t[i] = -i end table.sort(t, forever)" },
  { "a callback of string.gsub", "('x'):rep(100):gsub('x', forever)" },
  { "a callback of string.gsub under pcall",
    "while true do pcall(string.gsub, ('x'):rep(100), 'x', forever) end" },
  { "a __close", "do local _ <close> = looping end" },
  { "a __close when its call is stopped", "local _ <close> = looping while true do end" },
  { "a __close under pcall when its call is stopped",
    "while true do pcall(function() local _ <close> = looping forever() end) end" },
  { "a __close of a coroutine that is closed",
    "local c = coroutine.create(function() local _ <close> = looping coroutine.yield() end) "
      .. "coroutine.resume(c) coroutine.close(c)" },
  { "a __close of a coroutine that was stopped",
    "local c = coroutine.create(function() local _ <close> = looping forever() end) "
      .. "coroutine.resume(c) coroutine.close(c)" },
  { "a __close of a wrapped coroutine that was stopped",
    "coroutine.wrap(function() local _ <close> = looping forever() end)()" },
  { "a metamethod that calls itself",
    "local m = {} m.__index = function(t, k) return setmetatable({}, m)[k] end "
      .. "while true do pcall(function() return setmetatable({}, m).x end) end" },
  { "an __eq that loops", "local m = { __eq = forever } return setmetatable({}, m) == setmetatable({}, m)" },
  { "a __tostring that loops", "tostring(setmetatable({}, { __tostring = forever }))" },
  { "load with a reader that loops", "load(forever)" },
  { "require of a module that loops", "package.preload.trap = forever require 'trap'" },
  { "the response's own function", "return { forever }" },
  { "many short calls", "local function f() end while true do for i = 1, 1000 do f() end end" },
  { "a goto", "::top:: goto top" },
}

local function start(script, poller, timeout)
  return server.start(script, { "--call-timeout", timeout or TIMEOUT, poller = poller })
end

-- Sends the request and waits for the end; returns what came, and the seconds of the processor's time that the
-- server spent meanwhile: how long that took does not depend on how busy the machine is.
local function fall_into_trap(running, client, request)
  local before = running:cpu()
  client:send(request)
  local rest = client:receive_rest(20)
  return rest, running:cpu() - before
end

-- A server that cannot be stopped is killed here, so that nothing waits for it.
local function kill_if_stuck(running)
  local other = running:connect()
  other:send "ok\n"
  other.socket:settimeout(10, "t")
  if other.socket:receive(5) then return end
  running.process:signal(9)
  running:expect_end()
  error "the server is stuck: nobody else is answered"
end

local function stops(trap, poller)
  local name, code = table.unpack(trap)
  it("is stopped in " .. name, function()
    local running = start(SCRIPT:format(code), poller)
    local trapped, witness = running:connect(), running:connect()
    assert.equal("fine\n", witness:exchange("ok\n", 5))
    local rest, took = fall_into_trap(running, trapped, "trap\n")
    kill_if_stuck(running)
    assert.equal("", rest)
    assert.is_true(took >= TIMEOUT * 0.9, "stopped after " .. took)
    assert.is_true(took < TIMEOUT + 1, "stopped after " .. took)
    assert.equal("fine\n", witness:exchange("ok\n", 5))
    running:wait_for_log "script_overrun service=script1 "
    running:wait_for_log "closed service=script1 [^\n]*reason=script_overrun "
    assert.equal("script_overrun\n", running:output())
  end)
end

describe("a call that overruns", function()
  describe("whatever it does", function()
    server.cleans_up()
    for _, trap in ipairs(TRAPS) do stops(trap) end
  end)

  server.for_each_poller(function(poller)
    stops({ "a loop of pcall", "while true do pcall(error) end" }, poller)
  end)
end)

describe("the call timeout", function()
  server.cleans_up()

  it("holds for describing an error, which stays a script_error", function()
    local running = start(SCRIPT:format "error(setmetatable({}, { __tostring = forever }))")
    local rest, took = fall_into_trap(running, running:connect(), "trap\n")
    assert.equal("", rest)
    assert.is_true(took < TIMEOUT + 1)
    running:wait_for_log "script_error service=script1 "
  end)

  it("stops handle_error as well, and the connection ends without its words", function()
    local running = start([[
      return {
        request_complete = function() return nil, "never" end,
        make_response = function() return "x" end,
        handle_error = function() while true do pcall(error) end end,
      }
    ]])
    local rest, took = fall_into_trap(running, running:connect(), "x")
    assert.equal("", rest)
    assert.is_true(took < TIMEOUT + 1)
    running:wait_for_log "script_overrun "
  end)

  it("holds anew for handle_error after a call that was stopped", function()
    local running = start([[
      return {
        request_complete = function() return true end,
        make_response = function() while true do pcall(error) end end,
        handle_error = function(_, reason)
          for _ = 1, 10000 do pcall(error) end
          return "sorry: " .. reason
        end,
      }
    ]])
    assert.equal("sorry: script_overrun", (fall_into_trap(running, running:connect(), "x")))
  end)

  for _, name in ipairs { "request_complete", "make_response", "handle_connect", "handle_close" } do
    it("holds for " .. name, function()
      local running = start(([[
        local protocol = {
          close_when_done = true,
          request_complete = function() return true end,
          make_response = function() return "x" end,
        }
        function protocol.%s() while true do pcall(error) end end
        return protocol
      ]]):format(name))
      local _, took = fall_into_trap(running, running:connect(), "x")
      assert.is_true(took < TIMEOUT + 1)
      running:wait_for_log "script_overrun "
      assert.equal(1, running:count_in_log "script_overrun service")
    end)
  end

  it("leaves a call alone that takes a little less, also when many of them follow one another", function()
    local running = start([[
      local framing = require "parlance.framing"
      local parlance = require "parlance"
      return {
        close_when_done = false,
        request_complete = framing.line { max = 100 },
        make_response = function()
          local until_then = parlance.now() + 0.3
          while parlance.now() < until_then do end
          return "x"
        end,
      }
    ]], nil, 0.6)
    -- All ten arrive as one segment, and are answered in one entry of three seconds.
    assert.equal(("x"):rep(10), running:connect():exchange(("\n"):rep(10), 10))
    assert.equal(0, running:count_in_log "script_overrun")
  end)

  it("gives each piece of a response that is a function its own time", function()
    local running = start([[
      local parlance = require "parlance"
      return {
        request_complete = function() return true end,
        make_response = function()
          local count = 0
          return { function()
            local until_then = parlance.now() + 0.2
            while parlance.now() < until_then do end
            count = count + 1
            return count <= 5 and "x" or nil
          end }
        end,
      }
    ]], nil, 0.5)
    assert.equal("xxxxx", running:connect():exchange("x", 5))
    assert.equal(0, running:count_in_log "script_overrun")
  end)

  it("is each service's own, also when a call with a longer one went before", function()
    for _, longer in ipairs { 8, 0 } do
      local script <const> = SCRIPT:format "while true do pcall(error) end"
      local running = server.start {
        { script, options = { "--call-timeout", longer } },
        { script, options = { "--call-timeout", 0.3, name = "shorter" } },
      }
      assert.equal("fine\n", running:connect(1):exchange("ok\n", 5))
      local rest, took = fall_into_trap(running, running:connect(2), "trap\n")
      assert.equal("", rest)
      assert.is_true(took >= 0.27 and took < 1.3, "stopped after " .. took)
      assert.equal("fine\n", running:connect(1):exchange("ok\n", 5))
      assert.equal(1, running:count_in_log "script_overrun service=shorter ")
    end
  end)

  it("does not wake up a call after one that was stopped", function()
    local running = start(SCRIPT:format "while true do pcall(forever) end")
    for _ = 1, 3 do
      fall_into_trap(running, running:connect(), "trap\n")
      local witness = running:connect()
      for _ = 1, 100 do assert.equal("fine\n", witness:exchange("ok\n", 5)) end
    end
    assert.equal(3, running:count_in_log "script_overrun service")
  end)

  it("does not count while the process is paused, which is logged as blocked", function()
    local running = start(SCRIPT:format [[
      os.execute "kill -STOP $PPID"
      for _ = 1, 1000 do pcall(error) end
    ]])
    local client = running:connect()
    client:send "trap\n"
    server.wait_until("the process is paused", function()
      local stat <close> = assert(io.open(("/proc/%d/stat"):format(running.process:pid())))
      return stat:read "a":match "%) (%a)" == "T"
    end)
    local resumed <const> = server.now() + 2 * TIMEOUT
    server.wait_until("more than the limit has passed", function() return server.now() > resumed end)
    running.process:signal(18)
    assert.equal("got through\n", client:receive(12))
    running:wait_for_log 'blocked service=script1 place="[^"]*script1.lua:%d+: [^"]*" call=execute ms='
    assert.equal(0, running:count_in_log "script_overrun")
  end)

  it("is off with 0", function()
    local running = start([[
      local parlance = require "parlance"
      return {
        request_complete = function() return true end,
        make_response = function()
          local until_then = parlance.now() + 1.2
          while parlance.now() < until_then do end
          return "patience"
        end,
      }
    ]], nil, 0)
    assert.equal("patience", running:connect():exchange_all "x")
  end)

  it("stops a script that loops while it is loaded", function()
    local folder = server.new_folder()
    finally(function() server.remove_folder(folder) end)
    local path = folder .. "/endless.lua"
    server.write_file(path, "while true do pcall(error) end\n")
    local status, _, complaint = server.run { "--call-timeout", "0.3", "--listen", "127.0.0.1:0", path }
    assert.equal(2, status)
    assert.is_truthy(complaint:find("^parlance: [^\n]*" .. path:gsub("%p", "%%%0") .. "[^\n]*call[- ]timeout[^\n]*\n$"))
  end)
end)
