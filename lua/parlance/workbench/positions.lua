-- Chooses the places at which a conversation is cut or the client disconnects: all of them, or, if there are very many,
-- some. The choice depends only on the transcript, so that every machine chooses the same.

local sorted = require "parlance.workbench.sorted"

local positions = {}

-- The most places that are chosen.
local MOST <const> = 1024

-- Returns at most so many items of the list, evenly spread over it.
local function thin(list, most)
  if #list <= most then return list end
  local thinned = {}
  for i = 1, most do thinned[i] = list[(i - 1) * (#list - 1) // (most - 1) + 1] end
  return thinned
end

--- Returns a sorted list of the places at and next to the ends of steps and of lines, as counts of bytes that clients
--- send, or upstreams if `is_upstream`.
function positions.ends(transcript, is_upstream)
  local set, base = {}, 0
  local function mark(place)
    for near = place - 1, place + 1 do set[near] = true end
  end
  for _, step in ipairs(transcript.steps) do
    if step.kind == "send" and (step.is_upstream or false) == (is_upstream or false) then
      for stop in step.text:gmatch "\n()" do mark(base + stop - 1) end
      base = base + #step.text
      mark(base)
    end
  end
  return sorted(set)
end

-- All plays together send at most MOST_PLAYED bytes, where each step or request counts as STEP bytes more. But at least
-- LEAST places are chosen.
local MOST_PLAYED <const>, LEAST <const>, STEP <const> = 256 * 1024 * 1024, 16, 128

--- Returns how many places to choose in a conversation of so many bytes and so many steps or requests.
function positions.most(bytes, steps)
  return math.min(MOST, math.max(LEAST, MOST_PLAYED // math.max(bytes + STEP * steps, 1)))
end

--- Returns a sorted list of the places from `first` to `last`. If these are more than `most`, half of the list comes
--- from the sorted list `ends`, and the rest is evenly spread.
function positions.choose(first, last, ends, most)
  local count = last - first + 1
  local list = {}
  if count <= most then
    for place = first, last do list[#list + 1] = place end
    return list
  end
  local near = {}
  for _, place in ipairs(ends) do
    if place >= first and place <= last then near[#near + 1] = place end
  end
  local set = { [first] = true, [last] = true }
  for _, place in ipairs(thin(near, most // 2)) do set[place] = true end
  local chosen = sorted(set)
  local rest = most - #chosen
  for i = 1, rest do
    local place = first + i * (count - 1) // (rest + 1)
    while set[place] do place = place < last and place + 1 or first end
    set[place] = true
  end
  return sorted(set)
end

--- Returns an iterator over the list: in its order if `is_plain`, else with places far apart first, so that those which
--- are not played for lack of time are spread over the whole.
function positions.each(list, is_plain)
  return coroutine.wrap(function()
    if is_plain then
      for _, place in ipairs(list) do coroutine.yield(place) end
      return
    end
    local step = 1
    while step < #list do step = step * 2 end
    if #list > 0 then coroutine.yield(list[1]) end
    while step > 1 do
      for i = 1 + step // 2, #list, step do coroutine.yield(list[i]) end
      step = step // 2
    end
  end)
end

return positions
