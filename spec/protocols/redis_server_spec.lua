-- protocols/redis.lua behind a socket, and whether the real Redis answers the same.
local cases = require "support.redis_cases"
local process = require("parlance_spec").process
local redis_client = require "support.redis_client"
local server = require "support.server"
local unix = require "socket.unix"

local encode <const> = redis_client.encode

-- ---- with a server ------------------------------------------------------------------------------

-- All requests of a group at once, up to one that ends the connection, and all their replies.
local function join(group)
  local requests, replies = { "FLUSHALL\r\n" }, { "+OK\r\n" }
  for _, case in ipairs(group) do
    requests[#requests + 1] = case[1] .. "\r\n"
    replies[#replies + 1] = case[2]
    if redis_client.is_last_word(case[2]) then break end
  end
  return table.concat(requests), table.concat(replies)
end

describe("protocols/redis behind a socket", function()
  server.cleans_up()

  it("answers the same, pipelined", function()
    local redis = server.start "protocols/redis.lua"
    for _, group in ipairs(cases) do
      local requests, replies = join(group[2])
      assert.are.equal(replies, redis:connect():exchange_all(requests), group[1])
    end
  end)

  it("answers the same, byte by byte", function()
    local redis = server.start "protocols/redis.lua"
    local client = redis:connect()
    local request = encode { "MSET", "a", "1", "b", ("x"):rep(50) } .. encode { "MGET", "a", "b" } .. "PING\r\n"
    local reply = "+OK\r\n" .. encode { "1", ("x"):rep(50) } .. "+PONG\r\n"
    for byte in request:gmatch "." do client:send(byte) end
    assert.are.equal(reply, client:receive(#reply))
  end)

  it("carries out what takes longer than the time limit, whole", function()
    local redis = server.start("protocols/redis.lua", { "--call-timeout", "0.02" })
    local client, members, scores = redis:connect(), { "SADD", "s" }, { "ZADD", "z" }
    for i = 1, 40000 do
      members[i + 2] = "m" .. i
      scores[2 * i + 1], scores[2 * i + 2] = tostring(i * 7919 % 40000), "m" .. i
    end
    client:send(encode(members) .. encode(scores))
    assert.are.equal(":40000\r\n:40000\r\n", client:receive(16))
    client:send "MULTI\r\nSET begun 1\r\n"
    for i = 1, 8 do client:send("SUNIONSTORE u" .. i .. " s\r\n") end
    client:send "SET ended 1\r\nEXEC\r\n"
    local reply = "+OK\r\n" .. ("+QUEUED\r\n"):rep(10) .. "*10\r\n+OK\r\n" .. (":40000\r\n"):rep(8) .. "+OK\r\n"
    assert.are.equal(reply, client:receive(#reply))
    client:send "ZPOPMIN z 40000\r\nZCARD z\r\n"
    assert.are.equal("*80000\r\n", client:receive(8))
    server.wait_until("the log of what took long", function() return redis:log():find "atomic service=redis" end)
    assert.is_nil(redis:log():find "script_overrun")
  end)

  it("refuses what needs memory when there is none left, and goes on", function()
    local redis = server.start("protocols/redis.lua", { "--memory-limit", "4M" })
    local client, value = redis:connect(), ("v"):rep(200)
    local function ask(line, length)
      return client:send(line .. "\r\n"):receive(length)
    end
    local refused <const> = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    local kept = 0
    while ask("SET key" .. kept .. " " .. value, 1) == "+" do
      assert.are.equal("OK\r\n", client:receive(4))
      kept = kept + 1
    end
    assert.are.equal(refused:sub(2), client:receive(#refused - 1))
    assert.truthy(kept > 5000)
    assert.are.equal(refused, ask("MSET a " .. value .. " b " .. value, #refused))
    assert.are.equal("$200\r\n" .. value .. "\r\n", ask("GET key1", 208))
    local aborted <const> = "+OK\r\n" .. refused .. "-EXECABORT Transaction discarded because of previous errors.\r\n"
    assert.are.equal(aborted, ask("MULTI\r\nRPUSH l " .. value .. "\r\nEXEC", #aborted))
    assert.are.equal(":2\r\n", ask("DEL key1 key2", 4))
    assert.are.equal("+OK\r\n+OK\r\n$1\r\n1\r\n", ask("FLUSHALL\r\nSET a 1\r\nGET a", 17))
    assert.are.equal("+PONG\r\n", ask("PING", 7))
  end)

  it("can be read and emptied when deadlines have taken what memory there was", function()
    local redis = server.start("protocols/redis.lua", { "--memory-limit", "8M" })
    local client = redis:connect()
    -- Sends the command for one key after the other until it is refused; returns for how many it was not.
    local function repeat_command(make)
      local done, is_refused = 0, false
      repeat
        local requests = {}
        for i = 1, 500 do requests[i] = encode(make(tostring(done + i))) end
        client:send(table.concat(requests))
        for _ = 1, 500 do
          is_refused = client.socket:receive("*l"):sub(1, 4) == "-OOM" or is_refused
          if not is_refused then done = done + 1 end
        end
      until is_refused
      return done
    end
    local kept = repeat_command(function(key) return { "SET", key, "v" } end)
    assert.truthy(repeat_command(function(key) return { "EXPIRE", key, "1000000" } end) < kept)
    local other = redis:connect()
    assert.are.equal("$1\r\nv\r\n", other:send("GET 1\r\n"):receive(7))
    assert.are.equal(":1\r\n", other:send("DEL 1\r\n"):receive(4))
    local refused <const> = "+OK\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n+OK\r\n"
    assert.are.equal(refused, client:send("MULTI\r\nGET 2\r\nDISCARD\r\n"):receive(#refused))
    assert.are.equal("+OK\r\n+OK\r\n:1\r\n", other:send("FLUSHALL\r\nSET a 1\r\nEXPIRE a 100\r\n"):receive(14))
  end)

  it("ends a request of HTTP at its first line, and says so in the log", function()
    local redis = server.start "protocols/redis.lua"
    assert.are.equal("+OK\r\n", redis:connect():send("SET a 1\r\npost / HTTP/1.1\r\nFLUSHALL\r\n"):receive_all())
    assert.are.equal("", redis:connect():send("Host: x\r\nFLUSHALL\r\n"):receive_all())
    assert.are.equal("", redis:connect():send(encode { "POST", "/" } .. encode { "FLUSHALL" }):receive_all())
    assert.are.equal("$1\r\n1\r\n", redis:connect():send("GET a\r\n"):receive(7))
    local _, warnings = redis:log():gsub("a request of HTTP was refused", "")
    assert.are.equal(1, warnings)
  end)

  it("closes after QUIT and after what is no request", function()
    local redis = server.start "protocols/redis.lua"
    assert.are.equal("+OK\r\n", redis:connect():send("QUIT\r\nPING\r\n"):receive_all())
    assert.are.equal(
      "-ERR Protocol error: invalid bulk length\r\n", redis:connect():send("*1\r\n$-1\r\n"):receive_all()
    )
  end)
end)

-- ---- the real one -------------------------------------------------------------------------------

local function has_redis()
  return os.execute "command -v redis-server >/dev/null 2>&1" == true
end

-- Connects once it is there; no port is taken.
local function connect_to(path)
  return server.wait_until("redis-server", function()
    local client = unix.stream()
    client:settimeout(server.DEADLINE)
    if client:connect(path) then return client end
    client:close()
  end)
end

describe("Redis itself", function()
  it("answers as is said here", function()
    if not has_redis() then return pending "redis-server is not installed" end
    local folder = server.new_folder()
    local redis <close> = setmetatable({}, { __close = function(self)
      self.process:signal(15)
      self.process:wait(server.DEADLINE)
      self.process:close()
      server.remove_folder(folder)
    end })
    local path = folder .. "/redis"
    redis.process = assert(process.spawn({
      "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder,
    }, { stdout = folder .. "/stdout", stderr = folder .. "/log" }))
    for _, group in ipairs(cases) do
      local requests, replies = join(group[2])
      local client = connect_to(path)
      assert(client:send(requests))
      assert.are.equal(replies, assert(client:receive(#replies)), group[1])
      client:close()
    end
  end)
end)
