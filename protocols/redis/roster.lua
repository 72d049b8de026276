-- A set of strings that knows its members by number: adding, removing and drawing one at random all
-- take the same time however many there are. The members are at [1] to [count], in no order that
-- matters; `at` has the place of each. Sets are rosters, and so are the keys of a database.
local roster = {}

function roster.new()
  return { count = 0, at = {} }
end

--- Whether the member is new. If memory runs out on the way, nothing has changed that counts.
function roster.add(self, member)
  local at = self.at
  if at[member] then return false end
  local count = self.count + 1
  self[count] = member
  at[member] = count
  self.count = count
  return true
end

--- Whether there was such a member. The last one takes its place.
function roster.remove(self, member)
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

--- A step of going over all members while they change: looks at `steps` of them, downwards from
--- place `from`, and returns where to go on, or 0 at the end. Since the last member is what takes a
--- free place, one that stays from the first step to the last is never missed.
function roster.scan(self, from, steps, visit)
  local place = math.min(from, self.count)
  local stop = math.max(place - steps, 0)
  while place > stop do
    visit(self[place])
    place = place - 1
    if place > self.count then place = self.count end -- visit() may have removed it
  end
  return place
end

return roster
