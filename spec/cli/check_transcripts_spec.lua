-- `parlance check` with transcripts: what it says of faulty scripts, and of what it cannot check.

local json = require "cjson"
local server = require "support.server"

local FIXTURES <const> = server.SOURCE .. "/spec/fixtures"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

local function write(name, text)
  local path = folder .. "/" .. name
  server.write_file(path, text)
  return path
end

local function make_folder(name)
  assert(require("lfs").mkdir(folder .. "/" .. name))
  return folder .. "/" .. name
end

local function check(...)
  return server.run { "check", ... }
end

local LINES <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self) return self.request:upper() .. "\n" end,
}
]]
local HOLDS <const> = '> "a\\n"\n< "A\\n"\n'

describe("check", function()
  -- The planted faults: the line, the words, more words of the details, and the exit status.
  for _, case in ipairs {
    { "one_read", "two", 1, ":2: the answer is not the one expected, when what the client sends is cut after byte 1\n",
      'cut      "h" | "ello\\n"' },
    { "exact_length", "two", 1, ":2: there is no answer, when the client sends all of it at once (pipelined)\n",
      "request_complete finds no complete request in what was sent so far" },
    { "early_leaver", "helo", 1,
      ":1: the script raises an error, when the client closes the connection after 4 bytes\n",
      "early_leaver.lua:16: attempt to concatenate a nil value (field 'name')\n  stack traceback:" },
    { "leaky_state", "two", 1, ":2: the answer is not the one expected, when it is played a second time: the script "
      .. "keeps state of one conversation for the next", 'got      "3: a\\n"' },
    { "cut_dependent", "two", 1,
      ":2: the answer is not the one expected, when what the client sends is cut after byte 1\n",
      'cut      "g" | "o\\n"' },
    { "kept_sender", "ada", 1, ":4: the answer is not the one expected, when another client has the conversation of ",
      'got      "hello from bob\\n"' },
    { "quadratic", "long", 0, ": holds (", "slow: request_complete was called 3005 times for one request of 3005 bytes "
      .. "and looked at 4410 KiB; return `false, n`, or use a framing of parlance.framing" },
    { "reply_in_one_read", "get", 1,
      ":5: the answer is not the one expected, when what upstreams send is cut after byte 1\n",
      'cut      "$" | "1\\r\\nv\\r\\n"' },
    { "stream_left_open", "two", 1, ":9: a connection to 127.0.0.1:6379 stays open: nothing closes it, when the "
      .. "connection to an upstream breaks after 0 bytes from upstreams\n", "seen with --seed 1" },
    { "late_reply", "two", 1, ":9: the answer is not the one expected, when it is played again, after what an upstream "
      .. "says in line 4 came too late: it was still to come on a connection that the script kept; close a connection "
      .. "whose reply was not read\n", 'got      "1\\n"' },
    -- The conversation has one request, so that the late reply is the right one.
    { "late_reply", "one", 1, ":6: a reply of store is left unread in a connection that the script uses again, when it "
      .. "is played again, after what an upstream says in line 5 came too late", "close a connection" },
  } do
    local name, transcript, expected, words, more = table.unpack(case)
    it(("names the fault of %s in %s"):format(name, transcript), function()
      local status, said, complaint = check(("%s/%s.lua"):format(FIXTURES, name))
      assert.equal("", complaint)
      local path = ("%s/transcripts/%s/%s.transcript"):format(FIXTURES, name, transcript)
      assert.is_truthy(said:find(path .. words, 1, true), said)
      assert.is_truthy(said:find(more, 1, true), said)
      assert.equal(expected, status)
    end)
  end

  describe("tells of", function()
    -- The transcript, and what stands behind its name.
    for _, case in ipairs {
      { "a malformed transcript", '> "a\\n"\n< "A\\n"\nhello\n', ':3: "hello" is no step: ' },
      { "an empty transcript", "", ":1: there is no step in it" },
      { "a transcript that is no text", ("\0\xff\27"):rep(1000), ":1: \"\\x00\\xFF\\x1B" },
    } do
      local fact, text, where = table.unpack(case)
      it(fact .. ", with its line, in a line", function()
        local script, path = write("lines.lua", LINES), write("t.transcript", text)
        local status, said, complaint = check(script, path)
        assert.equal(2, status)
        assert.equal(script .. ": valid\n", said)
        assert.is_truthy(complaint:find("parlance: " .. path .. where, 1, true), complaint)
        assert.is_truthy(complaint:find "^[^\n]+\n$")
        assert.is_true(#complaint < 400)
      end)
    end

    it("a transcript that is not there, and goes on with the others", function()
      local script, good = write("lines.lua", LINES), write("t.transcript", HOLDS)
      local status, said, complaint = check(script, folder .. "/no.transcript", good)
      assert.equal(2, status)
      assert.equal(("parlance: %s/no.transcript: No such file or directory\n"):format(folder), complaint)
      assert.matches("t.transcript: holds", said)
    end)

    it("a transcript that stands where a script should", function()
      local path = write("t.transcript", HOLDS)
      local status, said, complaint = check(path)
      assert.equal(2, status)
      assert.equal("", said)
      assert.equal(("parlance: %s is a transcript; the script that it is for must stand before it\n"):format(path),
        complaint)
    end)

    it("a folder that was named and has no transcript", function()
      local script, empty = write("lines.lua", LINES), make_folder "empty"
      local status, _, complaint = check(script, empty)
      assert.equal(2, status)
      assert.equal(("parlance: %s: there is no transcript in this folder\n"):format(empty), complaint)
    end)

    it("a folder of the script's that has none", function()
      local script = write("lines.lua", LINES)
      make_folder "transcripts"
      local empty = make_folder "transcripts/lines"
      write("transcripts/lines/readme.txt", "")
      local status, _, complaint = check(script)
      assert.equal(2, status)
      assert.equal(("parlance: %s: there is no transcript in this folder\n"):format(empty), complaint)
    end)

    it("a script that never completes a request", function()
      local script = write("never.lua",
        "return { request_complete = function() return false end, make_response = print }")
      local status, said = check(script, write("t.transcript", HOLDS))
      assert.equal(1, status)
      assert.matches("t.transcript:2: there is no answer\n", said)
      assert.matches("request_complete finds no complete request in what was sent so far", said)
    end)

    it("a script that loops for ever", function()
      local script = write("loops.lua",
        "return { request_complete = function() while true do end end, make_response = print }")
      local begin = server.now()
      local status, said = check("--call-timeout", "0.2", script, write("t.transcript", HOLDS))
      assert.is_true(server.now() - begin < 5 * server.slowdown())
      assert.equal(1, status)
      assert.matches("t.transcript:2: a call into the script takes too long\n", said)
      assert.matches("loops.lua:1: the call took longer than 0.2 s", said)
    end)

    it("a transcript for another protocol", function()
      local status, said = check(server.SOURCE .. "/protocols/upper.lua",
        server.SOURCE .. "/protocols/transcripts/length_sep_body/half.transcript")
      assert.equal(1, status)
      assert.matches("half.transcript:4: the answer is not the one expected\n", said)
      assert.matches('expected "hello"\n', said)
    end)
  end)

  it("plays the transcripts of each script with it", function()
    local upper, echo = write("upper.lua", LINES), write("echo.lua", (LINES:gsub(":upper%(%)", "")))
    make_folder "transcripts"
    make_folder "transcripts/upper"
    write("transcripts/upper/a.transcript", HOLDS)
    local mine = make_folder "mine"
    write("mine/b.transcript", '> "b\\n"\n< "b\\n"\n')
    local c = write("c.transcript", '> "c\\n"\n< "c\\n"\n')
    local status, said, complaint = check(upper, echo, mine .. "/", c)
    assert.equal("", complaint)
    assert.equal(0, status)
    assert.equal(("%s: valid\n%s/transcripts/upper/a.transcript: holds\n%s: valid\n%s/b.transcript: holds\n%s: holds\n")
      :format(upper, folder, echo, mine, c), (said:gsub(" %(%d+ plays?%)", "")))
  end)

  describe("--format", function()
    local PRINTS <const> = [[
print "loading"
local Prints = dofile "LINES"
function Prints:make_response()
  print "debugging"
  io.write "more\n"
  io.stdout:write "still more\n"
  return "A\n"
end
return Prints
]]

    local function printing()
      return write("prints.lua", (PRINTS:gsub("LINES", (write("lines.lua", LINES)))))
    end

    it("names the places at which a script prints, and shows what it prints once", function()
      local script, path = printing(), write("t.transcript", HOLDS)
      local status, said, complaint = check(script, path)
      assert.equal(0, status)
      for line = 4, 6 do
        assert.is_truthy(said:find(("%s:%d: prints to standard output"):format(script, line), 1, true), said)
      end
      assert.is_truthy(said:find(script .. ":1: prints to standard output", 1, true), said)
      assert.equal("loading\ndebugging\nmore\nstill more\n", complaint)
    end)

    it("json and tap are valid when the script prints", function()
      local script, path = printing(), write("t.transcript", HOLDS)
      local status, said = check("--format", "json", script, path)
      assert.equal(0, status)
      local read = json.decode(said)
      assert.equal(path, read.scripts[1].transcripts[1].path)
      assert.equal(3, #read.scripts[1].transcripts[1].remarks)
      status, said = check("--format", "tap", script, path)
      assert.equal(0, status)
      for line in said:gmatch "[^\n]+" do
        assert.is_truthy(line:find "^ok %d" or line:find "^# " or line == "TAP version 13" or line == "1..2", line)
      end
    end)

    it("has a place for what could not be checked", function()
      local script, path = write("lines.lua", LINES), write("t.transcript", "hello")
      local status, said = check("--format", "json", script, path)
      assert.equal(2, status)
      assert.matches("^" .. path:gsub("%p", "%%%0") .. ":1: ", json.decode(said).unchecked[1])
      status, said = check("--format", "tap", script, path)
      assert.equal(2, status)
      assert.matches("\nnot ok 2 %- .*t.transcript:1: ", said)
    end)
  end)

  it("plays for no longer than it may", function()
    local script = write("lines.lua", LINES)
    local path = write("t.transcript", '> "x" * 900 "\\n"\n< "X" * 900 "\\n"\n')
    local status, said = check("--seconds", "0.000001", script, path)
    assert.equal(0, status)
    assert.matches("t.transcript: not all was played: there was no time for ", said)
    status, said = check("--seconds", "0", script, path)
    assert.equal(0, status)
    assert.is_nil(said:find("not all", 1, true))
  end)

  for _, case in ipairs {
    { "check", "--format", "xml", "parlance: --format xml: not text, tap or json\n" },
    { "check", "--seconds", "soon", "parlance: --seconds soon: not a number of seconds, such as 0.5\n" },
    { "check", "--seconds", "-1", "parlance: --seconds -1: not a number of seconds, such as 0.5\n" },
  } do
    local command, name, value, complained = table.unpack(case)
    it(("refuses %s %s"):format(name, value), function()
      local status, said, complaint = server.run { command, name, value, write("lines.lua", LINES) }
      assert.same({ 2, "", complained }, { status, said, complaint })
    end)
  end

  it("has options that a server does not have", function()
    local status, _, complaint = server.run { write("lines.lua", LINES), "--format", "json" }
    assert.equal(2, status)
    assert.matches("^parlance: %-%-format is an option of another command", complaint)
  end)
end)
