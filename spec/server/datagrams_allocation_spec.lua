-- timeout 300
-- Allocations that fail, one after the other, while datagrams are answered, also where they are recorded. Each costs at
-- most the datagrams of that time: what is answered is answered whole, and the next ones are served.

local luasocket = require "socket"
local recordings = require "support.recordings"
local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest") .. "/spec/failing_server"

-- Over a connection, "fail N COUNT" has the Nth allocation from now on fail, and those behind it until COUNT have
-- failed; "seen" tells how many there were, and ends that.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local Words = { close_when_done = false, request_complete = framing.line {}, datagram = framing.line {} }
function Words:make_response()
  if self.transport == "tcp" then return os.setlocale(self.request) .. "\n" end
  local word, number = self.request:match "^(%l+) ?(.*)$"
  if word == "list" then return { "one " .. number, ("two"):rep(400), "three" } end
  if word == "wait" then
    self:send("waits " .. number)
    parlance.sleep(0)
    return "waited " .. number
  end
  return word
end
function Words:handle_error(reason) return reason end
return Words
]]

-- Whether a datagram is one that the script sends.
local function is_whole(text)
  for _, pattern in ipairs {
    "^one %d+$", "^three$", "^waits %d+$", "^waited %d+$", "^mark$", "^malformed$", "^out_of_memory$", "^script_error$",
  } do
    if text:find(pattern) then return true end
  end
  return text == ("two"):rep(400)
end

server.for_each_poller(function(poller)
  describe("an allocation that fails where datagrams are answered with " .. poller, function()
    after_each(recordings.remove_folders)

    -- Returns how many datagrams were answered whole, and how many not.
    local function torture(...)
      local running = server.start(SCRIPT, {
        poller = poller, binary = BINARY, listen = { "udp:127.0.0.1:0", "127.0.0.1:0" }, ...
      })
      local port = tonumber(running.addresses[1].text:match ":(%d+)$")
      local control
      local function tell(line)
        return server.wait_until("an answer to " .. line, function()
          control = control or running:connect(2)
          local answer = control.socket:send(line .. "\n") and control.socket:receive "*l"
          if not answer then
            control:close()
            control = nil
          end
          return answer
        end)
      end
      local answered, lost = 0, 0
      for count = 1, 2 do
        local n, last = 0
        repeat
          n = n + 1
          local peer = luasocket.udp4()
          assert(peer:setpeername("127.0.0.1", port))
          tell "seen" -- It is there, and needs no memory that it has not.
          control.socket:send(("fail %d %d\n"):format(n, count))
          control.socket:receive "*l"
          for _, word in ipairs { "list %d\n", "wait %d\n", "malformed\n\n", "list %d\n" } do
            assert(peer:send((word:format(n))))
          end
          local whole = 0
          peer:settimeout(0.2)
          server.wait_until("the mark behind them", function() -- It may be lost, too.
            assert(peer:send "mark\n")
            local got
            repeat
              got = peer:receive()
              assert.is_true(not got or is_whole(got), got)
              if got and (got == "three" or got:find "^waited" or got == "malformed") then whole = whole + 1 end
            until not got or got == "mark"
            return got
          end)
          last = tonumber(tell "seen")
          answered, lost = answered + whole, lost + 4 - whole
          peer:close()
        until n > last
        assert.is_true(n > 5, n)
      end
      running:close_clients()
      assert.equal(0, running:stop())
      running:expect_end()
      return answered, lost
    end

    it("costs at most these datagrams", function()
      local answered, lost = torture()
      assert.is_true(answered > 20 and lost > 3, answered .. " " .. lost)
    end)

    it("costs at most their recordings, where they are recorded", function()
      local folder = recordings.new_folder()
      local answered, lost = torture("--record", folder)
      assert.is_true(answered > 20 and lost > 3, answered .. " " .. lost)
      assert.is_true(#recordings.names_in(folder) > 5)
    end)
  end)
end)
