-- What lua/parlance/http.lua makes the heads of responses with. What a script sees of it is told in
-- spec/parlance/http_spec.lua.

local rooms = require "parlance_spec"
local framing = rooms.framing.open()
local new = rooms.script.open_http_response().new

local REASONS <const> = { [200] = "OK", [204] = "No Content", [299] = 5, [298] = false }
local DATE <const> = "Date: then\r\n"

local function date() return "then" end

local make = new(REASONS, date)

-- A request as the core makes it.
local function request_of(method, version, field)
  local self = { incoming = ("%s / HTTP/%s\r\nHost: a\r\n%s\r\n"):format(method, version, field or "") }
  assert(framing.http()(self))
  return self.request
end

-- The lines of the headers in the response, without those that are always there.
local function lines_of(headers, maker)
  local head = (maker or make)(request_of("GET", "1.1"), 200, headers, "x")
  local lines = head:match("^HTTP/1.1 200 OK\r\n" .. DATE .. "(.*)Content%-Length: 1\r\n\r\nx$")
  return assert(lines, head)
end

local function refused(message, ...)
  local is_made, why = pcall(make, ...)
  assert.is_false(is_made)
  assert.are.equal(message, why)
end

describe("parlance.http.response", function()
  describe("the request", function()
    for _, case in ipairs {
      { "of the core", request_of("GET", "1.1"), "Content-Length: 1\r\n\r\nx", false },
      { "of the core that closes", request_of("GET", "1.1", "Connection: close\r\n"),
        "Content-Length: 1\r\nConnection: close\r\n\r\nx", true },
      { "of the core of an older version", request_of("GET", "1.0"), "Content-Length: 1\r\n\r\nx", true },
      { "of the core of an older version that stays", request_of("GET", "1.0", "Connection: keep-alive\r\n"),
        "Content-Length: 1\r\nConnection: keep-alive\r\n\r\nx", false },
      { "of the core for a head", request_of("HEAD", "1.1"), "Content-Length: 1\r\n\r\n", false },
      { "of the core with a method of its own", request_of("HEAD2", "1.1"), "Content-Length: 1\r\n\r\nx", false },
      { "of a script", { keep_alive = true }, "Content-Length: 1\r\n\r\nx", false },
      { "of a script that does not say whether it stays", {}, "Content-Length: 1\r\nConnection: close\r\n\r\nx", true },
      { "of a script with a metatable", setmetatable({}, { __index = request_of("HEAD", "1.0") }),
        "Content-Length: 1\r\n\r\n", true },
    } do
      local what, request, rest, closes = table.unpack(case)
      it(what .. " decides what the head is", function()
        assert.are.same({ "HTTP/1.1 200 OK\r\n" .. DATE .. rest, closes }, { make(request, 200, nil, "x") })
      end)
    end

    it("of the core may be changed by the script", function()
      local request = request_of("GET", "1.1")
      request.keep_alive = false
      assert.is_true(select(2, make(request, 200)))
      request.keep_alive, request.version = true, "1.0"
      assert.truthy(make(request, 200):find("Connection: keep-alive", 1, true))
      request.method = "HEAD"
      assert.is_nil((make(request, 200, nil, "body"):find("body", 1, true)))
    end)

    it("of the core counts the same when all its fields were asked for", function()
      local request = request_of("GET", "1.1")
      for name in pairs(request) do assert.is_string(name) end
      assert.are.same({ make(request_of("GET", "1.1"), 200, nil, "x") }, { make(request, 200, nil, "x") })
    end)

    it("has to be something with fields", function()
      assert.is_false((pcall(make, nil, 200)))
      assert.is_false((pcall(make, 5, 200)))
    end)
  end)

  describe("the status line", function()
    it("has the name of the status", function()
      assert.are.equal("HTTP/1.1 200 OK\r\n" .. DATE .. "Content-Length: 0\r\n\r\n", (make({ keep_alive = true }, 200)))
    end)

    it("takes a number for a name, and lacks one where there is none", function()
      for status, text in pairs { [299] = "299 5", [298] = "298 ", [297] = "297 ", [599] = "599 " } do
        assert.are.equal("HTTP/1.1 " .. text, (make({}, status):match "^[^\r]*"))
      end
    end)

    it("refuses a name that would be more than a name", function()
      local other = new({ [200] = "OK\r\nSet-Cookie: a=b", [201] = {} }, date)
      assert.has_error(function() other({}, 200) end)
      assert.has_error(function() other({}, 201) end)
    end)

    for _, status in ipairs { 0, 199, 600, -200, 200.0, 200.5, "200", 1 << 62, math.huge, true, {} } do
      it("refuses the status " .. type(status) .. " " .. tostring(status), function()
        refused("the status must be a whole number from 200 to 599, not " .. tostring(status), {}, status)
      end)
    end
  end)

  describe("the date", function()
    it("is asked for once a second, and never an older one", function()
      local times = {}
      local maker = new(REASONS, function(time)
        times[#times + 1] = time
        return tostring(time)
      end)
      local started = os.time()
      for _ = 1, 1000 do maker({}, 200) end
      local ended = os.time()
      assert.is_true(#times >= 1 and #times <= ended - started + 1)
      for place, time in ipairs(times) do
        assert.is_true(time >= started and time <= ended)
        assert.is_true(place == 1 or time > times[place - 1])
      end
      assert.truthy(maker({}, 200):find("Date: " .. times[#times], 1, true))
    end)

    it("that cannot be made is an error, and asked for again", function()
      local fails = true
      local maker = new(REASONS, function() return not fails and "then" or error "no date" end)
      assert.has_error(function() maker({}, 200) end)
      fails = false
      assert.truthy(maker({}, 200):find(DATE, 1, true))
    end)
  end)

  describe("headers", function()
    it("may have tokens for names, and nothing else", function()
      local token <const> = "[%w!#$%%&'*+.^_`|~-]"
      for byte = 0, 255 do
        local name = "A" .. string.char(byte) .. "b"
        if string.char(byte):find(token) then
          assert.are.equal(name .. ": 1\r\n", lines_of { [name] = 1 })
        else
          refused(("%q is no name of a header"):format(name), {}, 200, { [name] = 1 })
        end
      end
    end)

    it("may have values without control bytes but tabs", function()
      for byte = 0, 255 do
        for _, form in ipairs { "%s", "a%sb", "a%s", ("a"):rep(50) .. "%s" .. ("b"):rep(50) } do
          local value = (form:gsub("%%s", { ["%s"] = string.char(byte) }))
          if byte == 9 or byte >= 32 and byte ~= 127 then
            assert.are.equal("A: " .. value .. "\r\n", lines_of { A = value })
          else
            local message <const> = ("the header A cannot have the value %q"):format(value)
            refused(message, {}, 200, { A = value })
            refused(message, {}, 200, { A = { "sound", value } })
          end
        end
      end
    end)

    for _, name in ipairs {
      "Date", "DATE", "Content-Length", "content-lengtH", "Transfer-Encoding", "TRANSFER-encoding",
    } do
      it("are not the script's where they tell how the bytes lie: " .. name, function()
        refused(("the header %s is made by parlance.http"):format(name), {}, 200, { [name] = "1" })
        refused(("the header %s is made by parlance.http"):format(name), {}, 200, { [name] = { "1" } })
      end)
    end

    it("may have names that only look like those", function()
      for _, name in ipairs { "Dates", "Content-Lengths", "Content_Length", "Transfer-Encodinh", "xDate" } do
        assert.are.equal(name .. ": 1\r\n", lines_of { [name] = "1" })
      end
    end)

    it("take numbers, and leave them as they are in the script's table", function()
      local headers = { A = 1, B = 2.5, C = { 3, -4.0 } }
      assert.are.equal("A: 1\r\nB: 2.5\r\nC: 3\r\nC: -4.0\r\n", lines_of(headers))
      assert.are.same({ A = 1, B = 2.5, C = { 3, -4.0 } }, headers)
      assert.are.equal("integer", math.type(headers.A))
    end)

    for _, value in ipairs { true, print, {} } do
      it("refuse a value that is a " .. type(value), function()
        refused(("the header A cannot have the value %q"):format(tostring(value)), {}, 200, { A = { value } })
      end)
    end

    it("may be none, or empty, or have empty lists", function()
      for _, headers in ipairs { false, {}, { A = {} }, { A = {}, B = {} } } do
        assert.are.equal("", lines_of(headers))
      end
    end)

    -- There is room for a few lines without memory, and then for twice as many, again and again.
    for _, count in ipairs { 1, 2, 15, 16, 17, 32, 33, 500 } do
      it(("are put in order, be it %d of them"):format(count), function()
        local headers, expected = {}, {}
        for place = 1, count do
          local name = ("%s-%03d"):format(place % 2 == 0 and "a" or "B", place)
          headers[name] = ("v"):rep(place)
          expected[place] = name .. ": " .. headers[name] .. "\r\n"
        end
        table.sort(expected)
        assert.are.equal(table.concat(expected), lines_of(headers))
      end)

      it(("stay in their order in a list of %d"):format(count), function()
        local list, expected = {}, {}
        for place = 1, count do
          list[place] = (place * 7919) % 1009
          expected[place] = ("M: %d\r\n"):format(list[place])
        end
        assert.are.equal("A: 1\r\n" .. table.concat(expected) .. "Z: 2\r\n", lines_of { Z = 2, M = list, A = 1 })
      end)
    end

    it("are ordered by bytes, and the shorter name first", function()
      assert.are.equal("A: 1\r\nA-: 2\r\nAb: 3\r\na: 4\r\n", lines_of { a = 4, Ab = 3, ["A-"] = 2, A = 1 })
    end)

    it("may be more than any stack holds, which is an error", function()
      local endless = setmetatable({}, { __index = function() return "x" end })
      local is_made, why = pcall(make, {}, 200, { A = endless })
      assert.is_false(is_made)
      assert.truthy(why:find("too many headers", 1, true), why)
      assert.are.equal("A: 1\r\n", lines_of { A = 1 })
    end)

    it("are what pairs gives, also of a table with a __pairs of its own, and of no table", function()
      local list = { { "B", 1 }, { "A", "x" }, { "B", { 0, "z" } } }
      local metatable = { __pairs = function(self)
        local at = 0
        return function(given)
          assert.are.equal(self, given)
          at = at + 1
          if list[at] then return table.unpack(list[at]) end
        end, self
      end }
      assert.are.equal("A: x\r\nB: 1\r\nB: 0\r\nB: z\r\n", lines_of(setmetatable({ C = 1 }, metatable)))
      assert.are.equal("D: 1\r\n", lines_of(setmetatable({ D = 1 }, {})))
      for _, wrong in ipairs { 5, true, "A: b", print, setmetatable({}, { __pairs = function() end }) } do
        assert.is_false((pcall(make, {}, 200, wrong, "x")))
      end
    end)

    it("keep their bytes whatever runs in between", function()
      local headers, expected = {}, {}
      local list = setmetatable({}, { __index = function(_, place)
        for name in pairs(headers) do headers[name] = nil end
        collectgarbage()
        local rubbish = {} -- takes the place of what is gone
        for each = 1, 100 do rubbish[each] = ("rubbish "):rep(10) .. each end
        assert.are.equal(100, #rubbish)
        return place <= 40 and ("item %d "):format(place):rep(10) or nil
      end })
      for place = 1, 40 do expected[place] = ("B: %s\r\n"):format(("item %d "):format(place):rep(10)) end
      local given = { { ("A"):rep(60), ("a"):rep(60) }, { "B", list } }
      setmetatable(headers, { __pairs = function()
        local at = 0
        return function()
          at = at + 1
          if given[at] then return table.unpack(given[at]) end
        end
      end })
      assert.are.equal(("A"):rep(60) .. ": " .. ("a"):rep(60) .. "\r\n" .. table.concat(expected), lines_of(headers))
    end)
  end)

  describe("Connection", function()
    for value, closes in pairs {
      close = true, Close = true, ["keep-alive"] = false, ["upgrade, CLOSE"] = true, clos = false, [""] = false,
      ["c lose"] = false, xclosex = false, ["close;q=1"] = false, [" ,close\t,"] = true, ['"close"'] = false,
    } do
      it(("may be %q by the script"):format(value), function()
        for _, headers in ipairs { { Connection = value }, { cONNECTION = { value } } } do
          local head, is_closing = make({ keep_alive = true }, 200, headers, "x")
          assert.are.equal(closes, is_closing)
          assert.are.equal(1, select(2, head:lower():gsub("connection:", "")))
        end
      end)
    end

    it("by the script does not make a client stay that wants to close", function()
      assert.is_true(select(2, make({ keep_alive = false }, 200, { Connection = "keep-alive" })))
    end)
  end)

  describe("the body", function()
    it("stands behind the head, be it short or long", function()
      for _, length in ipairs { 0, 1, 511, 512, 513, 1024, 5000, 100000 } do
        for _, headers in ipairs { false, { A = ("a"):rep(2000) } } do
          local body = ("b"):rep(length)
          local lines = headers and "A: " .. headers.A .. "\r\n" or ""
          assert.are.equal(
            ("HTTP/1.1 200 OK\r\n%s%sContent-Length: %d\r\n\r\n%s"):format(DATE, lines, length, body),
            (make({ keep_alive = true }, 200, headers, body)))
        end
      end
    end)

    it("may hold any bytes", function()
      assert.truthy(make({}, 200, nil, "\0\r\n\r\n\255"):find("\r\n\r\n\0\r\n\r\n\255", 1, true))
    end)

    for _, case in ipairs {
      { 0, "Content-Length: 0\r\n" }, { 9, "Content-Length: 9\r\n" }, { 10, "Content-Length: 10\r\n" },
      { 1 << 40, "Content-Length: 1099511627776\r\n" },
      { math.maxinteger, "Content-Length: 9223372036854775807\r\n" },
      { false, "Transfer-Encoding: chunked\r\n" },
    } do
      local length, line = table.unpack(case)
      it(("may be sent apart, %s long"):format(length), function()
        assert.are.equal("HTTP/1.1 200 OK\r\n" .. DATE .. line .. "\r\n",
          (make({ keep_alive = true }, 200, nil, {}, length)))
      end)
    end

    it("of unknown length ends with the connection in an old version", function()
      local old = { keep_alive = true, version = "1.0" }
      assert.are.same({ "HTTP/1.1 200 OK\r\n" .. DATE .. "\r\n", true }, { make(old, 200, nil, {}, false) })
      old.method = "HEAD"
      assert.is_false(select(2, make(old, 200, nil, {}, false)))
    end)

    it("that is no string needs a length", function()
      for _, body in ipairs { 5, true, {}, print } do assert.are.equal(0, select("#", make({}, 200, nil, body))) end
    end)

    it("cannot be less than nothing, nor a part of a byte", function()
      refused("a body cannot have -1 bytes", {}, 200, nil, {}, -1)
      refused("a body cannot have " .. math.mininteger .. " bytes", {}, 200, nil, {}, math.mininteger)
      assert.is_false((pcall(make, {}, 200, nil, {}, 1.5)))
      assert.is_false((pcall(make, {}, 200, nil, {}, {})))
    end)

    for _, status in ipairs { 204, 304 } do
      it("may not be with " .. status, function()
        local message <const> = ("a response with status %d has no body"):format(status)
        refused(message, {}, status, nil, "x")
        refused(message, {}, status, nil, {}, 1)
        refused(message, {}, status, nil, {}, false)
        assert.is_nil((make({}, status, nil, ""):find("Content-Length", 1, true)))
      end)
    end
  end)

  it("leaves nothing behind when it fails", function()
    local function fail() pcall(make, {}, 200, { A = { "a", "b", "\n" }, B = ("b"):rep(5000) }, "x") end
    for _ = 1, 100 do fail() end
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 1000 do fail() end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 16)
  end)
end)
