-- Commands for hashes. The table of a hash has its fields in `fields` and their number in `count`.
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"
local strings = require "redis.strings"

local bulk, integer, to_integer = reply.bulk, reply.integer, numbers.to_integer

local databases <const> = store.databases
local touch <const> = store.touch

local hashes = {}

local function find(key)
  return store.find(key, "hash")
end

local function new_hash()
  return { type = "hash", count = 0, fields = {} }
end

local function find_or_create(key)
  return store.find_or_create(key, "hash", new_hash)
end

local function set_field(hash, field, value)
  local fields = hash.fields
  local is_new = not fields[field]
  fields[field] = value
  if is_new then hash.count = hash.count + 1 end
end

-- Sets the fields of the request. Returns how many of them are new, or nil and an error.
local function set_fields(name, request, count)
  if count % 2 == 1 then return nil, reply.wrong_arguments(name) end
  local hash, fault = store.find_or_create(request[2], "hash", new_hash)
  if fault then return nil, fault end
  local fields, new = hash.fields, 0
  for i = 3, count, 2 do
    local field = request[i]
    if fields[field] then
      fields[field] = request[i + 1]
    else
      fields[field] = request[i + 1]
      hash.count = hash.count + 1
      new = new + 1
    end
  end
  if databases.watches > 0 then touch(request[2]) end
  return new
end

function hashes.hset(request, count)
  local new, fault = set_fields("hset", request, count)
  return fault or integer(new)
end

function hashes.hmset(request, count)
  local _, fault = set_fields("hmset", request, count)
  return fault or reply.OK
end

function hashes.hsetnx(request)
  local hash, fault = find_or_create(request[2])
  if fault then return fault end
  if hash.fields[request[3]] then return integer(0) end
  set_field(hash, request[3], request[4])
  touch(request[2])
  return integer(1)
end

function hashes.hget(request)
  local hash, fault = find(request[2])
  local value = hash and hash.fields[request[3]]
  return fault or value and bulk(value) or reply.NOTHING
end

function hashes.hmget(request, count)
  local hash, fault = find(request[2])
  if fault then return fault end
  local values = {}
  for i = 3, count do values[i - 2] = hash and hash.fields[request[i]] or false end
  return reply.array(values, count - 2)
end

function hashes.hdel(request, count)
  local hash, fault = find(request[2])
  if not hash then return fault or integer(0) end
  local removed = 0
  for i = 3, count do
    if hash.fields[request[i]] then
      hash.fields[request[i]] = nil
      removed = removed + 1
    end
  end
  hash.count = hash.count - removed
  if removed > 0 then touch(request[2]) end
  if hash.count == 0 then store.remove(request[2]) end
  return integer(removed)
end

function hashes.hlen(request)
  local hash, fault = find(request[2])
  return fault or integer(hash and hash.count or 0)
end

function hashes.hstrlen(request)
  local hash, fault = find(request[2])
  return fault or integer(#(hash and hash.fields[request[3]] or ""))
end

function hashes.hexists(request)
  local hash, fault = find(request[2])
  return fault or integer(hash and hash.fields[request[3]] and 1 or 0)
end

-- HGETALL, HKEYS and HVALS
local function list_with(add)
  return function(request)
    local hash, fault = find(request[2])
    if not hash then return fault or reply.EMPTY end
    local list = {}
    for field, value in pairs(hash.fields) do add(list, field, value) end
    return reply.array(list, #list)
  end
end

hashes.hkeys = list_with(function(list, field) list[#list + 1] = field end)
hashes.hvals = list_with(function(list, _, value) list[#list + 1] = value end)
hashes.hgetall = list_with(function(list, field, value)
  list[#list + 1] = field
  list[#list + 1] = value
end)

function hashes.hincrby(request)
  local amount = to_integer(request[4])
  if not amount then return reply.NO_INTEGER end
  local hash, fault = find(request[2])
  if fault then return fault end
  local value = to_integer(hash and hash.fields[request[3]] or "0")
  if not value then return reply.error "ERR hash value is not an integer" end
  if not strings.can_add(value, amount) then return reply.OVERFLOW end
  set_field(hash or find_or_create(request[2]), request[3], tostring(value + amount))
  touch(request[2])
  return integer(value + amount)
end

return hashes
