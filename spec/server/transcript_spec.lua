-- The text of transcripts (docs/transcripts.md) as --record writes it.

local rooms = require "parlance_spec"

local function written(...)
  return rooms.server.transcript { ... }
end

describe("a transcript", function()
  it("has lines as they stand", function()
    assert.equal("fresh\n\n> end\n", written("fresh", "", "> end"))
  end)

  it("has the time to the millisecond", function()
    assert.equal("time 2026-11-22T16:58:38.050Z\n", written { time = 1795366718050 })
    assert.equal("time 1970-01-01T00:00:00.000Z\n", written { time = 0 })
  end)

  it("has pauses in seconds, and long ones in several lines", function()
    assert.equal("wait 0.001\n", written { wait = 1 })
    assert.equal("wait 61.500\n", written { wait = 61500 })
    assert.equal("wait 1000000.000\n", written { wait = 1000000000 })
    assert.equal("wait 1000000\nwait 1000000\nwait 0.001\n", written { wait = 2000000001 })
  end)

  -- What is said, and the lines that it is written as.
  local cases <const> = {
    { "", "" },
    { "a", '> "a"\n' },
    { "one\ntwo\n", '> "one\\n"\n> "two\\n"\n' },
    { "GET / HTTP/1.1\r\n\r\n", '> "GET / HTTP/1.1\\r\\n"\n> "\\r\\n"\n' },
    { 'say "\\"\t', '> "say \\"\\\\\\"\\t"\n' },
    { "name\0", '> "name\\0"\n' },
    { "abc\0001", '> "abc\\x001"\n' },
    { "0123456789\0009\0/\0:", '> "0123456789\\x009\\0/\\0:"\n' },
    { "0123456789\127\128\1", '> "0123456789\\x7F\\x80\\x01"\n' },
    { "\u{e9} # no comment", '> "\\xC3\\xA9 # no comment"\n' },
    { "\u{e9}", '> "\\xC3\\xA9"\n' },
    { ("x"):rep(63), '> "' .. ("x"):rep(63) .. '"\n' },
    { ("x"):rep(64), '> "x" * 64\n' },
    { ("/"):rep(70) .. "1", '> "/" * 70\n> "1"\n' },
    { ("\n"):rep(100), '> "\\n" * 100\n' },
    { "head\r\n" .. ("x"):rep(5000) .. "tail", '> "head\\r\\n"\n> "x" * 5000\n> "tail"\n' },
    { "5000 " .. ("="):rep(5000), '> "5000 "\n> "=" * 5000\n' },
  }
  for _, case in ipairs(cases) do
    it(("writes %q"):format(#case[1] < 30 and case[1] or case[1]:sub(1, 30) .. "..."), function()
      assert.equal(case[2], written { ">", case[1] })
      assert.equal((case[2]:gsub("%f[^\n\0]> ", "< ")), written { "<", case[1] })
    end)
  end

  -- Bytes that are no text, for the most part.
  local function hex(digits, text)
    return ("> hex%-48s  # %s\n"):format(digits, text)
  end
  for _, case in ipairs {
    { "\0", hex(" 00", ".") },
    { "\0a\0\0", hex(" 00 61 00 00", ".a..") },
    { "\1\27\127\128\255", hex(" 01 1b 7f 80 ff", ".....") },
    { "\0\1\0\0\0\6\1\3\0 \0\2", hex(" 00 01 00 00 00 06 01 03 00 20 00 02", "............") },
    { "0123456789abcde\0\1\2\3\4\5\6", hex(" 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 00", "0123456789abcde.")
      .. hex(" 01 02 03 04 05 06", "......") },
    { ("\0"):rep(70) .. "1", "> hex 00 * 70\n" .. hex(" 31", "1") },
    { "\xff" .. ("\0"):rep(64), hex(" ff", ".") .. "> hex 00 * 64\n" },
    { "\n\5hello\1", hex(" 0a 05 68 65 6c 6c 6f 01", "..hello.") },
    { "$3\r\n\0\1\2\r\n", hex(" 24 33 0d 0a 00 01 02 0d 0a", "$3.......") },
    { "$30\r\n\0\1\2\r\n", '> "$30\\r\\n"\n' .. hex(" 00 01 02 0d 0a", ".....") },
    { "HTTP/1.1 200 OK\r\n\r\n\x89PNG\r\n\x1a\n", '> "HTTP/1.1 200 OK\\r\\n"\n> "\\r\\n"\n'
      .. hex(" 89 50 4e 47 0d 0a 1a 0a", ".PNG....") },
    { "\xed\xa0\x80", hex(" ed a0 80", "...") }, -- UTF-8 of what is no character
    { "\xc0\x80", hex(" c0 80", "..") },
    { "\xf4\x90\x80\x80", hex(" f4 90 80 80", "....") },
    { "\xe2\x82", hex(" e2 82", "..") },
  } do
    it(("writes %q"):format(#case[1] < 30 and case[1] or case[1]:sub(1, 30) .. "..."), function()
      assert.equal(case[2], written { ">", case[1] })
    end)
  end

  it("has no line that is longer than a screen is wide, and cuts no escape", function()
    local all = {}
    for i = 0, 9999 do all[#all + 1] = string.char(i * 7 % 256) end
    local bytes = table.concat(all)
    local read = {}
    for line in written({ ">", bytes }):gmatch "(.-)\n" do
      assert.is_true(#line <= 100, line)
      for pair in line:match("^> hex([%x ]*)"):gmatch "%x%x" do read[#read + 1] = string.char(tonumber(pair, 16)) end
    end
    assert.equal(bytes, table.concat(read))
  end)

  it("is nothing when there is no memory for all of it", function()
    finally(rooms.session.fail_allocations)
    local parts = { "fresh", { ">", ("one\n"):rep(1000) } }
    local whole = rooms.server.transcript(parts)
    local failures = 0
    for nth = 1, 20 do
      rooms.session.fail_allocations(nth)
      local text = rooms.server.transcript(parts)
      rooms.session.fail_allocations()
      if text then
        assert.equal(whole, text)
      else
        failures = failures + 1
      end
    end
    assert.is_true(failures > 1 and failures < 20, failures .. " failures")
  end)
end)
