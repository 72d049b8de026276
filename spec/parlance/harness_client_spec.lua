-- A client of the harness: what it sends, receives and expects, and how its conversation ends.

local harness = require "parlance.harness"
local harnessed = require "support.harnessed"
local tree = require "support.tree"

local failure_of <const> = harnessed.failure_of

describe("a client of the harness", function()
  local folder, path, client

  before_each(function()
    folder = tree.new { ["lines.lua"] = harnessed.LINES }
    path = folder.path .. "/lines.lua"
    client = harness.open(path)
  end)

  after_each(function()
    harness.close()
    folder:remove()
  end)

  describe("TLS", function()
    local mail

    before_each(function()
      mail = tree.new { ["mail.lua"] = [[
        local framing = require "parlance.framing"
        local parlance = require "parlance"
        return {
          close_when_done = false,
          request_complete = framing.line {},
          make_response = function(self)
            if self.request == "tls" then
              parlance.sleep(1)
              self:start_tls()
              return "go\n"
            end
            local tls = self.tls or {}
            return ("%s %s %s\n"):format(self.transport, tls.server_name, tls.peer and tls.peer.subject)
          end,
        }]] }
    end)
    after_each(function() mail:remove() end)

    it("is there from the beginning with the option tls", function()
      local one = harness.open(mail.path .. "/mail.lua", { tls = { server_name = "a", peer = { subject = "CN=b" } } })
      assert.equal("tls a CN=b\n", one:send("x\n"):receive())
    end)

    it("begins with start_tls()", function()
      local one = harness.open(mail.path .. "/mail.lua")
      assert.equal("tcp nil nil\n", one:send("x\n"):receive())
      one:send("tls\n"):start_tls({ server_name = "a" }):expect "go\n"
      assert.equal("tls a nil\n", one:send("x\n"):receive())
    end)

    it("does not begin before the script says so", function()
      local one = harness.open(mail.path .. "/mail.lua")
      assert.matches("the script does not begin TLS", failure_of(one.start_tls, one))
      assert.matches("start_tls%(%) takes a table", failure_of(one.start_tls, one, "a"))
    end)

    it("ends the conversation when bytes come that are not secure", function()
      local one = harness.open(mail.path .. "/mail.lua", { may_fail = true })
      one:send "tls\nx\n"
      assert.equal("go\n", one:receive(3))
      assert.equal("malformed", (one:reason()))
    end)
  end)

  describe("send and receive", function()
    it("cut a request wherever the spec says", function()
      assert.equal("[hello]\n", client:send("he", "", "llo", "\n"):receive())
      assert.equal("[a]\n[b]\n", client:send_bytes("a\nb\n"):receive())
      for _, pieces in ipairs(harness.cuts "one\ntwo\n") do
        assert.equal("[one]\n[two]\n", client:send_pieces(pieces):receive())
      end
    end)

    it("give what there is, and \"\" when there is nothing", function()
      assert.equal("", client:receive())
      assert.equal("", client:send("hello"):receive())
      assert.equal("[hello]\n", client:send("\n"):receive())
      assert.equal("", client:receive())
    end)

    it("give so many bytes, and keep the rest", function()
      client:send "hello\n"
      assert.equal("[he", client:receive(3))
      assert.equal("", client:receive(0))
      assert.equal("llo]\n", client:receive())
    end)

    it("give everything up to a text", function()
      client:send "a\nb\n"
      assert.equal("[a]\n", client:receive_until "\n")
      assert.equal("[b]\n", client:receive_until "]\n")
    end)

    it("say what is there when it is not what was asked for", function()
      client:send "h\xff\"\\\n"
      assert.matches([[expected 10 bytes, but 7 bytes are there: "[h\xFF\"\\]\n"; the server has not closed]],
        failure_of(client.receive, client, 10), 1, true)
      assert.matches([[expected "\r\n", but 7 bytes]], failure_of(client.receive_until, client, "\r\n"), 1, true)
      assert.equal(7, #client:receive())
      client:send "quit\n"
      client:receive()
      assert.matches("expected 1 bytes, but nothing is there; the server has closed: done",
        failure_of(client.receive, client, 1))
    end)

    it("point at the line of the spec", function()
      local why = failure_of(function() return (client:receive(1)) end)
      assert.matches("^[^\n]*harness_client_spec%.lua:%d+: expected", why)
    end)

    it("take a whole number of bytes", function()
      for _, bad in ipairs { -1, 1.5, "1" } do
        assert.matches("receive%(%) takes", failure_of(client.receive, client, bad))
      end
    end)

    it("are called with a colon", function()
      for _, name in ipairs { "send", "receive", "receive_until", "half_close", "reset" } do
        assert.matches("called with a colon", failure_of(client[name], "x"))
      end
    end)

    it("take nothing but strings", function()
      assert.matches("send%(%) takes strings, and this is a number", failure_of(client.send, client, 1))
      local hole <const> = { "a", nil, "b" }
      assert.matches("send%(%) takes strings, and this is a nil", failure_of(client.send_pieces, client, hole))
    end)

    it("take a response of any length", function()
      assert.equal(3000 * 1024, #client:send("many 3000\n"):receive())
      client:send "many 3000\n"
      assert.equal(2000 * 1024, #client:receive(2000 * 1024))
      assert.equal(1000 * 1024, #client:receive())
    end)

    it("say that one has no end", function()
      client:send "many 1000000\n"
      assert.matches("without end", failure_of(client.receive, client))
      assert.equal("mm", client:receive(2))
    end)

    it("keep what is sent while the server does not read, in order", function()
      client:send("many 3000\n", "a", "b\n", "c\n")
      assert.equal(1, client:requests())
      assert.equal("[ab]\n[c]\n", client:receive():sub(3000 * 1024 + 1))
    end)
  end)

  describe("expect", function()
    it("takes all that was sent, and gives the client", function()
      assert.equal(client, client:send("a\n"):expect "[a]\n")
      assert.equal("", client:expect(""):receive())
    end)

    it("shows bytes that are others, side by side", function()
      local _, why = pcall(function() client:send("a\n"):expect "[a]\r\n" end)
      assert.equal([[
the server has not sent what is expected
  expected "[a]\r\n"
  got      "[a]\n"
         expected                           |  got
       0 5b 61 5d 0d 0a           [a]..     |  5b 61 5d 0a              [a].]], why:gsub("^[^\n]-:%d+: ", ""))
      assert.matches("^[^:]*harness_client_spec.lua:%d+: ", why)
      assert.equal("", client:receive())
    end)

    it("tells that nothing was sent, or that the server has closed", function()
      assert.error_matches(function() client:expect "a" end, "the server has sent nothing\n  expected \"a\"")
      client:send "quit\n"
      assert.error_matches(function() client:expect "x" end, "not sent what is expected, and has closed: done\n")
      assert.error_matches(function() client:expect(1) end, "expect%(%) takes a string, and this is a number")
    end)
  end)

  describe("the end", function()
    it("is told when everything was received", function()
      client:send "quit\n"
      assert.is_false(client:closed())
      assert.equal("done", client:reason())
      assert.equal("bye\n", client:receive())
      assert.is_true(client:closed())
      assert.equal(1, client:requests())
    end)

    it("may still be sent to, which nobody reads", function()
      assert.equal("bye\n", client:send("quit\nx\n"):send("y\n"):receive())
    end)

    it("comes after a half-close, when all was answered", function()
      assert.equal("[a]\n", client:send("a\nb"):half_close():receive())
      assert.is_true(client:closed())
      assert.equal("peer_closed", client:reason())
    end)

    it("ends by a half-close a request that waits, where the protocol says so, also behind unread bytes", function()
      folder:add("waits.lua", (harnessed.LINES:gsub("return Lines%s*$", [[
        Lines.half_close = false
        local make_response = Lines.make_response
        function Lines:make_response() require("parlance").sleep(1) return make_response(self) end
        return Lines]])))
      local lost = harness.open(folder.path .. "/waits.lua"):send("a\n", "b\n", "c\n")
      assert.is_nil(lost:reason())
      assert.equal("peer_closed", lost:half_close():reason())
      assert.equal("", lost:receive())
    end)

    it("waits with a half-close until the server reads", function()
      client:send("many 3000\n", "a\n"):half_close()
      assert.is_nil(client:reason())
      assert.equal("[a]\n", client:receive():sub(3000 * 1024 + 1))
      assert.equal("peer_closed", client:reason())
    end)

    it("lets a half-closed client send no more", function()
      assert.matches("has called half_close%(%)", failure_of(client.send, client:half_close(), "x"))
    end)

    it("has the reason and the detail of a failure", function()
      client:send(("x"):rep(102))
      assert.equal("sorry: too_large\n", client:receive())
      local reason, detail = client:reason()
      assert.equal("too_large", reason)
      assert.is_string(detail)
    end)

    it("is told to the script at once", function()
      client:send "quit\n"
      client:receive()
      assert.equal("done", harness.log("left")[1].fields.reason)
      harness.open(path):reset()
      assert.equal("peer_reset", harness.log("left")[2].fields.reason)
      harness.open(path):half_close()
      assert.equal("peer_closed", harness.log("left")[3].fields.reason)
      harness.open(path):close()
      assert.equal("peer_closed", harness.log("left")[4].fields.reason)
      harness.open(path):send("many 3000\n"):close()
      assert.equal("peer_reset", harness.log("left")[5].fields.reason)
    end)

    it("of the client's own lets it do no more", function()
      client:close()
      client:close()
      assert.is_true(client:closed())
      assert.equal("peer_closed", client:reason())
      assert.matches("this client has closed", failure_of(client.receive, client))
      local other = harness.open(path)
      other:reset()
      assert.matches("has reset the connection", failure_of(other.send, other, "x"))
    end)

    it("comes with a server that stops, when nothing is in hand", function()
      local busy = harness.open(path):send "half"
      harness.drain()
      assert.equal("drained", client:reason())
      assert.is_nil(busy:reason())
      assert.equal("[half]\n", busy:send("\n"):receive())
      assert.equal("drained", busy:reason())
    end)
  end)
end)
