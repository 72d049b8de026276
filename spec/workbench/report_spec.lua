local report = require "parlance.workbench.report"
local transcripts = require "parlance.workbench.transcript"

local transcript = assert(transcripts.read('> "hello\\n"\n< "HELLO\\n"\n> "on\\n"\n< "ON\\n"', "t.transcript"))

local IF_MEANT <const> = " (if that is intended, write `fresh` at the top of the transcript)"

local function fault(fields)
  local whole = { how = "whole", kind = "answer", line = 2, expected = "HELLO\n", got = "?\n", requests = 1 }
  for name, value in pairs(fields) do whole[name] = value end
  return whole
end

describe("workbench.report", function()
  describe("headline", function()
    for _, case in ipairs {
      { {}, "the answer is not the one expected" },
      { { got = "" }, "there is no answer" },
      { { expected = "" }, "the server answers where nothing is expected" },
      { { kind = "open" }, "the server does not close" },
      { { kind = "closed", reason = "done" }, "the server has closed (done), but the transcript has no "
        .. "`< end` here; to keep connections open, a protocol has `close_when_done = false`" },
      { { kind = "closed", reason = "malformed" },
        "the server has closed (malformed), but the transcript has no `< end` here" },
      { { kind = "raise", raised = "t error script_error detail=x" }, "the script raises an error" },
      { { kind = "raise", raised = "t error script_overrun detail=x" }, "a call into the script takes too long" },
      { { kind = "raise", raised = "t error out_of_memory detail=x" }, "the script runs out of memory" },
      { { how = "cut", cuts = { 3 } },
        "the answer is not the one expected, when what the client sends is cut after byte 3" },
      { { how = "cut", cuts = { 3, 8 } }, "the answer is not the one expected, when what the client sends is cut in 2 "
        .. "places, each request after its byte 3" },
      { { how = "bytes" }, "the answer is not the one expected, when what the client sends comes byte by byte" },
      { { how = "pipelined" },
        "the answer is not the one expected, when the client sends all of it at once (pipelined)" },
      { { how = "doubled" }, "the answer is not the one expected, when two clients have this conversation at once: "
        .. "the script keeps state outside of `self`" .. IF_MEANT },
      { { how = "gone", gone = 1 },
        "the answer is not the one expected, when the client closes the connection after 1 byte" },
      { { how = "gone", gone = 0, breaks = true },
        "the answer is not the one expected, when the client resets the connection after 0 bytes" },
      { { how = "after", gone = 2 }, "the answer is not the one expected, for the client after one that closes the "
        .. "connection after 2 bytes: the script keeps state outside of `self`" .. IF_MEANT },
      { { how = "after" }, "the answer is not the one expected, for a client after others have disconnected: "
        .. "the script keeps state outside of `self`" .. IF_MEANT },
      { { how = "again" }, "the answer is not the one expected, when it is played a second time: the script keeps "
        .. "state of one conversation for the next" .. IF_MEANT },
      { { how = "worn", plays = 26 }, "the answer is not the one expected, in conversation 26 with this script, but "
        .. "not with a newly loaded one: the script keeps state outside of `self`" .. IF_MEANT },
    } do
      local fields, words = table.unpack(case)
      it("says that " .. words, function()
        assert.equal("t.transcript:2: " .. words, report.headline(fault(fields), transcript))
      end)
    end

    it("says something else of a second time with a script that is loaded anew", function()
      local fresh = assert(transcripts.read('fresh\n> "a"', "t.transcript"))
      assert.matches("although the script was loaded anew", report.headline(fault { how = "again" }, fresh))
    end)
  end)

  describe("details", function()
    it("shows of long answers what stands around the difference", function()
      local lines = report.details(fault { expected = ("a"):rep(500) .. "b", got = ("a"):rep(500) .. "c" }, transcript)
      assert.equal('  expected ..."' .. ("a"):rep(59) .. 'b" (501 bytes)', lines[1])
      assert.equal('  got      ..."' .. ("a"):rep(59) .. 'c" (501 bytes)', lines[2])
    end)

    it("shows both answers, side by side from the row before the difference", function()
      assert.same({
        '  expected "0123456789abcdef12345\\n"',
        '  got      "0123456789abcdeF12345\\x00\\xFF"',
        "         expected                           |  got",
        "       0 30 31 32 33 34 35 36 37  01234567  |  30 31 32 33 34 35 36 37  01234567",
        "       8 38 39 61 62 63 64 65 66  89abcdef  |  38 39 61 62 63 64 65 46  89abcdeF",
        "      16 31 32 33 34 35 0a        12345.    |  31 32 33 34 35 00 ff     12345..",
      }, report.details(
        fault { expected = "0123456789abcdef12345\n", got = "0123456789abcdeF12345\0\xff" }, transcript))
    end)

    it("shows no more than a few rows, and short lines, however long the answers are", function()
      local long = ("\0\xff\27"):rep(100000)
      local lines = report.details(fault { expected = long, got = long:sub(1, -2) .. "x" }, transcript)
      assert.is_true(#lines < 10)
      for _, line in ipairs(lines) do
        assert.is_true(#line < 300)
        assert.is_nil(line:find "[^\x20-\x7e]")
      end
    end)

    it("tells how much more there is", function()
      local lines = report.details(fault { expected = ("x"):rep(100), got = "y" }, transcript)
      assert.equal('  expected "' .. ("x"):rep(60) .. '"... (100 bytes)', lines[1])
      assert.equal("         ... and 52 more bytes", lines[#lines])
    end)

    it("shows where the bytes are cut, and where the client leaves", function()
      assert.equal('  cut      "hel" | "lo\\n"', report.details(fault { how = "cut", cuts = { 3 } }, transcript)[1])
      assert.equal('  leaves   "o" | "n\\n"', report.details(fault { how = "gone", gone = 7 }, transcript)[1])
      assert.equal('  expected "HELLO\\n"', report.details(fault { how = "gone", gone = 0 }, transcript)[1])
    end)

    it("says when nothing was taken for a request", function()
      local lines = report.details(fault { got = "", requests = 0, has_sent = true }, transcript)
      assert.equal("  request_complete finds no complete request in what was sent so far", lines[#lines])
      for _, fields in ipairs { { has_sent = true, is_closed = true }, { has_sent = false } } do
        fields.got, fields.requests = "", 0
        lines = report.details(fault(fields), transcript)
        assert.equal('  got      ""', lines[#lines])
      end
    end)

    it("shows what was raised in lines, and no control character", function()
      assert.same({ "  a.lua:1: on \\x1b purpose", "  stack traceback:", "    a.lua:1: in f" }, report.details({
        how = "whole", kind = "raise", line = 1,
        raised = 'time error script_error service=a detail=a.lua:1: on \\x1b purpose\n'
          .. '    stack traceback:\n    \ta.lua:1: in f',
      }, transcript))
    end)

    it("shows what the server warned of", function()
      local lines = report.details(fault { remark = 'time warn malformed service=a detail="no number"' }, transcript)
      assert.equal("  the server says: malformed: no number", lines[#lines])
    end)
  end)

  it("remarks what is slow, what prints, and what was not played", function()
    assert.same({
      "s.lua: slow: request_complete was called 812 times for one request of 40 KiB and looked at 16 MiB; "
        .. "return `false, n`, or use a framing of parlance.framing",
      "s.lua: the server does not know the field clsoe_when_done; did you mean close_when_done?",
      "s.lua: the server does not know the field idle_timout; did you mean idle_timeout?",
      "s.lua: the script documents no setting rot; did you mean root?",
      "s.lua: the script documents no setting spool",
      "a.lua:1: prints to standard output; use parlance.log instead",
      "b.lua:2: prints to standard output; use parlance.log instead",
      "t.transcript: not all was played: there was no time for 3 of 4 ways to cut",
    }, report.remarks {
      path = "s.lua", transcript = transcript, slow = { calls = 812, length = 40960, bytes = 16 << 20 },
      printed = { ["b.lua:2"] = true, ["a.lua:1"] = true }, unplayed = "3 of 4 ways to cut",
      misspelled = { idle_timout = "idle_timeout", clsoe_when_done = "close_when_done" },
      unknown = { spool = "", rot = "root" },
    })
    assert.same({}, report.remarks { path = "s.lua", printed = {} })
  end)
end)
