local rooms = require "parlance_spec"
package.loaded["parlance.framing"] = rooms.framing.open()
package.loaded["parlance.http.response"] = rooms.script.open_http_response()
package.loaded["parlance.http.url"] = rooms.script.open_http_url()

local conditions = require "parlance.http.conditions"
local http = require "parlance.http"
local type_of = require "parlance.http.types"

-- What make_response() returns for a request, as text; the Date is left out. And the connection's self.
local function answer(handler, request)
  local protocol = http.serve(handler)
  request = request or { method = "GET", target = "/", version = "1.1", keep_alive = true }
  local self = setmetatable({ request = request }, { __index = protocol })
  local response = self:make_response()
  if type(response) == "table" then
    for place, item in ipairs(response) do
      if type(item) == "function" then
        local pieces = {}
        for piece in item do pieces[#pieces + 1] = piece end
        response[place] = table.concat(pieces)
      elseif type(item) == "table" then
        response[place] = item.file:read(item.length)
      end
    end
    response = table.concat(response)
  end
  return (response:gsub("Date: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n", "")), self
end

local RETURNS <const> = debug.getinfo(1, "l").currentline + 4 -- where the handlers are that it makes

local function returning(...)
  local values = table.pack(...)
  return function() return table.unpack(values, 1, values.n) end
end

local function temporary(content)
  local file = assert(io.tmpfile())
  file:write(content)
  file:seek "set"
  return file
end

describe("http.serve", function()
  for _, case in ipairs {
    { "answers with a string", { 200, nil, "hi\n" }, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n" },
    { "answers with nothing", { 200 }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "answers with an empty string", { 200, nil, "" }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "takes any status", { 404, nil, "x" }, "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx" },
    { "takes a status without a name", { 299, nil, "x" }, "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\nx" },
    { "gives no length to 204", { 204 }, "HTTP/1.1 204 No Content\r\n\r\n" },
    { "gives no length to 304", { 304, { ETag = '"a"' } }, 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n' },
    { "takes numbers as values", { 200, { A = 1 } }, "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\n\r\n" },
    { "takes a list of values", { 200, { ["Set-Cookie"] = { "a=b", "c=d" } } },
      "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n" },
    { "adds up a list", { 200, nil, { "ab", "", "c" } }, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" },
    { "closes when it is told to", { 200, { Connection = "close" }, "x" },
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx" },
  } do
    local fact, values, expected = table.unpack(case)
    it(fact, function()
      local text, self = answer(returning(table.unpack(values, 1, 3)))
      assert.are.equal(expected, text)
      assert.are.equal(expected:find "close" ~= nil, self.close_when_done)
    end)
  end

  -- What was said before is said in a shorter way, which must be the same.
  local TEXT <const>, ORDINARY <const> = { ["Content-Type"] = "text/plain" }, { method = "GET", keep_alive = true }
  for _, case in ipairs {
    { "a header", ORDINARY, { 200, TEXT, "hi" },
      "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi" },
    { "another status", ORDINARY, { 404, TEXT, "hi" },
      "404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi" },
    { "a long body", ORDINARY, { 200, {}, ("x"):rep(20000) },
      "200 OK\r\nContent-Length: 20000\r\n\r\n" .. ("x"):rep(20000) },
    { "an empty body", ORDINARY, { 200, TEXT, "" },
      "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n" },
    { "no body", ORDINARY, { 204, TEXT, "" }, "204 No Content\r\nContent-Type: text/plain\r\n\r\n" },
    { "a table of no headers", ORDINARY, { 200, {}, "hi" }, "200 OK\r\nContent-Length: 2\r\n\r\nhi" },
    { "false for headers", ORDINARY, { 200, false, "hi" }, "200 OK\r\nContent-Length: 2\r\n\r\nhi" },
    { "a list of values", ORDINARY, { 200, { A = { "a", 1 } }, "hi" },
      "200 OK\r\nA: a\r\nA: 1\r\nContent-Length: 2\r\n\r\nhi" },
    { "a connection that stays", ORDINARY, { 200, { Connection = "Upgrade" }, "hi" },
      "200 OK\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi" },
    { "a connection to close", ORDINARY, { 200, { CONNECTION = "Close" }, "hi" },
      "200 OK\r\nCONNECTION: Close\r\nContent-Length: 2\r\n\r\nhi", true },
    { "a client that closes", { method = "GET" }, { 200, TEXT, "hi" },
      "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", true },
    { "HEAD", { method = "HEAD", keep_alive = true }, { 200, TEXT, "hi" },
      "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" },
    { "HTTP/1.0", { method = "GET", keep_alive = true, version = "1.0" }, { 200, TEXT, "hi" },
      "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi" },
  } do
    local fact, request, values, expected, closes = table.unpack(case, 1, 5)
    it("says the same every time with " .. fact, function()
      for _ = 1, 3 do
        local text, self = answer(returning(table.unpack(values)), request)
        assert.are.equal("HTTP/1.1 " .. expected, text)
        assert.are.equal(closes or false, self.close_when_done)
      end
    end)
  end

  it("has several headers, known or new, each once", function()
    local headers = { ["Content-Type"] = "text/plain", ["Cache-Control"] = "no-store", ["Set-Cookie"] = { "a", "b" } }
    for round = 1, 3 do
      if round == 3 then headers["X-Round"], headers["Set-Cookie"] = round, nil end
      local text, lines = answer(returning(200, headers, "hi")), {}
      for line in text:match("^(.*\r\n)\r\nhi$"):gmatch "(.-)\r\n" do lines[#lines + 1] = line end
      table.sort(lines)
      local expected = { "Cache-Control: no-store", "Content-Length: 2", "Content-Type: text/plain",
        "HTTP/1.1 200 OK", "Set-Cookie: a", "Set-Cookie: b" }
      if round == 3 then expected[5], expected[6] = "X-Round: 3", nil end
      assert.are.same(expected, lines)
    end
  end)

  it("has them in the order of the alphabet, and a list of values as it was given", function()
    local headers = { ["Set-Cookie"] = { "z=1", "a=2", "z=1" } }
    local lines = "Set-Cookie: z=1\r\nSet-Cookie: a=2\r\nSet-Cookie: z=1\r\n"
    for letter in ("TUVWXYZ"):gmatch "." do headers[letter], lines = "1", lines .. letter .. ": 1\r\n" end
    for letter in ("RQPONMLKJIHGFEDCBA"):gmatch "." do headers[letter], lines = "1", letter .. ": 1\r\n" .. lines end
    local expected = "HTTP/1.1 200 OK\r\n" .. lines .. "Content-Length: 1\r\n\r\nx"
    assert.are.equal(expected, (answer(returning(200, headers, "x"))))
    assert.are.equal(expected, (answer(returning(200, headers, { "x" }))))
  end)

  it("gives the same head twice, and another for another length", function()
    local body = "a"
    local protocol = http.serve(function() return 200, nil, body end)
    local self = { request = { method = "GET", keep_alive = true, version = "1.1" } }
    local first = protocol.make_response(self)
    assert.are.equal(first, protocol.make_response(self))
    body = "bb"
    assert.truthy(protocol.make_response(self):find("Content-Length: 2\r\n\r\nbb", 1, true))
  end)

  it("tells the date", function()
    local text = http.serve(returning(200)).make_response { request = { method = "GET", keep_alive = true } }
    local time = http.parse_date(text:match "Date: ([^\r]+)\r\n")
    assert.is_true(math.abs(time - os.time()) <= 2)
  end)

  it("sends a file with its length, from where it stands", function()
    local file = temporary "0123456789"
    file:seek("set", 4)
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n456789", (answer(returning(200, nil, file))))
  end)

  it("sends a part of a file", function()
    local part = { file = temporary "0123456789", length = 3 }
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n012", (answer(returning(200, nil, part))))
  end)

  local function counter()
    local pieces, at = { "ab", "", ("c"):rep(20) }, 0
    return function()
      at = at + 1
      return pieces[at]
    end
  end

  it("sends a function in chunks", function()
    assert.are.equal(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n2\r\nab\r\n14\r\n" .. ("c"):rep(20)
        .. "\r\n3\r\nxyz\r\n0\r\n\r\n",
      (answer(returning(200, nil, { "x", counter(), "", { file = temporary "xyz", length = 3 } }))))
  end)

  it("sends a file that does not tell its length in chunks", function()
    local pipe = assert(io.popen "printf abc")
    assert.are.equal("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      (answer(returning(200, nil, pipe))))
  end)

  it("sends a function as it is in HTTP/1.0, and closes", function()
    local text, self = answer(returning(200, nil, counter()),
      { method = "GET", version = "1.0", keep_alive = true })
    assert.are.equal("HTTP/1.1 200 OK\r\n\r\nab" .. ("c"):rep(20), text)
    assert.is_true(self.close_when_done)
  end)

  it("says to HTTP/1.0 that the connection stays", function()
    local text, self = answer(returning(200, nil, "x"), { method = "GET", version = "1.0", keep_alive = true })
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx", text)
    assert.is_false(self.close_when_done)
  end)

  it("says that it closes when the client wants it to", function()
    local text, self = answer(returning(200, nil, "x"), { method = "GET", version = "1.1", keep_alive = false })
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", text)
    assert.is_true(self.close_when_done)
  end)

  it("sends no body for HEAD, and closes the file", function()
    local head = { method = "HEAD", version = "1.1", keep_alive = true }
    local file, was_called = temporary "0123456789", false
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", (answer(returning(200, nil, file), head)))
    assert.are.equal("closed file", io.type(file))
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", (answer(returning(200, nil, "ab"), head)))
    local function body() was_called = true end
    assert.are.equal("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      (answer(returning(200, nil, body), head)))
    assert.is_false(was_called)
  end)

  for _, case in ipairs {
    { "a line ending in a value", { 200, { A = "b\r\nC: d" } }, "the header A cannot have the value" },
    { "a line feed in a value", { 200, { A = "b\n" } }, "the header A cannot have the value" },
    { "a carriage return in a listed value", { 200, { A = { "b\r" } } }, "the header A cannot have the value" },
    { "a NUL in a value", { 200, { A = "\0" } }, "the header A cannot have the value" },
    { "a value that is no text", { 200, { A = true } }, "the header A cannot have the value" },
    { "a line ending in a name", { 200, { ["A\r\nB"] = "c" } }, "is no name of a header" },
    { "a colon in a name", { 200, { ["A:"] = "c" } }, "is no name of a header" },
    { "an empty name", { 200, { [""] = "c" } }, "is no name of a header" },
    { "a number for a name", { 200, { "c" } }, "is no name of a header" },
    { "a length", { 200, { ["content-length"] = 3 } }, "the header content-length is made by parlance.http" },
    { "an encoding", { 200, { ["Transfer-Encoding"] = "x" } }, "the header Transfer-Encoding is made" },
    { "no status", {}, "the status must be a whole number from 200 to 599, not nil" },
    { "a status of 100", { 100 }, "the status must be a whole number from 200 to 599, not 100" },
    { "a status of 1000", { 1000, nil, "" }, "the status must be" },
    { "a text for a status", { "200", nil, "" }, "the status must be" },
    { "a number for a body", { 200, nil, 5 }, "a body cannot be made of a number" },
    { "a table for a body", { 200, nil, { { length = 5 } } },
      "a body cannot be made of a list whose item 1 is a table" },
    { "a part of a file without a length", { 200, nil, { file = io.stdin } },
      "a body cannot be made of a part of a file without a whole number for its length" },
    { "a part of no file", { 200, nil, { "a", { file = "name", length = 1 } } }, "whose item 2 is a part of no file" },
    { "a nil in a list", { 200, nil, { "hello ", nil, "ann", "\n" } },
      "a body cannot be made of a list whose item 2 is a nil" },
    { "a nil first in a list", { 200, nil, { nil, "ann" } }, "a body cannot be made of a list whose item 1 is a nil" },
    { "a nil that the length does not show", { 200, nil, { [1] = "a", [3] = "c" } }, "whose item 2 is a nil" },
    { "a list that begins later", { 200, nil, { [2] = "b" } }, "whose item 1 is a nil" },
    { "fields in a body", { 200, nil, { ok = true } }, 'a body cannot be made of a table with the field "ok"' },
    { "fields beside a list", { 200, nil, { "a", length = 1 } },
      'a body cannot be made of a table with the field "length"' },
    { "a number in a list", { 200, nil, { "a", 5 } }, "a body cannot be made of a list whose item 2 is a number" },
    { "true for a body", { 200, nil, true }, "a body cannot be made of a boolean" },
    { "a nil in a list of values", { 200, { A = { "a", nil, "c" } } }, "the list of the header A has a nil in it" },
    { "a list of values that begins later", { 200, { A = { [2] = "c" } } },
      "the list of the header A has a nil in it" },
    { "fields in a list of values", { 200, { A = { "a", b = "c" } } }, "or other fields than its items" },
    { "a text for headers", { 200, "hello" }, "headers must be a table, not a string; the body is the third value" },
    { "a number for headers", { 200, 5, "x" }, "headers must be a table, not a number" },
    { "true for headers", { 200, true, "x" }, "headers must be a table, not a boolean" },
    { "a function for headers", { 200, print, "x" }, "headers must be a table, not a function" },
    { "a text for everything", { "hello" }, "the status must be a whole number from 200 to 599, not hello" },
    { "a table for everything", { {} }, "the status must be a whole number from 200 to 599, not table: " },
    { "a body for 204", { 204, nil, "x" }, "a response with status 204 has no body" },
  } do
    local fact, values, message = table.unpack(case)
    it("refuses " .. fact, function()
      local is_made, why = pcall(answer, returning(table.unpack(values, 1, 3)))
      assert.is_false(is_made)
      assert.truthy(why:find(message, 1, true), why)
      assert.truthy(why:find("http_spec.lua:" .. RETURNS .. ": handler: ", 1, true), why)
    end)
  end

  it("names the handler also when a piece of a body is none", function()
    local _, why = pcall(answer, function() return 200, nil, function() return 5 end end)
    assert.truthy(why:find("http_spec.lua:%d+: handler: the body's function returned a number$"), why)
  end)

  it("needs a handler", function()
    for _, wrong in ipairs { 5, "x", true, {}, setmetatable({}, {}) } do
      assert.error_matches(function() http.serve(wrong) end,
        "http.serve needs a function from requests to responses, not a ")
    end
    assert.error_matches(function() http.serve() end, "not a nil")
    local callable = setmetatable({}, { __call = function(_, request) return 200, nil, request.target end })
    assert.truthy(answer(callable):find("\r\n\r\n/$"))
    assert.error_matches(function() answer(setmetatable({}, { __call = function() end })) end, "^the status must be")
  end)

  it("takes a list that a metatable makes", function()
    local list = setmetatable({}, { __index = function(_,
      place) return type(place) == "number" and place <= 3 and "x" or nil end })
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxxx", (answer(returning(200, nil, list))))
  end)

  it("takes options for the framing and the protocol", function()
    local protocol = http.serve(returning(200), { max = 10, max_headers = 5, listen = ":80", idle_timeout = 5 })
    assert.are.equal("framing.http { max_head = 16384, max_headers = 5, max = 10 }",
      tostring(protocol.request_complete))
    assert.are.same({ ":80", 5 }, { protocol.listen, protocol.idle_timeout })
    assert.has_error(function() http.serve(returning(200), { maximum = 1 }) end, 'http.serve has no option "maximum"')
  end)

  describe("options.expect", function()
    local function refuse(...)
      local protocol = http.serve(returning(200), { expect = returning(...) })
      local self = setmetatable({ request = { method = "POST", version = "1.1", keep_alive = true } },
        { __index = protocol })
      local response = self:handle_expect()
      return response and (response:gsub("Date: [^\r]*\r\n", "")), self
    end

    it("has the body sent when it returns nothing", function()
      assert.is_nil((refuse()))
      assert.is_nil((refuse(nil)))
    end)

    it("refuses with a response, behind which the connection closes", function()
      local response, self = refuse(403, { A = "b" }, "no")
      assert.are.equal("HTTP/1.1 403 Forbidden\r\nA: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", response)
      assert.is_false(self.request.keep_alive)
    end)

    it("is asked with the request and the connection", function()
      local given
      local protocol = http.serve(returning(200), { expect = function(...) given = { ... } end })
      local self = { request = {} }
      protocol.handle_expect(self)
      assert.are.same({ self.request, self }, given)
    end)

    it("must return a response if anything", function()
      assert.error_matches(function() refuse(false) end, "handler: the status must be")
      assert.error_matches(function() refuse(100) end, "the status must be")
      assert.error_matches(function() refuse(403, nil, { "a", nil, "b" }) end, "item 2 is a nil")
    end)

    it("is not there unless it is given", function()
      assert.is_nil(http.serve(returning(200)).handle_expect)
    end)
  end)

  it("hands over the request and the connection", function()
    local given
    local _, self = answer(function(request, client)
      given = { request, client }
      return 200
    end)
    assert.are.equal(self.request, given[1])
    assert.are.equal(self, given[2])
  end)

  describe("last words", function()
    for _, case in ipairs {
      { "malformed", "400 Host is missing", "400 Bad Request", "Host is missing\n" },
      { "malformed", "501 a Transfer-Encoding other than chunked", "501 Not Implemented",
        "a Transfer-Encoding other than chunked\n" },
      { "malformed", "505 the version", "505 HTTP Version Not Supported", "the version\n" },
      { "too_large", "431 more header fields than allowed", "431 Request Header Fields Too Large",
        "more header fields than allowed\n" },
      { "too_large", "414 the request line", "414 URI Too Long", "the request line\n" },
      { "too_large", "the request is over max_request", "413 Content Too Large", "the request is over max_request\n" },
      { "malformed", "417 an expectation", "417 Expectation Failed", "an expectation\n" },
      { "overloaded", "too much waits", "503 Service Unavailable", "too much waits\n" },
      { "request_timeout", "the request did not get complete", "408 Request Timeout",
        "the request did not get complete\n" },
      { "script_error", "400 secret\ntraceback", "500 Internal Server Error", "" },
      { "script_overrun", "secret", "500 Internal Server Error", "" },
    } do
      local reason, detail, status, text = table.unpack(case)
      it(("answer %s with %s"):format(reason, status), function()
        local response = http.serve(returning(200)):handle_error(reason, detail)
        assert.are.equal("HTTP/1.1 " .. status, response:match "^[^\r]+")
        assert.truthy(response:find("\r\nConnection: close\r\n", 1, true))
        assert.are.equal(status .. "\n" .. text, response:match "\r\n\r\n(.*)$")
        assert.are.equal(#status + 1 + #text, tonumber(response:match "Content%-Length: (%d+)"))
        assert.are.equal(status:find "^503" and "1" or nil, response:match "Retry%-After: (%d+)\r\n")
        for _, incoming in ipairs { "HEAD / HTTP/1.1\r\n", "\r\nHEAD ", "HEAD  x" } do
          local self = setmetatable({ incoming = incoming, request = { method = "HEAD" } },
            { __index = http.serve(returning(200)) })
          local head = response:match "^(.*\r\n\r\n)"
          assert.are.equal(head:gsub("Date: [^\r]*", ""), (self:handle_error(reason, detail):gsub("Date: [^\r]*", "")))
        end
        for _, incoming in ipairs {
          "HEADER / HTTP/1.1", "HEAD", "", "GET / HTTP/1.1\r\n\r\nHEAD ", " HEAD ", "\nHEAD ", "\rHEAD ",
        } do
          local self = setmetatable({ incoming = incoming, request = { method = "GET" } },
            { __index = http.serve(returning(200)) })
          assert.are.equal(#response, #self:handle_error(reason, detail))
        end
      end)
    end

    it("for a request that became none do not look at the one before it", function()
      local self = setmetatable({ incoming = "GET /", request = { method = "HEAD" } },
        { __index = http.serve(returning(200)) })
      assert.truthy(self:handle_error("malformed", "400 x"):find "\r\n\r\n400 Bad Request\nx\n$")
    end)
  end)
end)

describe("dates", function()
  it("are written in the form of today", function()
    assert.are.equal("Sun, 06 Nov 1994 08:49:37 GMT", http.date(784111777))
    assert.are.equal("Thu, 01 Jan 1970 00:00:00 GMT", http.date(0))
  end)

  it("are read in all three forms", function()
    for _, text in ipairs {
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    } do
      assert.are.equal(784111777, http.parse_date(text))
    end
  end)

  it("are read as they are written", function()
    for time = 0, 4102444800, 86400 * 97 + 12345 do assert.are.equal(time, http.parse_date(http.date(time))) end
    assert.are.equal(951782400, http.parse_date "Tue, 29 Feb 2000 00:00:00 GMT")
  end)

  it("are not read from anything else", function()
    for _, text in ipairs {
      "", "now", "784111777", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
    } do
      assert.is_nil(http.parse_date(text))
    end
  end)
end)

describe("texts", function()
  it("are decoded once", function()
    for encoded, text in pairs {
      ["a"] = "a", ["%41"] = "A", ["%2e%2E%2f"] = "../", ["%252e"] = "%2e", ["%00"] = "\0", ["a+b"] = "a+b",
      ["%c3%a4"] = "ä",
    } do
      assert.are.equal(text, http.decode(encoded))
    end
    for _, text in ipairs { "%", "%4", "%4g", "%%41", "a%zz", "%-1" } do assert.is_nil(http.decode(text)) end
  end)

  it("are encoded so that nothing of them means anything", function()
    assert.are.equal("a-b._~0%2F%25%20%3A%C3%A4", http.encode "a-b._~0/% :ä")
  end)

  it("are escaped for pages", function()
    assert.are.equal("&lt;a href=&quot;&#39;&amp;&quot;&gt;", http.escape [[<a href="'&">]])
  end)

  it("are split at the question mark", function()
    for target, parts in pairs {
      ["/"] = { "/" }, ["/a?"] = { "/a", "" }, ["/a?b=c?d"] = { "/a", "b=c?d" },
      ["http://h:80/a?b"] = { "/a", "b" }, ["http://h"] = { "/" }, ["*"] = { "*" }, ["//h/a"] = { "//h/a" },
      [""] = { "/" }, ["?a"] = { "/", "a" }, ["h2+x.-://h/?"] = { "/", "" }, ["2h://h/a"] = { "2h://h/a" },
      ["h:/a"] = { "h:/a" }, ["a\0b"] = { "a\0b" },
    } do
      assert.are.same(parts, { http.split(target) })
    end
  end)

  it("are read as queries", function()
    assert.are.same({ a = "1", b = "x y", c = "", ["d e"] = "&", f = "%" },
      http.query "a=0&a=1&b=x+y&c=&d%20e=%26&&f=%")
    assert.are.same({}, http.query(nil))
  end)
end)

describe("types", function()
  for name, expected in pairs {
    ["a.html"] = "text/html; charset=utf-8", ["b/A.PNG"] = "image/png", ["a.tar.gz"] = "application/gzip",
    ["html"] = "application/octet-stream", ["a."] = "application/octet-stream", [".html"] = "application/octet-stream",
    ["a.js/b"] = "application/octet-stream", ["b/README"] = "text/plain; charset=utf-8", ["a.mkv"] = "video/matroska",
    ["Makefile"] = "text/plain; charset=utf-8", ["readme"] = "application/octet-stream",
      ["a.yml"] = "text/plain; charset=utf-8",
    ["README/b"] = "application/octet-stream", ["a.vtt"] = "text/vtt; charset=utf-8", ["a.mov"] = "video/quicktime",
      ["a.x y"] = "application/octet-stream",
  } do
    it("knows " .. name, function() assert.are.equal(expected, type_of(name)) end)
  end
end)

describe("conditions", function()
  local TAG <const>, TIME <const> = '"a"', 784111777
  local now, before, after = http.date(TIME), http.date(TIME - 1), http.date(TIME + 1)

  for _, case in ipairs {
    { {}, nil },
    { { ["if-none-match"] = '"a"' }, 304 }, { { ["if-none-match"] = 'W/"a"' }, 304 },
    { { ["if-none-match"] = '"b", "a"' }, 304 }, { { ["if-none-match"] = "*" }, 304 },
    { { ["if-none-match"] = '"b"' }, nil }, { { ["if-none-match"] = "a" }, nil },
    { { ["if-none-match"] = '"b,a"' }, nil }, { { ["if-none-match"] = '"b" , ,W/"c",\t"a",' }, 304 },
    { { ["if-none-match"] = '"b" "a"' }, nil }, { { ["if-none-match"] = '"a" b' }, nil },
    { { ["if-none-match"] = '"a", *' }, nil }, { { ["if-none-match"] = 'w/"a"' }, nil },
    { { ["if-none-match"] = '/"a"' }, nil }, { { ["if-none-match"] = '"a' }, nil },
    { { ["if-none-match"] = "\t*\t" }, 304 }, { { ["if-match"] = '"b", "a"' }, nil }, { { ["if-match"] = '"a' }, 412 },
    { { ["if-match"] = '"a" "b"' }, 412 }, { { ["if-match"] = "" }, 412 }, { { ["if-match"] = "a" }, 412 },
    { { ["if-unmodified-since"] = "x" }, nil },
    { { ["if-match"] = '"b"', ["if-none-match"] = '"a"' }, 412 },
    { { ["if-match"] = '"a"', ["if-none-match"] = '"a"' }, 304 },
    { { ["if-unmodified-since"] = now, ["if-modified-since"] = now }, 304 },
    { { ["if-unmodified-since"] = before, ["if-none-match"] = '"a"' }, 412 }, { { ["if-none-match"] = "" }, nil },
    { { ["if-modified-since"] = now }, 304 }, { { ["if-modified-since"] = after }, 304 },
    { { ["if-modified-since"] = before }, nil }, { { ["if-modified-since"] = "x" }, nil },
    { { ["if-none-match"] = '"b"', ["if-modified-since"] = now }, nil },
    { { ["if-match"] = '"a"' }, nil }, { { ["if-match"] = "*" }, nil },
    { { ["if-match"] = '"b"' }, 412 }, { { ["if-match"] = 'W/"a"' }, 412 },
    { { ["if-unmodified-since"] = before }, 412 }, { { ["if-unmodified-since"] = now }, nil },
    { { ["if-match"] = '"a"', ["if-unmodified-since"] = before }, nil },
  } do
    local headers, status = table.unpack(case, 1, 2)
    local name, value = next(headers)
    it(("answer %s with %s"):format(name and name .. ": " .. value or "nothing", status), function()
      assert.are.equal(status, conditions.check(headers, TAG, TIME))
    end)
  end

  for _, case in ipairs {
    { "bytes=0-3", 10, 0, 3 }, { "bytes=4-", 10, 4, 9 }, { "bytes=-4", 10, 6, 9 }, { "bytes=-40", 10, 0, 9 },
    { "bytes=9-9", 10, 9, 9 }, { "Bytes=9-9", 10, 9, 9 }, { "bytes=0-99999999999999999999", 10, 0, 9 },
    { "bytes=10-", 10, false }, { "bytes=99999999999999999999-", 10, false }, { "bytes=-0", 10, false },
    { "bytes=0-", 0, false }, { "bytes=-1", 0, false },
    { "bytes=3-2", 10 }, { "bytes=-", 10 }, { "bytes=", 10 }, { "bytes=0-1,3-4", 10 }, { "lines=0-1", 10 },
    { "bytes=a-b", 10 }, { "bytes= 0-1", 10 }, { "bytes=--1", 10 },
  } do
    local range, size, first, last = table.unpack(case, 1, 4)
    it(("read %s of %d bytes"):format(range, size), function()
      assert.are.same({ first, last }, { conditions.range({ range = range }, size, TAG, TIME) })
    end)
  end

  it("give a range only of what the client has a part of", function()
    local function first(if_range, tag)
      local headers = { range = "bytes=1-2", ["if-range"] = if_range }
      return (conditions.range(headers, 10, tag or TAG, TIME, true)),
        (conditions.range(headers, 10, tag or TAG, TIME, false))
    end
    assert.are.same({ 1, 1 }, { first '"a"' })
    assert.are.same({ 1, nil }, { first(now) })
    for _, other in ipairs { '"b"', 'W/"a"', '"a", "b"', '"b", "a"', before, after, "x", "*", "" } do
      assert.are.same({}, { first(other) })
    end
    assert.are.same({}, { first('W/"a"', 'W/"a"') })
    assert.are.same({}, { first('"a"', 'W/"a"') })
  end)

  it("hold for what has neither a tag nor a date", function()
    for _, case in ipairs {
      { {}, nil }, { { ["if-match"] = '"a"' }, 412 }, { { ["if-match"] = "*" }, nil }, { { ["if-none-match"] = "*" },
        304 },
      { { ["if-none-match"] = '"a"' }, nil }, { { ["if-none-match"] = '""' }, nil },
      { { ["if-modified-since"] = after }, nil }, { { ["if-unmodified-since"] = before }, nil },
    } do
      assert.are.equal(case[2], conditions.check(case[1]))
    end
  end)
end)
