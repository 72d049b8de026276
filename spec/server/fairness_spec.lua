-- However much one connection has to do, the others get their turn, and so does its own output.

local server = require "support.server"

-- How long anybody has to wait, at most, while another is being served; on a machine that has other
-- things to do.
local SOON <const> = 0.5

-- Requests are lines; `busy(ms)` takes so long.
local LINES <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local function busy(ms)
  local until_then = parlance.now() + ms / 1000
  while parlance.now() < until_then do end
end
local P = { close_when_done = false, request_complete = framing.line {} }
function P:make_response()
  if self.request == "ping" then return "pong\n" end
  %s
end
return P
]]

-- The same without a framing.
local BY_HAND <const> = [[
local parlance = require "parlance"
local P = { close_when_done = false }
function P:request_complete()
  local line_feed = self.incoming:find("\n", 1, true)
  self.line = self.incoming:sub(1, line_feed)
  return line_feed ~= nil, line_feed
end
function P:make_response()
  if self.line == "ping\n" then return "pong\n" end
  local until_then = parlance.now() + 0.001
  while parlance.now() < until_then do end
  return self.line
end
return P
]]

local MiB <const> = 1024 * 1024

local function numbered_lines(count)
  local all = {}
  for number = 1, count do all[number] = ("%05d\n"):format(number) end
  return table.concat(all)
end

server.for_each_poller(function(poller)
  local running, greedy, other

  local function start(script, options)
    options = options or {}
    options.poller = poller
    running = server.start(script, options)
    greedy, other = running:connect(), running:connect()
  end

  -- The other one is answered so many times, each time soon, however the first keeps the server busy.
  local function others_are_answered(count, question, answer)
    for nth = 1, count or 10 do
      local begin = server.now()
      assert.equal(answer or "pong\n", other:exchange(question or "ping\n", #(answer or "pong\n")))
      local took = server.now() - begin
      assert.is_true(took < SOON, ("answer %d took %.3f s"):format(nth, took))
    end
  end

  describe("tens of thousands of small requests, each of a millisecond", function()
    for name, script in pairs {
      ["a framing"] = LINES:format "busy(1) return self.request .. '\\n'",
      ["request_complete in Lua"] = BY_HAND,
    } do
      it("leave others their turn, with " .. name, function()
        local requests <const> = numbered_lines(40000)
        start(script)
        greedy:send(requests)
        others_are_answered()
        -- They have gone on meanwhile, in order.
        assert.equal(requests:sub(1, 600), greedy:receive(600))
      end)
    end

    it("do not pile up in the server while they come faster than they are answered", function()
      local piece <const>, most <const> = ("x\n"):rep(50000), 64 * MiB
      start(LINES:format "busy(1) return '.'")
      others_are_answered(1)
      local memory, total = running:memory(), 0
      for _ = 1, 5 do
        total = total + greedy:send_until_full(function() return total < most and piece or nil end, 0.05)
        others_are_answered(1)
      end
      assert.is_true(total < most, "the server has taken all of it")
      local grown = running:memory() - memory
      assert.is_true(server.is_sanitized or grown < 2048, ("grew by %d KiB"):format(grown))
    end)
  end)

  describe("a function of a response", function()
    it("that takes a millisecond for each byte, for ever, leaves others their turn", function()
      start(LINES:format "return { function() busy(1) return 'x' end }")
      greedy:send "endless\n"
      others_are_answered()
      assert.equal(("x"):rep(50), greedy:receive(50))
    end)

    it("that takes its time for pieces worth sending leaves others their turn", function()
      start(LINES:format "return { function() busy(15) return ('x'):rep(16384) end }")
      greedy:send "endless\n"
      others_are_answered(5)
      assert.equal(("x"):rep(16384), greedy:receive(16384))
    end)

    it("that has nothing to say for a long time leaves others their turn", function()
      start(LINES:format [[
        local count = 0
        return { function() busy(3) count = count + 1 return count % 100 == 0 and 'x' or '' end }
      ]])
      greedy:send "endless\n"
      others_are_answered(3)
    end)

    it("that is slow has each of its pieces sent before it makes the next", function()
      start(LINES:format "return { function() busy(50) return 'tick\\n' end }")
      greedy:send "endless\n"
      for nth = 1, 8 do
        local begin = server.now()
        assert.equal("tick\n", greedy:receive(5))
        local took = server.now() - begin
        assert.is_true(took < SOON, ("piece %d took %.3f s"):format(nth, took))
      end
      others_are_answered(3)
    end)
  end)

  describe("hundreds of thousands of empty requests behind a big one", function()
    -- Sends a body of so many bytes and then the others; returns the processor time of all of them.
    local function converse(size)
      local body <const>, empty <const> = ("b"):rep(size), ("0\n"):rep(100000)
      local before = running:cpu()
      greedy:send(size .. "\n" .. body)
      for _ = 1, 3 do
        greedy:send(empty)
        others_are_answered(2, "4\nping", "ping")
      end
      greedy:send "3\nend"
      others_are_answered(3, "4\nping", "ping")
      assert.is_true(body .. "end" == greedy:receive(#body + 3))
      return running:cpu() - before
    end

    -- What is yet to come is not copied for each of them.
    it("leave others their turn, all are answered, and each costs little", function()
      start [[
        local framing = require "parlance.framing"
        return {
          close_when_done = false,
          request_complete = framing.length_line {},
          make_response = function(self) return self.request end,
        }
      ]]
      local framed = converse(1)
      start "protocols/length_sep_body.lua"
      local by_hand = converse(1000000)
      assert.is_true(server.is_sanitized or by_hand < 10 * framed + 0.2,
        ("%.3f s, and with a framing %.3f s"):format(by_hand, framed))
    end)
  end)
end)
