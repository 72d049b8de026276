-- A framing that a script's own request_complete calls: as one that stands in its place.
local conversation = require "support.conversation"

-- A protocol whose request_complete has this body; `line`, `delimited` and so on are framings.
local function calling(body, answer)
  return conversation.script(([[
    local framing = require "parlance.framing"
    local line = framing.line { max = 2000000 }
    local short = framing.line { max = 4 }
    local delimited = framing.delimited { delimiter = "\r\n.\r\n" }
    local netstring = framing.netstring { max = 4 }
    local prefixed = framing.prefixed { format = ">I2", max = 260 }
    local resp = framing.resp {}
    local http = framing.http { max = 4 }
    return {
      close_when_done = false, max_request = 4000000,
      request_complete = function(self) %s end,
      make_response = function(self) %s end,
      handle_error = function(_, reason, detail) return reason .. ": " .. detail end,
    }]]):format(body, answer or "return '[' .. tostring(self.request) .. ']'"))
end

local function converse(script, pieces, is_end)
  local session <close> = script:open()
  local log, out = conversation.capture(function() return conversation.feed(session, pieces, is_end) end)
  return out, session:reason(), log
end

describe("a framing that is called on self", function()
  after_each(conversation.clean)

  it("gives the reasons and the texts of one in the place of request_complete", function()
    for name, case in pairs {
      short = { [[framing.line { max = 4 }]], "12345" },
      netstring = { [[framing.netstring { max = 4 }]], "5:" },
      prefixed = { [[framing.prefixed { format = ">I2", max = 260 }]], "\x12\x34" },
      http = { [[framing.http { max = 4 }]], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n" },
      resp = { [[framing.resp {}]], "*x\r\n" },
    } do
      local place = conversation.script(([[
        local framing = require "parlance.framing"
        return {
          request_complete = %s,
          make_response = function() end,
          handle_error = function(_, reason, detail) return reason .. ": " .. detail end,
        }]]):format(case[1]))
      local wanted, reason = converse(place, { case[2] })
      assert.are.equal(name == "resp" and "malformed" or "too_large", reason)
      local out, why = converse(calling("return " .. name .. "(self)"), { case[2] })
      assert.are.same({ wanted, reason }, { out, why }, name)
    end
  end)

  it("names the length and the limit", function()
    assert.are.equal("too_large: the length is larger than allowed: 4660 bytes, and 260 are allowed",
      (converse(calling "return prefixed(self)", { "\x12\x34" })))
  end)

  it("leaves no request to the next one, which has none", function()
    local script = calling [[
      if self.incoming:sub(1, 1) == "!" then return true, 1 end
      return line(self)]]
    for _, pieces in ipairs { { "one\n!two\n!!" }, { "one\n", "!", "two\n", "!", "!" } } do
      assert.are.equal("[one][nil][two][nil][nil]", (converse(script, pieces)))
    end
  end)

  it("leaves the request there for the functions of its response", function()
    local script = calling([[
      if self.incoming:sub(1, 1) == "!" then return true, 1 end
      return line(self)]], [[
      local n = 0
      return { "<", function() n = n + 1 return n < 3 and tostring(self.request) or nil end, ">" }]])
    assert.are.equal("<oneone><nilnil>", (converse(script, { "one\n!" })))
  end)

  it("keeps the request of a head while the body arrives", function()
    local script = calling([[
      if not self.head then
        local ok, n = line(self)
        if not ok then return ok, n end
        self.head = n
      end
      local n = self.head + tonumber(self.request)
      if #self.incoming < n then return false, n end
      self.body = self.incoming:sub(self.head + 1, n)
      self.head = nil
      return true, n]], "return self.request .. '=' .. self.body")
    for _, pieces in ipairs(conversation.cuts "3\nabc5\nhello") do
      assert.are.equal("3=abc5=hello", (converse(script, pieces)))
    end
  end)

  it("leaves nothing of a request with an idle connection", function()
    local script = calling("return line(self)", [[
      local shared = require "parlance".shared
      shared.last = shared.last or self
      return tostring(rawget(shared.last, "request")) .. tostring(rawget(shared.last, "incoming"))]])
    local first <close> = script:open()
    assert.are.equal("oneone\n", conversation.feed(first, { "one\n" }))
    assert.are.equal("nilnil", (converse(script, { "two\n" })))
  end)

  -- What a script looks at is what `check` calls slow or not.
  local function looked(script, bytes)
    local session <close> = script:open()
    for i = 1, #bytes do session:receive(bytes:sub(i, i)) end
    local out = conversation.output(session)
    local _, sum = script:asked()
    return sum, out
  end

  local LONG <const> = ("x"):rep(97 * 1024)

  it("looks at no byte of a long request twice", function()
    local sum, out = looked(calling("return delimited(self)", "return #self.request .. ''"), LONG .. "\r\n.\r\n")
    assert.are.equal(tostring(#LONG), out)
    assert.is_true(sum < 2 * #LONG, sum)
  end)

  it("does not so either where several are tried one after the other", function()
    local sum, out = looked(calling([[
      local ok, n, why = delimited(self)
      if ok then return ok, n, why end
      return line(self)]], "return #self.request .. ''"), LONG .. "\n")
    assert.are.equal(tostring(#LONG), out)
    assert.is_true(sum < 4 * #LONG, sum)
  end)

  it("remembers what else there is to remember of a Redis array and of a head of HTTP", function()
    local words = {}
    for i = 1, 3000 do words[i] = ("$%d\r\n%d\r\n"):format(#tostring(i), i) end
    local array <const> = "*3000\r\n" .. table.concat(words)
    local sum, out = looked(calling("return resp(self)", "return #self.request .. self.request[3000]"), array)
    assert.are.equal("30003000", out)
    assert.is_true(sum < 32 * #array, sum)
    local head <const> = "GET / HTTP/1.1\r\nHost: a\r\n" .. ("Name: value\r\n"):rep(90) .. "\r\n"
    sum, out = looked(calling("return http(self)", "return self.request.headers.host"), head)
    assert.are.equal("a", out)
    assert.is_true(sum < 32 * #head, sum)
  end)

  it("begins anew with the next request", function()
    local script = calling([[
      if self.incoming:sub(1, 1) == "!" then
        line(self)
        if #self.incoming < 500 then return false, 500 end
        return true, 500
      end
      return line(self)]], "return #(self.request or '') .. ';'")
    local pieces = {}
    for i = 1, 5 do pieces[i] = (i == 1 and "!" or "a") .. ("a"):rep(99) end
    pieces[6], pieces[7] = ("b"):rep(300), ("b"):rep(105) .. "\n"
    assert.are.equal("0;405;", (converse(script, pieces)))
  end)

  it("looks at the bytes that the script has put in the place of the input", function()
    local script = calling [[
      self.incoming = self.incoming:sub(5)
      local ok, n = line(self)
      if not ok then return ok, n and n + 4 end
      return true, n + 4]]
    for _, pieces in ipairs(conversation.cuts "one\nthree\n") do
      assert.are.equal("[three]", (converse(script, pieces)))
    end
  end)

  it("works on a table that has the input", function()
    for _, part in ipairs { "{ incoming = self.incoming }", "setmetatable({}, { __index = self })" } do
      local script = calling(([[
        local part = %s
        local ok, n, why = line(part)
        return ok, n, ok and part.request or why]]):format(part))
      for _, pieces in ipairs(conversation.cuts "one\ntwo\n") do
        assert.are.equal("[one][two]", (converse(script, pieces)))
      end
    end
  end)
end)

describe("request_complete", function()
  after_each(conversation.clean)

  it("may return what self.request is to be", function()
    local script = calling([[
      if self.incoming:sub(1, 1) == "!" then return true, 1 end
      if self.incoming:sub(1, 1) == "?" then return true, 1, nil end
      if self.incoming:sub(1, 1) == "f" then return true, 1, false end
      local n = self.incoming:find "%."
      if not n then return false end
      return true, n, { self.incoming:sub(1, n - 1) }]],
      "local r = self.request return type(r) == 'table' and r[1] .. ';' or tostring(r) .. ';'")
    for _, pieces in ipairs(conversation.cuts "one.!two.?f") do
      assert.are.equal("one;nil;two;nil;false;", (converse(script, pieces)))
    end
    assert.are.equal("[all]", (converse(calling "return true, nil, 'all'", { "x" })))
  end)

  it("may refuse with a reason of the core's, and a text", function()
    for body, wanted in pairs {
      ["nil, 'too_large', 'over 9'"] = "too_large: over 9",
      ["nil, 'too_large'"] = "too_large: the request is too large",
      ["nil, 'malformed', 'no good'"] = "malformed: no good",
      ["nil, 'malformed'"] = "malformed: malformed",
      ["nil, 'bad', 'ignored'"] = "malformed: bad",
      ["nil, 'idle_timeout', 'ignored'"] = "malformed: idle_timeout",
    } do
      local out, reason, log = converse(calling("return " .. body), { "x" })
      assert.are.same({ wanted, wanted:match "^[%a_]+" }, { out, reason })
      assert.truthy(log:find("warn " .. reason, 1, true), log)
    end
  end)

  it("must give a reason that is a string", function()
    for _, body in ipairs { "nil", "nil, 5", "nil, nil, 'x'" } do
      local out, reason = converse(calling("return " .. body), { "x" })
      assert.are.equal("script_error", reason)
      assert.truthy(out:find("it must return false, true, or nil and a reason", 1, true), out)
    end
  end)

  it("sees the same input each time it looks, be it short or long", function()
    local script = calling([[
      local all = self.incoming
      assert(all == self.incoming)
      local n = all:find "\n"
      if not n then return false end
      return true, n, n .. ""]], "return self.request .. ';' .. #self.incoming")
    for _, length in ipairs { 1, 127, 128, 129, 5000 } do
      local bytes <const> = ("x"):rep(length)
      assert.are.equal(("%d;%d"):format(length + 1, length + 1), (converse(script, { bytes, "\n" })))
    end
  end)
end)
