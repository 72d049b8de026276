-- The text of transcripts (docs/transcripts.md) as --record writes it.

local rooms = require "parlance_spec"

local function written(...)
  return rooms.base.transcript { ... }
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
    { "\0", '> "\\0"\n' },
    { "\0a\0\0", '> "\\0a\\0\\0"\n' },
    { "\0001", '> "\\x001"\n' },
    { "\0009\0/\0:", '> "\\x009\\0/\\0:"\n' },
    { "\1\27\127\128\255", '> "\\x01\\x1B\\x7F\\x80\\xFF"\n' },
    { "\u{e9} # no comment", '> "\\xC3\\xA9 # no comment"\n' },
    { ("x"):rep(63), '> "' .. ("x"):rep(63) .. '"\n' },
    { ("x"):rep(64), '> "x" * 64\n' },
    { ("\0"):rep(70) .. "1", '> "\\0" * 70\n> "1"\n' },
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

  it("has no line that is longer than a screen is wide, and cuts no escape", function()
    local all = {}
    for i = 0, 9999 do all[#all + 1] = string.char(i * 7 % 256) end
    local bytes = table.concat(all)
    local read = {}
    for line in written({ ">", bytes }):gmatch "(.-)\n" do
      assert.is_true(#line <= 100, line)
      read[#read + 1] = assert(load("return " .. line:match '^> (".*")$'))()
    end
    assert.equal(bytes, table.concat(read))
  end)

  it("is nothing when there is no memory for all of it", function()
    finally(rooms.session.fail_allocations)
    local parts = { "fresh", { ">", ("one\n"):rep(1000) } }
    local whole = rooms.base.transcript(parts)
    local failures = 0
    for nth = 1, 20 do
      rooms.session.fail_allocations(nth)
      local text = rooms.base.transcript(parts)
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
