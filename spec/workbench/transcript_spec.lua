-- The format of transcripts: docs/transcripts.md is the contract.

local transcripts = require "parlance.workbench.transcript"

local function read(text)
  return assert(transcripts.read(text, "some/where.transcript"))
end

-- The steps without what says where they stand.
local function steps_of(text)
  local steps = {}
  for i, step in ipairs(read(text).steps) do
    local copy = { step.kind, step.client, step.text or step.seconds }
    for _, item in ipairs(step.items or {}) do
      copy[#copy + 1] = item.text or "~" .. item.pattern
    end
    steps[i] = copy
  end
  return steps
end

describe("workbench.transcript", function()
  describe("read", function()
    for _, case in ipairs {
      { "a text that the client sends", '> "hello\\n"', { { "send", "", "hello\n" } } },
      { "a text that the server answers", '< "hello\\n"', { { "expect", "", "hello\n" } } },
      { "a pattern", '< ~"%d+\\n"', { { "expect", "", "~%d+\n" } } },
      { "the end of what the client sends", "> end", { { "send_end", "" } } },
      { "a connection that breaks", "> gone", { { "gone", "" } } },
      { "a server that closes", "< end", { { "expect_end", "" } } },
      { "time that passes", "wait 1.5", { { "wait", nil, 1.5 } } },
      { "lines of one side as one text", '> "a"\n> "b"', { { "send", "", "ab" } } },
      { "lines of the other side as one answer", '< "a"\n< ~"b"\n< "c"', { { "expect", "", "a", "~b", "c" } } },
      { "several strings in a line", '> "a" "b"  "c"', { { "send", "", "abc" } } },
      { "strings that touch", '> "a""b"', { { "send", "", "ab" } } },
      { "a string that is repeated", '> "x" * 5', { { "send", "", "xxxxx" } } },
      { "a repeated one among others", '> "a" "x"*3 "b"', { { "send", "", "axxxb" } } },
      { "nothing, repeated", '> "" * 99999999999999999999 "a" * 0', { { "send", "", "" } } },
      { "all escapes", [[> "\n\r\t\0\\\"\x41\xfF\65\009\255"]], { { "send", "", "\n\r\t\0\\\"A\xff" .. "A\t\xff" } } },
      { "decimal escapes of three digits at most", [[> "\0651"]], { { "send", "", "A1" } } },
      { "bytes over 127 as they are", '> "\xe4\u{e4}"', { { "send", "", "\xe4\u{e4}" } } },
      { "a # in a string", '> "a # b" # c', { { "send", "", "a # b" } } },
      { "empty lines and comments", '\n  \n# one\n   # two\n> "a" # three\n> end# four', {
        { "send", "", "a" }, { "send_end", "" } } },
      { "line ends with a carriage return", '> "a"\r\n> end\r\n', { { "send", "", "a" }, { "send_end", "" } } },
      { "a last line without an end", '> "a"\n< "b"', { { "send", "", "a" }, { "expect", "", "b" } } },
      { "blanks at the front", '   >    "a"', { { "send", "", "a" } } },
      { "no blank behind the arrow", '>"a"\n<~"b"', { { "send", "", "a" }, { "expect", "", "~b" } } },
      { "clients with names", 'alice> "a"\nb2< "b"\nalice> gone', {
        { "send", "alice", "a" }, { "expect", "b2", "b" }, { "gone", "alice" } } },
      { "lines of two clients apart", '> "a"\nb> "b"\n> "c"', {
        { "send", "", "a" }, { "send", "b", "b" }, { "send", "", "c" } } },
      { "a client that breaks off when it has stopped sending", "> end\n> gone", {
        { "send_end", "" }, { "gone", "" } } },
      { "what a client sends when the server has closed", '< end\n> "a"', {
        { "expect_end", "" }, { "send", "", "a" } } },
      { "a whole number of seconds", "wait 10 # a comment", { { "wait", nil, 10 } } },
    } do
      local fact, text, expected = table.unpack(case)
      it("takes " .. fact, function() assert.same(expected, steps_of(text)) end)
    end

    it("tells the line of each step, and of each part of an answer", function()
      local steps = read '# one\n> "a"\n\n> "b"\n< "c"\n\n< "d"\nwait 1\n> end'.steps
      assert.same({ 2, 5, 8, 9 }, { steps[1].line, steps[2].line, steps[3].line, steps[4].line })
      assert.same({ 5, 7 }, { steps[2].items[1].line, steps[2].items[2].line })
    end)

    it("counts the bytes of all clients, and the clients", function()
      local self = read 'a> "123"\na< "x"\nb> "45" * 2\nb> end\nc< end'
      assert.same({ 7, 3 }, { self.bytes, self.clients })
    end)

    it("takes what stands at the top", function()
      local self = read(
        "fresh # anew\ntime 2026-11-22T16:58:38.5Z\nset A \"x\\n\" \"y\"\nset B_2 \"${HERE}/f ${HERE}\"\n> end")
      assert.is_true(self.fresh)
      assert.equal(1795366718.5, self.time)
      assert.same({ { name = "A", value = "x\ny" }, { name = "B_2", value = "some/f some" } }, self.variables)
    end)

    it("knows what time it is", function()
      for text, seconds in pairs {
        ["1970-01-01T00:00:00Z"] = 0, ["2000-02-29T23:59:59Z"] = 951868799, ["2000-03-01T00:00:00Z"] = 951868800,
        ["1969-12-31T23:59:59.25Z"] = -0.75, ["2100-03-01T00:00:00Z"] = 4107542400,
      } do
        assert.equal(seconds, read("time " .. text .. "\n> end").time)
      end
    end)

    it("knows the folder of a file without one", function()
      local self = assert(transcripts.read('set A "${HERE}"\n> end', "a.transcript"))
      assert.equal(".", self.variables[1].value)
      self = assert(transcripts.read('set A "${HERE}"\n> end', "/100%1/a.transcript"))
      assert.equal("/100%1", self.variables[1].value)
    end)
  end)

  -- What is wrong, and in which line.
  for _, case in ipairs {
    { "", 1, "there is no step in it" },
    { "# only words\n\n", 1, "there is no step in it" },
    { "fresh\n", 1, "there is no step in it" },
    { "> end\nhello", 2, '"hello" is no step: a line begins with > or <, or with wait, fresh, time or set' },
    { "\n\27[31m", 2, '"\\x1B[31m" is no step: a line begins with > or <, or with wait, fresh, time or set' },
    { ("x"):rep(1000), 1, '"' .. ("x"):rep(40) .. '"... is no step: a line begins with > or <, or with wait, fresh, '
      .. "time or set" },
    { ">", 1, "> wants a string or end or gone" },
    { "<", 1, "< wants a string or end or a ~pattern" },
    { "> # a", 1, "> wants a string or end or gone" },
    { "> ends", 1, '"ends" makes no sense here; a text stands in double quotes' },
    { "< gone", 1, '"gone" makes no sense here; a text stands in double quotes' },
    { "> end now", 1, '"end now" makes no sense here; a text stands in double quotes' },
    { '> "a" b', 1, '"b" makes no sense here' },
    { '> "a" *', 1, '"*" makes no sense here' },
    { '> "a" * -1', 1, '"* -1" makes no sense here' },
    { '> ~"a"', 1, '"~\\"a\\"" makes no sense here' },
    { '< ~', 1, 'a pattern is a string: < ~"%d+"' },
    { '< ~"a["', 1, '"a[" is no pattern: a [ without its ]' },
    { '> "a', 1, "a string does not end" },
    { '> "a\n"', 1, "a string does not end" },
    { '> "a\\', 1, "a string does not end" },
    { '> "a\\"', 1, "a string does not end" },
    { '> "\\q"', 1, "a string holds \\q, which is no escape" },
    { '> "\\xg0"', 1, "a string holds \\x, which is no escape" },
    { '> "\\256"', 1, "a string holds \\2, which is no escape" },
    { '> "a\tb"', 1, "a string holds the control character \\x09" },
    { '> "a\0b"', 1, "a string holds the control character \\x00" },
    { '> "a\rb"', 1, "a string holds the control character \\x0D" },
    { '> "x" * 67108865', 1, "a string of over 67108864 bytes" },
    { '> "x" * 99999999999999999999', 1, "a string of over 67108864 bytes" },
    { '> "x" * 40000000 "y" * 40000000', 1, "a string of over 67108864 bytes" },
    { '> "x" * 40000000\n> "y" * 40000000', 2, "clients send over 67108864 bytes" },
    { '< "x" * 40000000\n< "y" * 40000000', 2, "the server says over 67108864 bytes" },
    { '1> "a"', 1, "a client's name begins with a letter, not with 1" },
    { 'a_b> "a"', 1, '"a_b>": a client\'s name has letters and digits only' },
    { 'ada > "a"', 1, "no blank may stand between a client's name and its arrow: \"ada>\"" },
    { 'ada < "a"', 1, "no blank may stand between a client's name and its arrow: \"ada<\"" },
    { '> end\n> "a"', 2, "the client has stopped sending, in line 1" },
    { "> end\n> end", 2, "the client has stopped sending, in line 1" },
    { '> gone\n> "a"', 2, "the client has left, in line 1" },
    { '> gone\n\n< "a"', 3, "the client has left, in line 1" },
    { "> gone\n> gone", 2, "the client has left, in line 1" },
    { '< end\n< "a"', 2, "the server has closed, in line 1" },
    { "< end\n< end", 2, "the server has closed, in line 1" },
    { "wait", 1, "wait wants a number of seconds" },
    { "wait soon", 1, "wait wants a number of seconds" },
    { "wait -1", 1, "wait wants a number of seconds" },
    { "wait 1e3", 1, "wait wants a number of seconds" },
    { "wait 0x10", 1, "wait wants a number of seconds" },
    { "wait 1000001", 1, "wait wants a number of seconds" },
    { "wait 1.5.2", 1, "wait wants a number of seconds" },
    { "> end\nfresh", 2, "fresh must stand before the first step" },
    { "> end\ntime 2026-11-22T16:58:38Z", 2, "time must stand before the first step" },
    { '> end\nset A "b"', 2, "set must stand before the first step" },
    { "fresh air", 1, '"air" makes no sense behind fresh' },
    { "time now", 1, '"now" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22 16:58:38", 1, '"2026-11-22 16:58:38" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-13-22T16:58:38Z", 1, '"2026-13-22T16:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-00T16:58:38Z", 1, '"2026-11-00T16:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22T24:58:38Z", 1, '"2026-11-22T24:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22T16:58:60Z", 1, '"2026-11-22T16:58:60Z" is no time such as 2026-11-22T16:58:38Z' },
    { "set", 1, 'set wants a name and a string: set NAME "text"' },
    { "set A", 1, 'set wants a name and a string: set NAME "text"' },
    { "set A b", 1, '"b" makes no sense here; a text stands in double quotes' },
    { 'set 1A "b"', 1, 'set wants a name and a string: set NAME "text"' },
    { 'set A "b\\0"', 1, "a variable cannot hold \\0" },
  } do
    local text, line, why = table.unpack(case)
    it(("refuses %q"):format(#text > 60 and text:sub(1, 60) or text), function()
      local self, complaint = transcripts.read(text, "t.transcript")
      assert.is_nil(self)
      assert.equal(("t.transcript:%d: %s"):format(line, why), complaint)
    end)
  end

  it("tells of a file that cannot be read", function()
    local self, why = transcripts.open "/nowhere/a.transcript"
    assert.same({ nil, "/nowhere/a.transcript: No such file or directory" }, { self, why })
    self, why = transcripts.open "/"
    assert.is_nil(self)
    assert.equal("/: Is a directory", why)
  end)

  describe("write", function()
    it("gives what was read", function()
      local text = table.concat({
        "fresh", "time 2026-11-22T16:58:38.5Z", 'set A "b\\n"', '> "GET \\x00\\xFF\\n"', '> "\\tx\\\\\\"\\r\\n"',
        '< "yes\\n"', '< ~"%d+\\n"', "wait 1.25", "wait 1000000", "wait 0.00001", 'b> ""', "b> end", "b> gone", "> end",
        "< end",
      }, "\n") .. "\n"
      assert.equal(text, transcripts.write(read(text)))
    end)

    it("breaks what is long", function()
      local text = transcripts.write { steps = { { kind = "send", client = "", text = ("xy"):rep(65) .. "\nz" } } }
      assert.equal(('> "%s"\n'):format(("xy"):rep(32)):rep(2) .. '> "xy\\n"\n> "z"\n', text)
    end)

    it("gives a text that reads as the same conversation, whatever the bytes", function()
      math.randomseed(20261122)
      local function bytes()
        local out = {}
        for i = 1, math.random(0, 200) do out[i] = string.char(math.random(0, 255)) end
        return table.concat(out)
      end
      local kinds = { "send", "expect", "wait", "send", "expect", "send_end", "expect_end", "gone" }
      for _ = 1, 300 do
        local steps, over, last = {}, {}, nil
        for _ = 1, math.random(12) do
          local kind, client = kinds[math.random(#kinds)], ({ "", "a", "b2" })[math.random(3)]
          local key = kind .. client
          if not over[client] and last ~= key then
            last = key
            local step = { kind = kind, client = client }
            if kind == "send" then
              step.text = bytes()
            elseif kind == "expect" then
              step.items = { { text = bytes() }, { pattern = "%d" }, { text = bytes() } }
            elseif kind == "wait" then
              step.client, step.seconds, last = nil, math.random(0, 9999) / 1000, "wait"
            else
              over[client] = true
            end
            steps[#steps + 1] = step
          end
        end
        if #steps > 0 then
          local text = transcripts.write { steps = steps }
          assert.is_nil(text:find "[^\n\x20-\x7e]")
          local back = read(text)
          assert.equal(text, transcripts.write(back))
          local sent, said = {}, {}
          for _, step in ipairs(steps) do
            sent[#sent + 1] = step.text
            for _, item in ipairs(step.items or {}) do said[#said + 1] = item.text end
          end
          local sent_back, said_back = {}, {}
          for _, step in ipairs(back.steps) do
            sent_back[#sent_back + 1] = step.text
            for _, item in ipairs(step.items or {}) do said_back[#said_back + 1] = item.text end
          end
          assert.equal(table.concat(sent), table.concat(sent_back))
          assert.equal(table.concat(said), table.concat(said_back))
        end
      end
    end)
  end)

  describe("pipelined", function()
    for _, case in ipairs {
      { "puts all that is sent in one piece, and the answers behind it",
        '> "a"\n< "A"\n> "b"\n> end\n< "B"\n< ~"C"\n< end', '> "ab"\n> end\n< "A"\n< "B"\n< ~"C"\n< end\n' },
      { "leaves in front what the server says first",
        '< "hi"\n> "a"\n< "A"\n> "b"\n< "B"', '< "hi"\n> "ab"\n< "A"\n< "B"\n' },
      { "is nothing new for a single piece", '> "a"\n< "A"\n> end\n< end', nil },
      { "takes no notice of the moments between two steps of a recording",
        '> "a"\n< "A"\nwait 0.05\n> "b"\n< "B"', '> "ab"\n< "A"\n< "B"\n' },
      { "is another conversation with pauses", '> "a"\nwait 1\n> "b"', nil },
      { "is another conversation with several clients", 'a> "a"\nb> "b"\na> "c"', nil },
      { "is another conversation with a client that breaks off", '> "a"\n< "A"\n> "b"\n> gone', nil },
      { "is another conversation when the client sends behind the end", '> "a"\n< end\n> "b"', nil },
    } do
      local fact, text, expected = table.unpack(case)
      it(fact, function()
        local self = transcripts.pipelined(read(text))
        assert.equal(expected, self and transcripts.write(self))
      end)
    end
  end)

  describe("doubled", function()
    it("has two clients that send in turn, a byte at a time", function()
      assert.equal('one> "a"\ntwo> "a"\none> "b"\ntwo> "b"\none< "c"\ntwo< "c"\nwait 1\none> end\ntwo> end\n',
        transcripts.write(transcripts.doubled(read '> "ab"\n< "c"\nwait 1\n> end')))
    end)

    it("has larger pieces where there are many bytes, and all of them", function()
      local doubled = transcripts.doubled(read '> "0123456789" * 100000\n< "x"')
      assert.is_true(#doubled.steps < 20000)
      local sent = { one = {}, two = {} }
      for _, step in ipairs(doubled.steps) do table.insert(sent[step.client], step.text) end
      assert.equal(("0123456789"):rep(100000), table.concat(sent.one))
      assert.equal(("0123456789"):rep(100000), table.concat(sent.two))
    end)

    it("is not for several clients, nor where state is shared", function()
      assert.is_nil(transcripts.doubled(read 'a> "a"\nb> "b"'))
      assert.is_nil(transcripts.doubled(read 'fresh\n> "a"'))
    end)
  end)
end)
