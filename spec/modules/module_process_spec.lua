-- timeout 300
-- Programs that a script runs: what they are given, and what they say. How they end is in process_end_spec.lua.

local line_protocol = require "support.line_protocol"
local server = require "support.server"

local SETUP <const> = [[
  process = require "parlance.process"
  function sh(text, options) return process.spawn({ "sh", "-c", text }, options) end
  kept = {} ]]

server.for_each_poller(function(poller)
  describe("parlance.process with " .. poller, function()
    local lines = line_protocol.serve(poller)
    local send, answer, ask = lines.send, lines.answer, lines.ask
    local function start(at_load, options) return lines.start(SETUP .. (at_load or ""), options) end

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
        local client, other = start(), lines.running:connect()
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
        server.write_file(lines.running.folder .. "/text", "echo it ran\n")
        assert(os.execute("chmod +x " .. lines.running.folder .. "/text"))
        assert.equal(('nil "%s/text: Exec format error" "failed"'):format(lines.running.folder),
          ask(client, ("return show(process.spawn { %q })"):format(lines.running.folder .. "/text")))
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
        lines.running:wait_for_log 'warn program service=%S+ program=sh message="one two"'
        lines.running:wait_for_log "warn program service=%S+ program=sh message=three"
        lines.running:wait_for_log "warn program service=%S+ program=sh message=rest"
        assert.equal(3, lines.running:count_in_log " program service=")
      end)

      it("logs at most 20 lines a second of a program that floods its standard error", function()
        local client = start()
        assert.equal('"exit" 0', ask(client, [[
          local child <close> = sh 'i=0; while [ $i -lt 5000 ]; do echo $i >&2; i=$((i+1)); done'
          return show(child:wait())]]))
        assert.is_true(lines.running:count_in_log " program service=" < 1000)
      end)

      it("gives the script its standard error with stderr = 'pipe'", function()
        local client = start()
        assert.equal('"out\\n" "err\\n" "exit" 0', ask(client, [[
          local child = sh('echo out; echo err >&2', { stderr = 'pipe' })
          return show(child.stdout:read 'a', child.stderr:read 'a', child:wait())]]))
        assert.equal(0, lines.running:count_in_log " program service=")
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

      for _, case in ipairs {
        { "process.spawn 'ls'", "table expected, got string" },
        { "process.spawn {}", "the program is missing" },
        { "process.spawn { '' }", "the program is missing" },
        { "process.spawn { 'ls', 'a\\0b' }", "an argument must be a string without zero bytes" },
        { "process.spawn { 'ls', {} }", "an argument must be a string" },
        { "process.spawn({ 'ls' }, { timeuot = 1 })", "process.spawn has no option timeuot" },
        { "process.spawn({ 'ls' }, { limits = { real = 1 }})", "process.spawn has no limit real" },
        { "process.spawn({ 'ls' }, { limits = { files = 1 } })", "limits.files must be" },
        { "process.spawn({ 'ls' }, { limits = { memory = 'x' } })", "limits.memory must be" },
        { "process.spawn({ 'ls' }, { limits = { cpu = 0 } })", "limits.cpu must be" },
        { "process.spawn({ 'ls' }, { limits = 1 })", "limits must be a table" },
        { "process.spawn({ 'ls' }, { env = 'A=1' })", "env must be a table" },
        { "process.spawn({ 'ls' }, { env = { ['A=B'] = '1' } })", "a name in env must be" },
        { "process.spawn({ 'ls' }, { env = { 'A=1' } })", "a name in env must be" },
        { "process.spawn({ 'ls' }, { env = { A = 'a\\0b' } })", "a value in env must be" },
        { "process.spawn({ 'ls' }, { cwd = {} })", "cwd must be a string" },
        { "process.spawn({ 'ls' }, { stdin = 'x' })", "stdin must be true or false" },
        { "process.spawn({ 'ls' }, { stderr = 'file' })", "stderr must be" },
        { "process.spawn({ 'ls' }, { timeout = -1 })", "timeout must be" },
      } do
        local call, complaint = table.unpack(case)
        it("raises for what is no program or no option: " .. call, function()
          assert.matches(complaint, ask(start(), "return why(function() " .. call .. " end)"))
        end)
      end

      it("cannot be called where a script cannot wait", function()
        start "function Lines:handle_close() process.spawn { 'true' } end":close()
        lines.running:wait_for_log "process.spawn cannot wait"
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
        assert.is_true(lines.running:memory() < (server.is_sanitized and 400 or 100) * 1024)
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
  end)
end)

describe("parlance.process in a simulation", function()
  local lines = line_protocol.simulate()

  for _, allow_effects in ipairs { false, true } do
    it("runs nothing, with allow_effects = " .. tostring(allow_effects), function()
      lines.start(SETUP, { allow_effects = allow_effects })
      assert.equal("process.spawn would run touch: a simulation runs no programs",
        lines.ask "return select(2, pcall(process.spawn, { 'touch', '/tmp/x' }))")
    end)
  end
end)
