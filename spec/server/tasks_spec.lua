-- parlance.every() by the clock of a running server.

local server = require "support.server"

-- `at_load` stands before; a line is answered with what it says is to be told.
local function script(at_load)
  return ([[
    local framing = require "parlance.framing"
    local parlance = require "parlance"
    local ran, began, last = 0, parlance.now(), nil
    local Lines = { close_when_done = false, request_complete = framing.line {} }
    function Lines:make_response()
      if self.request == "busy" then
        local stop = parlance.now() + 0.15
        while parlance.now() < stop do end
      end
      return ran .. "\n"
    end
    local function count() ran = ran + 1 parlance.log("info", "ran", { n = ran }) end
    %s
    return Lines]]):format(at_load)
end

describe("parlance.every", function()
  server.for_each_poller(function(poller)
    local function start(at_load, options)
      options = options or {}
      options.poller = poller
      return server.start(script(at_load), options)
    end

    it("runs while nobody is connected", function()
      local running = start "parlance.every(0.01, count)"
      running:wait_for_log "message=ran n=20\n"
    end)

    it("runs beside requests that never end", function()
      local running = start "parlance.every(0.01, count)"
      local client = running:connect()
      client:send(("busy\n"):rep(8))
      local counts = {}
      for place = 1, 8 do counts[place] = tonumber(client:receive_until "\n") end
      assert.is_true(counts[8] > counts[1])
    end)

    it("lets requests go on, however much it has to do", function()
      local running = start [[
        for _ = 1, 50 do
          parlance.every(0.001, function() local stop = parlance.now() + 0.005 while parlance.now() < stop do end end)
        end]]
      local client = running:connect()
      for _ = 1, 5 do client:exchange("\n", 2) end
    end)

    it("does not wake the server when there is nothing to run", function()
      local running = start "parlance.every(1000, count) parlance.every(0.01, count):cancel()"
      local client = running:connect()
      client:exchange("\n", 2)
      assert.is_true(client:is_quiet(0.2))
      assert.equal("0\n", client:exchange("\n", 2))
      local before = running:cpu()
      assert.is_true(client:is_quiet(0.5))
      assert.is_true(running:cpu() - before < 0.05)
    end)

    it("goes on while the server drains, and ends with the last connection", function()
      local running = start "parlance.every(0.01, count)"
      local client = running:connect()
      client:send "unfinished"
      running:wait_for_log "message=ran"
      running:terminate()
      running:wait_for_log "draining"
      local before = running:count_in_log "message=ran"
      server.wait_until("runs while draining", function()
        return running:count_in_log "message=ran" > before + 3
      end)
      client:send "\n"
      client:receive_all()
      assert.equal(0, (running:wait()))
      running:expect_end()
    end)

    it("follows the edits of a script", function()
      local running = start "parlance.every(0.01, function() parlance.log('info', 'one') end)"
      running:wait_for_log "message=one"
      server.write_file(running.folder .. "/script1.lua",
        script "parlance.every(0.01, function() parlance.log('info', 'two') end)")
      running:wait_for_log "message=two.*message=two"
      assert.is_nil(running:log():match "message=two.*message=one")
    end)
  end)

  it("of one script does not run for another", function()
    local running = server.start {
      { script "parlance.every(0.01, count)" },
      { script "parlance.every(0.03, count)" },
      { script "" },
    }
    running:wait_for_log "service=script1 message=ran n=5\n"
    running:wait_for_log "service=script2 message=ran n=5\n"
    assert.equal("0\n", running:connect(3):exchange("\n", 2))
  end)
end)
