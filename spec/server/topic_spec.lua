-- parlance.topic() over real sockets: broadcasts, slow readers, and how much memory they take.

local server = require "support.server"

local SCRIPT <const> = [[
local parlance = require "parlance"
local framing = require "parlance.framing"
local room = parlance.topic("room", { slow = %q })
local P = { close_when_done = false, request_complete = framing.line { max = 10000 } }
function P:handle_connect()
  room:subscribe(self)
  return "welcome\n"
end
function P:make_response()
  local count, piece = self.request:match "^(%%d+) (.*)$"
  return room:publish((piece .. "\n"):rep(tonumber(count))) .. "\n"
end
function P:handle_close(why) parlance.log("info", "ended: " .. why) end
%s
return P
]]

server.for_each_poller(function(poller)
  local function start(rest, slow, ...)
    return server.start(SCRIPT:format(slow or "close", rest or ""), { poller = poller, ... })
  end

  local function connect(running)
    local client = running:connect()
    client:receive(#"welcome\n")
    return client
  end

  it("sends to all of two hundred subscribers", function()
    local running = start()
    local all = {}
    for i = 1, 200 do all[i] = connect(running) end
    all[1]:send "1 news\n"
    assert.equal("news\n200\n", all[1]:receive(9))
    for i = 2, 200 do assert.equal("news\n", all[i]:receive(5)) end
  end)

  it("sends every message once, and in its order, to readers that are slower than the publisher", function()
    local running = start(nil, nil, "--max-unsent", "64M")
    local one, two = connect(running), connect(running)
    local expected = {}
    for i = 1, 300 do
      local piece = ("message %d"):format(i)
      expected[i] = (piece .. "\n"):rep(i % 3 == 0 and 2000 or 1)
      one:send(("%d %s\n"):format(i % 3 == 0 and 2000 or 1, piece))
    end
    local whole = table.concat(expected)
    assert.is_true(whole == two:receive(#whole))
  end)

  it("closes who does not read with slow_reader", function()
    local running = start()
    local one, slow = connect(running), connect(running)
    local ends
    for _ = 1, 100 do
      one:send "2000 0123456789012345678901234567890123456789\n"
      one:receive(2000 * 41)
      ends = one:receive_until "\n"
      if ends == "1\n" then break end
    end
    assert.equal("1\n", ends)
    running:wait_for_log "ended: slow_reader"
    running:wait_for_log "warn slow_reader service=%S+ peer=127.0.0.1"
    local _, how = slow:receive_rest()
    assert.equal("closed", how) -- luasocket's word for a reset, too
    one:send "1 x\n"
    assert.equal("x\n1\n", one:receive(4))
  end)

  it("leaves out what who does not read cannot take, with slow = drop", function()
    local running = start(nil, "drop")
    local one, slow = connect(running), connect(running)
    local ends
    local sent = 0
    repeat
      one:send "2000 0123456789012345678901234567890123456789\n"
      one:receive(2000 * 41)
      ends = one:receive_until "\n"
      if ends == "2\n" then sent = sent + 1 end
    until ends == "1\n"
    assert.equal(sent * 2000 * 41, #slow:receive(sent * 2000 * 41))
    one:send "1 x\n"
    assert.equal("x\n2\n", one:receive(4))
    assert.equal("x\n", slow:receive(2))
  end)

  if not server.is_sanitized then
    it("holds a message once for all that wait for it", function()
      local running = start "P.max_unsent = 1 << 25"
      local one, all = connect(running), {}
      for i = 1, 200 do all[i] = connect(running) end
      assert.equal(200, #all)
      local before = running:memory()
      one:send "1000000 abcdefghijklmno\n" -- 16 MB each, more than the kernel takes
      one:receive(16000000)
      assert.equal("201\n", one:receive_until "\n")
      assert.is_true(running:memory() < before + 100 * 1024, running:memory() - before)
    end)
  end

  it("keeps its subscribers when the script is edited", function()
    local running = start()
    local one, two = connect(running), connect(running)
    local file <close> = assert(io.open(running.folder .. "/script1.lua", "w"))
    file:write(SCRIPT:format("close", "-- edited"))
    file:close()
    running:wait_for_log "info reloaded service=script1"
    one:send "1 news\n"
    assert.equal("news\n2\n", one:receive(7))
    assert.equal("news\n", two:receive(5))
  end)
end)
