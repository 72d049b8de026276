-- What all connections buffer together is bounded: those that hold the most are refused, and
-- everybody else goes on.

local server = require "support.server"

-- A length, a line feed and a body; a body that is a number N is answered with N bytes, and "same"
-- with a string that the script keeps; for "new" it is another one from then on.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local kept = ("k"):rep(6000000)
return {
  close_when_done = false,
  request_complete = framing.length_line {},
  make_response = function(self)
    if self.request == "new" then kept = ("k"):rep(6000000) end
    if self.request == "same" or self.request == "new" then return kept end
    local size = tonumber(self.request)
    return size and ("x"):rep(size) or "ok\n"
  end,
  handle_error = function(_, reason) return "!" .. reason end,
}
]]

server.for_each_poller(function(poller)
  local function start(limit)
    return server.start(SCRIPT, { "--max-buffered", limit, poller = poller, turns = true })
  end

  describe("--max-buffered", function()
    it("refuses the largest unfinished request, with last words, and no other", function()
      local running = start "1M"
      local small, middle = {}, running:connect()
      for nth = 1, 5 do small[nth] = running:connect():send("20000\n" .. ("s"):rep(10000)) end
      middle:send("500000\n" .. ("m"):rep(300000))
      local large = running:connect():send("700000\n" .. ("l"):rep(600000))
      running:turn()
      assert.equal(0, running:count_in_log " overloaded ")
      small[1]:send(("s"):rep(9999))
      running:connect():send("400000\n" .. ("a"):rep(150000))
      assert.equal("!overloaded", large:receive_all())
      running:wait_for_log " warn overloaded service=script1 "
      running:wait_for_log "closed service=script1 [^\n]*reason=overloaded "
      assert.equal("ok\n", middle:exchange(("m"):rep(200000), 3))
      assert.equal("ok\n", small[1]:exchange("s", 3))
      for nth = 2, 5 do assert.equal("ok\n", small[nth]:exchange(("s"):rep(10000), 3)) end
      assert.equal(1, running:count_in_log " overloaded service")
    end)

    it("ends whoever does not read the largest response, and no other", function()
      local running = start "10M"
      local first = running:connect():send "7\n6000000"
      running:turn()
      local second = running:connect():send "7\n6100000"
      running:wait_for_log " warn overloaded service=script1 "
      local _, how = second:receive_rest()
      assert.equal("closed", how) -- luasocket's word for a reset, too
      assert.equal(6000000, #first:receive(6000000))
      assert.equal("ok\n", first:exchange("2\nhi", 3))
      assert.equal(1, running:count_in_log " overloaded service")
    end)

    it("does not count a string anew for each that is sent the same one", function()
      local running = start "10M"
      local clients = {}
      for nth = 1, 6 do clients[nth] = running:connect():send "4\nsame" end
      running:turn()
      for nth = 1, 6 do assert.equal(6000000, #clients[nth]:receive(6000000)) end
      assert.equal(0, running:count_in_log " overloaded ")
    end)

    it("counts a string that others are still sent when the one it counted for has it", function()
      local running = start "10M"
      local quick = running:connect():send "3\nnew"
      running:turn()
      local slow = running:connect():send "4\nsame"
      running:turn()
      assert.equal(6000000, #quick:receive(6000000))
      assert.equal("ok\n", quick:exchange("2\nhi", 3))
      assert.equal(0, running:count_in_log " overloaded ")
      local last = running:connect():send "3\nnew"
      running:wait_for_log " warn overloaded service=script1 "
      last:receive_rest()
      assert.equal(6000000, #slow:receive(6000000))
      assert.equal(1, running:count_in_log " overloaded service")
    end)

    it("bounds the memory of many, none of whom is over a limit of its own", function()
      local running = start "4M"
      local before = running:memory()
      for _ = 1, 40 do running:connect():send("900000\n" .. ("x"):rep(500000)) end
      running:turn()
      assert.is_true(running:count_in_log "reason=overloaded " >= 30)
      if not server.is_sanitized then assert.is_true(running:memory() - before < 12 * 1024, running:memory()) end
      assert.equal("ok\n", running:connect():exchange("2\nhi", 3))
    end)

    it("is off with 0", function()
      local running = start(0)
      local client = running:connect():send "8\n20000000"
      assert.equal(20000000, #client:receive(20000000))
    end)
  end)
end)
