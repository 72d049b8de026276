local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local value = rooms.framing.value
local framing = rooms.framing.open()

local responses <const> = framing.http { responses = true }
local to_head <const> = framing.http { responses = true, method = "HEAD" }
local to_connect <const> = framing.http { responses = true, method = "CONNECT" }

-- Lines with their endings, and the empty line.
local function head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local function ok(...) return head("HTTP/1.1 200 OK", ...) end
local CHUNKED <const> = "Transfer-Encoding: chunked"

describe("framing.http with responses", function()
  it("gives the parts of a response", function()
    local bytes = head("HTTP/1.1 404 Not  Found", "Server: x", "X-A: 1", "x-a: 2", "Content-Length: 4") .. "gone"
    assert.same({
      status = 404, reason = "Not  Found", version = "1.1", body = "gone", keep_alive = true,
      headers = { server = "x", ["x-a"] = "1, 2", ["content-length"] = "4" },
    }, (value(responses, bytes)))
  end)

  it("gives each Set-Cookie in a list", function()
    local bytes = ok("Set-Cookie: a=1; Expires=Sat, 28 Nov 2026 09:00:00 GMT", "Content-Length: 0", "set-cookie: b=2")
    assert.same({ "a=1; Expires=Sat, 28 Nov 2026 09:00:00 GMT", "b=2" },
      value(responses, bytes).headers["set-cookie"])
  end)

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("ends", function()
    for _, case in ipairs {
      { "behind so many bytes", ok "Content-Length: 5" .. "hello", "hello" },
      { "behind the head where the length is 0", ok "Content-Length: 0", "" },
      { "behind the last chunk", ok(CHUNKED) .. "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nDigest: x\r\n\r\n", "hello!" },
      { "behind the head of an interim response", head "HTTP/1.1 100 Continue", "" },
      { "behind the head of a change of protocols", head("HTTP/1.1 101 ", "Upgrade: x"), "" },
      { "behind the head of 204, whatever its length", head("HTTP/1.1 204 None", "Content-Length: 5"), "" },
      { "behind the head of 304, whatever its length", head("HTTP/1.1 304 Same", "Content-Length: 5"), "" },
      { "behind the head of an answer to HEAD", ok "Content-Length: 5", "", to_head },
      { "behind the head of a chunked answer to HEAD", ok(CHUNKED), "", to_head },
      { "behind the head of an answer to HEAD without a length", ok(), "", to_head },
      { "behind the head of a granted CONNECT", ok "Content-Length: 5", "", to_connect },
      { "behind the body of a refused CONNECT", head("HTTP/1.1 403 No", "Content-Length: 1") .. "n", "n", to_connect },
      { "behind a status line without a reason", head("HTTP/1.1 200", "Content-Length: 0"), "" },
      { "behind a head of HTTP/1.0", head("HTTP/1.0 200 OK", "Content-Length: 0"), "" },
    } do
      local fact, bytes, body, how = table.unpack(case, 1, 4)
      how = how or responses
      it(fact, function()
        local answer = feed(how, bytes .. "HTTP/1.1 200 OK\r\n")
        assert.equal(nil, answer.why)
        assert.same({ "complete", #bytes }, { answer.answer, answer.length })
        assert.equal(body, value(how, bytes).body)
      end)
    end

    it("where the bytes end, without a length and without chunks", function()
      local bytes = ok "Connection: keep-alive" .. "hello"
      local answer = feed(responses, bytes)
      assert.same({ "partial", #bytes + 1, true }, { answer.answer, answer.length, answer.until_end })
      local response, length = value(responses, bytes)
      assert.same({ "hello", #bytes, false }, { response.body, length, response.keep_alive })
      assert.equal("", value(responses, ok()).body)
    end)

    for _, case in ipairs {
      { "a head", "HTTP/1.1 200 OK\r\nA: b\r\n" },
      { "a length", ok "Content-Length: 5" .. "hell" },
      { "chunks", ok(CHUNKED) .. "5\r\nhello\r\n" },
    } do
      it("nowhere within " .. case[1], function()
        assert.same({ nil, nil, "partial", n = 3 }, table.pack(value(responses, case[2])))
      end)
    end
  end)

  describe("keeps the connection alive", function()
    for _, case in ipairs {
      { "in HTTP/1.1", true, "HTTP/1.1 200 OK", "Content-Length: 0" },
      { "unless it says close", false, "HTTP/1.1 200 OK", "Connection: x, Close", "Content-Length: 0" },
      { "not in HTTP/1.0", false, "HTTP/1.0 200 OK", "Content-Length: 0" },
      { "in HTTP/1.0 where it says so", true, "HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 0" },
    } do
      it(case[1], function()
        assert.equal(case[2], value(responses, head(table.unpack(case, 3))).keep_alive)
      end)
    end
  end)

  describe("refuses", function()
    for _, case in ipairs {
      { "another protocol at its first byte", "S", "this does not begin as a response of HTTP/1.0 or HTTP/1.1 does" },
      { "an empty line before", "\r\n", "this does not begin as a response of HTTP/1.0 or HTTP/1.1 does" },
      { "HTTP/2", "HTTP/2", "this does not begin as a response of HTTP/1.0 or HTTP/1.1 does" },
      { "a version without a number", "HTTP/1.x 200 OK\r\n",
        "the status line does not begin as that of HTTP/1.0 or HTTP/1.1 does" },
      { "a status of two digits", "HTTP/1.1 20 OK\r\n", "the status is not a number of three digits" },
      { "a status of four digits", "HTTP/1.1 2000 OK\r\n", "the status is not a number of three digits" },
      { "a status below 100", "HTTP/1.1 099 OK\r\n", "the status is not a number of three digits" },
      { "a control byte in the reason", "HTTP/1.1 200 O\0K\r\n", "the reason phrase holds a control byte" },
      { "a line feed alone", "HTTP/1.1 200 OK\n", "a line feed without a carriage return" },
      { "white space before a colon", "HTTP/1.1 200 OK\r\nA : b\r\n", "white space before a colon" },
      { "two lengths", ok("Content-Length: 1", "Content-Length: 1"), "more than one Content-Length" },
      { "a length with a sign", ok "Content-Length: +1", "Content-Length is not a plain decimal number" },
      { "a length beside chunks", ok("Content-Length: 1", CHUNKED), "both Content-Length and Transfer-Encoding" },
      { "chunks in HTTP/1.0", head("HTTP/1.0 200 OK", CHUNKED), "Transfer-Encoding in HTTP/1.0" },
      { "another transfer coding", ok "Transfer-Encoding: gzip, chunked",
        "a Transfer-Encoding other than chunked alone" },
      { "a chunk without an end", ok(CHUNKED) .. "1\r\nab", "no CR LF behind the data of a chunk" },
    } do
      local fact, bytes, why = table.unpack(case)
      it(fact, function()
        local answer = feed(responses, bytes)
        assert.same({ "malformed", why }, { answer.answer, answer.why })
      end)
    end

    for _, case in ipairs {
      { "a body over max", { max = 4 }, ok "Content-Length: 5", "the body is larger than allowed" },
      { "chunks over max", { max = 4 }, ok(CHUNKED) .. "5\r\n", "the body is larger than allowed" },
      { "a body without a length over max", { max = 4 }, ok() .. "hello", "the body is larger than allowed" },
      { "a head over max_head", { max_head = 20 }, ok "A: b", "the head is longer than allowed" },
      { "fields over max_headers", { max_headers = 1 }, ok("A: b", "C: d"), "more header fields than allowed" },
    } do
      local fact, options, bytes, why = table.unpack(case)
      it(fact, function()
        options.responses = true
        local answer = feed(framing.http(options), bytes)
        assert.same({ "too_large", why }, { answer.answer, answer.why })
      end)
    end
  end)

  it("has no Host and no Expect to judge", function()
    local bytes = ok("Host: a b", "Host: c", "Expect: a miracle", "Content-Length: 0")
    assert.equal(200, value(responses, bytes).status)
  end)
end)
