-- The databases: what keys hold, and until when.
--
-- A value is a string, an integer (a string that INCR has counted), or a table with a `type`: "list",
-- "set", "hash" or "zset". It all lies in parlance.shared, which belongs to the server: when this file
-- is edited while the server runs, the keys stay.
local roster = require "redis.roster"

-- In a spec there may be no server around the protocol.
local has_server, parlance = pcall(require, "parlance")
if not has_server then parlance = { shared = {}, now = os.time } end

local DATABASES <const> = 16

local type, now = type, parlance.now

local WRONG_TYPE <const> = require("redis.reply").WRONG_TYPE

local function new_database()
  return {
    data = {}, -- the value of each key
    keys = roster.new(), -- to go over them, and to draw one
    deadlines = {}, -- of the keys that have one: ms since 1970
    kinds = {}, -- of each key: nil for a string without a deadline, which most are; see kind_of()
    mortals = roster.new(), -- these keys
    watchers = {}, -- for each key that is watched, the set of who does
  }
end

local function new_databases()
  local databases = { clients = setmetatable({}, { __mode = "k" }), watches = 0 }
  for i = 0, DATABASES - 1 do databases[i] = new_database() end
  -- The server's clock only goes forward; this makes it one of the calendar.
  databases.clock_start = os.time() - parlance.now()
  return databases
end

parlance.shared.redis = parlance.shared.redis or new_databases()
local databases <const> = parlance.shared.redis

--- `database` is the one that commands work on.
local store = { database = databases[0], databases = databases, DATABASES = DATABASES }

--- What is known of connections that are not like all others, by their `self`.
store.clients = databases.clients

--- Whether some connection is not like all others. While none is, the first database is the one that
--- commands work on, and nobody watches a key.
store.has_clients = true

--- Whether there is none, and no key has a deadline either.
store.is_plain = false

--- Both are found out here; in between, what happens only makes a plain store one that is not.
function store.find_plain()
  local is_plain = next(databases.clients) == nil
  store.has_clients = not is_plain
  for i = 0, DATABASES - 1 do is_plain = is_plain and databases[i].mortals.count == 0 end
  store.is_plain = is_plain
end

--- From now on, this is known of a connection.
function store.add_client(self, client)
  databases.clients[self] = client
  store.has_clients, store.is_plain = true, false
end

function store.select(index)
  store.database = databases[index]
end

--- ms since 1970
function store.now()
  return math.floor((databases.clock_start + parlance.now()) * 1000)
end

-- One look into `kinds` tells what a command may do with a key without a further question: that it holds
-- a string (nil), an "integer", or a table of the type that stands there. Where the key has a deadline,
-- which is to be looked at first, there stands "mortal".
local function kind_of(value)
  if type(value) == "table" then return value.type end
  return type(value) == "number" and "integer" or nil
end

function store.remove(key)
  local database = store.database
  if database.data[key] == nil then return false end
  database.data[key] = nil
  database.kinds[key] = nil
  roster.remove(database.keys, key)
  if database.deadlines[key] then
    database.deadlines[key] = nil
    roster.remove(database.mortals, key)
  end
  return true
end

-- As `deadline <= store.now()`, which takes much longer.
local function is_over(deadline)
  return deadline <= (databases.clock_start + now()) * 1000
end

--- The value of a key, or nil. A key whose time is over is found out here at the latest.
function store.read(key)
  local database = store.database
  local deadline = database.deadlines[key]
  if deadline and is_over(deadline) then store.remove(key) end
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

--- Sets what a key holds; when it is to end does not change.
function store.write(key, value)
  local database = store.database
  if database.data[key] == nil then roster.add(database.keys, key) end
  database.data[key] = value
  if not database.deadlines[key] then database.kinds[key] = kind_of(value) end
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

--- The ms at which a key ends, or nil.
function store.deadline(key)
  return store.database.deadlines[key]
end

function store.set_deadline(key, deadline)
  local database = store.database
  store.is_plain = false
  roster.add(database.mortals, key)
  database.deadlines[key] = deadline
  database.kinds[key] = "mortal"
end

--- Whether it had one.
function store.clear_deadline(key)
  local database = store.database
  if not database.deadlines[key] then return false end
  database.deadlines[key] = nil
  database.kinds[key] = kind_of(database.data[key])
  return roster.remove(database.mortals, key)
end

function store.flush(index)
  local watchers = databases[index].watchers
  databases[index] = new_database()
  databases[index].watchers = watchers
end

local swept = 0 -- the database that the last sweep looked at

--- Looks at a few keys that have a deadline, so that those go that nobody asks for again.
function store.sweep(steps)
  swept = (swept + 1) % DATABASES
  local selected = store.database
  local database = databases[swept]
  local mortals = database.mortals
  store.database = database
  for _ = 1, math.min(steps, mortals.count) do
    local key = mortals[math.random(mortals.count)]
    if is_over(database.deadlines[key]) then store.remove(key) end
    if mortals.count == 0 then break end
  end
  store.database = selected
end

return store
