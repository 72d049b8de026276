-- Requests on one connection are answered in order, one at a time, however many have come.

local server = require "support.server"

local NUMBERS <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self) return self.request .. ";" end,
}
]]

-- Raises on the request "bad"; its handle_error is filled in.
local FRAGILE <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self)
    if self.request == "bad" then error "on purpose" end
    return "<" .. self.request .. ">"
  end,
  handle_error = %s,
}
]]

local function numbers(first, last, ending)
  local list = {}
  for number = first, last do list[#list + 1] = number .. ending end
  return table.concat(list)
end

server.for_each_poller(function(poller)
  local function start(script)
    return server.start(script, { poller = poller, turns = true })
  end

  describe("a pipeline", function()
    it("of 1,000 requests in one segment is answered in order", function()
      local expected = numbers(1, 1000, ";")
      assert.equal(expected, start(NUMBERS):connect():exchange(numbers(1, 1000, "\n"), #expected))
    end)

    it("of 1,000 requests is answered in order where request_complete is written in Lua", function()
      local running = start("protocols/length_sep_body.lua")
      local requests, expected = {}, {}
      for number = 1, 1000 do
        expected[number] = tostring(number)
        requests[number] = #expected[number] .. "\n" .. number
      end
      local all = table.concat(expected)
      assert.equal(all, running:connect():exchange(table.concat(requests), #all))
    end)

    it("is answered in order where responses are strings, functions and files", function()
      local running = start [[
        local framing = require "parlance.framing"
        return {
          close_when_done = false,
          request_complete = framing.line { max = 1000 },
          make_response = function(self)
            local number, done = self.request, false
            local kind = tonumber(number) % 4
            if kind == 0 then return number .. ";" end
            if kind == 1 then return { function()
              if not done then done = true return number .. ";" end
            end } end
            if kind == 2 then
              local file = io.tmpfile()
              file:write(number, ";")
              file:seek "set"
              return { file }
            end
            return { number, (";"):rep(40000) }
          end,
        }
      ]]
      local expected = {}
      for number = 1, 200 do
        expected[number] = number .. (number % 4 == 3 and (";"):rep(40000) or ";")
      end
      assert.equal(table.concat(expected), running:connect():exchange_all(numbers(1, 200, "\n")))
    end)

    it("is answered to the end when the peer stops sending behind it", function()
      assert.equal(numbers(1, 300, ";"), start(NUMBERS):connect():exchange_all(numbers(1, 300, "\n")))
    end)

    it("does not delay others", function()
      local running = start(NUMBERS)
      local busy, other = running:connect(), running:connect()
      local total = 0
      for _ = 1, 20 do
        busy:send(numbers(1, 1000, "\n"))
        total = total + #numbers(1, 1000, ";")
        assert.equal("x;", other:exchange("x\n", 2))
      end
      assert.equal(total, #busy:receive(total))
    end)

    it("ends with the request whose response closes", function()
      local running = start((NUMBERS:gsub("close_when_done = false", "close_when_done = true")))
      assert.equal("1;", running:connect():exchange_all "1\n2\n3\n")
    end)
  end)

  describe("a script that raises on request 3 of a batch", function()
    it("has its first two responses delivered, then handle_error's words, then the end", function()
      local running = start(FRAGILE:format "function(_, reason) return '!' .. reason end")
      local other = running:connect()
      assert.equal("<before>", other:exchange("before\n", 8))
      assert.equal("<1><2>!script_error", running:connect():exchange_all "1\n2\nbad\n4\n5\n")
      assert.equal("<after>", other:exchange("after\n", 7))
      assert.equal(1, running:count_in_log " error script_error service=script1 ")
      running:wait_for_log "closed service=script1 [^\n]*reason=script_error requests=2\n"
    end)

    it("has its first two responses delivered, then the end, where there is no handle_error", function()
      local running = start(FRAGILE:format "nil")
      local other = running:connect()
      assert.equal("<1><2>", running:connect():exchange_all "1\n2\nbad\n4\n5\n")
      assert.equal("<after>", other:exchange("after\n", 7))
    end)

    it("has its first two responses delivered where handle_error raises too", function()
      local running = start(FRAGILE:format "function() error 'again' end")
      assert.equal("<1><2>", running:connect():exchange_all "1\n2\nbad\n4\n5\n")
      assert.equal(2, running:count_in_log " error script_error service=script1 ")
    end)

    it("shows the request that it raised on in the log", function()
      local running = start(FRAGILE:format "nil")
      running:connect():exchange_all "1\n2\nbad\n4\n5\n"
      running:wait_for_log ' script_error service=script1 [^\n]*text="bad\\n'
    end)

    it("does so however large the first two responses are", function()
      local running = start((FRAGILE:format("function() return 'sorry' end")
        :gsub('"<" .. self.request .. ">"', '(self.request):rep(500000)')))
      local answer = running:connect():exchange_all "1\n2\nbad\n4\n"
      assert.equal(1000005, #answer)
      assert.equal(("1"):rep(500000) .. ("2"):rep(500000) .. "sorry", answer)
    end)
  end)
end)
