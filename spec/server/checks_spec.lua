-- Programs that check what is new for a service, beside the loop: when they are begun and ended, and what
-- is told of them. What is run is spec/support/checking_server.c, and shell scripts for checks.
local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/checking_server"
local HUP <const> = 1

local function is_alive(pid)
  return process.memory(pid) ~= nil
end

server.for_each_poller(function(poller)
  -- A server with these checks; DIR in them is a folder for their notes.
  local function start(...)
    local options = { poller = poller, binary = BINARY }
    local scripts = {}
    for i, script in ipairs { ... } do
      if type(script) == "string" then script = { script } end
      scripts[i] = { "cd ${0%/*}\n" .. script[1], options = script.options }
    end
    return server.start(scripts, options)
  end

  local function ask(running)
    assert(running.process:signal(HUP))
  end

  local function save(running, text, nth)
    server.write_file(("%s/script%d.lua"):format(running.folder, nth or 1), "cd ${0%/*}\n" .. text)
  end

  local function note(running, name)
    local file = io.open(running.folder .. "/" .. name)
    if not file then return nil end
    local text = file:read "a"
    file:close()
    return text ~= "" and text or nil
  end

  local function await_note(running, name)
    return server.wait_until("the note " .. name, function() return note(running, name) end)
  end

  it("tells what a check printed, and what it returned", function()
    local running = start "echo one; echo two; exit 3"
    ask(running)
    assert.equal('forced=1 status=3 text="one\\ntwo\\n"', running:wait_for_log " judged path=%S+ ([^\n]*)")
  end)

  it("tells the signal that ended one", function()
    local running = start "kill -6 $$"
    ask(running)
    assert.equal('"the check was ended by signal 6"', running:wait_for_log " judged .* why=([^\n]*)")
  end)

  it("ends one that takes too long", function()
    local running = start { "echo $$ > pid; while :; do :; done", options = { "--check-time", 200 } }
    ask(running)
    local why = running:wait_for_log " judged .* why=([^\n]*)" -- 0.2 s, or more on a busy machine
    assert.matches('^"the check did not end within [01]%.?%d? s"$', why)
    local pid = math.tointeger(await_note(running, "pid"))
    assert.is_false(is_alive(pid))
  end)

  it("tells that one could not be started, and why", function()
    local running = start { "", options = { "--program", "/nonexistent/program" } }
    ask(running)
    assert.equal('"the check could not be started: No such file or directory"',
      running:wait_for_log " judged .* why=([^\n]*)")
  end)

  it("tries again for a while to start one, and says so once", function()
    local folder = server.new_folder()
    finally(function() server.remove_folder(folder) end)
    local running = start { "", options = { "--program", folder .. "/program" } }
    ask(running)
    assert.equal('"the check could not be started: No such file or directory"',
      running:wait_for_log " warn check_put_off service=%S+ detail=([^\n]*)")
    assert(lfs.link("/bin/echo", folder .. "/program", true))
    assert.matches("^/.*\\n", running:wait_for_log ' judged .* status=0 text="?([^\n]*)')
    assert.equal(1, running:count_in_log "check_put_off")
  end)

  it("tries anew to start one that is asked for again", function()
    local running = start { "", options = { "--program", "/nonexistent/program" } }
    for nth = 1, 3 do
      ask(running)
      server.wait_until("a try", function() return running:count_in_log "check_put_off" == nth end)
    end
  end)

  for fact, script in pairs {
    ["that does not end"] = "while :; do :; done",
    ["that prints without end"] = "exec yes",
    ["that has closed its output and does not end"] = "exec >&-; while :; do :; done",
  } do
    it("serves while one runs " .. fact, function()
      local running = start("echo x > begun; " .. script)
      ask(running)
      await_note(running, "begun")
      local client = running:connect()
      for _ = 1, 20 do assert.equal("here\n", client:exchange("\n", 5)) end
      assert.equal(0, running:count_in_log " judged ")
    end)
  end

  it("uses no time for one that has closed its output and goes on", function()
    local running = start "exec >&-; echo x > begun; sleep 100"
    ask(running)
    await_note(running, "begun")
    local cpu, stop = running:cpu(), process.now() + 0.3
    server.wait_until("a while", function() return process.now() > stop end)
    assert.is_true(running:cpu() - cpu < 0.1)
  end)

  it("begins one anew, at once, when what it looks at has changed; what the old one finds is not told", function()
    local running = start "echo $$ > old; while :; do :; done; echo old"
    ask(running)
    local old = math.tointeger(await_note(running, "old"))
    save(running, "echo new")
    ask(running)
    assert.equal("forced=1 status=0 text=\"new\\n\"", running:wait_for_log " judged path=%S+ ([^\n]*)")
    assert.is_false(is_alive(old))
    assert.equal(1, running:count_in_log " judged ")
  end)

  it("goes on with one whose files have not changed", function()
    local running = start "echo begun >> begun; while [ ! -e go ]; do sleep 0.01; done; echo done"
    ask(running)
    await_note(running, "begun")
    ask(running)
    local client = running:connect()
    client:exchange("\n", 5) -- the signal has been dealt with, or will be before the check ends
    server.write_file(running.folder .. "/go", "")
    running:wait_for_log " judged .* status=0"
    assert.equal("begun\n", note(running, "begun"))
  end)

  it("ends one when nothing is left to be checked, and tells nothing", function()
    local running = start "echo $$ > pid; while :; do :; done"
    ask(running)
    local pid = math.tointeger(await_note(running, "pid"))
    save(running, "unchanged")
    ask(running)
    server.wait_until("its end", function() return not is_alive(pid) end)
    save(running, "echo next")
    ask(running)
    running:wait_for_log 'text="next'
    assert.equal(1, running:count_in_log " judged ")
  end)

  it("begins one again a little later where that is said, and it is still a forced one", function()
    local running = start "echo x >> count; [ $(wc -l < count) -ge 4 ] || { echo later; exit; }; echo fine"
    ask(running)
    running:wait_for_log 'forced=1 status=0 text="fine'
    assert.equal(3, running:count_in_log 'forced=1 status=0 text="later')
  end)

  it("runs two at a time, and each comes to its turn", function()
    local script = "echo $0 >> begun; while [ ! -e go ]; do sleep 0.01; done; echo $0 >> ended"
    local running = start(script, script, script, script, script)
    local function lines(name) return select(2, (note(running, name) or ""):gsub("\n", "")) end
    ask(running)
    server.wait_until("two", function() return lines "begun" == 2 end)
    local client = running:connect()
    for _ = 1, 10 do client:exchange("\n", 5) end -- so many turns
    assert.equal(2, lines "begun")
    server.write_file(running.folder .. "/go", "")
    server.wait_until("all", function() return running:count_in_log " judged " == 5 end)
    assert.equal(5, lines "ended")
  end)

  it("ends what runs when it is asked to stop, and waits for none", function()
    local script = "echo $$ >> pids; while :; do :; done"
    local running = start(script, script, script)
    ask(running)
    server.wait_until("two", function() return select(2, (note(running, "pids") or ""):gsub("\n", "")) == 2 end)
    local started = process.now()
    running:expect_end()
    assert.equal(0, running:stop())
    assert.is_true(process.now() - started < 5)
    for pid in note(running, "pids"):gmatch "%d+" do assert.is_false(is_alive(math.tointeger(pid))) end
    assert.equal(0, running:count_in_log " judged ")
  end)

  it("leaves no descriptor behind", function()
    local running = start "echo x"
    local before = running:descriptors()
    for i = 1, 10 do
      save(running, "echo x" .. i)
      ask(running)
      running:wait_for_log('text="x' .. i)
    end
    server.wait_until("the descriptors", function() return running:descriptors() == before end)
  end)
end)
