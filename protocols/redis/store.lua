-- The databases: what keys hold, and until when.
--
-- A value is a string, an integer (a string that INCR has counted), or a table with a `type`: "list",
-- "set", "hash" or "zset". It all lies in a table that belongs to the server: when this file is edited
-- while the server runs, the keys stay.
local expiry = require "redis.expiry"
local host = require "redis.host"
local roster = require "redis.roster"

local DATABASES <const> = 16

-- Another number than a running server has means that this file keeps the keys in another way than the version
-- before it. Then it cannot take over.
local LAYOUT <const> = 2

local type, time = type, host.time

local WRONG_TYPE <const> = require("redis.reply").WRONG_TYPE

local function new_database()
  return {
    data = {}, -- the value of each key
    keys = roster.new(), -- to go over them, and to draw one
    mortals = expiry.new(), -- the keys that have a deadline
    kinds = {}, -- of each key: nil for a plain string, which most are; see set_kind()
    watchers = {}, -- for each key that is watched, the set of clients that do
  }
end

local function new_databases()
  local databases = {
    layout = LAYOUT,
    clients = setmetatable({}, { __mode = "k" }), -- by the `self` of the connection: see clients.lua
    connections = 0, -- how many there have been
    special = 0, -- how many of them are not like most: see store.update_special()
    watches = 0, -- how many keys are watched, counted once for each client that does
    expired = 0, -- how many keys have been removed because their time was over
    hits = 0, misses = 0, -- how many keys GET and the like have found, and how many not
  }
  for i = 0, DATABASES - 1 do databases[i] = new_database() end
  return databases
end

host.shared.redis = host.shared.redis or new_databases()
local databases <const> = host.shared.redis
assert(databases.layout == LAYOUT, "this version keeps keys in another way: restart the server to run it")

--- `database` is the one that commands work on.
local store = { database = databases[0], databases = databases, DATABASES = DATABASES }

--- Has a function called with true or false when the store becomes plain, and when it is so no longer: while no
--- client is special, commands work on the first database, nobody watches a key, no request is kept for EXEC, and
--- all want answers.
function store.when_plain(act)
  store.set_plain = act
end

store.when_plain(function() end)

-- Functions to be called with the database that commands work on.
local followers = {}

local function use(database)
  store.database = database
  for i = 1, #followers do followers[i](database) end
end

--- Has a function called with the database that commands work on, now and when it is another. A local variable that
--- is set so costs less than a look at `store.database`.
function store.follow(act)
  followers[#followers + 1] = act
  act(store.database)
end

--- To be called when what is known of a client has changed.
function store.update_special(client)
  local is_special = client.database ~= 0 or client.queue ~= nil or client.watched ~= nil or client.silence ~= nil
  if is_special == (client.is_special or false) then return end
  client.is_special = is_special
  databases.special = databases.special + (is_special and 1 or -1)
  if is_special then store.set_plain(false) end
end

--- To be called when a request has been answered that was not a plain one.
function store.settle()
  if databases.special > 0 then return end
  use(databases[0])
  store.set_plain(true)
end

function store.select(index)
  use(databases[index])
end

--- ms since 1970
function store.now()
  return math.floor(time() * 1000)
end

-- ---- watching -----------------------------------------------------------------------------------

-- One look into `kinds` tells what a command may do with a key without a further question: that it holds
-- a string (nil), an "integer", or a table of the type that stands there. If the key has a deadline, which
-- is to be looked at first, or is watched, "special" stands there.
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

--- A key has been changed: the clients that watch it are not to execute. Where a table is changed in place,
--- the command says so, if anybody watches anything (databases.watches > 0); all else is done here.
function store.touch(key)
  local watchers = store.database.watchers[key]
  if not watchers then return end
  for client in pairs(watchers) do client.is_spoiled = true end
end

local touch <const> = store.touch

function store.watch(client, key)
  local database = store.database
  store.read(key) -- so that a key whose time is over is none
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

--- Whether a key that the client watches has been changed. That its time is over is a change, too.
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
  roster.remove(database.keys, key)
  expiry.remove(database.mortals, key)
  if database.watchers[key] then touch(key) else database.kinds[key] = nil end
  return true
end

-- As `deadline <= store.now()`, which takes longer.
local function is_over(deadline)
  return deadline <= time() * 1000
end

--- The value of a key, or nil. A key whose time is over is found out here at the latest.
function store.read(key)
  local database = store.database
  local deadline = database.mortals.deadlines[key]
  if deadline and is_over(deadline) and store.remove(key) then databases.expired = databases.expired + 1 end
  return database.data[key]
end

--- The table of that type at the key, or nil. The second result is an error to answer with.
function store.find(key, kind)
  local database = store.database
  if database.kinds[key] == kind then return database.data[key] end
  local value = store.read(key)
  if value == nil then return nil end
  if type(value) ~= "table" or value.type ~= kind then return nil, WRONG_TYPE end
  return value
end

--- Sets what a key holds; when it is to end does not change. What can fail for want of memory comes before the
--- value, so that no key holds one that is of another kind than it says.
function store.write(key, value)
  local database = store.database
  if database.data[key] == nil then roster.add(database.keys, key) end
  set_kind(database, key, value)
  database.data[key] = value
  if databases.watches > 0 then touch(key) end
end

--- As store.write() of a string, for a key that is not there and of which `kinds` says nothing: it has no deadline,
--- and nobody watches it. Most keys begin so.
function store.add_string(database, key, value)
  roster.add(database.keys, key)
  database.data[key] = value
end

--- As store.find(), but where there is nothing, create() makes it.
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

--- The ms since 1970 at which a key ends, or nil.
function store.deadline(key)
  return store.database.mortals.deadlines[key]
end

--- Gives a key its deadline. If that is over, the key is removed.
function store.set_deadline(key, deadline)
  if is_over(deadline) then
    store.remove(key)
    return
  end
  local database = store.database
  database.kinds[key] = "special"
  expiry.set(database.mortals, key, deadline)
  touch(key)
end

--- Whether it had one.
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

--- After a command has failed for want of memory, what it has left of a key is removed: a key without a value,
--- or one that holds nothing.
function store.mend(key)
  local database = store.database
  local value = database.data[key]
  if value == nil then
    roster.remove(database.keys, key)
    if not database.watchers[key] then database.kinds[key] = nil end
  elseif type(value) == "table" and (value.count == 0 or value.last and value.last < value.first) then
    store.remove(key)
  end
end

-- ---- time ---------------------------------------------------------------------------------------

-- So many keys are removed between two looks at the clock.
local AT_ONCE <const> = 20

-- Removes keys of the selected database until the clock says `stop`. Whether none is left.
local function sweep_database(mortals, stop)
  local present = store.now()
  repeat
    for _ = 1, AT_ONCE do
      local key = expiry.find_over(mortals, present)
      if not key then return true end
      store.remove(key)
      databases.expired = databases.expired + 1
    end
  until host.now() >= stop
  return false
end

--- Removes the keys whose time is over, for so many seconds at most. Whether none is left. Keys go up to a
--- tenth of a second late if nobody asks for them.
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
