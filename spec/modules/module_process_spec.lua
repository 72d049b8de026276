-- timeout 300
-- Programs that a script runs: what they are given, what they say, and how they end.

local lfs = require "lfs"
local server = require "support.server"
local simulator = require "parlance.simulator"

-- A protocol of lines: each is a piece of Lua that is run, and what it returns is answered. FOLDER is the server's.
local PROTOCOL <const> = [[
  parlance = require "parlance"
  framing = require "parlance.framing"
  process = require "parlance.process"
  function show(...)
    local all = table.pack(...)
    for i = 1, all.n do
      all[i] = type(all[i]) == "string" and ("%q"):format(all[i]):gsub("\\\n", "\\n") or tostring(all[i])
    end
    return table.concat(all, " ")
  end
  function sh(text, options) return process.spawn({ "sh", "-c", text }, options) end
  kept = {}
  local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 0 }
  function Lines:make_response()
    local results = table.pack((assert(load(self.request, "=line"))(self)))
    if type(results[1]) == "userdata" or type(results[1]) == "table" then return results[1] end
    return tostring(results[1]) .. "\n"
  end
  ]]

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

-- The state of a process ("R", "S", "Z" ...), and its parent; nil: there is no such process.
local function look_at(id)
  local status = read_file(("/proc/%s/status"):format(id))
  if not status then return nil end
  return status:match "State:%s(%a)", tonumber((status:match "PPid:%s(%d+)"))
end

-- Whether the process has ended. One that its parent has not waited for counts if that is not the server.
local function is_gone(id, server_id)
  local state, parent = look_at(id)
  return not state or state == "Z" and parent ~= server_id
end

-- How many children a process has, zombies as well.
local function count_children(id)
  local count = 0
  for name in lfs.dir "/proc" do
    if name:find "^%d+$" then
      local _, parent = look_at(name)
      if parent == id then count = count + 1 end
    end
  end
  return count
end

server.for_each_poller(function(poller)
  describe("parlance.process with " .. poller, function()
    local running

    local function start(rest, options)
      options = options or {}
      options.poller = poller
      running = server.start(PROTOCOL .. (rest or "") .. " return Lines", options)
      return running:connect()
    end

    local function send(client, line) client:send((line:gsub("%s*\n%s*", " ")) .. "\n") end
    local function answer(client) return client:receive_until "\n":sub(1, -2) end
    local function ask(client, line)
      send(client, line)
      return answer(client)
    end

    local function wait_until_gone(id)
      server.wait_until("the end of " .. id, function() return is_gone(id, running.process:pid()) end)
    end

    describe("spawn", function()
      it("runs a program, whose pipes are streams", function()
        local client = start()
        assert.equal('"one\\n" "two" "" "exit" 0', ask(client, [[
          local child = process.spawn { "cat" }
          child.stdin:write("one\n", "two\nthree")
          local first, second = child.stdout:read "L", child.stdout:read "l"
          child.stdout:read(5)
          child.stdin:close()
          return show(first, second, child.stdout:read "a", child:wait())]]))
      end)

      it("keeps nobody else waiting", function()
        local client, other = start(), running:connect()
        send(client, "local child <close> = process.spawn { 'cat' } kept.child = child return child.stdout:read 'l'")
        assert.equal("2", ask(other, "return 1 + 1"))
        assert.equal("true", ask(other, [[
          while not kept.child do parlance.sleep(0.005) end
          kept.child.stdin:write 'late\n'
          return true]]))
        assert.equal("late", answer(client))
      end)

      it("runs no shell", function()
        local client = start()
        assert.equal('"$HOME *; ls\\n"', ask(client,
          "return show(process.spawn({ 'echo', '$HOME *; ls' }).stdout:read 'a')"))
        -- A file without "#!" is no program.
        server.write_file(running.folder .. "/text", "echo it ran\n")
        assert(os.execute("chmod +x " .. running.folder .. "/text"))
        assert.equal(('nil "%s/text: Exec format error" "failed"'):format(running.folder),
          ask(client, ("return show(process.spawn { %q })"):format(running.folder .. "/text")))
      end)

      it("gives nil and the reason for a program that cannot run", function()
        local client = start()
        assert.equal('nil "nonesuch: No such file or directory" "not_found"',
          ask(client, "return show(process.spawn { 'nonesuch' })"))
        assert.equal('nil "/none/such: No such file or directory" "not_found"',
          ask(client, "return show(process.spawn { '/none/such' })"))
        assert.equal('nil "/none: No such file or directory" "not_found"',
          ask(client, "return show(process.spawn({ 'true' }, { cwd = '/none' }))"))
        assert.equal('nil "/etc/passwd: Permission denied" "denied"',
          ask(client, "return show(process.spawn { '/etc/passwd' })"))
        assert.equal('"exit" 0', ask(client, "return show(process.spawn({ 'true' }):wait())"))
      end)

      it("gives nil and the reason when no descriptor is left", function()
        local client = start(nil, { rlimit_nofile = 40 })
        assert.matches('^nil "sleep: Too many open files" "busy" ', ask(client, [[
          local all, child, why, code = {}
          for i = 1, 20 do
            child, why, code = process.spawn { 'sleep', '100' }
            all[i] = child
            if not child then return show(child, why, code, i) end
          end]]))
        assert.equal('"exit" 0', ask(client, "return show(process.spawn({ 'true' }):wait())"))
      end)

      it("takes the environment, and only that", function()
        local client = start()
        assert.equal('"A=1\\nB=two words\\n"', ask(client, [[
          local text = process.spawn({ 'env' }, { env = { A = 1, B = 'two words' } }).stdout:read 'a'
          local lines = {}
          for line in text:gmatch '[^\n]+' do lines[#lines + 1] = line .. '\n' end
          table.sort(lines)
          return show(table.concat(lines))]]))
        assert.equal('""', ask(client, "return show(process.spawn({ 'env' }, { env = {} }).stdout:read 'a')"))
        assert.matches("PATH=", ask(client, "return show(process.spawn({ 'env' }).stdout:read 'a')"))
      end)

      it("runs it in a folder", function()
        local client = start()
        assert.equal('"/usr"', ask(client, "return show(process.spawn({ 'pwd' }, { cwd = '/usr' }).stdout:read())"))
      end)

      it("gives it no input with stdin = false", function()
        local client = start()
        assert.equal('nil "" "exit" 0', ask(client, [[
          local child = process.spawn({ 'cat' }, { stdin = false })
          return show(child.stdin, child.stdout:read 'a', child:wait())]]))
      end)

      it("logs its standard error, a line each", function()
        local client = start()
        assert.equal('nil "exit" 3', ask(client, [[
          local child <close> = sh 'echo "one two" >&2; printf "three\n\nrest" >&2; exit 3'
          return show(child.stderr, child:wait())]]))
        running:wait_for_log 'warn program service=%S+ program=sh message="one two"'
        running:wait_for_log "warn program service=%S+ program=sh message=three"
        running:wait_for_log "warn program service=%S+ program=sh message=rest"
        assert.equal(3, running:count_in_log " program service=")
      end)

      it("logs at most 20 lines a second of a program that floods its standard error", function()
        local client = start()
        assert.equal('"exit" 0', ask(client, [[
          local child <close> = sh 'i=0; while [ $i -lt 5000 ]; do echo $i >&2; i=$((i+1)); done'
          return show(child:wait())]]))
        assert.is_true(running:count_in_log " program service=" < 1000)
      end)

      it("gives the script its standard error with stderr = 'pipe'", function()
        local client = start()
        assert.equal('"out\\n" "err\\n" "exit" 0', ask(client, [[
          local child = sh('echo out; echo err >&2', { stderr = 'pipe' })
          return show(child.stdout:read 'a', child.stderr:read 'a', child:wait())]]))
        assert.equal(0, running:count_in_log " program service=")
      end)

      it("joins its standard error to its output with stderr = 'stdout'", function()
        local client = start()
        assert.equal('nil "one\\ntwo\\nthree\\n"', ask(client, [[
          local child = sh('echo one; echo two >&2; echo three', { stderr = 'stdout' })
          return show(child.stderr, child.stdout:read 'a')]]))
      end)

      it("limits it", function()
        local client = start()
        assert.equal('"20\\n1048576\\n4\\n"', ask(client, [[
          return show(sh('ulimit -n; ulimit -v; ulimit -t', {
            limits = { files = 20, memory = 1024^3, cpu = 3.5 }, stdin = false
          }).stdout:read 'a')]]))
      end)

      it("ends one that takes more processor time than its limit", function()
        local client = start()
        assert.equal('"signal" 24', -- SIGXCPU
          ask(client, "return show(sh('while :; do :; done', { limits = { cpu = 1 } }):wait())"))
      end)

      it("ends it when its timeout is over", function()
        local client = start()
        assert.equal('"signal" 15',
          ask(client, "return show(process.spawn({ 'sleep', '100' }, { timeout = 0.1 }):wait())"))
      end)

      it("lets it inherit no descriptor of the server", function()
        local client = start()
        assert.equal("0 1 2 3 ", ask(client, -- 3 is the folder that ls reads
          "return (process.spawn({ 'ls', '/proc/self/fd' }).stdout:read 'a'):gsub('\\n', ' ')"))
      end)

      it("gives it the default handling of signals, none of them blocked", function()
        local client = start()
        assert.equal("0000000000000000", ask(client,
          "return (process.spawn({ 'cat', '/proc/self/status' }).stdout:read 'a'):match 'SigBlk:%s(%x+)'"))
        local ignored = tonumber(ask(client,
          "return (process.spawn({ 'cat', '/proc/self/status' }).stdout:read 'a'):match 'SigIgn:%s(%x+)'"), 16)
        for _, number in ipairs { 1, 13, 15, 17, 25 } do -- HUP, PIPE, TERM, CHLD, XFSZ
          assert.equal(0, ignored >> (number - 1) & 1)
        end
      end)

      it("raises for what is no program or no option", function()
        local client = start()
        local function complaint(line) return ask(client, "return select(2, pcall(function() " .. line .. " end))") end
        assert.matches("table expected, got string", complaint "process.spawn 'ls'")
        assert.matches("the program is missing", complaint "process.spawn {}")
        assert.matches("the program is missing", complaint "process.spawn { '' }")
        assert.matches("an argument must be a string without zero bytes", complaint "process.spawn { 'ls', 'a\\0b' }")
        assert.matches("an argument must be a string", complaint "process.spawn { 'ls', {} }")
        assert.matches("process.spawn has no option timeuot", complaint "process.spawn({ 'ls' }, { timeuot = 1 })")
        assert.matches("process.spawn has no limit real", complaint "process.spawn({ 'ls' }, { limits = { real = 1 }})")
        assert.matches("limits.files must be", complaint "process.spawn({ 'ls' }, { limits = { files = 1 } })")
        assert.matches("limits.memory must be", complaint "process.spawn({ 'ls' }, { limits = { memory = 'x' } })")
        assert.matches("limits.cpu must be", complaint "process.spawn({ 'ls' }, { limits = { cpu = 0 } })")
        assert.matches("limits must be a table", complaint "process.spawn({ 'ls' }, { limits = 1 })")
        assert.matches("env must be a table", complaint "process.spawn({ 'ls' }, { env = 'A=1' })")
        assert.matches("a name in env must be", complaint "process.spawn({ 'ls' }, { env = { ['A=B'] = '1' } })")
        assert.matches("a name in env must be", complaint "process.spawn({ 'ls' }, { env = { 'A=1' } })")
        assert.matches("a value in env must be", complaint "process.spawn({ 'ls' }, { env = { A = 'a\\0b' } })")
        assert.matches("cwd must be a string", complaint "process.spawn({ 'ls' }, { cwd = {} })")
        assert.matches("stdin must be true or false", complaint "process.spawn({ 'ls' }, { stdin = 'x' })")
        assert.matches("stderr must be", complaint "process.spawn({ 'ls' }, { stderr = 'file' })")
        assert.matches("timeout must be", complaint "process.spawn({ 'ls' }, { timeout = -1 })")
      end)

      it("cannot be called where a script cannot wait", function()
        start "function Lines:handle_close() process.spawn { 'true' } end":close()
        running:wait_for_log "process.spawn cannot wait"
      end)
    end)

    describe("a stream of a program", function()
      it("holds the program up until it is read", function()
        local client = start()
        local said = ask(client, [[
          local child = process.spawn { 'yes' }
          kept.child = child
          local length = 0
          for i = 1, 64 do length = length + #child.stdout:read(65536) end
          parlance.sleep(0.2)
          return length]])
        assert.equal("4194304", said)
        assert.is_true(running:memory() < (server.is_sanitized and 400 or 100) * 1024)
      end)

      it("makes a writer wait for a program that does not read", function()
        local client = start()
        assert.equal('nil "timeout" "timeout"', ask(client, [[
          local child <close> = process.spawn { 'sleep', '100' }
          child.stdin:set_timeout(0.2)
          return show(child.stdin:write(('x'):rep(1024 * 1024)))]]))
      end)

      it("passes on much in both directions", function()
        local client = start()
        assert.equal("8388608", ask(client, [[
          local child = process.spawn { 'cat' }
          local writer = parlance.spawn(function()
            for i = 1, 128 do child.stdin:write(('x'):rep(65536)) end
            child.stdin:shutdown()
          end)
          local length = 0
          for piece in child.stdout:lines 'any' do length = length + #piece end
          return length]]))
      end)

      it("tells that the program reads no more", function()
        local client = start()
        local said = ask(client, [[
          local child = sh 'exec <&-; echo closed; sleep 100'
          child.stdout:read 'l'
          child.stdin:write 'x'
          parlance.sleep(0.05)
          return show(child.stdin:write 'y')]])
        assert.equal("reset", said:match '"([^"]*)"$')
      end)

      it("goes one way only", function()
        local client = start()
        assert.equal('"closed"', ask(client, "return show((select(3, process.spawn({ 'cat' }).stdin:read())))"))
        assert.equal('"reset"', ask(client, "return show((select(3, process.spawn({ 'cat' }).stdout:write 'x')))"))
      end)

      it("is not kept for others", function()
        local client = start()
        assert.equal('false "the connection has ended"',
          ask(client, "return show(process.spawn({ 'cat' }).stdout:release())"))
        assert.equal('false "the connection has ended"',
          ask(client, "return show(process.spawn({ 'cat' }).stdin:release())"))
      end)

      it("says whose it is", function()
        local client = start()
        assert.equal('"stream (stdout of cat)" "child (cat)" "child (cat, closed)"', ask(client, [[
          local child = process.spawn { '/bin/cat' }
          local texts = { tostring(child.stdout), tostring(child) }
          child:close()
          return show(texts[1], texts[2], tostring(child))]]))
      end)

      it("goes over to a response with its program", function()
        local client = start()
        send(client, "return sh('echo one; sleep 0.2; echo two').stdout")
        assert.equal("one", answer(client))
        assert.equal("two", answer(client))
        assert.equal("next", ask(client, "return 'next'"))
      end)

      it("ends its program with its response", function()
        local client = start()
        send(client, "return sh('echo $$; exec sleep 100').stdout")
        local id = answer(client)
        assert.is_false(is_gone(id))
        client:reset()
        wait_until_gone(id)
      end)
    end)

    describe("wait", function()
      it("tells how the program has ended, as often as it is asked", function()
        local client = start()
        assert.equal('"exit" 7 "exit" 7 "exit" 7', ask(client, [[
          local child = sh 'exit 7'
          local a, b = child:wait()
          local c, d = child:wait(0)
          return show(a, b, c, d, child:wait(1))]]))
        assert.equal('"signal" 9', ask(client, "return show(sh('kill -9 $$'):wait())"))
      end)

      it("gives up after so many seconds", function()
        local client = start()
        assert.equal('nil "timeout" "timeout" nil "timeout" "timeout"', ask(client, [[
          local child <close> = process.spawn { 'sleep', '100' }
          local a, b, c = child:wait(0.05)
          return show(a, b, c, child:wait(0))]]))
      end)

      it("may be called by several tasks", function()
        local client = start()
        assert.equal('true "exit" 2 true "exit" 2', ask(client, [[
          local child = sh 'read x; exit 2'
          local one = parlance.spawn(function() return child:wait() end)
          local two = parlance.spawn(function() return child:wait() end)
          parlance.sleep(0.01)
          child.stdin:close()
          local a, b, c = one:wait()
          return show(a, b, c, two:wait())]]))
      end)

      it("is over when the child is closed", function()
        local client = start()
        assert.equal('true nil "closed" "closed" nil "closed" "closed"', ask(client, [[
          local child = process.spawn { 'sleep', '100' }
          local one = parlance.spawn(function() return child:wait() end)
          parlance.sleep(0.01)
          child:close()
          local a, b, c, d = one:wait()
          return show(a, b, c, d, child:wait())]]))
      end)
    end)

    describe("kill", function()
      it("sends SIGTERM, or another signal by its number or name", function()
        local client = start()
        local line = "local child = process.spawn { 'sleep', '100' } return show(child:kill(%s), child:wait())"
        assert.equal('true "signal" 15', ask(client, line:format ""))
        assert.equal('true "signal" 9', ask(client, line:format "9"))
        assert.equal('true "signal" 2', ask(client, line:format "'INT'"))
        assert.equal('true "signal" 1', ask(client, line:format "'SIGHUP'"))
      end)

      it("sends it to the whole group", function()
        local client = start()
        local id = ask(client, [[
          local child = sh 'sleep 100 & echo $!; wait'
          local id = child.stdout:read 'l'
          child:kill()
          child:wait()
          return id]])
        wait_until_gone(id)
      end)

      it("tells that the program has ended", function()
        local client = start()
        assert.equal('false "finished"', ask(client, [[
          local child = process.spawn { 'true' }
          child:wait()
          return show(child:kill())]]))
      end)

      it("raises for what is no signal", function()
        local client = start()
        local line = "return (select(2, pcall(function() process.spawn({ 'true' }):kill(%s) end)))"
        for _, signal in ipairs { "0", "-1", "65", "'NONE'", "{}" } do
          assert.matches("bad argument #1", ask(client, line:format(signal)))
        end
      end)
    end)

    describe("a program", function()
      it("ends with its <close>", function()
        local client = start()
        local id = ask(client, [[
          local id
          do
            local child <close> = sh 'echo $$; exec sleep 100'
            id = child.stdout:read 'l'
          end
          return id]])
        wait_until_gone(id)
      end)

      it("ends with the request that made it, and with it its group", function()
        local client = start()
        local said = ask(client, "return sh('sleep 100 & echo $$ $!; wait').stdout:read 'l'")
        local leader, other = said:match "(%d+) (%d+)"
        wait_until_gone(leader)
        wait_until_gone(other)
      end)

      it("leaves a group that is ended as well when it has ended before", function()
        local client = start()
        local id = ask(client, [[
          local child = sh 'sleep 100 & echo $!'
          local id = child.stdout:read 'l'
          child:wait()
          return id]])
        wait_until_gone(id)
      end)

      it("ends with the task that made it", function()
        local client = start()
        local id = ask(client, [[
          kept.task = parlance.spawn(function()
            local child = sh 'echo $$; exec sleep 100'
            kept.id = child.stdout:read 'l'
            child:wait()
          end)
          while not kept.id do parlance.sleep(0.005) end
          return kept.id]])
        assert.is_false(is_gone(id))
        assert.equal("true", ask(client, "return kept.task:cancel()"))
        wait_until_gone(id)
      end)

      it("goes on while nothing refers to it, and keeps its pipes", function()
        local client = start()
        assert.equal("done", ask(client, [[
          local path = os.tmpname()
          sh('cat; sleep 0.3; echo done && echo done >' .. path, { stdin = false })
          for i = 1, 60 do
            collectgarbage()
            parlance.sleep(0.01)
          end
          local text = io.open(path):read 'l'
          os.remove(path)
          return text]]))
      end)

      it("that ignores SIGTERM is killed two seconds later", function()
        local client = start()
        local began = server.now()
        local id = ask(client, [[
          local child <close> = sh 'trap "" TERM; echo $$; while :; do sleep 0.05; done'
          return child.stdout:read 'l']])
        assert.equal("2", ask(client, "return 1 + 1"))
        assert.is_false(is_gone(id))
        wait_until_gone(id)
        local took = server.now() - began
        assert.is_true(took > 1.9, took)
      end)

      it("ends when its request is cancelled, while the script waits for it", function()
        local client, other = start(), running:connect()
        send(client, [[
          local child = sh 'echo $$; exec sleep 100'
          kept.id = child.stdout:read 'l'
          child:wait()]])
        local id = ask(other, "while not kept.id do parlance.sleep(0.005) end return kept.id")
        client:reset()
        wait_until_gone(id)
        assert.equal("2", ask(other, "return 1 + 1"))
      end)

      it("is not started when its task is cancelled before", function()
        local client = start()
        assert.equal('nil "cancelled" "cancelled" nil', ask(client, [[
          local path = os.tmpname()
          os.remove(path)
          local task = parlance.spawn(function() sh('touch ' .. path) end)
          parlance.spawn(function() task:cancel() end)
          local a, b, c = task:wait()
          parlance.sleep(0.05)
          return show(a, b, c, (io.open(path)))]]))
      end)

      it("leaves nothing behind, also a thousand of them", function()
        local client = start()
        assert.equal("1", ask(client, "return 1"))
        local id = running.process:pid()
        local descriptors, children = running:descriptors(), count_children(id)
        assert.equal("1000", ask(client, [[
          local count = 0
          for i = 1, 1000 do
            local child <close> = process.spawn { 'true' }
            if child:wait() == 'exit' then count = count + 1 end
          end
          return count]]))
        server.wait_until("the descriptors to be as before", function() return running:descriptors() <= descriptors end)
        assert.equal(children, count_children(id))
      end)

      it("leaves no zombie and no descriptor where the script forgets it", function()
        local client = start()
        assert.equal("1", ask(client, "return 1"))
        local id = running.process:pid()
        local descriptors, children = running:descriptors(), count_children(id)
        send(client, [[
          for i = 1, 50 do
            local child = process.spawn({ 'true' }, { stdin = false })
            child.stdout:read 'a'
            child:wait()
          end
          parlance.sleep(0.2)
          kept.is_over = parlance.spawn(function() parlance.sleep(1000) end)
          parlance.sleep(1000)]])
        local other = running:connect()
        ask(other, "while not kept.is_over do parlance.sleep(0.005) end return 1")
        other:close()
        server.wait_until("the descriptors to be as before", function() return running:descriptors() <= descriptors end)
        assert.equal(children, count_children(id))
        client:reset()
      end)
    end)

    describe("a server that stops", function()
      it("lets a request wait for its program", function()
        local client = start()
        running:expect_end()
        send(client, "kept.child = sh 'echo begun; sleep 0.3; echo done' kept.child.stdout:read 'l' " ..
          "parlance.log('warn', 'begun') return kept.child.stdout:read 'l'")
        running:wait_for_log "begun"
        running:terminate()
        assert.equal("done", answer(client))
        assert.equal(0, running:wait())
      end)

      it("ends all programs, those that ignore SIGTERM two seconds later", function()
        local client = start()
        running:expect_end()
        local said = ask(client, [[
          local ids = {}
          for _, text in ipairs { 'echo $$; exec sleep 100', 'trap "" TERM; echo $$; while :; do sleep 0.05; done' } do
            parlance.spawn(function()
              local child = sh(text)
              local id = child.stdout:read 'l'
              ids[#ids + 1] = id
              child:wait()
            end)
          end
          while #ids < 2 do parlance.sleep(0.005) end
          return table.concat(ids, ' ')]])
        client:close()
        assert.equal(0, running:stop())
        local one, two = said:match "(%d+) (%d+)"
        assert.is_true(is_gone(one))
        assert.is_true(is_gone(two))
      end)

      it("takes its programs along when it is killed", function()
        local client = start()
        running:expect_end()
        local id = ask(client, [[
          parlance.spawn(function()
            local child = sh 'echo $$; exec sleep 100'
            kept.id = child.stdout:read 'l'
            child:wait()
          end)
          while not kept.id do parlance.sleep(0.005) end
          return kept.id]])
        assert(running.process:signal(9))
        running:wait()
        server.wait_until("the end of the program", function() return is_gone(id) end)
      end)
    end)
  end)
end)

describe("parlance.process in a simulation", function()
  it("runs nothing, and tells how to permit effects", function()
    local folder = server.new_folder()
    server.write_file(folder .. "/p.lua", PROTOCOL .. " return Lines")
    local script = assert(simulator.load(folder .. "/p.lua", { modules = server.SOURCE .. "/lua" }))
    local session = script:open()
    session:receive "return select(2, pcall(process.spawn, { 'touch', '/tmp/x' }))\n"
    assert.equal("process.spawn would run touch: a simulation has no effects outside of ${TEMP} (see " ..
      "--allow-effects)\n", session:take())
    script:close()
    script = assert(simulator.load(folder .. "/p.lua", { modules = server.SOURCE .. "/lua", allow_effects = true }))
    session = script:open()
    session:receive "return select(2, pcall(process.spawn, { 'touch', '/tmp/x' }))\n"
    assert.equal("process.spawn cannot run touch in simulated time\n", session:take())
    script:close()
    server.remove_folder(folder)
  end)
end)
