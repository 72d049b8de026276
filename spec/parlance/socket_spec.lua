-- timeout 300
-- require "socket" in a script: the same cases with LuaSocket itself, libraries that were written for LuaSocket, and
-- what is missing.

local cases = require "support.luasocket_cases"
local pieces = require "support.socket_lines"
local process = require("parlance_spec").process
local server = require "support.server"
local upstream = require "support.upstream"

package.cpath = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/lua/?.so;" .. package.cpath
local harness = require "parlance.harness"
local simulator = require "parlance.simulator"

-- Debian has lua-redis for other versions of Lua, too, and not for 5.4. It is the same file.
local REDIS <const> = assert(package.searchpath("redis",
  package.path .. ";/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua")):gsub("redis.lua$", "?.lua")

local script <const>, begin <const>, ask <const> = pieces.script, pieces.begin, pieces.ask

-- Runs each line that it gets as a piece of Lua, and answers what that returns.
local PEER <const> = [[
  local framing = require "parlance.framing"
  local Peer = {
    request_complete = framing.line { max = 2000000 }, close_when_done = false, idle_timeout = 0, max_request = 4000000,
  }
  function Peer:make_response()
    local code = load("local self = ... " .. self.request)
    return code and code(self)
  end
  return Peer
]]

-- A store for Redis clients that takes 0.3 s to answer.
local STORE <const> = [[
  local framing = require "parlance.framing"
  local parlance = require "parlance"
  local Store = { request_complete = framing.resp {}, close_when_done = false }
  function Store:make_response()
    parlance.sleep(0.3)
    local value = "value of " .. self.request[2]
    return ("$%d\r\n%s\r\n"):format(#value, value)
  end
  return Store
]]

server.for_each_poller(function(poller)
  describe("socket with " .. poller, function()
    it("does what LuaSocket does", function()
      local peer = server.start(PEER, { poller = poller })
      local port = math.tointeger(peer.addresses[1].port)
      local client = server.start(script(port), { poller = poller }):connect()
      assert.equal("", pieces.differences(cases, client, port))
    end)

    -- Returns a client of a script whose `port` is that of the upstream, and the server.
    local function start(port, rest)
      local running = server.start(script(port, rest), { poller = poller })
      return running:connect(), running
    end

    it("lets libraries find it, and leaves LuaSocket's own module in place", function()
      local client = start(1)
      assert.equal('"true" "true"', ask(client, [[
        return require "socket.tp" == require "socket".tp, require "socket.core" ~= require "socket"]]))
    end)

    it("is the script's own module where there is one", function()
      local folder = server.new_folder()
      server.write_file(folder .. "/socket.lua", "return 'own'")
      server.write_file(folder .. "/own.lua", [[
        return { request_complete = function() return true end, make_response = function() return require "socket" end }
      ]])
      assert.equal("own", server.start(folder .. "/own.lua", { poller = poller }):connect():send "x":receive_all())
    end)

    -- ---- libraries ----------------------------------------------------------------------------

    it("has lua-redis answer twenty connections at once", function()
      local store = server.start(STORE, { poller = poller })
      local first, running = start(store.addresses[1].port, ("package.path = package.path .. ';%s'"):format(REDIS))
      local clients = { first }
      for i = 2, 20 do clients[i] = running:connect() end
      local code = "local _, host, port = ... return require 'redis'.connect(host, port):get 'key %d'\n"
      local started = process.now()
      for i, client in ipairs(clients) do client:send(code:format(i)) end
      for i, client in ipairs(clients) do
        assert.equal(('"value of key %d"\n'):format(i), client:receive_until "\n")
      end
      assert.is_true(process.now() - started < 3) -- 0.3 s; one after the other 6 s
    end)

    it("has lua-redis set, get, fail and quit", function()
      local store = server.start("protocols/redis.lua", { poller = poller })
      local client = start(store.addresses[1].port, ("package.path = package.path .. ';%s'"):format(REDIS))
      assert.equal('"true" "b" "3" "false" "nil" "closed" ""', ask(client, [[
        local socket, host, port = ...
        local client = require "redis".connect { host = host, port = port, timeout = 20 }
        local set, value, count = client:set("a", "b"), client:get "a", client:rpush("list", 1, 2, 3)
        local is_well = pcall(client.lpush, client, "a", 1)
        local connected = client.network.socket
        client:quit()
        return set, value, count, is_well, connected:receive()]]))
    end)

    describe("beside other clients", function()
      local up, port

      before_each(function()
        up = upstream.listen()
        port = math.tointeger(tonumber(up.address:match ":(%d+)$"))
      end)
      after_each(function() up:close() end)

      it("has socket.http fetch", function()
        local client, running = start(port)
        begin(client, [[
          local _, host, port = ...
          return require "socket.http".request(("http://%s:%d/a"):format(host, port))]])
        local peer = up:accept()
        assert.equal("GET /a HTTP/1.1", peer:receive())
        while peer:receive() ~= "" do end
        assert.equal('"2"', ask(running:connect(), "return 1 + 1"))
        peer:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Name: value\r\n\r\n5\r\nhello\r\n"
        assert.equal('"2"', ask(running:connect(), "return 1 + 1"))
        peer:send "0\r\n\r\n"
        assert.matches('^"hello" "200" "table: [^"]*" "HTTP/1.1 200 OK"\n$', client:receive_until "\n")
        assert.is_true(upstream.has_ended(peer))
      end)

      it("has socket.http post, and go where it is sent", function()
        local client = start(port)
        begin(client, [[
          local _, host, port = ...
          local http, ltn12 = require "socket.http", require "ltn12"
          local got = {}
          local _, code, headers = http.request {
            url = ("http://%s:%d/a"):format(host, port), method = "POST", sink = ltn12.sink.table(got),
            source = ltn12.source.string("body"), headers = { ["content-length"] = 4 },
          }
          return code, headers["x-name"], table.concat(got), http.request(("http://%s:%d/b"):format(host, port))
        ]])
        local peer = up:accept()
        assert.equal("POST /a HTTP/1.1", peer:receive())
        while peer:receive() ~= "" do end
        assert.equal("body", peer:receive(4))
        peer:send "HTTP/1.1 201 Created\r\nX-Name: value\r\n\r\nup to the end"
        peer:close()
        peer = up:accept()
        assert.equal("GET /b HTTP/1.1", peer:receive())
        peer:send(("HTTP/1.1 302 Found\r\nLocation: http://%s/c\r\n\r\n"):format(up.address))
        peer = up:accept()
        assert.equal("GET /c HTTP/1.1", peer:receive())
        peer:send "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        assert.matches('^"201" "value" "up to the end" "abc" "200"', client:receive_until "\n")
      end)

      it("has socket.http time out", function()
        local client = start(port)
        assert.equal('"nil" "timeout"', ask(client, [[
          local _, host, port = ...
          local http = require "socket.http"
          http.TIMEOUT = 0.1
          return http.request(("http://%s:%d/a"):format(host, port))]]))
      end)

      it("has socket.smtp send", function()
        local client, running = start(port)
        begin(client, [[
          local _, host, port = ...
          local smtp = require "socket.smtp"
          return smtp.send {
            server = host, port = port, domain = "here", from = "<a@example.org>", rcpt = "<b@example.org>",
            source = smtp.message { headers = { subject = "hello" }, body = "one\r\n.two\r\n" },
          }
        ]])
        local peer = up:accept()
        local function expect(line, reply)
          assert.equal(line, peer:receive())
          assert.equal('"2"', ask(running:connect(), "return 1 + 1"))
          peer:send(reply)
        end
        peer:send "220 there\r\n"
        expect("EHLO here", "250-there\r\n250 SIZE\r\n")
        expect("MAIL FROM:<a@example.org>", "250 ok\r\n")
        expect("RCPT TO:<b@example.org>", "250 ok\r\n")
        expect("DATA", "354 go on\r\n")
        local lines = {}
        repeat lines[#lines + 1] = peer:receive() until lines[#lines] == "."
        assert.matches("[Ss]ubject: hello\n.*\none\n%.%.two\n\n%.$", table.concat(lines, "\n"))
        peer:send "250 taken\r\n"
        expect("QUIT", "221 bye\r\n")
        assert.equal('"1"\n', client:receive_until "\n")
      end)

      -- ---- the life of a socket ---------------------------------------------------------------

      it("lives longer than the request that has made it", function()
        local client = start(port)
        ask(client, "local socket, host, port = ... kept = socket.connect(host, port)")
        local peer = up:accept()
        peer:send "late\n"
        assert.equal('"late" "nil" "nil"', ask(client, "return kept:receive()"))
        ask(client, "kept = nil collectgarbage() collectgarbage()")
        assert.is_true(upstream.has_ended(peer))
      end)

      it("is collected without a notice", function()
        local client, running = start(port)
        ask(client, "local socket, host, port = ... socket.connect(host, port)")
        local peer = up:accept()
        ask(client, "collectgarbage() collectgarbage()")
        assert.is_true(upstream.has_ended(peer))
        ask(client, "return 1")
        assert.equal(0, running:count_in_log "stream_collected")
      end)

      it("is closed when a wait for it is cancelled", function()
        local client = start(port)
        begin(client, [[
          local socket, host, port = ...
          kept = socket.connect(host, port)
          return parlance.within(0.05, kept.receive, kept)]])
        local peer = up:accept()
        peer:send "half a reply"
        assert.equal('"nil" "timeout" "timeout"\n', client:receive_until "\n")
        assert.is_true(upstream.has_ended(peer))
        assert.equal('"nil" "closed" ""', ask(client, "return kept:receive()"))
      end)

      it("is one task's at a time", function()
        local client, running = start(port)
        begin(client, [[
          local socket, host, port = ...
          kept = socket.connect(host, port)
          kept:send "x"
          return kept:receive()]])
        local peer = up:accept()
        peer:receive(1) -- the task receives by now
        assert.matches("another task reads from the stream", ask(running:connect(), "return kept:receive()"))
        peer:send "one\n"
        assert.equal('"one" "nil" "nil"\n', client:receive_until "\n")
      end)

      it("selects among many without keeping anybody waiting", function()
        local client, running = start(port)
        begin(client, [[
          local socket, host, port = ...
          local all = {}
          for i = 1, 30 do all[i] = socket.connect(host, port) end
          local readable = socket.select(all)
          return #readable, readable[1] == all[20], readable[1]:receive()
        ]])
        local peers = {}
        for i = 1, 30 do peers[i] = up:accept() end
        assert.equal('"2"', ask(running:connect(), "return 1 + 1"))
        peers[20]:send "it\n"
        assert.equal('"1" "true" "it" "nil" "nil"\n', client:receive_until "\n")
      end)

      it("times out when the peer takes nothing, and tells how much it took", function()
        local client = start(port)
        begin(client, [[
          local socket, host, port = ...
          kept = socket.connect(host, port)
          kept:settimeout(0.1)
          local sent, why, last = kept:send(("x"):rep(50000000))
          return sent, why, last < 50000000, last == select(2, kept:getstats())
        ]])
        up:accept()
        assert.equal('"nil" "timeout" "true" "true"\n', client:receive_until "\n")
      end)

      it("tells closed when the peer has reset", function()
        local client = start(port)
        begin(client, [[
          local socket, host, port = ...
          local connected = socket.connect(host, port)
          connected:send "x"
          return connected:receive()]])
        local peer = up:accept()
        assert.equal("x", peer:receive(1))
        upstream.reset(peer)
        assert.equal('"nil" "closed" ""\n', client:receive_until "\n")
      end)
    end)

    -- ---- what there is not --------------------------------------------------------------------

    it("raises for what there is not, and names socket.core", function()
      local client = start(1)
      for _, code in ipairs {
        "socket.udp():getfd()", "socket.udp():setfd(1)", "socket.bind('*', 0)", "socket.tcp():getfd()",
        "socket.udp():setoption('ip-add-membership', {})", "socket.udp():getoption 'error'",
        "socket.tcp():setfd(1)", "socket.tcp():bind('*', 0)", "socket.tcp():listen()", "socket.tcp():accept()",
        "socket.dns.tohostname '127.0.0.1'", "socket.dns.getnameinfo '127.0.0.1'",
        "socket.connect('127.0.0.1', 1, '127.0.0.1')",
      } do
        local told = ask(client, "local socket = ... return " .. code)
        assert.matches("^raised ", told)
        assert.matches("LuaSocket's own is in require \\\"socket.core\\\"", told, 1, true)
      end
    end)

    it("raises where a port or a family is none", function()
      local client = start(1)
      assert.equal('"nil" "service not supported for socket type"',
        ask(client, "local socket, host = ... return socket.connect(host, 'no service')"))
      assert.equal("raised \"bad argument #5 to 'connect' (invalid option 'x')\"",
        ask(client, "local socket, host = ... return socket.connect(host, 1, nil, nil, 'x')"))
      assert.matches("entry 1 is no socket of this module",
        ask(client, "local socket = ... return socket.select({ {} })"))
    end)
  end)
end)

describe("socket while a script is loaded", function()
  local function why_not(code)
    local folder = server.new_folder()
    server.write_file(folder .. "/script.lua", "local socket = require 'socket' " .. code)
    local _, why = simulator.load(folder .. "/script.lua", { modules = server.SOURCE .. "/lua" })
    return why
  end

  for _, code in ipairs {
    "socket.connect('127.0.0.1', 1)", "socket.tcp():connect('127.0.0.1', 1)", "socket.dns.toip 'localhost'",
    "local s = socket.tcp() s:settimeout(0) s:connect('127.0.0.1', 1)",
    "require 'socket.http'.request 'http://127.0.0.1:1/'",
  } do
    it("raises and names socket.core: " .. code, function()
      local why = why_not(code)
      assert.matches("cannot wait while the script is loaded", why)
      assert.matches('require "socket.core"', why, 1, true)
    end)
  end

  it("makes sockets", function()
    assert.is_nil(why_not "socket.tcp():settimeout(1) return { make_response = print, request_complete = print }")
  end)
end)

describe("socket in a simulation", function()
  -- The script asks a store for each line, over a new connection.
  local ASKING <const> = [[
    local framing = require "parlance.framing"
    local socket = require "socket"
    local Asking = { request_complete = framing.line {}, close_when_done = false }
    function Asking:make_response()
      local store, why = socket.connect("127.0.0.1", 6379)
      if not store then return "ERR " .. why .. "\n" end
      store:settimeout(2)
      store:send("GET " .. self.request .. "\r\n")
      local value, reason, part = store:receive()
      store:close()
      return (value or reason .. " after " .. part) .. "\n"
    end
    return Asking
  ]]

  it("meets the upstreams that a spec plays", function()
    local folder = server.new_folder()
    server.write_file(folder .. "/asking.lua", ASKING)
    local store = harness.upstream "127.0.0.1:6379"
    local asking = harness.open(folder .. "/asking.lua")
    asking:send "k\n"
    store:expect("GET k\r\n"):send("v", "\r\n")
    asking:expect("v\n"):send "l\n"
    store:expect("GET l\r\n"):send("part"):close()
    asking:expect("closed after part\n"):send "m\n"
    store:expect("GET m\r\n"):send "some"
    harness.advance(2)
    asking:expect "timeout after some\n"
    store:refuse()
    asking:send("n\n"):expect "ERR connection refused\n"
    harness.close()
  end)

  it("reaches nobody", function()
    local folder = server.new_folder()
    server.write_file(folder .. "/script.lua", [[
      local socket = require "socket"
      return {
        request_complete = function() return true end,
        make_response = function() return select(2, pcall(socket.connect, "127.0.0.1", 80)) end,
      }
    ]])
    local script_of_spec = assert(simulator.load(folder .. "/script.lua", { modules = server.SOURCE .. "/lua" }))
    local session = script_of_spec:open()
    session:receive "x"
    assert.matches("nobody plays this upstream", session:take())
    script_of_spec:close()
  end)
end)
