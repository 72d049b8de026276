-- parlance.spawn() by the clock of a running server: limits, draining, hot edits.

local server = require "support.server"

-- `at_load` stands before; a line is a piece of Lua that is run.
local function script(at_load)
  return ([[
    local framing = require "parlance.framing"
    parlance = require "parlance"
    function closing(name)
      return setmetatable({}, { __close = function(_, why) parlance.log("info", name .. " " .. tostring(why)) end })
    end
    function work(name)
      local x <close> = closing(name)
      parlance.log("info", name .. " began")
      parlance.sleep(100)
    end
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() return tostring((assert(load(self.request))(self))) .. "\n" end
    %s
    return Lines]]):format(at_load or "")
end

describe("parlance.spawn", function()
  server.for_each_poller(function(poller)
    local function start(at_load, ...) return server.start(script(at_load), { "--poller", poller, ... }) end

    it("runs while nobody is connected", function()
      local running = start "parlance.spawn(function() parlance.sleep(0.01) parlance.log('info', 'done') end)"
      running:wait_for_log "message=done"
    end)

    it("answers a request that waits for it", function()
      local running = start()
      local client = running:connect()
      client:send "return select(2, parlance.spawn(function() parlance.sleep(0.05) return 'done' end):wait())\n"
      assert.equal("done\n", client:receive_until "\n")
    end)

    it("wakes two hundred requests that wait for one task", function()
      local running = start "task = parlance.spawn(function() parlance.sleep(0.1) return 'done' end)"
      local clients = {}
      for i = 1, 200 do
        clients[i] = running:connect()
        clients[i]:send "return select(2, task:wait())\n"
      end
      for i = 1, 200 do assert.equal("done\n", clients[i]:receive_until "\n") end
    end)

    it("lets requests go on, however many there are that never wait", function()
      local running = start [[
        local function again() parlance.spawn(again) end
        for _ = 1, 100 do again() end]]
      local client = running:connect()
      for _ = 1, 20 do assert.equal("1\n", client:exchange("return 1\n", 2)) end
    end)

    it("goes on while the server drains, and is cancelled when the last connection is gone", function()
      local running = start "parlance.spawn(work, 'background')"
      local client = running:connect()
      client:exchange("parlance.spawn(work, 'of a request')\n", 4)
      running:wait_for_log "message=\"of a request began\""
      client:send "return 'unfin"
      running:terminate()
      running:wait_for_log "draining"
      assert.equal(0, running:count_in_log "cancelled")
      client:send "ished'\n"
      assert.equal("unfinished\n", client:receive_all())
      assert.equal(0, (running:wait()))
      running:wait_for_log "message=\"background cancelled\""
      running:wait_for_log "message=\"of a request cancelled\""
      running:expect_end()
    end)

    it("is cancelled by an edit only where the version has made it in the background", function()
      local running = start "parlance.spawn(work, 'background')"
      local client = running:connect()
      client:exchange("parlance.spawn(work, 'of a request')\n", 4)
      server.write_file(running.folder .. "/script1.lua", script "parlance.spawn(work, 'second')")
      running:wait_for_log "message=\"second began\""
      running:wait_for_log "message=\"background cancelled\""
      assert.equal(0, running:count_in_log "of a request cancelled")
    end)

    it("is limited by --max-tasks", function()
      local running = start(nil, "--max-tasks", "2")
      local client = running:connect()
      client:send "for _ = 1, 3 do ok, why = pcall(parlance.spawn, parlance.sleep, 9) end return why\n"
      assert.equal("spawn: too many tasks\n", client:receive_until "\n")
    end)
  end)
end)
