-- Commands for lists. A list has its items at [first] to [last]; both ends move, also below zero, so
-- that pushing and popping take the same time at either end however long it is.
local reply = require "redis.reply"
local store = require "redis.store"

local integer, to_integer = reply.integer, reply.to_integer

local lists = {}

local function find(key)
  return store.find(key, "list")
end

local function find_or_create(key)
  local list, fault = find(key)
  if not list and not fault then
    list = { type = "list", first = 1, last = 0 }
    store.write(key, list)
  end
  return list, fault
end

local function length(list)
  return list.last - list.first + 1
end

-- No key holds an empty list.
local function remove_if_empty(key, list)
  if list.last < list.first then store.remove(key) end
end

function lists.lpush(request, count)
  local list, fault = find_or_create(request[2])
  if fault then return fault end
  local first = list.first
  for i = 3, count do
    first = first - 1
    list[first] = request[i]
  end
  list.first = first
  return integer(list.last - first + 1)
end

function lists.rpush(request, count)
  local list, fault = find_or_create(request[2])
  if fault then return fault end
  local last = list.last
  for i = 3, count do
    last = last + 1
    list[last] = request[i]
  end
  list.last = last
  return integer(last - list.first + 1)
end

function lists.lpushx(request, count)
  local list, fault = find(request[2])
  return fault or list and lists.lpush(request, count) or integer(0)
end

function lists.rpushx(request, count)
  local list, fault = find(request[2])
  return fault or list and lists.rpush(request, count) or integer(0)
end

local function pop_left(list)
  local first = list.first
  local item = list[first]
  list[first] = nil
  list.first = first + 1
  return item
end

local function pop_right(list)
  local last = list.last
  local item = list[last]
  list[last] = nil
  list.last = last - 1
  return item
end

local function pop_some(list, wanted, pop_item)
  local items = {}
  for i = 1, math.min(wanted, length(list)) do items[i] = pop_item(list) end
  return reply.array(items, #items)
end

-- LPOP and RPOP, of one item or of a number of them
local function pop_with(name, pop_item)
  return function(request, count)
    if count > 3 then return reply.wrong_arguments(name) end
    local key, wanted = request[2], nil
    if count == 3 then
      wanted = to_integer(request[3])
      if not wanted or wanted < 0 then return reply.NOT_POSITIVE end
    end
    local list, fault = find(key)
    if not list then return fault or wanted and reply.NO_LIST or reply.NOTHING end
    local answer = wanted and pop_some(list, wanted, pop_item) or reply.bulk(pop_item(list))
    remove_if_empty(key, list)
    return answer
  end
end

lists.lpop = pop_with("lpop", pop_left)
lists.rpop = pop_with("rpop", pop_right)

function lists.llen(request)
  local list, fault = find(request[2])
  return fault or integer(list and length(list) or 0)
end

-- Where in the list an index lies that counts from 0, or from the end if it is negative. It may be
-- outside.
local function place_of(list, index)
  if index < 0 then return list.last + 1 + math.max(index, -length(list) - 1) end
  return list.first + math.min(index, length(list))
end

-- The places of a range of indexes, cut to what is there.
local function range_of(list, start, stop)
  return math.max(place_of(list, start), list.first), math.min(place_of(list, stop), list.last)
end

function lists.lrange(request)
  local start, stop = to_integer(request[3]), to_integer(request[4])
  if not start or not stop then return reply.NO_INTEGER end
  local list, fault = find(request[2])
  if not list then return fault or reply.EMPTY end
  local first, last = range_of(list, start, stop)
  if first > last then return reply.EMPTY end
  return reply.array(table.move(list, first, last, 1, {}), last - first + 1)
end

function lists.lindex(request)
  local list, fault = find(request[2])
  if not list then return fault or reply.NOTHING end
  local index = to_integer(request[3])
  if not index then return reply.NO_INTEGER end
  local item = list[place_of(list, index)]
  return item and reply.bulk(item) or reply.NOTHING
end

function lists.lset(request)
  local list, fault = find(request[2])
  if not list then return fault or reply.NO_KEY end
  local index = to_integer(request[3])
  if not index then return reply.NO_INTEGER end
  local place = place_of(list, index)
  if not list[place] then return reply.error "ERR index out of range" end
  list[place] = request[4]
  return reply.OK
end

-- The items from place `from` to `to` become the list.
local function keep(key, list, from, to)
  local kept = table.move(list, from, to, 1, { type = "list", first = 1, last = math.max(to - from + 1, 0) })
  store.write(key, kept)
  remove_if_empty(key, kept)
end

function lists.ltrim(request)
  local start, stop = to_integer(request[3]), to_integer(request[4])
  if not start or not stop then return reply.NO_INTEGER end
  local list, fault = find(request[2])
  if not list then return fault or reply.OK end
  local first, last = range_of(list, start, stop)
  keep(request[2], list, first, last)
  return reply.OK
end

-- Removes items that are equal: all, or so many from the front, or from the back if negative.
function lists.lrem(request)
  local key, wanted, item = request[2], to_integer(request[3]), request[4]
  if not wanted then return reply.NO_INTEGER end
  local list, fault = find(key)
  if not list then return fault or integer(0) end
  local from, to, step = list.first, list.last, 1
  if wanted < 0 then from, to, step = to, from, -1 end
  local left = wanted == 0 and length(list) or math.abs(wanted)
  local removed, put = 0, from
  for place = from, to, step do
    if removed ~= left and list[place] == item then
      removed = removed + 1
    else
      list[put] = list[place]
      put = put + step
    end
  end
  for place = put, to, step do list[place] = nil end
  if step > 0 then list.last = put - 1 else list.first = put + 1 end
  remove_if_empty(key, list)
  return integer(removed)
end

return lists
