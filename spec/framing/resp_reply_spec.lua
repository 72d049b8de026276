local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local value = rooms.framing.value
local framing = rooms.framing.open()

local replies <const> = framing.resp { replies = true }

local function nested(depth) return ("*1\r\n"):rep(depth) .. ":1\r\n" end

describe("framing.resp with replies", function()
  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("gives", function()
    for _, case in ipairs {
      { "a status as a string", "+OK\r\n", "OK" },
      { "an empty status", "+\r\n", "" },
      { "a bulk string with any bytes", "$9\r\n\0\r\n$1\r\n\xff:\r\n", "\0\r\n$1\r\n\xff:" },
      { "an empty bulk string", "$0\r\n\r\n", "" },
      { "an integer", ":12\r\n", 12 },
      { "zero", ":0\r\n", 0 },
      { "the largest integer", ":9223372036854775807\r\n", math.maxinteger },
      { "the least integer", ":-9223372036854775808\r\n", math.mininteger },
      { "nil for a null", "$-1\r\n", nil },
      { "nil for a null array", "*-1\r\n", nil },
      { "an empty array", "*0\r\n", { n = 0 } },
      { "an array with its length", "*3\r\n$1\r\na\r\n:2\r\n+b\r\n", { "a", 2, "b", n = 3 } },
      { "nil for a null in an array", "*3\r\n$-1\r\n$1\r\na\r\n*-1\r\n", { nil, "a", nil, n = 3 } },
      { "arrays in arrays", "*3\r\n*2\r\n:1\r\n*0\r\n:2\r\n*1\r\n*1\r\n:3\r\n",
        { { 1, { n = 0 }, n = 2 }, 2, { { 3, n = 1 }, n = 1 }, n = 3 } },
    } do
      local fact, bytes, expected = table.unpack(case, 1, 3)
      it(fact, function()
        local answer = feed(replies, bytes .. "+next\r\n")
        assert.equal(nil, answer.why)
        assert.same({ "complete", #bytes }, { answer.answer, answer.length })
        assert.same({ expected, #bytes, n = 2 }, table.pack(value(replies, bytes .. "+next\r\n")))
      end)
    end

    it("an error as a table of its own, whose text is its tostring()", function()
      local got = value(replies, "-WRONGTYPE no list\r\n")
      assert.equal("table", type(got))
      assert.equal("WRONGTYPE no list", got.err)
      assert.equal("WRONGTYPE no list", tostring(got))
      assert.equal(nil, value(replies, "*0\r\n").err)
    end)

    it("an error as an item of an array", function()
      local got = value(replies, "*2\r\n+OK\r\n-ERR no\r\n")
      assert.equal(2, got.n)
      assert.equal("OK", got[1])
      assert.equal("ERR no", got[2].err)
    end)

    it("arrays that lie 32 deep in each other", function()
      local got, depth = value(replies, nested(32)), 0
      while type(got) == "table" do got, depth = got[1], depth + 1 end
      assert.same({ 32, 1 }, { depth, got })
    end)

    it("many values", function()
      local got = value(replies, "*5000\r\n" .. (":7\r\n"):rep(5000))
      assert.same({ 5000, 5000, 7, 7 }, { got.n, #got, got[1], got[5000] })
    end)

    it("a line of 64 KiB", function()
      assert.equal(65536, #value(replies, "+" .. ("x"):rep(65536) .. "\r\n"))
    end)
  end)

  describe("waits for", function()
    for _, case in ipairs {
      { "anything", "", 1 },
      { "the end of a line", "+OK\r", 5 },
      { "all of a bulk string and the byte behind it", "$100\r\nab", 107 },
      { "the line feed behind a bulk string", "$1\r\na\r", 7 },
      { "the items of an array", "*2\r\n:1\r\n", 9 },
    } do
      local fact, bytes, length = table.unpack(case)
      it(fact, function()
        local answer = feed(replies, bytes)
        assert.same({ "partial", length }, { answer.answer, answer.length })
      end)
    end
  end)

  describe("refuses", function()
    for _, case in ipairs {
      { "a type that RESP2 does not have", "_\r\n", "a reply begins with none of + - : $ *" },
      { "a request of the old form", "PING\r\n", "a reply begins with none of + - : $ *" },
      { "a wrong type within an array", "*1\r\n?", "a reply begins with none of + - : $ *" },
      { "a line feed without a carriage return", "+OK\n", "a line does not end with CR LF alone" },
      { "a carriage return within a line", "-a\rb\r\n", "a line does not end with CR LF alone" },
      { "an integer of no digits", ":\r\n", "invalid integer" },
      { "an integer with a fraction", ":1.5\r\n", "invalid integer" },
      { "an integer with leading zeros", ":01\r\n", "invalid integer" },
      { "a negative zero", ":-0\r\n", "invalid integer" },
      { "an integer of more than 64 bits", ":9223372036854775808\r\n", "invalid integer" },
      { "an integer without end", ":123456789012345678901", "invalid integer" },
      { "a length below -1", "$-2\r\n", "invalid bulk length" },
      { "a length over 512 MiB", "$536870913\r\n", "invalid bulk length" },
      { "a count below -1", "*-2\r\n", "invalid multibulk length" },
      { "a bulk string that goes on", "$1\r\nabc", "expected CRLF behind the string" },
      { "a bulk string without a line feed", "$1\r\na\rb", "expected CRLF behind the string" },
    } do
      local fact, bytes, why = table.unpack(case)
      it(fact, function()
        local answer = feed(replies, bytes)
        assert.same({ "malformed", "Protocol error: " .. why }, { answer.answer, answer.why })
      end)
    end

    for _, case in ipairs {
      { "strings over max", { max = 3 }, "*2\r\n+ab\r\n$2\r\n", "the strings of the reply are larger than allowed" },
      { "a line over max", { max = 3 }, "-abcd", "the strings of the reply are larger than allowed" },
      { "a line over 64 KiB", {}, "+" .. ("x"):rep(65537), "the strings of the reply are larger than allowed" },
      { "an array over max_arguments", { max_arguments = 2 }, "*3\r\n", "the reply has more values than allowed" },
      { "values over max_arguments", { max_arguments = 2 }, "*1\r\n*1\r\n:1\r\n",
        "the reply has more values than allowed" },
      { "arrays that lie 33 deep in each other", {}, nested(33), "the arrays of the reply lie too deep in each other" },
    } do
      local fact, options, bytes, why = table.unpack(case)
      it(fact, function()
        options.replies = true
        local one = framing.resp(options)
        local answer = #bytes < 1000 and feed(one, bytes) or rooms.framing.decode(one, bytes)
        assert.same({ "too_large", why }, { answer.answer, answer.why })
      end)
    end
  end)
end)
