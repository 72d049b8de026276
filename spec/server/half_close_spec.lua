-- Peers that stop sending, and peers that break.

local server = require "support.server"

-- A request is everything up to the end.
local TO_THE_END <const> = [[
io.stdout:setvbuf "no"
return {
  request_complete = function(self)
    print(#self.incoming, tostring(self.eof))
    return self.eof == true
  end,
  make_response = function(self) return self.incoming:reverse() end,
  handle_close = function(_, reason) print(reason) end,
}
]]

-- Each line gets a stream of so many bytes.
local BULK <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line { max = 100 },
  make_response = function(self)
    local left = tonumber(self.request)
    return { function()
      if left == 0 then return nil end
      local length = math.min(left, 65536)
      left = left - length
      return ("x"):rep(length)
    end }
  end,
}
]]

server.for_each_poller(function(poller)
  local function start(script)
    return server.start(script, { poller = poller, turns = true })
  end

  describe("a peer that has stopped sending", function()
    it("has its unfinished request asked about once more, with eof", function()
      local running = start(TO_THE_END)
      local client = running:connect():send_pieces { "abc", "def" }
      client:half_close()
      assert.equal("fedcba", client:receive_all())
      assert.equal("3\tnil\n6\tnil\n6\ttrue\ndone\n", running:output())
    end)

    it("is asked about once more although false, n said that more was needed", function()
      local running = start [[
        return {
          request_complete = function(self)
            if self.eof then return true end
            return false, 100
          end,
          make_response = function(self) return self.incoming end,
        }
      ]]
      assert.equal("abc", running:connect():exchange_all "abc")
    end)

    it("is not asked about when nothing is buffered", function()
      local running = start(TO_THE_END)
      assert.equal("", running:connect():exchange_all "")
      running:wait_for_log "reason=peer_closed"
      assert.equal("peer_closed\n", running:output())
    end)

    it("is closed as peer_closed when its request stays unfinished", function()
      local running = start("protocols/length_sep_body.lua")
      assert.equal("", running:connect():exchange_all "5\nhel")
      running:wait_for_log "closed service=length_sep_body [^\n]*reason=peer_closed requests=0\n"
    end)

    it("has handle_error's words when eof makes its request malformed", function()
      local running = start [[
        return {
          request_complete = function(self)
            if self.eof then return nil, "cut short" end
            return false
          end,
          make_response = function() end,
          handle_error = function(_, _, detail) return detail end,
        }
      ]]
      assert.equal("cut short", running:connect():exchange_all "abc")
    end)

    it("still gets the responses that it asked for before", function()
      local running = start(BULK)
      local client = running:connect()
      client:send "3000000\n7\n2000000\n"
      client:half_close()
      assert.equal(5000007, #client:receive_all())
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_closed requests=3\n"
    end)

    it("gets them even when its end comes long after its requests", function()
      local running = start(BULK)
      local client = running:connect()
      client:send "20000000\n5\n"
      client:receive(1)
      client:half_close()
      assert.equal(20000004, #client:receive_all())
    end)
  end)

  describe("a peer that breaks the connection", function()
    it("in the middle of its request ends as peer_reset", function()
      local running = start(TO_THE_END)
      local client = running:connect():send_pieces { "abc" }
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      server.wait_until("handle_close", function() return running:output():find "peer_reset\n$" end)
    end)

    it("in the middle of its response ends as peer_reset, and all is given up", function()
      local running = start(BULK)
      local before = running:descriptors()
      local client = running:connect()
      client:send "1000000000\n"
      client:receive(100000)
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      local other = running:connect()
      assert.equal("xxx", other:exchange("3\n", 3))
      other:close()
      running:turn()
      server.wait_until("the descriptors", function() return running:descriptors() <= before + 1 end)
    end)

    it("by closing with unread bytes ends as peer_reset", function()
      local running = start(BULK)
      local client = running:connect()
      client:send "1000000000\n"
      client:receive(1)
      client:close()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
    end)

    it("before anything was said ends too", function()
      local running = start(BULK)
      running:connect():reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_%l+ requests=0\n"
    end)
  end)
end)
