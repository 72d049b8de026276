-- A set of strings whose members have indexes: adding, removing and choosing a random member take constant time. The
-- members are at [1] to [count], in no particular order; `at` has the index of each. Redis sets are indexed sets, and
-- so are the keys of a database.
local indexed_set = {}

function indexed_set.new()
  return { count = 0, at = {} }
end

--- Adds a member. Returns whether it is new. If memory runs out, the set is unchanged.
function indexed_set.add(self, member)
  local at = self.at
  if at[member] then return false end
  local count = self.count + 1
  self[count] = member
  at[member] = count
  self.count = count
  return true
end

--- Removes a member, whose place the last member takes. Returns whether it was there.
function indexed_set.remove(self, member)
  local at = self.at
  local place = at[member]
  if not place then return false end
  local count = self.count
  local last = self[count]
  self[place] = last
  at[last] = place
  self[count] = nil
  at[member] = nil
  self.count = count - 1
  return true
end

--- A step of a walk over all members, which may change between steps: visits `steps` members downwards from index
--- `from`, and returns the index to go on from, or 0 at the end. No member that stays during the whole walk is missed,
--- because always the last member takes a free place.
function indexed_set.scan(self, from, steps, visit)
  local place = math.min(from, self.count)
  local stop = math.max(place - steps, 0)
  while place > stop do
    visit(self[place])
    place = place - 1
    if place > self.count then place = self.count end -- visit() may have removed it
  end
  return place
end

return indexed_set
