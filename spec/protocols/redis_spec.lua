-- protocols/redis.lua: what it answers to one request after another, to one client and to several.
local cases = require "support.redis_cases"
local framing = require("parlance_spec").framing.open()
local harness = require "parlance.harness"
local redis_client = require "support.redis_client"
local server = require "support.server"
local watch_cases = require "support.redis_watch_cases"

local encode <const>, is_last_word <const> = redis_client.encode, redis_client.is_last_word

-- ---- in the harness -----------------------------------------------------------------------------------

local function new_client()
  return harness.open("protocols/redis.lua", { time = 1795347121 })
end

local function answer(client, bytes)
  return client:send(bytes):receive()
end

local function say(client, line)
  return answer(client, line .. "\r\n")
end

-- Takes apart the list of strings that is a reply, for those whose order is not told.
local function sorted(reply)
  local items = {}
  for item in reply:gmatch "%$%d+\r\n([^\r]*)\r\n" do items[#items + 1] = item end
  table.sort(items)
  return table.concat(items, " ")
end

describe("protocols/redis", function()
  describe("answers as Redis does:", function()
    for _, group in ipairs(cases) do
      it(group[1], function()
        local client = new_client()
        for _, case in ipairs(group[2]) do
          assert.are.equal(case[2], say(client, case[1]), case[1])
          if is_last_word(case[2]) then client = new_client() end
        end
      end)

      it(group[1] .. " (while another connection has a name)", function()
        local other, client = new_client(), new_client()
        say(other, "CLIENT SETNAME x")
        for _, case in ipairs(group[2]) do
          assert.are.equal(case[2], say(client, case[1]), case[1])
          if is_last_word(case[2]) then client = new_client() end
        end
      end)

      it(group[1] .. " (as arrays)", function()
        local client, words, read = new_client(), {}, framing.resp()
        for _, case in ipairs(group[2]) do
          if is_last_word(case[2]) then return end
          words.incoming = case[1] .. "\r\n"
          assert(read(words))
          assert.are.equal(case[2], answer(client, encode(words.request)), case[1])
        end
      end)
    end

    it("nothing to an empty request", function()
      assert.are.equal("", answer(new_client(), "\r\n*0\r\n*-1\r\n\n"))
    end)

    it("two requests at once, in their order", function()
      assert.are.equal("+OK\r\n$1\r\n1\r\n", answer(new_client(), encode { "SET", "a", "1" } .. encode { "GET", "a" }))
    end)

    it("last words about an array that is none", function()
      assert.are.equal(
        "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n", answer(new_client(), "PING\r\n*1\r\n:5")
      )
    end)
  end)

  describe("tells of itself", function()
    it("in INFO", function()
      local client = new_client()
      answer(client, "SET a 1\r\nSET b 1 EX 9\r\n")
      local all = say(client, "INFO")
      assert.truthy(all:find "# Server\r\nredis_version:%d+%.%d+%.%d+\r\n")
      assert.truthy(all:find "\r\nused_memory:%d+\r\n")
      assert.are.equal("$44\r\n# Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=0\r\n\r\n", say(client, "INFO keyspace"))
      assert.are.equal("$0\r\n\r\n", say(client, "INFO nothing"))
    end)

    it("in COMMAND", function()
      local client = new_client()
      local count = tonumber(say(client, "COMMAND COUNT"):match "^:(%d+)")
      assert.are.equal(count, tonumber(say(client, "COMMAND"):match "^%*(%d+)"))
      assert.are.equal(
        "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n",
        say(client, "COMMAND INFO get")
      )
      assert.are.equal("*0\r\n", say(client, "COMMAND DOCS"))
    end)

    it("in HELLO, for the older of two protocols", function()
      local client = new_client()
      assert.truthy(say(client, "HELLO 2 SETNAME x"):find "^%*14\r\n%$6\r\nserver\r\n%$5\r\nredis\r\n")
      assert.are.equal("$1\r\nx\r\n", say(client, "CLIENT GETNAME"))
      assert.are.equal("-NOPROTO unsupported protocol version\r\n", say(client, "HELLO 3"))
    end)

    it("in CLIENT", function()
      local one, other = new_client(), new_client()
      assert.are.equal(":1\r\n:1\r\n", answer(one, "CLIENT ID\r\nCLIENT ID\r\n"))
      assert.are.equal(":2\r\n+OK\r\n", answer(other, "CLIENT ID\r\nCLIENT SETINFO LIB-NAME x\r\n"))
      assert.truthy(say(one, "CLIENT LIST"):find "id=1 ")
    end)

    it("in CLIENT LIST: all connections, in the order they came", function()
      local one, other, third = new_client(), new_client(), new_client()
      answer(one, "CLIENT SETNAME first\r\nCLIENT SETINFO LIB-NAME redis-py\r\nSELECT 3\r\n")
      answer(other, "MULTI\r\nGET a\r\n")
      harness.advance(2)
      say(third, "GET a")
      local fields = {}
      for line in say(one, "CLIENT LIST"):gmatch "id=[^\n]*" do fields[#fields + 1] = line:gsub("l?addr=%S+ ", "") end
      assert.are.same({
        "id=1 fd=-1 name=first age=2 idle=0 flags=N db=3 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 "
          .. "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|list user=default redir=-1 "
          .. "resp=2 lib-name=redis-py lib-ver=",
        "id=2 fd=-1 name= age=2 idle=2 flags=x db=0 sub=0 psub=0 ssub=0 multi=1 qbuf=0 qbuf-free=0 argv-mem=0 "
          .. "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=get user=default redir=-1 "
          .. "resp=2 lib-name= lib-ver=",
        "id=3 fd=-1 name= age=2 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 "
          .. "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=get user=default redir=-1 "
          .. "resp=2 lib-name= lib-ver=",
      }, fields)
      assert.truthy(say(one, "CLIENT LIST ID 3 99"):find "^%$%d+\r\nid=3 [^\n]*\n\r\n$")
      other:close()
      assert.are.equal(2, select(2, say(one, "CLIENT LIST TYPE normal"):gsub("id=", "")))
      assert.truthy(say(one, "INFO clients"):find "\r\nconnected_clients:2\r\n")
    end)

    it("in CLIENT KILL: it ends its own connection, and refuses to end others", function()
      local one, other = new_client(), new_client()
      assert.are.equal(":0\r\n", say(one, "CLIENT KILL ID 1"))
      assert.are.equal(
        "-ERR CLIENT KILL can only end the connection that it came on\r\n", say(one, "CLIENT KILL ID 2")
      )
      assert.are.equal("+PONG\r\n", say(other, "PING"))
      assert.are.equal(":1\r\n", say(one, "CLIENT KILL ID 1 SKIPME no"))
      assert.are.equal("done", one:reason())
    end)

    it("nothing after CLIENT REPLY OFF, and nothing once after SKIP", function()
      local client = new_client()
      assert.are.equal("+PONG\r\n", answer(client, "CLIENT REPLY SKIP\r\nSET a 1\r\nPING\r\n"))
      assert.are.equal("+OK\r\n$1\r\n2\r\n",
        answer(client, "CLIENT REPLY OFF\r\nSET a 2\r\nPING\r\nCLIENT REPLY ON\r\nGET a\r\n"))
    end)

    it("in INFO, by what was asked for", function()
      local client = new_client()
      answer(client, "SET a 1\r\nGET a\r\nGET b\r\nMGET a b c\r\n")
      local stats = say(client, "INFO stats")
      for _, line in ipairs {
        "total_connections_received:1", "total_commands_processed:5", "keyspace_hits:2", "keyspace_misses:3",
      } do
        assert.truthy(stats:find("\r\n" .. line .. "\r\n", 1, true), line)
      end
      local all = say(client, "INFO")
      for _, name in ipairs {
        "arch_bits", "cluster_enabled", "connected_clients", "blocked_clients", "used_cpu_sys", "used_cpu_user",
        "tcp_port", "run_id", "os", "process_id", "uptime_in_seconds", "used_memory", "used_memory_human",
      } do
        assert.truthy(all:find("\r\n" .. name .. ":%S"), name)
      end
      assert.are.equal("+OK\r\n", say(client, "CONFIG RESETSTAT"))
      assert.truthy(say(client, "INFO stats"):find "\r\nkeyspace_hits:0\r\n")
    end)
  end)

  describe("time", function()
    it("ends keys", function()
      local client = new_client()
      answer(client, "SET a 1 PX 1500\r\nSET b 2\r\nRPUSH l x\r\nEXPIRE l 2\r\n")
      harness.advance(1)
      assert.are.equal(":500\r\n:1\r\n:3\r\n", answer(client, "PTTL a\r\nTTL l\r\nDBSIZE\r\n"))
      harness.advance(0.5)
      assert.are.equal("$-1\r\n:-2\r\n$1\r\n2\r\n:1\r\n", answer(client, "GET a\r\nTTL a\r\nGET b\r\nLLEN l\r\n"))
      harness.advance(0.5)
      assert.are.equal("*1\r\n$1\r\nb\r\n", say(client, "KEYS *"))
    end)

    it("takes away what nobody asks for, ten times a second", function()
      local client = new_client()
      for i = 1, 500 do say(client, "SET key" .. i .. " x PX " .. 4000 + i) end
      answer(client, "SET stays x\r\nSELECT 7\r\nSET goes x PX 4000\r\n")
      harness.advance(4)
      assert.are.equal("+OK\r\n:501\r\n", answer(client, "SELECT 0\r\nDBSIZE\r\n"))
      harness.advance(0.7)
      assert.are.equal(":1\r\n+OK\r\n:0\r\n", answer(client, "DBSIZE\r\nSELECT 7\r\nDBSIZE\r\n"))
      assert.truthy(say(client, "INFO stats"):find "\r\nexpired_keys:501\r\n")
    end)

    it("does not change what a key holds", function()
      local client = new_client()
      answer(client, "SET n 1\r\nINCR n\r\nRPUSH l a\r\nSET s x\r\n")
      answer(client, "EXPIRE n 9\r\nEXPIRE l 9\r\nEXPIRE s 9\r\n")
      answer(client, "INCR n\r\nRPUSH l b\r\n")
      assert.are.equal("$1\r\n3\r\n:2\r\n$1\r\nx\r\n", answer(client, "GET n\r\nLLEN l\r\nGET s\r\n"))
      answer(client, "PERSIST n\r\nPERSIST l\r\nPERSIST s\r\n")
      answer(client, "INCR n\r\nRPUSH l c\r\n")
      assert.are.equal("$1\r\n4\r\n:3\r\n$1\r\nx\r\n", answer(client, "GET n\r\nLLEN l\r\nGET s\r\n"))
      assert.are.equal("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", say(client, "LRANGE l 0 -1"))
    end)

    it("is carried along by RENAME and INCR, and dropped by SET", function()
      local client = new_client()
      answer(client, "SET a 1 EX 10\r\nINCR a\r\nRENAME a b\r\n")
      assert.are.equal(":10\r\n", say(client, "TTL b"))
      assert.are.equal("+OK\r\n:-1\r\n", answer(client, "SET b 1\r\nTTL b\r\n"))
    end)

  end)

  describe("SCAN", function()
    it("misses no key that stays, whatever else comes and goes", function()
      local client = new_client()
      for i = 1, 300 do say(client, "SET stays" .. i .. " x") end
      for i = 1, 300 do say(client, "SET goes" .. i .. " x") end
      local cursor, seen, count, steps = "0", {}, 0, 0
      repeat
        local reply = say(client, "SCAN " .. cursor .. " COUNT 7")
        cursor = reply:match "^%*2\r\n%$%d+\r\n(%d+)\r\n"
        for key in reply:gmatch "\r\n(stays%d+)" do
          count = count + (seen[key] and 0 or 1)
          seen[key] = true
        end
        steps = steps + 1
        say(client, "DEL goes" .. steps * 3)
        say(client, "SET comes" .. steps .. " x")
      until cursor == "0"
      assert.are.equal(300, count)
    end)

    it("finds by pattern and type", function()
      local client = new_client()
      answer(client, "SET aa 1\r\nSET ab 1\r\nRPUSH ac 1\r\nSET b 1\r\n")
      assert.are.equal("0 aa ab", sorted(say(client, "SCAN 0 MATCH a* TYPE string COUNT 100")))
    end)
  end)

  describe("sets", function()
    it("give each member once to SPOP", function()
      local client, members = new_client(), {}
      for i = 1, 100 do say(client, "SADD s " .. i) end
      for _ = 1, 100 do members[say(client, "SPOP s")] = true end
      local count = 0
      for _ in pairs(members) do count = count + 1 end
      assert.are.equal(100, count)
      assert.are.equal(":0\r\n", say(client, "EXISTS s"))
    end)

    it("are combined", function()
      local client = new_client()
      answer(client, "SADD a 1 2 3 4\r\nSADD b 3 4 5\r\nSADD c 4\r\n")
      assert.are.equal("3 4", sorted(say(client, "SINTER a b")))
      assert.are.equal("1 2 3 4 5", sorted(say(client, "SUNION a b c")))
      assert.are.equal("1 2", sorted(say(client, "SDIFF a b c")))
      assert.are.equal("1 2 3 4", sorted(say(client, "SRANDMEMBER a 10")))
      assert.are.equal("1 2 3 4", sorted(say(client, "SPOP a 10")))
      assert.truthy(say(client, "SRANDMEMBER c -3"):find "^%*3\r\n")
    end)
  end)

  it("hashes have all their fields", function()
    local client = new_client()
    say(client, "HSET h a 1 b 2 c 3")
    assert.are.equal("1 2 3 a b c", sorted(say(client, "HGETALL h")))
    assert.are.equal("a b c", sorted(say(client, "HKEYS h")))
    assert.are.equal("1 2 3", sorted(say(client, "HVALS h")))
  end)

  it("lists are the same as a table, whatever is done at both ends", function()
    local client, list = new_client(), {}
    for i = 1, 3000 do
      local choice = math.random(4)
      if choice == 1 then
        table.insert(list, 1, tostring(i))
        say(client, "LPUSH l " .. i)
      elseif choice == 2 then
        list[#list + 1] = tostring(i)
        say(client, "RPUSH l " .. i)
      else
        local item = table.remove(list, #list > 0 and choice == 3 and 1 or #list)
        local expected = item and ("$%d\r\n%s\r\n"):format(#item, item) or "$-1\r\n"
        assert.are.equal(expected, say(client, choice == 3 and "LPOP l" or "RPOP l"))
      end
    end
    assert.are.equal(#list > 0 and encode(list) or "*0\r\n", say(client, "LRANGE l 0 -1"))
  end)

  it("sorted sets give their members from the lowest up", function()
    local client, members = new_client(), {}
    for i = 1, 500 do
      local member, score = "m" .. math.random(300), math.random(100)
      members[member] = score
      say(client, "ZADD z " .. score .. " " .. member)
      if i % 5 == 0 then
        members["m" .. i] = nil
        say(client, "ZREM z m" .. i)
      end
    end
    local order = {}
    for member in pairs(members) do order[#order + 1] = member end
    table.sort(order, function(a, b)
      if members[a] ~= members[b] then return members[a] < members[b] end
      return a < b
    end)
    for _, member in ipairs(order) do
      assert.are.equal(encode { member, tostring(members[member]) }, say(client, "ZPOPMIN z"))
    end
    assert.are.equal(":0\r\n", say(client, "EXISTS z"))
  end)

  describe("connections", function()
    it("each have a database of their own", function()
      local one, other = new_client(), new_client()
      answer(one, "SELECT 1\r\nSET a 1\r\n")
      assert.are.equal("$-1\r\n", say(other, "GET a"))
      assert.are.equal("$1\r\n1\r\n", say(one, "GET a"))
    end)

    it("work on the first database when one that chose another has gone", function()
      local one, other = new_client(), new_client()
      answer(one, "SELECT 1\r\nSET a 1\r\n")
      one:close()
      for _ = 1, 300 do assert.are.equal("-ERR unknown", say(other, "NOTHING"):sub(1, 12)) end
      assert.are.equal("$-1\r\n+OK\r\n$1\r\n2\r\n", answer(other, "GET a\r\nSET a 2\r\nGET a\r\n"))
    end)

    it("keep each request of a transaction, also those of the same length", function()
      local one, other = new_client(), new_client()
      answer(one, "MULTI\r\nSET a 1\r\nSET b 2\r\n")
      answer(other, "SET c 3\r\n")
      answer(one, "SET d 4\r\nEXEC\r\n")
      assert.are.equal("*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n", say(other, "MGET a b c d"))
    end)

    it("each have a transaction of their own", function()
      local one, other = new_client(), new_client()
      answer(one, "MULTI\r\nSET a 1\r\n")
      assert.are.equal("$-1\r\n", say(other, "GET a"))
      assert.are.equal("*1\r\n+OK\r\n", say(one, "EXEC"))
    end)

    for _, line in ipairs { "SET a 2", "DEL x a", "MSET b 1 a 2", "FLUSHALL", "RENAME b a", "APPEND a x" } do
      it("that watch see " .. line .. " by others", function()
        local one, other = new_client(), new_client()
        answer(one, "MSET a 1 b 1\r\nWATCH a\r\n")
        say(other, line)
        assert.are.equal("+OK\r\n+QUEUED\r\n*-1\r\n", answer(one, "MULTI\r\nPING\r\nEXEC\r\n"))
        assert.are.equal("+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n", answer(one, "MULTI\r\nPING\r\nEXEC\r\n"))
      end)
    end

    it("that watch see what changes a key, its end included, and nothing else", function()
      local function send(client, requests)
        for line in requests:gmatch "[^;]+" do
          if line:find "wait" then harness.advance(0.15) else say(client, (line:gsub("^ ", ""))) end
        end
      end
      for _, case in ipairs(watch_cases) do
        local one, other = new_client(), new_client()
        say(other, "FLUSHALL")
        send(other, case[1])
        say(one, "WATCH w")
        send(other, case[2])
        local expected = case[3] and "*1\r\n+PONG\r\n" or "*-1\r\n"
        assert.are.equal("+OK\r\n+QUEUED\r\n" .. expected, answer(one, "MULTI\r\nPING\r\nEXEC\r\n"),
          case[1] .. " | " .. case[2])
        one:close()
        other:close()
      end
    end)

    it("that watch do not see what others do to other keys, or only read", function()
      local one, other = new_client(), new_client()
      say(one, "WATCH a")
      answer(other, "SET b 1\r\nGET a\r\nSELECT 1\r\nSET a 1\r\n")
      assert.are.equal("+OK\r\n*0\r\n", answer(one, "MULTI\r\nEXEC\r\n"))
    end)

  end)

  it("keeps its keys, and connections what they chose, when it is edited", function()
    local one, other = new_client(), new_client()
    answer(one, "SET a 1 EX 10\r\nINCRBY b 5000\r\n")
    answer(other, "SELECT 2\r\nSET a 2\r\n")
    harness.reload()
    assert.are.equal("$1\r\n1\r\n:10\r\n", answer(one, "GET a\r\nTTL a\r\n"))
    assert.are.equal("$1\r\n2\r\n", answer(other, "GET a\r\n"))
    assert.are.same({}, harness.log "state_lost")
  end)

  it("answers the same, however it is cut", function()
    local request = encode { "MSET", "a", "1", "b", "xyz" } .. encode { "MGET", "a", "b" } .. "PING\r\n"
    local client = new_client()
    for _, pieces in ipairs(harness.cuts(request)) do
      assert.are.equal("+OK\r\n" .. encode { "1", "xyz" } .. "+PONG\r\n", client:send_pieces(pieces):receive())
    end
  end)

  it("closes after QUIT, when it is asked no more, and never for waiting", function()
    local quits, leaves, waits = new_client(), new_client(), new_client()
    assert.are.equal("+OK\r\n", answer(quits, "QUIT\r\nPING\r\n"))
    assert.are.equal("done", quits:reason())
    assert.are.equal("+PONG\r\n", leaves:send("PING\r\n"):half_close():receive())
    assert.are.equal("peer_closed", leaves:reason())
    harness.advance(3600)
    assert.is_nil(waits:reason())
  end)
end)

-- ---- by itself ----------------------------------------------------------------------------------

-- What no client sees.
describe("protocols/redis without a server", function()
  local path, loaded = package.path, {}
  local protocol

  before_each(function()
    for _, name in ipairs { "parlance", "parlance.framing" } do loaded[name] = package.loaded[name] end
    for name in pairs(package.loaded) do
      if name:find "^redis%." then package.loaded[name] = nil end
    end
    package.loaded.parlance, package.loaded["parlance.framing"] = nil, framing
    package.path = server.SOURCE .. "/protocols/?.lua;" .. path
    protocol = dofile(server.SOURCE .. "/protocols/redis.lua")
    protocol.__index = protocol
  end)

  after_each(function()
    package.path = path
    for _, name in ipairs { "parlance", "parlance.framing" } do package.loaded[name] = loaded[name] end
  end)

  -- The answer to one request.
  local function call(self, line)
    self.incoming = line .. "\r\n"
    assert(self:request_complete())
    return self:make_response()
  end

  it("loads", function()
    local self = setmetatable({}, protocol)
    assert.are.equal("+OK\r\n", call(self, "SET a 1 EX 100"))
    assert.are.equal("$1\r\n1\r\n", call(self, "GET a"))
  end)

  it("does not show its errors to clients", function()
    assert.are.equal("-ERR script_error\r\n", protocol.handle_error({}, "script_error", "redis.lua:1: secret"))
  end)

  it("removes the keys whose time is over, in all databases, and only these", function()
    local store = require "redis.store"
    local start = store.now()
    local self = setmetatable({}, protocol)
    for database = 0, 15 do
      call(self, "SELECT " .. database)
      call(self, "SET stays x")
      call(self, "SET later x PXAT " .. start + 10000000)
      call(self, "SET gone x PXAT " .. start + 9000000)
      for i = 1, 100 do call(self, "SET key" .. i .. " x PXAT " .. start + 5000000 + i * 7) end
      for i = 1, 100, 2 do call(self, "PERSIST key" .. i) end
      call(self, "DEL gone")
    end
    store.now = function() return start + 9000000 end
    assert.is_true(store.sweep(1))
    for database = 0, 15 do
      assert.are.equal(52, store.databases[database].keys.count)
      assert.are.equal(1, store.databases[database].mortals.count)
    end
    assert.are.equal(16 * 50, store.databases.expired)
    store.now = function() return start + 11000000 end
    assert.is_true(store.sweep(1))
    for database = 0, 15 do
      assert.are.equal(51, store.databases[database].keys.count)
      assert.is_nil(next(store.databases[database].mortals.buckets))
    end
  end)

  it("keeps nothing of a connection that has gone", function()
    local self = setmetatable({}, protocol)
    for _, line in ipairs { "SELECT 2", "WATCH a b", "MULTI" } do call(self, line) end
    self:handle_close("done")
    local store = require "redis.store"
    local databases = store.databases
    assert.are.same({ nil, 0, 0 }, { databases.clients[self], databases.watches, databases.special })
    assert.is_nil(next(databases[2].watchers))
  end)
end)

describe("redis.expiry", function()
  it("goes over a leap of the clock in few steps", function()
    local expiry = dofile "protocols/redis/expiry.lua"
    local deadlines <const> = 1000000
    local keys, century = expiry.new(), 100 * 366 * 86400 * 1000
    for i = 1, 3 do expiry.set(keys, "key" .. i, i * deadlines) end
    expiry.set(keys, "last", 2 * century)
    debug.sethook(function() error "it takes too many steps" end, "", 1000000)
    finally(function() debug.sethook() end)
    for i = 1, 3 do
      assert.are.equal("key" .. i, expiry.find_expired(keys, century))
      expiry.remove(keys, "key" .. i)
    end
    assert.is_nil(expiry.find_expired(keys, century))
    assert.is_nil(expiry.find_expired(keys, 2 * century))
    assert.are.equal("last", expiry.find_expired(keys, 2 * century + 100))
  end)
end)
