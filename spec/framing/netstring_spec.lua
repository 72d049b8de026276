local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.netstring", function()
  local netstring <const> = framing.netstring {}

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "has the body between the colon and the comma", "5:hello,", 8, "hello" },
      { "may have an empty body", "0:,", 3, "" },
      { "keeps NULs, colons and commas in the body", "3:\0,:,", 6, "\0,:" },
      { "leaves the bytes behind the comma alone", "2:hi,,", 5, "hi" },
    } do
      local fact, bytes, length, payload = table.unpack(case)
      it(fact, function()
        assert.are.same(
          { answer = "complete", length = length, payload = payload, seen = 0 },
          feed(netstring, bytes)
        )
      end)
    end

    it("finds two requests one after the other", function()
      local bytes <const> = "3:one,3:two,"
      local first = feed(netstring, bytes)
      assert.are.equal("one", first.payload)
      assert.are.equal("two", feed(netstring, bytes:sub(first.length + 1)).payload)
    end)
  end)

  describe("partial", function()
    for _, case in ipairs {
      { "asks for one byte at first", "", 1 },
      { "asks for one byte more within the length", "12", 3 },
      { "asks for the whole frame as soon as the colon is there", "12:", 16 },
      { "waits for the comma", "5:hello", 8 },
      { "asks for the longest frame there is", "9223372036854775786:", math.maxinteger },
    } do
      local fact, bytes, length = table.unpack(case)
      it(fact, function()
        assert.are.same({ answer = "partial", length = length, seen = #bytes }, feed(netstring, bytes))
      end)
    end
  end)

  describe("malformed", function()
    for _, case in ipairs {
      { "without a length", ":", "the length is missing" },
      { "with a second zero", "00", "the length has a leading zero" },
      { "with a leading zero", "05", "the length has a leading zero" },
      { "with a sign", "-", "the length holds a byte that is not a digit" },
      { "with a space", "5 ", "the length holds a byte that is not a digit" },
      { "with a line feed for the colon", "5\n", "the length holds a byte that is not a digit" },
      { "with a carriage return", "5\r", "the length is followed by a carriage return" },
      { "one over the largest integer", "9223372036854775808", "the length does not fit into 63 bits" },
      { "without the comma", "5:hello;", "no comma stands behind the body" },
      { "with a body longer than it says", "2:hi!", "no comma stands behind the body" },
    } do
      local fact, bytes, why = table.unpack(case)
      it("is " .. fact, function()
        assert.are.equal("partial", feed(netstring, bytes:sub(1, -2)).answer)
        assert.are.same({ answer = "malformed", length = 0, seen = 0, why = why }, feed(netstring, bytes))
        assert.are.equal("malformed", feed(netstring, bytes .. ":,").answer)
      end)
    end
  end)

  describe("max", function()
    local short <const> = framing.netstring { max = 5 }

    it("allows a body of just so many bytes", function()
      assert.are.equal("hello", feed(short, "5:hello,").payload)
    end)

    it("refuses more as soon as the colon is there", function()
      assert.are.equal("partial", feed(short, "6").answer)
      assert.are.same(
        { answer = "too_large", length = 0, seen = 0, why = "the length is larger than allowed" },
        feed(short, "6:")
      )
    end)

    it("refuses a frame that no integer can count, even where it is not given", function()
      assert.are.equal("too_large", feed(netstring, "9223372036854775787:").answer)
      assert.are.equal("too_large", feed(netstring, "9223372036854775807:").answer)
    end)
  end)
end)
