-- Clients that send datagrams, in a play: what was sent, and which datagrams came back for each of them.
--
-- In a play as it is written, the datagrams of a client are compared with its `<` lines in the order in which they
-- came. Such a play notes in the steps which datagram each answer was for. In a play with a fault of the network
-- (`network` of the way) each datagram is compared with what was noted for it, whatever comes first:
--
--   a "send" step     `at`, the seconds of the play at which it was sent; `answers`, a list of lists of items
--   an "expect" step  `owes`, a list of { step =, count = }: this "send" has so many answers when the step is over

local advance = require "parlance.workbench.advance"
local answers = require "parlance.workbench.answers"

local datagrams = {}

-- A client. It has the functions of a simulated connection that a play needs.
local Sender = {}
Sender.__index = Sender

--- The most bytes of a datagram over IPv4.
datagrams.LONGEST = 65507

--- Returns a client. `who` is its address: options for the simulator.
function datagrams.sender(script, who)
  return setmetatable({
    script = script, who = who,
    sent = {}, -- { step =, session =, answers = } in the order in which they were sent; `session`: until it has ended
    in_hand = {}, -- those of them that have not ended
    of_step = {}, -- lists of them by their steps
    waiting = {}, -- the steps of those that the script has no room for yet
    received = {}, -- { text =, number =, sent = } of which the `<` lines have not told yet
    count = 0, requests_of_ended = 0, last_reason = "none",
  }, Sender)
end

-- Reads the answers to all that is in hand. What comes now was sent later than what was read before.
local function read(self)
  local new, left = {}, {}
  for _, one in ipairs(self.in_hand) do
    while true do
      local text, number = one.session:take_datagram()
      if not text then break end
      one.answers[#one.answers + 1] = text
      new[#new + 1] = { text = text, number = number, sent = one }
    end
    if one.session:finished() then
      self.requests_of_ended = self.requests_of_ended + one.session:requests()
      self.last_reason = one.session:reason()
      one.session:close()
      one.session = nil
    else
      left[#left + 1] = one
    end
  end
  self.in_hand = left
  table.sort(new, function(a, b) return a.number < b.number end)
  table.move(new, 1, #new, #self.received + 1, self.received)
  self.count = self.count + #new
end

-- Gives the script the datagrams that it had no room for.
local function give(self)
  while self.waiting[1] do
    local session = self.script:datagram(self.waiting[1].text, self.who)
    if not session then return end
    local step = table.remove(self.waiting, 1)
    local one = { step = step, session = session, answers = {} }
    self.sent[#self.sent + 1], self.in_hand[#self.in_hand + 1] = one, one
    self.of_step[step] = self.of_step[step] or {}
    table.insert(self.of_step[step], one)
    read(self)
  end
end

--- Sends the datagram of a step, its `text`.
function Sender:send(step)
  self.waiting[#self.waiting + 1] = step
  give(self)
end

--- Reads what has come. There are no bytes of a stream.
function Sender:take()
  read(self)
  give(self)
  return ""
end

function Sender:waits()
  if self.waiting[1] then return true end
  for _, one in ipairs(self.in_hand) do
    if one.session:waits() then return true end
  end
  return false
end

function Sender:requests()
  local count = self.requests_of_ended
  for _, one in ipairs(self.in_hand) do count = count + one.session:requests() end
  return count
end

function Sender:reason() return self.last_reason end

function Sender:interim() return nil end

function Sender:finished() return false end

function Sender:has_ended() return false end

function Sender:close()
  for _, one in ipairs(self.in_hand) do one.session:close() end
  self.in_hand = {}
end

-- ---- as it is written ---------------------------------------------------------------------------

local function unexpected(line, text)
  return { kind = "answer", line = line, expected = "", got = text, is_extra = true }
end

local function missing(items)
  local parts = {}
  for i, item in ipairs(items) do parts[i] = item.text or "~" .. item.pattern end
  return { kind = "answer", line = items[1].line, expected = table.concat(parts), got = "", is_missing = true }
end

--- Returns the fault if the client has received what no `<` line tells of.
function Sender:find_unexpected(line)
  local first = self.received[1]
  return first and unexpected(line, first.text)
end

--- Notes that a step is sent now, in a play as it is written. `time` is of the play.
function datagrams.note_send(step, time)
  step.at, step.answers = time, {}
end

-- Returns the fault if what has come is not what the lists of items say.
local function compare(expected, got)
  for i, items in ipairs(expected) do
    if not got[i] then return missing(items) end
    local fault = answers.compare(items, got[i])
    if fault then
      fault.has_come = true -- It may have no bytes.
      return fault
    end
  end
  if not got[#expected + 1] then return nil end
  local last = expected[#expected]
  return unexpected(last and last[#last].line, got[#expected + 1])
end

--- Returns the fault if the client has not received what an "expect" step says, and whether it may still come.
function Sender:compare(step)
  local got = {}
  for i, one in ipairs(self.received) do got[i] = one.text end
  local fault = compare(step.datagrams, got)
  return fault, fault and fault.is_missing
end

--- Notes which datagrams have the answers of an "expect" step that holds.
function Sender:note_answers(step)
  step.owes = {}
  for i, one in ipairs(self.received) do
    local list = one.sent.step.answers
    list[#list + 1] = step.datagrams[i]
    step.owes[i] = { step = one.sent.step, count = #list }
  end
  self.received = {}
end

-- ---- with a fault of the network ----------------------------------------------------------------

--- Returns the "send" steps of datagrams, in their order.
function datagrams.sends(transcript)
  local list = {}
  for _, step in ipairs(transcript.steps) do
    if step.is_datagram and step.kind == "send" then list[#list + 1] = step end
  end
  return list
end

--- Returns the datagrams that a network can lose, repeat or swap: a list of { number =, lines = }. Two that are the
--- same are not swapped, nor are those that stand before and behind a `wait`.
function datagrams.places(transcript, kind)
  local places, last, number = {}, nil, 0
  for _, step in ipairs(transcript.steps) do
    if step.kind == "wait" then
      last = nil
    elseif step.is_datagram and step.kind == "send" then
      number = number + 1
      if kind ~= "swapped" then
        places[#places + 1] = { number = number, lines = { step.line } }
      elseif last and (last.client ~= step.client or last.text ~= step.text) then
        places[#places + 1] = { number = number - 1, lines = { last.line, step.line } }
      end
      last = step
    end
  end
  return places
end

--- Returns the steps of the transcript as a network delivers them. `network` has one of these fields, of which the
--- first three are the number of a datagram:
---
---   lost       it does not arrive
---   repeated   it arrives twice
---   swapped    it arrives behind the next one
---   at_once    true: clients send without waiting for answers, but for `wait` lines
function datagrams.deliver(transcript, network)
  local steps, nth, sends = {}, 0, datagrams.sends(transcript)
  local later = {}
  local function add_later()
    table.move(later, 1, #later, #steps + 1, steps)
    later = {}
  end
  for _, step in ipairs(transcript.steps) do
    local is_send = step.is_datagram and step.kind == "send"
    nth = nth + (is_send and 1 or 0)
    if is_send then
      local swapped = network.swapped
      if swapped and (nth == swapped or nth == swapped + 1) then step = sends[2 * swapped + 1 - nth] end
      if nth ~= network.lost then steps[#steps + 1] = step end
      if nth == network.repeated then steps[#steps + 1] = step end
    elseif network.at_once and step.kind ~= "wait" then
      later[#later + 1] = step
    else
      add_later()
      steps[#steps + 1] = step
    end
  end
  add_later()
  return steps
end

--- The time moves on to when the step was sent in the play as it is written.
function datagrams.advance_to(script, step, time, read_all)
  if step.at and step.at > time then advance(script, step.at - time, read_all) end
end

--- Whether all that was sent has the answers that it has behind this "expect" step.
function datagrams.has_answers(step, senders)
  for _, owed in ipairs(step.owes or {}) do
    for _, sender in ipairs(senders) do
      for _, one in ipairs(sender.of_step[owed.step] or {}) do
        if #one.answers < owed.count and one.session then return false end
      end
      for _, waiting in ipairs(sender.waiting) do
        if waiting == owed.step then return false end
      end
    end
  end
  return true
end

--- Whether all that was sent has all answers that it has in the play as it is written.
function Sender:has_all_answers()
  for _, one in ipairs(self.in_hand) do
    if #one.answers < #one.step.answers then return false end
  end
  return not self.waiting[1]
end

--- Returns the fault if a datagram has not the answers that it has in the play as it is written.
function Sender:check_answers()
  for _, one in ipairs(self.sent) do
    local fault = compare(one.step.answers, one.answers)
    if fault then
      fault.line = fault.line or one.step.line
      return fault
    end
  end
end

return datagrams
