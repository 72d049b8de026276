local spec = require "parlance_spec"
local process = spec.process

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

describe("process", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("gives the exit status, as often as it is asked for", function()
    local child <close> = assert(process.spawn { "sh", "-c", "exit 3" })
    assert.same({ 3, "exit" }, { child:wait(5) })
    assert.same({ 3, "exit" }, { child:wait(0) })
  end)

  it("gives the signal that ended it", function()
    local child <close> = assert(process.spawn { "sleep", "100" })
    assert.is_true(child:signal(15))
    assert.same({ 128 + 15, "signal" }, { child:wait(5) })
    assert.is_false(child:signal(15))
  end)

  it("waits no longer than it is told", function()
    local child <close> = assert(process.spawn { "sleep", "100" })
    local start = process.now()
    assert.same({ nil, "timeout" }, { child:wait(0.05) })
    local waited = process.now() - start
    assert.is_true(waited >= 0.04 and waited < 5)
  end)

  it("takes folder, environment, limit and outputs from the options", function()
    local errors = os.tmpname()
    finally(function() os.remove(errors) end)
    local script = [[printf '%s|%s|%s' "$PWD" "$GREETING" "$(ulimit -n)"; printf oops >&2]]
    local child <close> = assert(process.spawn({ "sh", "-c", script },
      { stdout = path, stderr = errors, cwd = "/", env = { GREETING = "hello" }, rlimit_nofile = 77 }))
    assert.equal(0, child:wait(5))
    assert.equal("/|hello|77", contents(path))
    assert.equal("oops", contents(errors))
  end)

  it("tells why a program did not start", function()
    assert.same({ nil, "error", "ENOENT" }, { process.spawn { "/nonexistent/program" } })
    assert.same({ nil, "error", "ENOENT" }, { process.spawn({ "true" }, { cwd = "/nonexistent" }) })
  end)

  it("does not hand the spec's descriptors on", function()
    local reader, writer = spec.io.pipe()
    finally(function()
      spec.io.close(reader)
      spec.io.close(writer)
    end)
    local child <close> = assert(process.spawn({ "sh", "-c", "ls /proc/self/fd | wc -l" }, { stdout = path }))
    assert.equal(0, child:wait(5))
    assert.equal(4, tonumber(contents(path))) -- three, and the one that ls opens
  end)

  it("is killed and reaped when it is closed", function()
    local child = assert(process.spawn { "sleep", "100" })
    local pid = child:pid()
    child:close()
    assert.same({ nil, "gone" }, { process.memory(pid) })
    child:close()
  end)

  it("dies with the spec that started it", function()
    local script = [[
      local process = require("parlance_spec").process
      local child = assert(process.spawn { "sleep", "100" })
      io.write(child:pid(), "\n")
      io.flush()
      assert(process.spawn { "sh", "-c", "kill -9 $PPID" }):wait(5)
    ]]
    local child <close> = assert(process.spawn({ "lua5.4", "-e", script }, { stdout = path }))
    assert.same({ 128 + 9, "signal" }, { child:wait(10) })
    local orphan = tonumber(contents(path))
    local deadline = process.now() + 5
    -- Killed it is at once; who reaps it may take its time.
    local state
    repeat
      local file = io.open(("/proc/%d/stat"):format(orphan))
      state = file and file:read("a"):match(".*%) (%a)") or "gone"
      if file then file:close() end
    until state == "Z" or state == "gone" or process.now() > deadline
    assert.is_true(state == "Z" or state == "gone")
  end)

  it("tells what a process uses", function()
    local script = "io.write('busy') io.flush() while true do end"
    local child <close> = assert(process.spawn({ "lua5.4", "-e", script }, { stdout = path }))
    local deadline = process.now() + 5
    -- Only once it runs it has all its memory, and no descriptors of its loader.
    repeat until contents(path) == "busy" or process.now() > deadline
    assert.is_true(child:memory() > 100)
    assert.equal(3, child:descriptors())
    repeat until child:cpu() > 0 or process.now() > deadline
    assert.is_true(child:cpu() > 0)
    assert.is_true(child:cpu() < process.now())
  end)

  it("tells what the spec itself uses", function()
    local count = process.descriptors()
    local near, far = spec.io.pair()
    assert.equal(count + 2, process.descriptors())
    spec.io.close(near)
    spec.io.close(far)
    assert.equal(count, process.descriptors())
    assert.is_true(process.memory() > 1000)
    assert.is_true(process.cpu() > 0)
  end)
end)
