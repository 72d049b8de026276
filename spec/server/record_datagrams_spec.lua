-- --record: datagrams through real sockets, and the transcripts that are written of them.

local luasocket = require "socket"
local recordings = require "support.recordings"
local server = require "support.server"

local SCRIPT <const> = [[
local parlance = require "parlance"
local net = require "parlance.net"
local does = {
  list = function() return { "one", "", "three" } end,
  none = function() end,
  wait = function(self, seconds)
    self:send "begins"
    parlance.sleep(tonumber(seconds))
    return "waited " .. seconds
  end,
  long = function(_, count) return ("x"):rep(tonumber(count)) end,
  binary = function() return "\0\1\2" .. ("\xff"):rep(100) .. "\3" end,
  text = function() return "a \"b\"\n\tc" .. ("-"):rep(70) .. "é\n" end,
  ask = function(_, rest)
    local address, text = rest:match "^(%S+) (.*)$"
    local up <close> = assert(net.connect(address))
    up:write(text .. "\n")
    return up:read "l"
  end,
}
local Words = { listen = "udp:localhost:0", request_complete = require("parlance.framing").line {} }
function Words:make_response()
  local name, rest = self.request:match "^(%l+) ?(.*)$"
  if does[name] then return does[name](self, rest) end
  return self.transport .. " " .. self.request
end
function Words:handle_error(reason) return reason end
return Words
]]

-- The steps without pauses.
local function steps(text)
  return (text:match "\n\n(.*)$":gsub("wait %d+%.%d+\n", ""))
end

server.for_each_poller(function(poller)
  describe("--record of datagrams with " .. poller, function()
    local folder, running, peers

    before_each(function() folder, peers = recordings.new_folder(), {} end)
    after_each(function()
      for _, peer in ipairs(peers) do peer:close() end
      recordings.remove_folders()
    end)

    local function start(...)
      running = server.start(SCRIPT, { poller = poller, listen = { "udp:127.0.0.1:0" }, "--record", folder, ... })
    end

    local function peer()
      local new = luasocket.udp4()
      new:settimeout(server.DEADLINE)
      assert(new:setpeername("127.0.0.1", tonumber(running.addresses[1].text:match ":(%d+)$")))
      peers[#peers + 1] = new
      return new
    end

    -- Sends datagrams, and receives so many.
    local function exchange(with, datagrams, count)
      for _, datagram in ipairs(datagrams) do assert(with:send(datagram)) end
      local got = {}
      for i = 1, count do got[i] = assert(with:receive()) end
      return got
    end

    local function stop()
      running:stop()
      running:expect_end()
    end

    -- The recordings hold against the script.
    local function check()
      local path = recordings.new_folder() .. "/script.lua"
      server.write_file(path, SCRIPT)
      local status, said, complaint = server.run { "check", path, folder }
      assert.equal("", complaint)
      assert.equal(0, status, said)
      return said
    end

    it("writes a transcript for each sender, which holds", function()
      start()
      local one, other = peer(), peer()
      exchange(one, { "a" }, 1)
      exchange(other, { "list" }, 3)
      exchange(one, { "", "none", "b" }, 2)
      stop()
      local first, second = recordings.transcripts(folder, 2)
      if not first:find('> "a"', 1, true) then first, second = second, first end
      local _, port = one:getsockname()
      assert.matches("^# Recorded from script1, with 127%.0%.0%.1:" .. port .. ": datagrams%.\n", first)
      assert.matches("\nfresh\nudp\ntime [%d-]+T[%d:.]+Z\n\n> \"a\"\n", first)
      assert.matches('> "a"\n< "udp a"\n', steps(first), 1, true)
      assert.matches('> ""\n', steps(first), 1, true)
      assert.matches('< "udp b"\n$', steps(first))
      assert.equal('> "list"\n< "one"\n< ""\n< "three"\n', steps(second))
      check()
    end)

    it("writes each datagram in one line, whatever is in it", function()
      start()
      local got = exchange(peer(), { "binary", "text", "long 300", "long 3000" }, 4)
      stop()
      local text = steps((recordings.transcripts(folder, 1)))
      assert.matches("< hex 00 01 02 hex ff * 100 hex 03\n", text, 1, true)
      assert.matches([[< "a \"b\"\n\tc" "-" * 70 "\xC3\xA9\n"]], text, 1, true)
      assert.matches('< "x" * 300\n', text, 1, true)
      assert.equal(4, #got)
      check()
    end)

    it("writes pauses, and answers that take their time where they came", function()
      start()
      local one = peer()
      assert(one:send "wait 0.4")
      assert.equal("begins", one:receive())
      exchange(one, { "x" }, 1)
      assert.equal("waited 0.4", one:receive())
      stop()
      local text = (recordings.transcripts(folder, 1)):match "\n\n(.*)$"
      assert.matches('^> "wait 0%.4"\n< "begins"\n.*> "x"\n< "udp x"\nwait 0%.[2-5]%d+\n< "waited 0%.4"\n$', text)
      check()
    end)

    it("writes what the script says to other servers", function()
      local listener = assert(luasocket.bind("127.0.0.1", 0))
      listener:settimeout(server.DEADLINE)
      finally(function() listener:close() end)
      local _, port = listener:getsockname()
      start()
      local one = peer()
      assert(one:send(("ask 127.0.0.1:%d hello"):format(port)))
      local up = assert(listener:accept())
      up:settimeout(server.DEADLINE)
      assert.equal("hello", up:receive "*l")
      up:send "you\n"
      assert.equal("you", one:receive())
      up:close()
      stop()
      local text = (recordings.transcripts(folder, 1))
      assert.matches(('upstream up1 "127.0.0.1:%d"\n'):format(port), text, 1, true)
      assert.matches('up1< "hello\\n"\nup1> "you\\n"\n< "you"\n', steps(text), 1, true)
      check()
    end)

    it("leaves out what was not sent, and what waits at the end", function()
      start "--drain-timeout=1"
      local one = peer()
      exchange(one, { "long 70000", "x" }, 1)
      assert(one:send "wait 50")
      assert.equal("begins", one:receive())
      stop()
      assert.equal('> "long 70000"\n> "x"\n< "udp x"\n> "wait 50"\n< "begins"\n',
        steps((recordings.transcripts(folder, 1))))
      check()
    end)

    it("drops a recording that gets too long, and goes on to answer", function()
      start()
      local one = peer()
      for _ = 1, 140 do assert.equal(8000, #exchange(one, { "long 8000" }, 1)[1]) end
      running:wait_for_log('warn record_dropped service=script1 peer=127.0.0.1 port=%d+ '
        .. 'detail="the conversation is too long"')
      exchange(peer(), { "a" }, 1)
      stop()
      assert.equal('> "a"\n< "udp a"\n', steps((recordings.transcripts(folder, 1))))
    end)

    it("writes both, connections and datagrams, of a script that serves both", function()
      running = server.start(SCRIPT, {
        poller = poller, listen = { "udp:127.0.0.1:0", "127.0.0.1:0" }, "--record", folder,
      })
      exchange(peer(), { "a" }, 1)
      local client = running:connect(2)
      assert.equal("tcp b", client:exchange("b\n", 5))
      running:close_clients()
      stop()
      recordings.transcripts(folder, 2)
      check()
    end)
  end)
end)

describe("--record of datagrams", function()
  it("ends a recording when the sender is silent for ten seconds", function()
    local folder = recordings.new_folder()
    finally(recordings.remove_folders)
    local running = server.start(SCRIPT, { listen = { "udp:127.0.0.1:0" }, "--record", folder })
    local one = luasocket.udp4()
    one:settimeout(server.DEADLINE)
    assert(one:setpeername("127.0.0.1", tonumber(running.addresses[1].text:match ":(%d+)$")))
    one:send "a"
    assert.equal("udp a", one:receive())
    assert.equal('> "a"\n< "udp a"\n', steps((recordings.transcripts(folder, 1))))
    one:close()
  end)
end)
