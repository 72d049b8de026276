-- What a server does while nobody waits: it collects garbage and gives memory back.

local server = require "support.server"

-- "fill" takes some 64 MB, "drop" lets go of them, "bytes" tells what Lua has.
local SCRIPT <const> = [[
  local framing = require "parlance.framing"
  local parlance = require "parlance"
  local kept = {}
  local does = {
    fill = function() for n = 1, 4000 do kept[n] = ("x"):rep(16000) .. n end end,
    drop = function() kept = {} end,
    bytes = function() return collectgarbage "count" // 1024 end,
    final = function() setmetatable({}, { __gc = function() parlance.log("info", "collected") end }) end,
    stop = function() collectgarbage "stop" end,
  }
  return {
    close_when_done = false,
    request_complete = framing.line {},
    make_response = function(self) return tostring(does[self.request]() or "ok") .. "\n" end,
  }
]]

describe("a server that nobody asks anything", function()
  server.for_each_poller(function(poller)
    local running, client

    before_each(function()
      running = server.start(SCRIPT, { poller = poller, "--call-timeout", 30 }) -- "fill" takes long
      client = running:connect()
    end)

    local function ask(line)
      client:send(line .. "\n")
      return client:receive_until "\n"
    end

    local function release()
      ask "fill"
      local filled = running:memory()
      ask "drop"
      return filled
    end

    -- The sanitizers keep what was freed.
    if os.getenv "PARLANCE_SERVER_ENV" == "" then
      it("gives back the memory that a script has let go of", function()
        local filled = release()
        server.wait_until("less memory", function() return running:memory() < filled - 40000 end)
      end)
    end

    it("does so while some ask now and then, too", function()
      release()
      server.wait_until("less memory", function() return tonumber(ask "bytes") < 10 end)
    end)

    it("runs finalizers", function()
      ask "final"
      running:wait_for_log "message=collected"
    end)

    it("rests when there is nothing left to do", function()
      ask "final"
      release()
      running:wait_for_log "message=collected"
      server.wait_until("half a second without work", function()
        local before = running:cpu()
        assert.is_true(client:is_quiet(0.5))
        return running:cpu() - before < 0.02
      end)
    end)

    it("leaves a collector alone that the script has stopped", function()
      ask "stop"
      ask "final"
      assert.is_true(client:is_quiet(1.5))
      assert.is_nil(running:log():match "message=collected")
    end)

    it("frees the old version of a script after an edit, without a request", function()
      server.write_file(running.folder .. "/script1.lua", SCRIPT:gsub("local kept",
        "left = setmetatable({}, { __gc = function() parlance.log('info', 'gone') end }) local kept", 1))
      running:wait_for_log "reloaded service=script1 generation=2"
      server.write_file(running.folder .. "/script1.lua", SCRIPT)
      running:wait_for_log "reloaded service=script1 generation=3"
      running:wait_for_log "message=gone"
    end)
  end)
end)
