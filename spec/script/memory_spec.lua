-- The limit on the memory of a script: it costs a call, not the server.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local LIMIT <const> = 2 * 1024 * 1024

local function script(body, more)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local P = { close_when_done = false, request_complete = framing.netstring {}, max_request = 1 << 30 }
    function P:make_response()
      if self.request == "fine" then return "fine\n" end
      %s
    end
    %s
    return P]]):format(body, more or ""), { memory_limit = LIMIT, call_timeout = 20000 })
end

local function converse(service, pieces)
  local session <close> = service:open()
  local log, out = rooms.base.capture(function() return conversation.feed(session, pieces) end)
  return out, session:reason(), log
end

describe("memory limit", function()
  after_each(conversation.clean)

  for fact, body in pairs {
    ["a long string"] = "return ('x'):rep(4 << 20)",
    ["a table that grows"] = "local t = {} while true do t[#t + 1] = #t end",
    ["many small strings"] = "local t = {} for i = 1, 1e9 do t[i] = 'number ' .. i end",
    ["many coroutines"] = "local t = {} for i = 1, 1e9 do t[i] = coroutine.wrap(print) end",
    ["a concatenation"] = "local s = 'x' while true do s = s .. s end",
    ["a coroutine that takes it"] = "return coroutine.wrap(function() return ('x'):rep(4 << 20) end)()",
    ["a function of the response"] = "return { function() return ('x'):rep(4 << 20) end }",
  } do
    it("fails a call that takes too much: " .. fact, function()
      local service = script(body)
      for _ = 1, 3 do
        local out, reason, log = converse(service, { "4:fine,4:much,4:fine," })
        assert.equal("fine\n", out)
        assert.equal("out_of_memory", reason)
        assert.truthy(log:find(" error out_of_memory .*not enough memory"), log)
        assert.equal("fine\nfine\n", converse(service, { "4:fine,4:fine," }))
      end
    end)
  end

  it("is told to the last words", function()
    local service = script("return ('x'):rep(4 << 20)", "function P:handle_error(reason) return reason end")
    assert.equal("out_of_memory", (converse(service, { "4:much," })))
  end)

  it("can be caught by the script like any error", function()
    local service = script("return tostring(select(2, pcall(string.rep, 'x', 4 << 20)))")
    assert.equal("not enough memory", (converse(service, { "4:much," })))
  end)

  it("holds for a request that does not fit into the script's memory", function()
    local service = script "return #self.request .. ''"
    local body <const> = ("x"):rep(3 << 20)
    local out, reason = converse(service, { #body .. ":" .. body .. "," })
    assert.equal("", out)
    assert.equal("out_of_memory", reason)
    assert.equal("fine\n", converse(service, { "4:fine," }))
  end)

  it("lets garbage go before it refuses", function()
    local service = script "local n = 0 for _ = 1, 50 do n = n + #('x'):rep(1 << 19) end return n .. ''"
    assert.equal(tostring(50 << 19), (converse(service, { "4:much," })))
  end)

  it("is not reached by conversations that come and go", function()
    local service = script "self.kept = ('x'):rep(100000) return ''"
    for _ = 1, 100 do
      local out, reason = converse(service, { "4:much,4:fine," })
      assert.equal("fine\n", out)
      assert.equal("none", reason)
    end
  end)

  it("that is too small for the script at all is told when it is loaded", function()
    local service, reason = conversation.load("return {}", { memory_limit = 20000 })
    assert.is_nil(service)
    assert.truthy(reason:find("not enough memory", 1, true), reason)
    local endless <const> = "local t = {} while true do t[#t + 1] = {} end"
    service, reason = conversation.load(endless, { memory_limit = LIMIT, call_timeout = 20000 })
    assert.is_nil(service)
    assert.truthy(reason:find("not enough memory", 1, true), reason)
  end)

  describe("that is reached for good", function()
    -- "fill" takes memory until there is not even room for a small string, and keeps it; "flush" gives it up.
    local FULL <const> = [[
      local framing = require "parlance.framing"
      local parlance = require "parlance"
      local shared = parlance.shared
      local P = { close_when_done = false, request_complete = framing.line {} }
      local function flush() shared.held = nil end
      function P:make_response()
        if self.request == "flush" then parlance.atomic(flush) return "flushed\n" end
        if self.request == "ping" then return "%s\n" end
        if self.request == "fail" then error "on purpose" end
        for size = 16, 4, -1 do
          pcall(function()
            while true do shared.held = { shared.held, ("x"):rep(1 << size) .. parlance.now() } end
          end)
        end
        return "full\n"
      end
      function P:handle_connect() return "hello\n" end
      function P:handle_error(reason) return reason .. "\n" end
      return P]]

    local function open()
      local service = conversation.script(FULL:format "pong", { memory_limit = LIMIT, call_timeout = 20000 })
      local session <close> = service:open()
      local _, out = rooms.base.capture(function() return conversation.feed(session, { "fill\n" }) end)
      assert.matches("^hello\n", out)
      return service
    end

    local function say(service, line)
      local session <close> = service:open { host = "192.0.2.7" }
      local log, out = rooms.base.capture(function() return conversation.feed(session, { line .. "\n" }) end)
      return out, log
    end

    it("connections are accepted and answered", function()
      local service = open()
      for _ = 1, 50 do assert.equal("hello\npong\n", (say(service, "ping"))) end
    end)

    it("last words are said, and errors are told in full", function()
      local service = open()
      local out, log = say(service, "fail")
      assert.equal("hello\nscript_error\n", out)
      assert.truthy(log:find("on purpose\\nstack traceback:", 1, true), log)
    end)

    it("what is atomic can make room", function()
      local service = open()
      assert.equal("hello\nflushed\n", (say(service, "flush")))
      assert.equal("hello\npong\n", (say(service, "ping")))
    end)

    it("a new version can be loaded", function()
      local service = open()
      local file <close> = assert(io.open(service:path(), "wb"))
      file:write((FULL:format "pong again"))
      file:close()
      local result, log
      log = rooms.base.capture(function() result = service:reload(true, 1000) end)
      assert.equal("reloaded", result, log)
      assert.equal("hello\npong again\n", (say(service, "ping")))
    end)
  end)
end)
