-- timeout 300
-- parlance.tunnel in a running server: both ends are sockets of this process. Each case runs twice: where the kernel
-- moves the bytes, and where the server copies them, as it does when it records.

local server = require "support.server"
local socket = require "socket"
local upstream = require "support.upstream"

local DEADLINE <const> = 30
local MIB <const> = 1024 * 1024

-- A line begins a tunnel. Words in it tell what the script does beside.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local Proxy = { close_when_done = false, request_complete = framing.line {} }

function Proxy:make_response()
  if self.request == "plain" then return "plain\n" end
  if self.request == "send" then
    return ("%%s %%s %%d\n"):format(first:send "x", select(2, first:send "x"), parlance.topic "t":publish "x")
  end
  local up = assert(net.connect(%q))
  first = first or self
  if self.request == "close" then parlance.spawn(function() parlance.sleep(0.01) self:close "enough" end) end
  if self.request == "topic" then parlance.topic "t":subscribe(self) end
  if self.request == "prepared" then
    up:write "request "
    self:write "response "
    up:peek(4)
  end
  local there, back, code
  if self.request == "within" then
    print("within", parlance.within(0.05, parlance.tunnel, self, up))
    return
  end
  there, back, code = parlance.tunnel(self, up)
  print("tunnel", there, back, code)
  if self.request == "more" then return "more\n" end
  if self.request == "talk" then
    print("read", self:read())
    print("write", self:write "x")
    print("again", parlance.tunnel(self, up))
    print("stream", up:read())
  end
  if self.request == "sleep" then print("slept", parlance.sleep(0.1)) end
  if self.request == "raise" then error "after the tunnel" end
end

function Proxy:handle_error(why) print("error " .. why) return "last words\n" end
function Proxy:handle_close(why) print("closed " .. why) end
return Proxy
]]

-- Waits until a connection is reset: to LuaSocket a reset and an end are the same word, but an end is no error of the
-- socket.
local function is_reset(one)
  server.wait_until("a reset", function() return one:getoption "error" == "closed" end)
end

local WAYS <const> = { moved = false, copied = true }
local KINDS <const> = { "tcp", "unix" }

-- Bytes that tell where they are from.
local function pattern(length)
  local words = {}
  for i = 1, length // 8 do words[i] = ("%07d\n"):format(i % 10000000) end
  return table.concat(words)
end

server.for_each_poller(function(poller)
  describe("the proxy of the documents", function()
    it("works", function()
      local page = server.read_file(server.SOURCE .. "/docs/upstreams.md")
      local script = assert(page:match "This is a whole TCP proxy:%s+```lua\n(.-)```")
      local far = upstream.listen()
      finally(function() far:close() end)
      local running = server.start(script, { poller = poller, "--set", "to=" .. far.address })
      local client = running:connect()
      local accepted = far:accept()
      assert.equal("a", (client:send "a" and accepted:receive(1)))
      accepted:send "b"
      assert.equal("b", client:receive(1))
      accepted:close()
      assert.equal("", client:exchange_all "")
    end)
  end)

  describe("a tunnel with a pipe of a program", function()
    local PROGRAM <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local parlance = require "parlance"
local process = require "parlance.process"
local Lines = { close_when_done = false, request_complete = framing.line {} }
function Lines:make_response()
  local child <close> = assert(process.spawn { "sh", "-c", self.request })
  local pipe = self.request:find "head" and child.stdin or child.stdout
  print(parlance.tunnel(self, pipe))
  print(pipe == child.stdin and child.stdout:read "a" or child:wait())
end
return Lines
]]

    local function says(running, text)
      server.wait_until(text, function() return running:output():find(text, 1, true) end)
    end

    it("brings what the program writes", function()
      local running = server.start(PROGRAM, { poller = poller })
      assert.equal("hello\nworld\n", running:connect():send("echo hello; echo world\n"):receive_all())
      says(running, "0\t12\nexit\n")
    end)

    it("takes what the client sends, up to its end", function()
      local running = server.start(PROGRAM, { poller = poller })
      assert.equal("", running:connect():exchange_all "head -c 3\nabc")
      says(running, "3\t0\nabc\n")
    end)

    it("moves much, with back pressure", function()
      local running = server.start(PROGRAM, { poller = poller })
      local memory = running:memory()
      local client = running:connect():send "yes | dd bs=64k count=1024 iflag=fullblock 2>/dev/null\n"
      assert.equal("y\n", client:receive(2))
      socket.sleep(0.3) -- in which the program writes what it can
      local more = running:memory() - memory
      if not server.is_sanitized then assert.is_true(more < 4096, more) end
      assert.equal(64 * MIB - 2, #client:receive_all())
    end)
  end)

  for way, is_copied in pairs(WAYS) do
    describe(("a tunnel whose bytes are %s"):format(way), function()
      local store, running, folders

      local function new_path()
        folders[#folders + 1] = server.new_folder()
        return folders[#folders] .. "/socket"
      end

      local function start(options, kind)
        options = options or {}
        options.poller, options.turns = poller, true
        if is_copied then
          folders[#folders + 1] = server.new_folder()
          table.insert(options, 1, folders[#folders])
          table.insert(options, 1, "--record")
        end
        store = upstream.listen(kind == "unix" and new_path() or nil)
        if kind == "unix" then options.listen = { "unix:" .. new_path() } end
        running = server.start(SCRIPT:format(store.address), options)
      end

      -- Returns the two ends.
      local function join(line)
        local client = running:connect():send((line or "go") .. "\n")
        return client, store:accept()
      end

      local function says(text)
        server.wait_until(text, function() return running:output():find(text, 1, true) end)
      end

      before_each(function() folders = {} end)
      after_each(function()
        if store then store:close() end
        store = nil
        for _, folder in ipairs(folders) do server.remove_folder(folder) end
      end)

      for _, kind in ipairs(KINDS) do
        it("passes on bytes both ways and returns how many, " .. kind, function()
          start(nil, kind)
          local client, far = join()
          client:send "hello"
          assert.equal("hello", far:receive(5))
          far:send "good morning"
          assert.equal("good morning", client:receive(12))
          client:half_close()
          assert.is_true(upstream.has_ended(far))
          far:send "!"
          far:close()
          assert.equal("!", client:receive_all())
          says "tunnel\t5\t13\tnil\n"
          says "closed done\n"
        end)
      end

      it("sends first what waits to go out, then what is buffered, then the bytes", function()
        start()
        local client = running:connect():send "prepared\nbehind"
        local far = store:accept()
        assert.equal("request ", far:receive(8))
        far:send "data"
        assert.equal("response data", client:receive(13))
        assert.equal("behind", far:receive(6))
        client:send "!"
        assert.equal("!", far:receive(1))
      end)

      it("takes nothing that is sent or published otherwise", function()
        start()
        local client, far = join "topic"
        client:send "x"
        far:receive(1)
        assert.equal("false tunnel 0\n", running:connect():exchange("send\n", 15))
        far:send "y"
        assert.equal("y", client:receive(1))
      end)

      it("gets the requests that the client has sent behind, as bytes", function()
        start()
        local client = running:connect():send "plain\ngo\nplain\nplain\n"
        assert.equal("plain\n", client:receive(6))
        assert.equal("plain\nplain\n", store:accept():receive(12))
      end)

      it("ends when the other side has stopped first, too", function()
        start()
        local client, far = join()
        far:send "all of it"
        far:shutdown "send"
        assert.equal("all of it", client:receive_all())
        client:send "still here"
        client:half_close()
        assert.equal("still here", far:receive(10))
        assert.is_true(upstream.has_ended(far))
        says "tunnel\t10\t9\tnil\n"
      end)

      it("passes on half a client, and then resets when the other half breaks", function()
        start()
        local client, far = join()
        client:half_close()
        assert.is_true(upstream.has_ended(far))
        far:send "x"
        assert.equal("x", client:receive(1))
        upstream.reset(far)
        is_reset(client.socket)
        says "closed peer_reset\n"
      end)

      it("loses nothing that a client sends whose receiving has ended, to one that reads late", function()
        start()
        local client, far = join()
        far:shutdown "send"
        assert.equal("", client:receive_all())
        local taken = client:send_until_full(function() return ("x"):rep(65536) end, 0.3)
        client:half_close()
        socket.sleep(0.05)
        assert.equal(taken, #assert(far:receive "*a"))
        says(("tunnel\t%d\t0\tnil\n"):format(taken))
      end)

      for _, kind in ipairs(KINDS) do
        it("loses nothing that a client sends before it closes, to one that reads late, " .. kind, function()
          start(nil, kind)
          local client, far = join()
          local taken = client:send_until_full(function() return ("x"):rep(65536) end, 0.3)
          client:close()
          socket.sleep(0.05)
          assert.equal(taken, #assert(far:receive "*a"))
          far:close()
          says(("tunnel\t%d\t0\tnil\n"):format(taken))
        end)
      end

      it("resets the stream when the client is reset", function()
        start()
        local client, far = join()
        client:send "x"
        far:receive(1)
        client:reset()
        is_reset(far)
        says "closed peer_reset\n"
        assert.is_nil(running:output():find("tunnel\t", 1, true))
      end)

      it("resets the client when the stream is reset", function()
        start()
        local client, far = join()
        client:send "x"
        far:receive(1)
        upstream.reset(far)
        is_reset(client.socket)
        says "closed peer_reset\n"
      end)

      it("keeps a client waiting that sends faster than the other side reads", function()
        start()
        local client, far = join()
        local memory = running:memory()
        local piece, left = ("x"):rep(65536), 64 * MIB
        local taken = client:send_until_full(function()
          left = left - #piece
          return left >= 0 and piece or nil
        end, 0.3)
        assert.is_true(taken < 48 * MIB, taken)
        if not server.is_sanitized then assert.is_true(running:memory() - memory < 2048) end
        local got = 0
        while got < taken do
          local part = far:receive(math.min(MIB, taken - got))
          got = got + #part
        end
        client:send "end"
        assert.equal("end", far:receive(3))
      end)

      it("moves 64 MiB each way at once in flat memory", function()
        start()
        local client, far = join()
        client:send "x"
        far:receive(1)
        local memory = running:memory()
        local piece = pattern(256 * 1024)
        local ends = { { one = client.socket }, { one = far } }
        for _, each in ipairs(ends) do
          each.one:settimeout(0)
          each.sent, each.got, each.from = 0, 0, 1
        end
        local began = server.now()
        while ends[1].got < 64 * MIB or ends[2].got < 64 * MIB do
          assert.is_true(server.now() - began < 4 * DEADLINE)
          local writes = {}
          for _, each in ipairs(ends) do if each.sent < 64 * MIB then writes[#writes + 1] = each.one end end
          local _, _, why = socket.select({ client.socket, far }, writes, DEADLINE)
          assert.is_nil(why)
          for _, each in ipairs(ends) do
            if each.sent < 64 * MIB then
              local last, _, part = each.one:send(piece, each.from)
              local upto = last or part
              each.sent = each.sent + upto - each.from + 1
              each.from = upto == #piece and 1 or upto + 1
            end
            local whole, _, some = each.one:receive(256 * 1024)
            local bytes, place = whole or some, each.got % #piece
            local expected = piece:sub(place + 1, place + #bytes)
            expected = expected .. piece:sub(1, #bytes - #expected)
            if bytes ~= expected then error("other bytes, behind " .. each.got) end
            each.got = each.got + #bytes
          end
        end
        assert.equal(64 * MIB, ends[1].got)
        assert.equal(64 * MIB, ends[2].got)
        if not server.is_sanitized and not is_copied then
          assert.is_true(running:memory() - memory < 2048, running:memory() - memory)
        end
      end)

      it("has only nil behind it: anything else is an error of the script with its place", function()
        start()
        local client, far = join "more"
        far:send "x"
        far:close()
        client:half_close()
        assert.equal("x", client:receive_all())
        running:wait_for_log "script_error [^\n]*script1.lua:%d+: make_response returned a string behind "
        says "closed script_error\n"
        assert.is_nil(running:output():find("error ", 1, true))
      end)

      it("is followed by no words of handle_error when the script raises", function()
        start()
        local client, far = join "raise"
        far:close()
        client:half_close()
        assert.equal("", client:receive_all())
        running:wait_for_log "script_error [^\n]*after the tunnel"
      end)

      it("leaves a self and a stream behind that are closed", function()
        start()
        local client, far = join "talk"
        far:close()
        client:half_close()
        assert.equal("", client:receive_all())
        says "closed done\n"
        assert.equal("tunnel\t0\t0\tnil\nread\tnil\tclosed\tclosed\nwrite\tnil\tclosed\tclosed\n" ..
          "again\tnil\tclosed\tclosed\nstream\tnil\tclosed\tclosed\nclosed done\n", running:output())
      end)

      it("tears both down when its wait is cancelled", function()
        start()
        local client, far = join "within"
        is_reset(client.socket)
        is_reset(far)
        says "closed closed\n"
      end)

      it("ends by idle_timeout when no byte passes, and not by response_timeout", function()
        start { "--idle-timeout", "0.6", "--response-timeout", "0.2" }
        local client, far = join()
        local last
        for _ = 1, 8 do
          socket.sleep(0.1)
          last = server.now()
          client:send "x"
          assert.equal("x", far:receive(1))
          far:send "y"
          assert.equal("y", client:receive(1))
        end
        is_reset(client.socket)
        is_reset(far)
        assert.is_true(server.now() - last > 0.5)
        says "closed idle_timeout\n"
      end)

      it("has response_timeout begin anew behind it", function()
        start { "--response-timeout", "0.3" }
        local client, far = join "sleep"
        far:close()
        assert.equal("", client:receive_all())
        socket.sleep(0.4)
        client:half_close()
        says "slept\n"
        says "closed done\n"
      end)

      it("is torn down by self:close", function()
        start()
        local client, far = join "close"
        is_reset(client.socket)
        is_reset(far)
        says "closed enough\n"
      end)

      it("ends by write_timeout when the client takes nothing", function()
        start { "--write-timeout", "0.5" }
        local _, far = join()
        far:settimeout(0.1)
        local piece = ("x"):rep(MIB)
        local began = server.now()
        repeat
          local sent, why = far:send(piece)
          assert.is_true(server.now() - began < DEADLINE)
        until not sent and why ~= "timeout"
        says "closed write_timeout\n"
      end)

      it("goes on while the server drains, and is cut when that is over", function()
        start { "--drain-timeout", "0.5" }
        local client, far = join()
        client:send "x"
        far:receive(1)
        running:terminate()
        running:wait_for_log " draining"
        client:send "still"
        assert.equal("still", far:receive(5))
        far:send "there"
        assert.equal("there", client:receive(5))
        assert.equal(0, running:wait())
        is_reset(client.socket)
        running:expect_end()
      end)

      it("that ends while the server drains lets it stop", function()
        start()
        local client, far = join()
        running:terminate()
        running:wait_for_log " draining"
        client:send "bye"
        client:half_close()
        assert.equal("bye", far:receive(3))
        far:close()
        assert.equal("", client:receive_all())
        assert.equal(0, running:wait(5))
        running:expect_end()
      end)

      it("goes on across a hot edit", function()
        start()
        local client, far = join()
        client:send "x"
        far:receive(1)
        local path = running.folder .. "/script1.lua"
        server.write_file(path, (server.read_file(path):gsub("plain\\n", "edited\\n")))
        running:wait_for_log " reloaded "
        assert.equal("edited\n", running:connect():exchange("plain\n", 7))
        client:send "on"
        assert.equal("on", far:receive(2))
        far:close()
        client:half_close()
        says "tunnel\t3\t0\tnil\n"
      end)

      it("does not need a descriptor more when the other side takes nothing", function()
        start { rlimit_nofile = 80 }
        local joined, idle = {}, {}
        for i = 1, 16 do joined[i] = { join() } end
        while running:descriptors() < 80 and #idle < 24 do idle[#idle + 1] = running:connect() end
        local piece, sent = pattern(64 * 1024), {}
        for i, each in ipairs(joined) do
          local far, from = each[2], 1
          far:settimeout(0.05)
          sent[i] = 0
          repeat
            local last, _, part = far:send(piece, from)
            local upto = last or part
            sent[i] = sent[i] + upto - from + 1
            from = upto == #piece and 1 or upto + 1
          until not last
        end
        for i, each in ipairs(joined) do
          local got = 0
          while got < sent[i] do
            local count = math.min(#piece - got % #piece, sent[i] - got)
            local bytes = each[1]:receive(count)
            if bytes ~= piece:sub(got % #piece + 1, got % #piece + count) then error("other bytes, behind " .. got) end
            got = got + count
          end
          each[1]:send "x"
          each[2]:settimeout(DEADLINE)
          assert.equal("x", each[2]:receive(1))
        end
      end)

      it("leaves no descriptor behind", function()
        start()
        assert.equal("plain\n", running:connect():exchange("plain\n", 6))
        running:turn()
        running:close_clients()
        running.turner = nil
        running:wait_for_log "closed service=script1"
        running:turn()
        local before = running:descriptors()
        for round = 1, 30 do
          local client, far = join(round % 7 == 0 and "within" or "go")
          client:send "x"
          far:receive(1)
          if round % 3 == 0 then
            client:reset()
          elseif round % 3 == 1 then
            upstream.reset(far)
          else
            client:close()
            far:close()
          end
        end
        server.wait_until("the descriptors to be closed", function()
          running:turn()
          return running:descriptors() <= before + (is_copied and 0 or 4)
        end)
      end)
    end)
  end
end)
