local harness = require "parlance.harness"
local server = require "support.server"

describe("upper", function()
  local client

  before_each(function() client = harness.open "protocols/upper.lua" end)

  it("answers every line in capitals", function()
    for line, answer in pairs {
      ["hello"] = "HELLO\n", [""] = "\n", ["MiXed 123"] = "MIXED 123\n", ["a\0b"] = "A\0B\n",
    } do
      assert.equal(answer, client:send(line .. "\n"):receive())
    end
  end)

  it("waits for the line's end", function()
    assert.equal("", client:send("hello"):receive())
  end)

  it("does not care how lines are cut, nor how many come at once", function()
    for _, pieces in ipairs(harness.cuts "one\ntwo\n") do
      assert.equal("ONE\nTWO\n", client:send_pieces(pieces):receive())
    end
  end)

  it("refuses a line of more than 1 KiB", function()
    assert.equal("", client:send(("x"):rep(1024 + 2)):receive())
    assert.equal("too_large", client:reason())
  end)

  describe("through the server", function()
    server.cleans_up()

    it("answers line by line, and byte by byte", function()
      local connected = server.start("protocols/upper.lua", { turns = true }):connect()
      assert.equal("ONE\nTWO\n", connected:exchange("one\ntwo\n", 8))
      assert.equal("HELLO\n", connected:send_bytes("hello\n"):receive(6))
    end)
  end)
end)
