-- protocols/ticker.lua: a client that does not read, and an edit. What it says otherwise is in its transcripts.

local harness = require "parlance.harness"
local server = require "support.server"

describe("ticker", function()
  it("closes a client that does not read, and tells the others", function()
    local sleeper = harness.open("protocols/ticker.lua", { read_ahead = 0, max_unsent = 10 })
    local reader = harness.open "protocols/ticker.lua"
    for second = 1, 3 do
      harness.advance(1)
      assert.equal(second .. " s\n", reader:receive())
    end
    assert.equal("slow_reader", sleeper:reason())
  end)

  server.for_each_poller(function(poller)
    it("goes on with its count when it is edited", function()
      local source = server.read_file(server.SOURCE .. "/protocols/ticker.lua")
      local running = server.start(source, { poller = poller, name = "ticker" })
      local client = running:connect()
      assert.equal("1 s\n", client:receive_until "\n")
      server.write_file(running.folder .. "/ticker.lua", (source:gsub("%%d s", "%%d seconds")))
      assert.equal("2 seconds\n", client:receive_until "\n")
    end)
  end)
end)
