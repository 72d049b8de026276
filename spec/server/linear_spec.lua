-- release only
-- serial
-- A slow sender costs what its bytes cost: four times the bytes, at most four and a half times the
-- time, where request_complete is written in Lua and says false, n.

local server = require "support.server"

local MiB <const> = 1024 * 1024

-- Processor time that a server takes for one request of so many bytes, sent in pieces of 1 KiB.
local function cost(size)
  local running = server.start("protocols/length_sep_body.lua", { "--max-request", "512M" })
  local client = running:connect()
  local before = running:cpu()
  client:send(size .. "\n")
  local piece = ("x"):rep(1024)
  for _ = 1, size // 1024 do client:send(piece) end
  assert.equal(size, #client:receive(size))
  local spent = running:cpu() - before
  server.stop_all()
  return spent
end

describe("length_sep_body", function()
  server.cleans_up()

  it("takes four times the time for four times the bytes", function()
    local short, long, rounds = math.huge, math.huge, 0
    -- The least of several, because what disturbs a measurement only adds to it.
    repeat
      rounds = rounds + 1
      short, long = math.min(short, cost(8 * MiB)), math.min(long, cost(32 * MiB))
    until rounds >= 3 and long <= 4.5 * short or rounds == 15
    assert.is_true(long <= 4.5 * short, ("%.3f s for 8 MiB, %.3f s for 32 MiB"):format(short, long))
  end)
end)
