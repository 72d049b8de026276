local framing = require("parlance_spec").framing.open()
local server = require "support.server"

-- A shipped script sees the modules of the server: here it is given the same framing.
package.loaded["parlance.framing"] = framing
local Echo = dofile(server.SOURCE .. "/protocols/echo.lua")

describe("echo", function()
  it("sends every line back", function()
    for _, line in ipairs { "hello", "", "\0\xff", ("x"):rep(65536) } do
      local self = { incoming = line .. "\n" }
      assert.is_true((Echo.request_complete(self)))
      assert.equal(line, self.request)
      assert.equal(line .. "\n", Echo.make_response(self))
    end
  end)

  it("waits for the line's end", function()
    assert.is_false((Echo.request_complete { incoming = "hello" }))
  end)

  it("takes one line of several", function()
    local self = { incoming = "one\ntwo\n" }
    assert.same({ true, 4 }, { Echo.request_complete(self) })
    assert.equal("one", self.request)
  end)

  describe("through the server", function()
    server.cleans_up()
    local client

    before_each(function()
      client = server.start("protocols/echo.lua", { turns = true }):connect()
    end)

    it("answers a line", function()
      assert.equal("hello\n", client:exchange("hello\n", 6))
    end)

    it("answers byte by byte", function()
      assert.equal("hello\n", client:send_bytes("hello\n"):receive(6))
    end)

    it("answers two at once, and keeps the connection", function()
      assert.equal("one\ntwo\n", client:exchange("one\ntwo\n", 8))
      assert.equal("three\n", client:exchange("three\n", 6))
    end)

    it("refuses a line of more than 64 KiB", function()
      client:send(("x"):rep(64 * 1024 + 2))
      assert.equal("", (client:receive_rest()))
    end)
  end)
end)
