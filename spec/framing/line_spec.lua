local rooms = require "parlance_spec"
local decode, feed = rooms.framing.decode, rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.line", function()
  local line <const> = framing.line {}
  local short <const> = framing.line { max = 3 }

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "ends at a line feed", "abc\n", 4, "abc" },
      { "takes one carriage return into the ending", "abc\r\n", 5, "abc" },
      { "leaves a second carriage return in the payload", "abc\r\r\n", 6, "abc\r" },
      { "keeps a carriage return inside the payload", "a\rb\n", 4, "a\rb" },
      { "may be empty", "\n", 1, "" },
      { "may be empty with a carriage return", "\r\n", 2, "" },
      { "keeps NULs", "\0a\0\n", 4, "\0a\0" },
      { "leaves the bytes behind the ending alone", "abc\nde", 4, "abc" },
    } do
      local fact, bytes, length, payload = table.unpack(case)
      it(fact, function()
        assert.are.same({ answer = "complete", length = length, payload = payload, seen = 0 }, feed(line, bytes))
      end)
    end

    it("finds two lines one after the other", function()
      local bytes <const> = "one\r\ntwo\n"
      local first = feed(line, bytes)
      assert.are.equal("one", first.payload)
      assert.are.equal("two", feed(line, bytes:sub(first.length + 1)).payload)
    end)
  end)

  describe("partial", function()
    it("asks for one byte more, and has seen the others", function()
      for _, bytes in ipairs { "", "a", "abc", "abc\r" } do
        assert.are.same({ answer = "partial", length = #bytes + 1, seen = #bytes }, feed(line, bytes))
      end
    end)

    it("does not look again at what it has seen", function()
      assert.are.equal(6, decode(line, "ab\ncd\n", "abc").length)
    end)

    it("remembers a carriage return that the line feed was cut from", function()
      assert.are.equal("abc", decode(line, "abc\r\n", "abc\r").payload)
    end)
  end)

  describe("max", function()
    for _, case in ipairs {
      { "allows a payload of just so many bytes", "abc\n", "complete" },
      { "does not count the ending", "abc\r\n", "complete" },
      { "refuses one byte more", "abcd\n", "too_large" },
      { "refuses one byte more before the ending comes", "abcd", "too_large" },
      { "waits for what follows a carriage return", "abc\r", "partial" },
      { "refuses when no line feed follows it", "abc\rd", "too_large" },
      { "refuses when another carriage return follows it", "abc\r\r", "too_large" },
      { "refuses a line whose second carriage return is one too many", "abc\r\r\n", "too_large" },
      { "refuses a long line whose ending is in sight", "abcdefghij\n", "too_large" },
    } do
      local fact, bytes, answer = table.unpack(case)
      it(fact, function() assert.are.equal(answer, feed(short, bytes).answer) end)
    end

    it("says why", function()
      assert.are.equal("the line is longer than allowed", feed(short, "abcd").why)
    end)

    it("of 0 allows only empty lines", function()
      local empty <const> = framing.line { max = 0 }
      assert.are.equal("complete", feed(empty, "\r\n").answer)
      assert.are.equal("too_large", feed(empty, "a").answer)
    end)
  end)
end)
