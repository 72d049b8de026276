-- `parlance fuzz` of scripts that are sent datagrams.

local server = require "support.server"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- What fuzz says of a script whose make_response has this body, with transcripts if there are any.
local function fuzz(body, texts, more)
  local path = folder .. "/fuzzed.lua"
  server.write_file(path, ([[
    local parlance = require "parlance"
    local net = require "parlance.net"
    local kept = {}
    local Fuzzed = { listen = "udp:localhost:0", max_request = 1000, %s }
    function Fuzzed:make_response() %s end
    return Fuzzed]]):format(more or "", body))
  local arguments = { "fuzz", "--seconds", "20", "--seed", "1", path }
  for i, text in ipairs(texts or {}) do
    arguments[#arguments + 1] = ("%s/%d.transcript"):format(folder, i)
    server.write_file(arguments[#arguments], text)
  end
  return server.run(arguments)
end

describe("fuzz of datagrams", function()
  for _, case in ipairs {
    { "an error for a datagram without bytes", 'return #self.request + self.request:byte()', {},
      "attempt to perform arithmetic on a nil value", 'udp\n> ""\n' },
    { "an error for a longer one", 'if #self.request > 900 then error "on purpose" end', {},
      "the script raises an error", "udp\n> \"a\" * 901\n" },
    { "an error for one that comes twice",
      [[if self.request == "login" then
          if kept.login then error "on purpose" end
          kept.login = true
        end]], { 'udp\n> "login"\n' }, "the script raises an error", 'udp\n> "login"\n> "login"\n' },
    { "an error when one of them is lost",
      [[if self.request == "open" then kept.open = "o" end
        if self.request == "close" then return #kept.open .. "" end]],
      { 'udp\nfresh\n> "open"\n> "close"\n< "1"\n' },
      "attempt to get length of a nil value", 'fresh\nudp\n> "close"\n' },
    { "an answer that is no string", 'return #self.request > 3 and 5 or nil', {}, "make_response returned a number",
      'udp\n> "aaaa"\n' },
    { "an answer that is too large for a datagram", 'return self.request:rep(#self.request == 300 and 300 or 1)',
      { 'udp\n> "' .. ("b"):rep(300) .. '"\n< ~".*"\n' },
      "an answer of 90000 bytes is too large for a datagram, and is not sent", 'udp\n> "a" * 300\n' },
    { "a wait that is too long", 'if self.request:find "7" then parlance.sleep(100) end', { 'udp\n> "7"\n' },
      "the script waits for longer than response_timeout", 'udp\n> "7"\n' },
    { "memory that grows", 'kept[#kept + 1] = ("x"):rep(100) .. #kept return "x"', {},
      "memory grows: each conversation", 'udp\n> ""\n< "x"\n' },
    { "what an upstream may say", [[
        if self.request ~= "k" then return end
        local store <close> = assert(net.connect "127.0.0.1:6379")
        store:write "k\n"
        return "" .. #store:read("l"):match "^value (.*)"]],
      { 'udp\nupstream store "127.0.0.1:6379"\n> "k"\nstore< "k\\n"\nstore> "value 1\\n"\n< "1"\n' },
      "attempt to get length of a nil value", '> "k"\nstore< "k\\n"\nstore> "' },
  } do
    local what, body, texts, headline, transcript = table.unpack(case)
    it("finds " .. what, function()
      local status, said, complaint = fuzz(body, texts)
      assert.equal("", complaint)
      assert.equal(1, status, said)
      assert.is_truthy(said:find(headline, 1, true), said)
      assert.is_truthy(said:find(transcript, 1, true), said)
      server.write_file(folder .. "/found.transcript", said)
      local _, _, complaint_of_check = server.run { "check", folder .. "/fuzzed.lua", folder .. "/found.transcript" }
      assert.equal("", complaint_of_check) -- It is a transcript.
    end)
  end

  it("finds nothing in a sound script that waits, in no time", function()
    local body = [[
      if self.request:find "^%d" then parlance.sleep(self.request:byte() % 20) end
      return { self.request, self.transport }]]
    local path = folder .. "/fuzzed.lua"
    server.write_file(path, ('local parlance = require "parlance"\nreturn { listen = "udp:localhost:0", '
      .. "max_request = 1000, make_response = function(self) %s end }"):format(body))
    local status, said = server.run { "fuzz", "--seconds", "1", "--seed", "1", path }
    assert.same({ 0, true }, { status, said:find "nothing found with %d%d%d+ inputs" ~= nil }, said)
  end)

  it("sends to a script that serves connections, too, bytes and datagrams in turn", function()
    local serves = 'request_complete = require("parlance.framing").line { max = 100 }, close_when_done = false'
    local texts = { 'udp\n> "a"\n< "a"\n', '> "a\\n"\n< "a"\n' }
    for transport, transcript in pairs { udp = 'udp\n> "1"\n', tcp = '\n> "1\\n"\n> end\n' } do
      local status, said = fuzz(('if self.transport == "%s" and self.request:find "1" then error "x" end '
        .. 'return self.request'):format(transport), texts, serves)
      assert.equal(1, status, said)
      assert.is_truthy(said:find(transcript, 1, true), said)
    end
  end)

  it("repeats the same inputs with one seed", function()
    local body, said = 'if #self.request > 50 and self.request:find "[x-z]" then error "on purpose" end', {}
    for i = 1, 2 do said[i] = select(2, fuzz(body)) end
    assert.equal(said[1], said[2])
    assert.matches("with input %d+", said[1])
  end)
end)
