-- Commands for sorted sets: those that add, take the lowest, and look at single members. A sorted set
-- is a binary heap, https://en.wikipedia.org/wiki/Binary_heap: the lowest member stands at [1], each
-- one below the two at twice its place. `at` has the place of each, `scores` its score.
local reply = require "redis.reply"
local store = require "redis.store"

local integer, to_integer = reply.integer, reply.to_integer

local sorted_sets = {}

local function find(key)
  return store.find(key, "zset")
end

-- ---- the heap -----------------------------------------------------------------------------------

-- Members with the same score are in the order of their bytes.
local function is_lower(heap, a, b)
  local score_a, score_b = heap.scores[a], heap.scores[b]
  if score_a ~= score_b then return score_a < score_b end
  return a < b
end

local function put(heap, place, member)
  heap[place] = member
  heap.at[member] = place
end

-- Moves a member up or down from a place until the order holds.
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

-- Whether the member is new.
local function set_score(heap, member, score)
  local place = heap.at[member]
  heap.scores[member] = score
  if not place then heap.count = heap.count + 1 end
  settle(heap, place or heap.count, member)
  return not place
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

-- ---- scores -------------------------------------------------------------------------------------

local INFINITE <const> = {
  inf = math.huge, ["+inf"] = math.huge, infinity = math.huge, ["+infinity"] = math.huge,
  ["-inf"] = -math.huge, ["-infinity"] = -math.huge,
}

local function to_score(text)
  if text:find "^[+-]?[%d.]" then
    local score = tonumber((text:gsub("^%+", "")))
    return score and score + 0.0
  end
  return INFINITE[text:lower()]
end

local function format_score(score)
  if score == math.huge then return "inf" end
  if score == -math.huge then return "-inf" end
  local whole = math.tointeger(score)
  return whole and math.abs(whole) < 1 << 52 and tostring(whole) or ("%.17g"):format(score)
end

-- ---- commands -----------------------------------------------------------------------------------

function sorted_sets.zadd(request, count)
  if count % 2 == 1 then return reply.SYNTAX end
  local scores = {}
  for i = 3, count, 2 do
    scores[i] = to_score(request[i])
    if not scores[i] then return reply.error "ERR value is not a valid float" end
  end
  local heap, fault = find(request[2])
  if fault then return fault end
  if not heap then
    heap = { type = "zset", count = 0, at = {}, scores = {} }
    store.write(request[2], heap)
  end
  local new = 0
  for i = 3, count, 2 do
    if set_score(heap, request[i + 1], scores[i]) then new = new + 1 end
  end
  return integer(new)
end

function sorted_sets.zrem(request, count)
  local heap, fault = find(request[2])
  if not heap then return fault or integer(0) end
  local removed = 0
  for i = 3, count do
    if remove(request[2], heap, request[i]) then removed = removed + 1 end
  end
  return integer(removed)
end

function sorted_sets.zcard(request)
  local heap, fault = find(request[2])
  return fault or integer(heap and heap.count or 0)
end

function sorted_sets.zscore(request)
  local heap, fault = find(request[2])
  local score = heap and heap.scores[request[3]]
  return fault or score and reply.bulk(format_score(score)) or reply.NOTHING
end

function sorted_sets.zpopmin(request, count)
  if count > 3 then return reply.SYNTAX end
  local wanted = 1
  if count == 3 then
    wanted = to_integer(request[3])
    if not wanted or wanted < 0 then return reply.NOT_POSITIVE end
  end
  local heap, fault = find(request[2])
  if not heap then return fault or reply.EMPTY end
  local list = {}
  for _ = 1, math.min(wanted, heap.count) do
    local member = heap[1]
    list[#list + 1] = member
    list[#list + 1] = format_score(heap.scores[member])
    remove(request[2], heap, member)
  end
  return reply.array(list, #list)
end

return sorted_sets
