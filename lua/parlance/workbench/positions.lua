-- The places at which a conversation is cut or left: all of them, or where there are very many, some that are chosen
-- by what is there and by count, so that every machine chooses the same.

local positions = {}

--- So many of a kind are played, each.
local MOST <const> = 1024

-- At most so many of a sorted list, evenly spread over it.
local function thin(list, most)
  if #list <= most then return list end
  local thinned = {}
  for i = 1, most do thinned[i] = list[(i - 1) * (#list - 1) // (most - 1) + 1] end
  return thinned
end

local function sorted(set)
  local list = {}
  for place in pairs(set) do list[#list + 1] = place end
  table.sort(list)
  return list
end

--- The places beside the ends of what clients send in a step and of lines in it, as counts of bytes that were sent.
function positions.ends(transcript)
  local set, base = {}, 0
  local function mark(place)
    for near = place - 1, place + 1 do set[near] = true end
  end
  for _, step in ipairs(transcript.steps) do
    if step.kind == "send" then
      for stop in step.text:gmatch "\n()" do mark(base + stop - 1) end
      base = base + #step.text
      mark(base)
    end
  end
  return sorted(set)
end

-- All plays of a kind together are of so many bytes, however many places a conversation has, but there are so many
-- of them in any case. A step, or a request, counts as so many bytes.
local MOST_PLAYED <const>, LEAST <const>, STEP <const> = 256 * 1024 * 1024, 16, 128

--- How many places are played of a conversation in which clients send so many bytes, in so many steps or requests.
function positions.most(bytes, steps)
  return math.min(MOST, math.max(LEAST, MOST_PLAYED // math.max(bytes + STEP * steps, 1)))
end

--- The places from `first` to `last`, sorted; of more than `most`, some of the sorted list `ends`, and others that
--- are evenly spread.
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

--- Goes through a list: in its order if `is_plain`, else places far apart first, so that those for which there is no
--- time are spread over all.
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
