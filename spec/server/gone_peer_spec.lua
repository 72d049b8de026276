-- Peers that are gone, or have stopped sending, while the script waits.

local server = require "support.server"

-- "wait N" waits for so long, "read" for a line, "write N" until so many bytes are written.
-- "big N" answers with so many bytes. "push N" is sent to the first connection.
-- What is cancelled is printed, and why each connection has ended.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local parlance = require "parlance"
local first
local Lines = { close_when_done = false, request_complete = framing.line {} }
local function wait(seconds, how)
  local held <close> = setmetatable({}, { __close = function(_, why) if why then print(tostring(why)) end end })
  print "waits";
  (how or parlance.sleep)(seconds)
end
function Lines:handle_connect()
  first = first or self
  %s
end
function Lines:make_response()
  local word, number = self.request:match "^(%%a+) ?([%%d.]*)$"
  number = tonumber(number)
  if word == "big" then return ("x"):rep(number) end
  if word == "push" then return tostring(first:send(("x"):rep(number))) .. "\n" end
  if word == "stream" then return { "begun\n", function() wait(number) end } end
  if word == "read" then wait(number, function() self:read "l" end) end
  if word == "write" then wait(number, function() self:write(("x"):rep(number)) end) end
  if word == "subscribe" then
    parlance.topic "room":subscribe(self)
    return "subscribed\n"
  end
  wait(number)
  return "late\n"
end
function Lines:handle_close(why) print("closed " .. why) end
%s
return Lines
]]

local ENDS <const> = "Lines.half_close = false"

server.for_each_poller(function(poller)
  local running

  local function start(rest, on_connect, listen)
    running = server.start(SCRIPT:format(on_connect or "", rest or ""), { poller = poller, listen = listen })
  end

  local function waits_for(text)
    server.wait_until(text, function() return running:output():find(text, 1, true) end)
  end

  local function waiting(line)
    local client = running:connect()
    client:send(line or "wait 1000\n")
    waits_for "waits"
    return client
  end

  describe("a peer that resets the connection ends the task", function()
    it("of a request that waits", function()
      start()
      waiting():reset()
      waits_for "cancelled\nclosed peer_reset"
    end)

    it("with requests behind it that were not read", function()
      start()
      local client = waiting()
      client:send "wait 1\nwait 2\n"
      client:reset()
      waits_for "cancelled\nclosed peer_reset"
    end)

    it("of a function of a response", function()
      start()
      waiting("stream 1000\n"):reset()
      waits_for "cancelled\nclosed peer_reset"
    end)

    it("of handle_connect", function()
      start("", "wait(1000)")
      local client = running:connect()
      waits_for "waits"
      client:reset()
      waits_for "cancelled\nclosed peer_reset"
    end)

    it("while bytes wait that it was sent", function()
      start("Lines.max_unsent = 1 << 26")
      local client = waiting()
      assert.equal("true\n", running:connect():exchange("push 50000000\n", 5))
      client:receive(1)
      client:reset()
      waits_for "cancelled\nclosed peer_reset"
    end)
  end)

  it("a peer on a Unix socket that closes is gone", function()
    local path = os.tmpname()
    os.remove(path)
    start("", "", { "unix:" .. path })
    waiting():close()
    waits_for "cancelled\nclosed peer_reset"
  end)

  describe("a peer that has stopped sending", function()
    it("gets its answer", function()
      start()
      local client = running:connect()
      assert.equal("late\n", client:exchange_all "wait 0.2\n")
      waits_for "closed peer_closed"
    end)

    it("gets the answer of handle_connect", function()
      start("", "wait(0.2) return 'welcome\\n'")
      assert.equal("welcome\n", running:connect():exchange_all "")
      waits_for "closed peer_closed"
    end)

    it("is closed when it has nothing in hand, also when it has subscribed", function()
      start()
      assert.equal("subscribed\n", running:connect():exchange_all "subscribe\n")
      waits_for "closed peer_closed"
    end)
  end)

  describe("with half_close = false a peer that has stopped sending is gone", function()
    it("while its request waits", function()
      start(ENDS)
      waiting():half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("by closing, too", function()
      start(ENDS)
      waiting():close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("behind requests that were not read", function()
      start(ENDS)
      local client = waiting()
      client:send "wait 1\nwait 2\n"
      client:half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("while a function of a response waits", function()
      start(ENDS)
      local client = waiting "stream 1000\n"
      assert.equal("begun\n", client:receive(6))
      client:half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("while its request waits for it: in self:read", function()
      start(ENDS)
      waiting("read\n"):half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("while its request waits for it: in self:write", function()
      start(ENDS)
      waiting("write 30000000\n"):half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("while handle_connect waits", function()
      start(ENDS, "wait(1000)")
      local client = running:connect()
      waits_for "waits"
      client:half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("while bytes wait that it was sent", function()
      start(ENDS .. " Lines.max_unsent = 1 << 26")
      local client = waiting()
      assert.equal("true\n", running:connect():exchange("push 50000000\n", 5))
      client:half_close()
      waits_for "cancelled\nclosed peer_closed"
    end)

    it("but not while its response is sent", function()
      start(ENDS)
      local client = running:connect()
      assert.equal(20000000, #client:exchange_all "big 20000000\n")
      waits_for "closed peer_closed"
    end)

    it("in a service of http.serve", function()
      running = server.start([[
        io.stdout:setvbuf "no"
        local http, parlance = require "parlance.http", require "parlance"
        return http.serve(function()
          local x <close> = setmetatable({}, { __close = function(_, why) print(why) end })
          print "waits"
          parlance.sleep(1000)
        end)]], { poller = poller })
      waiting("GET / HTTP/1.1\r\nHost: a\r\n\r\n"):close()
      waits_for "cancelled"
      running:wait_for_log "reason=peer_closed"
    end)

    it("unless the service says half_close = true", function()
      running = server.start([[
        local http, parlance = require "parlance.http", require "parlance"
        return http.serve(function()
          parlance.sleep(0.2)
          return 200, nil, "late"
        end, { half_close = true })]], { poller = poller })
      assert.matches("late$", running:connect():exchange_all "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    end)
  end)
end)
