-- The two questions and everything around them, as docs/writing-protocols.md promises.

local server = require "support.server"

-- A protocol with these functions, given as text, and words for everything that can happen to it.
local function protocol(parts)
  return ([[
    io.stdout:setvbuf "no"
    local parlance = require "parlance"
    local framing = require "parlance.framing"
    local P = { close_when_done = %s }
    function P:request_complete() %s end
    function P:make_response() %s end
    function P:handle_error(reason, detail) return "!" .. reason .. "!" .. detail .. "!" end
    function P:handle_close(reason) print("close " .. reason) end
    %s
    return P
  ]]):format(parts.close or "nil", parts.complete or "return true",
    parts.respond or [[return "<" .. self.incoming .. ">"]], parts.more or "")
end

-- The one line of the log that tells of a failure.
local function failure_of(running, reason)
  local line = running:wait_for_log("[^\n]* " .. reason .. " service=[^\n]*\n")
  assert.equal(1, running:count_in_log(" " .. reason .. " service="))
  return line
end

local function printed(running, text)
  server.wait_until("the script to print " .. text, function() return running:output():find(text, 1, true) end)
end

server.for_each_poller(function(poller)
  local function start(parts)
    return server.start(protocol(parts), { poller = poller, turns = true })
  end

  describe("request_complete", function()
    it("is asked again at every arrival when it returns false", function()
      local running = start {
        complete = "print(#self.incoming) return #self.incoming == 5",
      }
      local client = running:connect()
      client:send_bytes "hello"
      assert.equal("<hello>", client:receive_all())
      assert.equal("1\n2\n3\n4\n5\nclose done\n", running:output())
    end)

    it("is asked again only at n bytes when it returns false, n", function()
      local running = start {
        complete = "print(#self.incoming) if #self.incoming < 5 then return false, 5 end return true",
      }
      local client = running:connect()
      client:send_bytes "hello"
      assert.equal("<hello>", client:receive_all())
      assert.equal("1\n5\nclose done\n", running:output())
    end)

    it("takes all of incoming with true", function()
      local running = start { complete = "return #self.incoming >= 5" }
      assert.equal("<hello, world>", running:connect():exchange_all "hello, world")
    end)

    it("takes the first n bytes with true, n, and the rest is the next request", function()
      local running = start {
        close = "false",
        complete = "if #self.incoming < 3 then return false end return true, 3",
        respond = "return self.incoming:sub(1, 3):upper()",
      }
      assert.equal("ABCDEFGHI", running:connect():exchange_all "abcdefghi")
    end)

    it("takes a float that is a whole number", function()
      local running = start { complete = "return true, 2.0", close = "false", respond = "return 'x'" }
      assert.equal("xx", running:connect():exchange_all "abcd")
    end)

    it("ends the connection as malformed with nil and a reason", function()
      local running = start { complete = [[return nil, "no such thing"]] }
      local client = running:connect()
      assert.equal("!malformed!no such thing!", client:exchange("ab\0cd", 25))
      assert.equal("", client:receive_all())
      local line = failure_of(running, "malformed")
      assert.is_truthy(line:find(" warn malformed service=script1 peer=127.0.0.1 port=%d+ buffered=5 "))
      assert.is_truthy(line:find('hex="61 62 00 63 64"', 1, true))
      assert.is_truthy(line:find([[text="ab\x00cd"]], 1, true))
      assert.is_truthy(line:find('detail="no such thing"', 1, true))
      assert.equal("close malformed\n", running:output())
    end)

    for _, case in ipairs {
      { "nothing", "", "nil" },
      { "nil without a reason", "return nil", "nil" },
      { "nil and a reason that is no string", "return nil, 42", "42" },
      { "a number", "return 7", "7" },
      { "a string", "return 'yes'", "yes" },
      { "a table", "return {}", "table: " },
      { "true, 0", "return true, 0", "0" },
      { "true and less than nothing", "return true, -1", "-1" },
      { "true and more than there is", "return true, #self.incoming + 1", "6" },
      { "true and the least integer", "return true, math.mininteger", "-9223372036854775808" },
      { "true and the largest integer", "return true, math.maxinteger", "9223372036854775807" },
      { "true and a fraction", "return true, 1.5", "1.5" },
      { "true and infinity", "return true, math.huge", "inf" },
      { "true and not a number", "return true, 0/0", "nan" },
      { "true and a numeral", "return true, '3'", "3" },
      { "true and a table", "return true, {}", "table: " },
      { "true and false", "return true, false", "false" },
      { "false and what is there already", "return false, #self.incoming", "5" },
      { "false, 0", "return false, 0", "0" },
      { "false and less than nothing", "return false, -5", "-5" },
      { "false and a fraction", "return false, 10.25", "10.25" },
      { "false and a numeral", "return false, '10'", "10" },
      { "false and true", "return false, true", "true" },
      { "an error", "error 'on purpose'", "on purpose" },
      { "an error that is a table", "error {}", "table: " },
    } do
      local name, code, value = table.unpack(case)
      it("makes it a script_error to return " .. name, function()
        local running = start { complete = code }
        local answer = running:connect():exchange_all "hello"
        assert.equal("!script_error!", answer:sub(1, 14))
        assert.is_truthy(failure_of(running, "script_error"):find(value, 1, true))
        assert.equal("close script_error\n", running:output())
      end)
    end

    it("refuses false, n over the limit at once", function()
      local running = start { complete = "return false, 1048577" }
      local client = running:connect()
      client:send "x"
      assert.equal("!too_large!", client:receive_all():sub(1, 11))
      printed(running, "close too_large\n")
    end)
  end)

  describe("make_response", function()
    it("returns a string, which holds every byte", function()
      local running = start { respond = [[return "a\0b\xff\r\n"]] }
      assert.equal("a\0b\xff\r\n", running:connect():exchange_all "x")
    end)

    it("returns an empty string, an empty list or nil for no response", function()
      local running = start {
        close = "false",
        complete = "return true, 1",
        respond = [[
          local kind = self.incoming:sub(1, 1)
          if kind == "s" then return "" elseif kind == "l" then return {} elseif kind == "n" then return nil end
          return kind
        ]],
      }
      assert.equal("123", running:connect():exchange_all "1sln2nnn3")
    end)

    it("returns a list whose items go out in order", function()
      local running = start {
        respond = [[
          local name = os.tmpname()
          local file = assert(io.open(name, "w+"))
          os.remove(name)
          file:write "FILE"
          file:seek("set", 1)
          local count = 0
          local function stream()
            count = count + 1
            return count <= 3 and "f" .. count or nil
          end
          local big = ("b"):rep(100000)
          return { "one", stream, "two", "", file, "three", big, function() end, "four", big, "five" }
        ]],
      }
      local big = ("b"):rep(100000)
      assert.equal("onef1f2f3twoILEthree" .. big .. "four" .. big .. "five", running:connect():exchange_all "x")
    end)

    it("waits for no more than the next piece of a function", function()
      local running = start {
        respond = [[
          local rest = { "a", "", "b" }
          return { function() return table.remove(rest, 1) end }
        ]],
      }
      assert.equal("ab", running:connect():exchange_all "x")
    end)

    it("may be a function outside of a list", function()
      local running = start {
        respond = [[
          local rest = { "a", "", "b" }
          return function() return table.remove(rest, 1) end
        ]],
      }
      assert.equal("ab", running:connect():exchange_all "x")
    end)

    for _, case in ipairs {
      { "a number", "return 42", "42" },
      { "true", "return true", "true" },
      { "a list with a number in it", "return { 'a', 42 }", "42" },
      { "a list with a table in it", "return { 'a', {} }", "table: " },
      { "a list with false in it", "return { false }", "false" },
      { "a table that is no list", "return { body = 'x' }", "table" },
      { "a closed file", "local file = io.tmpfile() file:close() return { file }", "closed file" },
      { "a userdata that is no file", "return { io }", "table: " },
      { "a function that returns a number", "return { function() return 42 end }", "42" },
      { "a function that returns true", "return { function() return true end }", "true" },
      { "a function that raises", "return { function() error 'on purpose' end }", "on purpose" },
      { "a function that never has anything to say", "return { function() return '' end }", '\\"\\"' },
      { "an error", "error 'on purpose'", "on purpose" },
    } do
      local name, code, value = table.unpack(case)
      it("makes it a script_error to return " .. name, function()
        local running = start { respond = code }
        running:connect():exchange_all "x"
        assert.is_truthy(failure_of(running, "script_error"):find(value, 1, true))
        printed(running, "close script_error\n")
        assert.equal("close script_error\n", running:output())
      end)
    end

    it("sends nothing of a list that is wrong, and then the last words", function()
      local running = start { respond = "return { 'part', 42 }" }
      assert.equal("!script_error!", running:connect():exchange_all("x"):sub(1, 14))
    end)

    it("says no last words in the middle of a response", function()
      local running = start { respond = "return { 'part', function() error 'on purpose' end }" }
      assert.equal("part", running:connect():exchange_all "x")
    end)

    it("is told of in the log with its traceback, its line and the request", function()
      local running = start { respond = "local function deep() error 'on purpose' end\ndeep()" }
      running:connect():exchange_all "he\tllo"
      local line = failure_of(running, "script_error")
      assert.is_truthy(line:find(" error script_error service=script1 peer=127.0.0.1 port=%d+ buffered=6 "))
      assert.is_truthy(line:find('hex="68 65 09 6c 6c 6f" text="he\\tllo"', 1, true))
      assert.is_truthy(line:find "detail=\"[^\"]*script1%.lua:6: on purpose\\nstack traceback:")
      assert.is_truthy(line:find("script1.lua:7: in ", 1, true))
    end)
  end)

  describe("self", function()
    it("has every byte in incoming, NULs included", function()
      local bytes = {}
      for byte = 0, 255 do bytes[byte + 1] = string.char(byte) end
      local all = table.concat(bytes)
      local running = start { complete = "return #self.incoming == 256" }
      assert.equal("<" .. all .. ">", running:connect():exchange_all(all))
    end)

    it("has request where a framing is used", function()
      local running = start {
        close = "false",
        more = [[
          P.request_complete = framing.line { max = 10 }
          P.make_response = function(self) return "[" .. self.request .. "]" end
        ]],
      }
      assert.equal("[a\0b][][c]", running:connect():exchange_all "a\0b\n\r\nc\n")
    end)

    it("knows the peer's address, the listener's, and the peer's host", function()
      local running = start {
        respond = [[
          return ("%s %d %s %s %d"):format(self.client_address.host, self.client_address.port,
            self.host, self.server.host, self.server.port)
        ]],
      }
      local client = running:connect()
      local host, port = client.socket:getsockname()
      local expected = ("%s %d %s 127.0.0.1 %d"):format(host, port, host, running.addresses[1].port)
      assert.equal(expected, client:exchange_all "x")
    end)

    it("inherits from the protocol and keeps what the script puts into it, for itself alone", function()
      local running = start {
        close = "false",
        complete = "return true, 1",
        respond = [[
          self.count = self.count + 1
          return tostring(self.count)
        ]],
        more = "P.count = 0",
      }
      local first, second = running:connect(), running:connect()
      assert.equal("123", first:exchange("xxx", 3))
      assert.equal("1", second:exchange("x", 1))
      assert.equal("4", first:exchange("x", 1))
    end)

    it("knows eof only once the peer has stopped sending", function()
      local running = start {
        complete = "print(tostring(self.eof)) return self.eof == true",
        respond = "return tostring(self.eof) .. self.incoming",
      }
      local client = running:connect()
      client:send_bytes "ab"
      client:half_close()
      assert.equal("trueab", client:receive_all())
      assert.equal("nil\nnil\ntrue\nclose done\n", running:output())
    end)

    it("still knows who was there when the connection is gone", function()
      local running = start {
        more = [[function P:handle_close(reason)
          print(reason, self.client_address.host, self.host, self.server.port)
        end]],
      }
      running:connect():exchange_all "x"
      printed(running, ("done\t127.0.0.1\t127.0.0.1\t%d\n"):format(running.addresses[1].port))
    end)

    it("is harmless when it outlives its connection", function()
      local running = start {
        close = "true",
        respond = [[
          local before = P.last
          P.last = self
          if not before then return "first" end
          return ("%s %s %s %s %s"):format(before.mark, tostring(before.incoming), tostring(before.host),
            tostring(before.server), tostring(before.client_address))
        ]],
        more = "P.handle_close = function(self) self.mark = 'kept' end",
      }
      assert.equal("first", running:connect():exchange_all "x")
      running:wait_for_log "closed service=script1 "
      assert.equal("kept nil nil nil nil", running:connect():exchange_all "x")
    end)
  end)

  describe("close_when_done", function()
    for _, case in ipairs {
      { "closes by default", "nil", "", "<x>" },
      { "closes when the protocol says true", "true", "", "<x>" },
      { "keeps the connection when the protocol says false", "false", "", "<x><y>" },
      { "closes when self says true and the protocol false", "false", "self.close_when_done = true", "<x>" },
      { "keeps the connection when self says false", "true", "self.close_when_done = false", "<x><y>" },
      { "can be changed by each response", "nil", "self.close_when_done = self.incoming:sub(1, 1) == 'y'",
        "<x><y>" },
    } do
      local fact, close, code, expected = table.unpack(case)
      it(fact, function()
        local running = start {
          close = close,
          complete = "return true, 1",
          respond = code .. " return '<' .. self.incoming:sub(1, 1) .. '>'",
        }
        assert.equal(expected, running:connect():exchange_all "xy")
      end)
    end
  end)

  describe("handle_connect", function()
    it("is sent at once, before the peer has said anything", function()
      local running = start { more = "P.handle_connect = function(self) return 'hello ' .. self.host .. '\\n' end" }
      local client = running:connect()
      assert.equal("hello 127.0.0.1\n", client:receive(16))
      assert.equal("<x>", client:exchange_all "x")
    end)

    it("may return what make_response may", function()
      local running = start {
        more = "P.handle_connect = function() return { 'a', function() return nil end, 'b' } end",
      }
      local client = running:connect()
      assert.equal("ab", client:receive(2))
      assert.equal("<x>", client:exchange_all "x")
    end)

    it("may say nothing", function()
      local running = start { more = "P.handle_connect = function(self) self.incoming_before = self.incoming end" }
      assert.equal("<x>", running:connect():exchange_all "x")
    end)

    it("is enough of a protocol, whose connections it ends", function()
      local running = server.start("return {\n handle_connect = function() return 'bye' end }", { poller = poller })
      assert.equal("bye", running:connect():receive_all())
    end)

    it("gets last words and an end when it raises", function()
      local running = start { more = "P.handle_connect = function() error 'on purpose' end" }
      assert.equal("!script_error!", running:connect():receive_all():sub(1, 14))
      failure_of(running, "script_error")
      printed(running, "close script_error\n")
    end)
  end)

  describe("handle_error", function()
    it("gets the reason and the detail", function()
      local running = start { complete = "return nil, 'what is this?'" }
      assert.equal("!malformed!what is this?!", running:connect():exchange_all "x")
    end)

    it("may return what make_response may", function()
      local running = start {
        complete = "return nil, 'x'",
        more = "P.handle_error = function() return { 'a', function() return nil end, 'b' } end",
      }
      assert.equal("ab", running:connect():exchange_all "x")
    end)

    it("may be missing", function()
      local running = start { complete = "return nil, 'x'", more = "P.handle_error = nil" }
      assert.equal("", running:connect():exchange_all "x")
      printed(running, "close malformed\n")
    end)

    it("is not asked again for its own failure", function()
      local running = start {
        complete = "return nil, 'x'",
        more = "P.handle_error = function() print 'asked' error 'on purpose' end",
      }
      assert.equal("", running:connect():exchange_all "x")
      failure_of(running, "malformed")
      failure_of(running, "script_error")
      printed(running, "close ")
      assert.equal(1, select(2, running:output():gsub("asked", "")))
    end)

    it("does not keep the connection open, whatever self says", function()
      local running = start { close = "false", complete = "return nil, 'x'" }
      assert.equal("!malformed!x!", running:connect():exchange("x", 13))
      running:wait_for_log "closed service=script1 [^\n]*reason=malformed "
    end)
  end)

  describe("handle_close", function()
    -- How each reason is reached: options, the protocol, and what the client does.
    local reasons = {
      done = { {}, {}, function(client) client:exchange_all "x" end },
      peer_closed = { {}, { close = "false" }, function(client) client:close() end },
      peer_reset = {
        {}, { complete = "return false" },
        function(client) client:send("x") client.server:turn() client:reset() end,
      },
      malformed = { {}, { complete = "return nil, 'x'" }, function(client) client:exchange_all "x" end },
      too_large = {
        { "--max-request", 5 }, { complete = "return false" }, function(client) client:send "123456" end,
      },
      request_timeout = {
        { "--request-timeout", 0.1 }, { complete = "return false" }, function(client) client:send "x" end,
      },
      idle_timeout = { { "--idle-timeout", 0.1 }, {}, function() end },
      write_timeout = {
        { "--write-timeout", 0.1 }, { respond = "return { function() return ('x'):rep(100000) end }" },
        function(client) client:send "x" end,
      },
      overloaded = {
        { "--max-buffered", "1K" }, { complete = "return false" }, function(client) client:send(("x"):rep(2000)) end,
      },
      script_error = { {}, { respond = "error 'on purpose'" }, function(client) client:send "x" end },
      script_overrun = {
        { "--call-timeout", 0.1 }, { respond = "while true do end" }, function(client) client:send "x" end,
      },
      out_of_memory = {
        { "--memory-limit", "2M" }, { respond = "return ('x'):rep(1 << 24)" },
        function(client) client:send "x" end,
      },
      file_error = {
        {}, { respond = "return { (io.open('/proc/self')) }" }, function(client) client:send "x" end,
      },
      drained = { {}, {}, function(client) client.server:turn() client.server:terminate() end },
    }
    for reason, case in pairs(reasons) do
      local options, parts, act = table.unpack(case)
      it("is told of " .. reason .. ", once", function()
        options.poller, options.turns = poller, true
        local running = server.start(protocol(parts), options)
        act(running:connect())
        printed(running, "close " .. reason .. "\n")
        if reason ~= "drained" then running:terminate() end
        running:close_clients()
        assert.equal(0, running:wait())
        assert.equal("close " .. reason .. "\n", running:output())
        running:wait_for_log("closed service=script1 [^\n]* reason=" .. reason .. " ")
        running:wait_for_log("stopped service=script1 [^\n]*" .. reason .. "=1\n")
        running:expect_end()
      end)
    end

    it("is told when the peer has never sent anything, too", function()
      local running = start {}
      running:connect():close()
      printed(running, "close peer_closed\n")
    end)

    it("does no harm when it raises", function()
      local running = start { more = "function P:handle_close() error 'on purpose' end" }
      assert.equal("<x>", running:connect():exchange_all "x")
      failure_of(running, "script_error")
      assert.equal("<y>", running:connect():exchange_all "y")
    end)
  end)

  describe("blocksize", function()
    -- A pipe is read as a file of unknown length is, and gives what there is.
    local respond = [[
      local file = assert(io.open("/proc/self/environ"))
      return { file }
    ]]

    it("does not change what is sent", function()
      for _, size in ipairs { 1, 7, 4096, 65536 } do
        local running = start {
          complete = "return true",
          respond = "return { (assert(io.popen('seq 1 2000'))) }",
          more = "P.blocksize = " .. size,
        }
        local expected = {}
        for number = 1, 2000 do expected[number] = number .. "\n" end
        assert.equal(table.concat(expected), running:connect():exchange_all "x")
      end
    end)

    it("may be set on self", function()
      local running = start { respond = "self.blocksize = 3 " .. respond }
      running:connect():exchange_all "x"
      running:wait_for_log "reason=done"
    end)
  end)
end)

describe("print", function()
  server.cleans_up()

  it("and all of standard output is the script's", function()
    local running = server.start [[
      print "loaded"
      io.stdout:flush()
      return { request_complete = function() return true end, make_response = function() return "x" end }
    ]]
    running:connect():exchange_all "x"
    assert.equal("loaded\n", running:output())
  end)
end)
