local harness = require "parlance.harness"
local server = require "support.server"

-- "Sunday, November 22, 2026 11:32:01-UTC"
local FORM <const> = "^%u%l+day, %u%l+ %d%d, %d%d%d%d %d%d:%d%d:%d%d%-UTC\r\n$"

describe("daytime", function()
  for time, text in pairs {
    [0] = "Thursday, January 01, 1970 00:00:00-UTC\r\n",
    [1795347121] = "Sunday, November 22, 2026 11:32:01-UTC\r\n",
    [1709251199.9] = "Thursday, February 29, 2024 23:59:59-UTC\r\n",
  } do
    it("tells the time at " .. time, function()
      assert.equal(text, harness.open("protocols/daytime.lua", { time = time }):receive())
    end)
  end

  it("speaks first, and closes", function()
    local client = harness.open "protocols/daytime.lua"
    assert.matches(FORM, client:receive())
    assert.is_true(client:closed())
    assert.equal("done", client:reason())
    assert.equal(0, client:requests())
  end)

  it("tells each client the time at which it came", function()
    local first = harness.open "protocols/daytime.lua"
    harness.advance(61)
    local second = harness.open "protocols/daytime.lua"
    assert.matches(" 00:01:01%-UTC", second:receive())
    assert.matches(" 00:00:00%-UTC", first:receive())
  end)

  it("takes no notice of what it is told", function()
    assert.matches(FORM, harness.open("protocols/daytime.lua"):send(("x"):rep(1000)):receive())
  end)

  describe("through the server", function()
    server.cleans_up()

    it("speaks first, and closes", function()
      local running = server.start "protocols/daytime.lua"
      assert.matches(FORM, running:connect():receive_all())
      running:wait_for_log "closed service=daytime [^\n]*reason=done requests=0\n"
    end)

    it("takes no notice of what it is told", function()
      local client = server.start("protocols/daytime.lua"):connect()
      client.socket:send(("x"):rep(1000))
      assert.matches(FORM, client:receive_all())
    end)
  end)
end)
