-- release only
-- serial
-- A slow sender costs what its bytes cost, where request_complete is written in Lua and says false, n.
-- A request that is 64 times as long may cost 3 times 64 times as much: a cost that grew with the
-- square of the length would be 64 times 64 times as much. It is not held to less, since the memory of
-- a long request is in no cache of the processor, and what that costs depends on the machine.
--
-- The bytes of 64 short requests are compared with as many in one: how many pieces the kernel gathers
-- for a read changes from run to run. Each request has a server of its own, since memory that was used
-- before costs less.

local server = require "support.server"

local KiB <const> = 1024
local short <const> = 2 * 1024 * KiB
local times <const> = 64
local bound <const> = 3

-- Processor time that a server takes for one request of so many bytes, sent in pieces of 1 KiB.
local function cost(size)
  local running = server.start("protocols/length_sep_body.lua", { "--max-request", "512M" })
  local client = running:connect()
  local before = running:cpu()
  client:send(size .. "\n")
  local piece = ("x"):rep(KiB)
  for _ = 1, size // KiB do client:send(piece) end
  assert.equal(size, #client:receive(size))
  local spent = running:cpu() - before
  server.stop_all()
  return spent
end

describe("length_sep_body", function()
  server.cleans_up()

  it("takes time in proportion to the bytes of a request", function()
    local many, one, rounds = math.huge, math.huge, 0
    -- The least of several, because what disturbs a measurement only adds to it.
    repeat
      rounds = rounds + 1
      local sum = 0
      for _ = 1, times do sum = sum + cost(short) end
      many, one = math.min(many, sum), math.min(one, cost(times * short))
    until rounds >= 2 and one <= bound * many or rounds == 8
    assert.is_true(one <= bound * many, ("%.3f s for 64 times 2 MiB, %.3f s for 128 MiB"):format(many, one))
  end)
end)
