-- `self`, as scripts find it.
local conversation = require "support.conversation"

-- What a line of Lua says for a request, with `self` and the script's `parlance.shared`.
local function lines(body)
  return conversation.lines("local shared = require 'parlance'.shared " .. body)
end

local function say(session, words)
  return (conversation.feed(session, { (words or "") .. "\n" }))
end

describe("client", function()
  after_each(conversation.clean)

  it("knows the peer, its name and the listener", function()
    local session = lines [[
      local peer, server = self.client_address, self.server
      return table.concat({ peer.host, peer.port, self.host, server.host, server.port }, " ") ]]
      :open { host = "2001:db8::1", port = 50312, name = "peer.example", server_host = "::1", server_port = 7 }
    assert.equal("2001:db8::1 50312 peer.example ::1 7", say(session))
  end)

  it("has the numeric address as its host when names are not looked up", function()
    assert.equal("192.0.2.9", say(lines("return self.host"):open { host = "192.0.2.9" }))
  end)

  it("makes what it knows once, when it is asked", function()
    local session = lines [[
      local before = rawget(self, "client_address")
      return tostring(before) .. tostring(self.client_address == self.client_address)
        .. tostring(rawget(self, "client_address") == self.client_address) ]]:open()
    assert.equal("niltruetrue", say(session))
  end)

  it("is the same table for every request of a conversation, and another for each conversation", function()
    local script = lines "self.count = (self.count or 0) + 1 return self.count .. ';'"
    local one, other = script:open(), script:open()
    assert.equal("1;2;3;", conversation.feed(one, { "\n\n", "\n" }))
    assert.equal("1;", say(other))
    assert.equal("4;", say(one))
  end)

  it("inherits from the protocol, and what it keeps stays its own", function()
    local script = conversation.script [[
      local framing = require "parlance.framing"
      local P = { close_when_done = false, request_complete = framing.line {}, word = "protocol's" }
      function P:make_response()
        local before = self.word
        self.word = "own"
        return before .. self.word .. P.word .. ";"
      end
      return P]]
    local session = script:open()
    assert.equal("protocol'sownprotocol's;ownownprotocol's;", conversation.feed(session, { "\n\n" }))
    assert.equal("protocol'sownprotocol's;", say(script:open()))
  end)

  it("may have fields of the core's names of its own", function()
    local session = lines "self.host = 'mine' self.server = 5 return self.host .. self.server"
    assert.equal("mine5", say(session:open()))
  end)

  it("has nothing for names that nobody set", function()
    assert.equal("nilnilnil", say(lines
      "return tostring(self.nothing) .. tostring(self[1]) .. tostring(self[self])"
      :open()))
  end)

  it("has the request, and the bytes behind it where it is asked for them", function()
    local session = lines "return self.request .. '|' .. self.incoming .. '|'":open()
    session:receive("a\nb")
    assert.equal("a|a\nb|", (conversation.output(session)))
  end)

  it("does not keep a request that has been answered", function()
    local script = conversation.script [[
      local framing = require "parlance.framing"
      local selves = require "parlance".shared
      return {
        close_when_done = false, request_complete = framing.line {},
        make_response = function(self)
          local last = selves[1]
          selves[1] = self
          return last and tostring(rawget(last, "request")) .. tostring(rawget(last, "incoming")) or "first"
        end,
      }]]
    assert.equal("first", say(script:open(), "x"))
    assert.equal("nilnil", say(script:open(), "y"))
  end)

  describe("once its conversation is gone", function()
    it("knows what was asked before, and no more", function()
      local script = lines [[
        if not shared.last then
          shared.last = self
          return self.host
        end
        local last = shared.last
        return table.concat({ tostring(last.host), tostring(last.client_address), tostring(last.server),
          tostring(last.incoming), tostring(last.nothing), type(last.make_response) }, " ") ]]
      local session = script:open { host = "192.0.2.1" }
      assert.equal("192.0.2.1", say(session))
      session:close()
      assert.equal("192.0.2.1 nil nil nil nil function", say(script:open()))
    end)

    it("is so, too, when nobody was told", function()
      local script = conversation.script [[
        local framing = require "parlance.framing"
        local shared = require "parlance".shared
        return {
          close_when_done = false, request_complete = framing.line {},
          make_response = function(self)
            local last = shared.last
            shared.last = self
            return tostring(last and last.client_address) .. tostring(last and last.incoming) .. tostring(shared.told)
          end,
          handle_close = function() shared.told = true end,
        }]]
      local first = script:open()
      assert.equal("nilnilnil", say(first))
      first:abandon()
      first:close()
      assert.equal("nilnilnil", say(script:open()))
    end)

    it("stays so when the script has kept a copy of its fields", function()
      local script = lines [[
        if not shared.copy then
          shared.copy = setmetatable({}, getmetatable(self))
          for key, value in next, self do shared.copy[key] = value end
          return tostring(shared.copy.host) .. "\n"
        end
        return tostring(shared.copy.host) .. tostring(shared.copy.incoming) .. "\n" ]]
      local session = script:open()
      assert.equal("nil\n", say(session))
      session:close()
      assert.equal("nilnil\n", say(script:open()))
    end)

    it("is not mistaken for one whose fields were copied into it", function()
      local script = lines [[
        if self.request ~= "merge" then
          shared.first = shared.first or self
          return self.request
        end
        for key, value in next, shared.first do rawset(self, key, value) end
        return tostring(self.host) .. tostring(self.request) ]]
      local first, second = script:open { host = "192.0.2.1" }, script:open { host = "192.0.2.2" }
      assert.equal("a", say(first, "a"))
      assert.equal("b", say(second, "b"))
      assert.equal("192.0.2.2merge", say(second, "merge"))
      first:close()
      second:close()
      local third, fourth = script:open(), script:open()
      assert.equal("c", say(third, "c"))
      assert.equal("d", say(fourth, "d"))
    end)
  end)

  -- Nothing that was made for a request stays with a connection that waits for the next one. A first conversation
  -- gets the response; another one tells what the `self` of the first has.
  describe("with an answered request", function()
    local COMPLETE <const> = {
      ["found by a framing"] = "framing.line()",
      ["found by a framing that the script calls"] = "function(self) return line(self) end",
      ["found by the script"] = [[function(self)
        local last = self.incoming:find "\n"
        if not last then return false end
        return true, last, self.incoming:sub(1, last - 1)
      end]],
    }

    local RESPONSE <const> = {
      ["a string"] = "'short'",
      ["a long string"] = "{ ('x'):rep(40000) }",
      ["a file"] = "io.open(FILE)",
      ["a file of parlance.files"] = "opened()",
      ["a part of a file"] = "{ file = opened(), length = 5 }",
      ["a function"] = "pieces()",
      ["bytes behind a file"] = "{ 'a', opened(), 'b' }",
      ["a file behind a function"] = "{ pieces(), io.open(FILE) }",
      ["a function behind a file"] = "{ io.open(FILE), pieces() }",
    }

    local function script(complete, response)
      local folder <const> = conversation.folder { file = ("f"):rep(100) }
      return conversation.script(([[
        local framing, shared = require "parlance.framing", require "parlance".shared
        local line, FILE = framing.line(), %q
        local root = require "parlance.files".root %q
        local function opened() return select(2, root:open "file") end
        local function pieces()
          local count = 0
          return function() count = count + 1 return count < 3 and "piece" or nil end
        end
        return {
          close_when_done = false,
          request_complete = %s,
          make_response = function(self)
            if self.request == "look" then
              return tostring(rawget(shared.first, "request")) .. tostring(rawget(shared.first, "incoming"))
            end
            shared.first = self
            return %s
          end,
          handle_close = function(self, reason) shared.closed = tostring(self.request) .. reason end,
        }]]):format(folder .. "/file", folder, complete, response))
    end

    for found, complete in pairs(COMPLETE) do
      for sent, response in pairs(RESPONSE) do
        it(("%s has nothing of it when all was sent of %s"):format(found, sent), function()
          local service <const> = script(complete, response)
          local first <close> = service:open()
          assert.is_true(#say(first, "one") > 0)
          assert.equal("nilnil", say(service:open(), "look"))
          assert.is_true(#say(first, "two") > 0)
          assert.equal("nilnil", say(service:open(), "look"))
        end)
      end

      it(found .. " has it while a part of a file is still to be sent", function()
        local service <const> = script(complete, "opened()")
        local first <close> = service:open()
        first:receive "one\n"
        assert.equal(7, #first:take(7))
        assert.equal("one", say(service:open(), "look"):sub(1, 3))
      end)
    end
  end)

  it("may lose its fields and its metatable without harm", function()
    local script = lines [[
      for key in pairs(self) do self[key] = nil end
      for i = 1, 100 do self[i] = i end
      setmetatable(self, nil)
      return tostring(self.host) .. ";" ]]
    local session = script:open()
    assert.equal("nil;nil;", conversation.feed(session, { "\n\n" }))
    session:close()
    assert.equal("nil;", say(script:open()))
  end)

  it("may have a metatable of the script's", function()
    local session = lines [[
      setmetatable(self, { __index = function(_, key) return "made " .. key end, __newindex = function() end })
      return self.host .. self.request ]]:open()
    assert.equal("made hosta", say(session, "a"))
  end)
end)
