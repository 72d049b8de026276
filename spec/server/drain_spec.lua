-- SIGTERM: what is in hand is finished, nothing new is begun.

local server = require "support.server"

local BUILD <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest")
local RELOADING_SERVER <const> = BUILD .. "/spec/reloading_server"

local MiB <const> = 1024 * 1024
local INT <const> = 2

-- A line of a number gets so many MiB; other lines come back. Standard output tells how each ended.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local parlance = require "parlance"
return {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self)
    local left = tonumber(self.request)
    if self.request:find "^busy" then
      print "busy"
      local until_then = parlance.now() + 0.4
      while parlance.now() < until_then do end
    end
    if self.request == "trickle" then -- slower than one conversation may go on in a turn
      left = 4
      return { function()
        local until_then = parlance.now() + 0.015
        while parlance.now() < until_then do end
        left = left - 1
        return left >= 0 and ("x"):rep(20000) or nil
      end }
    end
    if not left then return self.request .. "\n" end
    return { function()
      if left == 0 then return nil end
      left = left - 0.0625
      return ("x"):rep(65536)
    end }
  end,
  handle_close = function(_, reason) print(reason) end,
}
]]

server.for_each_poller(function(poller)
  local running

  before_each(function()
    running = server.start(SCRIPT, { poller = poller, turns = true })
    running:expect_end()
  end)

  -- It is to have ended well when all is said.
  local function ends_well()
    running:close_clients()
    assert.equal(0, running:wait())
    assert.is_truthy(running:log():find " stopped service=script1 ")
  end

  describe("a server that is asked to stop", function()
    it("finishes a response to a slow reader", function()
      local client = running:connect()
      client:send "24\n"
      client:receive(MiB)
      running:terminate()
      running:wait_for_log " draining connections="
      for i = 2, 24 do
        assert.equal(MiB, #client:receive(MiB))
        -- Later the rest may lie in the kernel's buffers, and then the server may be gone.
        if i <= 12 then assert.is_nil((running.process:wait(0.01))) end
      end
      assert.equal("", client:receive_all())
      ends_well()
      assert.equal("drained\n", running:output())
    end)

    it("closes idle connections as drained", function()
      local fresh, used = running:connect(), running:connect()
      assert.equal("a\n", used:exchange("a\n", 2))
      running:terminate()
      assert.equal("", fresh:receive_all())
      assert.equal("", used:receive_all())
      ends_well()
      assert.equal("drained\ndrained\n", running:output())
    end)

    it("answers a request that had come in half, and then closes", function()
      local client = running:connect():send_pieces { "hel" }
      running:terminate()
      running:wait_for_log " draining "
      assert.equal("hello\n", client:exchange("lo\n", 6))
      assert.equal("", client:receive_all())
      ends_well()
      assert.equal("drained\n", running:output())
    end)

    it("answers what lies unread in the kernel's buffer", function()
      local busy, client = running:connect(), running:connect()
      running:turn()
      busy:send "busy\n"
      server.wait_until("the call", function() return running:output():find "busy" end)
      client:send "one\ntwo\nthree\n"
      running:terminate()
      assert.equal("busy\n", busy:receive_all())
      assert.equal("one\ntwo\nthree\n", client:receive_all())
      ends_well()
    end)

    it("answers who had connected and was not accepted yet", function()
      local busy = running:connect()
      running:turn()
      busy:send "busy\n"
      server.wait_until("the call", function() return running:output():find "busy" end)
      local clients = {}
      for i = 1, 100 do clients[i] = running:connect():send(i .. "x\n") end
      running:terminate()
      assert.equal("busy\n", busy:receive_all())
      for i, client in ipairs(clients) do assert.equal(i .. "x\n", client:receive_all()) end
      ends_well()
    end)

    it("answers it also where that takes more than one turn", function()
      local busy, client = running:connect(), running:connect()
      running:turn()
      busy:send "busy\n"
      server.wait_until("the call", function() return running:output():find "busy" end)
      client:send "trickle\none\n"
      running:terminate()
      local begin = server.now()
      assert.equal(("x"):rep(80000) .. "one\n", client:receive_all())
      assert.is_true(server.now() - begin < 5)
      ends_well()
    end)

    it("answers it also where that is more than one read takes", function()
      local busy, client = running:connect(), running:connect()
      running:turn()
      busy:send "busy\n"
      server.wait_until("the call", function() return running:output():find "busy" end)
      local batch = (("y"):rep(99) .. "\n"):rep(3000)
      client:send(batch)
      running:terminate()
      local answer = client:receive_all()
      assert.equal(#batch, #answer)
      ends_well()
    end)

    it("answers pipelined requests that wait behind a response", function()
      local client = running:connect()
      client:send "16\n"
      client:receive(MiB)
      client:send_pieces { "one\ntwo\n" }
      running:terminate()
      running:wait_for_log " draining "
      client:receive(15 * MiB)
      assert.equal("one\ntwo\n", client:receive_all())
      ends_well()
    end)

    it("accepts nobody any more", function()
      local client = running:connect():send_pieces { "hel" }
      running:terminate()
      running:wait_for_log " draining "
      running.addresses[2] = running.addresses[1]
      local ok, why = pcall(running.connect, running)
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find "refused")
      assert.equal("hello\n", client:exchange("lo\n", 6))
      ends_well()
    end)

    it("does the same for SIGINT", function()
      local client = running:connect():send_pieces { "hel" }
      running.process:signal(INT)
      running:wait_for_log " draining "
      assert.equal("hello\n", client:exchange("lo\n", 6))
      ends_well()
    end)

    it("exits at once with 1 at a second signal", function()
      local client = running:connect():send_pieces { "hel" }
      running:terminate()
      running:wait_for_log " draining "
      local begin = server.now()
      running:terminate()
      assert.equal(1, running:wait())
      assert.is_true(server.now() - begin < 1)
      client:receive_rest()
    end)

    it("ends with 0 when nobody is there", function()
      running:close_clients()
      assert.equal(0, running:stop())
    end)

    it("does not wait at all for a peer that it has sent nothing to", function()
      running:connect()
      running:turn()
      running.turner:close()
      local begin = server.now()
      running:terminate()
      assert.equal(0, running:wait())
      assert.is_true(server.now() - begin < 0.8)
    end)

    it("does not wait for a peer that was idle for longer than it would wait", function()
      local client = running:connect()
      assert.equal("a\n", client:exchange("a\n", 2))
      assert.is_true(client:is_quiet(1.1))
      local begin = server.now()
      running:terminate()
      assert.equal(0, running:wait())
      assert.is_true(server.now() - begin < 0.8)
      assert.equal("", client:receive_all())
    end)

    it("does not wait for a peer that does not close its end", function()
      local client = running:connect()
      assert.equal("a\n", client:exchange("a\n", 2))
      local begin = server.now()
      running:terminate()
      assert.equal(0, running:wait())
      assert.is_true(server.now() - begin < 3)
      assert.equal("", client:receive_all())
    end)
  end)
end)

describe("a server that is asked to stop", function()
  server.cleans_up()

  it("stops after ten seconds whatever is still in hand", function()
    local running = server.start(SCRIPT)
    running:expect_end()
    local reading, writing = running:connect(), running:connect()
    reading:send "unfinished"
    writing:send "1000\n"
    writing:receive(1)
    local begin = server.now()
    running:terminate()
    assert.equal(0, running:wait(15))
    local took = server.now() - begin
    assert.is_true(took > 9 and took < 12, took)
    assert.equal("stopped\nstopped\n", running:output())
  end)

  it("stops then also where the coarse clock is behind the one that timers go by", function()
    local running = server.start({ { "\n" }, { "\n" } }, { binary = RELOADING_SERVER })
    running:expect_end()
    running:connect():send "unfinished"
    local begin = server.now()
    running:terminate()
    assert.equal(0, running:wait(15))
    local took = server.now() - begin
    assert.is_true(took > 9 and took < 12, took)
  end)

  -- Each of them keeps the server busy for as long as a call may take, and all of them at once are
  -- three times as long as a stop may take.
  local STUBBORN <const> = [[
    local framing = require "parlance.framing"
    local parlance = require "parlance"
    return {
      close_when_done = false,
      request_complete = framing.line {},
      make_response = function(self)
        if self.request == "overrun" then while true do pcall(error) end end
        self.is_ending = self.request == "ending"
        if self.is_ending then return "" end
        return { function()
          local until_then = parlance.now() + 0.4
          while parlance.now() < until_then do end
          return "x"
        end }
      end,
      handle_close = function(self)
        while self.is_ending do pcall(error) end
      end,
    }
  ]]

  it("stops in time whatever many connections keep it busy with", function()
    local stopping = {}
    for _, request in ipairs { "overrun\n", "slow\n", "ending\n" } do
      for _, poller in ipairs { "epoll", "select" } do
        local running = server.start(STUBBORN, { poller = poller, "--call-timeout", 0.5 })
        running:expect_end()
        for _ = 1, 60 do running:connect():send(request) end
        stopping[#stopping + 1] = { running, ("%s with %s"):format(request:sub(1, -2), poller), running:cpu() }
      end
    end
    for _, each in ipairs(stopping) do each[1]:terminate() end
    -- They share the processors with one another and with the rest of the machine: what counts is what each has had.
    local late, deadline = {}, server.now() + 60
    for _, each in ipairs(stopping) do
      local status, spent
      repeat
        status = each[1].process:wait(0.1)
        if not status then spent = each[1]:cpu() - each[3] end
      until status or spent > 12.5 or server.now() > deadline
      if status ~= 0 then late[#late + 1] = each[2] end
    end
    assert.same({}, late)
  end)
end)
