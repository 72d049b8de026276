local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.length_line", function()
  local length_line <const> = framing.length_line {}

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "has the body behind the line", "5\nhello", 7, "hello" },
      { "may have an empty body", "0\n", 2, "" },
      { "takes a length of several digits", "12\nhello, world", 15, "hello, world" },
      { "keeps NULs and line feeds in the body", "3\n\0\n\0", 5, "\0\n\0" },
      { "leaves the bytes behind the body alone", "2\nhiya", 4, "hi" },
    } do
      local fact, bytes, length, payload = table.unpack(case)
      it(fact, function()
        assert.are.same(
          { answer = "complete", length = length, payload = payload, seen = 0 },
          feed(length_line, bytes)
        )
      end)
    end

    it("finds two requests one after the other", function()
      local bytes <const> = "3\none3\ntwo"
      local first = feed(length_line, bytes)
      assert.are.equal("one", first.payload)
      assert.are.equal("two", feed(length_line, bytes:sub(first.length + 1)).payload)
    end)
  end)

  describe("partial", function()
    for _, case in ipairs {
      { "asks for one byte at first", "", 1 },
      { "asks for one byte more within the line", "12", 3 },
      { "asks for the whole frame as soon as the line is there", "12\n", 15 },
      { "asks for the same while the body comes", "12\nhello, worl", 15 },
      { "asks for the longest frame there is", "9223372036854775787\n", math.maxinteger },
    } do
      local fact, bytes, length = table.unpack(case)
      it(fact, function()
        assert.are.same({ answer = "partial", length = length, seen = #bytes }, feed(length_line, bytes))
      end)
    end
  end)

  describe("malformed", function()
    local digits <const> = "the length holds a byte that is not a digit"
    local zero <const> = "the length has a leading zero"
    local bits <const> = "the length does not fit into 63 bits"

    for _, case in ipairs {
      { "without a length", "\n", "the length is missing" },
      { "with a second zero", "00", zero },
      { "with a leading zero", "05", zero },
      { "with a plus sign", "+", digits },
      { "with a minus sign", "-", digits },
      { "with a leading space", " ", digits },
      { "with a space behind it", "5 ", digits },
      { "with a tab", "\t", digits },
      { "with a hexadecimal prefix", "0x", digits },
      { "with a hexadecimal digit", "a", digits },
      { "with a decimal point", "5.", digits },
      { "with an exponent", "1e", digits },
      { "with a NUL", "5\0", digits },
      { "with a byte over 127", "\xb2", digits },
      { "with the byte below 0", "5/", digits },
      { "with the byte above 9", "5:", digits },
      { "with nothing but a carriage return", "\r", digits },
      { "with a carriage return before the line feed", "5\r", "the length is followed by a carriage return" },
      { "one over the largest integer", "9223372036854775808", bits },
      { "one that would wrap around to 1", "18446744073709551617", bits },
      { "with a digit too many", "10000000000000000000", bits },
    } do
      local fact, bytes, why = table.unpack(case)
      it("is " .. fact, function()
        assert.are.equal("partial", feed(length_line, bytes:sub(1, -2)).answer)
        assert.are.same({ answer = "malformed", length = 0, seen = 0, why = why }, feed(length_line, bytes))
        assert.are.equal("malformed", feed(length_line, bytes .. "\nhello").answer)
      end)
    end
  end)

  describe("max", function()
    local short <const> = framing.length_line { max = 5 }

    it("allows a body of just so many bytes", function()
      assert.are.equal("hello", feed(short, "5\nhello").payload)
    end)

    it("refuses more as soon as the line is there", function()
      assert.are.equal("partial", feed(short, "6").answer)
      assert.are.same(
        { answer = "too_large", length = 0, seen = 0, why = "the length is larger than allowed" },
        feed(short, "6\n")
      )
    end)

    it("lets malformed be malformed", function()
      assert.are.equal("malformed", feed(short, "600 \n").answer)
    end)

    it("refuses a frame that no integer can count, even where it is not given", function()
      assert.are.equal("too_large", feed(length_line, "9223372036854775788\n").answer)
      assert.are.equal("too_large", feed(length_line, "9223372036854775807\n").answer)
    end)
  end)
end)
