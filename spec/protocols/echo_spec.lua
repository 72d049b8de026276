local harness = require "parlance.harness"
local server = require "support.server"

describe("echo", function()
  local client

  before_each(function() client = harness.open "protocols/echo.lua" end)

  it("sends every line back", function()
    for _, line in ipairs { "hello", "", "\0\xff", ("x"):rep(65536) } do
      assert.equal(line .. "\n", client:send(line .. "\n"):receive())
    end
  end)

  it("waits for the line's end", function()
    assert.equal("", client:send("hello"):receive())
    assert.equal("hello\n", client:send("\n"):receive())
  end)

  it("does not care how lines are cut, nor how many come at once", function()
    for _, pieces in ipairs(harness.cuts "one\ntwo\n\nthree\n") do
      assert.equal("one\ntwo\n\nthree\n", client:send_pieces(pieces):receive())
    end
  end)

  it("keeps the connection, until the client leaves", function()
    client:send("one\n"):send("two\nrest"):half_close()
    assert.equal("one\ntwo\n", client:receive())
    assert.is_true(client:closed())
    assert.equal("peer_closed", client:reason())
  end)

  it("refuses a line of more than 64 KiB", function()
    assert.equal("", client:send(("x"):rep(64 * 1024 + 2)):receive())
    assert.is_true(client:closed())
    assert.equal("too_large", client:reason())
  end)

  describe("through the server", function()
    server.cleans_up()

    it("answers line by line, and byte by byte", function()
      local connected = server.start("protocols/echo.lua", { turns = true }):connect()
      assert.equal("one\ntwo\n", connected:exchange("one\ntwo\n", 8))
      assert.equal("hello\n", connected:send_bytes("hello\n"):receive(6))
    end)
  end)
end)
