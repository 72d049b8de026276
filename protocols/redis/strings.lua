-- Commands for strings.
local keys = require "redis.keys"
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"

local type = type

local bulk, integer, to_integer = reply.bulk, reply.integer, numbers.to_integer
local read, write, add_string, clear_deadline = store.read, store.write, store.add_string, store.clear_deadline
local HEADERS <const>, OK <const>, NOTHING <const>, WRONG_TYPE <const> =
  reply.HEADERS, reply.OK, reply.NOTHING, reply.WRONG_TYPE

local strings = {}

local database
store.follow(function(selected) database = selected end)

-- Returns the string at the key, or nil. The second result is an error reply or nil.
local function text_at(key)
  local value = read(key)
  local kind = type(value)
  if kind == "string" or value == nil then return value end
  if kind == "number" then return tostring(value) end
  return nil, WRONG_TYPE
end

-- Sets a string. The key loses its old value and its deadline.
local function replace(key, value)
  if database.kinds[key] then
    write(key, value)
    clear_deadline(key)
  elseif database.data[key] then
    database.data[key] = value -- replaces a string by a string
  else
    add_string(database, key, value)
  end
end

local hits, misses = 0, 0

--- Returns how many keys GET and MGET have found, and not found, since the last call. They are counted in local
--- variables, which is the fastest way.
function strings.take_lookups()
  local found, missed = hits, misses
  hits, misses = 0, 0
  return found, missed
end

-- GET, SET and INCR read the database themselves: calling a function would double their time.
function strings.get(request)
  local key = request[2]
  local value
  if database.kinds[key] then
    local fault
    value, fault = text_at(key)
    if fault then return fault end
  else
    value = database.data[key]
  end
  if not value then
    misses = misses + 1
    return NOTHING
  end
  hits = hits + 1
  return HEADERS[#value] .. value .. "\r\n"
end

-- The unit of each option in ms, and whether it counts from now.
local UNITS <const> = { EX = 1000, PX = 1, EXAT = 1000, PXAT = 1 }
local IS_RELATIVE <const> = { EX = true, PX = true }

-- Reads a deadline, or returns nil and an error.
local function read_deadline(name, option, text)
  local amount = to_integer(text)
  if not amount then return nil, reply.NO_INTEGER end
  local deadline = amount > 0 and keys.deadline(amount, UNITS[option], IS_RELATIVE[option] and store.now() or 0)
  if not deadline then return nil, reply.error("ERR invalid expire time in '%s' command", name) end
  return deadline
end

-- Reads the options of SET, or returns nil and an error.
local function read_options(request, count)
  local is, i = {}, 4
  while i <= count do
    local option = request[i]:upper()
    if option == "NX" and not is.XX or option == "XX" and not is.NX or option == "GET" then
      is[option] = true
    elseif option == "KEEPTTL" and not is.unit then
      is.KEEPTTL = true
    elseif UNITS[option] and request[i + 1] and (not is.unit or is.unit == option) and not is.KEEPTTL then
      is.unit, is.amount = option, request[i + 1]
      i = i + 1
    else
      return nil, reply.SYNTAX
    end
    i = i + 1
  end
  if is.unit then
    local fault
    is.deadline, fault = read_deadline("set", is.unit, is.amount)
    if fault then return nil, fault end
  end
  return is
end

local function set_with_options(request, count)
  local key = request[2]
  local is, fault = read_options(request, count)
  if not is then return fault end
  local answer = OK
  local exists = read(key) ~= nil
  if is.GET then
    local old, wrong = text_at(key)
    if wrong then return wrong end
    answer = old and bulk(old) or NOTHING
  end
  if is.NX and exists or is.XX and not exists then return is.GET and answer or NOTHING end
  write(key, request[3])
  if is.deadline then
    store.set_deadline(key, is.deadline)
  elseif not is.KEEPTTL then
    clear_deadline(key)
  end
  return answer
end

function strings.set(request, count)
  if count > 3 then return set_with_options(request, count) end
  local key = request[2]
  local data = database.data
  if database.kinds[key] then
    replace(key, request[3])
  elseif data[key] then
    data[key] = request[3]
  else
    add_string(database, key, request[3])
  end
  return OK
end

-- Makes SETEX and PSETEX.
local function set_with_deadline(name, option)
  return function(request)
    local deadline, fault = read_deadline(name, option, request[3])
    if not deadline then return fault end
    write(request[2], request[4])
    store.set_deadline(request[2], deadline)
    return OK
  end
end

strings.setex = set_with_deadline("setex", "EX")
strings.psetex = set_with_deadline("psetex", "PX")

function strings.setnx(request)
  if read(request[2]) ~= nil then return integer(0) end
  write(request[2], request[3])
  return integer(1)
end

function strings.getset(request)
  local old, fault = text_at(request[2])
  if fault then return fault end
  replace(request[2], request[3])
  return old and bulk(old) or NOTHING
end

function strings.getdel(request)
  local old, fault = text_at(request[2])
  if fault then return fault end
  if not old then return NOTHING end
  store.remove(request[2])
  return bulk(old)
end

function strings.mget(request, count)
  local values = {}
  for i = 2, count do
    local value = text_at(request[i])
    if value then hits = hits + 1 else misses = misses + 1 end
    values[i - 1] = value or false
  end
  return reply.array(values, count - 1)
end

function strings.mset(request, count)
  if count % 2 == 0 then return reply.wrong_arguments "mset" end
  for i = 2, count, 2 do replace(request[i], request[i + 1]) end
  return OK
end

local MOST_BYTES <const> = 512 * 1024 * 1024

function strings.append(request)
  local key = request[2]
  local old, fault = text_at(key)
  if fault then return fault end
  if #(old or "") + #request[3] > MOST_BYTES then
    return reply.error "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
  end
  local value = (old or "") .. request[3]
  write(key, value)
  return integer(#value)
end

function strings.strlen(request)
  local value, fault = text_at(request[2])
  return fault or integer(value and #value or 0)
end

-- ---- counting -----------------------------------------------------------------------------------

--- Whether the sum of two integers fits into 64 bits.
function strings.can_add(a, b)
  if b > 0 then return a <= math.maxinteger - b end
  return a >= math.mininteger - b
end

-- Returns the integer at a key; 0: there is no such key; or nil and an error.
local function integer_at(key)
  local value = read(key)
  local kind = type(value)
  if kind == "number" then return value end
  if value == nil then return 0 end
  if kind ~= "string" then return nil, WRONG_TYPE end
  value = to_integer(value)
  return value, not value and reply.NO_INTEGER or nil
end

local function count_by(key, amount)
  local is_counter = database.kinds[key] == "integer"
  local value, fault
  if is_counter then
    value = database.data[key]
  else
    value, fault = integer_at(key)
    if fault then return fault end
  end
  local sum = value + amount
  if (sum < value) ~= (amount < 0) then return reply.OVERFLOW end -- the sum has wrapped
  if is_counter then database.data[key] = sum else write(key, sum) end
  return integer(sum)
end

function strings.incr(request)
  return count_by(request[2], 1)
end

function strings.decr(request)
  return count_by(request[2], -1)
end

function strings.incrby(request)
  local amount = to_integer(request[3])
  return amount and count_by(request[2], amount) or reply.NO_INTEGER
end

function strings.decrby(request)
  local amount = to_integer(request[3])
  if not amount then return reply.NO_INTEGER end
  if amount == math.mininteger then return reply.error "ERR decrement would overflow" end
  return count_by(request[2], -amount)
end

return strings
