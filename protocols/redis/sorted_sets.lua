-- Commands for sorted sets: those that add members, pop the lowest, and read single members. A sorted set is a binary
-- heap, https://en.wikipedia.org/wiki/Binary_heap: the lowest member is at [1], and a member is not higher than those
-- at [2 * i] and [2 * i + 1]. `at` has the index of each member, `scores` its score.
local memory = require "redis.memory"
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"

local integer, to_integer = reply.integer, numbers.to_integer

local databases <const> = store.databases
local touch <const> = store.touch

local sorted_sets = {}

local function find(key)
  return store.find(key, "zset")
end

-- ---- the heap -----------------------------------------------------------------------------------

-- Members with the same score are ordered by their bytes.
local function is_lower(heap, a, b)
  local score_a, score_b = heap.scores[a], heap.scores[b]
  if score_a ~= score_b then return score_a < score_b end
  return a < b
end

local function put(heap, place, member)
  heap[place] = member
  heap.at[member] = place
end

-- Moves a member up or down from an index until the heap is in order.
local function settle(heap, place, member)
  while place > 1 and is_lower(heap, member, heap[place // 2]) do
    put(heap, place, heap[place // 2])
    place = place // 2
  end
  while true do
    local child = place * 2
    if child < heap.count and is_lower(heap, heap[child + 1], heap[child]) then child = child + 1 end
    if child > heap.count or not is_lower(heap, heap[child], member) then break end
    put(heap, place, heap[child])
    place = child
  end
  put(heap, place, member)
end

-- Adds a member or changes its score. All that may run out of memory comes before `count` changes.
local function set_score(heap, member, score)
  score = score + 0.0 -- turns -0 into 0
  local place = heap.scores[member] and heap.at[member]
  if not place then
    place = heap.count + 1
    put(heap, place, member)
    heap.scores[member] = score
    heap.count = place
  else
    heap.scores[member] = score
  end
  settle(heap, place, member)
end

local function remove(key, heap, member)
  local place = heap.at[member]
  if not place then return false end
  local last = heap[heap.count]
  heap[heap.count] = nil
  heap.count = heap.count - 1
  heap.at[member], heap.scores[member] = nil, nil
  if last ~= member then settle(heap, place, last) end
  if heap.count == 0 then store.remove(key) end
  return true
end

-- ---- ZADD ---------------------------------------------------------------------------------------

local OPTIONS <const> = { NX = true, XX = true, GT = true, LT = true, CH = true, INCR = true }

-- Reads the options of ZADD and the scores. Returns the options, the scores by their index in the request, and the
-- first such index; or nil and an error.
local function read_zadd(request, count)
  local is, first = {}, 3
  while first <= count and OPTIONS[request[first]:upper()] do
    is[request[first]:upper()] = true
    first = first + 1
  end
  local words = count - first + 1
  if words % 2 == 1 or words == 0 then return nil, reply.SYNTAX end
  if is.NX and is.XX then return nil, reply.error "ERR XX and NX options at the same time are not compatible" end
  if is.GT and is.LT or is.NX and (is.GT or is.LT) then
    return nil, reply.error "ERR GT, LT, and/or NX options at the same time are not compatible"
  end
  if is.INCR and words > 2 then return nil, reply.error "ERR INCR option supports a single increment-element pair" end
  local scores = {}
  for i = first, count, 2 do
    scores[i] = numbers.to_float(request[i])
    if not scores[i] then return nil, reply.NO_FLOAT end
  end
  return is, scores, first
end

-- Whether the options allow a new score of a member.
local function allows(is, old, new)
  if old == nil then return not is.XX end
  return not (is.NX or is.GT and new <= old or is.LT and new >= old)
end

local function new_heap()
  return { type = "zset", count = 0, at = {}, scores = {} }
end

local function zadd_with_options(request, count)
  local is, scores, first = read_zadd(request, count)
  if not is then return scores end
  local key = request[2]
  local heap, fault = find(key)
  if fault then return fault end
  if not heap and is.XX then return is.INCR and reply.NOTHING or integer(0) end
  local added, changed, result = 0, 0, nil
  for i = first, count, 2 do
    local member, score = request[i + 1], scores[i]
    local old = heap and heap.scores[member]
    if is.INCR and old then score = score + old end
    if score ~= score then return reply.error "ERR resulting score is not a number (NaN)" end
    if allows(is, old, score) then
      result = score
      heap = heap or store.find_or_create(key, "zset", new_heap)
      if score ~= old then set_score(heap, member, score) end
      if not old then added = added + 1 elseif score ~= old then changed = changed + 1 end
    end
  end
  if added + changed > 0 then touch(key) end
  if is.INCR then return result and reply.bulk(numbers.format_float(result)) or reply.NOTHING end
  return integer(is.CH and added + changed or added)
end

-- The fast path for one member without an option.
function sorted_sets.zadd(request, count)
  local score = count == 4 and numbers.to_float(request[3])
  if not score then return zadd_with_options(request, count) end
  local heap, fault = store.find_or_create(request[2], "zset", new_heap)
  if fault then return fault end
  local member = request[4]
  local old = heap.scores[member]
  if old == score then return integer(0) end
  set_score(heap, member, score)
  if databases.watches > 0 then touch(request[2]) end
  return integer(old and 0 or 1)
end

-- ---- other commands -----------------------------------------------------------------------------

function sorted_sets.zrem(request, count)
  local heap, fault = find(request[2])
  if not heap then return fault or integer(0) end
  local removed = 0
  for i = 3, count do
    if remove(request[2], heap, request[i]) then removed = removed + 1 end
  end
  if removed > 0 then touch(request[2]) end
  return integer(removed)
end

function sorted_sets.zcard(request)
  local heap, fault = find(request[2])
  return fault or integer(heap and heap.count or 0)
end

function sorted_sets.zscore(request)
  local heap, fault = find(request[2])
  local score = heap and heap.scores[request[3]]
  return fault or score and reply.bulk(numbers.format_float(score)) or reply.NOTHING
end

-- The most bytes that a member takes in the reply beyond its own bytes.
local BYTES <const> = 128

function sorted_sets.zpopmin(request, count)
  if count > 3 then return reply.SYNTAX end
  local wanted = 1
  if count == 3 then
    wanted = to_integer(request[3])
    if not wanted or wanted < 0 then return reply.NOT_POSITIVE end
  end
  local heap, fault = find(request[2])
  if not heap then return fault or reply.EMPTY end
  wanted = math.min(wanted, heap.count)
  if wanted == 0 then return reply.EMPTY end
  if not memory.has_room(wanted * BYTES) then return reply.OUT_OF_MEMORY end
  local list = {}
  touch(request[2])
  for _ = 1, wanted do
    local member = heap[1]
    list[#list + 1] = member
    list[#list + 1] = numbers.format_float(heap.scores[member])
    remove(request[2], heap, member)
  end
  return reply.array(list, #list)
end

return sorted_sets
