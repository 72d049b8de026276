-- timeout 300
-- The datagrams of require "socket" in a script: the same cases with LuaSocket itself, and what a loop and tasks make
-- different.

local cases = require "support.luasocket_udp_cases"
local lines = require "support.socket_lines"
local luasocket = require "socket"
local server = require "support.server"

package.cpath = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/lua/?.so;" .. package.cpath
local simulator = require "parlance.simulator"

local HOST <const>, script <const>, begin <const>, ask <const> = lines.HOST, lines.script, lines.begin, lines.ask

server.for_each_poller(function(poller)
  describe("socket.udp with " .. poller, function()
    local peer, port

    before_each(function()
      peer = assert(luasocket.udp4())
      assert(peer:setsockname(HOST, 0))
      peer:settimeout(server.DEADLINE)
      port = math.tointeger(select(2, peer:getsockname()))
    end)
    after_each(function() peer:close() end)

    -- Returns a client of a script whose `port` is that of the peer, and the server.
    local function start(rest, options)
      options = options or {}
      options.poller = poller
      local running = server.start(script(port, rest), options)
      return running:connect(), running
    end

    it("does what LuaSocket does", function()
      local client = start()
      assert.equal("", lines.differences(cases, client, port))
    end)

    -- Sends the peer a datagram, and returns what the next one brings.
    local RECEIVING <const> = [[
      local socket, host, port = ...
      local s = socket.udp()
      s:setpeername(host, port)
      s:send "asks"
      return s:receive()]]

    it("keeps nobody waiting who does not receive", function()
      local client, running = start()
      begin(client, RECEIVING)
      local _, host, from = peer:receivefrom()
      assert.equal('"2"', ask(running:connect(), "return 1 + 1"))
      peer:sendto("late", host, from)
      assert.equal('"late"\n', client:receive_until "\n")
    end)

    it("keeps nobody waiting while datagrams keep coming", function()
      local client, running = start(nil, { "--call-timeout", "1" })
      -- It sends itself another one for each that it receives.
      begin(client, [[
        local socket, host = ...
        local s = socket.udp4()
        s:setsockname(host, 0)
        local _, own = s:getsockname()
        s:sendto("x", host, own)
        repeat s:sendto(s:receive(), host, own) until is_enough
        return "enough"]])
      assert.equal('"nil"', ask(running:connect(), "is_enough = true return nil"))
      assert.equal('"enough"\n', client:receive_until "\n")
    end)

    it("is closed with the task that has made it", function()
      local client = start()
      ask(client, [[
        local socket, host, port = ...
        kept = socket.udp()
        kept:setpeername(host, port)
        return kept:send "x"]])
      assert.equal("x", peer:receive())
      for _, call in ipairs { "kept:send 'x'", "kept:receive()" } do
        assert.equal('"nil" "closed"', ask(client, "return " .. call))
      end
    end)

    it("tells the tasks that wait for it that it is closed", function()
      local client = start()
      assert.equal('"true" "nil" "closed"', ask(client, [[
        local socket, host, port = ...
        local s = socket.udp4()
        local task = parlance.spawn(function() return s:receive() end)
        parlance.sleep(0)
        s:close()
        return task:wait()]]))
    end)

    it("is the script's own if it is made while the script is loaded", function()
      for _, made in ipairs { "socket.udp()", "socket.udp4()" } do
        local client = start("socket.own = " .. made)
        for _, text in ipairs { "one", "two" } do
          assert.equal('"3.0"', ask(client, ("local socket, host, port = ... return socket.own:sendto(%q, host, port)")
            :format(text)))
          assert.equal(text, peer:receive())
        end
      end
    end)

    it("cannot be used in request_complete", function()
      local client = server.start(([[
        local socket = require "socket"
        local s, why = socket.udp(), nil
        return {
          request_complete = function()
            why = why or select(2, pcall(s.sendto, s, "x", %q, %d))
            return true
          end,
          make_response = function() return why end,
        }]]):format(HOST, port), { poller = poller }):connect()
      assert.matches("cannot be called in request_complete", client:send "x":receive_all())
    end)

    it("is closed by the collector", function()
      local client = start(nil, { rlimit_nofile = 256 })
      -- More sockets than a process may have descriptors, one after the other, and none is closed.
      assert.equal('"true"', ask(client, [[
        local socket, host, port = ...
        for i = 1, 3000 do
          local s = assert(socket.udp4())
          if i % 50 == 0 then collectgarbage() end
        end
        return true]]))
    end)

    it("receives in one task at a time", function()
      local client = start()
      assert.matches("another task receives from the socket", ask(client, [[
        local socket = ...
        local s = socket.udp4()
        s:setsockname("*", 0)
        local task = parlance.spawn(function() return s:receive() end)
        parlance.sleep(0)
        return s:receive()]]))
    end)

    it("is of use after a wait that was cancelled", function()
      local client = start()
      begin(client, [[
        local socket, host, port = ...
        local s = socket.udp()
        s:setpeername(host, port)
        local _, why = parlance.within(0.05, s.receive, s)
        s:send "asks"
        return why, s:receive()]])
      local _, host, from = peer:receivefrom()
      peer:sendto("answer", host, from)
      assert.equal('"timeout" "answer"\n', client:receive_until "\n")
    end)

    it("is selected beside sockets of TCP", function()
      local listener = assert(luasocket.bind(HOST, 0))
      local client = start(("other = %d"):format(select(2, listener:getsockname())))
      begin(client, [[
        local socket, host, port = ...
        local stream, datagrams = socket.connect(host, other), socket.udp4()
        datagrams:setpeername(host, port)
        datagrams:send "asks"
        local readable = socket.select({ stream, datagrams })
        return #readable, readable[1] == datagrams, datagrams:receive()]])
      local _, host, from = peer:receivefrom()
      peer:sendto("answer", host, from)
      assert.equal('"1" "true" "answer"\n', client:receive_until "\n")
      listener:close()
    end)

    it("closes: then it is closed for all", function()
      local client = start()
      for _, call in ipairs { "s:send 'x'", "s:receive()", "s:setpeername(host, port)" } do
        assert.equal('"nil" "closed"', ask(client, [[
          local socket, host, port = ...
          local s = socket.udp()
          s:setpeername(host, port)
          s:close()
          return ]] .. call))
      end
    end)

    it("tells that no descriptor is left", function()
      local client = start("kept = {}", { rlimit_nofile = 64 })
      assert.equal('"no descriptor is left"', ask(client, [[
        local socket = ...
        repeat
          local s, why = socket.udp4()
          kept[#kept + 1] = s
        until not s
        return select(2, socket.udp4())]]))
      assert.equal('"2"', ask(client, "return 1 + 1"))
    end)
  end)
end)

describe("socket.udp without a loop", function()
  local function load_script(code, body)
    local folder = server.new_folder()
    server.write_file(folder .. "/script.lua", ([[
      local socket = require "socket"
      %s
      return {
        request_complete = function() return true end,
        make_response = function() return select(2, pcall(function() %s end)) end,
      }
    ]]):format(code, body or ""))
    return simulator.load(folder .. "/script.lua", { modules = server.SOURCE .. "/lua" })
  end

  it("raises in a simulation", function()
    for _, code in ipairs {
      "socket.udp4()", "socket.udp6()", "socket.udp():sendto('x', '127.0.0.1', 9)",
      "socket.udp():setpeername('127.0.0.1', 9)", "socket.udp():setsockname('*', 0)",
    } do
      local loaded = assert(load_script("", code))
      local session = loaded:open()
      session:receive "x"
      assert.matches("a simulated script would open a socket for datagrams", session:take())
      loaded:close()
    end
  end)

  it("raises while the script is loaded, and names socket.core", function()
    for _, code in ipairs {
      "socket.udp():sendto('x', '127.0.0.1', 9)", "socket.udp4():setpeername('127.0.0.1', 9)",
      "socket.udp():setpeername('localhost', 9)", "socket.udp():setsockname('*', 0)",
    } do
      local _, why = load_script(code)
      assert.matches("cannot [%a ]+ while the script is loaded", why)
      assert.matches('require "socket.core"', why, 1, true)
    end
  end)
end)
