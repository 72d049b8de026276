-- timeout 300
-- Scripts that are edited while the server runs with --preflight: what clients are answered, and what the
-- log says. The check is the real one, in a process of its own.
local process = require("parlance_spec").process
local server = require "support.server"
local tree = require "support.tree"

local HUP <const>, KILL <const> = 1, 9

-- A protocol of lines; `answer` is an expression.
local function version(answer, more)
  return ([[
    local framing = require "parlance.framing"
    local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
    function Lines:make_response() return %s .. "\n" end
    %s
    return Lines]]):format(answer, more or "")
end

local GOOD <const>, SAME <const> = version "'v ' .. self.request", version "('v %s'):format(self.request)"
local BAD <const> = version "'w ' .. self.request"
local WITH_MODULE <const> = version "require 'letter' .. self.request"
local TRANSCRIPT <const> = '> "hello\\n"\n< "v hello\\n"\n> "you\\n"\n< "v you\\n"\n> end\n< end\n'
local COUNTED <const> = '> "x\\n"\n< "v x "\n< ~"%d+"\n< "\\n"\n'
-- They take more play than there is time for.
local LONG <const> = ('> "%s\\n"\n< "v %s\\n"\n'):format(("x"):rep(900), ("x"):rep(900)):rep(40)
local MORE <const> = {}
for i = 1, 12 do MORE[("transcripts/lines/b%d.transcript"):format(i)] = LONG end

local function unescape(letter)
  return letter == "n" and "\n" or letter
end

describe("--preflight", function()
  local folder

  after_each(function()
    server.stop_all()
    folder:remove()
  end)

  -- A server on lines.lua, with this transcript beside it and other files.
  local function start(text, transcript, options, files)
    local all = { ["lines.lua"] = text, ["transcripts/lines/a.transcript"] = transcript }
    for name, more in pairs(files or {}) do all[name] = more end
    folder = tree.new(all)
    local words = { "--preflight", poller = options and options.poller }
    for i, word in ipairs(options or {}) do words[i + 1] = word end
    return server.start(folder.path .. "/lines.lua", words)
  end

  local function save(text, name)
    folder:add(name or "lines.lua", text)
  end

  local function ask(running, nth)
    local client = running:connect(nth)
    client:send "x\n"
    local answer = assert(client.socket:receive "*l")
    client:close()
    return answer
  end

  local function await_reloads(running, count)
    -- A check has two seconds of the processor, which others want, too.
    server.wait_until(count .. " reloads", function() return running:count_in_log " reloaded " == count end, 25)
  end

  -- The processes that it has started.
  local function children_of(running)
    local pid = running.process:pid()
    local pids = {}
    for word in server.read_file(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+" do
      pids[#pids + 1] = math.tointeger(word)
    end
    return pids
  end

  local function await_check(running)
    return server.wait_until("a check", function() return children_of(running)[1] end)
  end

  for _, poller in ipairs { "epoll", "select" } do
    it("refuses an edit that changes a byte of an answer, and takes the next good one, with " .. poller, function()
      local running = start(GOOD, TRANSCRIPT, { poller = poller })
      local client = running:connect()
      assert.equal("v a\n", client:exchange("a\n", 4))
      save(BAD)
      running:wait_for_log " reload_failed service=lines step=preflight serving=1 "
      assert.equal("v b\n", client:exchange("b\n", 4))
      save(SAME)
      running:wait_for_log " reloaded service=lines generation=2 .* transcripts=1 check_ms=%d+\n"
      assert.equal("v c\n", client:exchange("c\n", 4))
      assert.equal(1, running:count_in_log " reload_failed ")
    end)
  end

  it("gives the check the settings of the server", function()
    local text = [[
      return {
        close_when_done = false,
        settings = { word = "what is answered", more = "behind it" },
        request_complete = require("parlance.framing").line {},
        make_response = function()
          local settings = require("parlance").settings
          return settings.word .. settings.more .. "\n"
        end,
      }]]
    local running = start(text, '> "x\\n"\n< "a=b c\\n"\n', { "--set", "word=a=b", "--set", "more= c" })
    assert.equal("a=b c", ask(running))
    save(text .. " -- edited")
    await_reloads(running, 1)
    assert.equal("a=b c", ask(running))
    save((text:gsub("settings.more", "'!'")))
    running:wait_for_log ' step=preflight [^\n]*detail="([^\n]*)"\n'
  end)

  it("neither judges nor begins a check while a file is being written", function()
    local noted <const> = [[
      local note = assert(io.open(debug.getinfo(1, "S").source:sub(2) .. ".loads", "a"))
      note:write("x"):close()
      for _ = 1, 4000000 do end -- some hundredths of a second]]
    local files <const> = { ["more.lua"] = "return 1" }
    local text <const> = version("require 'more' .. self.request", "require 'more'\n" .. noted)
    local running = start(text, '> "k\\n"\n< ~".*"\n', { "--allow-effects" }, files)
    local client = running:connect()
    assert.equal("1a\n", client:exchange("a\n", 3))
    save("return 2", "more.lua")
    server.wait_until("a load in the check", function()
      return #server.read_file(folder.path .. "/lines.lua.loads") > 1
    end)
    local file <close> = assert(io.open(folder.path .. "/more.lua", "wb")) -- without a word it is valid
    file:setvbuf "no"
    local written = process.now() + 3
    while process.now() < written do
      file:seek "set"
      file:write "\n"
      assert.equal("1b\n", client:exchange("b\n", 3))
    end
    assert.equal(0, running:count_in_log "reload")
    file:write "return 3"
    file:close()
    await_reloads(running, 1)
    assert.equal("3c\n", client:exchange("c\n", 3))
  end)

  it("waits for some seconds at most for what is being written, which may be another script's", function()
    folder = tree.new {}
    local running = server.start({ { GOOD, options = { "--preflight" } }, { GOOD } })
    local other <close> = assert(io.open(running.folder .. "/script2.lua", "ab"))
    other:setvbuf "no"
    local began = process.now()
    server.write_file(running.folder .. "/script1.lua", SAME)
    local looked = began
    repeat -- without a pause in which it could be at rest
      other:write "-- more\n"
      local is_time = process.now() - looked > 0.05
      if is_time then looked = process.now() end
      assert.is_true(looked - began < 10)
    until is_time and running:count_in_log " reloaded service=script1 " > 0
    assert.equal("v x", ask(running, 1))
  end)

  it("shows what differs as `parlance check` does", function()
    local running = start(GOOD, TRANSCRIPT)
    save(BAD)
    local detail = running:wait_for_log ' step=preflight [^\n]*detail="([^\n]*)"\n'
    local status, said = server.run { "check", folder.path .. "/lines.lua" }
    assert.equal(1, status)
    assert.equal(said:match "^[^\n]*: valid\n(.*)\n$", (detail:gsub("\\(.)", unescape)))
  end)

  it("takes an edit whose answers are meant to be others once the transcript says so", function()
    local running = start(GOOD, TRANSCRIPT)
    save(BAD)
    running:wait_for_log " reload_failed [^\n]*step=preflight"
    save((TRANSCRIPT:gsub('"v ', '"w ')), "transcripts/lines/a.transcript")
    await_reloads(running, 1)
    assert.equal("w x", ask(running))
  end)

  it("checks a version that waits, in no time", function()
    local running = start(GOOD, TRANSCRIPT)
    local wait = "(require('parlance').sleep(self.request == 'x' and 0 or 30) or '%s ' .. self.request)"
    save(version(wait:format "w"))
    running:wait_for_log " reload_failed [^\n]*step=preflight"
    save(version(wait:format "v"))
    await_reloads(running, 1)
    assert.equal("v x", ask(running))
  end)

  it("refuses an edit of a module beside the script, too", function()
    local running = start(WITH_MODULE, TRANSCRIPT, nil, { ["letter.lua"] = "return 'v '" })
    assert.equal("v x", ask(running)) -- now it is required
    save("return 'w '", "letter.lua")
    running:wait_for_log " reload_failed [^\n]*step=preflight"
    assert.equal("v x", ask(running))
    save("return 'v' .. ' '", "letter.lua")
    await_reloads(running, 1)
    assert.equal("v x", ask(running))
  end)

  it("leaves it to the load to tell a syntax error, once", function()
    local running = start(GOOD, TRANSCRIPT)
    save "return {\n = }"
    assert.matches("lines.lua:2: unexpected symbol", running:wait_for_log " reload_failed [^\n]*step=load [^\n]*")
    save(SAME)
    await_reloads(running, 1)
    assert.equal(1, running:count_in_log " reload_failed ")
  end)

  it("takes what has no transcripts, and tells that there were none", function()
    local running = start(GOOD, nil)
    save(BAD)
    running:wait_for_log " reloaded [^\n]* transcripts=0 "
    assert.equal("w x", ask(running))
  end)

  it("refuses what cannot be checked because a transcript is malformed, and tells its file and line", function()
    local running = start(GOOD, TRANSCRIPT .. "oops\n")
    save(SAME)
    assert.matches("transcripts/lines/a.transcript:7: ", running:wait_for_log " step=preflight [^\n]*")
    assert.equal("v x", ask(running))
    save(TRANSCRIPT, "transcripts/lines/a.transcript")
    await_reloads(running, 1)
  end)

  it("checks at SIGHUP, too, with --no-watch as well", function()
    local running = start(GOOD, TRANSCRIPT, { "--no-watch" })
    save(BAD)
    assert(running.process:signal(HUP))
    running:wait_for_log " reload_failed [^\n]*step=preflight"
    assert.equal("v x", ask(running))
    save(SAME)
    assert(running.process:signal(HUP))
    await_reloads(running, 1)
    assert(running.process:signal(HUP))
    await_reloads(running, 2)
  end)

  it("ends a hundred saves in a row with the last one that is good", function()
    local running = start(version "'v ' .. self.request .. ' 0'", COUNTED)
    for i = 1, 100 do
      save(version(("'%s ' .. self.request .. ' %d'"):format(i % 2 == 0 and "v" or "w", i)))
    end
    server.wait_until("version 100", function()
      local answer = ask(running)
      assert.matches("^v x %d*[02468]$", answer)
      return answer == "v x 100"
    end)
  end)

  it("ends saves as fast as checks are with the last one, too", function()
    local running = start(version "'v ' .. self.request .. ' 0'", COUNTED)
    local stop, last = process.now() + 2, 0
    while process.now() < stop do
      last = last + 1
      save(version(("'v ' .. self.request .. ' %d'"):format(last)), "next.lua")
      assert(os.rename(folder.path .. "/next.lua", folder.path .. "/lines.lua")) -- never half written
      ask(running)
    end
    server.wait_until("version " .. last, function() return ask(running) == "v x " .. last end)
    assert.is_nil(running:log():match " reload_failed [^\n]*")
  end)

  it("begins again when a file is saved during a check", function()
    local running = start(GOOD, LONG)
    save(version "'v ' .. self.request .. ''")
    local first = await_check(running)
    save "return {\n = }"
    running:wait_for_log " reload_failed [^\n]*step=load"
    assert.is_nil(process.memory(first))
    save(version "'v' .. ' ' .. self.request")
    await_reloads(running, 1)
    assert.matches("generation=2 ", running:log())
  end)

  it("plays for two seconds, and serves meanwhile", function()
    local running = start(GOOD, LONG, nil, MORE)
    local client = running:connect()
    save(SAME)
    local check = await_check(running)
    local answers, spent = 0, 0
    server.wait_until("the version to be taken", function()
      spent = math.max(spent, process.cpu(check) or 0)
      assert.equal("v x\n", client:exchange("x\n", 4))
      answers = answers + 1
      return running:count_in_log " reloaded " > 0
    end, 130)
    assert.is_true(answers >= 20, answers)
    assert.is_true(tonumber(running:log():match " check_ms=(%d+)") >= 1900)
    assert.is_true(spent >= 1.8 and spent < 3, spent) -- seconds of the processor
  end)

  it("keeps no stop waiting for a check, and leaves none behind", function()
    local running = start(GOOD, LONG, nil, MORE)
    save(SAME)
    local check = await_check(running)
    local started = process.now()
    running:expect_end()
    assert.equal(0, running:stop())
    assert.is_true(process.now() - started < 1.5)
    assert.is_nil(process.memory(check))
    assert.equal(0, running:count_in_log " reloaded ")
  end)

  it("leaves no check behind when the server is killed", function()
    local running = start(GOOD, LONG, nil, MORE)
    save(SAME)
    local check = await_check(running)
    -- Only once it plays it has asked for that.
    server.wait_until("the play", function() return (process.cpu(check) or 1) > 0.1 end)
    running:expect_end()
    assert(running.process:signal(KILL))
    running:wait()
    server.wait_until("its end", function()
      local file = io.open(("/proc/%d/stat"):format(check))
      local state = file and file:read("a"):match ".*%) (%a)"
      if file then file:close() end
      return not state or state == "Z" or state == "X"
    end)
  end)

  it("has no effects that the script would have, unless they are allowed", function()
    local running = start(GOOD, TRANSCRIPT)
    local noted = folder.path .. "/noted"
    local text = ("local note = %q\n"):format(noted)
      .. version "io.open(note, 'a'):write('x'):close() and 'v ' .. self.request"
    save(text)
    running:wait_for_log "io.open would write to [^\n]*/noted: a simulation has no effects"
    assert.is_nil(io.open(noted))
    assert.equal("v x", ask(running))
    running:stop()
    folder:remove()
    running = start(GOOD, TRANSCRIPT, { "--allow-effects" })
    noted = folder.path .. "/noted"
    save((text:gsub('"[^"\n]*"', ("%q"):format(noted), 1)))
    await_reloads(running, 1)
    assert.is_truthy(#server.read_file(noted) > 0)
  end)

  it("does not run what it refuses, nor what cannot be loaded without effects", function()
    local running = start(GOOD, TRANSCRIPT)
    local noted = folder.path .. "/noted"
    local note = ("io.open(%q, 'a'):write('x'):close()\n"):format(noted)
    save(note .. GOOD)
    running:wait_for_log "reload_failed [^\n]*io.open would write to [^\n]*/noted: a simulation has no effects"
    save(("if not require 'parlance'.simulated then %s end\n"):format(note) .. BAD)
    running:wait_for_log "reload_failed [^\n]*a.transcript:2: the answer is not the one expected"
    assert.equal("v x", ask(running))
    assert.is_nil(io.open(noted))
  end)

  it("is not impressed by what ends its process", function()
    local running = start(GOOD, TRANSCRIPT, { "--allow-effects" })
    save("os.exit(0)\n" .. GOOD)
    running:wait_for_log "os.exit%(%) is called"
    save("io.popen('kill -9 $PPID'):read 'a'\n" .. GOOD)
    running:wait_for_log '"the check was ended by signal 9"'
    assert.equal("v x", ask(running))
    save(SAME)
    await_reloads(running, 1)
  end)

  it("ends a check that takes too long, and serves meanwhile", function()
    local running = start(GOOD, TRANSCRIPT, { "--call-timeout", "0" })
    save "while true do end"
    local check = await_check(running)
    for _ = 1, 10 do assert.equal("v x", ask(running)) end
    running:wait_for_log('"the check did not end within %d+ s"', 130) -- 20 s, or more on a busy machine
    assert.is_nil(process.memory(check))
    assert.equal("v x", ask(running))
    save(SAME)
    await_reloads(running, 1)
  end)

  it("shows what differs also where the new version prints very much", function()
    local running = start(GOOD, TRANSCRIPT)
    save(version("'w ' .. self.request", "for i = 1, 50000 do print(i, 'x') io.stderr:write 'yyyyyyyyyyyyy\\n' end"))
    assert.matches("a.transcript:2: the answer is not the one expected", running:wait_for_log " step=preflight [^\n]*")
  end)

  it("holds a script to what it is with the options that it is served with", function()
    local transcript = '> "12345678901"\n< end\n'
    local running = start(GOOD, transcript, {
      "--max-request", "10", "--request-timeout", "7.5", "--idle-timeout", "2.5", "--write-timeout", "3",
      "--call-timeout", "0.75", "--memory-limit", "64M",
    }, { ["transcripts/lines/b.transcript"] = '> "x\\n"\n< "v x\\n"\nwait 3\n< end\n' })
    save(SAME)
    running:wait_for_log " reloaded [^\n]* transcripts=2 "
    assert.equal(0, running:count_in_log " reload_failed ")
  end)

  it("refuses only the service whose answers differ", function()
    folder = tree.new { ["lines.lua"] = GOOD, ["transcripts/lines/a.transcript"] = TRANSCRIPT, ["two.lua"] = GOOD }
    local running = server.start { { folder.path .. "/lines.lua", options = { "--preflight" } },
      { folder.path .. "/two.lua" } }
    save(BAD)
    save(BAD, "two.lua")
    running:wait_for_log " reload_failed service=lines step=preflight"
    running:wait_for_log " reloaded service=two generation=2"
    assert.equal("v x", ask(running, 1))
    assert.equal("w x", ask(running, 2))
  end)

  it("takes a version whose module was missing for a moment", function()
    local running = start(WITH_MODULE, TRANSCRIPT, nil, { ["letter.lua"] = "return 'v '" })
    assert.equal("v x", ask(running))
    assert(os.remove(folder.path .. "/letter.lua"))
    save("return 'v' .. ' '", "letter.lua")
    await_reloads(running, 1)
    assert.equal(0, running:count_in_log " reload_failed ")
  end)

  it("loses no request and no descriptor, and leaves no process", function()
    local running = start(version "'v ' .. self.request .. ' 0'", COUNTED)
    local clients, descriptors = {}, nil
    for i = 1, 20 do clients[i] = running:connect() end
    for i = 1, 30 do
      save(version(("'%s ' .. self.request .. ' %d'"):format(i % 3 == 0 and "w" or "v", i)))
      server.wait_until("an outcome", function()
        for n, client in ipairs(clients) do client:send(("%d.%d\n%d.%d\n"):format(i, n, i, n)) end
        for n, client in ipairs(clients) do
          for _ = 1, 2 do
            assert.equal(("v %d.%d"):format(i, n), (assert(client.socket:receive "*l"):match "^(.*) %d+$"))
          end
        end
        return running:count_in_log " reloaded " + running:count_in_log " reload_failed " == i
      end)
      if i == 5 then descriptors = running:descriptors() end
    end
    assert.equal(20, running:count_in_log " reloaded ")
    assert.same({}, children_of(running))
    server.wait_until("the descriptors", function() return running:descriptors() <= descriptors end)
  end)
end)
