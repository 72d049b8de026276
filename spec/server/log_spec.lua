-- A log that nobody reads: the server goes on, and tells later what is missing.

local server = require "support.server"

-- Requests are lines: "fail" is an error of the script, a number writes so many lines of the log,
-- each of them with its place in it and, if there is one, so much text behind it.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local place = 0
return {
  close_when_done = false,
  request_complete = framing.line { max = 100 },
  make_response = function(self)
    if self.request == "fail" then error "on purpose" end
    local count, size = self.request:match "^(%d+) ?(%d*)$"
    for _ = 1, tonumber(count or 0) do
      place = place + 1
      parlance.log("info", ("x"):rep(tonumber(size) or 0), { place = place })
    end
    return "ok\n"
  end,
  handle_error = function() return "failed\n" end,
}
]]

-- The numbers of the lines that the script has written, and how many lines are missing by the log's
-- own account; raises when there is anything else in it.
local function account(log)
  local places, lost = {}, 0
  assert.is_truthy(log:find "\n$")
  for line in log:gmatch "([^\n]*)\n" do
    assert.is_truthy(line:find "^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z %l+ [%l_]+ ", line)
    assert.is_nil(line:find("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z ", 2), "two lines in one, of which one is cut")
    local place = line:match " script service=script1 message=%S+ place=(%d+)"
    if place then places[#places + 1] = tonumber(place) end
    lost = lost + tonumber(line:match " lines_lost_before=(%d+)$" or 0)
  end
  return places, lost
end

server.for_each_poller(function(poller)
  local running

  before_each(function()
    running = server.start(SCRIPT, { poller = poller, log_pipe = true })
    running:read_log(false)
  end)

  describe("a log that goes to a pipe which nobody reads", function()
    it("does not stop the server, and tells when it is read again how many lines were lost", function()
      local witness = running:connect()
      for nth = 1, 2000 do
        local client = running:connect()
        assert.equal("failed\n", client:exchange("fail\n", 7))
        client:close()
        if nth % 100 == 0 then assert.equal("ok\n", witness:exchange("0\n", 3)) end
      end
      running:read_log(true)
      server.wait_until("a line that was not lost", function()
        assert.equal("ok\n", witness:exchange("1\n", 3))
        return running:log():find " lines_lost_before="
      end)
      local _, lost = account(running:log())
      assert.is_true(lost >= 1000, lost .. " lines were lost")
    end)

    for name, size in pairs { ["short lines"] = 1, ["lines of nearly 4 KiB"] = 3800 } do
      it("has each line whole or not at all, and the account is right: " .. name, function()
        local client, total = running:connect(), 3000
        assert.equal("ok\n", client:exchange(("%d %d\n"):format(total, size), 3))
        running:read_log(true)
        server.wait_until("a line that was not lost", function()
          assert.equal("ok\n", client:exchange("1 1\n", 3))
          total = total + 1
          return running:log():find(" place=" .. total, 1, true)
        end)
        local places, lost = account(running:log())
        assert.equal(total, #places + lost)
        assert.equal(total, places[#places])
        assert.is_true(lost > 0)
      end)
    end
  end)
end)

describe("the lines about failures", function()
  server.cleans_up()

  local LINES <const> = [[
    local framing = require "parlance.framing"
    return {
      close_when_done = false,
      request_complete = %s,
      make_response = function(self)
        if self.request == "loud" then error("loud " .. os.clock()) end
        if self.request == "boom" then
          error "the bug that the operator looks for"
        end
        return "ok\n"
      end,
      handle_error = function(_, _, detail) return "!" .. detail .. "\n" end,
    }
  ]]

  local function start(framing, ...)
    return server.start(LINES:format(framing or "framing.line { max = 8 }"), { ... })
  end

  -- Until one of them is left out, so that there is no room for a line more.
  local function flood(running, bytes, event)
    for _ = 1, 60 do running:connect():exchange_all(bytes) end
    running:wait_for_log(" " .. event .. " ")
  end

  it("that peers cause hide no error of the script, and its errors none of another place", function()
    for _, noise in ipairs { { "too long for a line\n", "too_large" }, { "loud\n", "script_error" } } do
      local running = start()
      for _ = 1, 3 do
        flood(running, table.unpack(noise))
        running:connect():exchange_all "boom\n"
      end
      assert.equal(3, running:count_in_log "the bug that the operator looks for")
      assert.is_true(running:count_in_log(noise[2] .. " service=script1 ") < 180)
    end
  end)

  it("show no more of the peers' bytes than --log-bytes says", function()
    local SHOWN <const> = {
      [0] = 'buffered=12 detail=', [3] = 'buffered=12 hex="73 65 63" text=sec detail=',
      [1024] = 'buffered=12 hex="73 65 63 72 65 74 20 77 6f 72 64 0a" text="secret word\\n" detail=',
    }
    for bytes, shown in pairs(SHOWN) do
      local running = start(nil, "--log-bytes", bytes)
      running:connect():exchange_all "secret word\n"
      running:wait_for_log " too_large service=script1 "
      assert.is_truthy(running:log():find(shown, 1, true), running:log())
    end
  end)

  it("show none of them with --log-bytes 0, also where Redis quotes one to the client", function()
    local running = start("framing.resp {}", "--log-bytes", 0)
    assert.equal("!Protocol error: expected '$', got 'X'\n", running:connect():exchange_all "*1\r\nX\r\n")
    running:wait_for_log " malformed [^\n]* detail=\"Protocol error: expected '%$'\"\n"
  end)
end)
