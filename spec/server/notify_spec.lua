-- sd_notify: the spec plays systemd, binds the socket, and reads what the server tells it.

local io_room = require("parlance_spec").io
local server = require "support.server"
local unix = require "socket.unix"

local HUP <const> = 1

local ECHO <const> = server.SOURCE .. "/protocols/echo.lua"

local function script(version)
  return ("return {\n handle_connect = function() return %q end }\n"):format(version)
end

server.for_each_poller(function(poller)
  local folder, path, bound

  before_each(function()
    folder = server.new_folder()
    path = folder .. "/notify"
    bound = assert(io_room.bind_datagrams(path))
  end)

  after_each(function()
    io_room.close(bound)
    server.remove_folder(folder)
  end)

  -- The next message as a table, but signs of life only if asked.
  local function next_message(wants_life)
    while true do
      assert(io_room.ready(bound, "r", server.DEADLINE), "systemd hears nothing")
      local text = assert(io_room.read(bound))
      local message = {}
      for name, value in text:gmatch "([^=\n]+)=([^\n]*)" do message[name] = value end
      if wants_life or not message.WATCHDOG then return message end
    end
  end

  local function start(what, options, env)
    options = options or {}
    options.poller = poller
    options.env = env or {}
    options.env.NOTIFY_SOCKET = options.env.NOTIFY_SOCKET or path
    return server.start(what, options)
  end

  local function write(text) server.write_file(folder .. "/lines.lua", text) end

  local function start_written(...)
    write(script "v1")
    local running = start(folder .. "/lines.lua", { "--no-watch", ... })
    assert.equal("1", next_message().READY)
    return running
  end

  describe("NOTIFY_SOCKET", function()
    it("is told when the server listens, with its number and what it serves", function()
      local running = start({ { ECHO }, { script "x", options = { name = "greet" } } })
      assert.same({ READY = "1", MAINPID = tostring(running.process:pid()), STATUS = "Serving echo, greet" },
        next_message())
      assert.equal("x", running:connect(2):receive_all())
    end)

    it("is told of as many services as a message has room for", function()
      local services = {}
      for place = 1, 25 do
        services[place] = { script "x", options = { name = ("%02d"):format(place) .. ("x"):rep(40) } }
      end
      local running = start(services)
      local message = next_message()
      assert.equal(tostring(running.process:pid()), message.MAINPID)
      assert.matches("^Serving 01x+, 02x", message.STATUS)
      assert.equal("x", running:connect(25):receive_all())
    end)

    it("may be an abstract address", function()
      io_room.close(bound)
      local name = "@parlance-spec" .. folder
      bound = assert(io_room.bind_datagrams(name))
      start(ECHO, {}, { NOTIFY_SOCKET = name })
      assert.equal("1", next_message().READY)
    end)

    it("is told of a reload at SIGHUP and of its end, when the new version serves", function()
      local running = start_written()
      write(script "v2")
      local before = server.now() * 1000000 // 1
      assert(running.process:signal(HUP))
      local message = next_message()
      local usec = message.MONOTONIC_USEC
      assert.same({ RELOADING = "1", MONOTONIC_USEC = usec, STATUS = "Reloading" }, message)
      assert.is_true(math.tointeger(usec) >= before and math.tointeger(usec) <= server.now() * 1000000, usec)
      assert.same({ READY = "1", STATUS = "Serving lines" }, next_message())
      assert.equal("v2", running:connect():receive_all())
    end)

    it("is told of a reload that is refused", function()
      local running = start_written()
      write "return 5"
      assert(running.process:signal(HUP))
      assert.equal("1", next_message().RELOADING)
      assert.same({ READY = "1", STATUS = "Serving lines; see the log, not reloaded: lines" }, next_message())
      assert.equal("v1", running:connect():receive_all())
    end)

    it("is told of the end of a reload when the check before it has ended", function()
      local running = start_written "--preflight"
      write(script "v2")
      assert(running.process:signal(HUP))
      assert.equal("1", next_message().RELOADING)
      assert.same({ READY = "1", STATUS = "Serving lines" }, next_message())
      assert.equal("v2", running:connect():receive_all())
    end)

    it("is told that the server stops, before it has finished its requests", function()
      local running = start(([[
        local framing = require "parlance.framing"
        local parlance = require "parlance"
        return { request_complete = framing.line {},
          make_response = function()
            print "began"
            while not io.open(%q) do parlance.sleep(0.005) end
            return "done\n"
          end }]]):format(folder .. "/go"))
      assert.equal("1", next_message().READY)
      local client = running:connect()
      client:send "x\n"
      server.wait_until("the request to begin", function() return running:output() == "began\n" end)
      running:terminate()
      assert.same({ STOPPING = "1", STATUS = "Draining 1 connections" }, next_message())
      server.write_file(folder .. "/go", "")
      assert.equal("done\n", client:receive_all())
      client:close()
      assert.equal(0, running:wait())
      running:expect_end()
    end)

    it("is told nothing by the programs that scripts run, and they do not see its variables", function()
      local running = start([[
        local process = require "parlance.process"
        return { handle_connect = function()
          local child = process.spawn { "sh", "-c", "env | grep -E '^(NOTIFY_|WATCHDOG_)'; echo end" }
          return child.stdout:read "a"
        end }]], {}, { WATCHDOG_USEC = "60000000", WATCHDOG_PID = "" })
      assert.equal("end\n", running:connect():receive_all())
    end)

    it("that is full for a while hears later that the server is ready, and nobody waits for it", function()
      local filler = unix.dgram()
      assert(filler:connect(path))
      filler:settimeout(0)
      local count = 0
      while filler:send "FILLER=1" do count = count + 1 end
      local running = start(ECHO)
      assert.equal("x\n", running:connect():exchange("x\n", 2))
      for _ = 1, count do assert.equal("1", next_message().FILLER) end
      assert.equal("1", next_message().READY)
      filler:close()
    end)

    it("that is gone is told of once in the log, and the server goes on", function()
      local running = start(ECHO, {}, { NOTIFY_SOCKET = path .. "-gone", WATCHDOG_USEC = "2000" })
      running:wait_for_log 'warn notify_failed detail="No such file or directory"\n'
      assert.equal("x\n", running:connect():exchange("x\n", 2))
      assert.equal(1, running:count_in_log "notify_failed")
      local again = assert(io_room.bind_datagrams(path .. "-gone"))
      assert(io_room.ready(again, "r", server.DEADLINE), "the watchdog went on")
      io_room.close(again)
    end)
  end)

  describe("WATCHDOG_USEC", function()
    it("makes the loop send signs of life, twice as often, as long as it does not hang", function()
      local fifo = folder .. "/fifo"
      assert(os.execute("mkfifo " .. fifo))
      -- Only a function of C can hang: it waits for a writer.
      local running = start(([[
        local framing = require "parlance.framing"
        return { close_when_done = false, request_complete = framing.line {},
          make_response = function()
            print "hangs"
            local file <close> = io.open(%q)
            return "goes on\n"
          end }]]):format(fifo), {}, { WATCHDOG_USEC = "100000" })
      assert.equal("1", next_message().READY)
      local began = server.now()
      for _ = 1, 4 do assert.same({ WATCHDOG = "1" }, next_message(true)) end
      assert.is_true(server.now() - began >= 3 * 0.05)
      local client = running:connect()
      client:send "x\n"
      server.wait_until("the loop to hang", function() return running:output() == "hangs\n" end)
      while io_room.ready(bound, "r", 0) do io_room.read(bound) end
      assert.is_false(io_room.ready(bound, "r", 0.3))
      assert(io.open(fifo, "w")):close()
      assert.equal("goes on\n", client:receive(8))
      assert.same({ WATCHDOG = "1" }, next_message(true))
    end)

    it("is for another process if WATCHDOG_PID says so, and needs a number", function()
      for _, env in ipairs {
        { WATCHDOG_USEC = "2000", WATCHDOG_PID = "1" }, { WATCHDOG_USEC = "0" }, { WATCHDOG_USEC = "-1" },
        { WATCHDOG_USEC = "x" },
      } do
        start(ECHO, {}, env)
        assert.equal("1", next_message(true).READY)
        assert.is_false(io_room.ready(bound, "r", 0.05))
        server.stop_all()
        assert.equal("1", next_message(true).STOPPING)
      end
    end)
  end)
end)

describe("NOTIFY_SOCKET", function()
  it("that is no address of a Unix socket is refused", function()
    for address, why in pairs {
      ["x"] = "Invalid argument", ["@"] = "Invalid argument", ["vsock:2:1234"] = "Invalid argument",
      ["/" .. ("x"):rep(108)] = "File name too long",
    } do
      local status, _, complaint = server.run({ ECHO }, { env = { NOTIFY_SOCKET = address } })
      assert.equal(("parlance: NOTIFY_SOCKET is %s: %s\n"):format(address, why), complaint)
      assert.equal(2, status)
    end
  end)
end)
