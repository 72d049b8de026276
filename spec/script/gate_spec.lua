-- The one way into Lua: what is raised comes out as a text, and nothing is left behind.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local function converse(script, bytes)
  local session <close> = script:open()
  local log, out = rooms.base.capture(function() return conversation.feed(session, { bytes }) end)
  return out, session:reason(), log
end

describe("gate", function()
  after_each(conversation.clean)

  for body, wanted in pairs {
    ["error 'text'"] = 'detail="[^"]*protocol.lua:3: text\\nstack traceback:\\n\\t%[C%]: in function',
    ["error('text', 0)"] = 'detail="text\\nstack traceback:',
    ["error(5)"] = 'detail="5\\nstack traceback:',
    ["error()"] = 'detail="nil\\nstack traceback:',
    ["error {}"] = 'detail="table: 0x%x+\\nstack traceback:',
    ["error(setmetatable({}, { __tostring = function() return 'shown' end }))"] = 'detail="shown\\nstack traceback:',
    ["error(setmetatable({}, { __tostring = function() error 'again' end }))"] = 'detail="an error"',
    ["error(setmetatable({}, { __tostring = function() return {} end }))"] = 'detail="an error"',
    ["error(setmetatable({}, { __name = 'Thing' }))"] = 'detail="Thing: 0x%x+\\nstack traceback:',
    ["error(('x'):rep(10000))"] = 'detail="[^"]*xxx"',
    ["error 'a\\0b'"] = 'protocol.lua:3: a',
    ["local function f() return (('x'):gsub('x', f)) end f()"] = "C stack overflow",
    ["string.rep()"] = "protocol.lua:3: bad argument #1 to 'rep' %(string expected, got no value%)",
    ["coroutine.yield()"] = "protocol.lua:3: coroutine.yield works only in",
    ["error { code = 5 }"] = 'detail="a table: { code = 5 }\\nstack traceback:',
    ["require 'parlance'.atomic(error, 'in atomic', 0)"] =
      "in atomic\\nstack traceback:\\n\\t%[C%]: in function 'error'\\n\\t%[C%]: in function 'parlance.atomic'\\n",
    ["coroutine.wrap(function() error 'inner' end)()"] = "protocol.lua:3: [^ ]*protocol.lua:3: inner",
    ["local x = nil + 1"] = "attempt to perform arithmetic on a nil value",
    ["table.unpack({}, 1, 1e8)"] = "too many results to unpack",
  } do
    it("tells of " .. body:sub(1, 60), function()
      local script = conversation.lines("if self.request == 'fine' then return 'fine' end " .. body)
      for _ = 1, 3 do
        local out, reason, log = converse(script, "fine\nfail\n")
        assert.equal("fine", out)
        assert.equal("script_error", reason)
        assert.truthy(log:find(wanted), log)
        assert.equal(1, select(2, log:gsub("\n", "")))
      end
    end)
  end

  it("leaves the server's own frame out of a traceback", function()
    local _, _, log = converse(conversation.lines "error 'x'", "fail\n")
    assert.truthy(log:find('in function <[^>]*protocol.lua:3>"\n$'), log)
  end)

  it("shows both ends of a deep stack, and not the end of one that is too deep", function()
    local script = conversation.lines [[
      local function down(n) if n == 0 then error "deep" end return 1 + down(n - 1) end
      return down(tonumber(self.request)) ]]
    local _, _, log = converse(script, "1000\n")
    assert.truthy(log:find("\\n\\t...\\t(skipping 981 levels)\\n", 1, true), log)
    assert.equal(10 + 1 + 11 + 1, select(2, log:gsub("\\n\\t", "")), log) -- one was a tail call
    _, _, log = converse(script, "100000\n")
    assert.truthy(log:find('\\n\\t...\\t(more than 16384 levels)"\n', 1, true), log)
  end)

  it("tells of a stack that overflows within the time of a call", function()
    local script = conversation.lines "local function f() return 1 + f() end f()"
    local began <const> = os.clock()
    local _, reason, log = converse(script, "fail\n")
    assert.equal("script_error", reason)
    assert.truthy(log:find("stack overflow", 1, true), log)
    assert.is_true(os.clock() - began < 1)
  end)

  it("closes the variables of a call that failed", function()
    local script = conversation.lines [[
      local shared = require "parlance".shared
      if self.request == "closed" then return tostring(shared.closed) end
      local function close(_, reason) shared.closed = reason:match "on purpose" end
      local a <close> = setmetatable({}, { __close = close })
      error "on purpose" ]]
    converse(script, "fail\n")
    assert.equal("on purpose", converse(script, "closed\n"))
  end)

  it("outlives an error in such a variable", function()
    local script = conversation.lines [[
      if self.request == "fine" then return "fine" end
      local a <close> = setmetatable({}, { __close = function() error "in close" end })
      error "on purpose" ]]
    local _, reason, log = converse(script, "fail\n")
    assert.equal("script_error", reason)
    assert.truthy(log:find("in close", 1, true), log) -- As in Lua, the last error counts.
    assert.equal("fine", converse(script, "fine\n"))
  end)

  it("is entered again when a file is closed in the middle of an entry", function()
    local script = conversation.lines [[
      return { "a", io.popen "printf b", io.open "/proc/self/comm", "c" } ]]
    local comm <close> = assert(io.open "/proc/self/comm")
    local name <const> = comm:read "a"
    assert.equal(("ab" .. name .. "c"):rep(3), converse(script, "\n\n\n"))
  end)

  it("leaves as much memory as it found", function()
    local script = conversation.lines [[
      if self.request == "fail" then error {} end
      if self.request == "count" then
        collectgarbage()
        collectgarbage()
        return collectgarbage "count" .. ""
      end
      return { "x", function() end } ]]
    local function count() return tonumber((converse(script, "count\n"))) end
    -- Lua's table of strings grows once, when there are many at a time.
    local before
    for _ = 1, 2 do
      before = count()
      for _ = 1, 200 do converse(script, "x\nfail\n") end
    end
    assert.is_true(count() - before < 2)
  end)
end)
