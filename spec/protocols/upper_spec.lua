local framing = require("parlance_spec").framing.open()
local server = require "support.server"

package.loaded["parlance.framing"] = framing
local Upper = dofile(server.SOURCE .. "/protocols/upper.lua")

describe("upper", function()
  it("answers every line in capitals", function()
    for line, answer in pairs {
      ["hello"] = "HELLO\n", [""] = "\n", ["MiXed 123"] = "MIXED 123\n", ["a\0b"] = "A\0B\n",
    } do
      local self = { incoming = line .. "\n" }
      assert.is_true((Upper.request_complete(self)))
      assert.equal(answer, Upper.make_response(self))
    end
  end)

  it("waits for the line's end", function()
    assert.is_false((Upper.request_complete { incoming = "hello" }))
  end)

  describe("through the server", function()
    server.cleans_up()
    local client

    before_each(function()
      client = server.start("protocols/upper.lua", { turns = true }):connect()
    end)

    it("answers a line", function()
      assert.equal("HELLO\n", client:exchange("hello\n", 6))
    end)

    it("answers byte by byte", function()
      assert.equal("HELLO\n", client:send_bytes("hello\n"):receive(6))
    end)

    it("answers two at once, and keeps the connection", function()
      assert.equal("ONE\nTWO\n", client:exchange("one\ntwo\n", 8))
      assert.equal("THREE\n", client:exchange("three\n", 6))
    end)

    it("refuses a line of more than 1 KiB", function()
      client:send(("x"):rep(1024 + 2))
      assert.equal("", (client:receive_rest()))
    end)
  end)
end)
