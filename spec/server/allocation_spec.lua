-- timeout 300
-- Allocations that fail in a server, one after the other: where a script runs a program, and where it reads a body.
-- None ends the server, and no program, descriptor or part of a body is left behind.

local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"

-- A line "N COUNT" runs a program while the Nth allocation fails, and those behind it until COUNT have failed.
local PROGRAMS <const> = [[
local framing = require "parlance.framing"
local process = require "parlance.process"
local Programs = { close_when_done = false, request_complete = framing.line {} }
local function run()
  local child <close> = process.spawn({ "cat" }, { env = { A = "b" }, stderr = "pipe" })
  if not child then return "refused" end
  if not child.stdin:write "abc" then return "broken" end
  child.stdin:close()
  local text = child.stdout:read "a"
  return text == "abc" and child:wait(20) == "exit" and "whole" or "broken"
end
local UNKNOWN <const> = 1000000 -- the request has ended before it could count
local seen = UNKNOWN
function Programs:make_response()
  if self.request == "seen" then return seen .. "\n" end
  seen = UNKNOWN
  os.setlocale("fail " .. self.request)
  local is_well, what = pcall(run)
  seen = os.setlocale "seen"
  return (is_well and what or "raised") .. "\n"
end
return Programs
]]

-- The first line of a body is such a line. The rest is read while the allocation fails.
local BODIES <const> = [[
local framing = require "parlance.framing"
local Bodies = { close_when_done = true, request_complete = framing.http { stream_body = true } }
local UNKNOWN <const> = 1000000 -- the request has ended before it could count
local seen = UNKNOWN
local function read(body)
  local count = 0
  while true do
    local piece, _, code = body:read "any"
    if not piece then return code == "closed" and "whole " .. count or "broken" end
    count = count + #piece
  end
end
function Bodies:make_response()
  local body = self.request.body
  if self.request.target == "/seen" then return tostring(seen) end
  seen = UNKNOWN
  local plan = body:read()
  self:write "go\n"
  os.setlocale("fail " .. plan)
  local is_well, what = pcall(read, body)
  seen = os.setlocale "seen"
  return is_well and what or "raised"
end
return Bodies
]]

server.for_each_poller(function(poller)
  describe("an allocation that fails", function()
    -- Calls ask(n, count) for each allocation, which returns what has come of it, and how many there were. Returns the
    -- set of what has come.
    local function torture(ask, check)
      local saw = {}
      for count = 1, 2 do
        local n, last = 0
        repeat
          n = n + 1
          local what
          what, last = ask(n, count)
          saw[what] = true
          check()
        until n > last
        assert.is_true(n > 5)
      end
      return saw
    end

    it("leaves no program and no descriptor behind", function()
      local running = server.start(PROGRAMS, { poller = poller, binary = BINARY })
      local control = running:connect()
      local function seen()
        control:send "seen\n"
        return tonumber((control:receive_until "\n"))
      end
      seen()
      local descriptors = running:descriptors()
      local saw = torture(function(n, count)
        local client = running:connect()
        client:send(("%d %d\n"):format(n, count))
        client:half_close()
        local what = client:receive_rest()
        client:close()
        return what, seen()
      end, function()
        server.wait_until("all programs and descriptors to go", function()
          return running:children() == 0 and running:descriptors() <= descriptors
        end)
      end)
      assert.is_true(saw["whole\n"] and saw["raised\n"])
    end)

    it("lets no body look whole that is not", function()
      local running = server.start(BODIES, { poller = poller, binary = BINARY })
      local function seen()
        return tonumber((running:connect():exchange_all "GET /seen HTTP/1.1\r\nHost: a\r\n\r\n"))
      end
      seen()
      local body = ("x"):rep(20000)
      local saw = torture(function(n, count)
        local client = running:connect()
        local first = ("%d %d\n"):format(n, count)
        client:send "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client:send(("%x\r\n%s\r\n"):format(#first, first))
        client:receive_until "go\n"
        client:send(("%x\r\n%s\r\n0\r\n\r\n"):format(#body, body))
        local what = client:receive_rest()
        client:close()
        return what, seen()
      end, function() end)
      assert.is_true(saw["whole 20000"])
      for what in pairs(saw) do assert.is_true(what:sub(1, 5) ~= "whole" or what == "whole 20000", what) end
    end)
  end)
end)
