local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local framing = rooms.framing.open()

describe("framing.prefixed", function()
  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "has four bytes, the highest first, by default", {}, "\0\0\0\5hello", 9, "hello" },
      { "may have an empty body", {}, "\0\0\0\0", 4, "" },
      { "leaves the bytes behind the body alone", {}, "\0\0\0\2hiya", 6, "hi" },
      { "reads the lowest byte first", { format = "<I2" }, "\2\0hi", 4, "hi" },
      { "reads the highest byte first", { format = ">I2" }, "\1\0" .. ("x"):rep(256), 258, ("x"):rep(256) },
      { "reads a single byte", { format = "B" }, "\200" .. ("x"):rep(200), 201, ("x"):rep(200) },
      { "reads a signed field", { format = ">i2" }, "\0\2hi", 4, "hi" },
      { "reads three bytes", { format = "<I3" }, "\2\0\0hi", 5, "hi" },
      { "reads sixteen bytes", { format = ">I16" }, ("\0"):rep(15) .. "\2hi", 18, "hi" },
      { "reads sixteen signed bytes", { format = "<i16" }, "\2" .. ("\0"):rep(15) .. "hi", 18, "hi" },
      { "finds the field behind other bytes", { format = "B", offset = 3 }, "abc\2hi", 6, "hi" },
      { "takes away from a length that counts itself", { format = ">I2", adjust = -2 }, "\0\4hi", 4, "hi" },
      { "adds to a length that leaves a trailer out", { format = "B", adjust = 1 }, "\2hi!", 4, "hi!" },
      { "strips nothing", { format = "B", strip = 0 }, "\2hi", 3, "\2hi" },
      { "strips more than the field", { format = "B", strip = 2 }, "\2hi", 3, "i" },
      { "strips all", { format = "B", strip = 3 }, "\2hi", 3, "" },
      {
        "leaves the type byte of a message in place",
        { format = ">I4", offset = 1, adjust = -4, strip = 0 },
        "Q\0\0\0\6hi", 7, "Q\0\0\0\6hi",
      },
    } do
      local fact, options, bytes, length, payload = table.unpack(case)
      it(fact, function()
        assert.are.same(
          { answer = "complete", length = length, payload = payload, seen = 0 },
          feed(framing.prefixed(options), bytes)
        )
      end)
    end

    it("finds two requests one after the other", function()
      local prefixed <const> = framing.prefixed { format = "B" }
      local bytes <const> = "\3one\3two"
      local first = feed(prefixed, bytes)
      assert.are.equal("one", first.payload)
      assert.are.equal("two", feed(prefixed, bytes:sub(first.length + 1)).payload)
    end)

    it("reads what string.pack writes", function()
      for format in ("b B h H i I l L j J T i1 I5 i8 I9 i16"):gmatch "%S+" do
        for _, order in ipairs { "", "<", ">", "=" } do
          local prefixed = framing.prefixed { format = order .. format }
          assert.are.equal("hello", feed(prefixed, string.pack(order .. format, 5) .. "hello").payload)
        end
      end
    end)
  end)

  describe("partial", function()
    local prefixed <const> = framing.prefixed { format = ">I2", offset = 1 }

    it("asks for the header, then for the whole frame", function()
      for bytes, length in pairs { [""] = 3, ["a\0"] = 3, ["a\0\5"] = 8, ["a\0\5hell"] = 8 } do
        assert.are.same({ answer = "partial", length = length, seen = #bytes }, feed(prefixed, bytes))
      end
    end)

    it("asks for the longest frame there is", function()
      local longest <const> = framing.prefixed { format = ">I8", adjust = -8 }
      assert.are.equal(math.maxinteger, feed(longest, string.pack(">I8", math.maxinteger)).length)
    end)
  end)

  describe("malformed", function()
    local inside <const> = "the length ends the frame inside its own header"
    local stripped <const> = "the frame is shorter than what is stripped from it"

    for _, case in ipairs {
      { "below zero", { format = ">i4" }, "\255\255\255\255", "the length field is negative" },
      { "the lowest there is", { format = "<i8" }, ("\0"):rep(7) .. "\128", "the length field is negative" },
      { "below zero in sixteen bytes", { format = ">i16" }, ("\255"):rep(16), "the length field is negative" },
      { "too small to count itself", { format = "B", adjust = -1 }, "\0", inside },
      { "adjusted as far below as can be", { format = "B", adjust = math.mininteger }, "\0", inside },
      { "shorter than what is stripped", { format = "B", strip = 3 }, "\1", stripped },
      { "never as long as the most that can be stripped", { strip = math.maxinteger }, "\0\0\0\1", stripped },
    } do
      local fact, options, bytes, why = table.unpack(case)
      it("is " .. fact, function()
        local prefixed = framing.prefixed(options)
        assert.are.same({ answer = "malformed", length = 0, seen = 0, why = why }, feed(prefixed, bytes))
        assert.are.equal("partial", feed(prefixed, bytes:sub(1, -2)).answer)
      end)
    end
  end)

  it("takes the options of string.pack in lower case for signed, all others for unsigned", function()
    for format in ("b h i l j i3 i9"):gmatch "%S+" do
      assert.are.equal("malformed", feed(framing.prefixed { format = format }, string.pack(format, -1)).answer)
    end
    for format in ("B H I L J T I3 I9"):gmatch "%S+" do
      local ones = ("\255"):rep(string.packsize(format))
      assert.are_not.equal("malformed", feed(framing.prefixed { format = format }, ones).answer)
    end
  end)

  describe("too large", function()
    local beyond <const> = "the length field holds more than any request can have"

    for _, case in ipairs {
      { "over 63 bits", { format = ">I8" }, "\128" .. ("\0"):rep(7) },
      { "over 64 bits", { format = ">I9" }, "\1" .. ("\0"):rep(8) },
      { "with its highest byte alone set", { format = "<I16" }, ("\0"):rep(15) .. "\1" },
      { "over 63 bits and signed", { format = ">i9" }, "\0\128" .. ("\0"):rep(7) },
      { "over 63 bits once it is adjusted", { format = "B", adjust = math.maxinteger }, "\1" },
      { "over 63 bits with its header", { format = "B", adjust = math.maxinteger }, "\0" },
    } do
      local fact, options, bytes = table.unpack(case)
      it("is a length " .. fact, function()
        assert.are.same(
          { answer = "too_large", length = 0, seen = 0, why = beyond },
          feed(framing.prefixed(options), bytes)
        )
      end)
    end
  end)

  describe("max", function()
    local short <const> = framing.prefixed { format = "B", max = 5 }

    it("allows a payload of just so many bytes", function()
      assert.are.equal("hello", feed(short, "\5hello").payload)
    end)

    it("refuses more as soon as the header is there", function()
      assert.are.same(
        { answer = "too_large", length = 0, seen = 0, why = "the length is larger than allowed" },
        feed(short, "\6")
      )
    end)

    it("counts what is left after stripping", function()
      assert.are.equal("too_large", feed(framing.prefixed { format = "B", strip = 0, max = 5 }, "\5").answer)
      assert.are.equal("ello", feed(framing.prefixed { format = "B", strip = 2, max = 4 }, "\5hello").payload)
    end)
  end)
end)
