-- A store in memory that Redis clients can use: https://redis.io/docs/latest/commands/.
--
--     parlance protocols/redis.lua
--     redis-cli set greeting hello
--
-- The server supports RESP2. A client that begins with version 3 of the protocol must be set to 2: `redis-cli -2`;
-- `redis.Redis(protocol=2)` of redis-py; `createClient({ RESP: 2 })` of node-redis. See docs/redis.md.
--
-- A request is a list of strings, the name of a command and its arguments, which framing.resp makes. This file has the
-- table of the commands and runs them. The commands are in protocols/redis/, one file for each type of value. A command
-- is a function (request, count, self) that returns the reply as one string. No data is written to disk.
local framing = require "parlance.framing"

local clients = require "redis.clients"
local connection = require "redis.connection"
local hashes = require "redis.hashes"
local host = require "redis.host"
local keys = require "redis.keys"
local lists = require "redis.lists"
local memory = require "redis.memory"
local reply = require "redis.reply"
local server = require "redis.server"
local sets = require "redis.sets"
local sorted_sets = require "redis.sorted_sets"
local store = require "redis.store"
local strings = require "redis.strings"
local transactions = require "redis.transactions"

local Redis = {
  close_when_done = false,
  listen = "localhost:6379",
  example = "PING\r\n",
  request_complete = framing.resp { reuse = true }, -- `self.request` is valid only during make_response
  max_request = 512 * 1024 * 1024,
  request_timeout = 0, -- a large value, or a person who types, may take long
  idle_timeout = 0,
}

-- ---- the commands -------------------------------------------------------------------------------

-- Each row has: the function, or a table of subcommands; the arity: the number of arguments with the name, or the least
-- number if it is negative; flags; the index of the first and of the last argument that is a key, where the name has
-- index 0 and -1 is the last argument; and the step between keys. COMMAND tells clients the same.
--
-- The flags: "r" reads keys; "w" writes keys; "m" needs memory, and is refused by a full server; "g" needs a little
-- memory, and is refused by a server that is nearly at its limit; "l" may take long; "n" may take long if it has more
-- arguments than the least number. Commands that may take long, or that have many arguments, run atomically, without
-- the time limit for a call.
local ROWS <const> = {
  ping = { connection.ping, -1 },
  echo = { connection.echo, 2 },
  select = { connection.select, 2 },
  quit = { connection.quit, -1 },
  hello = { connection.hello, -1 },
  auth = { connection.auth, -2 },
  client = { clients.commands, -2 },
  config = { server.config, -2 },
  info = { server.info, -1 },

  multi = { transactions.multi, 1 },
  discard = { transactions.discard, 1 },
  watch = { transactions.watch, -2, "rg", 1, -1, 1 },
  unwatch = { transactions.unwatch, 1 },
  reset = { transactions.reset, 1 },

  del = { keys.del, -2, "w", 1, -1, 1 },
  unlink = { keys.del, -2, "w", 1, -1, 1 },
  exists = { keys.exists, -2, "r", 1, -1, 1 },
  touch = { keys.exists, -2, "r", 1, -1, 1 },
  type = { keys.type, 2, "r", 1, 1, 1 },
  rename = { keys.rename, 3, "wg", 1, 2, 1 },
  renamenx = { keys.renamenx, 3, "wg", 1, 2, 1 },
  expire = { keys.expire, -3, "wg", 1, 1, 1 },
  pexpire = { keys.pexpire, -3, "wg", 1, 1, 1 },
  expireat = { keys.expireat, -3, "wg", 1, 1, 1 },
  pexpireat = { keys.pexpireat, -3, "wg", 1, 1, 1 },
  ttl = { keys.ttl, 2, "r", 1, 1, 1 },
  pttl = { keys.pttl, 2, "r", 1, 1, 1 },
  persist = { keys.persist, 2, "w", 1, 1, 1 },
  keys = { keys.keys, 2, "rl" },
  scan = { keys.scan, -2, "rl" },
  randomkey = { keys.randomkey, 1, "rl" },
  dbsize = { keys.dbsize, 1, "r" },
  flushdb = { keys.flushdb, -1, "wl" },
  flushall = { keys.flushall, -1, "wl" },

  get = { strings.get, 2, "r", 1, 1, 1 },
  set = { strings.set, -3, "wm", 1, 1, 1 },
  setex = { strings.setex, 4, "wm", 1, 1, 1 },
  psetex = { strings.psetex, 4, "wm", 1, 1, 1 },
  setnx = { strings.setnx, 3, "wm", 1, 1, 1 },
  getset = { strings.getset, 3, "wm", 1, 1, 1 },
  getdel = { strings.getdel, 2, "w", 1, 1, 1 },
  mget = { strings.mget, -2, "r", 1, -1, 1 },
  mset = { strings.mset, -3, "wm", 1, -1, 2 },
  append = { strings.append, 3, "wm", 1, 1, 1 },
  strlen = { strings.strlen, 2, "r", 1, 1, 1 },
  incr = { strings.incr, 2, "wm", 1, 1, 1 },
  decr = { strings.decr, 2, "wm", 1, 1, 1 },
  incrby = { strings.incrby, 3, "wm", 1, 1, 1 },
  decrby = { strings.decrby, 3, "wm", 1, 1, 1 },

  hset = { hashes.hset, -4, "wm", 1, 1, 1 },
  hmset = { hashes.hmset, -4, "wm", 1, 1, 1 },
  hsetnx = { hashes.hsetnx, 4, "wm", 1, 1, 1 },
  hget = { hashes.hget, 3, "r", 1, 1, 1 },
  hmget = { hashes.hmget, -3, "r", 1, 1, 1 },
  hdel = { hashes.hdel, -3, "w", 1, 1, 1 },
  hlen = { hashes.hlen, 2, "r", 1, 1, 1 },
  hstrlen = { hashes.hstrlen, 3, "r", 1, 1, 1 },
  hexists = { hashes.hexists, 3, "r", 1, 1, 1 },
  hgetall = { hashes.hgetall, 2, "rl", 1, 1, 1 },
  hkeys = { hashes.hkeys, 2, "rl", 1, 1, 1 },
  hvals = { hashes.hvals, 2, "rl", 1, 1, 1 },
  hincrby = { hashes.hincrby, 4, "wm", 1, 1, 1 },

  lpush = { lists.lpush, -3, "wm", 1, 1, 1 },
  rpush = { lists.rpush, -3, "wm", 1, 1, 1 },
  lpushx = { lists.lpushx, -3, "wm", 1, 1, 1 },
  rpushx = { lists.rpushx, -3, "wm", 1, 1, 1 },
  lpop = { lists.lpop, -2, "wn", 1, 1, 1 },
  rpop = { lists.rpop, -2, "wn", 1, 1, 1 },
  llen = { lists.llen, 2, "r", 1, 1, 1 },
  lrange = { lists.lrange, 4, "rl", 1, 1, 1 },
  lindex = { lists.lindex, 3, "r", 1, 1, 1 },
  lset = { lists.lset, 4, "wm", 1, 1, 1 },
  lrem = { lists.lrem, 4, "wl", 1, 1, 1 },
  ltrim = { lists.ltrim, 4, "wl", 1, 1, 1 },

  sadd = { sets.sadd, -3, "wm", 1, 1, 1 },
  srem = { sets.srem, -3, "w", 1, 1, 1 },
  sismember = { sets.sismember, 3, "r", 1, 1, 1 },
  smismember = { sets.smismember, -3, "r", 1, 1, 1 },
  smembers = { sets.smembers, 2, "rl", 1, 1, 1 },
  scard = { sets.scard, 2, "r", 1, 1, 1 },
  smove = { sets.smove, 4, "wg", 1, 2, 1 },
  spop = { sets.spop, -2, "wn", 1, 1, 1 },
  srandmember = { sets.srandmember, -2, "r", 1, 1, 1 },
  sinter = { sets.sinter, -2, "rl", 1, -1, 1 },
  sunion = { sets.sunion, -2, "rl", 1, -1, 1 },
  sdiff = { sets.sdiff, -2, "rl", 1, -1, 1 },
  sinterstore = { sets.sinterstore, -3, "wml", 1, -1, 1 },
  sunionstore = { sets.sunionstore, -3, "wml", 1, -1, 1 },
  sdiffstore = { sets.sdiffstore, -3, "wml", 1, -1, 1 },

  zadd = { sorted_sets.zadd, -4, "wm", 1, 1, 1 },
  zrem = { sorted_sets.zrem, -3, "w", 1, 1, 1 },
  zcard = { sorted_sets.zcard, 2, "r", 1, 1, 1 },
  zscore = { sorted_sets.zscore, 3, "r", 1, 1, 1 },
  zpopmin = { sorted_sets.zpopmin, -2, "wn", 1, 1, 1 },
}

-- Commands that COMMAND does not list, and commands that are run at once after MULTI.
local HIDDEN <const> = { post = connection.refuse_http, ["host:"] = connection.refuse_http }
local AT_ONCE <const> = {
  multi = true, exec = true, discard = true, watch = true, quit = true, reset = true, post = true, ["host:"] = true,
}

-- Runs a command under --memory-limit: if memory runs out, the reply is an error, and no key is left incomplete.
local function survive(command, run)
  local function run_or_fail(request, count, self)
    if command.needs_memory and memory.is_full(count * memory.WORD) then return reply.OUT_OF_MEMORY end
    if command.needs_little and memory.is_tight(count * memory.WORD) then return reply.OUT_OF_MEMORY end
    local is_done, answer = pcall(run, request, count, self)
    if is_done then return answer end
    if answer ~= "not enough memory" then error(answer, 0) end
    for i = 2, count do store.repair(request[i]) end
    return reply.OUT_OF_MEMORY
  end
  return run_or_fail
end

local function run_whole(run)
  return function(...) return host.atomic(run, ...) end
end

-- Makes the record of a command from a row of the table.
local function new_command(name, run, arity, letters, first, last, step)
  letters = letters or ""
  local command = {
    name = name,
    arity = arity,
    least = math.abs(arity),
    most = arity < 0 and math.maxinteger or arity,
    reads = letters:find "r" ~= nil,
    writes = letters:find "w" ~= nil,
    needs_memory = letters:find "m" ~= nil,
    needs_little = letters:find "g" ~= nil,
    first = first or 0,
    last = last or 0,
    step = step or 0,
    is_queued = not AT_ONCE[name],
  }
  if type(run) == "table" then
    command.subcommands = {}
    for word, row in pairs(run) do command.subcommands[word] = new_command(name .. "|" .. word, table.unpack(row)) end
  elseif memory.MAXIMUM then
    command.run = survive(command, run)
  elseif letters:find "[ln]" then
    command.run = run_whole(run)
    command.short_run = letters:find "n" and run or nil
  else
    command.run = run
  end
  return command
end

-- The commands by name, in lower case and in upper case.
local commands <const> = {}

-- The functions of the commands by the number of arguments and then by name, so that one look-up finds the function
-- and checks the number of arguments.
local MANY <const> = 8
local NONE <const> = {} -- for more arguments than that
local BY_COUNT <const> = setmetatable({}, { __index = function() return NONE end })
for count = 0, MANY do BY_COUNT[count] = {} end

local function add_command(command)
  for _, written in ipairs { command.name, command.name:upper() } do
    commands[written] = command
    local most = command.subcommands and 1 or command.most
    for count = command.least, math.min(most, MANY) do BY_COUNT[count][written] = command.run end
    if command.short_run then BY_COUNT[command.least][written] = command.short_run end
  end
end

local listed <const> = {}
for name, row in pairs(ROWS) do
  local command = new_command(name, table.unpack(row))
  listed[#listed + 1] = command
  add_command(command)
end
for name, run in pairs(HIDDEN) do add_command(new_command(name, run, -1)) end

-- ---- running them -------------------------------------------------------------------------------

local function unknown(request, count)
  local shown = ""
  for i = 2, count do
    if #shown >= 128 then break end
    shown = shown .. "'" .. request[i]:sub(1, 128 - #shown) .. "' "
  end
  return reply.error("ERR unknown command '%s', with args beginning with: %s", request[1]:sub(1, 128), shown)
end

-- Returns the command that a request names, or nil and an error.
local function find(request, count)
  local command = commands[request[1]] or commands[request[1]:lower()]
  if not command then return nil, unknown(request, count) end
  if command.subcommands and count > 1 then
    local word = request[2]
    command = command.subcommands[word:lower()]
    if not command then
      return nil, reply.error("ERR unknown subcommand '%s'. Try %s HELP.", word:sub(1, 128), request[1]:upper())
    end
  end
  if count < command.least or count > command.most then return nil, reply.wrong_arguments(command.name) end
  return command
end

-- EXEC runs atomically, however long its commands take.
local exec = transactions.exec_with(function(request, self)
  local count = #request
  return find(request, count).run(request, count, self)
end)
local exec_command <const> = new_command("exec", exec, 1, "l")
listed[#listed + 1] = exec_command
add_command(exec_command)

local describe_command <const> = new_command("command", {}, -1)
listed[#listed + 1] = describe_command
do
  local subcommands, describe_all = server.describe(listed, commands)
  for word, row in pairs(subcommands) do
    describe_command.subcommands[word] = new_command("command|" .. word, table.unpack(row))
  end
  describe_command.run = describe_all
end
add_command(describe_command)

local databases <const> = store.databases
local NO_RUNS <const> = setmetatable({}, { __index = function() return NONE end })
local runs = NO_RUNS -- BY_COUNT while the store is plain
local commands_run = databases.commands or 0
local tick = host.now() -- the time, updated ten times a second

-- Queues a request for EXEC. That takes memory, whatever the request is.
local function queue(client, command, request, count)
  if memory.is_full(count * memory.WORD) then
    client.is_faulty = true
    return reply.OUT_OF_MEMORY
  end
  client.needs_memory = client.needs_memory or command.needs_memory
  client.queue[#client.queue + 1] = table.move(request, 1, count, 1, {}) -- the framing uses the list again
  return reply.QUEUED
end

local function run_for_client(client, request, count, self)
  local command, fault = find(request, count)
  if not command then
    if request[1]:lower() == "exec" then return transactions.abort(client, fault) end
    if client.queue then client.is_faulty = true end
    return fault
  end
  self[clients.LAST] = command.name
  if client.queue and command.is_queued then return queue(client, command, request, count) end
  if count > MANY then return host.atomic(command.run, request, count, self) end
  return command.run(request, count, self)
end

-- Fields of `self` that clients.lua reads: when the last command came, and its name. Integer keys cost less than names.
local SEEN <const> = 1
local LAST <const> = 2

-- Runs any request of any connection.
local function answer_any(self, request, count)
  if count == 0 then return nil end
  commands_run = commands_run + 1
  self[SEEN] = tick
  local client = clients.of(self)
  store.set_plain(false) -- until the command has been run
  store.select(client.database)
  local silence = client.silence
  if silence == "skip" then client.silence = nil end
  local answer = run_for_client(client, request, count, self)
  if silence == "skip" then store.update_special(client) end
  store.settle()
  if silence == "skip" or silence and client.silence then return nil end
  return answer
end

-- Most requests take the fast path: the store is plain, and the command is found by its name and number of arguments.
function Redis:make_response()
  local request = self.request
  local count, name = #request, request[1]
  local run = runs[count][name]
  if run then
    commands_run = commands_run + 1
    self[SEEN] = tick
    self[LAST] = name
    return run(request, count, self)
  end
  return answer_any(self, request, count)
end

function Redis:handle_connect()
  clients.of(self)
end

function Redis:handle_error(reason, detail)
  local is_their_fault = reason == "malformed" or reason == "too_large"
  return reply.error("ERR %s", is_their_fault and detail or reason)
end

function Redis:handle_close()
  transactions.forget(self)
  store.settle()
end

-- ---- ten times a second -------------------------------------------------------------------------

-- Removing expired keys takes up to SLICE seconds at a time. While expired keys are left, it goes on every
-- FAST_INTERVAL seconds, which takes a quarter of the time, as in Redis.
local SLICE <const>, FAST_INTERVAL <const>, INTERVAL <const> = 0.001, 0.004, 0.1
local fast_task

local function sweep()
  local is_done = store.sweep(SLICE)
  if is_done and fast_task then
    fast_task:cancel()
    fast_task = nil
  elseif not is_done and not fast_task then
    fast_task = host.every(FAST_INTERVAL, sweep)
  end
end

local function tidy()
  tick = host.now()
  databases.commands = commands_run
  if not fast_task then sweep() end
end

-- Under --memory-limit all handlers run atomically, so that they may use the reserve. Little other memory may be left
-- after a large table has grown, and clients must still be able to read and remove keys.
if memory.MAXIMUM then
  for _, name in ipairs { "handle_connect", "make_response", "handle_close" } do
    Redis[name] = run_whole(Redis[name])
  end
  tidy, sweep = run_whole(tidy), run_whole(sweep)
end

host.every(INTERVAL, tidy)

function server.count_commands()
  return commands_run
end

store.when_plain(function(is_plain) runs = is_plain and BY_COUNT or NO_RUNS end)
store.settle()

return Redis
