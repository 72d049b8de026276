-- Conversations of one client with a script, for `fuzz`. Upstreams reply to what the script sends with what they say in
-- transcripts.

local captured_log = require "parlance.workbench.captured_log"
local datagrams = require "parlance.workbench.datagrams"
local patience = require "parlance.workbench.patience"
local play_upstreams = require "parlance.workbench.upstreams"

local conversation = {}

local Conversation = {}
Conversation.__index = Conversation

-- The most replies of upstreams in a conversation. Then they are silent.
local MOST_REPLIES <const> = 100

-- Whether the script has connected to an upstream that speaks first, which has not spoken yet.
function Conversation:must_greet(upstream)
  local count = self.parties[upstream.name]:connections()
  local is_new = upstream.speaks_first and count > (self.greeted[upstream.name] or 0)
  self.greeted[upstream.name] = count
  return is_new
end

-- An upstream replies to what the script has sent to it. Returns whether one did.
function Conversation:reply()
  local has_replied = false
  for _, upstream in ipairs(self.replies.upstreams) do
    local name = upstream.name
    local party = self.parties[name]
    local sent = party:take()
    self.sent[name] = (self.sent[name] or "") .. sent
    if (self:must_greet(upstream) or sent ~= "") and self.replied < MOST_REPLIES then
      local reply = self.replies[self.replied % #self.replies + 1]
      self.replied = self.replied + 1
      self.exchanges[#self.exchanges + 1] = { name = name, sent = sent, reply = reply }
      party:receive(reply, 1, #reply)
      has_replied = true
    end
    if party:wants_tls() then
      self.exchanges[#self.exchanges + 1] = { name = name, is_tls = true }
      party:begin_tls()
      has_replied = true
    end
  end
  return has_replied
end

-- Reads what the server sends, and lets upstreams reply. Returns whether there was anything.
function Conversation:take()
  local has_any = false
  repeat
    local answer = self.session:take()
    if answer ~= "" then self.answers[#self.answers + 1] = answer end
    has_any = has_any or answer ~= ""
  until not self:reply()
  return has_any
end

-- While a request waits for its answer, the time moves until `act()` returns true. Returns whether it did.
function Conversation:await(act)
  if not self.session:waits() then return false end
  local has_acted = false
  patience(self.script, function()
    has_acted = act()
    return has_acted or not self.session:waits()
  end, function()
    self:take()
    return #self.answers + #self.exchanges
  end)
  return has_acted
end

-- Sends bytes[from..to]. While a request waits, the session may see the end behind bytes that it does not read.
function Conversation:send(bytes, from, to)
  local count = 0
  local function give()
    count = self.session:receive(bytes, from, to)
    return count > 0
  end
  while from <= to do
    local is_read = give()
    if not self:take() and not is_read then
      if self.ends and self.session:receive_end(true) then return end
      if not self:await(give) then return end
    end
    from = from + count
  end
end

-- Stops sending, and reads all answers.
function Conversation:send_end()
  local function give() return self.session:receive_end() end
  if not give() then self:await(give) end
  self:take()
  self:await(function() return false end)
  self:take()
end

-- Begins a conversation of this client. `replies` is a list of what upstreams say one after the other, with
-- `upstreams`, a list as in a transcript, in which some have `speaks_first`.
local function begin(script, open, replies)
  script:begin_play()
  local parties = play_upstreams(script, replies.upstreams)
  return setmetatable({
    script = script, session = open(), answers = {}, replies = replies, parties = parties, exchanges = {}, replied = 0,
    sent = {}, -- all bytes that were sent to an upstream, by its name
    greeted = {}, -- how many connections an upstream had when it last could greet, by its name
  }, Conversation)
end

-- The client has gone. Adds to the outcome what the script has said to upstreams, and what was logged.
local function finish(self, outcome)
  self.session:close()
  self.script:play_upstreams {}
  self.script:end_play()
  outcome.exchanges, outcome.sent = self.exchanges, self.sent
  local raised, _, hanging, _, oversized = captured_log.read {}
  -- An upstream that says too little is waited for, until response_timeout ends that.
  outcome.raised, outcome.oversized = raised or #self.exchanges == 0 and hanging or nil, oversized
  return outcome
end

--- Plays a conversation over a connection. `cuts` is a sorted list of places, or nil; `gone`: the client resets the
--- connection. With `replies.tls` the client connects with TLS, and shows this.
function conversation.streams(script, bytes, cuts, gone, replies)
  local who = { port = 50001, tls = replies.tls, proxy = replies.proxy } -- as in a play
  local self = begin(script, function() return script:open(who) end, replies)
  local session = self.session
  self.ends = not gone
  self:take()
  local outcome = { greeting = self.answers[1] or "", is_closed_at_once = session:finished() }
  local from = 1
  for _, place in ipairs(cuts or {}) do
    if place >= #bytes then break end -- The cuts may be those of a longer input.
    self:send(bytes, from, place)
    from = place + 1
  end
  self:send(bytes, from, #bytes)
  if gone then
    session:vanish()
  else
    self:send_end()
    outcome.is_closed = session:finished()
  end
  outcome.answer, outcome.reason, outcome.interim = table.concat(self.answers), session:reason(), session:interim()
  return finish(self, outcome)
end

--- Plays a conversation of datagrams, a list of texts. `in_turn`: the client waits for the answers to each. The outcome
--- has `answers`, a list of lists of texts: what had come behind each datagram, and at last behind all.
function conversation.datagrams(script, list, in_turn, replies)
  local self = begin(script, function() return datagrams.sender(script, { port = 50001 }) end, replies)
  local sender, outcome = self.session, { answers = {} }
  local function await()
    self:take()
    self:await(function() return false end)
    self:take()
  end
  local function note(place)
    local texts = {}
    for i, one in ipairs(sender.received) do texts[i] = one.text end
    sender.received, outcome.answers[place] = {}, texts
  end
  for place, text in ipairs(list) do
    sender:send { text = text }
    if in_turn then await() end
    self:take()
    note(place)
  end
  await()
  note(#list + 1)
  return finish(self, outcome)
end

return conversation
