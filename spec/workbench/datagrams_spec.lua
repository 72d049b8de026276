-- Transcripts with `udp` at the top: their format, and what `check` finds in scripts that are sent datagrams.

local server = require "support.server"
local run = require "parlance.workbench.run"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local play_together = require "parlance.workbench.interleave"
local report = require "parlance.workbench.report"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- Each datagram is a request "NAME REST", for one of the functions in `does`.
local SCRIPT <const> = [[
local parlance = require "parlance"
local net = require "parlance.net"
local count, kept, names = 0, "", {}
local does = {
  echo = function(_, rest) return rest end,
  none = function() end,
  empty = function() return "" end,
  list = function() return { "one", "", "three" } end,
  wait = function(_, seconds) parlance.sleep(tonumber(seconds)) return "waited " .. seconds end,
  send = function(self) self:send "first" parlance.sleep(1) self:send "second" end,
  who = function(self) return self.transport .. " " .. tostring(self:send "x") end,
  time = function() return os.date "!%H:%M:%S" end,
  count = function() count = count + 1 return tostring(count) end,
  reset = function() count = 0 return "ok" end,
  swap = function(_, rest) local before = kept kept = rest return before end,
  open = function() names.open = "o" return "ok" end,
  close = function() local open = names.open .. "!" names.open = nil return open end,
  once = function(self, rest)
    local was = names[rest]
    names[rest] = true
    parlance.sleep(1)
    names[rest] = nil
    return was and "busy" or "ok"
  end,
  subscribe = function(self) parlance.topic "all":subscribe(self) end,
  number = function() return 5 end,
  long = function() return ("x"):rep(70000) end,
  ask = function(_, rest)
    local store <close> = assert(net.connect "127.0.0.1:6379")
    assert(store:write(rest .. "\n"))
    return store:read "l" or "down"
  end,
}
local Datagrams = { FIELDS }
function Datagrams:make_response()
  local name, rest = self.request:match "^(%l+) ?(.*)$"
  if not name then return end
  return does[name](self, rest)
end
function Datagrams:handle_error(reason) return reason end
return Datagrams]]

local function write(fields)
  local path = folder .. "/script.lua"
  server.write_file(path, (SCRIPT:gsub("FIELDS", { FIELDS = fields or 'listen = "udp:localhost:0"' })))
  return path
end

local OPTIONS <const> = { modules = server.SOURCE .. "/lua", call_timeout = 500 }

local function try(text, fields)
  local transcript = assert(transcripts.read("udp\n" .. text, "t.transcript"))
  local outcome = assert(run(write(fields), OPTIONS, transcript))
  return outcome, outcome.findings[1] and report.headline(outcome.findings[1], transcript)
end

describe("a transcript of datagrams", function()
  it("has a datagram in each line", function()
    local read = assert(transcripts.read('udp\n> "a" "b"\n> ""\nbob> hex 00 01\n< "x" ~"%d+"\n< ""\n', "t"))
    assert.is_true(read.udp)
    assert.same({ 4, 2 }, { read.bytes, read.clients })
    local sent = {}
    for i = 1, 3 do sent[i] = read.steps[i].client .. ">" .. read.steps[i].text end
    assert.same({ ">ab", ">", "bob>\0\1" }, sent)
    assert.equal(2, #read.steps[4].datagrams)
    assert.same({ { text = "x", line = 5 }, { pattern = "%d+", line = 5 } }, read.steps[4].datagrams[1])
    assert.same({ { text = "", line = 6 } }, read.steps[4].datagrams[2])
  end)

  for text, complaint in pairs {
    ['udp x'] = "1: \"x\" makes no sense after udp",
    ['> "a"\nudp'] = "2: udp must stand before the first step",
    ['udp\n> end'] = "2: datagrams have no connection that could end",
    ['udp\n> "a"\n< end'] = "3: datagrams have no connection that could end",
    ['udp\n> tls'] = "2: datagrams have no TLS",
    ['udp\n> gone'] = "2: datagrams have no connection that could break",
    ['udp\n> "x" * 65508'] = "2: a datagram has at most 65507 bytes",
  } do
    it("is refused: " .. complaint, function()
      local read, why = transcripts.read(text, "t")
      assert.is_nil(read)
      assert.equal("t:" .. complaint, why)
    end)
  end

  it("is written with a line for each datagram, whatever is in it", function()
    local long = ("0123456789\n"):rep(30)
    local text = 'udp\nupstream store "127.0.0.1:1"\n> ' .. transcripts.quote(long) .. '\n> ""\nstore< "a\\n"\n'
      .. 'bob< "ab" "x" * 100 "c" ~"%d"\nbob< hex 00 01 02 hex 00 * 70 hex 03\n'
    local read = assert(transcripts.read(text, "t"))
    assert.equal(text, transcripts.write(read))
  end)
end)

describe("check of datagrams finds nothing", function()
  for _, case in ipairs {
    { "in a script that answers each by itself",
      '> "echo a"\n< "a"\n> "none"\n> "list"\n< "one"\n< ""\n< "three"\n> "empty"\n< ""\n' },
    { "in answers that take their time, which come when they are ready",
      '> "wait 5"\n> "wait 2"\n> "echo x"\n< "x"\n< "waited 2"\n< "waited 5"\n> "echo y"\n< "y"\n' },
    { "in what self:send has sent before and after a wait", '> "send"\n< "first"\nwait 1\n< "second"\n> "none"\n' },
    { "in self.transport and what self:send returns", '> "who"\n< "x"\n< "udp true"\n' },
    { "in several senders", 'a> "wait 1"\nb> "echo b"\nb< "b"\na> "echo a"\na< "a"\na< "waited 1"\n' },
    { "in a datagram without bytes", '> ""\n> "none"\n' },
    { "in what comes before and after a pause",
      'time 1970-01-01T00:00:00Z\n> "time"\n< "00:00:00"\nwait 5\n> "time"\n< "00:00:05"\n' },
    { "in state that the transcript tells of", 'fresh\n> "count"\n< "1"\n> "count"\n< "2"\n' },
    { "in a framing", '> hex 00 06 "echo a"\n< "a"\n> "x"\n< "malformed"\n> hex 00 06 "echo abc"\n< "malformed"\n',
      'datagram = require("parlance.framing").prefixed { format = ">I2" }' },
    { "in a function that decodes", '> "ECHO A"\n< "a"\n> "!"\n< "malformed"\n',
      [[datagram = function(self)
        if self.incoming == "!" then return nil, "malformed", "no" end
        return true, nil, self.incoming:lower()
      end]] },
    { "in answers that are dropped because of amplification",
      '> "echo abcdefgh"\n< "abcdefgh"\n> "list"\n< "one"\n< ""\n',
      'listen = "udp:localhost:0", amplification = 1' },
    { "in the answer of handle_error, which response_timeout has caused", '> "wait 9"\n> "echo x"\n< "x"\n'
      .. '< "response_timeout"\n', 'listen = "udp:localhost:0", response_timeout = 3' },
  } do
    local fact, text, fields = table.unpack(case, 1, 3)
    it(fact, function() assert.same({}, try(text, fields).findings) end)
  end

  it("where an upstream is asked, in its faults either", function()
    local outcome = try [[
upstream store "127.0.0.1:6379"
> "ask a"
store< "a\n"
store> "A\n"
< "A"
> "echo x"
< "x"
]]
    assert.same({}, outcome.findings)
    assert.is_true(outcome.plays > 10)
  end)
end)

describe("check of datagrams finds", function()
  for _, case in ipairs {
    { "an answer that is missing", '> "none"\n< "x"', "t.transcript:3: there is no answer" },
    { "an answer without bytes that is missing", '> "none"\n< ""', "t.transcript:3: there is no answer" },
    { "an answer without bytes that nobody expects", '> "empty"\n> "none"\n< "x"',
      "t.transcript:4: the answer is not the one expected" },
    { "one answer too many", '> "list"\n< "one"\n< ""',
      "t.transcript:4: the server sends a datagram that is not expected" },
    { "an answer at the end that nobody expects", '> "empty"',
      "t.transcript:2: the server sends a datagram that is not expected" },
    { "another answer", '> "echo a"\n< "b"', "t.transcript:3: the answer is not the one expected" },
    { "two answers in one", '> "list"\n< "one" "three"', "t.transcript:3: the answer is not the one expected" },
    { "an error", '> "number"\n< "x"', "t.transcript:3: the script raises an error" },
    { "that a datagram cannot subscribe", '> "subscribe"\n< ~".*"', "t.transcript:3: the script raises an error" },
    { "an answer that is too large for a datagram", '> "long"\n< ~"x+"', "t.transcript:3: there is no answer" },
    { "state that a second play shows", '> "count"\n< "1"',
      "t.transcript:3: the answer is not the one expected, when it is played a second time: the script keeps state of "
      .. "one conversation for the next (if that is intended, write `fresh` at the top of the transcript)" },
    { "an answer that depends on a datagram before, which is lost",
      '> "swap a"\n< ""\n> "swap b"\n< "a"\n> "swap "\n< "b"',
      "t.transcript:5: the answer is not the one expected, when the datagram of line 2 is lost: it depends on other "
      .. "datagrams (if that is intended, write `fresh` at the top of the transcript)" },
    { "what a datagram does when it comes twice", '> "once a"\n< "ok"\n> "once b"\n< "ok"',
      "t.transcript:3: the answer is not the one expected, when the datagram of line 2 comes twice: it depends on "
      .. "other datagrams (if that is intended, write `fresh` at the top of the transcript)" },
    { "an error because one of them is lost, whatever the answers are", 'fresh\n> "open"\n< "ok"\n> "close"\n< "o!"',
      "t.transcript:6: the script raises an error, when the datagram of line 3 is lost" },
  } do
    local fact, text, headline = table.unpack(case)
    it(fact, function()
      local _, found = try(text)
      assert.equal(headline, found)
    end)
  end

  it("what an answer lacks, in the words of the server", function()
    local outcome = try('> "list"\n< "one"\n< ""\n< "three"', 'listen = "udp:localhost:0", amplification = 1')
    local details = table.concat(report.details(outcome.findings[1], {}), "\n")
    assert.matches('expected "three"\n  got      nothing\n  the server says: datagram_dropped: the answers would be',
      details)
  end)

  it("state of one sender that reaches another, who sends at the same time", function()
    local path = write()
    local function read(text) return assert(transcripts.read("udp\n" .. text, "t.transcript")) end
    local script = { path = path, options = OPTIONS }
    local swaps = read '> "swap a"\n< ""\n> "swap "\n< "a"'
    local findings = play_together(script, { swaps, read '> "swap b"\n< ""' }, nil, {})
    assert.equal(1, #findings)
    assert.equal("beside", findings[1].fault.how)
    findings = play_together(script, { read '> "echo a"\n< "a"', read '> "echo b"\n< "b"' }, nil, {})
    assert.same({}, findings)
  end)

  it("state that datagrams share with connections", function()
    local fields = 'close_when_done = false, request_complete = require("parlance.framing").line {}'
    local script = { path = write(fields), options = OPTIONS }
    local streams = assert(transcripts.read('> "swap a\\n"\n< ""\n> "swap \\n"\n< "a"', "t"))
    local sent = assert(transcripts.read('udp\n> "swap b"\n< ""\n> "swap "\n< "b"', "u"))
    assert.equal(1, #play_together(script, { streams, sent }, nil, {}))
  end)
end)

describe("a play of datagrams", function()
  it("is the same each time, also with waits", function()
    local path = write()
    simulator.log()
    local transcript = assert(transcripts.read('udp\n> "wait 2"\n> "wait 1"\n< "waited 1"\n< "waited 2"\n', "t"))
    assert.same({}, run(path, OPTIONS, transcript).findings)
    assert.same({ "waited 2" }, { transcript.steps[1].answers[1][1].text })
    assert.equal(0, transcript.steps[2].at)
    assert.is_true(transcript.takes_time)
  end)

  it("keeps to max_tasks: a datagram begins when there is room for it", function()
    local options = { modules = OPTIONS.modules, call_timeout = 500, max_tasks = 1 }
    local transcript = assert(transcripts.read('udp\n> "wait 2"\n> "wait 1"\n< "waited 2"\n< "waited 1"\n', "t"))
    assert.same({}, run(write(), options, transcript).findings)
  end)
end)
