-- --listen systemd:[NAME]: the spec plays systemd, opens the sockets, and passes them to the server.

local descriptor = require("parlance_spec").io
local lfs = require "lfs"
local server = require "support.server"
local socket = require "socket"
local tls = require "support.tls"
local unix = require "socket.unix"

local ECHO <const> = server.SOURCE .. "/protocols/echo.lua"

-- Tells who it is and where it was asked.
local WHO <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self) return ("%s %%s %%d\n"):format(self.server.host, self.server.port) end,
}
]]

local function ask(client)
  client:send "x\n"
  return client.socket:receive "*l"
end

-- Sockets of systemd that end with the test.
local function opener()
  local all = {}
  finally(function()
    for _, each in ipairs(all) do each:close() end
  end)
  local function keep(each)
    all[#all + 1] = each
    return each
  end
  return {
    tcp = function(host) return keep(assert(socket.bind(host or "127.0.0.1", 0))) end,
    unix = function(path)
      local listener = keep(unix.stream())
      assert(listener:bind(path))
      assert(listener:listen(8))
      return listener
    end,
    silent = function()
      local bound = keep(socket.tcp4())
      assert(bound:bind("127.0.0.1", 0))
      return bound
    end,
    udp = function(host)
      local datagrams = keep(assert((host == "::1" and socket.udp6 or socket.udp4)()))
      assert(datagrams:setsockname(host or "127.0.0.1", 0))
      return datagrams
    end,
    unix_datagrams = function(path)
      local datagrams = keep(unix.dgram())
      assert(datagrams:bind(path))
      return datagrams
    end,
  }
end

local function descriptors(sockets)
  local list = {}
  for place, each in ipairs(sockets) do list[place] = each:getfd() end
  return list
end

server.for_each_poller(function(poller)
  describe("--listen systemd:NAME", function()
    it("serves all TCP and Unix sockets of this name, and each name belongs to its script", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local open = opener()
      local sockets = { open.tcp(), open.unix(folder .. "/socket"), open.tcp(), open.tcp "::1" }
      local running = server.start({
        { WHO:format "web", options = { listen = { "systemd:web" } } },
        { WHO:format "admin", options = { listen = { "systemd:admin", "127.0.0.1:0" } } },
      }, {
        poller = poller, pass = descriptors(sockets), env = { LISTEN_FDNAMES = "web:web:admin:web" }, listeners = 5,
      })
      local function port(place) return select(2, sockets[place]:getsockname()) end
      assert.equal("127.0.0.1:" .. port(1), running.addresses[1].text)
      assert.equal("unix:" .. folder .. "/socket", running.addresses[2].text)
      assert.equal("[::1]:" .. port(4), running.addresses[3].text)
      assert.equal("127.0.0.1:" .. port(3), running.addresses[4].text)
      for place, answer in ipairs {
        "web 127.0.0.1 " .. port(1), "web unix:" .. folder .. "/socket 0", "web ::1 " .. port(4),
        "admin 127.0.0.1 " .. port(3), "admin 127.0.0.1 " .. running.addresses[5].port,
      } do
        assert.equal(answer, ask(running:connect(place)))
      end
      assert.is_nil(running:log():find("sockets_not_used", 1, true))
    end)

    it("serves UDP sockets, too, and the datagrams that were waiting before it was started", function()
      local open = opener()
      local sockets = { open.udp(), open.tcp(), open.udp "::1" }
      local early = open.udp()
      early:sendto("early", sockets[1]:getsockname())
      local running = server.start([[return {
        close_when_done = false,
        request_complete = require("parlance.framing").line {},
        make_response = function(self) return self.transport .. " " .. self.request end,
      }]], {
        poller = poller, listen = { "systemd:" }, listeners = 3, pass = descriptors(sockets),
        env = { LISTEN_FDNAMES = "web:web:web" },
      })
      local late = open.udp "::1"
      late:sendto("late", sockets[3]:getsockname())
      for peer, answer in pairs { [early] = "udp early", [late] = "udp late" } do
        peer:settimeout(server.DEADLINE)
        assert.equal(answer, peer:receive())
      end
      assert.equal("tcp x", running:connect(2):exchange("x\n", 5))
      assert.matches("listening service=%S+ address=udp:127.0.0.1:%d+", running:log())
    end)

    it("serves TLS on TCP and Unix sockets with tls:systemd:NAME", function()
      local made = tls.folder()
      finally(function() made:remove() end)
      local pair = made:certificate "web"
      local open = opener()
      local running = server.start(WHO:format "web", {
        poller = poller, listen = { "tls:systemd:web", "systemd:plain" }, listeners = 3,
        pass = descriptors { open.tcp(), open.unix(made.path .. "/socket"), open.tcp() },
        env = { LISTEN_FDNAMES = "web:web:plain" }, "--certificate", pair.certificate, "--key", pair.key,
      })
      assert.matches("^web 127.0.0.1 %d+\n$", assert(tls.wrap(running:connect(1))):send("x\n"):receive_until "\n")
      assert.matches("^web unix:", assert(tls.wrap(running:connect(2))):send("x\n"):receive_until "\n")
      assert.matches("^web 127.0.0.1 %d+$", ask(running:connect(3)))
      assert.matches("address=tls:unix:", running:log(), 1, true)
    end)

    it("answers those who were waiting in the backlog before it was started", function()
      local listener = opener().tcp()
      local host, port = listener:getsockname()
      local early = assert(socket.connect(host, port))
      assert(early:send "hello\n")
      server.start(ECHO, { poller = poller, listen = { "systemd:" }, pass = descriptors { listener } })
      early:settimeout(server.DEADLINE)
      assert.equal("hello\n", early:receive(6))
      early:close()
    end)

    it("leaves the file of a Unix socket to systemd when it stops, and the socket can be passed again", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      local listener = opener().unix(folder .. "/socket")
      for _ = 1, 2 do
        local running = server.start(ECHO, {
          poller = poller, listen = { "systemd:" }, pass = descriptors { listener },
        })
        assert.equal("x\n", running:connect():exchange("x\n", 2))
        running:close_clients()
        assert.equal(0, running:stop())
        running:expect_end()
        assert.equal("socket", lfs.attributes(folder .. "/socket", "mode"))
      end
    end)

    it("with no name takes what others have left, and sockets without a name are called unknown", function()
      local open = opener()
      local running = server.start({
        { WHO:format "second", options = { listen = { "systemd:unknown" } } },
        { WHO:format "first", options = { listen = { "systemd:" } } },
      }, { poller = poller, pass = descriptors { open.tcp(), open.tcp() }, env = { LISTEN_FDNAMES = "a" } })
      assert.equal("second", ask(running:connect(1)):match "^%l+")
      assert.equal("first", ask(running:connect(2)):match "^%l+")
    end)

    it("may be what the script says in its field listen", function()
      local text = "return {\n listen = 'systemd:here', handle_connect = function() return 'here' end }"
      local running = server.start({ { text, options = { listen = {} } } }, {
        poller = poller, pass = descriptors { opener().tcp() }, env = { LISTEN_FDNAMES = "here" }, listeners = 1,
      })
      assert.equal("here", running:connect():receive_all())
    end)

    it("tells of sockets that no address names, and closes them", function()
      local open = opener()
      local running = server.start(ECHO, {
        poller = poller, listen = { "systemd:a" }, pass = descriptors { open.tcp(), open.tcp(), open.tcp() },
        env = { LISTEN_FDNAMES = "b:a:b" },
      })
      running:wait_for_log "warn sockets_not_used count=2 "
      assert.equal("x\n", running:connect():exchange("x\n", 2))
    end)

    it("keeps variables and descriptors from the programs that scripts run", function()
      local running = server.start([[
        local process = require "parlance.process"
        return { handle_connect = function()
          local child = process.spawn { "sh", "-c", "env | grep ^LISTEN_; ls /proc/self/fd | tr '\\n' ' '" }
          return child.stdout:read "a" .. tostring(os.getenv "LISTEN_PID")
        end }]], {
        poller = poller, listen = { "systemd:" }, pass = descriptors { opener().tcp() },
        env = { LISTEN_FDNAMES = "a", LISTEN_PIDFDID = "5" },
      })
      assert.equal("0 1 2 3 nil", running:connect():receive_all()) -- 3 is the folder that ls reads
    end)
  end)
end)

describe("--listen systemd:NAME", function()
  local function refuses(complaint, options, ...)
    local argv = { ... }
    argv[#argv + 1] = ECHO
    local status, _, complained = server.run(argv, options)
    assert.equal("parlance: " .. complaint .. "\n", complained)
    assert.equal(2, status)
  end

  it("is refused where systemd has passed nothing, or nothing to this process", function()
    local missing <const> = "cannot listen on systemd:web: systemd has passed no socket to this process"
    refuses(missing, {}, "--listen=systemd:web")
    local passed = descriptors { opener().tcp() }
    for _, env in ipairs {
      { LISTEN_PID = "1" }, { LISTEN_PID = "" }, { LISTEN_PID = "x" }, { LISTEN_FDS = "0" }, { LISTEN_FDS = "-1" },
      { LISTEN_FDS = "1x" }, { LISTEN_FDS = "99999999999999999999" },
    } do
      refuses(missing, { pass = passed, env = env }, "--listen=systemd:web")
    end
  end)

  it("is refused when no socket has this name, or all are taken", function()
    local open = opener()
    local options = { pass = descriptors { open.tcp(), open.tcp() }, env = { LISTEN_FDNAMES = "a:b" } }
    local missing <const> = "cannot listen on systemd:%s: systemd has passed no socket of this name that is left"
      .. " (it has passed a:b)"
    refuses(missing:format "c", options, "--listen=systemd:c")
    refuses(missing:format "a", options, "--listen=systemd:a", "--listen=systemd:a")
  end)

  it("is refused for descriptors that are not open", function()
    refuses("the sockets that LISTEN_FDS tells of cannot be had: Bad file descriptor",
      { pass = descriptors { opener().tcp() }, env = { LISTEN_FDS = "20" } }, "--listen=systemd:")
  end)

  it("is refused for what can be served by nobody", function()
    local folder = server.new_folder()
    finally(function() server.remove_folder(folder) end)
    local open = opener()
    local file = descriptor.open "/dev/null"
    finally(function() descriptor.close(file) end)
    for reason, passed in pairs {
      ["a socket that systemd has passed is neither TCP, UDP nor a Unix stream socket"] =
        open.unix_datagrams(folder .. "/socket"):getfd(),
      ["a socket that systemd has passed does not listen (its unit must not have Accept=yes)"] = open.silent():getfd(),
      ["a descriptor that systemd has passed is no socket"] = file,
    } do
      refuses("cannot listen on systemd:web: " .. reason .. " (it has passed web)",
        { pass = { passed }, env = { LISTEN_FDNAMES = "web" } }, "--listen=systemd:web")
    end
  end)

  it("is refused for a UDP socket with tls: before it", function()
    local made = tls.folder()
    finally(function() made:remove() end)
    local pair = made:certificate "web"
    local status, _, complained = server.run({
      "--certificate=" .. pair.certificate, "--key=" .. pair.key, "--listen=tls:systemd:web", ECHO,
    }, { pass = { opener().udp():getfd() }, env = { LISTEN_FDNAMES = "web" } })
    assert.equal("parlance: cannot listen on systemd:web: TLS is not for a UDP socket that systemd has passed"
      .. " (it has passed web)\n", complained)
    assert.equal(2, status)
  end)

  it("is refused with a name that cannot be one", function()
    for _, name in ipairs { "a:b", "tcp:x", ("n"):rep(256) } do
      refuses(("--listen systemd:%s: what stands behind systemd: is no name of a socket"):format(name), {},
        "--listen=systemd:" .. name)
    end
  end)
end)
