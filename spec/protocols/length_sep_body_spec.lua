local server = require "support.server"

local LengthSepBody = dofile(server.SOURCE .. "/protocols/length_sep_body.lua")

-- A client handler that has got these bytes.
local function with(incoming)
  return setmetatable({ incoming = incoming }, { __index = LengthSepBody })
end

local function ask(incoming)
  return table.pack(with(incoming):request_complete())
end

describe("length_sep_body", function()
  describe("request_complete", function()
    for _, case in ipairs {
      { "5\nhello", 7, "hello" },
      { "0\n", 2, "" },
      { "1\n\n", 3, "\n" },
      { "3\n\0\1\2", 5, "\0\1\2" },
      { "12\nhello, world", 15, "hello, world" },
      { "2\nhiya", 4, "hi" },
      { "3\none3\ntwo", 5, "one" },
    } do
      local incoming, length, body = table.unpack(case)
      it(("finds %q in %q"):format(body, incoming):gsub("\\\n", "\\n"), function()
        local handler = with(incoming)
        assert.same({ true, length }, { handler:request_complete() })
        assert.equal(body, handler:make_response())
      end)
    end

    it("says how many bytes it needs as soon as the line is there", function()
      assert.same({ n = 2, false, 7 }, ask "5\n")
      assert.same({ n = 2, false, 7 }, ask "5\nhell")
      assert.same({ n = 2, false, 1000008 }, ask "1000000\n")
    end)

    it("waits for the line", function()
      for _, incoming in ipairs { "5", "12", "1234567890123456789", "0" } do
        assert.is_false(ask(incoming)[1])
      end
    end)

    for _, case in ipairs {
      { "negative", "-5\n" },
      { "signed", "+5\n" },
      { "hexadecimal", "0x5\n" },
      { "a float", "5.0\n" },
      { "an exponent", "1e3\n" },
      { "padded in front", " 5\n" },
      { "padded behind", "5 \n" },
      { "padded with zeroes", "005\n" },
      { "two zeroes", "00\n" },
      { "behind a carriage return", "5\r\n" },
      { "empty", "\n" },
      { "not a number", "five\n" },
      { "nan", "nan\n" },
      { "inf", "inf\n" },
      { "one that holds a NUL", "5\0\n" },
      { "one that is no ASCII digit", "\u{0665}\n" },
      { "too large for an integer", "9223372036854775808\n" },
      { "so large that the whole request has no length", "9223372036854775807\n" },
      { "of twenty digits", "10000000000000000000\n" },
      { "without end", ("1"):rep(20) },
    } do
      local fact, incoming = table.unpack(case)
      it("is malformed with a length that is " .. fact, function()
        local answer = ask(incoming)
        assert.is_nil(answer[1])
        assert.is_string(answer[2])
        assert.is_nil(ask(incoming .. "hello")[1])
      end)
    end

    it("is malformed as soon as it can be seen", function()
      for _, incoming in ipairs { "-", "+", " ", "x", "0x", "00", "5 ", "1e", "\0", "\r" } do
        assert.is_nil(ask(incoming)[1], ("%q"):format(incoming))
      end
    end)

    it("is asked a second time without harm", function()
      local handler = with "5\nhello"
      assert.same({ handler:request_complete() }, { handler:request_complete() })
    end)
  end)

  describe("through the server", function()
    server.cleans_up()
    local client

    before_each(function()
      client = server.start("protocols/length_sep_body.lua", { turns = true }):connect()
    end)

    it("answers with the body", function()
      assert.equal("hello", client:exchange("5\nhello", 5))
    end)

    it("answers byte by byte", function()
      assert.equal("hello", client:send_bytes("5\nhello"):receive(5))
    end)

    it("answers two at once, and keeps the connection", function()
      assert.equal("helloworld", client:exchange("5\nhello5\nworld", 10))
      assert.equal("!", client:exchange("1\n!", 1))
    end)

    it("ends a malformed conversation", function()
      assert.equal("hello", client:exchange_all "5\nhello-5\nworld")
    end)
  end)
end)
