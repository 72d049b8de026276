-- self:send() and self:close() over real sockets.

local server = require "support.server"

-- Each line is a piece of Lua that is run. `clients` has all connections by their number.
local SCRIPT <const> = [[
local parlance = require "parlance"
local framing = require "parlance.framing"
clients, sleep = {}, parlance.sleep
local P = { close_when_done = false, request_complete = framing.line { max = 10000 } }
function P:handle_connect()
  clients[#clients + 1] = self
  return #clients .. "\n"
end
function P:make_response() return tostring((assert(load("local self = ... " .. self.request))(self))) .. "\n" end
function P:handle_close(why) parlance.log("info", "ended: " .. why) end
%s
return P
]]

server.for_each_poller(function(poller)
  local function start(rest, ...)
    return server.start(SCRIPT:format(rest or ""), { poller = poller, ... })
  end

  local function connect(running, number)
    local client = running:connect()
    assert.equal(number .. "\n", client:receive_until "\n")
    return client
  end

  local function ask(client, line)
    client:send(line:gsub("\n", " ") .. "\n")
    return client:receive_until "\n"
  end

  it("sends to a connection that has nothing in hand", function()
    local running = start()
    local one, other = connect(running, 1), connect(running, 2)
    assert.equal("true\n", ask(one, "return clients[2]:send 'news\\n'"))
    assert.equal("news\n", other:receive_until "\n")
  end)

  it("sends to a hundred connections, also the one that asks for it", function()
    local running = start()
    local all = {}
    for i = 1, 100 do all[i] = connect(running, i) end
    all[1]:send "for _, client in ipairs(clients) do client:send 'news\\n' end return 'done'\n"
    assert.equal("news\ndone\n", all[1]:receive(10))
    for i = 2, 100 do assert.equal("news\n", all[i]:receive(5)) end
  end)

  it("sends to a connection whose request waits", function()
    local running = start()
    local one, other = connect(running, 1), connect(running, 2)
    one:send "while not is_sent do sleep(0.01) end return 'late'\n"
    assert.equal("true\n", ask(other, "is_sent = clients[1]:send 'early\\n' return is_sent"))
    assert.equal("early\nlate\n", one:receive(11))
  end)

  it("refuses what a peer that does not read would have to wait for, and loses none of the rest", function()
    local running = start()
    local one, other = connect(running, 1), connect(running, 2)
    local sent = tonumber(ask(one, [[
      local n, piece = 0, ("x"):rep(10000)
      while clients[2]:send(piece) do n = n + 1 end
      return n]]))
    assert.is_true(sent >= 104, sent)
    assert.equal("true\n", ask(one, "return clients[2]:send 'end\\n' or clients[2]:close()"))
    assert.equal(10000 * sent, #other:receive(10000 * sent))
  end)

  it("refuses what would take more memory than the whole server may, and closes nobody for it", function()
    local running = start(nil, "--max-buffered", "8M")
    local one = connect(running, 1)
    for i = 2, 50 do connect(running, i) end
    local count = ask(one, [[
      local piece, sent, why = ("x"):rep(1000000), 0, nil
      for i = 2, #clients do
        local is_sent, reason = clients[i]:send(piece)
        if is_sent then sent = sent + 1 else why = reason end
      end
      return sent .. " " .. why]])
    assert.equal("8 overloaded\n", count)
    assert.equal(0, running:count_in_log "overloaded")
  end)

  it("refuses it also where it waits behind responses that have begun", function()
    local running = start(nil, "--max-buffered", "8M", "--drain-timeout", "0.1")
    local one = connect(running, 1)
    for i = 2, 50 do
      local client = connect(running, i)
      client:send "self:write('begun\\n') sleep(60)\n"
      assert.equal("begun\n", client:receive_until "\n")
    end
    local count = ask(one, [[
      local piece, sent, why = ("x"):rep(1000000), 0, nil
      for i = 2, #clients do
        local is_sent, reason = clients[i]:send(piece)
        if is_sent then sent = sent + 1 else why = reason end
        sleep(0)
      end
      return sent .. " " .. why]])
    assert.equal("8 overloaded\n", count)
    assert.equal(0, running:count_in_log "overloaded")
  end)

  it("takes --max-unsent", function()
    local running = start("P.max_unsent = 1", "--max-unsent", "4K")
    local one = connect(running, 1)
    connect(running, 2)
    assert.equal("true\n", ask(one, "return clients[2]:send(('x'):rep(4096))"))
    assert.equal("false\n", ask(one, "return (clients[2]:send(('x'):rep(4097)))"))
  end)

  it("ends a peer that takes nothing of what it was sent within write_timeout", function()
    local running = start("P.write_timeout = 1", "--max-unsent", "64M")
    local one = connect(running, 1)
    connect(running, 2)
    assert.equal("true\n", ask(one, "return clients[2]:send(('x'):rep(60000000))"))
    running:wait_for_log "ended: write_timeout"
    assert.equal("false\n", ask(one, "return (clients[2]:send 'x')"))
  end)

  it("closes another connection behind what it was sent", function()
    local running = start()
    local one, other = connect(running, 1), connect(running, 2)
    assert.equal("true\n", ask(one, "return clients[2]:send 'bye\\n' and clients[2]:close 'kicked out'"))
    assert.equal("bye\n", other:receive_all())
    running:wait_for_log 'ended: kicked out'
    assert.equal("false\n", ask(one, "return (clients[2]:close())"))
  end)

  it("closes a connection whose request waits", function()
    local running = start()
    local one, other = connect(running, 1), connect(running, 2)
    one:send "sleep(60)\n"
    assert.equal("true\n", ask(other, "return clients[1]:close()"))
    assert.equal("", one:receive_all())
    running:wait_for_log "ended: closed"
  end)

  it("logs the reason that the script gave, and counts it as closed", function()
    local running = start(nil, "--log-level", "debug")
    local one = connect(running, 1)
    one:send "self:close 'enough' return 'bye'\n"
    assert.equal("bye\n", one:receive_all())
    running:wait_for_log "debug closed service=%S+ peer=%S+ port=%d+ reason=enough"
    running:stop()
    assert.matches("info stopped .* closed=1", running:log())
  end)
end)
