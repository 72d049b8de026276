local server = require "support.server"

local Daytime = dofile(server.SOURCE .. "/protocols/daytime.lua")

-- "Sunday, November 22, 2026 11:32:01-UTC"
local FORM <const> = "^%u%l+day, %u%l+ %d%d, %d%d%d%d %d%d:%d%d:%d%d%-UTC\r\n$"

describe("daytime", function()
  it("tells the time", function()
    local before, said, after = os.time(), Daytime.handle_connect {}, os.time()
    assert.is_truthy(said:find(FORM), said)
    local expected = {}
    for time = before, after do expected[os.date("!%A, %B %d, %Y %H:%M:%S-UTC\r\n", time)] = true end
    assert.is_true(expected[said])
  end)

  it("needs no other function", function()
    assert.is_nil(Daytime.request_complete)
    assert.is_nil(Daytime.make_response)
  end)

  describe("through the server", function()
    server.cleans_up()
    local running

    before_each(function() running = server.start("protocols/daytime.lua", { turns = true }) end)

    it("speaks first, and closes", function()
      assert.is_truthy(running:connect():receive_all():find(FORM))
      running:wait_for_log "closed service=daytime [^\n]*reason=done requests=0\n"
    end)

    it("takes no notice of what it is told", function()
      local client = running:connect()
      client.socket:send(("x"):rep(1000))
      assert.is_truthy(client:receive_all():find(FORM))
    end)

    it("serves two at once", function()
      local first, second = running:connect(), running:connect()
      assert.is_truthy(second:receive_all():find(FORM))
      assert.is_truthy(first:receive_all():find(FORM))
    end)
  end)
end)
