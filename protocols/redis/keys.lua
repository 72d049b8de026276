-- Commands for keys of any type.
local glob = require "redis.glob"
local memory = require "redis.memory"
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local indexed_set = require "redis.indexed_set"
local store = require "redis.store"

local integer, to_integer = reply.integer, numbers.to_integer

local keys = {}

-- Counts the keys of the request for which the function returns true.
local function count_keys(request, count, is_one)
  local total = 0
  for i = 2, count do
    if is_one(request[i]) then total = total + 1 end
  end
  return integer(total)
end

local function exists(key)
  return store.read(key) ~= nil
end

function keys.del(request, count)
  return count_keys(request, count, function(key) return exists(key) and store.remove(key) end)
end

function keys.exists(request, count)
  return count_keys(request, count, exists)
end

--- Returns the type of a key, "string", "list" and so on; nil: there is no such key.
local function type_of(key)
  local value = store.read(key)
  if value == nil then return nil end
  return type(value) == "table" and value.type or "string"
end

function keys.type(request)
  return "+" .. (type_of(request[2]) or "none") .. "\r\n"
end

-- Sets the value and the deadline of a key.
local function put(key, value, deadline)
  store.write(key, value)
  if deadline then store.set_deadline(key, deadline) else store.clear_deadline(key) end
end

function keys.rename(request)
  local from, to = request[2], request[3]
  local value = store.read(from)
  if value == nil then return reply.NO_KEY end
  if from == to then return reply.OK end
  local is_put, fault = pcall(put, to, value, store.deadline(from))
  if not is_put then
    if type(value) == "table" and store.database.data[to] == value then store.remove(to) end -- keys share no table
    error(fault, 0)
  end
  store.remove(from)
  return reply.OK
end

function keys.renamenx(request)
  if not exists(request[2]) then return reply.NO_KEY end
  if exists(request[3]) then return integer(0) end
  keys.rename(request)
  return integer(1)
end

-- ---- time ---------------------------------------------------------------------------------------

--- Returns the deadline that is `amount` units of `unit` ms after `since`; nil if it does not fit into 64 bits.
function keys.deadline(amount, unit, since)
  local most = math.maxinteger // unit
  if amount > most or unit > 1 and amount < -most then return nil end
  amount = amount * unit
  if amount > 0 and since > math.maxinteger - amount then return nil end
  return since + amount
end

-- Reads the options of EXPIRE, or returns nil and an error.
local function read_conditions(request, count)
  local is = {}
  for i = 4, count do
    local option = request[i]:upper()
    if option ~= "NX" and option ~= "XX" and option ~= "GT" and option ~= "LT" then
      return nil, reply.error("ERR Unsupported option %s", request[i])
    end
    is[option] = true
  end
  if is.NX and (is.XX or is.GT or is.LT) then
    return nil, reply.error "ERR NX and XX, GT or LT options at the same time are not compatible"
  end
  if is.GT and is.LT then
    return nil, reply.error "ERR GT and LT options at the same time are not compatible"
  end
  return is
end

-- Whether the options allow a new deadline. A key without a deadline counts as one that never expires.
local function allows(is, old, new)
  return not (is.NX and old or is.XX and not old or is.GT and (not old or new <= old) or is.LT and old and new >= old)
end

-- Makes the four commands that set a deadline, in units of `unit` ms, from now or from 1970 on.
local function expire_by(name, unit, is_relative)
  return function(request, count)
    local key, amount = request[2], to_integer(request[3])
    local is, fault = read_conditions(request, count)
    if not is then return fault end
    if not amount then return reply.NO_INTEGER end
    local deadline = keys.deadline(amount, unit, is_relative and store.now() or 0)
    if not deadline then return reply.error("ERR invalid expire time in '%s' command", name) end
    if not exists(key) or not allows(is, store.deadline(key), deadline) then return integer(0) end
    if deadline <= store.now() then
      store.remove(key)
    else
      store.set_deadline(key, deadline)
    end
    return integer(1)
  end
end

keys.expire = expire_by("expire", 1000, true)
keys.pexpire = expire_by("pexpire", 1, true)
keys.expireat = expire_by("expireat", 1000, false)
keys.pexpireat = expire_by("pexpireat", 1, false)

function keys.pttl(request)
  if not exists(request[2]) then return integer(-2) end
  local deadline = store.deadline(request[2])
  return integer(deadline and deadline - store.now() or -1)
end

function keys.ttl(request)
  if not exists(request[2]) then return integer(-2) end
  local deadline = store.deadline(request[2])
  return integer(deadline and (deadline - store.now() + 500) // 1000 or -1)
end

function keys.persist(request)
  return integer(exists(request[2]) and store.clear_deadline(request[2]) and 1 or 0)
end

-- ---- all keys -----------------------------------------------------------------------------------

function keys.dbsize()
  return integer(store.database.keys.count)
end

function keys.randomkey()
  local all = store.database.keys
  while all.count > 0 do
    local key = all[math.random(all.count)]
    if exists(key) then return reply.bulk(key) end
    indexed_set.remove(all, key)
  end
  return reply.NOTHING
end

-- An index above all others: scans go downwards.
local TOP <const> = math.maxinteger

function keys.keys(request)
  local found, matches = {}, glob.compile(request[2])
  indexed_set.scan(store.database.keys, TOP, TOP, function(key)
    if matches(key) and exists(key) then found[#found + 1] = key end
  end)
  return reply.array(found, #found)
end

-- Reads MATCH, COUNT and TYPE, or returns nil and an error.
local function read_scan(request, count)
  local matches, steps, kind = nil, 10, nil
  for i = 3, count, 2 do
    local option, value = request[i]:upper(), request[i + 1]
    if not value then
      return nil, reply.SYNTAX
    elseif option == "COUNT" then
      steps = to_integer(value)
      if not steps then return nil, reply.NO_INTEGER end
      if steps < 1 then return nil, reply.SYNTAX end
    elseif option == "MATCH" then
      matches = glob.compile(value)
    elseif option == "TYPE" then
      kind = value:lower()
    else
      return nil, reply.SYNTAX
    end
  end
  return steps, matches, kind
end

-- The cursor is the index from which the scan goes on downwards. 0 starts a scan, and is returned at its end.
function keys.scan(request, count)
  local cursor = numbers.to_cursor(request[2])
  if not cursor then return reply.error "ERR invalid cursor" end
  local steps, matches, kind = read_scan(request, count)
  if not steps then return matches end
  local found = {}
  local from = cursor > 0 and cursor or TOP
  local rest = indexed_set.scan(store.database.keys, from, steps, function(key)
    if matches and not matches(key) or not exists(key) or kind and type_of(key) ~= kind then return end
    found[#found + 1] = key
  end)
  return "*2\r\n" .. reply.bulk(tostring(rest)) .. reply.array(found, #found)
end

-- ASYNC and SYNC have no effect: the garbage collector frees the memory later in any case.
local function flush(request, count, databases)
  local how = request[2] and request[2]:upper()
  if count > 2 or how and how ~= "ASYNC" and how ~= "SYNC" then return reply.SYNTAX end
  for _, database in ipairs(databases) do store.flush(database) end
  memory.expect_less()
  return reply.OK
end

function keys.flushdb(request, count)
  return flush(request, count, { store.database })
end

function keys.flushall(request, count)
  return flush(request, count, table.move(store.databases, 0, store.DATABASES - 1, 1, {}))
end

return keys
