-- timeout 60
-- A peer that does not read is given no more than it takes, and nobody else notices it.

local server = require "support.server"

-- What the two kernels' buffers hold for a peer that does not read, at most, in bytes.
local KERNEL <const> = 16 * 1024 * 1024

-- A line of a number gets so many bytes, in whatever shape the script makes them.
local BULK <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local answered = 0
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self)
    answered = answered + 1
    if self.request == "count" then return answered .. "\n" end
    local size = tonumber(self.request)
    %s
  end,
  handle_close = function(_, reason) print(reason) end,
}
]]

local SHAPES <const> = {
  { "small strings", "return ('x'):rep(size)", 1000 },
  { "large strings", "return ('x'):rep(size)", 200000 },
  { "lists of strings", "return { ('x'):rep(size // 2), ('x'):rep(size - size // 2) }", 100000 },
  { "functions", "local n = 0 return { function() n = n + 1 if n <= 10 then return ('x'):rep(size // 10) end end }",
    100000 },
  { "files", "local f = io.tmpfile() f:seek('set', size - 1) f:write 'x' f:seek 'set' return { f }", 1000000 },
}

server.for_each_poller(function(poller)
  local function start(script, options)
    options = options or {}
    options.poller = poller
    options.turns = true
    return server.start(script, options)
  end

  describe("a client that pipelines and does not read", function()
    for _, shape in ipairs(SHAPES) do
      local name, code, size = table.unpack(shape)
      it("is answered no further than its buffers hold: " .. name, function()
        local running = start(BULK:format(code))
        local deaf, other = running:connect(), running:connect()
        local memory = running:memory()
        local request = size .. "\n"
        local piece = request:rep(1000)
        local sent = deaf:send_until_full(function() return piece end, 0.3)
        local asked = sent // #request
        for _ = 1, 20 do running:turn() end
        other:send "count\n"
        local answered = tonumber(other.socket:receive "*l")
        assert.is_true(answered < asked, ("%d of %d were answered"):format(answered, asked))
        assert.is_true(answered * size < KERNEL + 2 * 1024 * 1024, answered .. " were answered")
        if not server.is_sanitized then
          local grown = running:memory() - memory
          assert.is_true(grown < 6 * 1024, ("grew by %d KiB"):format(grown))
        end
      end)
    end

    it("gets everything when it does read", function()
      local running = start(BULK:format "return { (size .. ';'):rep(1000) }")
      local client = running:connect()
      local number = 0
      local taken = client:send_until_full(function()
        number = number + 1
        if number <= 5000 then return ("%07d\n"):format(number) end
      end, 0.1)
      for answer = 1, taken // 8 do
        local expected = (answer .. ";"):rep(1000)
        assert.is_true(expected == client:receive(#expected))
      end
    end)
  end)

  describe("a client that never reads", function()
    it("ends as write_timeout, while others are answered", function()
      local running = start(BULK:format "return { function() return ('x'):rep(size) end }",
        { "--write-timeout", 0.5 })
      local deaf, other = running:connect(), running:connect()
      local begin = server.now()
      deaf:send "65536\n"
      repeat
        local asked = server.now()
        other:send "count\n"
        assert.equal("%", (other.socket:receive("*l"):gsub("^%d+$", "%%")))
        assert.is_true(server.now() - asked < 0.3)
        assert.is_true(server.now() - begin < 5)
      until running:log():find "reason=write_timeout"
      assert.is_true(server.now() - begin >= 0.45)
      running:wait_for_log " warn write_timeout service=script1 "
      assert.equal("write_timeout\n", running:output())
    end)

    it("does not end as long as it reads a little in time", function()
      local running = start(BULK:format [[
        return { function()
          if size == 0 then return nil end
          size = size - 65536
          return ("x"):rep(65536)
        end }
      ]], { "--write-timeout", 0.5 })
      local slow = running:connect()
      local piece <const>, pieces <const> = 2 * 1024 * 1024, 12
      slow:send(piece * pieces .. "\n")
      for _ = 1, pieces do
        slow:receive(piece)
        -- To be slow is all that this client is for.
        local pause = server.now() + 0.1
        repeat running:turn() until server.now() > pause
      end
      assert.is_true(slow:is_quiet(0.05))
      assert.is_nil(running:log():find "write_timeout")
    end)
  end)
end)
