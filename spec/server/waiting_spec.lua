-- Scripts that wait, by the clock of a running server: many at once, beside others, while the server stops, and with a
-- peer that takes nothing.

local server = require "support.server"

local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local parlance = require "parlance"
local Lines = { close_when_done = false, request_complete = framing.line {}, idle_timeout = 0 }
local function sleep_for(seconds)
  local held <close> = setmetatable({}, { __close = function(_, why) if why then print(tostring(why)) end end })
  print "waits"
  parlance.sleep(seconds)
end
function Lines:make_response()
  local times, busy_for = self.request:match "^busy (%S+) (%S+)$"
  for _ = 1, times or 0 do
    local start = parlance.now()
    while parlance.now() - start < tonumber(busy_for) do end
    parlance.sleep(0.001)
  end
  if times then return "done\n" end
  local seconds, then_says = self.request:match "^(%S+) (.*)$"
  if self.request:find "^stream" then
    local left = 3
    return { "begun ", function()
      parlance.sleep(0.01)
      left = left - 1
      return left >= 0 and left .. " " or nil
    end, "\n" }
  end
  sleep_for(tonumber(seconds))
  return then_says .. "\n"
end
function Lines:handle_connect() parlance.sleep(0.01) return "hello\n" end
function Lines:handle_error(why) parlance.sleep(0.01) return why .. "\n" end
function Lines:handle_close(why) print("closed " .. why) end
return Lines
]]

server.for_each_poller(function(poller)
  describe("a script that waits in a server", function()
    local running

    local function start(options)
      options = options or {}
      options.poller = poller
      running = server.start(SCRIPT, options)
    end

    local function connect()
      local client = running:connect()
      assert.equal("hello\n", client:receive_until "\n")
      return client
    end

    local function waits_for(text)
      server.wait_until(text, function() return running:output():find(text, 1, true) end)
    end

    it("answers two hundred that wait at once", function()
      start()
      local clients, began = {}, server.now()
      for i = 1, 200 do clients[i] = connect() end
      for i = 1, 200 do clients[i]:send(("0.5 %d\n"):format(i)) end
      for i = 1, 200 do assert.equal(i .. "\n", clients[i]:receive_until "\n") end
      assert.is_true(server.now() - began < 50) -- one after the other they take 100 s
    end)

    it("answers another client meanwhile", function()
      start()
      local slow, other = connect(), connect()
      slow:send "1000 late\n"
      waits_for "waits"
      assert.equal("now\n", other:exchange("0 now\n", 4))
    end)

    it("takes 64 KiB at most of what its client sends meanwhile", function()
      local path = os.tmpname()
      os.remove(path)
      start { listen = { "unix:" .. path } }
      local client = connect()
      client:send "1000 late\n"
      waits_for "waits"
      -- What a Unix socket holds is known: so many bytes of the sender.
      local file <close> = assert(io.open "/proc/sys/net/core/wmem_default")
      local kernel = file:read "n"
      client.socket:settimeout(0)
      local total, tries = 0, 0
      repeat
        local sent, _, partly = client.socket:send(("x"):rep(65536))
        sent = sent or partly
        total = total + sent
        tries = sent > 0 and 0 or tries + 1
        if sent == 0 then client.socket:settimeout(0.01) client.socket:receive(1) client.socket:settimeout(0) end
      until tries == 20 or total > 10000000
      assert.is_true(total >= 65536 and total <= kernel + 65536, total)
    end)

    it("has call_timeout anew behind each wait", function()
      start { "--call-timeout", 0.4 }
      local client = connect()
      client:send "busy 8 0.06\n"
      assert.equal("done\n", client:receive_until "\n")
    end)

    it("waits in the functions of a response", function()
      start()
      assert.equal("begun 2 1 0 \n", connect():exchange("stream\n", 13))
    end)

    it("drains: what waits is answered", function()
      start()
      local client = connect()
      client:send "0.3 late\n"
      waits_for "waits"
      running:terminate()
      assert.equal("late\n", client:receive_all())
      assert.equal(0, (running:wait()))
      assert.truthy(running:output():find("closed drained", 1, true))
    end)

    it("is cancelled when the time for draining is over", function()
      start { "--drain-timeout", "0.1" }
      local client = connect()
      client:send "1000 late\n"
      waits_for "waits"
      running:terminate()
      assert.equal(0, (running:wait()))
      assert.truthy(running:output():find("cancelled\nclosed stopped", 1, true), running:output())
      client:close()
    end)

    it("is cancelled after response_timeout", function()
      start { "--response-timeout", "0.1" }
      local client = connect()
      assert.equal("response_timeout\n", client:exchange_all "1000 late\n")
      waits_for "closed response_timeout"
      assert.truthy(running:output():find("cancelled\n", 1, true))
      running:wait_for_log "warn response_timeout service="
    end)
  end)
end)
