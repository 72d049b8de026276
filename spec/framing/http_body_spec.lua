-- The body of a request while it arrives: framing.http with stream_body.
local rooms = require "parlance_spec"
local framing = rooms.framing.open()
local feed = rooms.framing.feed

local function head(...) return table.concat({ "PUT / HTTP/1.1", "Host: a", ... }, "\r\n") .. "\r\n\r\n" end

local CHUNKED <const> = head "Transfer-Encoding: chunked"

local function long(length) return head("Content-Length: " .. length) end

-- rooms.framing.body() fails unless the data and the end are the same whole, byte by byte and for every cut.
local function body(bytes, options)
  options = options or {}
  options.stream_body = true
  return rooms.framing.body(framing.http(options), bytes)
end

describe("framing.http with stream_body", function()
  describe("ends a request", function()
    for _, case in ipairs {
      { "with a head that has no body", head(), "complete" },
      { "with a head whose body has no byte", long(0), "complete" },
      { "with a head whose body has a length", long(5), "head" },
      { "with a head whose body is in chunks", CHUNKED, "head" },
    } do
      it(case[1], function()
        for _, behind in ipairs { "", "hel", "hello GET" } do
          local answer = feed(framing.http { stream_body = true }, case[2] .. behind)
          assert.same({ case[3], #case[2] }, { answer.answer, answer.length })
        end
      end)
    end

    it("not for a head that it would refuse without stream_body", function()
      local answer = feed(framing.http { stream_body = true }, head("Content-Length: 1", "Transfer-Encoding: chunked"))
      assert.same({ "malformed", "400 both Content-Length and Transfer-Encoding" }, { answer.answer, answer.why })
    end)

    it("not for a body whose length is over max", function()
      assert.equal("head", feed(framing.http { stream_body = true, max = 5 }, long(5)).answer)
      local answer = feed(framing.http { stream_body = true, max = 5 }, long(6))
      assert.same({ "too_large", "413 the body is larger than allowed" }, { answer.answer, answer.why })
    end)
  end)

  describe("gives the data of a body", function()
    for _, case in ipairs {
      { "with a length", long(5) .. "hello", "hello" },
      { "in a chunk", CHUNKED .. "5\r\nhello\r\n0\r\n\r\n", "hello" },
      { "in several chunks", CHUNKED .. "5\r\nhello\r\nB;x=y\r\n, wonderful\r\n00\r\n\r\n", "hello, wonderful" },
      { "in chunks that look like framing", CHUNKED .. "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n" },
      { "with trailers, which are dropped", CHUNKED .. "1\r\nx\r\n0\r\nDigest: a\r\n\r\n", "x" },
      { "in no chunk at all", CHUNKED .. "0\r\n\r\n", "" },
    } do
      it(case[1] .. ", and nothing of what follows it", function()
        assert.same({ case[3], "over", #case[2] }, { body(case[2] .. "GET / HTTP/1.1\r\n") })
      end)

      it(case[1] .. ", of which the last byte is missing", function()
        local data, result = body(case[2]:sub(1, -2))
        assert.equal("partial", result)
        assert.equal(case[3], case[2]:sub(-1) == "\n" and data or data .. "o")
      end)
    end

    for _, case in ipairs {
      { "1\r\nxyz", "x", "malformed", "400 no CR LF behind the data of a chunk" },
      { "1\r\nx\rz", "x", "malformed", "400 no CR LF behind the data of a chunk" },
      { "1\r\nx\r\n\r\n", "x", "malformed", "400 the chunk size is missing" },
      { "1\r\nx\r\n0\r\n: y\r\n\r\n", "x", "malformed" },
      { "2\r\nxy\r\n2\r\nz", "xy", "too_large", "413 the body is larger than allowed" },
      { "1\r\nx\r\n1;" .. ("y"):rep(300), "x", "too_large", "413 the extensions of a chunk are longer than allowed" },
      { "1\r\nx\r\n0\r\n" .. ("y: z\r\n"):rep(900), "x", "too_large", "431 the trailers are longer than allowed" },
    } do
      it("up to a fault: " .. ("%q"):format(case[1]:sub(1, 20)):gsub("\\\n", "\\n"), function()
        local data, result, _, why = body(CHUNKED .. case[1], { max = 3 })
        assert.same({ case[2], case[3] }, { data, result })
        if case[4] then assert.equal(case[4], why) else assert.matches("^400 ", why) end
      end)
    end

    it("of any length, without a max", function()
      local chunk = ("%x\r\n%s\r\n"):format(1000, ("x"):rep(1000))
      local data, result = body(CHUNKED .. chunk:rep(9) .. "0\r\n\r\n")
      assert.same({ 9000, "over" }, { #data, result })
    end)
  end)

  it("cannot be called, nor read from a stream, nor stand with responses", function()
    assert.error_matches(function() framing.http { stream_body = true } { incoming = "" } end, "cannot be called")
    assert.error_matches(function() framing.http { stream_body = true, responses = true } end, "cannot stand with")
    assert.equal("framing.http { max_head = 16384, max_headers = 100, stream_body = true }",
      tostring(framing.http { stream_body = true }))
  end)
end)
