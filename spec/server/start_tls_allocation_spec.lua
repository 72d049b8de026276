-- Allocations that fail, one after the other, while TLS begins behind a response. The server stays, and what it has of
-- the connection ends with it.

local server = require "support.server"
local tls = require "support.tls"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"

-- "fail N" has the Nth allocation from now on fail; "seen" tells how many there were, and ends that.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local P = { close_when_done = false, request_complete = framing.line { max = 1000 } }
function P:make_response()
  if self.request == "STARTTLS" then self:start_tls() return "go\n" end
  if self.request == "SHOW" then return self.tls.version .. "\n" end
  if self.request == "seen" then return os.setlocale "seen" .. "\n" end
  os.setlocale(self.request .. " 1")
  return "ok\n"
end
return P
]]

server.for_each_poller(function(poller)
  it("an allocation that fails while TLS begins ends at most the connection that it is for", function()
    local made <const> = tls.folder()
    local pair = made:certificate "web"
    local running = server.start(SCRIPT, {
      poller = poller, binary = BINARY, "--certificate", pair.certificate, "--key", pair.key,
    })
    -- The answer to a line that another client sends; an allocation that fails may end its connection, too.
    local control
    local function tell(line)
      return server.wait_until("an answer to " .. line, function()
        control = control or running:connect()
        local answer = control.socket:send(line .. "\n") and control.socket:receive "*l"
        if not answer then
          control:close()
          control = nil
        end
        return answer
      end)
    end
    local failed, answered = 0, 0
    local nth = 1
    while nth < 400 do
      local client = running:connect()
      tell "seen"
      control.socket:send("fail " .. nth .. "\n")
      control.socket:receive "*l"
      local answer
      if client.socket:send "STARTTLS\n" and client.socket:receive "*l" == "go" and tls.wrap(client) then
        answer = client.socket:send "SHOW\n" and client.socket:receive "*l"
      end
      tell "seen"
      assert.is_true(not answer or answer:find "^TLSv1%.%d$" ~= nil, answer)
      if answer then answered = answered + 1 else failed = failed + 1 end
      client:close()
      nth = nth < 40 and nth + 1 or nth + nth // 8
    end
    assert.is_true(failed > 3, failed)
    assert.is_true(answered > 1, answered)
    made:remove()
  end)
end)
