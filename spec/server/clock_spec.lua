-- Limits of time count from when something happens, also where a call into a script has taken long.

local server = require "support.server"

-- "busy" keeps the server for 1.4 s, which is told when it begins; "big" does, too, and is answered with 8 MiB.
local SCRIPT <const> = [[
  local framing = require "parlance.framing"
  local parlance = require "parlance"
  local big = ("x"):rep(1 << 23)
  return {
    close_when_done = false,
    request_complete = framing.line {},
    make_response = function(self)
      if self.request == "busy" or self.request == "big" then
        parlance.log("info", "busy")
        local stop = parlance.now() + 1.4
        while parlance.now() < stop do end
      end
      return self.request == "big" and big or self.request .. "\n"
    end,
  }
]]

describe("a call that takes longer than a limit of time", function()
  server.for_each_poller(function(poller)
    local function start(...)
      return server.start(SCRIPT, { poller = poller, "--call-timeout", "10", ... })
    end

    it("leaves the peer its write_timeout for the response", function()
      local running = start("--write-timeout", "1")
      local client = running:connect()
      client:send "big\n"
      assert.equal(1 << 23, #client:receive(1 << 23))
      assert.is_nil(running:log():match "write_timeout")
    end)

    it("leaves each of several peers that it held up its write_timeout", function()
      local running = start("--write-timeout", "1")
      local clients = {}
      for place = 1, 3 do clients[place] = running:connect() end
      for _, client in ipairs(clients) do client:send "big\n" end
      local left = {}
      for _, client in ipairs(clients) do
        client.socket:settimeout(0)
        left[client] = 1 << 23
      end
      server.wait_until("all responses", function()
        for client, length in pairs(left) do
          local _, why, part = client.socket:receive(length)
          local got = part and #part or length
          assert.is_true(why == nil or why == "timeout", why)
          left[client] = length > got and length - got or nil
        end
        return next(left) == nil
      end)
    end)

    it("leaves the peer its idle_timeout after the response", function()
      local running = start("--idle-timeout", "1")
      local client = running:connect()
      assert.equal("busy\n", client:exchange("busy\n", 5))
      local answered = server.now()
      assert.equal("", client:receive_all())
      assert.is_true(server.now() - answered > 0.6)
    end)

    it("does not take a peer for idle whose request came meanwhile", function()
      local running = start("--idle-timeout", "1")
      local busy, other = running:connect(), running:connect()
      assert.equal("a\n", other:exchange("a\n", 2))
      busy:send "busy\n"
      running:wait_for_log "message=busy"
      assert.equal("b\n", other:exchange("b\n", 2))
    end)

    it("does not take a peer for slow whose rest of a request came meanwhile", function()
      local running = start("--request-timeout", "1", "--max-request", "1000000")
      local busy, other = running:connect(), running:connect()
      other:send "unfini"
      busy:send "busy\n"
      running:wait_for_log "message=busy"
      local rest = ("s"):rep(300000) .. "hed\n"
      assert.equal("unfini" .. rest, other:exchange(rest, #rest + 6))
    end)
  end)
end)
