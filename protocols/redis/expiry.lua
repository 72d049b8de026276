-- The keys of a database that have a deadline, in buckets by time: one for each tenth of a second in which keys expire.
-- When that time is over, all keys of the bucket have expired. The cost of a key does not depend on the number of keys.
--
-- Memory may run out at each assignment that makes a table grow. The assignments are ordered so that the tables are
-- never wrong after an error, only slower to use.
local expiry = {}

local SPAN <const> = 100 -- ms

--- `deadlines` has the deadline of each key, in ms since 1970; `count` is the number of keys.
function expiry.new()
  return {
    count = 0,
    deadlines = {},
    buckets = {}, -- lists of keys, by deadline // SPAN
    places = {}, -- the index of each key in its bucket
    first = 0, -- no bucket before this one has a key
  }
end

--- Removes the deadline of a key. Returns whether it had one.
function expiry.remove(self, key)
  local deadline = self.deadlines[key]
  if not deadline then return false end
  local number, place = deadline // SPAN, self.places[key]
  local bucket = self.buckets[number]
  if bucket and bucket[place] == key then -- the last of the bucket takes its place
    local last = #bucket
    local other = bucket[last]
    bucket[place], self.places[other] = other, place
    bucket[last] = nil
    if last == 1 then self.buckets[number] = nil end
  end
  self.deadlines[key], self.places[key] = nil, nil
  self.count = self.count - 1
  return true
end

--- Sets or changes the deadline of a key.
function expiry.set(self, key, deadline)
  local number, deadlines = deadline // SPAN, self.deadlines
  local old = deadlines[key]
  if old and old // SPAN == number then
    deadlines[key] = deadline
    return
  end
  local bucket = self.buckets[number]
  if not bucket then
    bucket = {}
    self.buckets[number] = bucket
  end
  local place = #bucket + 1
  bucket[place] = key
  expiry.remove(self, key)
  self.places[key] = place
  deadlines[key] = deadline
  if self.count == 0 or number < self.first then self.first = number end
  self.count = self.count + 1
end

-- Up to so many empty buckets are checked one by one. There are more if the clock was set forward or the machine was
-- suspended; then it is faster to search the table for the next bucket.
local MOST_MISSING <const> = 1000

local function first_bucket(self)
  local first = math.maxinteger
  for number in pairs(self.buckets) do first = math.min(first, number) end
  return first
end

--- Returns a key that has expired at `now`, in ms since 1970, or nil. The caller removes it before the next call.
function expiry.find_expired(self, now)
  local present, missing = now // SPAN, 0
  if self.count == 0 then return nil end
  while self.first < present do
    local bucket = self.buckets[self.first]
    while bucket and bucket[1] do
      local last = #bucket
      local key = bucket[last]
      if self.places[key] == last and self.deadlines[key] then return key end
      bucket[last] = nil -- what is left of an assignment that failed
    end
    self.buckets[self.first] = nil
    self.first = self.first + 1
    if not bucket then missing = missing + 1 end
    if missing == MOST_MISSING then self.first = math.max(self.first, math.min(first_bucket(self), present)) end
  end
end

return expiry
