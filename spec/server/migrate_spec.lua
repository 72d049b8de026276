-- A service that gets a new handler: who answers on the connections that there are, and when they let
-- go of the old one. What is run is spec/support/reloading_server.c.
local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/reloading_server"
local SLICE <const> = 64 -- connections in a turn
local COMMANDS <const> = 2
local CONT <const>, STOP <const> = 18, 19

server.for_each_poller(function(poller)
  local running, control

  before_each(function()
    running = server.start({ { "\n" }, { "\n" } }, { poller = poller, binary = BINARY })
    control = running:connect(COMMANDS)
  end)

  -- What the lines answer, sent at once and so done in one turn.
  local function tell(...)
    control:send(table.concat({ ... }, "\n") .. "\n")
    local answers = {}
    for i = 1, select("#", ...) do answers[i] = assert(control.socket:receive "*l") end
    return table.unpack(answers)
  end

  local function wait_for_count(wanted)
    server.wait_until("the count " .. wanted, function() return tell "count" == wanted end)
  end

  local function connect(count)
    local clients = {}
    for i = 1, count do clients[i] = running:connect() end
    return clients
  end

  it("moves what is idle without a byte from the peers, in slices", function()
    local clients = connect(3 * SLICE + 8)
    wait_for_count("1=200")
    local generation, count = tell("reload", "count")
    assert.same({ "2", "1=200 2=0" }, { generation, count })
    wait_for_count("2=200")
    assert.same({ tostring(SLICE), "0" }, { tell("most", "waits") })
    for _, client in ipairs(clients) do assert.equal("2x\n", client:exchange("x\n", 3)) end
  end)

  it("gives those that come the new one at once, though the others are not moved yet", function()
    connect(2 * SLICE)
    wait_for_count("1=128")
    tell "reload"
    for _ = 1, 20 do assert.equal("2x\n", running:connect():exchange("x\n", 3)) end
    wait_for_count("2=148")
  end)

  it("leaves a request that was begun to the one before", function()
    local client = connect(2)[1]
    client:send "a"
    wait_for_count("1=2")
    running:connect():exchange("x\n", 3) -- what was sent before is read
    tell "reload"
    wait_for_count("1=1 2=2")
    tell "reload" -- while the first one still has its request in hand
    wait_for_count("1=1 3=2")
    assert.equal("1ab\n3c\n", client:exchange("b\nc\n", 7))
    wait_for_count("3=3")
  end)

  -- All that f sends is there when the server goes on.
  local function at_once(f)
    running.process:signal(STOP)
    server.wait_until("the server to stand still", function()
      return server.read_file(("/proc/%d/stat"):format(running.process:pid())):find "%) T "
    end)
    f()
    running.process:signal(CONT)
  end

  it("goes on when the connection that would be next ends", function()
    local clients = connect(20)
    wait_for_count "1=20"
    at_once(function()
      control:send "reload\n"
      for i = 20, 11, -1 do clients[i]:reset() end -- the last one comes first
    end)
    assert.equal("2", (control.socket:receive "*l"))
    wait_for_count "2=10"
    for i = 1, 10 do assert.equal("2x\n", clients[i]:exchange("x\n", 3)) end
  end)

  it("begins anew when the handler changes again, and serves connections that come and go", function()
    for generation = 2, 6 do
      local clients = connect(3 * SLICE)
      wait_for_count(("%d=192"):format(generation - 1))
      control:send "reload\n"
      for i = #clients, 1, -1 do
        if i % 3 > 0 then clients[i]:reset() else clients[i]:close() end
      end
      assert.equal(tostring(generation), (control.socket:receive "*l"))
      wait_for_count(("%d=0"):format(generation))
    end
    connect(2 * SLICE)
    wait_for_count("6=128")
    tell("reload", "reload", "reload")
    wait_for_count("9=128")
  end)

  it("lets the new limits of time hold for what is idle", function()
    local client = connect(1)[1]
    wait_for_count("1=1")
    tell "reload 50"
    assert.equal("", client:receive_all())
    wait_for_count("2=0")
  end)
end)
