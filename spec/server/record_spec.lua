-- --record: conversations through real sockets, and the transcripts (docs/transcripts.md) that are written of them.

local lfs = require "lfs"
local recordings = require "support.recordings"
local server = require "support.server"

local LINES <const>, new_folder <const>, names_in <const>, transcripts <const>, steps <const> =
  recordings.LINES, recordings.new_folder, recordings.names_in, recordings.transcripts, recordings.steps

-- Greets, and pushes a line 0.3 s later, and one more.
local PUSHES <const> = [[
local parlance = require "parlance"
return {
  close_when_done = false,
  request_complete = require("parlance.framing").line {},
  handle_connect = function(self)
    parlance.spawn(function()
      for nth = 1, 2 do
        parlance.sleep(0.3)
        if not self:send(("pushed %d\n"):format(nth)) then return end
      end
    end)
    return "hello\n"
  end,
  make_response = function(self) return self.request:upper() .. "\n" end,
}
]]

-- The bytes of one side, of all its steps.
local function said(text, side)
  local bytes = {}
  for line in text:gmatch "[^\n]+" do
    local literal, count = line:match("^" .. side .. ' (".*")[ *]*(%d*)$')
    if literal then bytes[#bytes + 1] = load("return " .. literal)():rep(tonumber(count) or 1) end
    local digits, times = line:match("^" .. side .. " hex ([%x ]+)[ *]*(%d*)")
    local row = {}
    for pair in (digits or ""):gmatch "%x%x" do row[#row + 1] = string.char(tonumber(pair, 16)) end
    bytes[#bytes + 1] = table.concat(row):rep(tonumber(times) or 1)
  end
  return table.concat(bytes)
end

server.for_each_poller(function(poller)
  local folder, data

  -- The server, which records into `folder`.
  local function start(script, ...)
    return server.start(script or LINES:format(data), { poller = poller, turns = true, "--record", folder, ... })
  end

  -- A Unix socket takes some 200 KB that nobody reads, and never more.
  local function start_narrow(script)
    return server.start(script or LINES:format(data), {
      poller = poller, turns = true, listen = { "unix:" .. new_folder() .. "/socket" }, "--record", folder,
    })
  end

  before_each(function()
    folder, data = new_folder(), new_folder() .. "/data"
  end)

  after_each(recordings.remove_folders)

  describe("a recorded conversation", function()
    it("is a file, with what is known of it at the top", function()
      local running = start()
      local before = os.date "!%Y-%m-%dT%H:%M:%S"
      local client = running:connect()
      local _, port = client.socket:getsockname()
      assert.equal("HELLO\n", client:exchange("hello\n", 6))
      client:half_close()
      assert.equal("", client:receive_all())
      local text = transcripts(folder, 1)
      local time = text:match "\ntime (%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d)%.%d%d%dZ\n"
      assert.is_true(before <= time and time <= os.date "!%Y-%m-%dT%H:%M:%S", text)
      assert.equal(([[
# Recorded from script1, with 127.0.0.1:%d: peer_closed.
# What the script kept from other conversations is not in here.
fresh
time TIME

> "hello\n"
< "HELLO\n"
> end
< end
]]):format(port), (text:gsub("time %d%S+", "time TIME"):gsub("wait %S+\n", ""):gsub('< ""[^\n]*\n', "")))
    end)

    it("has the settings of the script, of two with one name the later one", function()
      local script = [[
        local settings = require("parlance").settings
        return {
          close_when_done = false, request_complete = require("parlance.framing").line {},
          make_response = function() return settings.word .. settings.empty .. settings.other end,
        }]]
      local running = server.start(script, {
        poller = poller, "--record", folder, "--set", "word=first", "--set", 'word=a "word"\n', "--set", "empty=",
        "--set", "other=x",
      })
      local client = running:connect()
      assert.equal('a "word"\nx', client:exchange("hello\n", 10))
      client:half_close()
      client:receive_all()
      local text = transcripts(folder, 1)
      local settings = text:match "\n(setting.-\n)fresh\n"
      assert.equal('setting word "a \\"word\\"\\n"\nsetting empty ""\nsetting other "x"\n', settings)
      local path = new_folder() .. "/words.lua"
      server.write_file(path, script)
      assert.equal(0, (server.run { "check", path, folder }))
    end)

    it("is named for its service and for when it began", function()
      start():connect():exchange_all "a\n"
      transcripts(folder, 1)
      local date = names_in(folder)[1]:match "^script1%-(%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d)%-1%.transcript$"
      local text = transcripts(folder, 1)
      assert.equal(text:match "time (%d+%-%d+%-%d+T%d+:%d+:%d+)", (date:gsub("^(....)(..)(..)%-(..)(..)(..)$",
        "%1-%2-%3T%4:%5:%6")))
    end)

    it("is the business of nobody but the owner", function()
      assert(lfs.rmdir(folder))
      start():connect():exchange_all "a\n"
      transcripts(folder, 1)
      assert.equal("rwx------", lfs.attributes(folder, "permissions"))
      assert.equal("rw-------", lfs.attributes(folder .. "/" .. names_in(folder)[1], "permissions"))
    end)

    it("has the answers behind what they answer", function()
      local client = start():connect()
      for _, word in ipairs { "one", "two" } do
        assert.equal(word:upper() .. "\n", client:exchange(word .. "\n", 4))
      end
      client:half_close()
      client:receive_all()
      assert.equal('> "one\\n"\n< "ONE\\n"\n> "two\\n"\n< "TWO\\n"\n> end\n< end\n', steps(transcripts(folder, 1)))
    end)

    it("has requests that came at once in one step", function()
      local client = start():connect()
      assert.equal("ONE\nTWO\n", client:exchange("one\ntwo\nthr", 8))
      assert.equal("THREE\n", client:exchange("ee\n", 6))
      client:half_close()
      client:receive_all()
      assert.equal([[
> "one\n"
> "two\n"
> "thr"
< "ONE\n"
< "TWO\n"
> "ee\n"
< "THREE\n"
> end
< end
]], steps(transcripts(folder, 1)))
    end)

    it("ends with the server when that closes first, whatever the client still sends", function()
      local running = start()
      local client = running:connect()
      assert.equal("bye\n", client:exchange("bye\nmore\n", 4))
      assert.equal("", client:receive_all())
      client:send "and more\n"
      client:close()
      running:turn()
      assert.equal('> "bye\\n"\n> "more\\n"\n< "bye\\n"\n< end\n', steps(transcripts(folder, 1)))
    end)

    it("has a greeting, and whoever says nothing", function()
      start("return {\n handle_connect = function() return 'hi' end, }"):connect():receive_all()
      assert.equal('< "hi"\n< end\n', steps(transcripts(folder, 1)))
    end)

    it("ends with a client that is gone", function()
      local running = start()
      local client = running:connect()
      assert.equal("A\n", client:exchange("a\n", 2))
      client:send "unfin"
      running:turn()
      client:reset()
      assert.equal('> "a\\n"\n< "A\\n"\n> "unfin"\n> gone\n', steps(transcripts(folder, 1)))
    end)

    it("ends with a client that is gone while a pipe of the answer is idle", function()
      local client = start():connect()
      assert.equal("begins\n", client:exchange("pipe\n", 7))
      client:reset()
      assert.equal('> "pipe\\n"\n< "begins\\n"\n< ~".*"  # and what was not sent any more\n> gone\n',
        steps(transcripts(folder, 1)))
    end)

    it("leaves open what a client that is gone would have been sent", function()
      local client = start_narrow():connect()
      client:send "stream 10000000\n"
      client:receive(10)
      client:close()
      local text = steps(transcripts(folder, 1))
      assert.is_truthy(text:find '^> "stream 10000000\\n"\n', text)
      assert.is_truthy(text:find '\n< ~"%.%*"  # and what was not sent any more\n> gone\n$', text)
    end)

    it("says that the server closes when it was going to", function()
      local client = start_narrow([[
        return {
          request_complete = function() return true end,
          make_response = function() return { function() return ("s"):rep(65536) end } end,
        }]]):connect()
      client:send "a"
      client:receive(10)
      client:close()
      local text = steps(transcripts(folder, 1))
      assert.is_truthy(text:find '\n< ~"%.%*"[^\n]*\n< end\n$', text)
    end)

    it("may have any bytes", function()
      local all = {}
      for byte = 0, 255 do all[#all + 1] = string.char(byte) end
      local bytes = table.concat(all):gsub("\n", "") .. "\0001\0\n"
      local client = start():connect()
      assert.equal(bytes:upper(), client:exchange(bytes, #bytes))
      client:close()
      local text = transcripts(folder, 1)
      assert.is_nil(text:find "[^\n -~]")
      assert.equal(bytes, said(text, ">"))
      assert.equal(bytes:upper(), said(text, "<"))
    end)

    it("has the file that was sent", function()
      local content = ("line of a file\n"):rep(20000)
      server.write_file(data, content)
      local client = start():connect()
      assert.equal("<" .. content .. ">\nA\n", client:exchange("file\na\n", #content + 5))
      client:half_close()
      client:receive_all()
      local text = transcripts(folder, 1)
      assert.equal("<" .. content .. ">\nA\n", said(text, "<"))
      assert.is_truthy(steps(text):find('> "a\\n"\n< "<line of a file\\n"\n< "line', 1, true), steps(text):sub(1, 200))
    end)

    it("has long strings and what a function made", function()
      local client = start():connect()
      client:exchange("held 400000\nstream 300000\na\n", 700010)
      client:half_close()
      client:receive_all()
      assert.equal([[
> "held 400000\n"
> "stream 300000\n"
> "a\n"
< "h" * 400000
< "end\n"
< "s" * 300000
< "end\n"
< "A\n"
> end
< end
]], steps(transcripts(folder, 1)))
    end)

    -- Of the first answer a part waits while the next request is read; behind the second one the server
    -- does not read for a while.
    for _, size in ipairs { 250000, 400000 } do
      it(("has an answer of %d bytes before the next request although the peer took it later"):format(size), function()
        local running = start_narrow()
        local client = running:connect()
        local expected = {}
        for nth = 1, size // 8 do expected[nth] = ("%07d\n"):format(nth) end
        client:send(("small %d\n"):format(#expected))
        running:turn()
        client:send "next\n"
        running:turn()
        local got = {}
        for nth = 1, size // 1000 do got[nth] = client:receive(1000) end
        assert.equal(table.concat(expected), table.concat(got))
        assert.equal("NEXT\n", client:receive(5))
        client:half_close()
        client:receive_all()
        local text = transcripts(folder, 1)
        assert.is_truthy(text:find "^# Recorded from script1, with unix: peer_closed%.\n", text:sub(1, 200))
        local lines = table.concat(expected):gsub("(%d+)\n", '< "%1\\n"\n')
        assert.equal(('> "small %d\\n"\n'):format(#expected) .. lines ..
          '> "next\\n"\n< "NEXT\\n"\n> end\n< end\n', steps(text))
      end)
    end

    it("leaves out requests that nobody looked at any more", function()
      local running = start_narrow()
      local client = running:connect()
      client:send "a\nstream 10000000\nbye\nnev"
      client:receive(10)
      running:turn()
      client:close()
      local text = steps(transcripts(folder, 1))
      assert.is_truthy(text:find '^> "a\\n"\n> "stream 10000000\\n"\n< "A\\n"\n', text:sub(1, 200))
      assert.is_truthy(text:find '\n< ~"%.%*"[^\n]*\n> gone\n$')
      assert.is_nil(text:find "bye")
    end)

    it("has what is left to say when a time limit is over, behind that time", function()
      local running = start(LINES:format(data), "--request-timeout", "0.2")
      local client = running:connect()
      client:send "a\nunfin"
      assert.equal("A\nrequest_timeout\n", client:receive_all())
      local text = transcripts(folder, 1)
      local wait = text:match '\n> "unfin"\n< "A\\n"\nwait (%d+%.%d+)\n< "request_timeout\\n"\n< end\n$'
      assert.is_true(wait and tonumber(wait) >= 0.19, text)
    end)

    it("has somebody there who says nothing until the time is over", function()
      start(LINES:format(data), "--idle-timeout", "0.1"):connect():receive_all()
      local wait = transcripts(folder, 1):match '\n\n< ""  # the client is there\nwait (%d+%.%d+)\n< end\n$'
      assert.is_true(tonumber(wait) >= 0.09)
    end)

    it("has the pauses of the client", function()
      local running = start()
      local client = running:connect()
      assert.equal("A\n", client:exchange("a\n", 2))
      local started = server.now()
      server.wait_until("time to pass", function() return server.now() - started >= 0.05 end)
      assert.equal("B\n", client:exchange("b\n", 2))
      local wait = (running:stop() and transcripts(folder, 1)):match '\n< "A\\n"\nwait (%d+%.%d+)\n> "b\\n"\n'
      assert.is_true(tonumber(wait) >= 0.04) -- by a clock that ticks every 10 ms at the least
    end)

    it("has what the server says first, and what it pushes while the client is silent, and plays back", function()
      local path = new_folder() .. "/pushes.lua"
      server.write_file(path, PUSHES)
      local client = start(path):connect()
      assert.equal("hello\npushed 1\npushed 2\n", client:receive(24))
      assert.equal("A\n", client:exchange("a\n", 2))
      client:half_close()
      assert.equal("", client:receive_all())
      local text = transcripts(folder, 1)
      local first, second, rest = text:match '\n\n< "hello\\n"\nwait (%S+)\n< "pushed 1\\n"\nwait (%S+)\n(.*)$'
      assert.is_true(tonumber(first) >= 0.25 and tonumber(second) >= 0.25, text)
      assert.equal('< "pushed 2\\n"\n> "a\\n"\n< "A\\n"\n> end\n< end\n', (rest:gsub("wait %S+\n", "")))
      local status, report, complaint = server.run { "check", path, folder }
      assert.equal("0 ", status .. " " .. complaint, report .. text)
    end)

    it("plays back with pushes that follow one another at once", function()
      local path = new_folder() .. "/pushes.lua"
      server.write_file(path, (PUSHES:gsub("0%.3", "0.01")))
      local client = start(path):connect()
      assert.equal("hello\npushed 1\npushed 2\n", client:receive(24))
      client:half_close()
      assert.equal("", client:receive_all())
      local text = transcripts(folder, 1)
      local status, report, complaint = server.run { "check", path, folder }
      assert.equal("0 ", status .. " " .. complaint, report .. text)
    end)

    it("has no end when it was the server that stopped", function()
      local running = start()
      assert.equal("A\n", running:connect():exchange("a\n", 2))
      assert.equal(0, running:stop())
      local text = transcripts(folder, 1)
      assert.is_truthy(text:find ": drained%.\n", text)
      assert.equal('> "a\\n"\n< "A\\n"\n', steps(text))
    end)

    it("has a step also when nothing was said", function()
      local running = start()
      running:connect()
      running:turn()
      assert.equal(0, running:stop())
      assert.is_truthy(transcripts(folder, 1):find '\n\n< ""  # the client is there\n$')
    end)

    it("has an error of the script's, and its last words", function()
      local client = start():connect()
      client:send "a\nraise\n"
      assert.equal("A\nscript_error\n", client:receive_all())
      local text = transcripts(folder, 1)
      assert.is_truthy(text:find ": script_error%.\n", text)
      assert.equal('> "a\\n"\n> "raise\\n"\n< "A\\n"\n< "script_error\\n"\n< end\n', steps(text))
    end)

    it("goes on when the script is edited, and tells", function()
      local path = new_folder() .. "/edited.lua"
      server.write_file(path, LINES:format(data))
      local running = start(path)
      local client = running:connect()
      assert.equal("A\n", client:exchange("a\n", 2))
      server.write_file(path, (LINES:format(data):gsub("upper", "reverse")))
      assert(running.process:signal(1))
      running:wait_for_log " reloaded "
      assert.equal("cb\n", client:exchange("bc\n", 3))
      client:close()
      local text = transcripts(folder, 1)
      assert.is_truthy(text:find("\n# The script was reloaded while this went on.\n", 1, true), text)
      assert.equal('> "a\\n"\n< "A\\n"\n> "bc\\n"\n< "cb\\n"\n> end\n< end\n', steps(text))
    end)

    it("that is too long has no file, and is not disturbed", function()
      local running = start()
      local long, short = running:connect(), running:connect()
      local line = ("x"):rep(99999) .. "\n"
      for _ = 1, 11 do assert.equal(line:upper(), long:exchange(line, #line)) end
      assert.equal("A\n", short:exchange("a\n", 2))
      long:close()
      running:wait_for_log 'warn record_dropped service=script1 [^\n]*detail="the conversation is too long"'
      running:wait_for_log "reason=peer_closed requests=11"
      short:close()
      assert.equal('> "a\\n"\n< "A\\n"\n> end\n< end\n', steps(transcripts(folder, 1)))
    end)
  end)
end)
