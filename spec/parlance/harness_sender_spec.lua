-- A client of the harness that sends datagrams.

local harness = require "parlance.harness"
local harnessed = require "support.harnessed"
local tree = require "support.tree"

local failure_of <const> = harnessed.failure_of

-- Each datagram is "WORD REST".
local SCRIPT <const> = [[
local parlance = require "parlance"
local Words = { listen = "udp:localhost:0", amplification = 20, max_request = 1000, response_timeout = 20 }
local does = {
  list = function() return { "one", "", "three" } end,
  wait = function(_, seconds) parlance.sleep(tonumber(seconds)) return "waited " .. seconds end,
  who = function(self)
    return ("%s %s:%d %s:%d"):format(self.transport, self.client_address.host, self.client_address.port,
      self.server.host, self.server.port)
  end,
  raise = function() error "on purpose" end,
  long = function() return ("x"):rep(500) end,
}
function Words:make_response()
  local word, rest = self.request:match "^(%l+) ?(.*)$"
  return does[word] and does[word](self, rest) or nil
end
function Words:handle_error(reason) return "sorry: " .. reason end
return Words
]]

describe("a sender of the harness", function()
  local folder, path

  before_each(function()
    folder = tree.new { ["words.lua"] = SCRIPT }
    path = folder.path .. "/words.lua"
  end)

  after_each(function()
    harness.close()
    folder:remove()
  end)

  it("sends datagrams and receives what is answered, one after the other", function()
    local sender = harness.open_udp(path)
    assert.is_nil(sender:receive())
    assert.is_nil(sender:reason())
    sender:send("list", "", "nothing")
    assert.equal("one", sender:receive())
    assert.equal("", sender:receive())
    assert.equal("three", sender:receive())
    assert.is_nil(sender:receive())
    assert.equal("done", sender:reason())
    assert.equal(3, sender:requests())
  end)

  it("expects exactly these datagrams, and none", function()
    local sender = harness.open_udp(path):send("list"):expect("one", "", "three"):expect()
    assert.matches('expected 2 datagrams, and 3 have come\nexpected\n  "one"\n  ""\ngot\n  "one"\n  ""\n  "three"',
      failure_of(sender.expect, sender:send "list", "one", ""), 1, true)
    assert.matches('expected 0 datagrams, and 3 have come\nexpected\n  none\ngot\n', failure_of(sender.expect,
      sender:send "list"), 1, true)
    assert.matches('datagram 2 is not what is expected\n  expected "two"\n  got      ""',
      failure_of(sender.expect, sender:send "list", "one", "two", "three"), 1, true)
    sender:expect() -- What was compared is received.
  end)

  it("moves the time in expect, and in receive not", function()
    local sender, other = harness.open_udp(path), harness.open_udp(path)
    sender:send("wait 5", "wait 2")
    other:send("list"):expect("one", "", "three")
    assert.is_nil(sender:receive())
    sender:expect("waited 2", "waited 5")
    sender:send "wait 3"
    harness.advance(3)
    assert.equal("waited 3", sender:receive())
    sender:send("wait 30"):expect "sorry: response_timeout"
    assert.equal("response_timeout", sender:reason())
  end)

  it("has an address of its own, or a given one", function()
    harness.open_udp(path):send("who"):expect "udp 192.0.2.1:50000 127.0.0.1:8888"
    harness.open_udp(path):send("who"):expect "udp 192.0.2.1:50001 127.0.0.1:8888"
    harness.open_udp(path, { host = "2001:db8::1", port = 9, server = { host = "::1", port = 53 } })
      :send("who"):expect "udp 2001:db8::1:9 ::1:53"
  end)

  it("meets the limits of the server", function()
    local sender = harness.open_udp(path)
    sender:send(("x"):rep(1001)):expect "sorry: too_large"
    assert.same({ "too_large", "the datagram is over max_request" }, { sender:reason() })
    sender:send("long"):expect()
    assert.equal(1, #harness.log "datagram_dropped")
    assert.matches("a datagram has at most 65507 bytes", failure_of(sender.send, sender, ("x"):rep(65508)))
  end)

  it("raises the errors of the script, unless it may_fail", function()
    local sender = harness.open_udp(path)
    assert.matches("script_error: [^\n]*on purpose", failure_of(sender.send, sender, "raise"))
    sender:expect "sorry: script_error"
    sender = harness.open_udp(path, { may_fail = true }):send("raise"):expect "sorry: script_error"
    local reason, detail = sender:reason()
    assert.equal("script_error", reason)
    assert.matches("on purpose", detail)
  end)

  it("sends to a script that connections have, too, also after an edit and when the server stops", function()
    folder:add("words.lua", (SCRIPT:gsub("listen =",
      'request_complete = require("parlance.framing").line {}, close_when_done = false, listen =')))
    local client, sender = harness.open(path), harness.open_udp(path)
    assert.matches("^tcp 192", client:send("who\n"):receive())
    sender:send "wait 4"
    harness.reload()
    sender:expect "waited 4"
    sender:send "wait 4"
    harness.drain()
    sender:expect "waited 4"
  end)

  it("is called with a colon, with strings, and before the end", function()
    local sender = harness.open_udp(path)
    assert.matches("a sender are called with a colon", failure_of(sender.send, "who"))
    assert.matches("send%(%) takes strings, and this is a number", failure_of(sender.send, sender, 5))
    assert.matches("expect%(%) takes strings, and this is a nil", failure_of(sender.expect, sender, "a", nil, "b"))
    assert.matches("open_udp%(%) takes the path", failure_of(harness.open_udp, 5))
    sender:send "wait 5"
    harness.close()
    assert.matches("ended by harness.close", failure_of(sender.send, sender, "who"))
  end)
end)
