-- Commands for sets. They are kept as indexed sets.
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local indexed_set = require "redis.indexed_set"
local store = require "redis.store"

local integer, to_integer = reply.integer, numbers.to_integer
local add, remove = indexed_set.add, indexed_set.remove
local databases <const> = store.databases
local touch <const> = store.touch

local sets = {}

local EMPTY <const> = indexed_set.new()

local function find(key)
  return store.find(key, "set")
end

local function new_set()
  local set = indexed_set.new()
  set.type = "set"
  return set
end

local function find_or_create(key)
  return store.find_or_create(key, "set", new_set)
end

-- Removes a member; with the last member, also the key.
local function take(key, set, member)
  local is_removed = remove(set, member)
  if is_removed then touch(key) end
  if set.count == 0 then store.remove(key) end
  return is_removed
end

function sets.sadd(request, count)
  local set, fault = store.find_or_create(request[2], "set", new_set)
  if fault then return fault end
  local new = 0
  for i = 3, count do
    if add(set, request[i]) then new = new + 1 end
  end
  if new > 0 and databases.watches > 0 then touch(request[2]) end
  return integer(new)
end

function sets.srem(request, count)
  local set, fault = find(request[2])
  if not set then return fault or integer(0) end
  local removed = 0
  for i = 3, count do
    if take(request[2], set, request[i]) then removed = removed + 1 end
  end
  return integer(removed)
end

function sets.sismember(request)
  local set, fault = find(request[2])
  return fault or integer(set and set.at[request[3]] and 1 or 0)
end

function sets.smismember(request, count)
  local set, fault = find(request[2])
  if fault then return fault end
  local pieces = { "*" .. count - 2 .. "\r\n" }
  for i = 3, count do pieces[i - 1] = integer(set and set.at[request[i]] and 1 or 0) end
  return table.concat(pieces)
end

function sets.scard(request)
  local set, fault = find(request[2])
  return fault or integer(set and set.count or 0)
end

function sets.smembers(request)
  local set, fault = find(request[2])
  if not set then return fault or reply.EMPTY end
  return reply.array(set, set.count)
end

function sets.smove(request)
  local from, fault = find(request[2])
  if not from then return fault or integer(0) end
  local to, other_fault = find(request[3])
  if other_fault then return other_fault end
  local member = request[4]
  if not from.at[member] then return integer(0) end
  if from ~= to then
    if add(to or find_or_create(request[3]), member) then touch(request[3]) end
    take(request[2], from, member)
  end
  return integer(1)
end

-- ---- random members -----------------------------------------------------------------------------

local function draw(set)
  return set[math.random(set.count)]
end

-- Returns `wanted` different random members, or all in random order: the beginning of a shuffle of the indexes.
local function draw_different(set, wanted)
  local places, members = {}, {}
  for i = 1, math.min(wanted, set.count) do
    local other = math.random(i, set.count)
    members[i] = set[places[other] or other]
    places[other] = places[i] or i
  end
  return members
end

function sets.spop(request, count)
  if count > 3 then return reply.SYNTAX end
  local key, wanted = request[2], nil
  if count == 3 then
    wanted = to_integer(request[3])
    if not wanted or wanted < 0 then return reply.NOT_POSITIVE end
  end
  local set, fault = find(key)
  if not set then return fault or wanted and reply.EMPTY or reply.NOTHING end
  -- The reply is made before the members are removed, so that none is lost if memory runs out.
  local members = wanted and draw_different(set, wanted) or { draw(set) }
  local answer = wanted and reply.array(members, #members) or reply.bulk(members[1])
  for _, member in ipairs(members) do take(key, set, member) end
  return answer
end

-- With a negative number, the same member may be returned several times.
function sets.srandmember(request, count)
  if count > 3 then return reply.SYNTAX end
  local wanted = nil
  if count == 3 then
    wanted = to_integer(request[3])
    if not wanted then return reply.NO_INTEGER end
    if wanted == math.mininteger then return reply.not_between(-math.maxinteger, math.maxinteger) end
  end
  local set, fault = find(request[2])
  if not set then return fault or wanted and reply.EMPTY or reply.NOTHING end
  if not wanted then return reply.bulk(draw(set)) end
  if wanted >= 0 then
    local members = draw_different(set, wanted)
    return reply.array(members, #members)
  end
  local members = {}
  for i = 1, -wanted do members[i] = draw(set) end
  return reply.array(members, #members)
end

-- ---- several sets -------------------------------------------------------------------------------

-- Returns the sets of the request from its nth argument on, or nil and an error.
local function read_sets(request, count, from)
  local all = {}
  for i = from, count do
    local set, fault = find(request[i])
    if fault then return nil, fault end
    all[#all + 1] = set or EMPTY
  end
  return all
end

local function intersect(all)
  local result, smallest = indexed_set.new(), all[1]
  for _, set in ipairs(all) do
    if set.count < smallest.count then smallest = set end
  end
  for i = 1, smallest.count do
    local is_in_all = true
    for _, set in ipairs(all) do is_in_all = is_in_all and set.at[smallest[i]] end
    if is_in_all then add(result, smallest[i]) end
  end
  return result
end

local function unite(all)
  local result = indexed_set.new()
  for _, set in ipairs(all) do
    for i = 1, set.count do add(result, set[i]) end
  end
  return result
end

local function subtract(all)
  local result = indexed_set.new()
  for i = 1, all[1].count do
    local is_in_other = false
    for other = 2, #all do is_in_other = is_in_other or all[other].at[all[1][i]] end
    if not is_in_other then add(result, all[1][i]) end
  end
  return result
end

local function combine_with(combine)
  return function(request, count)
    local all, fault = read_sets(request, count, 2)
    if not all then return fault end
    local result = combine(all)
    return reply.array(result, result.count)
  end
end

-- Makes SINTERSTORE, SUNIONSTORE and SDIFFSTORE, which store the result at the first key.
local function store_with(combine)
  return function(request, count)
    local all, fault = read_sets(request, count, 3)
    if not all then return fault end
    local result = combine(all)
    if result.count == 0 then
      store.remove(request[2])
    else
      result.type = "set"
      store.write(request[2], result)
      store.clear_deadline(request[2])
    end
    return integer(result.count)
  end
end

sets.sinter, sets.sinterstore = combine_with(intersect), store_with(intersect)
sets.sunion, sets.sunionstore = combine_with(unite), store_with(unite)
sets.sdiff, sets.sdiffstore = combine_with(subtract), store_with(subtract)

return sets
