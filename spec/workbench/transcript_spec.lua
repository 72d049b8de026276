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
      { "a byte order mark before the first line", '\xEF\xBB\xBF> "a"', { { "send", "", "a" } } },
      { "a byte order mark, and lines that end with a carriage return", '\xEF\xBB\xBFfresh\r\n> hex 00\r\n', {
        { "send", "", "\0" } } },
      { "a string and a pattern in a line", '< "id " ~"%d+" "\\n"', { { "expect", "", "id ", "~%d+", "\n" } } },
      { "patterns that touch", '< ~"%d" ~ "%a"~"%s" # one', { { "expect", "", "~%d", "~%a", "~%s" } } },
      { "a pattern that is repeated", '< ~"%d" * 3', { { "expect", "", "~%d%d%d" } } },
      { "hexadecimal digits", "> hex 00 01 fF # a comment", { { "send", "", "\0\1\xff" } } },
      { "digits without blanks", "> hex 7878 0d01", { { "send", "", "xx\r\1" } } },
      { "digits in quotes", '> hex "7878 0d01"', { { "send", "", "xx\r\1" } } },
      { "digits that are a blank's", "> hex 20 20 09 0a", { { "send", "", "  \t\n" } } },
      { "digits that are repeated", "> hex 00ff * 3", { { "send", "", "\0\xff\0\xff\0\xff" } } },
      { "digits among strings and patterns", '< "a" hex 00 "b" hex 01 hex 02 ~"%d" hex 03', {
        { "expect", "", "a\0b\1\2", "~%d", "\3" } } },
      { "digits that go on in the next line", "< hex 00 01\n< hex 02", { { "expect", "", "\0\1", "\2" } } },
      { "a client of the name hex", 'hex> hex 00\nhex< "a"', { { "send", "hex", "\0" }, { "expect", "hex", "a" } } },
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
      assert.same({ { name = "A", text = "x\ny", value = "x\ny" },
        { name = "B_2", text = "${HERE}/f ${HERE}", value = "some/f some" } }, self.variables)
      self = read 'setting spool "${HERE}/${TEMP}" hex 00 # more\n> end'
      assert.same({ { name = "spool", text = "${HERE}/${TEMP}\0", value = "some/${TEMP}\0" } }, self.settings)
    end)

    it("knows what time it is", function()
      for text, seconds in pairs {
        ["1970-01-01T00:00:00Z"] = 0, ["2000-02-29T23:59:59Z"] = 951868799, ["2000-03-01T00:00:00Z"] = 951868800,
        ["1969-12-31T23:59:59.25Z"] = -0.75, ["2100-03-01T00:00:00Z"] = 4107542400,
      } do
        assert.equal(seconds, read("time " .. text .. "\n> end").time)
      end
    end)

    it("knows how connecting to an upstream fails", function()
      local self = assert(read('upstream a "h:1" # here\n'
        .. 'upstream b "h:1" refused # down\nupstream c "h:1" name "why"\n> end'))
      assert.same({ name = "a", address = "h:1" }, self.upstreams[1])
      assert.same({ name = "b", address = "h:1", failure = "refused", why = "connection refused" }, self.upstreams[2])
      assert.same({ name = "c", address = "h:1", failure = "name", why = "why" }, self.upstreams[3])
      assert.same(self.upstreams, assert(read(transcripts.write(self))).upstreams)
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
    { "> end\nhello", 2, '"hello" is no step: a line begins with > or <, or with wait, fresh, udp, proxy, time, set, '
      .. "setting or upstream" },
    { "\n\27[31m", 2, '"\\x1B[31m" is no step: a line begins with > or <, or with wait, fresh, udp, proxy, time, set, '
      .. "setting or upstream" },
    { ("x"):rep(1000), 1, '"' .. ("x"):rep(40) .. '"... is no step: a line begins with > or <, or with wait, fresh, '
      .. "udp, proxy, time, set, setting or upstream" },
    { 'upstream store', 1, 'upstream needs a name and an address: upstream NAME "HOST:PORT"' },
    { 'upstream 1st "a:1"', 1, 'upstream needs a name and an address: upstream NAME "HOST:PORT"' },
    { 'upstream store ""', 1, 'upstream needs a name and an address: upstream NAME "HOST:PORT"' },
    { 'upstream store "a:1"\nupstream store "b:2"', 2, "there is an upstream store already" },
    { 'upstream store "a:1" busy', 1,
      '"busy" is no way to fail: refused, unreachable, name, timeout, certificate or handshake' },
    { 'upstream store "a:1" refused now', 1, '"now" makes no sense here; a text stands in double quotes' },
    { '> "x"\nupstream store "a:1"', 2, "upstream must stand before the first step" },

    { ">", 1, "> needs a string, hex, end, gone or tls" },
    { "<", 1, "< needs a string, hex, end or a ~pattern" },
    { "> # a", 1, "> needs a string, hex, end, gone or tls" },
    { "> ends", 1, '"ends" makes no sense here; a text stands in double quotes' },
    { "< gone", 1, '"gone" makes no sense here; a text stands in double quotes' },
    { "> end now", 1, '"end now" makes no sense here; a text stands in double quotes' },
    { '> "a" b', 1, '"b" makes no sense here' },
    { '> "a" *', 1, '"*" makes no sense here' },
    { '> "a" * -1', 1, '"* -1" makes no sense here' },
    { "> hex", 1, "hex needs two digits for each byte: hex 00 01 ff" },
    { '> hex ""', 1, "hex needs two digits for each byte: hex 00 01 ff" },
    { "> hex 0", 1, 'hex needs two digits for each byte, not "0"' },
    { "> hex 000 1", 1, 'hex needs two digits for each byte, not "000"' },
    { "> hex 0x00", 1, 'hex holds "x00", which is no hexadecimal digit' },
    { "> hex 00 end", 1, 'hex holds "nd", which is no hexadecimal digit' },
    { '> hex "00', 1, "a string does not end" },
    { "> hex 00 * 67108865", 1, "a string of over 67108864 bytes" },
    { "< ~hex 00", 1, 'a pattern is a string: < ~"%d+"' },
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
    { '< "x" * 40000000\n< "y" * 40000000', 2, "the server sends over 67108864 bytes" },
    { '1> "a"', 1, "a client's name begins with a letter, not with 1" },
    { 'a_b> "a"', 1, '"a_b>": a client\'s name has letters and digits only' },
    { 'ada > "a"', 1, "no blank may stand between a client's name and its arrow: \"ada>\"" },
    { 'ada < "a"', 1, "no blank may stand between a client's name and its arrow: \"ada<\"" },
    { '> end\n> "a"', 2, "the client has stopped sending in line 1" },
    { "> end\n> end", 2, "the client has stopped sending in line 1" },
    { '> gone\n> "a"', 2, "the client has left in line 1" },
    { '> gone\n\n< "a"', 3, "the client has left in line 1" },
    { "> gone\n> gone", 2, "the client has left in line 1" },
    { '< end\n< "a"', 2, "the server has closed in line 1" },
    { "< end\n< end", 2, "the server has closed in line 1" },
    { "wait", 1, "wait needs a number of seconds" },
    { "wait soon", 1, "wait needs a number of seconds" },
    { "wait -1", 1, "wait needs a number of seconds" },
    { "wait 1e3", 1, "wait needs a number of seconds" },
    { "wait 0x10", 1, "wait needs a number of seconds" },
    { "wait 1000001", 1, "wait needs a number of seconds" },
    { "wait 1.5.2", 1, "wait needs a number of seconds" },
    { "> end\nfresh", 2, "fresh must stand before the first step" },
    { "> end\ntime 2026-11-22T16:58:38Z", 2, "time must stand before the first step" },
    { '> end\nset A "b"', 2, "set must stand before the first step" },
    { "fresh air", 1, '"air" makes no sense after fresh' },
    { "time now", 1, '"now" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22 16:58:38", 1, '"2026-11-22 16:58:38" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-13-22T16:58:38Z", 1, '"2026-13-22T16:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-00T16:58:38Z", 1, '"2026-11-00T16:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22T24:58:38Z", 1, '"2026-11-22T24:58:38Z" is no time such as 2026-11-22T16:58:38Z' },
    { "time 2026-11-22T16:58:60Z", 1, '"2026-11-22T16:58:60Z" is no time such as 2026-11-22T16:58:38Z' },
    { "set", 1, 'set needs a name and a string: set NAME "text"' },
    { "set A", 1, 'set needs a name and a string: set NAME "text"' },
    { "set A b", 1, '"b" makes no sense here; a text stands in double quotes' },
    { 'set 1A "b"', 1, 'set needs a name and a string: set NAME "text"' },
    { 'set A "b\\0"', 1, "a variable cannot hold \\0" },
    { "setting A", 1, 'setting needs a name and a string: setting NAME "text"' },
    { '> end\nsetting A "b"', 2, "setting must stand before the first step" },
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
        "fresh", "time 2026-11-22T16:58:38.5Z", 'setting s "${TEMP}"', 'set A "${HERE}\\n"', '> "GET /\\x00\\n"',
        '> "\\tx\\\\\\"\\r\\n"',
        '< "yes\\n"', '< ~"%d+\\n"', "wait 1.25", "wait 1000000", "wait 0.00001", 'b> ""', "b> end", "b> gone", "> end",
        "< end",
      }, "\n") .. "\n"
      assert.equal(text, transcripts.write(read(text)))
    end)

    it("breaks what is long", function()
      local text = transcripts.write { steps = { { kind = "send", client = "", text = ("xy"):rep(65) .. "\nz" } } }
      assert.equal(('> "%s"\n'):format(("xy"):rep(32)):rep(2) .. '> "xy\\n"\n> "z"\n', text)
    end)

    it("gives bytes that are no text in hexadecimal digits", function()
      local function written(text)
        return transcripts.write { steps = { { kind = "send", client = "c", text = text } } }
      end
      local rooms = require "parlance_spec"
      for _, text in ipairs {
        "\0", "\0a\0\0", "\1\27\127\128\255", "GET / HTTP/1.1\r\n\r\n\x89PNG\r\n\x1a\n\0\0\0", "\n\5hello\1",
        "\u{e9} text", ("\0"):rep(70) .. "1", "name\1", ("\x80"):rep(15) .. "\n" .. ("\x81"):rep(64) .. "x", "",
        "\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80", "$3\r\n\0\1\2\r\n", "four\n\0\1", "for\n\0\1",
      } do
        -- The server's recordings look the same.
        local ours = written(text):gsub("%f[^\n\0]c> ", "> ")
        if text ~= "" then assert.equal(rooms.server.transcript { { ">", text } }, ours) end
        assert.equal(text, read(written(text)).steps[1].text)
      end
      assert.equal("c> hex 00 01 41 ff                                      # ..A.\n", written "\0\1A\xff")
      assert.equal('c> "four\\n"\nc> hex 00 01                                            # ..\n', written "four\n\0\1")
    end)

    -- Who does what, with all that is said in a step in one.
    local function contents(steps)
      local all = {}
      for i, step in ipairs(steps) do
        local said = {}
        for _, item in ipairs(step.items or {}) do said[#said + 1] = item.text or "~" .. item.pattern end
        all[i] = { step.kind, step.client, step.text, step.seconds, table.concat(said) }
      end
      return all
    end

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
          assert.same(contents(steps), contents(back.steps))
        end
      end
    end)
  end)
end)
