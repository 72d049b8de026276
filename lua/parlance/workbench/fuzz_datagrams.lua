-- The part of `fuzz` that sends datagrams: looks for some that make a script raise an error or take too long, for an
-- answer that is too large for a datagram, and for memory that grows.

local conversation = require "parlance.workbench.conversation"
local growth = require "parlance.workbench.growth"
local longest <const> = require("parlance.workbench.datagrams").LONGEST
local mutate = require "parlance.workbench.mutate"
local transcripts = require "parlance.workbench.transcript"

local random = math.random

-- The most datagrams of an input; after how many inputs the memory is tested; the seconds of processor time to find the
-- smallest input.
local MOST <const>, MEMORY_INTERVAL <const>, SHRINK_SECONDS <const> = 32, 1000, 10

-- Lengths at which something may change: what fits into a frame of Ethernet, and the longest datagram.
local LENGTHS <const> = { 512, 1472, 1473, 8192, longest }

local Datagrams = {}
Datagrams.__index = Datagrams

-- ---- inputs -------------------------------------------------------------------------------------

-- Each changes a list of datagrams, which is not empty, at this place.
local CHANGES <const> = {
  function(list, at, pool) list[at] = mutate.next { inputs = { list[at] }, words = pool.words } end,
  function(list, at, pool) list[at] = mutate.next(pool) end,
  function(list, at) table.remove(list, at) end, -- It is lost.
  function(list, at) table.insert(list, at, list[at]) end, -- It comes twice.
  function(list, at) list[at], list[at % #list + 1] = list[at % #list + 1], list[at] end, -- They come swapped.
  function(list, at) table.insert(list, at, "") end,
  function(list, at) -- It is long.
    local length = random(3) == 1 and random(longest) or LENGTHS[random(#LENGTHS)]
    local text = list[at] == "" and "a" or list[at]
    list[at] = text:rep(length // #text + 1):sub(1, length)
  end,
}

function Datagrams:next()
  if self.count <= #self.inputs then return self.inputs[self.count] end
  local from = self.inputs[random(#self.inputs)]
  local list = table.move(from, 1, #from, 1, {})
  for _ = 1, random(4) do
    if #list == 0 then list[1] = mutate.next(self.pool) end
    CHANGES[random(#CHANGES)](list, random(#list), self.pool)
  end
  return list
end

-- ---- what is looked for -------------------------------------------------------------------------

-- Each takes a list of datagrams and a way, and returns a fault or nil. It loads the script anew.
local TESTS <const> = {}

local function play_anew(self, list, way)
  local script <close> = assert(self.fuzz:load())
  return conversation.datagrams(script, list, way.in_turn, way.replies or self.fuzz.replies)
end

function TESTS.raise(self, list, way)
  local outcome = play_anew(self, list, way)
  local place = outcome.raised and self.fuzz.place_of(outcome.raised)
  if not place or way.place and place ~= way.place then return nil end
  way.place = place
  return { kind = "raise", raised = outcome.raised, outcome = outcome }
end

function TESTS.oversized(self, list, way)
  local outcome = play_anew(self, list, way)
  if not outcome.oversized then return nil end
  return { kind = "oversized", length = tonumber(outcome.oversized:match " bytes=(%d+)"), outcome = outcome }
end

function TESTS.memory(self, list, way)
  local script <close> = assert(self.fuzz:load())
  local fault = growth(script, function() conversation.datagrams(script, list, way.in_turn, self.fuzz.replies) end)
  if fault then fault.outcome = play_anew(self, list, way) end
  return fault
end

-- Makes the list as short as it can be, and then each datagram.
function Datagrams:shrink(list, test)
  local stop = os.clock() + SHRINK_SECONDS
  for at = #list, 1, -1 do
    local less = table.move(list, 1, #list, 1, {})
    table.remove(less, at)
    if os.clock() < stop and test(less) then list = less end
  end
  for at = 1, #list do
    list[at] = mutate.shrink(list[at], function(text)
      local less = table.move(list, 1, #list, 1, {})
      less[at] = text
      return test(less)
    end, stop)
  end
  return list, os.clock() < stop
end

function Datagrams:confirm(kind, list, way)
  local fault = TESTS[kind](self, list, way)
  if not fault then return nil end
  local least, is_smallest = self:shrink(table.move(list, 1, #list, 1, {}), function(less)
    return TESTS[kind](self, less, way) ~= nil
  end)
  fault = TESTS[kind](self, least, way) or fault
  fault.datagrams, fault.in_turn, fault.replies, fault.is_smallest = least, way.in_turn, way.replies, is_smallest
  return fault
end

-- Returns the kind of fault that the input may show, and the way in which it was played; nil: none.
function Datagrams:suspect(list)
  local way = { in_turn = random(2) == 1 }
  local outcome = conversation.datagrams(self.script, list, way.in_turn, self.fuzz.replies)
  if outcome.raised then return "raise", way end
  if outcome.oversized then return "oversized", way end
  if #outcome.exchanges == 0 then return nil end
  way.replies = self.fuzz:mutate_replies()
  if conversation.datagrams(self.script, list, way.in_turn, way.replies).raised then return "raise", way end
end

--- Plays one more input. Returns the fault, or nil.
function Datagrams:try()
  self.count = self.count + 1
  local list = self:next()
  local kind, way = self:suspect(list)
  local fault = kind and self:confirm(kind, list, way)
  if fault then return fault end
  self.recent[self.count % 8 + 1] = list
  if self.count % MEMORY_INTERVAL ~= 0 then return nil end
  for _, recent in ipairs(self.fuzz.keeps_state and {} or self.recent) do
    fault = self:confirm("memory", recent, {})
    if fault then return fault end
  end
  self.script:close()
  self.script = assert(self.fuzz:load())
end

-- ---- the words ----------------------------------------------------------------------------------

--- Returns a transcript that shows the fault. Where the script fails, only its author knows the right answers.
function Datagrams:transcript_of(fault)
  local steps, answers = {}, fault.kind == "memory" and fault.outcome.answers or {}
  local function expect(texts)
    local list = {}
    for i, text in ipairs(texts) do list[i] = { { text = text } } end
    if #list > 0 then steps[#steps + 1] = { kind = "expect", client = "", is_datagram = true, datagrams = list } end
  end
  for place, text in ipairs(fault.datagrams) do
    steps[#steps + 1] = { kind = "send", client = "", is_datagram = true, text = text }
    expect(answers[place] or {})
  end
  for _, exchange in ipairs(fault.outcome.exchanges) do
    steps[#steps + 1] = { kind = "expect", client = exchange.name, items = { { text = exchange.sent } } }
    steps[#steps + 1] = { kind = "send", client = exchange.name, text = exchange.reply }
  end
  expect(answers[#fault.datagrams + 1] or {})
  local fuzz = self.fuzz
  return transcripts.write {
    udp = true, fresh = fuzz.keeps_state, variables = fuzz.surroundings.variables,
    settings = fuzz.surroundings.settings,
    upstreams = #fault.outcome.exchanges > 0 and fuzz.replies.upstreams or nil, steps = steps,
  }
end

local function is_sent_datagrams(list, listen)
  for _, transcript in ipairs(list) do
    if transcript.udp then return true end
  end
  return listen:find "^udp:" ~= nil
end

--- Returns what sends datagrams to a script; nil if nothing tells that it is for datagrams. `fuzz` has the functions
--- and fields of an object of fuzz.lua; `list` is its transcripts.
return function(fuzz, list, script)
  if not is_sent_datagrams(list, script:listen()) then return nil end
  local inputs, singles = { { "" } }, { "" }
  if script:example() ~= "" then inputs[2] = { script:example() } end
  for _, transcript in ipairs(list) do
    local sent = {}
    for _, step in ipairs(transcript.steps) do
      if step.is_datagram and step.kind == "send" and #sent < MOST then sent[#sent + 1] = step.text end
    end
    if #sent > 0 then inputs[#inputs + 1] = sent end
  end
  for _, input in ipairs(inputs) do table.move(input, 1, #input, #singles + 1, singles) end
  return setmetatable({
    fuzz = fuzz, inputs = inputs, pool = { inputs = singles, words = fuzz.pool.words }, count = 0, recent = {},
    script = assert(fuzz:load()),
  }, Datagrams)
end
