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

local type = type

local WRONG_TYPE <const> = require("redis.reply").WRONG_TYPE

local function new_database()
  return {
    data = {}, -- the value of each key
    keys = roster.new(), -- to go over them, and to draw one
    deadlines = {}, -- of the keys that have one: ms since 1970
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

function store.select(index)
  store.database = databases[index]
end

--- ms since 1970
function store.now()
  return math.floor((databases.clock_start + parlance.now()) * 1000)
end

function store.remove(key)
  local database = store.database
  if database.data[key] == nil then return false end
  database.data[key] = nil
  roster.remove(database.keys, key)
  if database.deadlines[key] then
    database.deadlines[key] = nil
    roster.remove(database.mortals, key)
  end
  return true
end

local function is_over(database, key)
  return database.deadlines[key] <= store.now()
end

--- The value of a key, or nil. A key whose time is over is found out here at the latest.
function store.read(key)
  local database = store.database
  local value = database.data[key]
  if value ~= nil and database.deadlines[key] and is_over(database, key) then
    store.remove(key)
    return nil
  end
  return value
end

--- The table of that type at the key, or nil. The second result is an error to answer with.
function store.find(key, kind)
  local database = store.database
  local value = database.data[key]
  if value == nil then return nil end
  if database.deadlines[key] then
    value = store.read(key)
    if value == nil then return nil end
  end
  if type(value) ~= "table" or value.type ~= kind then return nil, WRONG_TYPE end
  return value
end

--- Sets what a key holds; when it is to end does not change.
function store.write(key, value)
  local database = store.database
  if database.data[key] == nil then roster.add(database.keys, key) end
  database.data[key] = value
end

--- The ms at which a key ends, or nil.
function store.deadline(key)
  return store.database.deadlines[key]
end

function store.set_deadline(key, deadline)
  local database = store.database
  roster.add(database.mortals, key)
  database.deadlines[key] = deadline
end

--- Whether it had one.
function store.clear_deadline(key)
  local database = store.database
  if not database.deadlines[key] then return false end
  database.deadlines[key] = nil
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
    if is_over(database, key) then store.remove(key) end
    if mortals.count == 0 then break end
  end
  store.database = selected
end

return store
