-- A store in memory that Redis clients can use: https://redis.io/docs/latest/commands/.
--
--     parlance protocols/redis.lua
--     redis-cli set greeting hello
--
-- A request is a list of strings, the name of a command first: the framing "resp" gives it. This file
-- has the table of the commands and runs them; what they do is in protocols/redis/, by what they work
-- on. Each is a function (request, count, self) that returns the answer as bytes, in one string.
-- Nothing is written to a disk.
local framing = require "parlance.framing"

local connection = require "redis.connection"
local hashes = require "redis.hashes"
local keys = require "redis.keys"
local lists = require "redis.lists"
local reply = require "redis.reply"
local sets = require "redis.sets"
local sorted_sets = require "redis.sorted_sets"
local store = require "redis.store"
local strings = require "redis.strings"
local transactions = require "redis.transactions"

local Redis = {
  close_when_done = false,
  listen = "localhost:6379",
  example = "PING\r\n",
  request_complete = framing.resp { reuse = true }, -- so `self.request` is only lent: nothing here keeps it
  max_request = 512 * 1024 * 1024,
  idle_timeout = 0,
}

-- ---- the commands -------------------------------------------------------------------------------

-- Each row: the function; how many arguments, the name included, or at least so many if negative; "w"
-- if it writes; then the first and the last argument that is a key, counted from the name, which is 0
-- (-1 is the last of all), and the step between keys. COMMAND tells clients the same.
local ROWS <const> = {
  ping = { connection.ping, -1 },
  echo = { connection.echo, 2 },
  select = { connection.select, 2 },
  quit = { connection.quit, -1 },
  hello = { connection.hello, -1 },
  client = { connection.client, -2 },
  config = { connection.config, -2 },
  info = { connection.info, -1 },

  multi = { transactions.multi, 1 },
  discard = { transactions.discard, 1 },
  watch = { transactions.watch, -2, "r", 1, -1, 1 },
  unwatch = { transactions.unwatch, 1 },
  reset = { transactions.reset, 1 },

  del = { keys.del, -2, "w", 1, -1, 1 },
  unlink = { keys.del, -2, "w", 1, -1, 1 },
  exists = { keys.exists, -2, "r", 1, -1, 1 },
  touch = { keys.exists, -2, "r", 1, -1, 1 },
  type = { keys.type, 2, "r", 1, 1, 1 },
  rename = { keys.rename, 3, "w", 1, 2, 1 },
  renamenx = { keys.renamenx, 3, "w", 1, 2, 1 },
  expire = { keys.expire, -3, "w", 1, 1, 1 },
  pexpire = { keys.pexpire, -3, "w", 1, 1, 1 },
  expireat = { keys.expireat, -3, "w", 1, 1, 1 },
  pexpireat = { keys.pexpireat, -3, "w", 1, 1, 1 },
  ttl = { keys.ttl, 2, "r", 1, 1, 1 },
  pttl = { keys.pttl, 2, "r", 1, 1, 1 },
  persist = { keys.persist, 2, "w", 1, 1, 1 },
  keys = { keys.keys, 2 },
  scan = { keys.scan, -2 },
  randomkey = { keys.randomkey, 1 },
  dbsize = { keys.dbsize, 1 },
  flushdb = { keys.flushdb, -1, "w" },
  flushall = { keys.flushall, -1, "w" },

  get = { strings.get, 2, "r", 1, 1, 1 },
  set = { strings.set, -3, "w", 1, 1, 1 },
  setex = { strings.setex, 4, "w", 1, 1, 1 },
  psetex = { strings.psetex, 4, "w", 1, 1, 1 },
  setnx = { strings.setnx, 3, "w", 1, 1, 1 },
  getset = { strings.getset, 3, "w", 1, 1, 1 },
  getdel = { strings.getdel, 2, "w", 1, 1, 1 },
  mget = { strings.mget, -2, "r", 1, -1, 1 },
  mset = { strings.mset, -3, "w", 1, -1, 2 },
  append = { strings.append, 3, "w", 1, 1, 1 },
  strlen = { strings.strlen, 2, "r", 1, 1, 1 },
  incr = { strings.incr, 2, "w", 1, 1, 1 },
  decr = { strings.decr, 2, "w", 1, 1, 1 },
  incrby = { strings.incrby, 3, "w", 1, 1, 1 },
  decrby = { strings.decrby, 3, "w", 1, 1, 1 },

  hset = { hashes.hset, -4, "w", 1, 1, 1 },
  hmset = { hashes.hmset, -4, "w", 1, 1, 1 },
  hsetnx = { hashes.hsetnx, 4, "w", 1, 1, 1 },
  hget = { hashes.hget, 3, "r", 1, 1, 1 },
  hmget = { hashes.hmget, -3, "r", 1, 1, 1 },
  hdel = { hashes.hdel, -3, "w", 1, 1, 1 },
  hlen = { hashes.hlen, 2, "r", 1, 1, 1 },
  hstrlen = { hashes.hstrlen, 3, "r", 1, 1, 1 },
  hexists = { hashes.hexists, 3, "r", 1, 1, 1 },
  hgetall = { hashes.hgetall, 2, "r", 1, 1, 1 },
  hkeys = { hashes.hkeys, 2, "r", 1, 1, 1 },
  hvals = { hashes.hvals, 2, "r", 1, 1, 1 },
  hincrby = { hashes.hincrby, 4, "w", 1, 1, 1 },

  lpush = { lists.lpush, -3, "w", 1, 1, 1 },
  rpush = { lists.rpush, -3, "w", 1, 1, 1 },
  lpushx = { lists.lpushx, -3, "w", 1, 1, 1 },
  rpushx = { lists.rpushx, -3, "w", 1, 1, 1 },
  lpop = { lists.lpop, -2, "w", 1, 1, 1 },
  rpop = { lists.rpop, -2, "w", 1, 1, 1 },
  llen = { lists.llen, 2, "r", 1, 1, 1 },
  lrange = { lists.lrange, 4, "r", 1, 1, 1 },
  lindex = { lists.lindex, 3, "r", 1, 1, 1 },
  lset = { lists.lset, 4, "w", 1, 1, 1 },
  lrem = { lists.lrem, 4, "w", 1, 1, 1 },
  ltrim = { lists.ltrim, 4, "w", 1, 1, 1 },

  sadd = { sets.sadd, -3, "w", 1, 1, 1 },
  srem = { sets.srem, -3, "w", 1, 1, 1 },
  sismember = { sets.sismember, 3, "r", 1, 1, 1 },
  smismember = { sets.smismember, -3, "r", 1, 1, 1 },
  smembers = { sets.smembers, 2, "r", 1, 1, 1 },
  scard = { sets.scard, 2, "r", 1, 1, 1 },
  smove = { sets.smove, 4, "w", 1, 2, 1 },
  spop = { sets.spop, -2, "w", 1, 1, 1 },
  srandmember = { sets.srandmember, -2, "r", 1, 1, 1 },
  sinter = { sets.sinter, -2, "r", 1, -1, 1 },
  sunion = { sets.sunion, -2, "r", 1, -1, 1 },
  sdiff = { sets.sdiff, -2, "r", 1, -1, 1 },
  sinterstore = { sets.sinterstore, -3, "w", 1, -1, 1 },
  sunionstore = { sets.sunionstore, -3, "w", 1, -1, 1 },
  sdiffstore = { sets.sdiffstore, -3, "w", 1, -1, 1 },

  zadd = { sorted_sets.zadd, -4, "w", 1, 1, 1 },
  zrem = { sorted_sets.zrem, -3, "w", 1, 1, 1 },
  zcard = { sorted_sets.zcard, 2, "r", 1, 1, 1 },
  zscore = { sorted_sets.zscore, 3, "r", 1, 1, 1 },
  zpopmin = { sorted_sets.zpopmin, -2, "w", 1, 1, 1 },
}

-- The commands by their names, in small and in capital letters.
local commands <const> = {}

-- The functions of the commands once more, by how many arguments a request has and then by its name: so one
-- look tells what to run, and that the number of arguments is right.
local MANY <const> = 8
local runs <const> = {}
for count = 0, MANY do runs[count] = {} end

local function add_command(name, run, arity, kind, first, last, step)
  local command = {
    name = name,
    run = run,
    arity = arity,
    least = math.abs(arity),
    most = arity < 0 and math.maxinteger or arity,
    writes = kind == "w",
    first = first or 0,
    last = last or 0,
    step = step or 0,
    in_transaction = true, -- is kept for EXEC
  }
  for _, written in ipairs { name, name:upper() } do
    commands[written] = command
    for count = command.least, math.min(command.most, MANY) do runs[count][written] = run end
  end
  return command
end

for name, row in pairs(ROWS) do add_command(name, table.unpack(row)) end
add_command("command", connection.describe(commands), -1)
for _, name in ipairs { "multi", "discard", "watch", "quit", "reset" } do commands[name].in_transaction = false end

-- ---- running them -------------------------------------------------------------------------------

local function unknown(request, count)
  local shown = ""
  for i = 2, count do
    if #shown >= 128 then break end
    shown = shown .. "'" .. request[i]:sub(1, 128 - #shown) .. "' "
  end
  return reply.error("ERR unknown command '%s', with args beginning with: %s", request[1]:sub(1, 128), shown)
end

-- The command that a request names, or nil and an error.
local function find(request, count)
  local command = commands[request[1]] or commands[request[1]:lower()]
  if not command then return nil, unknown(request, count) end
  if count < command.least or count > command.most then return nil, reply.wrong_arguments(command.name) end
  return command
end

local clients <const>, databases <const> = store.clients, store.databases

local function run(command, request, count, self)
  local answer = command.run(request, count, self)
  if command.writes and databases.watches > 0 then transactions.touch(command, request, count) end
  return answer
end

add_command("exec", transactions.exec_with(function(request, self)
  local count = #request
  return run(find(request, count), request, count, self)
end), 1).in_transaction = false

local is_elsewhere = false -- whether the store has been told to work on another database than the first

-- For a connection that has a database of its own, or is in a transaction.
local function run_for_client(client, command, request, count, self)
  if client.queue and command.in_transaction then
    client.queue[#client.queue + 1] = table.move(request, 1, count, 1, {}) -- the list itself is used again
    return reply.QUEUED
  end
  store.select(client.database)
  is_elsewhere = true
  return run(command, request, count, self)
end

-- Any request of any connection.
local function answer_any(self, request, count)
  if count == 0 then return nil end
  local client = clients[self]
  if is_elsewhere and not client then
    store.select(0)
    is_elsewhere = false
  end
  local command, fault = find(request, count)
  if not command then
    if client and client.queue then client.is_faulty = true end
    return fault
  end
  if client then return run_for_client(client, command, request, count, self) end
  return run(command, request, count, self)
end

-- How many commands lie between two sweeps for keys whose time is over, and how many keys one looks at.
local SWEEP_AFTER <const> = 100
local SWEEP_STEPS <const> = 20
local until_sweep = SWEEP_AFTER

local function sweep()
  until_sweep = SWEEP_AFTER
  store.sweep(SWEEP_STEPS)
  store.find_plain()
  if not store.has_clients then
    store.select(0)
    is_elsewhere = false
  end
end

-- For a store that is not plain: whether it is so only because keys have deadlines.
local function is_plain_but_for_time()
  until_sweep = until_sweep - 1
  if until_sweep == 0 then sweep() end
  return not store.has_clients
end

store.find_plain()

-- Mostly there is nothing to heed but the command, and it is found at once.
function Redis:make_response()
  local request = self.request
  local count = #request
  if (store.is_plain or is_plain_but_for_time()) and count <= MANY then
    local run_plain = runs[count][request[1]]
    if run_plain then return run_plain(request, count, self) end
  end
  return answer_any(self, request, count)
end

function Redis:handle_error(reason, detail)
  local is_their_fault = reason == "malformed" or reason == "too_large"
  return reply.error("ERR %s", is_their_fault and detail or reason)
end

function Redis:handle_close()
  transactions.forget(self)
end

return Redis
