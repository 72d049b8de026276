-- The conversation, fed from strings and with a clock that is moved by hand.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local HIGH_WATER <const>, LOW_WATER <const> = 256 * 1024, 64 * 1024

local asked <const>, quietly <const> = conversation.asked, conversation.quietly

describe("session", function()
  after_each(conversation.clean)

  describe("requests", function()
    it("are answered in order, pipelined or not", function()
      local session = conversation.lines([[return self.request .. "\n"]]):open()
      assert.equal("one\ntwo\nthree\n", conversation.feed(session, { "one\ntwo\nth", "ree\n" }))
      assert.equal(3, session:requests())
      assert.is_false(session:finished())
    end)

    it("wait for the rest of what came in part", function()
      local session = conversation.lines([[return self.request .. "\n"]]):open()
      session:receive("hel"):receive("lo")
      assert.is_false(session:has_output())
      assert.equal("hello\n", conversation.feed(session, { "\n" }))
    end)

    it("take their bytes in place when some are kept already", function()
      local session = conversation.lines([[return self.request .. "\n"]]):open()
      assert.equal(0, session:receive_in_place("hel"))
      assert.equal(2, session:receive_in_place("lo"))
      assert.equal(6, session:receive_in_place("\nagain"))
      assert.equal("hello\n", (conversation.output(session)))
      assert.equal(1, session:receive_in_place("\n"))
      assert.equal("again\n", (conversation.output(session)))
      assert.equal(0, session:receive_in_place("x\n"))
    end)

    it("of many kilobytes grow in place", function()
      local session = conversation.script([[
        local framing = require "parlance.framing"
        return {
          close_when_done = false, request_complete = framing.netstring {},
          make_response = function(self) return #self.request .. "," .. self.request:sub(-3) end,
        }]]):open()
      local body = ("x"):rep(100000) .. "end"
      session:receive("100003:")
      for i = 1, #body, 1000 do session:receive_in_place(body:sub(i, i + 999)) end
      session:receive_in_place(",")
      assert.equal("100003,end", (conversation.output(session)))
    end)

    it("do not depend on the cuts, and no byte is read that has gone", function()
      for _, case in ipairs {
        { asked(), "one.two..three", "<one><two><>" },
        { asked(), "one.t!wo.", "<one>", true },
        { [[
            local framing = require "parlance.framing"
            return {
              close_when_done = false, request_complete = framing.length_line { max = 20 },
              make_response = function(self) return { "[", self.request, "]" } end,
              handle_error = function(_, reason, detail) return reason .. ": " .. detail end,
            }]], "5\nhello0\n3\nabc5\nhel", "[hello][][abc]" },
        { [[
            local framing = require "parlance.framing"
            return {
              close_when_done = false, request_complete = framing.length_line {},
              make_response = function(self) return { "[", self.request, "]" } end,
              handle_error = function(_, reason, detail) return reason .. ": " .. detail end,
            }]], "2\nhi-1\n", "[hi]malformed: the length holds a byte that is not a digit", true },
        { [[
            local framing = require "parlance.framing"
            return {
              close_when_done = false, request_complete = framing.prefixed { format = ">I2" },
              make_response = function(self)
                local left = #self.request
                return { function() left = left - 1 return left >= 0 and self.request:sub(-1) or nil end }
              end,
            }]], "\0\3abc\0\0\0\2de\0", "cccee" },
        { [[
            return {
              request_complete = function(self) return self.eof or false end,
              make_response = function(self) return self.incoming:reverse() end,
            }]], "all of it", "ti fo lla" },
        { [[
            return {
              close_when_done = false,
              handle_connect = function() return "hello\n" end,
              request_complete = function(self)
                if #self.incoming < 3 then return false end
                return true, 3
              end,
              make_response = function(self)
                self.count = (self.count or 0) + 1
                self.close_when_done = self.count == 2
                return self.incoming:sub(1, 3):upper()
              end,
            }]], "abcdefghi", "hello\nABCDEF" },
      } do
        local text, bytes, wanted, fails = table.unpack(case, 1, 4)
        local script = type(text) == "string" and conversation.script(text) or text
        local reason
        for _, cut in ipairs(conversation.cuts(bytes)) do
          for _, in_place in ipairs { false, true } do
            local session <close> = script:open()
            local out = quietly(function() return conversation.feed(session, cut, true, in_place) end)
            assert.equal(wanted, out)
            assert.is_true(session:finished())
            reason = reason or session:reason()
            assert.equal(reason, session:reason())
          end
        end
        if fails then assert.equal("malformed", reason) end
      end
    end)

    it("are asked for at every arrival, or when as many bytes as wanted are there", function()
      local script = conversation.script [[
        local Asked = { close_when_done = false, wait = { [2] = 5, [5] = 7 } }
        function Asked:request_complete()
          self.asked = (self.asked or "") .. #self.incoming
          if #self.incoming == 7 then return true end
          return false, self.wait[#self.incoming]
        end
        function Asked:make_response() return self.asked end
        return Asked]]
      local session = script:open()
      for i = 1, 7 do session:receive(("1234567"):sub(i, i)) end
      assert.equal("1257", (conversation.output(session)))
    end)

    it("are told once more that the peer has stopped sending", function()
      local script = conversation.script [[
        return {
          request_complete = function(self)
            self.log = (self.log or "") .. tostring(self.eof) .. #self.incoming .. ";"
            return self.eof or false, not self.eof and 100 or nil
          end,
          make_response = function(self) return self.log .. self.incoming end,
        }]]
      local session = script:open()
      session:receive("abc"):receive("d"):finish()
      assert.equal("nil3;true4;abcd", (conversation.output(session)))
      assert.equal("done", session:reason())
    end)

    it("that are not complete at the end of the input end it as peer_closed", function()
      for _, bytes in ipairs { "", "abc" } do
        local session = asked():open()
        session:receive(bytes):finish()
        assert.equal("peer_closed", session:reason())
        assert.is_true(session:finished())
        assert.equal(0, session:requests())
      end
    end)

    it("that came before the end of the input are all answered", function()
      local session = conversation.lines([[return { function() end, self.request:rep(40000) }]]):open()
      session:receive("a\nb\nc\nd"):finish()
      assert.is_false(session:wants_input())
      local out = conversation.output(session)
      assert.equal(("a"):rep(40000) .. ("b"):rep(40000) .. ("c"):rep(40000), out)
      assert.equal("peer_closed", session:reason())
      assert.equal(3, session:requests())
    end)

    it("that come after the end are dropped", function()
      local session = asked("", "Asked.close_when_done = true"):open()
      session:receive("a.b.c")
      assert.equal("<a>", (conversation.output(session)))
      session:receive("d.")
      assert.is_false(session:has_output())
      assert.equal(1, session:requests())
      assert.equal("done", session:reason())
    end)
  end)

  describe("max_request", function()
    it("allows a request of just so many bytes", function()
      local session = asked("max_request = 4"):open()
      assert.equal("<abc><def>", conversation.feed(session, { "abc.def." }))
    end)

    it("refuses one that is longer, however it is cut", function()
      local script = asked("max_request = 4")
      for _, cut in ipairs(conversation.cuts "abc.defg.") do
        local session <close> = script:open()
        assert.equal("<abc>", (quietly(function() return conversation.feed(session, cut) end)))
        assert.equal("too_large", session:reason())
      end
    end)

    it("looks at no byte behind it, so that what is wrong there does not count", function()
      local script = conversation.script [[
        local framing = require "parlance.framing"
        return {
          max_request = 20, request_complete = framing.http(), make_response = function() end,
          handle_error = function(_, reason, detail) return reason .. ": " .. detail end,
        }]]
      for _, cut in ipairs(conversation.cuts "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n") do
        local session <close> = script:open()
        local out = quietly(function() return conversation.feed(session, cut) end)
        assert.equal("too_large: the request is over max_request", out)
      end
    end)

    it("refuses what is declared to be longer at once", function()
      local session = asked "max_request = 4, wait = 4":open()
      local _, log = quietly(function() session:receive("a") end)
      assert.equal("too_large", session:reason())
      assert.truthy(log:find(" warn too_large ", 1, true), log)
      assert.truthy(log:find('hex=61 text=a detail="the request is over max_request"', 1, true), log)
    end)

    it("comes from the command line before the script", function()
      local session = conversation.script([[
        return {
          max_request = 10, make_response = function() end,
          request_complete = function(self) return #self.incoming >= 3 end,
        }]], { max_request = 2 }):open()
      quietly(function() session:receive("abc") end)
      assert.equal("too_large", session:reason())
    end)
  end)

  describe("output", function()
    it("of every kind goes out in order", function()
      local folder = conversation.folder { ["file"] = ("f"):rep(5000), empty = "" }
      local script = conversation.lines(([[
        local pulls = 0
        local file = assert(io.open("FOLDER/file"))
        file:seek("set", 10)
        return {
          "first,", ("h"):rep(40000), "", "after held,", file, assert(io.open("FOLDER/empty")), "after file,",
          function() pulls = pulls + 1 return pulls < 4 and pulls .. "," or nil end,
          "after stream,", ("k"):rep(32768), function() end, ("l"):rep(32767), io.popen("printf popen"), "last\n",
        }]]):gsub("FOLDER", folder), nil)
      local wanted = "first," .. ("h"):rep(40000) .. "after held," .. ("f"):rep(4990)
        .. "after file,1,2,3,after stream,"
        .. ("k"):rep(32768) .. ("l"):rep(32767) .. "popenlast\n"
      for _, step in ipairs { 1 << 20, 16384, 4097, 977, 7 } do
        local session <close> = script:open()
        session:receive("x\ny\n")
        local out, kinds = conversation.output(session, step)
        assert.is_true(wanted .. wanted == out)
        assert.same({ "bytes", "file", "bytes", "file", "bytes" }, kinds)
        assert.equal(2, session:requests())
        assert.is_false(session:finished())
      end
    end)

    it("tells that more stands behind, but not of a stream", function()
      local script = conversation.lines [[
        return { "a", self.request == "file" and io.open("/proc/self/exe") or function() end } ]]
      local session = script:open()
      session:receive("file\n")
      assert.same({ "a", "bytes", true }, { session:take(10) })
      session = script:open()
      session:receive("stream\n")
      assert.same({ "a", "bytes", false }, { session:take(10) })
    end)

    it("is nothing for nil, an empty string or an empty list", function()
      for _, value in ipairs { "nil", "''", "{}", "{ '' }", "function() end", "{ io.open '/dev/null' }" } do
        if value:find "^function" then value = "{" .. value .. "}" end
        local session = conversation.lines("return " .. value):open()
        assert.equal("", conversation.feed(session, { "a\nb\n" }))
        assert.equal(2, session:requests())
        assert.is_false(session:has_output())
      end
    end)

    it("at the high-water mark stops reading and asking, and goes on at the low one", function()
      local session = conversation.lines([[return ("x"):rep(16 * 1024)]]):open()
      session:receive(("\n"):rep(40))
      assert.equal(HIGH_WATER // (16 * 1024), session:requests())
      assert.is_false(session:wants_input())
      local taken = 0
      while HIGH_WATER - taken > LOW_WATER + 1000 do
        taken = taken + #session:take(1000)
        assert.equal(16, session:requests())
        assert.is_false(session:wants_input())
      end
      session:take(1000)
      assert.is_true(session:requests() > 16)
      conversation.output(session)
      assert.equal(40, session:requests())
      assert.is_true(session:wants_input())
    end)

    it("is pulled only as fast as the peer reads", function()
      local session = conversation.lines [[
        self.pulled = 0
        return { function()
          self.pulled = self.pulled + 1
          require "parlance".shared.pulled = self.pulled
          return self.pulled <= 1000 and ("y"):rep(1024) or nil
        end }]]
      session = session:open()
      session:receive("\n")
      local first = #session:take(1 << 20)
      assert.is_true(first <= 32 * 1024)
      assert.equal(1000 * 1024 - first, #conversation.output(session, 100))
    end)

    it("waits in the way of the next request while it is responding", function()
      local session = conversation.lines([[return { ("z"):rep(40000) }]]):open()
      session:receive("1\n2\n")
      assert.equal(1, session:requests())
      assert.is_true(session:is_responding())
      session:take(39999)
      assert.equal(1, session:requests())
      session:take(1)
      assert.equal(2, session:requests())
    end)
  end)

  describe("a failure", function()
    local FAILING <const> = [[
      local framing = require "parlance.framing"
      local P = { close_when_done = false, request_complete = framing.line {} }
      function P:make_response()
        if self.request == "fail" then error "on purpose" end
        if self.request == "number" then return 42 end
        if self.request == "list" then return { "not to be seen", false } end
        if self.request == "pull" then return { "seen\n", function() error "while pulled" end } end
        return self.request .. "\n"
      end
      %s
      return P]]
    local APOLOGY <const> = [[
      function P:handle_error(reason, detail)
        return reason .. ": " .. detail:match("[^\n]*") .. "\n"
      end]]

    it("lets the responses before it go out and those behind it not", function()
      local script = conversation.script(FAILING:format "")
      for _, word in ipairs { "fail", "number", "list" } do
        for _, cut in ipairs(conversation.cuts("1\n2\n" .. word .. "\n4\n")) do
          local session <close> = script:open()
          assert.equal("1\n2\n", (quietly(function() return conversation.feed(session, cut) end)))
          assert.equal("script_error", session:reason())
          assert.equal(2, session:requests())
          assert.is_true(session:finished())
        end
      end
    end)

    it("between two responses is followed by last words", function()
      local session = conversation.script(FAILING:format(APOLOGY)):open()
      local out, log = quietly(function() return conversation.feed(session, { "1\nfail\n2\n" }) end)
      assert.truthy(out:find("^1\nscript_error: .*protocol.lua:4: on purpose\n$"), out)
      assert.equal("script_error", session:reason())
      assert.truthy(log:find ' error script_error .* buffered=7 hex="66 61 69 6c 0a 32 0a" text="fail\\n2\\n" detail=')
      assert.truthy(log:find("stack traceback:", 1, true), log)
      assert.equal(1, select(2, log:gsub("\n", "")))
    end)

    it("in the middle of a response is not", function()
      local session = conversation.script(FAILING:format(APOLOGY)):open()
      local out = quietly(function() return conversation.feed(session, { "1\npull\n2\n" }) end)
      assert.equal("1\nseen\n", out)
      assert.equal("script_error", session:reason())
    end)

    it("of the last words is the end, for the first reason", function()
      local session = conversation.script(FAILING:format [[function P:handle_error() error "again" end]]):open()
      local out, log = quietly(function() return conversation.feed(session, { "1\n2\nfail\n" }) end)
      assert.equal("1\n2\n", out)
      assert.equal("script_error", session:reason())
      assert.truthy(log:find("on purpose", 1, true) < log:find("again", 1, true))
    end)

    it("that is a malformed request keeps malformed when the last words fail", function()
      local session = asked("", "function Asked:handle_error() error 'x' end"):open()
      quietly(function() session:receive("a!") end)
      assert.equal("malformed", session:reason())
    end)

    it("shows the first bytes as hex and text", function()
      local session = asked():open()
      local _, log = quietly(function() session:receive("\0\255!" .. ("x"):rep(100)) end)
      assert.truthy(log:find(" warn malformed service=protocol peer=192.0.2.1 port=50000 buffered=103 ", 1, true), log)
      assert.truthy(log:find([[hex="00 ff 21 78 ]], 1, true), log)
      assert.truthy(log:find([[text="\x00\xff!xxx]], 1, true), log)
      assert.truthy(log:find([[detail="no shouting"]], 1, true), log)
    end)

    it("of a file ends a response that cannot be finished", function()
      local folder = conversation.folder { file = ("f"):rep(1000) }
      local session = conversation.lines(([[return { "a", io.open("%s/file"), "b" }]]):format(folder)):open()
      session:receive("\n\n")
      assert.equal("a", (session:take(1)))
      assert.equal(600, #session:take(600))
      assert(io.open(folder .. "/file", "w")):close()
      local log, bytes, kind = rooms.base.capture(function() return session:take(600) end)
      assert.same({ "", "failed" }, { bytes, kind })
      assert.equal("file_error", session:reason())
      assert.is_true(session:finished())
      assert.truthy(log:find("file_error", 1, true))
    end)
  end)

  describe("last words", function()
    it("are sent for every refusal of what the peer sent, and name it", function()
      local script = conversation.script [[
        return {
          max_request = 10, request_timeout = 1, close_when_done = false,
          request_complete = function(self)
            if self.incoming:find "!" then return nil, "shouting" end
            if self.incoming:find "?" then return "what?" end
            return false
          end,
          make_response = function() end,
          handle_error = function(self, reason, detail) return reason .. "(" .. #self.incoming .. "): " .. detail end,
        }]]
      for _, case in ipairs {
        { "a!", "malformed(2): shouting", "malformed" },
        { "a?", "^script_error%(2%): .*request_complete returned .*what%?", "script_error" },
        { "12345678901", "too_large(11): the request is over max_request", "too_large" },
      } do
        local bytes, wanted, reason = table.unpack(case)
        local session <close> = script:open()
        local out = quietly(function() return conversation.feed(session, { bytes }) end)
        assert.truthy(out == wanted or out:find(wanted), out)
        assert.equal(reason, session:reason())
        assert.is_true(session:finished())
      end
      local session <close> = script:open { now = 0 }
      session:receive("a", 100)
      quietly(function() session:expire(1100) end)
      assert.equal("request_timeout(1): the request did not get complete within request_timeout",
        (conversation.output(session)))
      assert.equal("request_timeout", session:reason())
    end)
  end)

  describe("a large unfinished request", function()
    local function open(pause)
      local script = asked(nil, [[
        local inner = Asked.request_complete
        COUNT = 0
        function Asked:request_complete() COUNT = COUNT + 1 return inner(self) end
        function Asked:make_response() return COUNT .. ";" end
      ]])
      local session = script:open { ask_pause = pause, now = 1000 }
      session:receive(("x"):rep(40000), 1000)
      return session
    end

    it("is not asked about for each byte that comes within a pause", function()
      local session = open(5)
      for _ = 1, 100 do session:receive("y", 1001) end
      assert.equal(1005, session:deadline())
      session:receive(".", 1004)
      assert.is_false(session:has_output())
      session:expire(1004)
      assert.is_false(session:has_output())
      session:expire(1005)
      assert.equal("2;", (conversation.output(session)))
    end)

    it("is asked about when the pause is over, enough is new, no more comes, or the server stops", function()
      for _, act in ipairs {
        function(session) session:receive(".", 1005) end,
        function(session) session:receive(("y"):rep(650) .. ".", 1001) end,
        function(session) session:receive(".", 1001):finish() end,
        function(session) session:receive(".", 1001):drain() end,
      } do
        local session = open(5)
        act(session)
        assert.equal("2;", (conversation.output(session)))
      end
    end)

    it("is asked about for each byte where no pause is wanted", function()
      local session = open(0)
      for _ = 1, 100 do session:receive("y", 1000) end
      session:receive(".", 1000)
      assert.equal("102;", (conversation.output(session)))
    end)
  end)

  describe("draining", function()
    it("ends at once what has nothing in hand", function()
      local session = asked():open()
      conversation.feed(session, { "a." })
      assert.is_true(session:drain():finished())
      assert.equal("drained", session:reason())
    end)

    it("waits for the rest of a request, and answers it", function()
      local session = asked():open()
      session:receive("a"):drain()
      assert.is_false(session:finished())
      assert.is_true(session:wants_input())
      assert.equal("<ab>", conversation.feed(session, { "b." }))
      assert.equal("drained", session:reason())
    end)

    it("finishes the response in hand and the requests that came behind", function()
      local session = conversation.lines([[return { self.request:rep(40000) }]]):open()
      session:receive("a\nb\n")
      session:take(10)
      session:drain()
      assert.is_false(session:finished())
      assert.equal(79990, #conversation.output(session))
      assert.equal("drained", session:reason())
      assert.is_true(session:finished())
    end)
  end)

  describe("an abort", function()
    it("drops the output and ends it at once", function()
      local session = conversation.lines([[return { "a", ("b"):rep(40000), io.open("/proc/self/exe") }]]):open()
      session:receive("\n")
      session:abort("peer_reset")
      assert.is_true(session:finished())
      assert.is_false(session:has_output())
      assert.equal("peer_reset", session:reason())
    end)

    it("keeps the first reason of what has ended already", function()
      local session = asked():open()
      session:finish()
      session:abort("stopped")
      assert.equal("peer_closed", session:reason())
    end)

    it("takes nothing more, whatever comes", function()
      local session = asked():open()
      session:abort("peer_reset")
      session:receive("a."):finish():drain():expire(1 << 40)
      assert.is_nil(session:take(10))
      assert.is_false(session:wants_input())
      assert.equal(0, session:requests())
    end)
  end)

  describe("the greeting", function()
    local GREETER <const> = [[return { handle_connect = function(self) %s end %s }]]
    local REST <const> = [[, close_when_done = false,
      request_complete = function(self) return #self.incoming > 0 end,
      make_response = function(self) return self.incoming end ]]

    it("comes before any request", function()
      local session = conversation.script(GREETER:format("return 'hi '", REST)):open()
      assert.equal("hi abc", conversation.feed(session, { "abc" }))
      assert.equal(1, session:requests())
    end)

    it("is all there is for a protocol that takes no requests", function()
      local session = conversation.script(GREETER:format("return { 'hi', ' ', 'you' }", "")):open()
      assert.is_false(session:wants_input())
      session:receive("ignored")
      assert.equal("hi you", (conversation.output(session)))
      assert.equal("done", session:reason())
      assert.equal(0, session:requests())
    end)

    it("can end the conversation on this self", function()
      local session = conversation.script(GREETER:format("self.close_when_done = true return 'busy'", REST)):open()
      assert.equal("busy", (conversation.output(session)))
      assert.equal("done", session:reason())
    end)

    it("that fails ends it with last words", function()
      local rest = ", handle_error = function(_, reason) return reason end" .. REST
      local script = conversation.script(GREETER:format("error 'x'", rest))
      local session = quietly(function() return script:open() end)
      assert.equal("script_error", (conversation.output(session)))
      assert.is_true(session:finished())
    end)
  end)

  describe("handle_close", function()
    it("is told the reason, once, for every end", function()
      local script = conversation.script [[
        local parlance = require "parlance"
        return {
          close_when_done = false,
          request_complete = function(self) return self.incoming == "!" and nil or false, "bad" end,
          make_response = function() end,
          handle_close = function(self, reason) parlance.log("info", reason, { host = self.host }) end,
        }]]
      for reason, finish in pairs {
        peer_closed = function(session) session:finish() end,
        peer_reset = function(session) session:abort("peer_reset") end,
        idle_timeout = function(session) session:expire(1 << 40) end,
        drained = function(session) session:drain() end,
        stopped = function() end,
      } do
        local session = script:open { host = "192.0.2.7" }
        local _, log = quietly(function()
          finish(session)
          session:close()
        end)
        assert.equal(1, select(2, log:gsub("message=" .. reason .. " host=192.0.2.7\n", "")), log)
        assert.equal(1, select(2, log:gsub("\n", "")), log)
      end
    end)
  end)
end)
