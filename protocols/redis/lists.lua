-- Commands for lists. A list has its items at the places `first` to `last`, which may be zero or negative, so that
-- pushing and popping take constant time at both ends. Lua keeps integer keys from 1 up in an array, and others in a
-- hash table, which takes more memory: place 1 is [1] of the table `up`, and place 0 is [1] of the table `down`.
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"

local integer, to_integer = reply.integer, numbers.to_integer
local find_or_create, touch = store.find_or_create, store.touch
local databases <const> = store.databases
local HEADERS <const> = reply.HEADERS

local lists = {}

local function find(key)
  return store.find(key, "list")
end

local function new_list()
  return { type = "list", first = 1, last = 0, up = {}, down = {} }
end

local function get(list, place)
  if place > 0 then return list.up[place] end
  return list.down[1 - place]
end

local function put(list, place, item)
  if place > 0 then list.up[place] = item else list.down[1 - place] = item end
end

local function length(list)
  return list.last - list.first + 1
end

-- Removes the key of an empty list.
local function remove_if_empty(key, list)
  if list.last < list.first then store.remove(key) end
end

function lists.lpush(request, count)
  local list, fault = find_or_create(request[2], "list", new_list)
  if fault then return fault end
  local first = list.first
  for i = 3, count do
    first = first - 1
    if first > 0 then list.up[first] = request[i] else list.down[1 - first] = request[i] end
  end
  list.first = first
  if databases.watches > 0 then touch(request[2]) end
  return integer(list.last - first + 1)
end

function lists.rpush(request, count)
  local list, fault = find_or_create(request[2], "list", new_list)
  if fault then return fault end
  local last = list.last
  for i = 3, count do
    last = last + 1
    if last > 0 then list.up[last] = request[i] else list.down[1 - last] = request[i] end
  end
  list.last = last
  if databases.watches > 0 then touch(request[2]) end
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

-- pop_left() and pop_right() do the work of get() and put() without calling them, because that is faster.
local function pop_left(list)
  local first = list.first
  local side, place = list.up, first
  if first <= 0 then side, place = list.down, 1 - first end
  local item = side[place]
  side[place] = nil
  list.first = first + 1
  return item
end

local function pop_right(list)
  local last = list.last
  local side, place = list.up, last
  if last <= 0 then side, place = list.down, 1 - last end
  local item = side[place]
  side[place] = nil
  list.last = last - 1
  return item
end

-- Makes the reply before the items are removed, so that no item is lost if memory runs out.
local function pop_some(list, wanted, pop_item)
  local count = math.min(wanted, length(list))
  local items = {}
  local from, step = list.first, 1
  if pop_item == pop_right then from, step = list.last, -1 end
  for i = 1, count do items[i] = get(list, from + (i - 1) * step) end
  local answer = reply.array(items, count)
  for _ = 1, count do pop_item(list) end
  return answer
end

-- Makes LPOP and RPOP, with or without a number of items.
local function pop_with(name, pop_item)
  return function(request, count)
    if count > 3 then return reply.wrong_arguments(name) end
    local key, wanted = request[2], nil
    if count == 3 then
      wanted = to_integer(request[3])
      if not wanted or wanted < 0 then return reply.NOT_POSITIVE end
    end
    local list, fault = store.find(key, "list")
    if not list then return fault or wanted and reply.NO_LIST or reply.NOTHING end
    local answer
    if wanted then
      answer = pop_some(list, wanted, pop_item)
    else
      local item = pop_item(list)
      answer = HEADERS[#item] .. item .. "\r\n"
    end
    if databases.watches > 0 and wanted ~= 0 then touch(key) end
    if list.last < list.first then store.remove(key) end
    return answer
  end
end

lists.lpop = pop_with("lpop", pop_left)
lists.rpop = pop_with("rpop", pop_right)

function lists.llen(request)
  local list, fault = find(request[2])
  return fault or integer(list and length(list) or 0)
end

-- Returns the place of an index, which counts from 0, or from the end if it is negative. The place may be outside of
-- the list.
local function place_of(list, index)
  if index < 0 then return list.last + 1 + math.max(index, -length(list) - 1) end
  return list.first + math.min(index, length(list))
end

-- Returns the places of a range of indexes, limited to the list.
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
  local count = last - first + 1
  if first > 0 then return reply.array(list.up, count, first) end
  if last <= 0 then return reply.array(list.down, count, 1 - first, -1) end
  local items = table.move(list.up, 1, last, 2 - first, {})
  for place = first, 0 do items[place - first + 1] = list.down[1 - place] end
  return reply.array(items, count)
end

function lists.lindex(request)
  local list, fault = find(request[2])
  if not list then return fault or reply.NOTHING end
  local index = to_integer(request[3])
  if not index then return reply.NO_INTEGER end
  local item = get(list, place_of(list, index))
  return item and reply.bulk(item) or reply.NOTHING
end

function lists.lset(request)
  local list, fault = find(request[2])
  if not list then return fault or reply.NO_KEY end
  local index = to_integer(request[3])
  if not index then return reply.NO_INTEGER end
  local place = place_of(list, index)
  if not get(list, place) then return reply.error "ERR index out of range" end
  put(list, place, request[4])
  touch(request[2])
  return reply.OK
end

-- Replaces the list by its items from place `from` to `to`.
local function keep(key, list, from, to)
  local kept = new_list()
  for place = from, to do
    kept.last = kept.last + 1
    put(kept, kept.last, get(list, place))
  end
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

-- Removes items that are equal: all of them (0), or a number from the front, or from the back if it is negative.
function lists.lrem(request)
  local key, wanted, item = request[2], to_integer(request[3]), request[4]
  if not wanted then return reply.NO_INTEGER end
  local list, fault = find(key)
  if not list then return fault or integer(0) end
  local from, to, step = list.first, list.last, 1
  if wanted < 0 then from, to, step = to, from, -1 end
  local left = wanted == 0 and length(list) or math.abs(wanted)
  local removed, free = 0, from
  for place = from, to, step do
    local here = get(list, place)
    if removed ~= left and here == item then
      removed = removed + 1
    else
      put(list, free, here)
      free = free + step
    end
  end
  for place = free, to, step do put(list, place, nil) end
  if step > 0 then list.last = free - 1 else list.first = free + 1 end
  if removed > 0 then touch(key) end
  remove_if_empty(key, list)
  return integer(removed)
end

return lists
