-- Listeners for datagrams: each datagram is a request, and each string of its response a datagram to the sender.

local luasocket = require "socket"
local server = require "support.server"

local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local parlance = require "parlance"
local topic = parlance.topic "all"
local Datagrams = { request_complete = framing.line {}, close_when_done = false, %s }
local kept
local does = {
  list = function() return { "one", "", "three" } end,
  none = function() end,
  wait = function(self, seconds) parlance.sleep(tonumber(seconds)) return "waited " .. self.incoming end,
  raise = function() error "on purpose" end,
  number = function() return 5 end,
  file = function() return { "a", io.tmpfile() } end,
  send = function(self) return ("%%s %%s"):format(self:send "first", "second") end,
  keep = function(self) kept = self return "kept" end,
  kept = function()
    local is_sent, why = kept:send "late"
    return table.concat({ tostring(kept.request), tostring(is_sent), why }, " ")
  end,
  subscribe = function(self) topic:subscribe(self) end,
  read = function(self) self:read(1) end,
  write = function(self) self:write "x" end,
  large = function(_, count) return { ("x"):rep(tonumber(count)), "after" } end,
  too_large = function(self)
    local is_sent, why = self:send(("x"):rep(70000))
    return tostring(is_sent) .. " " .. why
  end,
  connections = function() return tostring(#parlance.connections()) end,
  close = function(self) self:close() return "closing" end,
  many = function(_, count) local all = {} for i = 1, count do all[i] = tostring(i) end return all end,
}
function Datagrams:make_response()
  local name, rest = self.request:match "^(%%S+) ?(.*)$"
  if does[name] then return does[name](self, rest) end
  return ("%%s %%q %%q from %%s by %%s"):format(self.transport, self.request, self.incoming or "none",
    self.client_address.host, self.server.host)
end
function Datagrams:handle_connect() print "connect" end
function Datagrams:handle_error(why, detail) return why .. ": " .. detail:match "^[^\n]*" end
function Datagrams:handle_close(why) print("close " .. why) end
return Datagrams
]]

server.for_each_poller(function(poller)
  describe("datagrams with " .. poller, function()
    local running, peers

    before_each(function() peers = {} end)
    after_each(function() for _, peer in ipairs(peers) do peer:close() end end)

    local function start(fields, options)
      options = options or {}
      options.poller = poller
      options.listen = options.listen or { "udp:127.0.0.1:0" }
      running = server.start(SCRIPT:format(fields or ""), options)
    end

    -- Returns a socket whose peer is the nth address of the server.
    local function peer_to(nth, host)
      local address = running.addresses[nth or 1]
      local from, port = address.text:match "^udp:%[?(.-)%]?:(%d+)$"
      local peer = from:find ":" and luasocket.udp6() or luasocket.udp4()
      peer:settimeout(server.DEADLINE)
      assert(peer:setpeername(host or from, tonumber(port)))
      peers[#peers + 1] = peer
      return peer
    end

    -- Sends a datagram, and returns the next `count` answers.
    local function ask(peer, datagram, count)
      assert(peer:send(datagram))
      local answers = {}
      for i = 1, count or 1 do answers[i] = assert(peer:receive()) end
      return table.unpack(answers)
    end

    it("answers each, an empty one too, and does not ask request_complete", function()
      start()
      local peer = peer_to()
      assert.equal('udp "hello" "hello" from 127.0.0.1 by 127.0.0.1', ask(peer, "hello"))
      assert.equal('udp "two\\\nlines" "two\\\nlines" from 127.0.0.1 by 127.0.0.1', ask(peer, "two\nlines"))
      assert.equal('udp "" "" from 127.0.0.1 by 127.0.0.1', ask(peer, ""))
    end)

    it("serves connections beside them, with the same script", function()
      start(nil, { listen = { "udp:127.0.0.1:0", "127.0.0.1:0" } })
      assert.equal('tcp "hello"', running:connect(2):exchange("hello\n", #'tcp "hello"'))
      assert.equal('udp "hello" "hello" from 127.0.0.1 by 127.0.0.1', ask(peer_to(), "hello"))
    end)

    it("tells a Unix socket, too", function()
      local path = os.tmpname()
      os.remove(path)
      start(nil, { listen = { "unix:" .. path } })
      assert.truthy(running:connect():exchange("hello\n", 5):find "^unix ")
    end)

    for _, address in ipairs { { "udp:[::1]:0", "::1" }, { "udp:0.0.0.0:0", "127.0.0.7" }, { "udp:[::]:0", "::1" } } do
      it(("answers from %s on %s"):format(address[2], address[1]), function()
        start(nil, { listen = { address[1] } })
        assert.truthy(ask(peer_to(1, address[2]), "x"):find '^udp "x" "x" from ')
      end)
    end

    it("sends each string of a list as a datagram, and none for nil", function()
      start()
      local peer = peer_to()
      assert.same({ "one", "", "three" }, { ask(peer, "list", 3) })
      assert(peer:send "none")
      assert.equal("1", ask(peer, "many 1"))
    end)

    it("sends more than one batch has", function()
      start()
      local answers = { ask(peer_to(), "many 100", 100) }
      assert.same({ "1", "100" }, { answers[1], answers[100] })
    end)

    it("has no connect and no close, and no connection", function()
      start()
      assert.equal("0", ask(peer_to(), "connections"))
      assert.equal("closing", ask(peer_to(), "close"))
      assert.equal("", running:output())
    end)

    it("asks handle_error, whose answer is a datagram", function()
      start()
      local peer = peer_to()
      assert.truthy(ask(peer, "raise"):find "^script_error: .*on purpose$")
      assert.truthy(ask(peer, "number"):find "returned a number %(5%), not a string, list of strings or nil")
      assert.truthy(ask(peer, "file"):find "returned a table that is no list of strings")
      assert.truthy(ask(peer, "subscribe"):find "subscribe: a datagram has no connection")
      assert.truthy(ask(peer, "read"):find "self:read needs a connection, and this `self` stands for a datagram")
      assert.truthy(ask(peer, "write"):find "self:write needs a connection")
    end)

    it("lets a self send until make_response ends", function()
      start()
      local peer = peer_to()
      assert.same({ "first", "true second" }, { ask(peer, "send", 2) })
      assert.equal("kept", ask(peer, "keep"))
      assert.equal("nil false closed", ask(peer, "kept"))
    end)

    it("keeps nobody waiting: tasks run beside each other", function()
      start()
      local peer = peer_to()
      assert.same({ "many", "waited wait 0.05", "waited wait 0.2" }, (function()
        for _, datagram in ipairs { "wait 0.2", "wait 0.05", "many 1" } do assert(peer:send(datagram)) end
        local one, two, three = peer:receive(), peer:receive(), peer:receive()
        return { one == "1" and "many" or one, two, three }
      end)())
    end)

    it("takes no more than max_tasks at once, and the others later", function()
      start("max_tasks = 2")
      local peer = peer_to()
      for i = 1, 5 do assert(peer:send(("wait 0.0%d"):format(i))) end
      local answers = {}
      for i = 1, 5 do answers[i] = assert(peer:receive()) end
      assert.same({ "waited wait 0.01", "waited wait 0.02" }, { answers[1], answers[2] })
      assert.truthy(running:log():find 'full service=script1 datagrams=2 detail="max_tasks is reached')
    end)

    it("ends an answer that waits too long", function()
      start("response_timeout = 0.05")
      assert.truthy(ask(peer_to(), "wait 100"):find "^response_timeout: ")
    end)

    it("logs what is too large to be sent, and sends the rest", function()
      start()
      local peer = peer_to()
      assert.equal("after", ask(peer, "large 65508"))
      assert.equal(65507, #(function()
        assert(peer:send "large 65507")
        return peer:receive(65507)
      end)())
      assert.equal("after", peer:receive())
      assert.equal("false too_large", ask(peer, "too_large"))
      assert.truthy(running:log():find(
        'datagram_dropped service=script1 peer=127.0.0.1 port=%d+ bytes=65508 detail="it is too large to be sent"'))
    end)

    it("takes the longest datagram, and refuses one over max_request", function()
      start("max_request = 60000")
      local peer = peer_to()
      assert(peer:send(("x"):rep(65507)))
      assert.equal("too_large: the datagram is over max_request", peer:receive())
      assert.truthy(ask(peer, ("x"):rep(30000)):find "^udp")
    end)

    it("sends no more than amplification times the request", function()
      start "amplification = 10"
      local peer = peer_to()
      assert.same({ "after" }, { ask(peer, "large 500", 1) })
      assert.equal(100, #ask(peer, "large 100" .. (" "):rep(20), 2))
      assert.truthy(running:log():find 'bytes=500 detail="the answers would be longer than `amplification` allows"')
    end)

    it("drops what a peer sends over --max-datagrams-per-peer", function()
      start(nil, { "--max-datagrams-per-peer", "5", listen = { "udp:0.0.0.0:0" } })
      local peer, other = peer_to(1, "127.0.0.1"), peer_to(1, "127.0.0.1")
      for _ = 1, 5 do ask(peer, "x") end
      assert(other:send "x")
      running:wait_for_log "max_datagrams_per_peer is reached"
      local address = running.addresses[1]
      local elsewhere = luasocket.udp4()
      elsewhere:settimeout(server.DEADLINE)
      assert(elsewhere:setsockname("127.0.0.9", 0))
      assert(elsewhere:setpeername("127.0.0.1", tonumber(address.text:match "%d+$")))
      peers[#peers + 1] = elsewhere
      ask(elsewhere, "x")
    end)

    describe("with the field `datagram`", function()
      for _, case in ipairs {
        { "datagram = framing.line {}", "hello\n", '"hello" "hello\\\n"' },
        { "datagram = framing.line {}", "hello", "malformed: the datagram ends before its request does" },
        { "datagram = framing.line {}", "one\ntwo", "malformed: bytes are left over behind the request of" },
        { "datagram = framing.line {}", "", "malformed: the datagram ends before its request does" },
        { "datagram = framing.line { max = 3 }", "long\n", "too_large: " },
        { "datagram = function() return true end", "", '"" ""' },
        { "datagram = function() return true, 2 end", "ab", '"ab" "ab"' },
        { "datagram = function() return true, 1 end", "ab", "malformed: bytes are left over" },
        { "datagram = function(self) return true, nil, self.incoming:upper() end", "ab", '"AB" "ab"' },
        { "datagram = function() return false end", "ab", "malformed: the datagram ends before" },
        { "datagram = function() return nil, 'no sense' end", "ab", "malformed: no sense" },
        { "datagram = function() return nil, 'too_large' end", "ab", "too_large: the request is too large" },
        { "datagram = function() return 5 end", "ab", "datagram returned 5, nil; it must return false, true" },
        { "datagram = function() parlance.sleep(1) end", "ab", "wait in make_response" },
        { "datagram = function() error 'e' end", "ab", "script_error: " },
      } do
        local fields, datagram, answer = table.unpack(case)
        it(("answers %q for %q with %s"):format(answer, datagram, fields), function()
          start(fields)
          local got = ask(peer_to(), datagram)
          assert(got:find(answer, 1, true), got)
        end)
      end
    end)

    it("needs no request_complete with `datagram`, or with a `listen` that says udp:", function()
      for _, field in ipairs { "datagram = function() return true end", 'listen = "udp:127.0.0.1:0"' } do
        running = server.start(([[
          local P = { %s }
          function P:make_response() return self.request end
          return P]]):format(field), { poller = poller, listen = { "udp:127.0.0.1:0", "127.0.0.1:0" } })
        assert.equal("x", ask(peer_to(), "x"))
        running:connect(2):send "x\n"
        running:wait_for_log "malformed .*takes no requests"
      end
    end)

    it("serves the new version with the next datagram, and the old one those that wait", function()
      start()
      local peer = peer_to()
      assert(peer:send "wait 0.3")
      assert.equal("1", ask(peer, "many 1"))
      local path = running.folder .. "/script1.lua"
      local file <close> = assert(io.open(path, "w"))
      file:write "return { datagram = function() return true end, make_response = function() return 'new' end }"
      file:close()
      running:wait_for_log " reloaded "
      assert.same({ "waited wait 0.3", "new" }, (function()
        local answers = { ask(peer, "x", 2) }
        table.sort(answers, function(one, two) return one > two end)
        return answers
      end)())
    end)

    it("answers those in hand when it stops", function()
      start()
      local peer = peer_to()
      assert(peer:send "wait 0.2")
      assert.equal("1", ask(peer, "many 1"))
      running:expect_end()
      running:terminate()
      assert.equal("waited wait 0.2", peer:receive())
      assert.equal(0, running:wait())
    end)

    it("is not harmed by peers that are gone", function()
      start()
      for _ = 1, 20 do
        local gone = peer_to()
        assert(gone:send "many 3")
        gone:close()
        peers[#peers] = nil
      end
      assert.equal("1", ask(peer_to(), "many 1"))
    end)
  end)
end)
