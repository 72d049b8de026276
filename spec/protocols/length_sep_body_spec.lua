local harness = require "parlance.harness"
local server = require "support.server"

local LengthSepBody = dofile(server.SOURCE .. "/protocols/length_sep_body.lua")

-- What request_complete says to these bytes.
local function ask(incoming)
  return table.pack(setmetatable({ incoming = incoming }, { __index = LengthSepBody }):request_complete())
end

describe("length_sep_body", function()
  local client

  before_each(function() client = harness.open "protocols/length_sep_body.lua" end)

  for _, case in ipairs {
    { "5\nhello", "hello" },
    { "0\n", "" },
    { "1\n\n", "\n" },
    { "3\n\0\1\2", "\0\1\2" },
    { "12\nhello, world", "hello, world" },
    { "2\nhiya", "hi", "malformed" },
    { "3\none3\ntwo", "onetwo" },
  } do
    local bytes, answer, reason = table.unpack(case)
    it(("answers %q with %q"):format(bytes, answer):gsub("\\\n", "\\n"), function()
      for _, pieces in ipairs(harness.cuts(bytes)) do
        client = harness.open "protocols/length_sep_body.lua"
        assert.equal(answer, client:send_pieces(pieces):receive())
        assert.equal(reason, (client:reason()))
      end
    end)
  end

  it("keeps the connection", function()
    assert.equal("hello", client:send("5\nhello"):receive())
    assert.equal("!", client:send("1\n!"):half_close():receive())
    assert.equal("peer_closed", client:reason())
  end)

  it("answers what came before something malformed", function()
    assert.equal("hello", client:send("5\nhello-5\nworld"):receive())
    local reason, detail = client:reason()
    assert.equal("malformed", reason)
    assert.equal("the length is not a plain decimal number", detail)
  end)

  it("refuses a body that is too long before it comes", function()
    assert.equal("too_large", (client:send("1048570\n"):reason()))
  end)

  describe("request_complete", function()
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
      local handler = setmetatable({ incoming = "5\nhello" }, { __index = LengthSepBody })
      assert.same({ true, 7 }, { handler:request_complete() })
      assert.same({ true, 7 }, { handler:request_complete() })
      assert.equal("hello", handler:make_response())
    end)
  end)

  describe("through the server", function()
    server.cleans_up()

    it("answers at once, byte by byte, and to the end", function()
      local connected = server.start("protocols/length_sep_body.lua", { turns = true }):connect()
      assert.equal("helloworld", connected:exchange("5\nhello5\nworld", 10))
      assert.equal("hello", connected:send_bytes("5\nhello"):receive(5))
      assert.equal("hello", connected:exchange_all "5\nhello-5\nworld")
    end)
  end)
end)
