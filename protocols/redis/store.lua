-- The databases: the values of keys, and when the keys expire.
--
-- A value is a string, an integer (after INCR and the like), or a table with a `type`: "list", "set", "hash" or "zset".
-- All data is in parlance.shared, so that the keys stay when the protocol is edited while the server runs.
local expiry = require "redis.expiry"
local host = require "redis.host"
local indexed_set = require "redis.indexed_set"

local DATABASES <const> = 16

-- The version of the tables below. A new version of this protocol with another number cannot take over the keys of a
-- running server.
local LAYOUT <const> = 2

local type, time = type, host.time

local WRONG_TYPE <const> = require("redis.reply").WRONG_TYPE

local function new_database()
  return {
    data = {}, -- the value of each key
    keys = indexed_set.new(), -- the keys, for SCAN and RANDOMKEY
    mortals = expiry.new(), -- the keys that have a deadline
    kinds = {}, -- the kind of each key; nil for a plain string, as most are: see set_kind()
    watchers = {}, -- the set of clients that watch each watched key
  }
end

local function new_databases()
  local databases = {
    layout = LAYOUT,
    clients = setmetatable({}, { __mode = "k" }), -- records by the `self` of the connection: see clients.lua
    connections = 0, -- how many connections there have been
    special = 0, -- how many clients are special: see store.update_special()
    watches = 0, -- how many keys are watched, counted once for each client
    expired = 0, -- how many keys have expired
    hits = 0, misses = 0, -- how many keys reading commands have found, and not found
  }
  for i = 0, DATABASES - 1 do databases[i] = new_database() end
  return databases
end

host.shared.redis = host.shared.redis or new_databases()
local databases <const> = host.shared.redis
assert(databases.layout == LAYOUT, "this version keeps keys in another way: restart the server to run it")

--- `database` is the selected database, which commands use.
local store = { database = databases[0], databases = databases, DATABASES = DATABASES }

--- Sets the function that is called with true when the store becomes plain, and with false when it is not any more. The
--- store is plain while no client is special: all clients use the first database and want replies, none watches a key,
--- and none has queued a request for EXEC.
function store.when_plain(act)
  store.set_plain = act
end

store.when_plain(function() end)

-- The functions of store.follow().
local followers = {}

local function use(database)
  store.database = database
  for i = 1, #followers do followers[i](database) end
end

--- Calls a function with the selected database, now and whenever it changes. Reading a local variable that the function
--- sets costs less than reading `store.database`.
function store.follow(act)
  followers[#followers + 1] = act
  act(store.database)
end

--- To be called when one of these fields of a client has changed.
function store.update_special(client)
  local is_special = client.database ~= 0 or client.queue ~= nil or client.watched ~= nil or client.silence ~= nil
  if is_special == (client.is_special or false) then return end
  client.is_special = is_special
  databases.special = databases.special + (is_special and 1 or -1)
  if is_special then store.set_plain(false) end
end

--- To be called after a request that did not take the fast path.
function store.settle()
  if databases.special > 0 then return end
  use(databases[0])
  store.set_plain(true)
end

function store.select(index)
  use(databases[index])
end

--- Returns the milliseconds since 1970.
function store.now()
  return math.floor(time() * 1000)
end

-- ---- watching -----------------------------------------------------------------------------------

-- `kinds` tells commands that a key has a string (nil), an "integer", or a table of the type there, and that nothing
-- else is to be checked. The kind of a key that has a deadline or is watched is "special".
local function set_kind(database, key, value)
  local kind = nil
  if database.mortals.deadlines[key] or database.watchers[key] then
    kind = "special"
  elseif type(value) == "table" then
    kind = value.type
  elseif type(value) == "number" then
    kind = "integer"
  end
  database.kinds[key] = kind
end

--- Notes that a key has changed, so that EXEC fails for the clients that watch it. Commands that change a table in
--- place call this, at least if databases.watches > 0. The functions of this file call it themselves.
function store.touch(key)
  local watchers = store.database.watchers[key]
  if not watchers then return end
  for client in pairs(watchers) do client.is_spoiled = true end
end

local touch <const> = store.touch

function store.watch(client, key)
  local database = store.database
  store.read(key) -- removes the key if it has expired
  local watchers = database.watchers[key] or {}
  if watchers[client] then return end
  database.watchers[key] = watchers
  watchers[client] = true
  databases.watches = databases.watches + 1
  client.watched = client.watched or {}
  client.watched[#client.watched + 1] = { database = database, key = key }
  store.update_special(client)
  set_kind(database, key, database.data[key])
end

function store.unwatch(client)
  for _, watched in ipairs(client.watched or {}) do
    local database, key = watched.database, watched.key
    local watchers = database.watchers[key]
    watchers[client] = nil
    databases.watches = databases.watches - 1
    if next(watchers) == nil then
      database.watchers[key] = nil
      set_kind(database, key, database.data[key])
    end
  end
  client.watched, client.is_spoiled = nil, nil
  store.update_special(client)
end

--- Whether a key that the client watches has changed. Expiring is a change, too.
function store.is_spoiled(client)
  local selected = store.database
  for _, watched in ipairs(client.watched or {}) do
    use(watched.database)
    store.read(watched.key)
  end
  use(selected)
  return client.is_spoiled
end

-- ---- keys ---------------------------------------------------------------------------------------

function store.remove(key)
  local database = store.database
  if database.data[key] == nil then return false end
  database.data[key] = nil
  indexed_set.remove(database.keys, key)
  expiry.remove(database.mortals, key)
  if database.watchers[key] then touch(key) else database.kinds[key] = nil end
  return true
end

-- The same as `deadline <= store.now()`, but faster.
local function has_expired(deadline)
  return deadline <= time() * 1000
end

--- Returns the value of a key, or nil. Removes the key if it has expired.
function store.read(key)
  local database = store.database
  local deadline = database.mortals.deadlines[key]
  if deadline and has_expired(deadline) and store.remove(key) then databases.expired = databases.expired + 1 end
  return database.data[key]
end

--- Returns the table of that type at the key, or nil. The second result is an error reply or nil.
function store.find(key, kind)
  local database = store.database
  if database.kinds[key] == kind then return database.data[key] end
  local value = store.read(key)
  if value == nil then return nil end
  if type(value) ~= "table" or value.type ~= kind then return nil, WRONG_TYPE end
  return value
end

--- Sets the value of a key, and keeps its deadline. All that may run out of memory comes before the value, so that the
--- kind of a key never contradicts its value.
function store.write(key, value)
  local database = store.database
  if database.data[key] == nil then indexed_set.add(database.keys, key) end
  set_kind(database, key, value)
  database.data[key] = value
  if databases.watches > 0 then touch(key) end
end

--- A faster store.write() of a string, for a new key that has no kind, because nobody watches it.
function store.add_string(database, key, value)
  indexed_set.add(database.keys, key)
  database.data[key] = value
end

--- Like store.find(), but calls create() for a new value if there is none.
function store.find_or_create(key, kind, create)
  local database = store.database
  if database.kinds[key] == kind then return database.data[key] end
  local value, fault = store.find(key, kind)
  if not value and not fault then
    value = create()
    store.write(key, value)
  end
  return value, fault
end

--- Returns the ms since 1970 at which a key expires, or nil.
function store.deadline(key)
  return store.database.mortals.deadlines[key]
end

--- Sets the deadline of a key. If that is over, the key is removed.
function store.set_deadline(key, deadline)
  if has_expired(deadline) then
    store.remove(key)
    return
  end
  local database = store.database
  database.kinds[key] = "special"
  expiry.set(database.mortals, key, deadline)
  touch(key)
end

--- Removes the deadline of a key. Returns whether it had one.
function store.clear_deadline(key)
  local database = store.database
  if not expiry.remove(database.mortals, key) then return false end
  set_kind(database, key, database.data[key])
  touch(key)
  return true
end

--- Removes all keys of a database.
function store.flush(database)
  local new = new_database()
  for key, watchers in pairs(database.watchers) do
    new.kinds[key] = "special"
    for client in pairs(watchers) do client.is_spoiled = client.is_spoiled or database.data[key] ~= nil end
  end
  for _, part in ipairs { "data", "keys", "mortals", "kinds" } do database[part] = new[part] end
end

--- Repairs a key after a command has run out of memory: removes a key without a value, or with an empty value.
function store.repair(key)
  local database = store.database
  local value = database.data[key]
  if value == nil then
    indexed_set.remove(database.keys, key)
    if not database.watchers[key] then database.kinds[key] = nil end
  elseif type(value) == "table" and (value.count == 0 or value.last and value.last < value.first) then
    store.remove(key)
  end
end

-- ---- time ---------------------------------------------------------------------------------------

-- How many keys are removed between two readings of the clock.
local AT_ONCE <const> = 20

-- Removes expired keys of the selected database until the time `stop`. Returns whether none is left.
local function sweep_database(mortals, stop)
  local present = store.now()
  repeat
    for _ = 1, AT_ONCE do
      local key = expiry.find_expired(mortals, present)
      if not key then return true end
      store.remove(key)
      databases.expired = databases.expired + 1
    end
  until host.now() >= stop
  return false
end

--- Removes expired keys for up to `seconds`. Returns whether none is left. A key that no command reads is removed up to
--- a tenth of a second after its deadline.
function store.sweep(seconds)
  local selected, stop, is_done = store.database, host.now() + seconds, true
  for i = 0, DATABASES - 1 do
    use(databases[i])
    is_done = sweep_database(databases[i].mortals, stop) and is_done
  end
  use(selected)
  return is_done
end

return store
