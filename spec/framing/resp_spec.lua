local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local forget = rooms.framing.forget
local framing = rooms.framing.open()

-- The arguments that a request has, by the function that the core uses.
local function arguments(value, bytes)
  local t = { incoming = bytes }
  assert(value(t))
  return t.request
end

describe("framing.resp", function()
  local resp <const> = framing.resp {}

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "is an array of strings", "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n", { "GET", "x" } },
      { "may have empty arguments", "*2\r\n$0\r\n\r\n$0\r\n\r\n", { "", "" } },
      { "keeps any bytes in an argument", "*1\r\n$7\r\n\0\r\n$1\r\n\r\n", { "\0\r\n$1\r\n" } },
      { "may be an empty array", "*0\r\n", {} },
      { "may be an array of less than nothing", "*-1\r\n", {} },
      { "may be an array of the least there is", "*-9223372036854775808\r\n", {} },
      { "is a line", "GET x\r\n", { "GET", "x" } },
      { "is a line without a carriage return", "GET x\n", { "GET", "x" } },
      { "may be an empty line", "\r\n", {} },
      { "may be a line of blanks", " \t \n", {} },
      { "splits a line at any number of blanks", "  GET \t  x \r\n", { "GET", "x" } },
      { "splits a line at a carriage return", "a\rb\r\n", { "a", "b" } },
      { "keeps form feeds in a word", "a\fb\n", { "a\fb" } },
      { "takes double quotes", [["a b" "" "'"]] .. "\r\n", { "a b", "", "'" } },
      { "takes single quotes", [['a b' '' '"']] .. "\r\n", { "a b", "", '"' } },
      { "takes escapes in double quotes", [["\n\r\t\b\a\\\"\q\x41\xfF\x4"]] .. "\n", { "\n\r\t\b\a\\\"qA\xffx4" } },
      { "takes only an escaped quote in single quotes", [['it\'s \n \\ ']] .. "\n", { [[it's \n \\ ]] } },
      { "takes a quote that begins in a word", [[a"b c" d'e f']] .. "\n", { "ab c", "de f" } },
      { "keeps a backslash outside of quotes", [[\x41 a\"b"]] .. "\n", { [[\x41]], [[a\b]] } },
      { "may be a line with a star in it", "a*\n", { "a*" } },
    } do
      local fact, bytes, request = table.unpack(case)
      it(fact, function()
        assert.are.same(
          { answer = "complete", length = #bytes, payload = bytes, seen = 0 },
          feed(resp, bytes)
        )
        assert.are.same(request, arguments(resp, bytes))
        assert.are.same(request, arguments(resp, bytes .. "*1\r\n"))
      end)
    end

    it("finds two requests one after the other", function()
      local bytes <const> = "*1\r\n$3\r\none\r\ntwo\r\n*1\r\n"
      local first = feed(resp, bytes)
      assert.are.equal("*1\r\n$3\r\none\r\n", first.payload)
      assert.are.equal("two\r\n", feed(resp, bytes:sub(first.length + 1)).payload)
    end)

    it("has as many arguments as it says", function()
      local words = {}
      for i = 1, 300 do words[i] = tostring(i) end
      local bytes = "*300\r\n"
      for _, word in ipairs(words) do bytes = bytes .. "$" .. #word .. "\r\n" .. word .. "\r\n" end
      assert.are.same(words, arguments(resp, bytes))
    end)
  end)

  describe("partial", function()
    for _, case in ipairs {
      { "asks for one byte at first", "", 1, 0 },
      { "asks for one byte more within the count", "*", 2, 0 },
      { "asks for one byte more within a longer count", "*123", 5, 0 },
      { "asks for one byte more before an argument", "*3\r\n", 5, 4 },
      { "asks for one byte more within a length", "*2\r\n$", 6, 4 },
      { "asks for one byte more within a long length", "*1\r\n$1234567", 13, 4 },
      { "asks for the argument and what must stand behind it as soon as its length is there",
        "*1\r\n$100\r\n", 111, 4 },
      { "asks for the same while the argument comes", "*3\r\n$100\r\nabc", 111, 4 },
      { "goes on from the argument that is not complete", "*2\r\n$3\r\nGET\r\n$2\r\nx", 20, 13 },
      { "waits for the line feed behind an argument", "*1\r\n$1\r\nx\r", 11, 4 },
      { "asks for one byte more within a line", "GET x", 6, 5 },
      { "does not look into a line before it is there", '"a"b', 5, 4 },
    } do
      local fact, bytes, length, seen = table.unpack(case)
      it(fact, function()
        assert.are.same({ answer = "partial", length = length, seen = seen }, feed(resp, bytes))
      end)
    end

    it("does not look again at the arguments that it has seen", function()
      local bytes <const> = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhe"
      assert.are.equal(#bytes + 5, forget(resp, bytes, "llo\r\n").length)
      assert.are.equal("too_large", forget(framing.resp { max = 8 }, bytes:sub(1, 20), "$5\r\nhe").answer)
    end)

    it("does not look again for the end of a line where it was not", function()
      assert.are.equal(8, forget(resp, "GET key", "\n").length)
    end)
  end)

  describe("malformed", function()
    local count <const> = "Protocol error: invalid multibulk length"
    local bulk <const> = "Protocol error: invalid bulk length"
    local quotes <const> = "Protocol error: unbalanced quotes in request"

    for _, case in ipairs {
      { "with a count that is none", "*x", count },
      { "without a count", "*\r", count },
      { "with a plus sign", "*+", count },
      { "with a leading zero in the count", "*01", count },
      { "with a negative zero", "*-0", count },
      { "with a minus sign only", "*-\r", count },
      { "with a count over Redis's limit", "*1048577", count },
      { "with a count below 64 bits", "*-9223372036854775809", count },
      { "with a space behind the count", "*1 ", count },
      { "without a carriage return behind the count", "*1\n", count },
      { "without a line feed behind the count", "*1\rx", count },
      { "with an integer for an argument", "*1\r\n:", "Protocol error: expected '$', got ':'" },
      { "with an array for an argument", "*1\r\n*", "Protocol error: expected '$', got '*'" },
      { "with a letter for an argument", "*1\r\nx", "Protocol error: expected '$', got 'x'" },
      { "with a backslash for an argument", "*1\r\n\\", "Protocol error: expected '$', got '\\'" },
      { "with a tilde for an argument", "*1\r\n~", "Protocol error: expected '$', got '~'" },
      { "with a space for an argument", "*1\r\n ", "Protocol error: expected '$', got ' '" },
      { "with a NUL for an argument", "*1\r\n\0", "Protocol error: expected '$', got no printable byte" },
      { "with a high byte for an argument", "*1\r\n\xff", "Protocol error: expected '$', got no printable byte" },
      { "with a null argument", "*1\r\n$-", bulk },
      { "without a length", "*1\r\n$\r", bulk },
      { "with a leading zero in a length", "*1\r\n$00", bulk },
      { "with a length over Redis's limit", "*1\r\n$536870913", bulk },
      { "without a line feed behind a length", "*1\r\n$1\rx", bulk },
      { "with an argument longer than it says", "*1\r\n$1\r\nxy", "Protocol error: expected CRLF behind the argument" },
      { "with half an ending", "*1\r\n$1\r\nx\rx", "Protocol error: expected CRLF behind the argument" },
      { "in the second argument too", "*2\r\n$1\r\nx\r\nx", "Protocol error: expected '$', got 'x'" },
      { "with a quote that does not end", '"a\r\n', quotes },
      { "with a quote that ends in an escape", '"a\\"\r\n', quotes },
      { "with a single quote that does not end", "'a\\'\n", quotes },
      { "with something behind a quote", '"a"b\n', quotes },
      { "with a NUL in a line", "a\0b\n", "Protocol error: NUL in an inline request" },
    } do
      local fact, bytes, why = table.unpack(case)
      it("is " .. fact, function()
        assert.are.equal("partial", feed(resp, bytes:sub(1, -2)).answer)
        assert.are.same({ answer = "malformed", length = 0, seen = 0, why = why }, feed(resp, bytes))
        assert.are.equal("malformed", feed(resp, bytes .. "\r\n").answer)
      end)
    end
  end)

  describe("limits", function()
    local large <const> = "the arguments are larger than allowed"
    local long <const> = "Protocol error: too big inline request"
    local many <const> = "the request has more arguments than allowed"

    for _, case in ipairs {
      { "all arguments together", { max = 6 }, "*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n", "*2\r\n$3\r\nGET\r\n$4\r\n", large },
      { "the words of a line", { max = 6 }, "'GET'   foo\n", "GET fooo\n", large },
      { "the number of arguments", { max_arguments = 1 }, "*1\r\n$1\r\nx\r\n", "*2\r\n", many },
      { "the number of words", { max_arguments = 1 }, "'a b'\n", "a b\n", many },
      { "a line as Redis does", {}, ("x"):rep(65536) .. "\n", ("x"):rep(65537), long },
    } do
      local fact, options, allowed, refused, why = table.unpack(case)
      it("hold for " .. fact, function()
        local decode = #allowed < 1000 and feed or rooms.framing.decode
        local limited = framing.resp(options)
        assert.are.equal("complete", decode(limited, allowed).answer)
        assert.are.equal("partial", decode(limited, refused:sub(1, -2)).answer)
        assert.are.same({ answer = "too_large", length = 0, seen = 0, why = why }, decode(limited, refused))
      end)
    end

    it("are Redis's if none are given", function()
      assert.are.equal("partial", feed(resp, "*1048576\r\n$536870912\r\n").answer)
    end)
  end)
end)
