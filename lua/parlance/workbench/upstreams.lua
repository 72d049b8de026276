-- The parties that a script connects to, in a play: what they receive and send. Each has the functions of a simulated
-- connection (parlance.simulator), so that it is played like a client.

local Upstream = {}
Upstream.__index = Upstream

local Upstreams = {}
Upstreams.__index = Upstreams

-- The connection is for the next upstream of its address that takes it; the last one serves all further.
local function assign(self, number, address)
  local parties = self.parties[address]
  local nth = self.counts[address] or 0
  repeat nth = nth + 1 until nth >= #parties or not parties[nth].failure
  self.counts[address] = nth
  local party = parties[math.min(nth, #parties)]
  party.numbers[#party.numbers + 1] = number
  self.all[#self.all + 1] = { number = number, address = address, party = party }
end

-- Sends what an upstream has held back in the play before. Nobody reads it if the script has closed the connection.
local function send_late(self)
  local late = self.late
  self.late = nil
  if not late or self.script:upstream_state(late.number) ~= "open" then return end
  self.script:upstream_send(late.number, late.text, 1, #late.text)
  self.has_sent_late = true
end

-- Notes the connections of an earlier play that the script uses again, and those that it has made meanwhile. Both count
-- as a connect.
local function accept(self)
  for i = #self.kept, 1, -1 do
    local kept = self.kept[i]
    local bytes = self.script:upstream_take(kept.number)
    if bytes ~= "" then
      table.remove(self.kept, i)
      self.taken[kept.number] = bytes
      assign(self, kept.number, kept.address)
      if self.late and self.late.number == kept.number then send_late(self) end
    end
  end
  while true do
    local number, address = self.script:accept()
    if not number then return end
    assign(self, number, address)
  end
end

--- Reads what the script has sent on all connections to this party.
function Upstream:take()
  local all = self.all
  accept(all)
  local pieces = {}
  for _, number in ipairs(self.numbers) do
    pieces[#pieces + 1] = all.taken[number]
    all.taken[number] = nil
    pieces[#pieces + 1] = self.script:upstream_take(number)
  end
  return table.concat(pieces)
end

--- Returns how many connections the script has made to this party.
function Upstream:connections()
  accept(self.all)
  return #self.numbers
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

function Upstream:receive_end(is_behind)
  local number = last(self)
  if is_behind or not number then return false end
  self.all.over[number] = true
  self.script:upstream_end(number)
  return true
end

function Upstream:vanish()
  local number = last(self)
  if not number then return end
  self.all.over[number] = true
  self.script:upstream_reset(number)
end

--- Holds back what the party has to send now, for a play that goes on with this one's connections.
function Upstream:hold(text)
  local number = last(self)
  if number then self.all.held = { number = number, text = text } end
end

--- Returns whether the script has begun TLS behind plain bytes on the last connection, and waits for the party.
function Upstream:wants_tls()
  local number = last(self)
  return number ~= nil and self.script:upstream_wants_tls(number)
end

--- Begins TLS on the last connection, or lets the handshake fail with this code of stream:start_tls.
function Upstream:begin_tls(failure, why)
  self.script:upstream_begin_tls(last(self), failure, why)
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

-- Returns the connections that the script still has. Those that their party has ended break, as if the script had sent
-- something to a party that is gone.
local function still_open(before)
  local open = {}
  for _, list in ipairs { before.kept, before.all } do
    for _, one in ipairs(list) do
      if before.over[one.number] then
        before.script:upstream_reset(one.number)
      elseif before.script:upstream_state(one.number) == "open" then
        open[#open + 1] = { number = one.number, address = one.address }
      end
    end
  end
  return open
end

--- Returns the name of a party from which the script has not read all, on a connection that it has used.
function Upstreams:unread()
  for _, one in ipairs(self.all) do
    if self.script:upstream_unread(one.number) > 0 then return one.party.name end
  end
end

--- Begins a play of these parties, a list of { name =, address =, failure =, why =, tls = }. Options are
---
---   refused   the number of a connect that fails; nil: none
---   distrusted  the number of a handshake of TLS in which the certificate is refused; nil: none
---   before    the parties of the play before: the connections that the script still has to them live on, and are for
---             the next upstream of their address when the script uses them. nil: they are dropped
---   late      when what a party of that play has held back is sent: "idle": now; "in_use": when the script uses the
---             connection again. The field `has_sent_late` tells whether the script still had the connection
---
--- Returns a table of the parties by their names, and all together.
return function(script, list, options)
  options = options or {}
  local before = options.before
  local self = setmetatable({ script = script, parties = {}, counts = {}, all = {}, over = {}, taken = {},
    kept = before and still_open(before) or {}, late = options.late and before.held }, Upstreams)
  local named = {}
  for _, upstream in ipairs(list) do
    local party = setmetatable({ script = script, all = self, name = upstream.name, numbers = {},
      failure = upstream.failure }, Upstream)
    local parties = self.parties[upstream.address] or {}
    parties[#parties + 1], self.parties[upstream.address] = party, parties
    named[upstream.name] = party
  end
  script:play_upstreams(list, options.refused, before ~= nil, options.distrusted)
  if options.late == "idle" then send_late(self) end
  return named, self
end
