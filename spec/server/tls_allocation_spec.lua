-- timeout 300
-- Allocations that fail, ours and OpenSSL's: in a conversation over TLS, and while certificates
-- are read again. The server stays, keeps no descriptor, and what a client gets is whole or cut off.

local server = require "support.server"
local tls = require "support.tls"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"

-- "fail N" has the Nth allocation from now on fail; "seen" tells how many there were, and ends that.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local P = { close_when_done = false, request_complete = framing.line {} }
function P:make_response()
  local plan = self.request:match "^fail .*"
  if plan then os.setlocale(plan .. " 1") return "ok\n" end
  if self.request == "seen" then return os.setlocale "seen" .. "\n" end
  if not self.tls then return "ready\n" end
  return { self.tls.version, (" "):rep(20000), self.tls.server_name, "\n" }
end
return P
]]

-- There are some hundred of them, or thousands: so many are tried, with the same distance between them.
local TRIED <const> = server.is_sanitized and 100 or 400

describe("an allocation that fails", function()
  local made, pair, running, control

  before_each(function()
    made = tls.folder()
    pair = made:certificate "web.example"
    control = nil
    running = server.start(SCRIPT, {
      binary = BINARY, listen = { "tls:127.0.0.1:0", "127.0.0.1:0" },
      "--certificate", pair.certificate, "--key", pair.key,
    })
  end)

  after_each(function()
    made:remove()
  end)

  -- The answer to a line that another peer sends; an allocation that fails may end its connection, too.
  local function tell(line)
    return server.wait_until("an answer to " .. line, function()
      control = control or running:connect(2)
      local answer = control.socket:send(line .. "\n") and control.socket:receive "*l"
      if not answer then
        control:close()
        control = nil
      end
      return answer
    end)
  end

  -- The answer itself may be what fails.
  local function fail(nth)
    tell "ready"
    if control.socket:send("fail " .. nth .. "\n") and control.socket:receive "*l" then return end
    control:close()
    control = nil
  end

  -- Returns what a client gets; nil: it was cut off.
  local function converse(protocol)
    local connection = running:connect()
    local client = tls.wrap(connection, { protocol = protocol, server_name = "web.example" })
    local answer = client and client.socket:send "hello\n" and client.socket:receive "*l"
    connection:close()
    return answer
  end

  for protocol, version in pairs { tlsv1_2 = "TLSv1.2", tlsv1_3 = "TLSv1.3" } do
    it("in a conversation over " .. version .. " ends at most this conversation", function()
      local whole <const> = version .. (" "):rep(20000) .. "web.example"
      assert.equal(whole, converse(protocol))
      tell "ready"
      local descriptors = running:descriptors()
      local cut, answered, nth, last = 0, 0, 1, 0
      repeat
        fail(nth)
        local answer = converse(protocol)
        last = math.max(last, tonumber(tell "seen"))
        if answer then answered = answered + 1 else cut = cut + 1 end
        assert.is_true(answer == nil or answer == whole, answer and answer:gsub(" +", " "))
        nth = nth + 1 + last // TRIED
      until nth > last
      assert.is_true(cut > 3 and answered > 3, cut .. " " .. answered)
      assert.equal(whole, converse(protocol))
      server.wait_until("the descriptors to close", function() return running:descriptors() <= descriptors end)
    end)
  end

  it("while certificates are read again changes nothing", function()
    local whole <const> = "TLSv1.3" .. (" "):rep(20000) .. "web.example"
    tell "ready"
    local refused, reloaded, nth, last = 0, 0, 1, 0
    repeat
      fail(nth)
      running.process:signal(1)
      server.wait_until("the certificates to be read", function()
        local now_refused = running:count_in_log " certificates_refused "
        local now_reloaded = running:count_in_log " certificates_reloaded "
        local is_read = now_refused > refused or now_reloaded > reloaded
        refused, reloaded = now_refused, now_reloaded
        return is_read
      end)
      last = math.max(last, tonumber(tell "seen"))
      assert.equal(whole, converse "tlsv1_3")
      nth = nth + 1 + last // TRIED
    until nth > last
    assert.is_true(refused > 3 and reloaded > 3, refused .. " " .. reloaded)
    assert.is_truthy(running:log():find("not enough memory", 1, true))
  end)
end)
