-- Nothing is unbounded: what happens at each limit, and who sets it.

local server = require "support.server"

local LINES <const> = [[
io.stdout:setvbuf "no"
local framing = require "parlance.framing"
local P = {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self) return self.request .. "\n" end,
  handle_error = function(_, reason) return "!" .. reason end,
  handle_close = function(_, reason) print(reason) end,
}
%s
return P
]]

-- The same by hand, without false, n.
local BY_HAND <const> = [[
return {
  close_when_done = false,
  request_complete = function(self)
    local line_feed = self.incoming:find("\n", 1, true)
    if not line_feed then return false end
    self.line = self.incoming:sub(1, line_feed)
    return true, line_feed
  end,
  make_response = function(self) return self.line end,
  handle_error = function(_, reason) return "!" .. reason end,
}
]]

-- Answers with 32 MiB, which is more than the kernel takes for a peer that does not read.
local BULKY <const> = [[
  local list, piece = {}, ("x"):rep(1 << 20)
  for place = 1, 32 do list[place] = piece end
  P.make_response = function() return list end
]]

-- Takes every descriptor there is when it is asked to.
local HOARDER <const> = [[
  local files = {}
  P.make_response = function(self)
    if self.request == "free" then
      for _, file in ipairs(files) do file:close() end
      files = {}
      return "freed\n"
    end
    repeat
      local file = io.open "/dev/null"
      files[#files + 1] = file
    until not file
    return "full\n"
  end
]]

local function lines(more)
  return LINES:format(more or "")
end

server.for_each_poller(function(poller)
  local function start(script, ...)
    return server.start(script, { poller = poller, turns = true, ... })
  end

  describe("max_request", function()
    for name, script in pairs { ["a framing"] = lines(), ["request_complete in Lua"] = BY_HAND } do
      it("allows just so many bytes, however they are cut, with " .. name, function()
        local running = start(script, "--max-request", 10)
        for _, pieces in ipairs {
          { "123456789\n" }, { "1234", "56789\n" }, { "123456789", "\n" }, { "123456789\nab", "cdefghi\n" },
        } do
          local client = running:connect():send_pieces(pieces)
          assert.equal("123456789\n", client:receive(10))
          client:close()
        end
        local client = running:connect():send_bytes "123456789\n"
        assert.equal("123456789\n", client:receive(10))
      end)

      it("refuses one byte more, however they are cut, with " .. name, function()
        local running = start(script, "--max-request", 10)
        for _, pieces in ipairs {
          { "1234567890\n" }, { "12345", "67890\n" }, { "1234567890", "\n" },
          { "1234567890abcdefghijklmnop\n" }, { "1234567890" },
        } do
          local client = running:connect():send_pieces(pieces)
          assert.equal("!too_large", client:receive_all())
          client:close()
        end
        assert.equal("ab\n!too_large", running:connect():exchange_all "ab\n1234567890\n")
        running:wait_for_log " warn too_large service=script1 "
      end)
    end

    it("refuses what is declared before it has come", function()
      local running = start("protocols/length_sep_body.lua", "--max-request", 100)
      local client = running:connect()
      client:send "97\n"
      assert.is_true(client:is_quiet(0.05)) -- 100 bytes in all
      client = running:connect()
      client:send "98\n"
      assert.equal("", client:receive_all())
      running:wait_for_log " warn too_large service=length_sep_body [^\n]*buffered=3 "
    end)

    it("does not count what stands behind the request", function()
      local running = start(lines(), "--max-request", 10)
      local batch = ("123456789\n"):rep(1000)
      assert.equal(batch, running:connect():exchange(batch, #batch))
    end)
  end)

  describe("request_timeout", function()
    it("ends an unfinished request with handle_error's words", function()
      local running = start(lines(), "--request-timeout", 0.2)
      local begin = server.now()
      local client = running:connect()
      client:send "ab"
      assert.equal("!request_timeout", client:receive_all())
      local took = server.now() - begin
      assert.is_true(took >= 0.18 and took < 1.5, took)
      running:wait_for_log " warn request_timeout service=script1 [^\n]*text=ab "
    end)

    it("counts from the first byte, not from the last", function()
      local running = start(lines(), "--request-timeout", 0.3)
      local client = running:connect()
      local begin = server.now()
      local rest
      repeat
        client.socket:send "x"
        rest = client.socket:receive(1)
      until rest or client:is_quiet(0.05) == false or server.now() - begin > 5
      assert.is_true(server.now() - begin < 2)
    end)

    it("counts anew for each request, and not between them", function()
      local running = start(lines(), "--request-timeout", 0.3)
      local client = running:connect()
      for _ = 1, 4 do
        client:send "a"
        assert.is_true(client:is_quiet(0.15))
        assert.equal("ab\n", client:exchange("b\n", 3))
        assert.is_true(client:is_quiet(0.05))
      end
    end)

    it("is off with 0", function()
      local running = start(lines(), "--request-timeout", 0, "--idle-timeout", 0.1)
      local client = running:connect()
      client:send "a"
      assert.is_true(client:is_quiet(0.5))
      assert.equal("ab\n", client:exchange("b\n", 3))
    end)
  end)

  describe("idle_timeout", function()
    it("ends a connection that has never said anything, without words", function()
      local running = start(lines(), "--idle-timeout", 0.2)
      local begin = server.now()
      assert.equal("", running:connect():receive_all())
      local took = server.now() - begin
      assert.is_true(took >= 0.18 and took < 1.5, took)
      assert.equal("idle_timeout\n", running:output())
    end)

    it("counts anew after each response", function()
      local running = start(lines(), "--idle-timeout", 0.3)
      local client = running:connect()
      for _ = 1, 4 do
        assert.is_true(client:is_quiet(0.15))
        assert.equal("a\n", client:exchange("a\n", 2))
      end
      assert.equal("", client:receive_all())
    end)
  end)

  describe("the timer of a conversation that is over", function()
    it("does not cut off what is still on its way to a slow peer", function()
      local response <const> = ("0123456789abcde\n"):rep(150 * 64)
      local running = start(lines [[
        P.close_when_done = true
        P.make_response = function() return ("0123456789abcde\n"):rep(150 * 64) end
      ]], "--idle-timeout", 1)
      local client = running:connect()
      assert(client.socket:setoption("recv-buffer-size", 16384)) -- the most of it is to wait at the server's
      assert.is_true(client:is_quiet(0.6))
      client:send "a\n"
      -- It takes longer to read all of it than the timer would have run, and never stops talking.
      local pieces = {}
      for nth = 1, 15 do
        pieces[nth] = client:receive(#response // 15)
        client.socket:send "more\n"
        local pause = server.now() + 0.05
        repeat running:turn() until server.now() > pause
      end
      assert.is_true(table.concat(pieces) == response)
      assert.equal("", (client:receive_rest()))
      running:wait_for_log "closed service=script1 [^\n]*reason=done "
    end)
  end)

  describe("write_timeout", function()
    it("ends a connection whose peer takes nothing", function()
      local running = start(lines(BULKY), "--write-timeout", 0.2)
      running:connect():send "a\n"
      running:wait_for_log " warn write_timeout service=script1 "
      running:wait_for_log "closed service=script1 [^\n]*reason=write_timeout "
    end)
  end)

  describe("max_connections", function()
    it("stops accepting, says so once, and goes on when one has ended", function()
      local running = start(lines(), "--max-connections", 2)
      local first, second = running:connect(), running:connect()
      assert.equal("1\n", first:exchange("1\n", 2))
      assert.equal("2\n", second:exchange("2\n", 2))
      local third, fourth = running:connect(), running:connect()
      third:send "3\n"
      fourth:send "4\n"
      running:turn()
      assert.is_true(third:is_quiet(0.05))
      assert.equal("1\n", first:exchange("1\n", 2))
      running:wait_for_log " warn full service=script1 connections=2 "
      assert.equal(1, running:count_in_log " full ")
      first:close()
      assert.equal("3\n", third:receive(2))
      assert.is_true(fourth:is_quiet(0.05))
      second:close()
      assert.equal("4\n", fourth:receive(2))
    end)

    it("is said once where connections come one after the other", function()
      local running = start(lines(), "--max-connections", 1)
      for nth = 1, 50 do
        local client = running:connect()
        assert.equal(nth .. "\n", client:exchange(nth .. "\n", #tostring(nth) + 1))
        client:close()
      end
      assert.is_true(running:count_in_log " full " <= 1, running:count_in_log " full ")
    end)

    it("is said once where each connection has waited for the one before", function()
      local running = start(lines(), "--max-connections", 1)
      local current = running:connect()
      for nth = 1, 50 do
        local waiting = running:connect()
        assert.equal(nth .. "\n", current:exchange(nth .. "\n", #tostring(nth) + 1))
        current:close()
        current = waiting
      end
      running:wait_for_log " warn full service=script1 connections=1 "
      assert.equal(1, running:count_in_log " full ")
    end)

    it("is each service's own", function()
      local running = server.start({
        { lines(), options = { "--max-connections", 1 } },
        { lines(), options = { name = "other" } },
      }, { poller = poller })
      local first = running:connect(1)
      assert.equal("1\n", first:exchange("1\n", 2))
      for _ = 1, 5 do assert.equal("2\n", running:connect(2):exchange("2\n", 2)) end
    end)
  end)

  describe("the descriptor limit", function()
    it("stops accepting, and the server lives", function()
      local running = server.start(lines(), { poller = poller, rlimit_nofile = 40 })
      local clients = {}
      for nth = 1, 60 do clients[nth] = running:connect() end
      running:wait_for_log " full "
      local answered = 0
      for nth = 1, 10 do
        assert.equal("x\n", clients[nth]:exchange("x\n", 2))
        answered = answered + 1
      end
      assert.equal(1, running:count_in_log " full ")
      clients[60]:send "late\n"
      for nth = 1, 59 do clients[nth]:close() end
      assert.equal("late\n", clients[60]:receive(5))
    end)

    it("may be reached by a script's own files; the server goes on when they are closed", function()
      local running = server.start(lines(HOARDER), { poller = poller, rlimit_nofile = 100 })
      local first = running:connect()
      assert.equal("full\n", first:exchange("take\n", 5))
      local second = running:connect()
      second:send "free\n"
      running:wait_for_log " full service=script1 [^\n]*no descriptor"
      assert.is_true(second:is_quiet(0.05))
      assert.equal("freed\n", first:exchange("free\n", 6))
      assert.equal("freed\n", second:receive(6))
    end)

    it("leaves each connection a descriptor for its file, however slow others are", function()
      for _, script in ipairs {
        "protocols/http.lua",
        -- the limit is known only when the first file has been sent
        lines [[
          P.request_complete = framing.http {}
          P.make_response = function() return { "HTTP/1.1 200", assert(io.open(PATH)) } end
          PATH = "%s/big"
        ]],
      } do
        local folder = server.new_folder()
        finally(function() server.remove_folder(folder) end)
        local big <close> = assert(io.open(folder .. "/big", "wb"))
        big:seek("set", 20000000)
        big:write("x"):flush()
        local running = server.start(script:gsub("%%s/big", folder .. "/big"), {
          poller = poller, rlimit_nofile = 60, "--set", "root=" .. folder,
        })
        running:connect():exchange("GET /big HTTP/1.1\r\nHost: a\r\n\r\n", 12)
        local clients = {}
        for nth = 1, 40 do
          clients[nth] = running:connect()
          clients[nth]:send "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
        end
        for nth = 1, 40 do
          assert.equal("HTTP/1.1 200", clients[nth]:receive(12))
          if nth > 10 then clients[nth]:close() end -- the first ten never read on
        end
        assert.equal(1, running:count_in_log " full ")
        assert.equal(0, running:count_in_log " error ")
      end
    end)
  end)

  describe("--memory-limit", function()
    local HUNGRY <const> = lines [[
      P.make_response = function(self)
        if self.request == "eat" then
          local t = {}
          for i = 1, math.huge do t[i] = { i } end
        elseif self.request == "string" then
          return ("x"):rep(1 << 26)
        elseif self.request == "protected" then
          local t = {}
          print(pcall(function() for i = 1, math.huge do t[i] = { i } end end))
        end
        return "ok\n"
      end
    ]]

    for _, request in ipairs { "eat", "string" } do
      it("fails the call that hits it, and only its connection ends: " .. request, function()
        local running = start(HUNGRY, "--memory-limit", "4M")
        local other = running:connect()
        assert.equal("ok\n", other:exchange("a\n", 3))
        local memory = running:memory()
        for _ = 1, 3 do
          local answer = running:connect():exchange_all(request .. "\n")
          assert.is_truthy(answer == "!out_of_memory" or answer == "")
        end
        assert.equal("ok\n", other:exchange("a\n", 3))
        assert.equal(3, running:count_in_log " out_of_memory service=script1 ")
        assert.equal(3, running:count_in_log "closed [^\n]*reason=out_of_memory ")
        if not server.is_sanitized then assert.is_true(running:memory() - memory < 8192) end
      end)
    end

    it("can be caught by the script", function()
      local running = start(HUNGRY, "--memory-limit", "4M")
      assert.equal("ok\n", running:connect():exchange("protected\n", 3))
      assert.equal("false\tnot enough memory\n", running:output())
    end)

    it("is each script's own", function()
      local running = server.start({
        { HUNGRY, options = { "--memory-limit", "1M" } },
        { lines "P.make_response = function(self) return ('x'):rep(4 << 20) end", options = { name = "other" } },
      }, { poller = poller })
      assert.equal(4 << 20, #running:connect(2):exchange("a\n", 4 << 20))
      assert.equal("ok\n", running:connect(1):exchange("a\n", 3))
    end)

    it("holds for a response that is pulled piece by piece, too", function()
      local running = start(lines [[
        P.make_response = function() return { function() return ("x"):rep(1 << 24) end } end
      ]], "--memory-limit", "4M")
      running:connect():exchange_all "a\n"
      running:wait_for_log "reason=out_of_memory "
    end)
  end)
end)

describe("the descriptor limit", function()
  server.cleans_up()

  it("is said once while it lasts, however often accepting is tried again", function()
    local running = server.start(lines(HOARDER), { rlimit_nofile = 100 })
    local first = running:connect()
    assert.equal("full\n", first:exchange("take\n", 5))
    running:connect()
    running:wait_for_log " full "
    assert.is_true(first:is_quiet(2.3))
    assert.equal(1, running:count_in_log " full ")
  end)
end)

describe("a limit", function()
  server.cleans_up()

  -- Whether a line of so many bytes, line feed included, is taken.
  local function takes(running, size)
    return running:connect():exchange_all(("x"):rep(size - 1) .. "\n") ~= "!too_large"
  end

  it("of the command line counts before the script's", function()
    local running = server.start(lines "P.max_request = 20", { "--max-request", 10 })
    assert.is_true(takes(running, 10))
    assert.is_false(takes(running, 11))
    running = server.start(lines "P.max_request = 10", { "--max-request", 20 })
    assert.is_true(takes(running, 20))
    assert.is_false(takes(running, 21))
  end)

  it("of the script counts before the default", function()
    local running = server.start(lines "P.max_request = 10")
    assert.is_true(takes(running, 10))
    assert.is_false(takes(running, 11))
  end)

  it("has a default: max_request is 1 MiB", function()
    local running = server.start(lines())
    assert.is_true(takes(running, 1 << 20))
    assert.is_false(takes(running, (1 << 20) + 1))
  end)

  for _, name in ipairs { "request_timeout", "idle_timeout", "write_timeout" } do
    local option = "--" .. name:gsub("_", "-")
    local act = ({
      request_timeout = function(client) client:send "a" end,
      idle_timeout = function() end,
      write_timeout = function(client) client:send "a\n" end,
    })[name]

    it("of time may be set by the script: " .. name, function()
      local running = server.start(lines(BULKY .. "P." .. name .. " = 0.1"))
      act(running:connect())
      running:wait_for_log("reason=" .. name, 5)
    end)

    it("of time may be set by the command line: " .. name, function()
      local running = server.start(lines(BULKY .. "P." .. name .. " = 100"), { option, 0.1 })
      act(running:connect())
      running:wait_for_log("reason=" .. name, 5)
    end)
  end
end)
