-- timeout 120
-- Scripts that are edited while the server runs, through real files and sockets.
local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"

local HUP <const> = 1

-- A protocol of lines whose answers begin with the name of its version.
local function version(name, more)
  return ([[
    local framing = require "parlance.framing"
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() return "%s " .. self.request .. "\n" end
    %s
    return Lines]]):format(name, more or "")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function run(...)
  assert.equal(0, assert(process.spawn { ... }):wait(server.DEADLINE))
end

local function has(program)
  local look <const> = assert(process.spawn({ "sh", "-c", "command -v " .. program }, { stdout = "/dev/null" }))
  return look:wait(server.DEADLINE) == 0
end

local folders = {}

local function new_folder()
  local path = os.tmpname()
  os.remove(path)
  assert(lfs.mkdir(path))
  folders[#folders + 1] = path
  return path
end

-- A server on the script in a folder of its own.
local function start(text, options)
  local path = new_folder() .. "/lines.lua"
  write(path, text)
  return server.start(path, options), path
end

-- Waits until a new connection is answered by that version.
local function await(running, name)
  server.wait_until("version " .. name, function()
    local client = running:connect()
    client:send "x\n"
    local answer = assert(client.socket:receive "*l")
    client:close()
    return answer == name .. " x"
  end)
end

describe("a script that is edited", function()
  after_each(function()
    server.stop_all()
    for _, folder in ipairs(folders) do run("rm", "-rf", folder) end
    folders = {}
  end)

  server.for_each_poller(function(poller)
    it("answers by its new version on the same connection", function()
      local running, path = start(version "v1", { poller = poller })
      local client = running:connect()
      assert.equal("v1 a\n", client:exchange("a\n", 5))
      write(path, version "v2")
      running:wait_for_log "reloaded service=lines generation=2"
      assert.equal("v2 b\n", client:exchange("b\n", 5))
    end)

    it("answers a request that was begun by the version it began with", function()
      local running, path = start(version "v1", { poller = poller, turns = true })
      local client = running:connect()
      client:send_pieces { "he" }
      write(path, version "v2")
      running:wait_for_log "reloaded service=lines generation=2"
      assert.equal("v1 hello\n", client:exchange("llo\n", 9))
      assert.equal("v2 x\n", client:exchange("x\n", 5))
    end)
  end)

  describe("that takes long to compile", function()
    -- Some tenths of a second; this takes more in a server that is sanitized. What is compiled does not run.
    local function long(lines, name)
      return version(name or "v2", "local t = {}\nif t.is then\n" .. ("t[1] = { name = t }\n"):rep(lines) .. "end\n")
    end

    -- Asks all the time, until a version answers; then the longest time that an answer took, and how many
    -- there were.
    local function ask_until(client, name)
      local worst, count = 0, 0
      server.wait_until("version " .. name, function()
        for _ = 1, 100 do
          local started = process.now()
          client:send "x\n"
          local answer = assert(client.socket:receive "*l")
          worst, count = math.max(worst, process.now() - started), count + 1
          if answer == name .. " x" then return true end
          assert.matches("^v%d x$", answer)
        end
      end, 60)
      return worst, count
    end

    server.for_each_poller(function(poller)
      it("keeps nobody waiting meanwhile", function()
        local started = process.now()
        assert(load(long(250000)))
        local whole = process.now() - started
        local running, path = start(version "v1", { poller = poller })
        local client = running:connect()
        -- A machine that is busy keeps this client waiting, too, but not at each edit.
        local least, stall = math.huge, nil
        for attempt = 2, 9 do
          write(path, long(250000, "v" .. attempt))
          least = math.min(least, (ask_until(client, "v" .. attempt)))
          local event = "reloaded service=lines generation=" .. attempt
          stall = tonumber(running:wait_for_log(event .. " [^\n]- ms=([%d.]+)"))
          if least < whole / 3 and stall < whole / 3 * 1000 then break end
        end
        assert.is_true(least < whole / 3, ("%.1f of %.1f ms"):format(least * 1000, whole * 1000))
        assert.is_true(stall < whole / 3 * 1000)
      end)
    end)

    it("does not wait for all that a busy old version has to do", function()
      local busy <const> = [[
        local parlance = require "parlance"
        local answer = Lines.make_response
        function Lines:make_response()
          local rest = parlance.now() + 0.02
          while parlance.now() < rest do end
          return answer(self)
        end]]
      local running, path = start(version("v1", busy))
      local clients, REQUESTS <const> = {}, 250
      for i = 1, 4 do clients[i] = running:connect():send(("x\n"):rep(REQUESTS)) end
      write(path, long(10000)) -- of over a hundred pieces; turns take 80 ms
      running:wait_for_log "reloaded service=lines generation=2"
      local slow = 0
      for _, client in ipairs(clients) do
        local answers = client:receive(5 * REQUESTS)
        local _, old = answers:gsub("v1", "v1")
        assert.equal(("v1 x\n"):rep(old) .. ("v2 x\n"):rep(REQUESTS - old), answers)
        slow = slow + old
      end
      -- Four in each turn, and a turn for each piece would be five hundred.
      assert.is_true(slow < 400, slow .. " answers by the old version")
    end)

    it("takes connections, ends them, and hears SIGHUP meanwhile", function()
      local running, path = start(version "v1")
      write(path, long(250000))
      for _ = 1, 50 do
        local client = running:connect()
        client:send "x\n"
        assert.matches("^v[12] x$", assert(client.socket:receive "*l"))
        client:close()
        assert(running.process:signal(HUP))
      end
      ask_until(running:connect(), "v2")
      running:wait_for_log "reloaded service=lines generation=3"
      assert.equal(0, running:count_in_log "reload_failed")
    end)

    it("does not keep the server from stopping", function()
      local running, path = start(version "v1")
      local client = running:connect()
      assert.equal("v1 a\n", client:exchange("a\n", 5))
      write(path, long(150000))
      local quiet = process.now() + 0.05 -- it is being compiled then
      while process.now() < quiet do assert.equal("v1 a\n", client:exchange("a\n", 5)) end
      running:stop()
      assert.equal(1, running:count_in_log "stopped")
    end)
  end)

  it("reloads at SIGHUP and not by itself with --no-watch", function()
    local running, path = start(version "v1", { "--no-watch" })
    write(path, version "v2")
    local client = running:connect()
    assert.equal("v1 a\n", client:exchange("a\n", 5))
    assert(running.process:signal(HUP))
    running:wait_for_log "reloaded service=lines generation=2"
    assert.equal("v2 a\n", client:exchange("a\n", 5))
    assert(running.process:signal(HUP))
    running:wait_for_log "reloaded service=lines generation=3"
    assert.equal(2, running:count_in_log "reloaded")
  end)

  it("is not ended by SIGHUP while it loads its scripts, and reloads them then", function()
    local running = start(version("v1", [[
      local parlance = require "parlance"
      if not parlance.shared.is_asked then assert(os.execute "kill -HUP $PPID") end
      parlance.shared.is_asked = true]]), { "--no-watch" })
    running:wait_for_log "reloaded service=lines generation=2"
    assert.equal("v1 a\n", running:connect():exchange("a\n", 5))
    assert.equal(1, running:count_in_log "reloaded")
  end)

  it("neither reloads nor ends at SIGUSR1 and SIGUSR2, which it logs", function()
    local running, path = start(version "v1", { "--no-watch" })
    local client = running:connect()
    write(path, version "v2")
    for number, name in pairs { [10] = "SIGUSR1", [12] = "SIGUSR2" } do
      assert(running.process:signal(number))
      running:wait_for_log(" warn signal_ignored signal=" .. name .. "\n")
    end
    assert.equal("v1 a\n", client:exchange("a\n", 5))
    assert.is_nil(running:log():match " reloaded ")
  end)

  it("reloads every service at SIGHUP, and only the one whose file was saved else", function()
    local folder = new_folder()
    write(folder .. "/one.lua", version "v1")
    write(folder .. "/two.lua", version "w1")
    local running = server.start { { folder .. "/one.lua" }, { folder .. "/two.lua" } }
    write(folder .. "/two.lua", version "w2")
    running:wait_for_log "reloaded service=two generation=2"
    assert(running.process:signal(HUP))
    running:wait_for_log "reloaded service=two generation=3"
    running:wait_for_log "reloaded service=one generation=2"
    assert.equal(3, running:count_in_log "reloaded")
    assert.equal("v1 a\n", running:connect(1):exchange("a\n", 5))
    assert.equal("w2 a\n", running:connect(2):exchange("a\n", 5))
  end)

  it("goes on with its old version when it is broken, and with the next good one", function()
    local running, path = start(version "v1")
    write(path, "return {\n = }")
    assert.matches("lines.lua:2: unexpected symbol", running:wait_for_log "reload_failed[^\n]*")
    assert.equal("v1 a\n", running:connect():exchange("a\n", 5))
    write(path, version "v3")
    await(running, "v3")
    assert.equal(1, running:count_in_log "reload_failed")
  end)

  it("goes on with its old version when it is deleted, and comes back", function()
    local running, path = start(version "v1")
    os.remove(path)
    assert.matches("cannot open .*lines.lua: No such file", running:wait_for_log "reload_failed[^\n]*")
    assert.equal("v1 a\n", running:connect():exchange("a\n", 5))
    write(path, version "v2")
    await(running, "v2")
  end)

  it("does not keep the others waiting for ever by a loop at load", function()
    local running, path = start(version "v1", { "--call-timeout", "0.2" })
    write(path, "while true do end")
    assert.matches("the call took longer than 0.2", running:wait_for_log "reload_failed[^\n]*")
    assert.equal("v1 a\n", running:connect():exchange("a\n", 5))
  end)

  it("is noticed when a module beside it is saved, one that was required only later too", function()
    local running, path = start(version("v1", "local old = Lines.make_response function Lines:make_response() "
      .. "return require('late') .. old(self) end"))
    local late = path:match "^(.*)/" .. "/late.lua"
    write(late, "return 'a '")
    local client = running:connect()
    assert.equal("a v1 x\n", client:exchange("x\n", 7))
    write(late, "return 'b '")
    running:wait_for_log "reloaded service=lines"
    assert.equal("b v1 x\n", client:exchange("x\n", 7))
  end)

  it("moves connections that wait, so that the old version goes", function()
    local running, path = start(version "v1")
    local clients = {}
    for i = 1, 200 do
      clients[i] = running:connect()
      clients[i]:exchange("a\n", 5)
    end
    write(path, version "v2")
    running:wait_for_log "reloaded service=lines generation=2 .* on_old=200\n"
    -- Each turn moves some: when all are moved the next reload finds none of the first version.
    await(running, "v2")
    write(path, version "v3")
    running:wait_for_log "reloaded service=lines generation=3 .* on_old=200\n"
    await(running, "v3")
    for _, client in ipairs(clients) do assert.equal("v3 b\n", client:exchange("b\n", 5)) end
  end)

  describe("is seen when it is saved", function()
    local function edit(fact, program, f)
      it(fact, function()
        if program and not has(program) then pending(program .. " is not installed") end
        local running, path = start(version "v1")
        await(running, "v1")
        f(path, running)
        await(running, "v2")
        assert.equal(0, running:count_in_log "reload_failed")
      end)
    end

    edit("in place", nil, function(path) write(path, version "v2") end)
    edit("in several steps over an open file", nil, function(path)
      local file <close> = assert(io.open(path, "wb"))
      file:setvbuf "no"
      for byte in version("v2"):gmatch "." do file:write(byte) end
    end)
    edit("as a new file that is renamed over it", nil, function(path)
      write(path .. ".new", version "v2")
      assert(os.rename(path .. ".new", path))
    end)
    edit("by removing it first", nil, function(path)
      os.remove(path)
      write(path, version "v2")
    end)
    edit("by sed -i", "sed", function(path) run("sed", "-i", "s/v1/v2/", path) end)
    edit("by vim", "vim", function(path) run("vim", "-es", "-u", "NONE", "-c", "%s/v1/v2/", "-c", "wq", path) end)
    edit("by vim with a backup", "vim", function(path)
      run("vim", "-es", "-u", "NONE", "-c", "set backup writebackup backupcopy=no", "-c", "%s/v1/v2/", "-c", "wq", path)
    end)
    edit("by git checkout", "git", function(path)
      local folder = path:match "^(.*)/"
      local function git(...) run("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x", "-c",
        "init.defaultBranch=one", ...) end
      git("init", "-q")
      git("add", "lines.lua")
      git("commit", "-qm", "one")
      git("checkout", "-qb", "two")
      write(path, version "v2")
      git("commit", "-qam", "two")
      git("checkout", "-q", "one")
      git("checkout", "-q", "two")
    end)
  end)

  it("may lie behind a link to a folder that is swapped", function()
    local folder = new_folder()
    for i = 1, 2 do
      assert(lfs.mkdir(folder .. "/" .. i))
      write(("%s/%d/lines.lua"):format(folder, i), version("v" .. i))
    end
    run("ln", "-s", "1", folder .. "/current")
    local running = server.start(folder .. "/current/lines.lua")
    await(running, "v1")
    run("ln", "-s", "2", folder .. "/next")
    assert(os.rename(folder .. "/next", folder .. "/current"))
    await(running, "v2")
  end)

  it("is no more looked at when the server stops, and costs it no time", function()
    local running, path = start(version("v1", "function Lines:make_response() return ('x'):rep(1 << 25) end"))
    running:expect_end()
    local client = running:connect()
    client:send "x\n"
    client:receive(1)
    running:terminate()
    running:wait_for_log " draining "
    write(path, version "v2")
    local cpu, until_then = running:cpu(), process.now() + 0.5
    server.wait_until("half a second", function() return process.now() > until_then end)
    assert.is_true(running:cpu() - cpu < 0.25)
    assert.equal((1 << 25) - 1, #client:receive_all())
    running:close_clients()
    assert.equal(0, running:wait())
  end)

  it("is not reloaded when it is only touched", function()
    local running, path = start(version "v1")
    run("touch", path)
    write(path, version "v1")
    write(path, version "v2")
    await(running, "v2")
    assert.equal(1, running:count_in_log "reloaded")
  end)

  it("settles into a few reloads when it is saved a hundred times, and the last one counts", function()
    local running, path = start(version "v0")
    local started = process.now()
    for i = 1, 100 do write(path, version("v" .. i)) end
    local took = process.now() - started
    await(running, "v100")
    assert.is_true(running:count_in_log "reloaded" <= 3 + took * 10, running:log())
  end)
end)
