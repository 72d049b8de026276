-- Allocations that fail, one after the other, while the header of a proxy is read and its client is counted. The server
-- stays, and counts the client no more when its connection has ended.

local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"
local HEADER <const> = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

-- "fail N" has the Nth allocation from now on fail; "seen" tells how many there were, and ends that.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local P = { close_when_done = false, request_complete = framing.line {} }
function P:make_response()
  if self.request == "who" then return self.client_address.host .. "\n" end
  if self.request == "seen" then return os.setlocale "seen" .. "\n" end
  os.setlocale(self.request .. " 1")
  return "ok\n"
end
return P
]]

server.for_each_poller(function(poller)
  describe("an allocation that fails behind --accept-proxy", function()
    it("ends at most the connection that it is for", function()
      local running = server.start(SCRIPT, {
        poller = poller, binary = BINARY, listen = { "127.0.0.1:0" },
        "--accept-proxy", "127.0.0.1", "--max-connections-per-peer", "1",
      })
      local control
      -- The answer to a line that another peer sends; an allocation that fails may end its connection, too.
      local function tell(line)
        return server.wait_until("an answer to " .. line, function()
          control = control or running:connect(1, "127.0.0.2")
          local answer = control.socket:send(line .. "\n") and control.socket:receive "*l"
          if not answer then
            control:close()
            control = nil
          end
          return answer
        end)
      end
      local refused, answered = 0, 0
      for nth = 1, 60 do
        tell "who"
        control.socket:send("fail " .. nth .. "\n")
        control.socket:receive "*l"
        local client = running:connect()
        client.socket:send(HEADER:sub(1, 30))
        control.socket:send "who\n"
        control.socket:receive "*l"
        client.socket:send(HEADER:sub(31) .. "who\n")
        local answer = client.socket:receive "*l"
        tell "seen"
        if answer then answered = answered + 1 else refused = refused + 1 end
        assert.is_true(answer == nil or answer == "192.0.2.1")
        client:close()
        server.wait_until("the client to be counted no more", function()
          local next_client = running:connect()
          next_client.socket:send(HEADER .. "who\n")
          local is_answered = next_client.socket:receive "*l" == "192.0.2.1"
          next_client:close()
          return is_answered
        end)
      end
      assert.is_true(refused > 3, refused)
      assert.is_true(answered > 3, answered)
      assert.is_true(running:count_in_log 'refused [^\n]*peer=127.0.0.1 [^\n]*"not enough memory"' > 0)
    end)
  end)
end)
