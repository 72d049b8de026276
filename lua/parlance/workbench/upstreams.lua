-- The parties that a script connects to, in a play: what they receive and send. Each has the functions of a simulated
-- connection (parlance.simulator), so that it is played like a client.

local Upstream = {}
Upstream.__index = Upstream

local Upstreams = {}
Upstreams.__index = Upstreams

-- Notes the connections that the script has made meanwhile. The nth to an address is for the nth upstream of this
-- address; the last one serves all further.
local function accept(self)
  while true do
    local number, address = self.script:accept()
    if not number then return end
    local parties = self.parties[address]
    self.counts[address] = (self.counts[address] or 0) + 1
    local party = parties[math.min(self.counts[address], #parties)]
    party.numbers[#party.numbers + 1] = number
  end
end

--- Reads what the script has sent on all connections to this party.
function Upstream:take()
  accept(self.all)
  local pieces = {}
  for i, number in ipairs(self.numbers) do pieces[i] = self.script:upstream_take(number) end
  return table.concat(pieces)
end

-- The number of the last connection.
local function last(self)
  accept(self.all)
  return self.numbers[#self.numbers]
end

function Upstream:receive(text, from, to)
  local number = last(self)
  if not number then return 0 end
  self.current = number
  self.script:upstream_send(number, text, from, to)
  return to - from + 1
end

function Upstream:receive_end()
  local number = last(self)
  if number then self.script:upstream_end(number) end
  return number ~= nil
end

function Upstream:vanish()
  local number = last(self)
  if number then self.script:upstream_reset(number) end
end

--- Returns whether the script has ended the connection that the party has last sent on, or its side of it. (It may have
--- made the next one already.)
function Upstream:has_ended()
  local number = last(self)
  number = self.current or number
  return number ~= nil and self.script:upstream_state(number) ~= "open"
end

function Upstream.finished() return false end
function Upstream.interim() return nil end
function Upstream.requests() return 0 end
function Upstream.reason() return "none" end
function Upstream.waits() return false end

--- The party stops sending on all connections.
function Upstream:close()
  accept(self.all)
  for _, number in ipairs(self.numbers) do self.script:upstream_end(number) end
end

--- Begins a play of these parties, a list of { name =, address = }. The connect with the number `refused`, if there is
--- one, fails. Returns a table of the parties by their names.
return function(script, list, refused)
  local self = setmetatable({ script = script, parties = {}, counts = {} }, Upstreams)
  local addresses, named = {}, {}
  for i, upstream in ipairs(list) do
    local party = setmetatable({ script = script, all = self, numbers = {} }, Upstream)
    local parties = self.parties[upstream.address] or {}
    parties[#parties + 1], self.parties[upstream.address] = party, parties
    addresses[i], named[upstream.name] = upstream.address, party
  end
  script:play_upstreams(addresses, refused)
  return named
end
