-- --record: what a script says to other servers is recorded, and plays back without them (docs/transcripts.md).

local lfs = require "lfs"
local server = require "support.server"
local upstream = require "support.upstream"

-- Requests are lines: what to do, and the addresses to do it with.
local SCRIPT <const> = [=[
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local process = require "parlance.process"
local mine
local does = {}
function does.ask(_, address, key)
  local up <close>, why, code = net.connect(address, { timeout = 5, reuse = key ~= "new" })
  if not up then return code .. ": " .. why .. "\n" end
  up:write("GET ", key, "\n")
  local line, trouble = up:read "l"
  if line then up:release() end
  return (line or "trouble: " .. trouble) .. "\n"
end
function does.both(_, one, other)
  local first <close> = net.connect(one)
  local second <close> = net.connect(other or one)
  first:write "first"
  second:write "second"
  first:write " more\n"
  second:write " more\n"
  local last = second:read "l"
  return first:read "l" .. " " .. last .. "\n"
end
function does.mine(_, address, key)
  local kept = mine
  local up = kept or net.connect(address)
  mine = nil
  if not up then return "none\n" end
  local loan <close> = setmetatable({}, { __close = function() if mine ~= up then up:close() end end })
  up:detach():write(key, "\n")
  local line = up:read "l"
  if not line and kept then return does.mine(_, address, key) end
  mine = line and up
  return (line or "none") .. "\n"
end
function does.drain(_, address)
  local up <close> = net.connect(address)
  return #up:read "a" .. "\n"
end
function does.tunnel(self, address)
  parlance.tunnel(self, (net.connect(address)))
end
function does.program(_, word)
  local child <close> = process.spawn { "cat" }
  child.stdin:write(word, "\n")
  child.stdin:close()
  return child.stdout:read "l" .. "\n"
end
function does.output(self, word)
  parlance.tunnel(self, process.spawn({ "echo", word }).stdout)
end
function does.read(self)
  return (self:read "l" or "nothing") .. "\n"
end
function does.slowly(_, address, key)
  parlance.sleep(0.15)
  local line = does.ask(_, address, key)
  parlance.sleep(0.15)
  return line
end
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  handle_connect = function(self)
    if parlance.settings.greeter then return does.ask(self, parlance.settings.greeter, "greeting") end
  end,
  make_response = function(self)
    local words = {}
    for word in self.request:gmatch "%S+" do words[#words + 1] = word end
    return does[words[1]](self, words[2], words[3])
  end,
}
]=]

-- Answers with the body of each request.
local BODIES <const> = [=[
return require "parlance.http".serve(function(request)
  return 200, nil, (request.body:read(5) or "") .. (request.body:read "a" or "")
end, { stream_body = true })
]=]

local function names_in(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find "%.transcript$" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

server.for_each_poller(function(poller)
  describe("--record with " .. poller, function()
    local folder, path, up

    before_each(function()
      folder, up = server.new_folder(), upstream.listen()
      assert(lfs.mkdir(folder .. "/records"))
      path = folder .. "/relay.lua"
      server.write_file(path, SCRIPT)
    end)

    after_each(function()
      up:close()
      server.remove_folder(folder)
    end)

    local function start(script, ...)
      return server.start(script or path, { poller = poller, "--record", folder .. "/records", ... })
    end

    -- The texts of so many recordings. All of them must hold without the other servers.
    local function recordings(count, script, ...)
      up:close()
      local names = server.wait_until(count .. " recordings", function()
        local names = names_in(folder .. "/records")
        return #names >= count and names
      end)
      local words = { "check", ... }
      words[#words + 1], words[#words + 2] = script or path, folder .. "/records"
      local status, said, complaint = server.run(words)
      local texts = {}
      for i, name in ipairs(names) do texts[i] = server.read_file(folder .. "/records/" .. name) end
      assert.equal("0 ", status .. " " .. complaint, said .. table.concat(texts, "\n"))
      return table.unpack(texts)
    end

    -- The upstreams and the steps without what depends on the machine.
    local function lines_of(text)
      local lines = {}
      for line in text:match "\ntime [^\n]*\n(.*)$":gmatch "[^\n]+" do
        if not line:find "^wait" and not line:find "# the client is there" then
          lines[#lines + 1] = line:gsub("127%.0%.0%.1:%d+", "ADDRESS")
        end
      end
      return lines
    end

    local function finish(client)
      client:half_close()
      return client:receive_all()
    end

    local function answer(peer, expected, reply)
      assert.equal(expected, peer:receive(#expected))
      assert(peer:send(reply))
    end

    it("a run of the gateway plays back without its Redis", function()
      local redis = "redis=" .. up.address
      local client = start("protocols/gateway.lua", "--set", redis, "--set", "timeout=30"):connect()
      client:send "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
      local peer = up:accept()
      answer(peer, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n", "+OK\r\n")
      assert.matches("^HTTP/1.1 204 ", client:receive_until "\r\n\r\n")
      client:send "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
      answer(peer, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$5\r\nhello\r\n")
      assert.matches("^HTTP/1.1 200 ", client:receive_until "\r\n\r\nhello")
      -- The Redis closes the connection that was kept: the gateway connects anew.
      client:send "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
      assert(peer:receive(#"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"))
      peer:close()
      answer(up:accept(), "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n", "$-1\r\n")
      assert.matches("^HTTP/1.1 404 ", client:receive_until "no such key\n")
      up:close()
      client:send "GET /c HTTP/1.1\r\nHost: a\r\n\r\n"
      client:receive_until "\r\n\r\n"
      finish(client)
      local text = recordings(1, "protocols/gateway.lua", "--set", redis)
      assert.matches('\nupstream up1 "127.0.0.1:%d+"\n', text)
    end)

    it("has the bytes in their order, and one upstream for connections that follow one another", function()
      local client = start():connect()
      for _, key in ipairs { "new", "new", "kept", "kept" } do
        client:send(("ask %s %s\n"):format(up.address, key))
        local peer = up.accepted[#up.accepted]
        if key == "new" or not peer then peer = up:accept() end
        answer(peer, "GET " .. key .. "\n", "the " .. key .. "\n")
        assert.equal("the " .. key .. "\n", client:receive(#key + 5))
      end
      assert.equal("", finish(client))
      local lines = lines_of((recordings(1)))
      assert.same({
        'upstream up1 "ADDRESS"', '> "ask ADDRESS new\\n"', 'up1< "GET new\\n"', 'up1> "the new\\n"', '< "the new\\n"',
      }, { table.unpack(lines, 1, 5) })
      assert.equal(1 + 4 * 4 + 2, #lines)
    end)

    it("has an upstream for each connection that is used beside another", function()
      local client = start():connect():send(("both %s\n"):format(up.address))
      local one, other = up:accept(), up:accept()
      if one:receive(1) ~= "f" then one, other = other, one end
      answer(other, "second more\n", "2\n")
      assert.equal("1 2\n", client:receive(one:send "1\n" and 4))
      finish(client)
      local lines = lines_of((recordings(1)))
      local replies = { lines[6], table.remove(lines, 7) }
      table.sort(replies)
      lines[6] = table.concat(replies, " ")
      assert.same({
        'upstream up1 "ADDRESS"', 'upstream up2 "ADDRESS"', '> "both ADDRESS\\n"', 'up1< "first more\\n"',
        'up2< "second more\\n"', 'up1> "1\\n" up2> "2\\n"', '< "1 2\\n"', "> end", "< end",
      }, lines)
    end)

    it("has connects that fail", function()
      local client = start():connect()
      local refusing, bound = upstream.refusing()
      client:send(("ask %s a\nask unix:%s/nobody a\nask %s a\n"):format(refusing, folder, up.address))
      answer(up:accept(), "GET a\n", "v\n")
      client:receive_until "v\n"
      bound:close()
      finish(client)
      local text = recordings(1)
      assert.matches('\nupstream up1 "[^"]*" refused "connection refused"\n'
        .. 'upstream up2 "unix:/[^"]*" refused "No such', text)
    end)

    it("has connections that end or break", function()
      local client = start():connect():send(("ask %s a\n"):format(up.address))
      local peer = up:accept()
      assert(peer:receive(6))
      peer:send "half"
      peer:close()
      assert.equal("trouble: closed\n", client:receive(16))
      client:send(("ask %s b\n"):format(up.address))
      peer = up:accept()
      assert(peer:receive(6))
      upstream.reset(peer)
      client:receive_until "reset\n"
      finish(client)
      assert.same({
        'upstream up1 "ADDRESS"', '> "ask ADDRESS a\\n"', 'up1< "GET a\\n"', 'up1> "half"', "up1> end",
        '< "trouble: closed\\n"', '> "ask ADDRESS b\\n"', 'up1< "GET b\\n"', "up1> gone",
        '< "trouble: the connection was reset\\n"', "> end", "< end",
      }, lines_of((recordings(1))))
    end)

    it("has bytes that are no text, and Unix sockets", function()
      local other = upstream.listen(folder .. "/socket")
      local client = start():connect():send(("drain %s\n"):format(other.address))
      local peer, bytes = other:accept(), {}
      for i = 0, 255 do bytes[i + 1] = string.char(i) end
      peer:send(table.concat(bytes))
      peer:close()
      assert.equal("256\n", client:receive(4))
      finish(client)
      other:close()
      assert.matches("\nup1> hex 00 01 02", (recordings(1)))
    end)

    it("gives each recorded client connections of its own", function()
      local running = start()
      local one, other = running:connect(), running:connect()
      for _, client in ipairs { one, other, one, other } do
        client:send(("ask %s k\n"):format(up.address))
        client.peer = client.peer or up:accept()
        answer(client.peer, "GET k\n", "v\n")
        assert.equal("v\n", client:receive(2))
      end
      finish(one)
      finish(other)
      recordings(2)
    end)

    it("has what goes over a connection that the script keeps itself, for each client", function()
      local running, peer = start(), nil
      for _, key in ipairs { "a", "b" } do
        local client = running:connect():send(("mine %s %s\n"):format(up.address, key))
        peer = peer or up:accept()
        answer(peer, key .. "\n", "v" .. key .. "\n")
        assert.equal("v" .. key .. "\n", client:receive(3))
        finish(client)
      end
      local _, second = recordings(2)
      assert.same({ 'upstream up1 "ADDRESS"', '> "mine ADDRESS b\\n"', 'up1< "b\\n"', 'up1> "vb\\n"', '< "vb\\n"' },
        { table.unpack(lines_of(second), 1, 5) })
    end)

    it("has what is said before the client has said anything", function()
      local client = start(nil, "--set", "greeter=" .. up.address):connect()
      answer(up:accept(), "GET greeting\n", "welcome\n")
      assert.equal("welcome\n", client:receive(8))
      finish(client)
      local text = recordings(1, nil, "--set", "greeter=" .. up.address)
      assert.matches('< ""  # the client is there\nup1< "GET greeting\\n"', text, 1, true)
    end)

    it("has no upstream for the body of a request", function()
      local bodies = folder .. "/bodies.lua"
      server.write_file(bodies, BODIES)
      local client = start(bodies):connect()
      client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello"
      client:send " world"
      client:receive_until "hello world"
      finish(client)
      assert.is_nil((recordings(1, bodies)):find "up1")
    end)

    it("has no upstream for what the client says while its request waits", function()
      local client = start():connect():send "read\n"
      client:send "more\n"
      assert.equal("more\n", client:receive(5))
      finish(client)
      assert.same({ '> "read\\n"', '> "more\\n"', '< "more\\n"', "> end", "< end" }, lines_of((recordings(1))))
    end)

    it("has no upstream for a program, beside one for another server", function()
      local client = start():connect():send "program word\n"
      assert.equal("word\n", client:receive(5))
      client:send(("ask %s a\n"):format(up.address))
      answer(up:accept(), "GET a\n", "v\n")
      assert.equal("v\n", client:receive(2))
      client:send "output end\n"
      assert.equal("end\n", client:receive_all())
      client:close()
      local name = server.wait_until("a recording", function() return names_in(folder .. "/records")[1] end)
      local lines = lines_of(server.read_file(folder .. "/records/" .. name))
      assert.same({
        'upstream up1 "ADDRESS"', '> "program word\\n"', '< "word\\n"', '> "ask ADDRESS a\\n"', 'up1< "GET a\\n"',
        'up1> "v\\n"', '< "v\\n"', '> "output end\\n"', '< "end\\n"', "< end",
      }, { table.unpack(lines, 1, 10) })
    end)

    it("has the pauses of the script and of others", function()
      local client = start():connect():send(("slowly %s a\n"):format(up.address))
      local peer = up:accept()
      assert(peer:receive(6))
      assert.is_true(up:is_quiet(0.2))
      peer:send "v\n"
      assert.equal("v\n", client:receive(2))
      finish(client)
      recordings(1)
    end)

    it("has a client that leaves while its request waits", function()
      local client = start():connect():send(("ask %s a\n"):format(up.address))
      assert(up:accept():receive(6))
      client:reset()
      server.wait_until("a recording", function() return #names_in(folder .. "/records") == 1 end)
      assert.matches('up1< "GET a\\n"\n> gone', (recordings(1):gsub("wait %S+\n", "")), 1, true)
    end)

    it("has a client that closes while its request waits, if that ends the request", function()
      local client = start("protocols/gateway.lua", "--set", "redis=" .. up.address):connect()
      client:send "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
      assert(up:accept():receive(20))
      client:close()
      server.wait_until("a recording", function() return #names_in(folder .. "/records") == 1 end)
      local text = recordings(1, "protocols/gateway.lua", "--set", "redis=" .. up.address)
      assert.matches("\n> end\n< end\n$", text)
    end)

    it("has a tunnel", function()
      local client = start():connect():send(("tunnel %s\n"):format(up.address))
      local peer = up:accept()
      peer:send "hello\n"
      assert.equal("hello\n", client:receive(6))
      client:send "ping\n"
      answer(peer, "ping\n", "pong\n")
      assert.equal("pong\n", client:receive(5))
      peer:close()
      client:receive_all()
      client:close()
      local lines = table.concat(lines_of((recordings(1))), "\n")
      assert.matches('up1> "hello\\n"\n< "hello\\n"\n> "ping\\n"\nup1< "ping\\n"\nup1> "pong\\n"\n', lines, 1, true)
    end)

    it("is given up if the conversation gets too long, which holds nobody up", function()
      local running = start()
      local client = running:connect():send(("drain %s\n"):format(up.address))
      local peer = up:accept()
      assert(peer:send(("x"):rep(1100000)))
      peer:close()
      assert.equal("1100000\n", client:receive(8))
      finish(client)
      running:wait_for_log "record_dropped"
      assert.same({}, names_in(folder .. "/records"))
    end)
  end)
end)
