-- timeout 240
-- A peer that reads slowly but steadily gets all of its response, however long that takes; one that
-- stops reading does not keep its connection.

local server = require "support.server"
local socket = require "socket"

-- "big N" is answered with N bytes, which the kernel's buffers may hold whole; `bye` closes then.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self)
    local shape, size = self.request:match "^(%a+) (%d+)"
    self.close_when_done = self.request:find "bye$" ~= nil
    if shape == "string" then return ("x"):rep(size) end
    local file = assert(io.tmpfile())
    file:seek("set", size - 1)
    file:write "x"
    file:seek "set"
    return { file }
  end,
  handle_close = function(_, reason) print(reason) end,
}
]]

-- The small window keeps the pauses short in which nothing can be taken.
local WINDOW <const> = 16384

local function connect(running, nth)
  local client = running:connect(nth)
  if not running.addresses[nth or 1].path then client.socket:setoption("recv-buffer-size", WINDOW) end
  return client
end

-- Reads 4,000 bytes each 20 ms for so long; returns how many came, how it ended if it did, the longest time between
-- two reads, and when the last one was.
local function read_slowly(client, seconds, also)
  local start <const> = server.now()
  local total, last, longest = 0, start, 0
  while server.now() < start + seconds do
    longest, last = math.max(longest, server.now() - last), server.now()
    local bytes, why, part = client.socket:receive(4000)
    total = total + #(bytes or part)
    if not bytes then return total, why, longest, last end
    if also then also() end
    socket.sleep(0.02) -- the pace, and no wait for anything
  end
  return total, nil, longest, last
end

-- A machine may be so busy that the reader does not get its turn: then another one tries. `begin` returns a server and
-- its client. Returns the server, how the reader ended if it did, and when it read last.
local function read_steadily(seconds, begin)
  for _ = 1, 10 do
    local running, client = begin()
    local _, why, longest, last = read_slowly(client, seconds)
    if longest < 0.5 then return running, why, last end
  end
  error "no reader was steady"
end

server.for_each_poller(function(poller)
  local folder, servers

  before_each(function() folder, servers = server.new_folder(), 0 end)
  after_each(function() server.remove_folder(folder) end)

  local function start(...)
    servers = servers + 1
    local listen = { "127.0.0.1:0", ("unix:%s/socket%d"):format(folder, servers) }
    return server.start(SCRIPT, { poller = poller, turns = true, listen = listen, ... })
  end

  describe("write_timeout", function()
    for nth, family in ipairs { "TCP", "a Unix socket" } do
      local shape = nth == 1 and "file" or "string"
      it("never ends a reader that is slow but steady: a " .. shape .. " over " .. family, function()
        local _, why = read_steadily(3, function()
          local running = start("--write-timeout", 1)
          return running, connect(running, nth):send(shape .. " 32000000\n")
        end)
        assert.is_nil(why)
      end)

      it("ends a reader that has been steady and stops, over " .. family, function()
        local running, why, stopped = read_steadily(1, function()
          local running = start("--write-timeout", 1)
          return running, connect(running, nth):send "string 32000000\n"
        end)
        assert.is_nil(why)
        running:wait_for_log " warn write_timeout service=script1 "
        local took = server.now() - stopped
        assert.is_true(took > 0.5 and took < 10, took)
        running:wait_for_log "closed service=script1 [^\n]*reason=write_timeout " -- behind handle_close
        assert.equal("write_timeout\n", running:output())
      end)
    end
  end)

  describe("idle_timeout", function()
    it("does not count while the kernel still delivers the last response", function()
      local running = start("--idle-timeout", 0.4)
      local client = connect(running):send "string 1000000\n"
      local total, why = read_slowly(client, 1.6)
      assert.is_nil(why, total)
      assert.equal("", running:output())
      client:receive(1000000 - total)
      running:wait_for_log "reason=idle_timeout "
    end)
  end)

  describe("a response behind which the server closes", function()
    it("comes whole to a slow reader that goes on sending", function()
      local running = start()
      local client = connect(running):send "string 2000000 bye\n"
      -- longer than a peer that has taken everything may go on sending
      local total, why = read_slowly(client, 7, function() client.socket:send "x" end)
      assert.is_nil(why, total)
      assert.equal("done\n", running:output())
      assert.equal(2000000 - total, #client:receive_all())
    end)

    it("keeps no connection of a peer that takes nothing of it", function()
      local running = start("--write-timeout", 0.2)
      local descriptors = running:descriptors()
      connect(running):send "string 1000000 bye\n"
      running:wait_for_log "reason=done "
      server.wait_until("the socket to be closed", function()
        return running:descriptors() <= descriptors
      end, 20)
    end)

    it("wakes nobody while a peer takes nothing of it and write_timeout is 0", function()
      local running = start("--write-timeout", 0)
      local other = connect(running)
      for _ = 1, 3 do connect(running):send "string 8000000\n" end
      running:turn()
      local function wakes()
        local status <close> = assert(io.open(("/proc/%d/status"):format(running.process:pid())))
        return tonumber(status:read("a"):match "voluntary_ctxt_switches:%s+(%d+)")
      end
      server.wait_until("half a second in which nobody is woken", function()
        local before = wakes()
        assert.is_true(other:is_quiet(0.5)) -- in the first ones the server still does what is behind its work
        return wakes() - before < 25
      end)
    end)
  end)

  describe("a server that is asked to stop", function()
    it("lets a slow reader have its response, which the kernel holds whole", function()
      local running = start()
      running:expect_end()
      local client = connect(running):send "string 1000000\n"
      assert.is_nil((select(2, read_slowly(client, 0.1))))
      running:terminate()
      local total, why = read_slowly(client, 1.5, function() client.socket:send "x" end)
      assert.is_nil(why, total)
      client:receive_all()
      assert.equal(0, running:wait())
    end)
  end)
end)
