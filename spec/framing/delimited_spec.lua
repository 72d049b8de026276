local rooms = require "parlance_spec"
local decode, feed = rooms.framing.decode, rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.delimited", function()
  describe("complete", function()
    for _, case in ipairs {
      { "ends at a delimiter of one byte", "\0", "abc\0", 4, "abc" },
      { "ends at a delimiter of several bytes", "\r\n.\r\n", "abc\r\n.\r\n", 8, "abc" },
      { "may be empty", "--", "--", 2, "" },
      { "ends at the first of two delimiters", "--", "a--b--", 3, "a" },
      { "ends at the first place where the delimiter fits", "--", "a---", 3, "a" },
      { "is not misled by a false start", "aab", "aaaab", 5, "aa" },
      { "is not misled by half a delimiter", "ab", "aacab", 5, "aac" },
      { "takes a delimiter as long as there may be", ("x"):rep(63) .. "y", "b" .. ("x"):rep(64) .. "y", 66, "bx" },
    } do
      local fact, delimiter, bytes, length, payload = table.unpack(case)
      it(fact, function()
        assert.are.same(
          { answer = "complete", length = length, payload = payload, seen = 0 },
          feed(framing.delimited { delimiter = delimiter }, bytes)
        )
      end)
    end

    it("finds two requests one after the other", function()
      local delimited <const> = framing.delimited { delimiter = "\r\n\r\n" }
      local bytes <const> = "one\r\n\r\ntwo\r\n\r\n"
      local first = feed(delimited, bytes)
      assert.are.equal("one", first.payload)
      assert.are.equal("two", feed(delimited, bytes:sub(first.length + 1)).payload)
    end)
  end)

  describe("partial", function()
    local delimited <const> = framing.delimited { delimiter = "aab" }

    for _, case in ipairs {
      { "asks for a whole delimiter at first", "", 3, 0 },
      { "asks for a whole delimiter behind bytes that cannot begin one", "xyz", 6, 3 },
      { "asks for the rest of a delimiter that has begun", "xyza", 6, 3 },
      { "goes back no further than the delimiter can have begun", "xaaa", 5, 2 },
    } do
      local fact, bytes, length, seen = table.unpack(case)
      it(fact, function()
        assert.are.same({ answer = "partial", length = length, seen = seen }, feed(delimited, bytes))
      end)
    end

    it("finds a delimiter that was split", function()
      assert.are.same(
        { answer = "complete", length = 4, payload = "x", seen = 0 },
        decode(delimited, "xaab", "xa")
      )
    end)

    it("does not look again at what it has seen", function()
      assert.are.equal(7, decode(delimited, "aabxaab", "xyz").length)
    end)
  end)

  describe("max", function()
    local delimited <const> = framing.delimited { delimiter = "--", max = 3 }

    for _, case in ipairs {
      { "allows a payload of just so many bytes", "abc--", "complete" },
      { "refuses one byte more", "abcd--", "too_large" },
      { "refuses one byte more before the delimiter comes", "abcd", "too_large" },
      { "waits while a delimiter may have begun in time", "abc-", "partial" },
      { "refuses when it has not", "abc-d", "too_large" },
      { "refuses a long request whose delimiter is in sight", "abcdefghij--", "too_large" },
    } do
      local fact, bytes, answer = table.unpack(case)
      it(fact, function() assert.are.equal(answer, feed(delimited, bytes).answer) end)
    end

    it("says why", function()
      assert.are.equal("no delimiter within the bytes that are allowed", feed(delimited, "abcd").why)
    end)
  end)
end)
