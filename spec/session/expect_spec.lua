-- What becomes of a request whose sender waits for a word before it sends the body.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local GO_ON <const> = "HTTP/1.1 100 Continue\r\n\r\n"

local function head(target, length)
  local form <const> = "POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
  return form:format(target, length or 5)
end

local function script(fields, options)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local P = { close_when_done = false, request_complete = framing.http(), asked = 0, %s }
    function P:make_response() return "<" .. self.request.target .. " " .. self.request.body .. ">" end
    function P:handle_error(reason, detail) return reason .. ": " .. detail:match "[^\n]*" end
    return P]]):format(fields or ""), options)
end

-- Refuses "/no", raises for "/raise", and counts what it was asked.
local ASKS <const> = [[
  handle_expect = function(self)
    self.asked = self.asked + 1
    local request = self.request
    if request.target == "/no" then return "no " .. self.asked .. request.headers.host .. "[" .. request.body .. "]" end
    if request.target == "/raise" then error "on purpose" end
    if request.target == "/odd" then return true end
  end]]

describe("session", function()
  after_each(conversation.clean)

  describe("tells a peer that waits to go on", function()
    it("once, when the head is there", function()
      local session = script():open()
      local all = head "/"
      assert.equal("", conversation.feed(session, { all:sub(1, -2) }))
      assert.equal(GO_ON, conversation.feed(session, { "\n" }))
      assert.equal("", conversation.feed(session, { "hell" }))
      assert.equal("</ hello>", conversation.feed(session, { "o" }))
      assert.equal(GO_ON .. "</b world>", conversation.feed(session, { head "/b", "world" }))
      assert.equal(2, session:requests())
    end)

    it("for a body in chunks as well", function()
      local session = script():open()
      local all = head("/"):gsub("Content%-Length: 5", "Transfer-Encoding: chunked")
      assert.equal(GO_ON, conversation.feed(session, { all }))
      assert.equal("</ hi>", conversation.feed(session, { "2\r\n", "hi\r\n0\r\n", "\r\n" }))
    end)

    it("not when the body has begun to come", function()
      local session = script():open()
      assert.equal("</ hello>", conversation.feed(session, { head "/" .. "h", "ello" }))
      assert.equal("</ hello>", conversation.feed(session, { head "/" .. "hello" }))
    end)

    it("behind the responses before it", function()
      local session = script():open()
      local get <const> = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
      assert.equal("</a ></a >" .. GO_ON, conversation.feed(session, { get .. get .. head "/" }))
      assert.equal("</ hello></a >", conversation.feed(session, { "hello" .. get }))
    end)

    it("not while a response before it is not all out", function()
      local session = conversation.script([[
        local framing = require "parlance.framing"
        return {
          close_when_done = false, request_complete = framing.http(),
          make_response = function(self)
            local left = self.request.method == "GET" and 3 or 0
            return { "<", function() left = left - 1 return left >= 0 and ("x"):rep(20000) or nil end, ">" }
          end,
        }]]):open()
      session:receive("GET /a HTTP/1.1\r\nHost: a\r\n\r\n" .. head "/")
      local out = conversation.output(session, 1000)
      assert.equal("<" .. ("x"):rep(60000) .. ">" .. GO_ON, out)
    end)

    it("not when it has stopped sending", function()
      local session = script():open()
      assert.equal(GO_ON, conversation.feed(session, { head "/" }, true))
      assert.equal("peer_closed", session:reason())
    end)

    it("not when the request is refused anyway", function()
      local session = script("max_request = 100"):open()
      local _, text = rooms.base.capture(function() return conversation.feed(session, { head("/", 99) }) end)
      assert.truthy(text:find("the request is over max_request", 1, true))
      assert.equal("too_large", session:reason())
    end)
  end)

  describe("asks handle_expect", function()
    it("once, with the head of the request, and sends what it refuses with at once", function()
      local session = script(ASKS):open()
      assert.equal(GO_ON .. "</ hello>", conversation.feed(session, { head "/", "hello" }))
      assert.equal("no 2a[]", conversation.feed(session, { head "/no" }))
      assert.is_true(session:finished())
      assert.equal("done", session:reason())
      assert.equal(2, session:requests())
    end)

    it("whether the body is there or not, so that the answer does not depend on the cuts", function()
      for _, rest in ipairs { "", "h", "hello" } do
        local session = script(ASKS):open()
        local out = conversation.feed(session, { head "/no" .. rest })
        assert.equal("no 1a[]", out)
        assert.is_true(session:finished())
      end
      local session = script(ASKS):open()
      assert.equal("</yes hello>", conversation.feed(session, { head "/yes" .. "hello" }))
      assert.equal("</yes hello>", conversation.feed(session, { head "/yes" .. "h", "ello" }))
    end)

    it("whether the body is sound or not", function()
      for _, rest in ipairs { "", "2\r\nhi\r\n", "2\r\nhi\r\nno chunk\r\n", "no chunk\r\n" } do
        local session = script(ASKS):open()
        local chunked = head("/no"):gsub("Content%-Length: 5", "Transfer-Encoding: chunked")
        assert.equal("no 1a[]", conversation.feed(session, { chunked .. rest }))
        assert.equal("done", session:reason())
        session = script(ASKS):open()
        chunked = chunked:gsub("/no", "/yes")
        rooms.base.capture(function()
          local out = conversation.feed(session, { chunked .. rest })
          local is_sound <const> = not rest:find("no", 1, true)
          local fault <const> = "malformed: 400 the chunk size holds a byte that is no hexadecimal digit"
          assert.equal(is_sound and (rest == "" and GO_ON or "") or fault, out)
        end)
      end
    end)

    it("before a body in chunks is over max_request, or the input has ended", function()
      local asking = script(ASKS .. ", max_request = 120")
      for _, size in ipairs { "5", "ff" } do
        local chunked = head("/no"):gsub("Content%-Length: 5", "Transfer-Encoding: chunked")
        local bytes = chunked .. size .. "\r\n" .. ("x"):rep(tonumber(size, 16)) .. "\r\n"
        for _, cut in ipairs(conversation.cuts(bytes)) do
          local session <close> = asking:open()
          assert.equal("no 1a[]", (conversation.feed(session, cut, true):gsub(GO_ON:gsub("%p", "%%%0"), "")))
        end
      end
    end)

    it("not if the length of the body is over max_request", function()
      local asking = script(ASKS .. ", max_request = 80")
      for _, cut in ipairs(conversation.cuts(head("/no", 50) .. ("x"):rep(50))) do
        local session <close> = asking:open()
        rooms.base.capture(function()
          assert.equal("too_large: the request is over max_request", conversation.feed(session, cut))
        end)
      end
    end)

    it("not for requests without the expectation, or without a body to come", function()
      local session = script(ASKS):open()
      local get <const> = "GET /no HTTP/1.1\r\nHost: a\r\n\r\n"
      assert.equal("</no >", conversation.feed(session, { get }))
      assert.is_false(session:finished())
    end)

    it("and fails as a script does when it raises, or returns what is no response", function()
      for _, target in ipairs { "/raise", "/odd" } do
        local session = script(ASKS):open()
        local out
        rooms.base.capture(function() out = conversation.feed(session, { head(target) }) end)
        assert.truthy(out:find("^script_error: "), out)
        assert.equal("script_error", session:reason())
      end
    end)

    it("only behind framing.http", function()
      local is_loaded, why = conversation.load [[
        return { request_complete = function() return true end, make_response = function() end,
          handle_expect = function() end }]]
      assert.is_nil(is_loaded)
      assert.truthy(why:find("handle_expect is asked only behind framing.http", 1, true), why)
    end)
  end)

  describe("tells a peer to go on when request_complete calls framing.http", function()
    local function called(fields)
      return conversation.script(([[
        local http = require "parlance.framing".http { max = 10 }
        local P = { close_when_done = false, %s }
        function P:request_complete()
          local is_whole, n, detail = http(self)
          if http(self) == nil then return nil, n, detail end
          if self.is_strict and is_whole == false then return nil, "not yet" end
          return is_whole, n
        end
        function P:make_response() return "<" .. self.request.target .. " " .. self.request.body .. ">" end
        function P:handle_close() http(self) end
        return P]]):format(fields or ""))
    end

    it("once, and behind the responses before", function()
      for _, cut in ipairs { 1, 20, 60, #head "/" - 1 } do
        local session = called():open()
        local all = head "/"
        assert.equal("", conversation.feed(session, { all:sub(1, cut) }))
        assert.equal(GO_ON, conversation.feed(session, { all:sub(cut + 1) }))
        assert.equal("", conversation.feed(session, { "he", "ll" }))
        assert.equal("</ hello>" .. GO_ON .. "</b world>", conversation.feed(session, { "o" .. head "/b", "world" }))
        assert.equal("</ hello>", conversation.feed(session, { all .. "hello" }))
        assert.equal("</ hello>" .. GO_ON, conversation.feed(session, { all .. "hello" .. all }, true))
        assert.equal("peer_closed", session:reason())
      end
    end)

    it("not when request_complete refuses", function()
      for _, fields in ipairs { "is_strict = true", "max_request = 72" } do
        local session = called(fields):open()
        rooms.base.capture(function() assert.equal("", conversation.feed(session, { head "/" })) end)
        assert.is_true(session:finished())
      end
    end)
  end)

  it("gives up when there is no memory to tell a peer to go on", function()
    local session = script():open()
    local reason
    rooms.base.capture(function()
      rooms.session.fail_allocations(1)
      session:receive(head "/")
      rooms.session.fail_allocations()
      reason = session:reason()
    end)
    assert.equal("out_of_memory", reason)
  end)
end)
