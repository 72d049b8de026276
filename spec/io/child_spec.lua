local spec = require "parlance_spec"
local io_room, process = spec.io, spec.process

local SHELL <const>, DEADLINE <const> = "/bin/sh", 30

local function shell(script, environment)
  return assert(io_room.child({ SHELL, "-c", script }, environment))
end

-- Reads what it prints until its end; returns how it ended.
local function finish(child)
  while child:read() do assert.is_true(child:wait("output", DEADLINE)) end
  assert.is_true(child:wait("life", DEADLINE))
  return child:ended()
end

-- Whether there is such a process, be it a zombie.
local function exists(pid)
  return process.memory(pid) ~= nil
end

local function await_absence(pid)
  local deadline = process.now() + DEADLINE
  repeat until not exists(pid) or process.now() > deadline
  assert.is_false(exists(pid))
end

describe("a child", function()
  it("tells what it prints and what it returns", function()
    local child <close> = shell "echo one; echo two; exit 3"
    assert.same({ 3, 0 }, { finish(child) })
    assert.equal("one\ntwo\n", child:text())
    assert.same({ 3, 0 }, { child:ended() })
  end)

  it("is waited for, with all that it prints", function()
    local child <close> = shell "echo one; sleep 0.05; echo two; exit 3"
    assert.same({ 3, 0 }, { child:finish(DEADLINE * 1000) })
    assert.equal("one\ntwo\n", child:text())
    assert.same({ 3, 0 }, { child:finish(0) })
  end)

  it("is not waited for longer than that", function()
    local child <close> = shell "exec sleep 100"
    local begin = process.now()
    assert.is_nil(child:finish(50))
    assert.is_true(process.now() - begin < DEADLINE)
  end)

  it("tells the signal that ended it", function()
    local child <close> = shell "kill -9 $$"
    assert.same({ 0, 9 }, { finish(child) })
  end)

  it("has not ended while it runs, and does not make anybody wait", function()
    local child <close> = shell "echo ready; read -r line < /dev/zero"
    assert.is_true(child:wait("output", DEADLINE))
    local started = process.now()
    assert.is_true(child:read())
    assert.is_nil(child:ended())
    assert.is_true(child:read())
    assert.is_true(process.now() - started < 1)
    assert.equal("ready\n", child:text())
  end)

  it("is ended by child_kill", function()
    local child <close> = shell "while :; do :; done"
    child:kill()
    assert.is_true(child:wait("life", DEADLINE))
    assert.same({ 0, 9 }, { child:ended() })
    child:kill()
  end)

  it("is known to have ended also while others hold its output, and they are ended then", function()
    local child <close> = shell "sleep 1000 & echo $!"
    assert.is_true(child:wait("life", DEADLINE))
    assert.same({ 0, 0 }, { child:ended() })
    await_absence(math.tointeger(child:text()))
  end)

  it("is known to live also when it has closed its output", function()
    local child <close> = shell "echo bye; exec >&-; while :; do :; done"
    local deadline = process.now() + DEADLINE
    while child:read() do
      assert.is_true(process.now() < deadline)
      child:wait("output", DEADLINE)
    end
    assert.equal("bye\n", child:text())
    assert.is_nil(child:ended())
  end)

  it("keeps of very much the beginning and the end", function()
    local child <close> = shell "echo begin; yes 0123456 | head -c 1000000; echo end"
    assert.same({ 0, 0 }, { finish(child) })
    local text = child:text()
    assert.equal(64 * 1024, #text)
    local head, tail = text:sub(1, 56 * 1024), text:sub(-8 * 1024)
    assert.equal("begin\n" .. ("0123456\n"):rep(8192):sub(1, #head - 6), head)
    assert.equal(("0123456\n"):rep(1024):sub(-(#tail - 4)) .. "end\n", tail)
  end)

  it("keeps all of what just fits", function()
    local child <close> = shell "yes 0123456 | head -c 65536"
    assert.same({ 0, 0 }, { finish(child) })
    assert.equal(("0123456\n"):rep(8192), child:text())
  end)

  it("reads nothing, and what it writes to standard error is lost", function()
    local child <close> = shell "cat; echo lost >&2; echo kept"
    assert.same({ 0, 0 }, { finish(child) })
    assert.equal("kept\n", child:text())
  end)

  it("has the environment that it is given, and no more", function()
    local child <close> = shell("/usr/bin/env | grep -v ^_= | sort", { "GREETING=hello", "PWD=/" })
    finish(child)
    assert.matches("GREETING=hello\n", child:text())
    assert.is_nil(child:text():find "HOME=")
  end)

  it("has no descriptor of ours, close-on-exec or not", function()
    local file <close> = assert(io.open("/dev/null"))
    assert.is_truthy(file)
    local child <close> = shell "ls /proc/self/fd"
    finish(child)
    assert.equal("0\n1\n2\n3\n", child:text()) -- the last is the one that ls opens
  end)

  it("leads a group of its own, so that a terminal's Ctrl-C leaves it to us", function()
    local child <close> = shell "cut -d' ' -f1,5 /proc/$$/stat"
    finish(child)
    local pid, group = child:text():match "^(%d+) (%d+)\n$"
    assert.equal(pid, group)
  end)

  it("has no signal blocked", function()
    local child <close> = shell "grep SigBlk /proc/self/status"
    finish(child)
    assert.matches("^SigBlk:%s+0+\n$", child:text())
  end)

  it("that cannot be started is told, and leaves nothing behind", function()
    local descriptors = process.descriptors()
    assert.same({ nil, "error", "ENOENT" }, { io_room.child { "/nonexistent/program" } })
    assert.same({ nil, "error", "EACCES" }, { io_room.child { "/etc/passwd" } })
    assert.equal(descriptors, process.descriptors())
  end)

  it("is killed and waited for when it is closed, with all that it has started", function()
    local descriptors = process.descriptors()
    local child = shell "sleep 1000 & echo $$ $!; wait"
    assert.is_true(child:wait("output", DEADLINE))
    child:read()
    local first, second = child:text():match "(%d+) (%d+)"
    child:close()
    assert.is_false(exists(math.tointeger(first)))
    await_absence(math.tointeger(second))
    assert.equal(descriptors, process.descriptors())
  end)

  it("that has ended is no zombie once that is known", function()
    local child <close> = shell "echo $$"
    finish(child)
    assert.is_false(exists(math.tointeger(child:text())))
  end)

  it("tells what it returns also where SIGCHLD was ignored", function()
    local script = [[
      local child = assert(require("parlance_spec").io.child { "/bin/sh", "-c", "exit 5" })
      assert(child:wait("life", 10))
      io.write((child:ended()))
    ]]
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local outer <close> = assert(process.spawn({ "env", "--ignore-signal=CHLD", "lua5.4", "-e", script },
      { stdout = path }))
    assert.equal(0, outer:wait(DEADLINE))
    local file <close> = assert(io.open(path))
    assert.equal("5", file:read "l")
  end)
end)
