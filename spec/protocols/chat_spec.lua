local harness = require "parlance.harness"
local server = require "support.server"

describe("chat", function()
  local function enter(name)
    local client = harness.open "protocols/chat.lua"
    client:receive()
    assert.equal(("Welcome, %s. Type /quit to leave.\n"):format(name), client:send(name .. "\n"):receive())
    return client
  end

  it("sends what one says to all, and to nobody who has no name yet", function()
    local ada, bob = enter "ada", enter "bob"
    local guest = harness.open "protocols/chat.lua"
    guest:receive()
    assert.equal("* bob has come\n[ada] hello\n", ada:send("hello\n"):receive())
    assert.equal("[ada] hello\n", bob:receive())
    assert.equal("", guest:receive())
  end)

  it("tells who has left, and why", function()
    local ada, bob, eve = enter "ada", enter "bob", enter "eve"
    ada:receive()
    bob:reset()
    assert.equal("* bob has left (peer_reset)\n", ada:receive())
    eve:send "/quit\n"
    assert.equal("* eve has left (quit)\n", ada:receive())
    enter "bob"
  end)

  it("refuses a line that is too long", function()
    local ada = enter "ada"
    ada:send(("x"):rep(1001))
    assert.equal("too_large", ada:reason())
  end)

  server.for_each_poller(function(poller)
    it("serves, keeps its members when it is edited, and closes who does not read", function()
      local source = server.read_file(server.SOURCE .. "/protocols/chat.lua")
      local running = server.start(source, { poller = poller, name = "chat", "--max-unsent", "100K" })
      local function connect(name)
        local client = running:connect()
        client:receive_until "name?\n"
        client:send(name .. "\n")
        client:receive_until "leave.\n"
        return client
      end
      local ada, bob = connect "ada", connect "bob"
      assert.equal("* bob has come\n", ada:receive_until "\n")
      ada:send "hello\n"
      assert.equal("[ada] hello\n", bob:receive_until "\n")
      local file <close> = assert(io.open(running.folder .. "/chat.lua", "w"))
      file:write((source:gsub("%[%%s%]", "<%%s>")))
      file:close()
      running:wait_for_log "info reloaded service=chat"
      ada:send "hello\n"
      assert.equal("<ada> hello\n", bob:receive_until "\n")
      local seen = ""
      for _ = 1, 100000 do -- bob reads no more
        ada:send(("x"):rep(900) .. "\n")
        seen = ada:receive_until "\n"
        if seen:find "left" then break end
      end
      assert.equal("* bob has left (slow_reader)\n", seen)
    end)
  end)
end)
