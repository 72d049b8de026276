local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local decode = rooms.framing.decode
local framing = rooms.framing.open()

local http <const> = framing.http {}

-- Lines with their endings, and the empty line.
local function head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local function get(...) return head("GET / HTTP/1.1", "Host: a", ...) end
local function post(...) return head("POST / HTTP/1.1", "Host: a", ...) end
local function chunked(body) return post "Transfer-Encoding: chunked" .. body end

-- The request as a script finds it.
local function request_of(bytes, options)
  local self = { incoming = bytes }
  assert(framing.http(options)(self))
  return self.request
end

describe("framing.http", function()
  it("takes no control byte but a tab at any place of a value of any length", function()
    for length = 1, 18 do
      for place = 1, length do
        for byte = 0, 255 do
          local value = ("x"):rep(place - 1) .. string.char(byte) .. ("\t"):rep(length - place)
          local is_control = byte < 32 and byte ~= 9 or byte == 127
          local result = decode(http, get("X: " .. value))
          assert(is_control == (result.answer ~= "complete"), ("%q"):format(value))
        end
      end
    end
  end)

  -- feed() fails unless the answer is the same whole, byte by byte and for every cut.
  describe("complete", function()
    for _, case in ipairs {
      { "is a head without a body", get(), "" },
      { "needs no Host in HTTP/1.0", head "GET / HTTP/1.0", "" },
      { "may have an empty line before it", "\r\n" .. get(), "" },
      { "has a body of so many bytes", post "Content-Length: 5" .. "hello", "hello" },
      { "may have a length with leading zeros", post "Content-Length: 005" .. "hello", "hello" },
      { "may have a length of nothing", post "Content-Length: 0", "" },
      { "has a body in chunks", chunked "5\r\nhello\r\n0\r\n\r\n", "hello" },
      { "has a body in several chunks", chunked "5\r\nhello\r\nB\r\n, wonderful\r\n00\r\n\r\n", "hello, wonderful" },
      { "reads chunk sizes in either case", chunked "a\r\n0123456789\r\n0\r\n\r\n", "0123456789" },
      { "may have chunks that look like framing", chunked "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n" },
      { "drops trailers", chunked "1\r\nx\r\n0\r\nDigest: a\r\nContent-Length: 9\r\n\r\n", "x" },
      { "knows chunked in any case", post "transfer-encoding: CHUNKED" .. "0\r\n\r\n", "" },
      { "may have an absolute target", head("GET http://a/b HTTP/1.1", "Host: a"), "" },
      { "may ask for options of the whole", head("OPTIONS * HTTP/1.1", "Host: a"), "" },
      { "may want to connect", head("CONNECT a:443 HTTP/1.1", "Host: a:443"), "" },
      { "may have a method of its own", head("M-SEARCH /x HTTP/1.1", "Host: a"), "" },
      { "may have an empty Host", head("GET / HTTP/1.1", "Host:"), "" },
      { "may have a Host with an address", head("GET / HTTP/1.1", "Host: [::1]:80"), "" },
      { "may have bytes over 127 and tabs in a value", get "X: \xff\tb", "" },
      { "may have empty values", get("X:", "Y: \t "), "" },
      { "may have empty elements around chunked", post "Transfer-Encoding: ,, chunked ,\t," .. "0\r\n\r\n", "" },
      { "may have white space around the parts of chunk extensions",
        chunked '5 ;a\r\nhello\r\n1\t; b =\t"c" ; d= e;f ;g\r\n!\r\n0 ; h\r\n\r\n', "hello!" },
      { "may expect to go on", post("Expect: 100-Continue", "Content-Length: 2") .. "hi", "hi" },
      { "may expect nothing", get("Expect:", "Expect: , ,"), "" },
      { "may expect to go on without a body", get "Expect: 100-continue", "" },
      { "may expect anything in HTTP/1.0", head("GET / HTTP/1.0", "Expect: a miracle"), "" },
      { "treats HTTP/1.2 as 1.1", head("GET / HTTP/1.2", "Host: a"), "" },
    } do
      local fact, bytes, body = table.unpack(case)
      it(fact, function()
        local result = feed(http, bytes .. "GET /next")
        assert.are.equal(nil, result.why)
        assert.are.same({ "complete", #bytes }, { result.answer, result.length })
        assert.are.equal(body, request_of(bytes).body)
      end)
    end

    it("puts chunks together", function()
      local bytes = chunked '5;a;b=c;d="e;\\"f"\r\nhello\r\n8;x=y\r\n, world!\r\n0;z\r\n\r\n'
      assert.are.equal(#bytes, feed(http, bytes).length)
      assert.are.equal("hello, world!", request_of(bytes).body)
    end)

    -- uri-host [ ":" port ]: RFC 3986, 3.2.2
    for _, host in ipairs {
      "a", "A.b-c_d~e", "a:80", "a:", "a:0", "a:65535", "a:00080", "127.0.0.1:8080", "999.1.1.1", "%41%c3%a4",
      "!$&'()*+,;=",
      "[::]", "[::1]", "[1::]", "[::1]:", "[::1]:80", "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]",
      "[ABCD:ef01::2]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:255.0.10.249]", "[v1.a]", "[vFf.a:b!c]:1",
    } do
      it("takes the Host " .. host, function()
        local bytes = head("GET / HTTP/1.1", "Host: " .. host)
        assert.are.equal("complete", feed(http, bytes).answer)
        assert.are.equal(host, request_of(bytes).headers.host)
        bytes = head(("GET http://%s/b?c HTTP/1.1"):format(host), "Host: a")
        assert.are.equal("complete", feed(http, bytes).answer)
        assert.are.equal(host, request_of(bytes).headers.host)
      end)
    end

    for _, target in ipairs {
      "/", "/a/b", "//", "/a%20b%C3%a4", "/-._~!$&'()*+,;=:@", "/?", "/?a=b&c?/d", "/?%", "/?%zz", "/?a[]=\\^`{|}",
      "http://a", "HTTPS://a/", "x+y-z.1://a?b", "http://a/%41?b", "http://[::1]:80/",
    } do
      it("takes the target " .. target, function()
        local bytes = head(("GET %s HTTP/1.1"):format(target), "Host: a")
        assert.are.equal("complete", feed(http, bytes).answer)
        assert.are.equal(target, request_of(bytes).target)
      end)
    end

    for _, place in ipairs { "a:1", "a:65535", "[::1]:443", "a%41:080" } do
      it("takes the place to connect to " .. place, function()
        local bytes = head(("CONNECT %s HTTP/1.1"):format(place), "Host: b")
        assert.are.equal("complete", feed(http, bytes).answer)
        assert.are.equal(place, request_of(bytes).headers.host)
      end)
    end

    it("finds two requests one after the other", function()
      local one, two = chunked "1\r\nx\r\n0\r\n\r\n", get "X: y"
      assert.are.equal(#one, feed(http, one .. two).length)
      assert.are.equal(#two, feed(http, two).length)
    end)
  end)

  describe("partial", function()
    it("asks for one byte at first", function()
      assert.are.same({ answer = "partial", length = 1, seen = 0 }, feed(http, ""))
    end)

    for _, case in ipairs {
      { "asks for a byte more in the head", "GET / HTTP/1.1\r\nHo", 1 },
      { "asks for a body as soon as the head is there", post "Content-Length: 100", 100 },
      { "asks for what is left of it", post "Content-Length: 100" .. ("x"):rep(98), 2 },
      { "asks for a chunk and the byte behind it", chunked "64\r\n", 100 + 1 },
      { "asks for the second byte behind it", chunked("64\r\n" .. ("x"):rep(100) .. "\r"), 1 },
      { "asks for a byte more in a chunk size", chunked "64", 1 },
      { "waits behind the last chunk", chunked "0\r\n", 1 },
      { "waits in the trailers", chunked "0\r\nA: b\r\n", 1 },
    } do
      local fact, bytes, more = table.unpack(case)
      it(fact, function()
        local result = feed(http, bytes)
        assert.are.same({ "partial", #bytes + more }, { result.answer, result.length })
      end)
    end

    describe("tells who waits to go on", function()
      local go_on <const> = "HTTP/1.1 100 Continue\r\n\r\n"
      for _, field in ipairs { "Content-Length: 9", "Transfer-Encoding: chunked" } do
        local bytes = post("Expect: 100-Continue, ,100-continue", field)
        it("when the head is there, and nothing of the body, with " .. field, function()
          assert.are.equal(go_on, feed(http, bytes).interim)
          assert.are.equal(go_on, feed(http, "\r\n" .. bytes).interim)
        end)
        it("and not before, nor when the body has begun, with " .. field, function()
          for length = 0, #bytes - 1 do assert.is_nil(feed(http, bytes:sub(1, length)).interim) end
          assert.is_nil(feed(http, bytes .. "1").interim)
        end)
        it("but not those who do not expect it, with " .. field, function()
          assert.is_nil(feed(http, post(field)).interim)
          assert.is_nil(feed(http, post("Expect: ,", field)).interim)
          assert.is_nil(feed(http, post("Expected: 100-continue", field)).interim)
        end)
      end

      it("but not in HTTP/1.0", function()
        assert.is_nil(feed(http, head("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 9")).interim)
      end)

      it("but refuses at once what it would refuse anyway", function()
        local expect <const> = "Expect: 100-continue"
        assert.are.equal("too_large", feed(framing.http { max = 8 }, post(expect, "Content-Length: 9")).answer)
        assert.are.equal("malformed", feed(http, post(expect, "Content-Length: x")).answer)
        assert.are.equal("malformed", feed(http, post(expect, "Transfer-Encoding: gzip")).answer)
      end)
    end)

    it("does not look at whole chunks again", function()
      local bytes = chunked "5\r\nhello\r\n5\r\n"
      local result = decode(http, bytes)
      assert.are.equal(#bytes - #"5\r\n", result.seen)
      -- What stands before is not read: it could be anything.
      local spoilt = ("\0"):rep(result.seen - 2) .. bytes:sub(result.seen - 1)
      assert.are.equal("400 this does not begin as a request does", decode(http, spoilt, bytes).why)
      spoilt = "G" .. spoilt:sub(2)
      assert.are.same(result, decode(http, spoilt, bytes))
    end)
  end)

  describe("malformed", function()
    local feed_line <const> = "400 a line feed without a carriage return"
    local return_byte <const> = "400 a carriage return without a line feed"
    local name <const> = "400 the name of a header field holds a byte that is not allowed"
    local method <const> = "400 the method holds a byte that is not allowed"
    local target <const> = "400 the target holds a byte that is not allowed"
    local form <const> = "400 the target is of no form that fits the method"
    local version <const> = "400 the request line does not end with a version such as HTTP/1.1"
    local wrong_version <const> = "505 the version is neither HTTP/1.0 nor HTTP/1.1"
    local start <const> = "400 this does not begin as a request does"
    local fold <const> = "400 a line begins with white space (obsolete line folding)"
    local extension_byte <const> = "400 a chunk extension holds a byte that is not allowed"
    local control <const> = "400 a header field holds a control byte"
    local nul <const> = "400 a header field holds a NUL"
    local length <const> = "400 Content-Length is not a plain decimal number"
    local coding <const> = "501 a Transfer-Encoding besides chunked"
    local last_coding <const> = "400 the last Transfer-Encoding is not chunked"
    local chunked_first <const> = "400 chunked is not the last Transfer-Encoding"
    local both <const> = "400 both Content-Length and Transfer-Encoding"
    local more_lengths <const> = "400 more than one Content-Length"
    local host <const> = "400 Host is not a host with perhaps a port"
    local size <const> = "400 the chunk size holds a byte that is no hexadecimal digit"
    local missing_size <const> = "400 the chunk size is missing"
    local size_space <const> = "400 white space in the line of a chunk size"
    local extension <const> = "400 a chunk extension is malformed"
    local no_end <const> = "400 no CR LF behind the data of a chunk"

    for _, case in ipairs {
      -- the request line
      { "TLS", "\22\3\1", start },
      { "a space first", " GET / HTTP/1.1\r\n", start },
      { "a line feed first", "\nGET / HTTP/1.1\r\n", start },
      { "a carriage return first", "\rGET", start },
      { "two empty lines first", "\r\n\r\n", start },
      { "only a word", "GET\r\n", "400 the request line is nothing but a word" },
      { "no version", "GET /\r\n", "400 the request line has no version" },
      { "a method with a colon", "GET: / HTTP/1.1\r\n", method },
      { "a tab behind the method", "GET\t/ HTTP/1.1\r\n", method },
      { "two spaces behind the method", "GET  / HTTP/1.1\r\n", "400 more than one space behind the method" },
      { "two spaces behind the target", "GET /  HTTP/1.1\r\n", version },
      { "a space in the target", "GET /a b HTTP/1.1\r\n", version },
      { "a space behind the version", "GET / HTTP/1.1 \r\n", version },
      { "a tab in the target", "GET /\tb HTTP/1.1\r\n", target },
      { "a NUL in the target", "GET /\0 HTTP/1.1\r\n", target },
      { "a byte over 127 in the target", "GET /\xe4 HTTP/1.1\r\n", target },
      { "a DEL in the target", "GET /\x7f HTTP/1.1\r\n", target },
      { "a fragment in the target", "GET /#a HTTP/1.1\r\n", target },
      { "a quote in the target", 'GET /" HTTP/1.1\r\n', target },
      { "an angle in the target", "GET /<a> HTTP/1.1\r\n", target },
      { "a carriage return in the target", "GET /\ra HTTP/1.1\r\n", target },
      { "a target that is no path", "GET a HTTP/1.1\r\n", form },
      { "a star with GET", "GET * HTTP/1.1\r\n", form },
      { "a path with CONNECT", "CONNECT /a HTTP/1.1\r\n", form },
      { "a scheme without a host", "GET http: HTTP/1.1\r\n", form },
      { "a percent sign alone", "GET /% HTTP/1.1\r\n", "400 the target is not percent-encoded properly" },
      { "a percent sign and a digit", "GET /a%4 HTTP/1.1\r\n", "400 the target is not percent-encoded properly" },
      { "a percent sign and letters", "GET /%4g/b HTTP/1.1\r\n", "400 the target is not percent-encoded properly" },
      { "a version in small letters", "GET / http/1.1\r\n", version },
      { "another protocol", "GET / HTTPS/1.1\r\n", version },
      { "a version without a dot", "GET / HTTP/11\r\n", version },
      { "a version of two digits", "GET / HTTP/1.10\r\n", version },
      { "a plus in the version", "GET / HTTP/+1.1\r\n", version },
      { "version 0.9", "GET / HTTP/0.9\r\n", wrong_version },
      { "version 2", "PRI * HTTP/2.0\r\n", wrong_version },
      { "version 3", "GET / HTTP/3.0\r\n", wrong_version },
      { "a bare line feed behind it", "GET / HTTP/1.1\n", feed_line },
      { "two carriage returns behind it", "GET / HTTP/1.1\r\r\n", version },
      -- the lines of the head
      { "a bare line feed", get "X: y\nZ: a", feed_line },
      { "a bare line feed for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", feed_line },
      { "a bare carriage return in a value", get "X: y\rZ: a", return_byte },
      { "a bare carriage return in a name", get "X\rY: a", return_byte },
      { "a second carriage return", get "X: y\r", return_byte },
      { "an obsolete fold with a space", get("X: y", " z"), fold },
      { "an obsolete fold with a tab", get("X: y", "\tz"), fold },
      { "white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n",
        fold },
      { "a space before the colon", get "X : y", "400 white space before a colon" },
      { "a tab before the colon", get "X\t: y", "400 white space before a colon" },
      { "a space in a name", get "X Y: z", name },
      { "no colon", get "X", "400 a header line has no colon" },
      { "no name", get ": x", "400 a header field has no name" },
      { "a NUL in a name", get "X\0: y", nul },
      { "a NUL in a value", get "X: y\0", nul },
      { "a byte over 127 in a name", get "\xc3\xa4: y", name },
      { "a parenthesis in a name", get "X(): y", name },
      { "a control byte in a value", get "X: \1", control },
      { "a DEL in a value", get "X: \x7f", control },
      { "an escape in a value", get "X: \27[0m", control },
      -- what the fields say together
      { "no Host", head("GET / HTTP/1.1", "X: y"), "400 Host is missing" },
      { "two Hosts", get "Host: a", "400 more than one Host" },
      { "two Hosts in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "host: b"), "400 more than one Host" },
      { "a space in Host", head("GET / HTTP/1.1", "Host: a b"), host },
      { "a path in Host", head("GET / HTTP/1.1", "Host: a/b"), host },
      { "a user in Host", head("GET / HTTP/1.1", "Host: a@b"), host },
      { "another expectation", post("Expect: 200-ok", "Content-Length: 1"),
        "417 an expectation other than 100-continue" },
      { "another expectation besides", get("Expect: 100-continue", "Expect: x"),
        "417 an expectation other than 100-continue" },
      { "an expectation with a parameter", get "Expect: 100-continue;q=1",
        "417 an expectation other than 100-continue" },
      { "chunked and an encoding with a quoted comma", post 'Transfer-Encoding: a;b=", chunked"', last_coding },
      { "chunked and an encoding with a quote that does not end", post 'Transfer-Encoding: a;b="\\", chunked',
        last_coding },
      { "two encodings, one of them empty", post("Transfer-Encoding: chunked", "Transfer-Encoding:"),
        "400 more than one Transfer-Encoding" },
      { "chunked before another encoding", post "Transfer-Encoding: chunked, gzip", chunked_first },
      { "chunked before and behind another encoding", post "Transfer-Encoding: chunked, gzip, chunked", chunked_first },
      { "chunked behind a space in it", post "Transfer-Encoding: x chunked", last_coding },
      { "commas for an encoding", post "Transfer-Encoding: ,,", last_coding },
      { "a length and an encoding", post("Content-Length: 5", "Transfer-Encoding: chunked"), both },
      { "an encoding and a length", post("Transfer-Encoding: chunked", "Content-Length: 5"), both },
      { "a length and an unknown encoding", post("Content-Length: 5", "Transfer-Encoding: x"), both },
      { "two lengths", post("Content-Length: 5", "Content-Length: 6"), more_lengths },
      { "the same length twice", post("Content-Length: 5", "content-length: 5"), more_lengths },
      { "a list of lengths", post "Content-Length: 5, 5", "400 Content-Length is a list" },
      { "an empty length", post "Content-Length:", "400 Content-Length is empty" },
      { "a length with a plus", post "Content-Length: +5", length },
      { "a length with a minus", post "Content-Length: -5", length },
      { "a length with a space in it", post "Content-Length: 5 5", length },
      { "a hexadecimal length", post "Content-Length: 0x5", length },
      { "a length with a point", post "Content-Length: 5.0", length },
      { "a length with an underscore", post "Content-Length: 5_0", length },
      { "an encoding in HTTP/1.0", head("POST / HTTP/1.0", "Transfer-Encoding: chunked"),
        "400 Transfer-Encoding in HTTP/1.0" },
      { "two encodings", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        "400 more than one Transfer-Encoding" },
      { "chunked twice", post "Transfer-Encoding: chunked, chunked", chunked_first },
      { "another encoding", post "Transfer-Encoding: gzip", last_coding },
      { "another encoding before chunked", post "Transfer-Encoding: gzip, chunked", coding },
      { "an encoding that ends like chunked", post "Transfer-Encoding: xchunked", last_coding },
      { "an encoding that begins like chunked", post "Transfer-Encoding: chunkedx", last_coding },
      { "a quoted encoding", post 'Transfer-Encoding: "chunked"', last_coding },
      { "chunked with a parameter", post "Transfer-Encoding: chunked;a=b", last_coding },
      { "no encoding", post "Transfer-Encoding:", last_coding },
      { "identity", post "Transfer-Encoding: identity", last_coding },
      -- chunks
      { "no chunk size", chunked "\r", missing_size },
      { "a chunk extension alone", chunked ";", missing_size },
      { "a chunk size with a plus", chunked "+", size },
      { "a chunk size with a minus", chunked "-", size },
      { "a chunk size behind a space", chunked " ", size_space },
      { "a space behind a chunk size", chunked "5 \r", size_space },
      { "a tab behind a chunk size", chunked "5\tx", size_space },
      { "a chunk size with 0x", chunked "0x", size },
      { "a chunk size with an underscore", chunked "1_", size },
      { "a chunk size with a point", chunked "5.", size },
      { "a bare line feed behind a chunk size", chunked "5\n", feed_line },
      { "a bare carriage return behind a chunk size", chunked "5\rh", return_byte },
      { "a chunk size that does not fit", chunked "8000000000000000", "400 the chunk size does not fit into 63 bits" },
      { "a chunk size that would wrap around", chunked "10000000000000005",
        "400 the chunk size does not fit into 63 bits" },
      { "no CR LF behind a chunk", chunked "5\r\nhellox", no_end },
      { "a bare line feed behind a chunk", chunked "5\r\nhello\n", no_end },
      { "a bare carriage return behind a chunk", chunked "5\r\nhello\r0", no_end },
      { "an extension without a name", chunked "5;=", extension },
      { "an extension of nothing", chunked "5;\r", extension },
      { "an extension of a space", chunked "5; \r", extension },
      { "an extension with no value", chunked "5;a=\r", extension },
      { "a space behind an extension", chunked "5;a \r", extension },
      { "a space behind an extension's value", chunked "5;a=b\t\r", extension },
      { "two words in an extension", chunked "5;a b", extension },
      { "two values of an extension", chunked "5;a=b c", extension },
      { "a NUL in an extension", chunked '5;a="\0', extension_byte },
      { "a carriage return in an extension", chunked '5;a="\r', extension_byte },
      { "a bare line feed in the trailers", chunked "0\r\nA: b\n", feed_line },
      { "a trailer with a space before the colon", chunked "0\r\nA : b\r\n\r\n", "400 white space before a colon" },
      { "a trailer that is folded", chunked "0\r\nA: b\r\n c\r\n\r\n",
        fold },
    } do
      local fact, bytes, why = table.unpack(case)
      it("is " .. fact, function()
        assert.are.same({ answer = "malformed", length = 0, seen = 0, why = why }, feed(http, bytes))
        -- Nothing that follows makes it better.
        assert.are.equal(why, feed(http, bytes .. "\r\n\r\nGET / HTTP/1.1\r\n\r\n").why)
      end)
    end

    for _, wrong in ipairs {
      ":", ":80", "a:b", "a:-1", "a:+1", "a:80:90", "a:65536", "a:99999999999999999999", "a: 80", "::1", "[::1", "[]",
      "[::1].",
      "x[::1]:9", "[::1]x", "[::1]:x", "[:::]", "[1]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[:1]",
      "[1:]",
      "[12345::]", "[g::]", "[::1.2.3]", "[::1.2.3.256]", "[::1.2.3.04]", "[::1.2.3.4.5]", "[::1.2.3.4:5]", "[1.2.3.4]",
      "[1:2:3:4:5:6:7:1.2.3.4]", "[1:2:3:4:5:6:7:8::]", "[fe80::1%25lo]", "[v.a]", "[vg.a]", "[v1]", "[v1.]",
      "[v1.a b]",
      "[[::1]]", "%", "%4", "%zz", "a%", "x]", "a\\b", "a^b", "a|b", "a?b", "a#b", "<a>", '"a"', "@", "u@a", "u:p@a",
      "\xc3\xa4",
      "a, b", "a,b c", "a\tb",
    } do
      it("is a Host of " .. wrong, function()
        assert.are.equal(host, feed(http, head("GET / HTTP/1.1", "Host: " .. wrong)).why)
        assert.are.equal(host, feed(http, head("GET / HTTP/1.0", "Host: " .. wrong)).why)
        if wrong:find "[/?# \t]" then return end
        assert.are.equal(form, feed(http, ("GET http://%s/ HTTP/1.1\r\n"):format(wrong)).why)
        assert.are.equal(form, feed(http, ("CONNECT %s HTTP/1.1\r\n"):format(wrong)).why)
      end)
    end

    for _, byte in ipairs { "\\", "^", "`", "{", "|", "}", "[", "]" } do
      it("is a path with " .. byte, function()
        assert.are.equal(target, feed(http, ("GET /a%sb HTTP/1.1\r\n"):format(byte)).why)
        assert.are.equal(form, feed(http, ("GET http://a/%sb HTTP/1.1\r\n"):format(byte)).why)
      end)
    end

    for _, wrong in ipairs {
      "http://", "http:///", "http://?a", "http:/a", "http:a", "://a/", "h_ttp://a/", "1http://a/", "-a://b/",
      "h\0://a/", "a b://c/",
      "http://a/%", "http://a/%zz", "http://a#b", "http://a/#b", "http://a/\xc3\xa4", "http://a\\@b/", "*", "**", "*/",
      "a:80", "a",
    } do
      it("is a target of " .. wrong, function()
        local why = feed(http, ("GET %s HTTP/1.1\r\n"):format(wrong)).why
        assert.are.equal(wrong:find " " and version or form, why)
      end)
    end

    for _, place in ipairs { "a", "a:", "a:0", "a:x", "[::1]", ":80", "*", "/", "http://a:80/", "a:80/", "u@a:80",
      "a:65536" } do
      it("is a place to connect to of " .. place, function()
        assert.are.equal(form, feed(http, ("CONNECT %s HTTP/1.1\r\n"):format(place)).why)
      end)
    end

    it("is said as soon as the line is there", function()
      assert.are.equal("partial", feed(http, "GET / HTTP/1.1\r\nX : y\r").answer)
      assert.are.equal("400 white space before a colon", feed(http, "GET / HTTP/1.1\r\nX : y\r\n").why)
    end)
  end)

  describe("limits", function()
    local target <const> = "414 the request line is longer than a head may be"
    local long_head <const> = "431 the head is longer than allowed"
    local extensions <const> = "413 the extensions of a chunk are longer than allowed"
    local trailers <const> = "431 the trailers are longer than allowed"
    local body <const> = "413 the body is larger than allowed"

    for _, case in ipairs {
      { "a request line", { max_head = 30 }, "GET /" .. ("a"):rep(25), target },
      { "a head", { max_head = 30 }, "GET / HTTP/1.1\r\nHost: " .. ("a"):rep(8), long_head },
      { "a head of many lines", { max_head = 30 }, "GET / HTTP/1.1\r\n" .. ("A:\r\n"):rep(3) .. "B:", long_head },
      { "fields", { max_headers = 2 }, get("A: b", "C: d"), "431 more header fields than allowed" },
      { "a body", { max = 4 }, post "Content-Length: 5", body },
      { "any body that no number can hold", {}, post "Content-Length: 99999999999999999999", body },
      { "a body in one chunk", { max = 4 }, chunked "5\r\n", body },
      { "a body in several chunks", { max = 4 }, chunked "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", body },
      { "chunk extensions", {}, chunked("5;" .. ("a"):rep(254)), extensions },
      { "trailer fields", { max_headers = 2 }, chunked "0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n",
        "431 more trailer fields than allowed" },
      { "trailers", { max_head = 60 }, chunked("0\r\nA: " .. ("b"):rep(57)), trailers },
    } do
      local fact, options, bytes, why = table.unpack(case)
      it("hold for " .. fact, function()
        local limited = framing.http(options)
        assert.are.same({ answer = "too_large", length = 0, seen = 0, why = why }, feed(limited, bytes))
        if why:find "^4[13][14]" and not fact:find "field" then
          assert.are.equal("partial", feed(limited, bytes:sub(1, -2)).answer)
        end
      end)
    end

    it("allow just so much", function()
      local bytes = get "A: b"
      assert.are.equal("complete", feed(framing.http { max_head = #bytes, max_headers = 2 }, bytes).answer)
      bytes = chunked "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n"
      assert.are.equal("complete", feed(framing.http { max = 5, max_headers = 2 }, bytes).answer)
      assert.are.equal("complete", feed(framing.http { max = 5 }, post "Content-Length: 5" .. "hello").answer)
    end)

    it("hold for trailers also where a head may be long", function()
      local long = chunked("0\r\n" .. ("A: b\r\n"):rep(683))
      assert.are.equal(trailers, decode(framing.http { max_headers = 10000 }, long).why)
    end)

    it("hold for what chunks take besides their data", function()
      local limited <const> = framing.http { max = 1000, max_head = 100 }
      local tiny = chunked(("1;" .. ("a"):rep(200) .. "\r\nx\r\n"):rep(100))
      assert.are.equal(body, decode(limited, tiny).why)
    end)

    it("let malformed be malformed", function()
      assert.are.equal("malformed", feed(framing.http { max = 1 }, post "Content-Length: 5, 5").answer)
    end)
  end)
end)

describe("self.request behind framing.http", function()
  local bytes <const> = head("POST /a?b HTTP/1.1", "HOST: example.org", "X-One:  1\t", "Cookie: a=b", "x-one: 2",
    "Cookie: c=d", "Content-Length: 2", "X-Empty:") .. "hi"

  it("has all that stands in it", function()
    local request = request_of(bytes)
    assert.are.same({
      "POST", "/a?b", "1.1", "hi", true,
    }, { request.method, request.target, request.version, request.body, request.keep_alive })
    assert.are.same({
      host = "example.org", ["x-one"] = "1, 2", cookie = "a=b; c=d", ["content-length"] = "2", ["x-empty"] = "",
    }, request.headers)
  end)

  it("shows all of it to pairs, before and after the headers were looked at", function()
    local whole <const> = {
      method = "GET", target = "/", version = "1.1", body = "", keep_alive = true, headers = { host = "a" },
    }
    for _, looks_first in ipairs { true, false } do
      local request, found = request_of(get()), {}
      if looks_first then assert.are.equal("a", request.headers.host) end
      for key, value in pairs(request) do found[key] = value end
      assert.are.same(whole, found)
    end
  end)

  it("knows nothing else", function()
    local request = request_of(get())
    assert.is_nil(request.header)
    assert.is_nil(request[1])
    assert.is_nil(request.headers.Host)
    assert.are.equal(request.headers, request.headers)
  end)

  it("has what most have without asking for more, and what they have not", function()
    local function raw(request, ...)
      local values = {}
      for place, name in ipairs { ... } do values[place] = rawget(request, name) or false end
      return values
    end
    local names <const> = { "method", "version", "body", "keep_alive" }
    assert.are.same({ false, false, false, false }, raw(request_of(get()), table.unpack(names)))
    local odd = request_of(head("POST /a HTTP/1.0", "Content-Length: 2") .. "hi")
    assert.are.same({ "POST", "1.0", "hi", false }, raw(odd, table.unpack(names)))
    assert.is_false(odd.keep_alive)
    assert.are.equal("/a", odd.target)
  end)

  it("is a request of its own, also when the next one is there", function()
    local one, other = request_of(get("A: 1")), request_of(head("GET /b HTTP/1.1", "Host: b", "A: 2"))
    assert.are.same({ "/b", "2", "b" }, { other.target, other.headers.a, other.headers.host })
    assert.are.same({ "/", "1", "a" }, { one.target, one.headers.a, one.headers.host })
  end)

  it("has the host that the target names, instead of what Host says", function()
    local function host_of(...) return request_of(head(...)).headers.host end
    assert.are.equal("other:81", host_of("GET http://other:81/a HTTP/1.1", "Host: mine", "X: y"))
    assert.are.equal("Other", host_of("GET http://Other?a HTTP/1.1", "HOST: mine"))
    assert.are.equal("other", host_of("GET http://other HTTP/1.1", "Host:"))
    assert.are.equal("other", host_of "GET http://other/ HTTP/1.0")
    assert.are.equal("other:1", host_of("CONNECT other:1 HTTP/1.1", "Host: mine"))
    assert.are.equal("mine", host_of("OPTIONS * HTTP/1.1", "Host: mine"))
    assert.are.equal("mine", host_of("GET //other/ HTTP/1.1", "Host: mine"))
    assert.is_nil(host_of "GET / HTTP/1.0")
    local request = request_of(head("GET http://other/ HTTP/1.1", "Host: mine"))
    request.target = "/changed"
    assert.are.equal("other", request.headers.host)
  end)

  it("lowers long names, too", function()
    for _, length in ipairs { 31, 32, 33, 200 } do
      local request = request_of(get(("X"):rep(length) .. ": 1"))
      assert.are.equal("1", request.headers[("x"):rep(length)])
    end
  end)

  it("may be changed", function()
    local request = request_of(get())
    request.body, request.version, request.user = "mine", "9", "me"
    assert.are.same({ "mine", "9", "me", "a" }, { request.body, request.version, request.user, request.headers.host })
    assert.are.same({ "mine", "9" }, { request.body, request.version })
  end)

  for _, case in ipairs {
    { "1.1", nil, true },
    { "1.1", "Connection: close", false },
    { "1.1", "Connection: keep-alive, Close", false },
    { "1.1", "connection: TE", true },
    { "1.1", "Connection: closed", true },
    { "1.1", "Connection: close;q=1", true },
    { "1.1", "Connection: a b close", true },
    { "1.1", 'Connection: "close"', true },
    { "1.1", "Connection: , ,close\t,", false },
    { "1.1", "Connection: TE,close", false },
    { "1.0", nil, false },
    { "1.0", "Connection: keep-alive", true },
    { "1.0", "Connection: Keep-Alive, close", false },
  } do
    local version, field, expected = table.unpack(case, 1, 3)
    it(("keep_alive is %s for %s with %s"):format(expected, version, field or "nothing"), function()
      assert.are.equal(expected, request_of(head("GET / HTTP/" .. version, "Host: a", field)).keep_alive)
    end)
  end

  it("stays sound when a script meddles with what it is made of", function()
    for _, lines in ipairs { "", "x", "\n", "\r\n", "a: b\n", "a b\r\n", "a: b\r\n\r\n", "\0\r\n" } do
      local request = request_of(get())
      for key, value in next, request do
        if type(key) == "userdata" then
          assert.are.equal("Host: a\r\n", value)
          request[key] = lines
        end
      end
      assert.are.equal("table", type(request.headers))
    end
    local index = getmetatable(request_of(get())).__index
    assert.is_nil(index({}, "headers"))
    assert.has_error(function() index(1, "headers") end)
  end)

  it("takes the bytes of an empty line before it for nothing", function()
    assert.are.equal("/", request_of("\r\n" .. get()).target)
  end)
end)
