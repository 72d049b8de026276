-- Plays one transcript against one script in every way, and finds the smallest that shows a fault.

local player = require "parlance.workbench.player"
local stage = require "parlance.stage"
local transcripts = require "parlance.workbench.transcript"

-- Up to so many bytes each place is cut in a play of its own; beyond, one play cuts every request
-- at its k-th byte, for each k, since a cut matters to the request that it falls into.
local SINGLE_CUTS <const> = 4096

-- How long clients may leave at one place after the other, in seconds, where nothing else is said.
local GONE_SECONDS <const> = 3

-- So much is slow: a request of this many bytes, and bytes looked at per byte of it.
local SLOW_BYTES <const>, SLOW_RATIO <const> = 1024, 32

local Trial = {}
Trial.__index = Trial

-- ---- plays --------------------------------------------------------------------------------------

local function load(self)
  for _, variable in ipairs(self.transcript.variables) do stage.setenv(variable.name, variable.value) end
  local options = { time = self.transcript.time }
  for name, value in pairs(self.options) do options[name] = value end
  local script, why = stage.load(self.path, options)
  for _, variable in ipairs(self.transcript.variables) do stage.setenv(variable.name, nil) end
  return script, why
end

-- Another script that nobody has talked to. It did load before.
local function renew(self)
  if self.script then self.script:close() end
  self.script = assert(load(self))
end

local function play(self, way, transcript)
  if self.transcript.fresh and self.plays > 0 then renew(self) end
  self.plays = self.plays + 1
  return player.play(self.script, transcript or self.transcript, way, self.printed)
end

local function is_late(self)
  return self.deadline and stage.clock() > self.deadline
end

-- ---- findings -----------------------------------------------------------------------------------

local function find(self, fault, how, more)
  fault.how = how
  for name, value in pairs(more or {}) do fault[name] = value end
  self.findings[#self.findings + 1] = fault
end

-- Byte by byte, and what it shows of the requests: where each ends, and how often it was looked at.
local function play_bytes(self)
  local ends, last = {}, 0
  local calls, bytes = self.script:asked()
  if self.transcript.fresh then calls, bytes = 0, 0 end
  local start = 0
  local fault = play(self, {
    cuts = "bytes",
    after_piece = function(position, session)
      local requests = session:requests()
      if requests == last or self.transcript.clients > 1 then return end
      last = requests
      ends[#ends + 1] = position
      local calls_now, bytes_now = self.script:asked()
      local length = position - start
      local slow = { kind = "slow", length = length, calls = calls_now - calls, bytes = bytes_now - bytes }
      if length >= SLOW_BYTES and slow.bytes > SLOW_RATIO * length and
        slow.bytes > (self.slow and self.slow.bytes or 0) then
        self.slow = slow
      end
      calls, bytes, start = calls_now, bytes_now, position
    end,
  })
  return fault, ends
end

-- How many plays there are to be with cuts, and a function that gives the nth one's cuts, so that every
-- place is in one of them. (They are not kept: Lua's collector would walk through a hundred thousand lists.)
local function cuts_of(self, ends)
  local total = self.transcript.bytes
  if self.transcript.clients > 1 or not self.transcript.fresh and total <= SINGLE_CUTS then
    return total - 1, function(n) return { n } end
  end
  local longest, start = 0, 0
  for i = 1, #ends + 1 do
    local stop = ends[i] or total
    longest, start = math.max(longest, stop - start), stop
  end
  return longest, function(n)
    local list, from = {}, 0
    for i = 1, #ends + 1 do
      local stop = ends[i] or total
      local place = from + n
      if place <= stop and place < total then list[#list + 1] = place end
      from = stop
    end
    return list
  end
end

-- The smallest part of the cuts that still shows a fault, and that fault.
local function smallest(self, cuts, fault)
  for _, place in ipairs(cuts) do
    local alone = #cuts > 1 and play(self, { cuts = { place } })
    if alone then return { place }, alone end
  end
  return cuts, fault
end

local function try_cuts(self, ends)
  local count, cuts_at = cuts_of(self, ends)
  for n = 1, count do
    if is_late(self) then
      self.unplayed = ("%d of %d ways to cut"):format(count - n + 1, count)
      return false
    end
    local fault = play(self, { cuts = cuts_at(n) })
    if fault then
      local cuts, least = smallest(self, cuts_at(n), fault)
      find(self, least, "cut", { cuts = cuts })
      return true
    end
  end
  return false
end

-- The places at which clients leave: one after the other if there are few, else far apart first, so that
-- what the time does not suffice for is spread over all.
local function each_place(total)
  return coroutine.wrap(function()
    if total <= SINGLE_CUTS then
      for place = 0, total do coroutine.yield(place) end
      return
    end
    local step = 1
    while step <= total do step = step * 2 end
    coroutine.yield(0)
    while step > 1 do
      for place = step // 2, total, step do coroutine.yield(place) end
      step = step // 2
    end
  end)
end

-- What is left of a client that has gone must not reach the next.
local function find_left_over(self, fault)
  for place = 0, self.transcript.bytes do
    for _, breaks in ipairs { false, true } do
      if is_late(self) then return find(self, fault, "after") end
      renew(self)
      play(self, { gone = place, breaks = breaks })
      local alone = play(self, {})
      if alone then return find(self, alone, "after", { gone = place, breaks = breaks }) end
    end
  end
  find(self, fault, "after")
end

-- The first place at which it goes wrong, where they were not tried in order.
local function find_first(self, fault, place, breaks)
  for before = 0, place - 1 do
    if is_late(self) then break end
    local earlier = play(self, { gone = before, breaks = breaks })
    if earlier then return find(self, earlier, "gone", { gone = before, breaks = breaks }) end
  end
  find(self, fault, "gone", { gone = place, breaks = breaks })
end

local function try_leaving(self)
  local stop, done = os.clock() + GONE_SECONDS, 0
  for place in each_place(self.transcript.bytes) do
    if is_late(self) or os.clock() > stop then
      local all = self.transcript.bytes + 1
      self.unplayed = self.unplayed or ("%d of %d places to leave at"):format(all - done, all)
      break
    end
    done = done + 1
    for _, breaks in ipairs { false, true } do
      local fault = play(self, { gone = place, breaks = breaks })
      if fault then return find_first(self, fault, place, breaks) end
    end
  end
  local fault = not self.transcript.fresh and play(self, {})
  if fault then find_left_over(self, fault) end
end

-- ---- the whole ----------------------------------------------------------------------------------

-- Each shows what the one before cannot; what the plainest shows needs no other.
local function try_all(self)
  local fault = play(self, {})
  if fault then return find(self, fault, "whole") end
  fault = play(self, {})
  if fault then return find(self, fault, "again") end
  local in_bytes, ends = play_bytes(self)
  local is_found = try_cuts(self, ends)
  if in_bytes and not is_found then find(self, in_bytes, "bytes") end
  if in_bytes or is_found then return end
  local pipelined, doubled = transcripts.pipelined(self.transcript), transcripts.doubled(self.transcript)
  fault = pipelined and play(self, {}, pipelined)
  if fault then find(self, fault, "pipelined") end
  fault = doubled and play(self, {}, doubled)
  if fault then find(self, fault, "doubled") end
  if #self.findings == 0 then try_leaving(self) end
end

--- Tries the script at `path`, loaded with these options of stage.load(), with the transcript, until
--- stage.clock() is `deadline` if there is one. Returns
---
---   findings   a list of faults (see player.play) with `how`: "whole", "again" (the second time), "cut"
---              (with `cuts`), "bytes", "pipelined", "doubled" (two clients at once), "gone" (with
---              `gone` and `breaks`), "after" (the client that comes after one that left)
---   plays      how many there were
---   slow       the request that was looked at too often: its `length`, `calls`, `bytes`; or nil
---   printed    a set of the places at which the script printed
---   unplayed   what the time did not suffice for, in words, or nil
---
--- or nil and why the script does not load.
return function(path, options, transcript, deadline)
  local self = setmetatable({
    path = path, options = options, transcript = transcript, deadline = deadline,
    findings = {}, plays = 0, printed = {},
  }, Trial)
  local why
  self.script, why = load(self)
  if not self.script then return nil, why end
  try_all(self)
  self.script:close()
  return self
end
