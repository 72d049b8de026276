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
