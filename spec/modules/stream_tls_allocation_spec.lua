-- timeout 300
-- Allocations that fail, one after the other, while a script begins TLS with another server. Then there is an error, or
-- a connection that is as good as any; the server stays, and nothing of the connection is left.

local server = require "support.server"
local tls = require "support.tls"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"

-- The Nth allocation from the beginning of a request on fails, which is its line. The answer tells what the script got,
-- or what it has raised.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local net = require "parlance.net"
local UP <const>, TLS <const> = %q, { ca = %q, alpn = "a,b" }
local ways = {}
function ways.connect() return net.connect(UP, { tls = TLS, reuse = true }) end
function ways.start()
  local s, why = net.connect(UP)
  if not s then return nil, why end
  return s:start_tls(TLS)
end
local function ask(way)
  local s <close>, why = ways[way]()
  if not s then return why end
  s:write "hello\n"
  local line, trouble = s:read()
  if line then assert(s.tls.version == "TLSv1.3") end
  s:release()
  return line or trouble
end
return { close_when_done = false, request_complete = framing.line { max = 100 }, make_response = function(self)
  local way, nth = self.request:match "(%%a+) (%%d+)"
  os.setlocale("fail " .. nth .. " 1")
  local ok, answer = pcall(ask, way)
  local seen = os.setlocale "seen"
  return ("%%s %%s %%s\n"):format(ok, seen, tostring(answer):gsub("\n", " "))
end }
]]

server.for_each_poller(function(poller)
  it("an allocation that fails while TLS begins is no more than an error with " .. poller, function()
    local made <const> = tls.folder()
    local pair <const> = made:certificate("web", { names = { "IP:127.0.0.1" } })
    local other <const> = server.start("protocols/upper.lua", {
      listen = { "tls:127.0.0.1:0" }, "--certificate", pair.certificate, "--key", pair.key,
    })
    local running <const> = server.start(SCRIPT:format("127.0.0.1:" .. other.addresses[1].port, pair.certificate),
      { poller = poller, binary = BINARY })
    local client
    -- An allocation that fails may end the client's connection, too.
    local function ask(line)
      client = client or running:connect()
      local answer = client.socket:send(line .. "\n") and client.socket:receive "*l"
      if answer then return answer end
      client:close()
      client = nil
    end
    for _, way in ipairs { "connect", "start" } do
      assert.matches("^true %d+ HELLO$", (ask(way .. " 0")))
      local nth, failed, seen = 1, 0, 0
      while nth < 400 and (seen == 0 or nth < seen + 10) do
        local ok, count, answer = (ask(("%s %d"):format(way, nth)) or "false 0 gone"):match "^(%a+) (%d+) (.*)$"
        if answer ~= "HELLO" then failed = failed + 1 end
        assert(ok == "false" or answer ~= "nil", answer)
        seen = tonumber(count) or 0
        nth = nth < 40 and nth + 1 or nth + nth // 16
      end
      assert.is_true(failed > 3, failed)
      assert.matches("^true %d+ HELLO$", ask(way .. " 0") or ask(way .. " 0"))
    end
    running:stop()
    made:remove()
  end)
end)
