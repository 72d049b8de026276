-- Tests what a transcript cannot express: time, limits, and requests that a loop makes. The server's own code runs in
-- this process, without a network, and harness.advance() moves the clock, so no test waits. The harness closes all
-- connections at the end of each test.
--     busted

local harness = require "parlance.harness"

describe("NAME", function()
  local client

  before_each(function() client = harness.open "NAME.lua" end)

  it("greets whoever says hello", function()
    client:send "hello Ada\n"
    assert.equal("Hello, Ada!\n", client:receive())
  end)

  it("waits for the end of the line", function()
    client:send "hello A"
    assert.equal("", client:receive())
    client:send "da\n"
    assert.equal("Hello, Ada!\n", client:receive())
  end)

  it("knows each client by its own name", function()
    local names = { "Ada", "Grace", "Edsger" }
    local clients = {}
    for place, name in ipairs(names) do
      clients[place] = harness.open "NAME.lua"
      clients[place]:send("hello " .. name .. "\n")
      clients[place]:receive()
    end
    for place, name in ipairs(names) do
      clients[place]:send "who\n"
      assert.equal("You are " .. name .. ".\n", clients[place]:receive())
    end
  end)

  it("refuses a line that is too long", function()
    client:send(("x"):rep(513) .. "\n")
    assert.equal("! too_large\n", client:receive())
    assert.is_true(client:closed())
  end)

  it("does not wait for ever for the rest of a line", function()
    client:send "hel"
    harness.advance(31)
    assert.equal("! request_timeout\n", client:receive())
    assert.is_true(client:closed())
  end)
end)
