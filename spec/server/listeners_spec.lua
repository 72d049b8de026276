-- Where a server listens: families, several addresses, several scripts.

local lfs = require "lfs"
local server = require "support.server"

-- Tells which service answers, and what it knows of both ends.
local WHO <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  max_request = %s,
  request_complete = framing.line {},
  make_response = function(self)
    return ("%s %%s %%d %%s %%d\n"):format(self.server.host, self.server.port,
      self.client_address.host, self.client_address.port)
  end,
}
]]

local function who(name, max_request)
  return WHO:format(max_request or "nil", name)
end

local function ask(client)
  client:send "x\n"
  return client.socket:receive "*l"
end

server.for_each_poller(function(poller)
  local function start(listen)
    return server.start(who "it", { poller = poller, listen = listen })
  end

  describe("a listener", function()
    it("on IPv4 tells the port that it was given for port 0", function()
      local running = start { "127.0.0.1:0" }
      local address = running.addresses[1]
      assert.equal("127.0.0.1", address.host)
      assert.is_true(address.port > 0)
      local client = running:connect()
      local host, port = client.socket:getsockname()
      assert.equal(("it 127.0.0.1 %d %s %d"):format(address.port, host, port), ask(client))
    end)

    it("on IPv6 is written in brackets", function()
      local running = start { "[::1]:0" }
      local address = running.addresses[1]
      assert.equal(("[::1]:%d"):format(address.port), address.text)
      local client = running:connect()
      local host, port = client.socket:getsockname()
      assert.equal(("it ::1 %d %s %d"):format(address.port, host, port), ask(client))
    end)

    it("on every interface is reached over both families", function()
      local running = start { ":0" }
      server.wait_until("both families", function() return running:count_in_log " listening " == 2 end)
      local port = running.addresses[1].port
      for _, host in ipairs { "127.0.0.1", "::1" } do
        running.addresses[1] = { host = host, port = port }
        assert.is_truthy(ask(running:connect()):find "^it ")
      end
    end)

    it("on a Unix socket removes its path when it stops", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local path = folder .. "/socket"
      local running = start { "unix:" .. path }
      assert.equal("unix:" .. path, running.addresses[1].text)
      assert.equal("socket", lfs.attributes(path, "mode"))
      assert.equal(("it unix:%s 0 unix 0"):format(path), ask(running:connect()))
      running:close_clients()
      assert.equal(0, running:stop())
      running:expect_end()
      assert.is_nil(lfs.attributes(path))
    end)

    it("on a Unix socket replaces a stale file", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local path = folder .. "/socket"
      local killed = start { "unix:" .. path }
      killed:expect_end()
      killed.process:signal(9)
      killed:wait()
      assert.equal("socket", lfs.attributes(path, "mode"))
      assert.is_truthy(ask(start({ "unix:" .. path }):connect()):find "^it ")
    end)

    it("on a Unix socket leaves the path to another server that has taken it over", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local path = folder .. "/socket"
      local first = start { "unix:" .. path }
      assert(os.remove(path))
      local second = start { "unix:" .. path }
      first:expect_end()
      assert.equal(0, first:stop())
      assert.equal("socket", lfs.attributes(path, "mode"))
      assert.is_truthy(ask(second:connect()):find "^it ")
    end)

    it("on a Unix socket leaves a file alone that stands in its place", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local path = folder .. "/socket"
      local running = start { "unix:" .. path }
      assert(os.remove(path))
      server.write_file(path, "do not lose me")
      running:expect_end()
      assert.equal(0, running:stop())
      assert.equal("do not lose me", server.read_file(path))
    end)

    it("on a Unix socket has the mode that is asked for, whatever the umask, and each script its own", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local path = folder .. "/socket"
      for _, umask in ipairs { "000", "077" } do
        local binary = folder .. "/parlance"
        server.write_file(binary, ('#!/bin/sh\numask %s\nexec "%s" "$@"\n'):format(umask, server.BINARY))
        assert(os.execute(("chmod 700 %q"):format(binary)))
        local running = server.start({
          { who "one", options = { listen = { "unix:" .. path .. "1" }, "--socket-mode", "0620" } },
          { who "two", options = { listen = { "unix:" .. path .. "2" }, "--socket-mode", "7" } },
          { who "three", options = { listen = { "unix:" .. path .. "3" } } },
        }, { poller = poller, binary = binary })
        assert.equal("rw--w----", lfs.attributes(path .. "1", "permissions"))
        assert.equal("------rwx", lfs.attributes(path .. "2", "permissions"))
        assert.equal(umask == "000" and "rwxrwxrwx" or "rwx------", lfs.attributes(path .. "3", "permissions"))
        assert.is_truthy(ask(running:connect()):find "^one ")
        running:close_clients()
        assert.equal(0, running:stop())
        running:expect_end()
      end
    end)

    it("on a Unix socket has the group that is asked for", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local groups <close> = assert(io.popen "id -G; id -Gn; getent group daemon | cut -d: -f3")
      local numbers, names, daemon = groups:read("l", "l", "l")
      local number, name = numbers:match "%d+$", names:match "%S+$"
      if numbers:find "^0%f[ \0]" and daemon then number, name = daemon, "daemon" end -- root may take any
      local path = folder .. "/socket"
      local running = server.start(who "it", { poller = poller, listen = { "unix:" .. path }, "--socket-group", name })
      assert.equal(tonumber(number), lfs.attributes(path, "gid"))
      assert.is_truthy(ask(running:connect()):find "^it ")
    end)

    it("may have several addresses of several kinds", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local running = start { "127.0.0.1:0", "[::1]:0", "unix:" .. folder .. "/a", "127.0.0.1:0" }
      assert.equal(4, #running.addresses)
      for nth, expected in ipairs { "it 127.0.0.1 ", "it ::1 ", "it unix:", "it 127.0.0.1 " } do
        assert.equal(expected, ask(running:connect(nth)):sub(1, #expected))
      end
      assert.are_not.equal(running.addresses[1].port, running.addresses[4].port)
    end)

    it("can have its port again at once after a restart", function()
      local running = start { "127.0.0.1:0" }
      local address = running.addresses[1].text
      local client = running:connect()
      ask(client)
      running:terminate()
      -- The server closes first, so that its end of the connection stays in TIME_WAIT.
      assert.equal("", client:receive_all())
      client:close()
      assert.equal(0, running:wait())
      running:expect_end()
      assert.is_truthy(ask(start({ address }):connect()):find "^it ")
    end)
  end)

  describe("several scripts", function()
    it("are served by one process, each where it listens, with its own limits", function()
      local running = server.start({
        { who "one", options = { name = "one", "--max-request", 10 } },
        { who("two", 20), options = { name = "two", listen = { "127.0.0.1:0", "[::1]:0" } } },
        { who "three", options = { name = "three" } },
      }, { poller = poller })
      assert.equal(4, #running.addresses)
      for nth, name in ipairs { "one", "two", "two", "three" } do
        assert.equal(name, running.addresses[nth].service)
        assert.equal(name, ask(running:connect(nth)):match "^%l+")
      end
      for nth, largest in ipairs { 10, 20 } do
        assert.is_truthy(running:connect(nth):exchange_all(("x"):rep(largest - 1) .. "\n"):find "^%l+ ")
        assert.equal("", running:connect(nth):exchange_all(("x"):rep(largest) .. "\n"))
      end
      assert.is_truthy(running:connect(4):exchange_all(("x"):rep(1000) .. "\n"):find "^three ")
    end)

    it("share nothing", function()
      local counter = [[
        count = (count or 0) + 1
        string.shared = (string.shared or 0) + 1
        return { handle_connect = function() count = count + 1 return count .. "," .. string.shared end }
      ]]
      local running = server.start({ { counter }, { counter } }, { poller = poller })
      assert.equal("2,1", running:connect(1):receive_all())
      assert.equal("2,1", running:connect(2):receive_all())
      assert.equal("3,1", running:connect(1):receive_all())
    end)
  end)
end)

describe("a script", function()
  server.cleans_up()

  it("may say where it listens", function()
    local folder = server.new_folder()
    finally(function() server.remove_folder(folder) end)
    local path = folder .. "/own"
    local text = ("return {\n listen = %q, handle_connect = function() return 'here' end }"):format("unix:" .. path)
    local running = server.start({ { text, options = { listen = {} } }, { who "it" } })
    running:wait_for_log("listening service=script1 address=unix:" .. path)
    assert.equal("here", running:connect(1):receive_all())
  end)

  it("gives way to --listen", function()
    local running = server.start "return {\n listen = 'unix:/nonexistent/x', handle_connect = function() end }"
    assert.equal("127.0.0.1", running.addresses[1].host)
  end)
end)
