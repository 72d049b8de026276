-- parlance fuzz: looks for bytes that make a script raise an error or take too long, whose answer depends on how they
-- are cut, or after which the script's memory has grown. fuzz_datagrams.lua does it with datagrams.

local conversation = require "parlance.workbench.conversation"
local fuzz_datagrams = require "parlance.workbench.fuzz_datagrams"
local growth = require "parlance.workbench.growth"
local mutate = require "parlance.workbench.mutate"
local report = require "parlance.workbench.report"
local scripts = require "parlance.workbench.scripts"
local seeds = require "parlance.workbench.seeds"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"

local SOUND <const>, FAULTY <const>, UNCHECKED <const> = 0, 1, 2

-- The seconds of the search, and of the search for the smallest input of each kind. The latter are seconds of processor
-- time, and more for memory, where each test takes many conversations.
local SECONDS <const>, SHRINK_SECONDS <const> = 10, { raise = 10, cut = 10, memory = 30 }

-- The number of inputs between two tests of the memory.
local MEMORY_INTERVAL <const> = 2000

-- How often an answer is compared again before the cut counts as the reason.
local CHANCE_ROUNDS <const> = 10

local converse <const> = conversation.streams

local Fuzz = {}
Fuzz.__index = Fuzz

-- ---- conversations ------------------------------------------------------------------------------

function Fuzz:load()
  return scripts.load(self.path, self.options, self.surroundings)
end

-- Returns the answer without interim responses, which depend on the cuts.
local function final(outcome)
  local interim, answer = outcome.interim, outcome.answer
  if not interim then return answer end
  return (answer:gsub(interim:gsub("%W", "%%%0"), ""))
end

-- Whether upstreams were sent the same bytes in other pieces, as when a script passes on what comes. An upstream
-- replies to each piece here, so that the answers cannot be compared.
local function is_passed_on(one, other)
  for name, sent in pairs(one.sent) do
    if sent ~= other.sent[name] then return false end
  end
  for place, exchange in ipairs(one.exchanges) do
    local same = other.exchanges[place]
    if not same or exchange.sent ~= same.sent then return true end
  end
  return #one.exchanges ~= #other.exchanges
end

local function differs(one, other)
  if is_passed_on(one, other) then return false end
  return final(one) ~= final(other) or one.reason ~= other.reason or one.is_closed ~= other.is_closed
end

-- Plays a conversation with a newly loaded script.
function Fuzz:converse_anew(bytes, cuts, gone, replies)
  local script <close> = assert(self:load())
  return converse(script, bytes, cuts, gone, replies or self.replies)
end

-- ---- what is looked for -------------------------------------------------------------------------

-- Each takes an input and a way, and returns a fault or nil. It loads the script anew, so that state of earlier
-- conversations does not count.
local TESTS <const> = {}

-- Returns the place of an error. The message is not compared, because it may contain the input.
function Fuzz.place_of(text)
  return text:match "detail=\"?([^\n]-:%d+:)" or text:match "^%S+ %S+ (%S+)"
end

function TESTS.raise(self, bytes, way)
  local outcome = self:converse_anew(bytes, way.cuts, way.gone, way.replies)
  if not outcome.raised or way.place and Fuzz.place_of(outcome.raised) ~= way.place then return nil end
  way.place = Fuzz.place_of(outcome.raised)
  return { kind = "raise", raised = outcome.raised }
end

-- Whether both answers are the same each time. The order of a table's fields depends on where the Lua state lies in
-- memory; the number of tries varies, so that both do not always take turns in the same two places.
function Fuzz:is_certain(bytes, whole, cuts, other)
  for round = 1, CHANCE_ROUNDS do
    for _ = 0, round % 2 do
      if differs(whole, self:converse_anew(bytes)) then return false end
    end
    for _ = 0, round // 2 % 2 do
      if differs(other, self:converse_anew(bytes, cuts)) then return false end
    end
  end
  return true
end

-- Tries each single cut first, then the cuts that were found.
function TESTS.cut(self, bytes, way)
  local whole = self:converse_anew(bytes)
  local depends_on_chance = differs(whole, self:converse_anew(bytes))
  local function try(cuts)
    if depends_on_chance then return nil end
    local other = self:converse_anew(bytes, cuts)
    if other.raised or not differs(whole, other) then return nil end
    depends_on_chance = not self:is_certain(bytes, whole, cuts, other)
    return not depends_on_chance and { kind = "cut", cuts = cuts, whole = whole, other = other } or nil
  end
  for place = 1, #bytes - 1 do
    if depends_on_chance or os.clock() > self.shrink_until then break end
    local fault = try { place }
    if fault then return fault end
  end
  return try(way.cuts)
end

function TESTS.memory(self, bytes)
  local script <close> = assert(self:load())
  return growth(script, function() converse(script, bytes, nil, nil, self.replies) end)
end

-- ---- the search ---------------------------------------------------------------------------------

local function random_cuts(length)
  local cuts = {}
  if length < 2 then return cuts end
  if math.random(4) == 1 then
    for place = 1, length - 1 do cuts[place] = place end
    return cuts
  end
  local place = 0
  for _ = 1, math.random(4) do
    place = place + math.random(length)
    if place >= length then break end
    cuts[#cuts + 1] = place
  end
  return cuts
end

-- Compares on newly loaded scripts: a second answer may differ because of state that the first conversation left.
function Fuzz:is_cut_dependent(bytes, cuts)
  return differs(self:converse_anew(bytes), self:converse_anew(bytes, cuts))
end

-- Returns a copy of the replies with one of them mutated.
function Fuzz:mutate_replies()
  local copy = table.move(self.replies, 1, #self.replies, 1, { upstreams = self.replies.upstreams })
  copy.tls, copy.proxy = self.replies.tls, self.replies.proxy
  copy[math.random(#copy)] = mutate.next(self.reply_pool)
  return copy
end

-- Plays an input. Returns nil, or the kind of fault that it may show, the way and the part of it that was played.
function Fuzz:suspect(bytes)
  local whole = converse(self.script, bytes, nil, nil, self.replies)
  if whole.raised then return "raise", {} end
  local cuts = random_cuts(#bytes)
  local other = converse(self.script, bytes, cuts, nil, self.replies)
  if other.raised then return "raise", { cuts = cuts } end
  if differs(whole, other) and self:is_cut_dependent(bytes, cuts) then return "cut", { cuts = cuts } end
  local part = bytes:sub(1, math.random(0, #bytes))
  if converse(self.script, part, nil, true, self.replies).raised then return "raise", { gone = true }, part end
  if #whole.exchanges == 0 then return nil end
  local replies = self:mutate_replies()
  if converse(self.script, bytes, nil, nil, replies).raised then return "raise", { replies = replies } end
end

-- Returns one of the last inputs whose conversations make the memory grow, or nil.
function Fuzz:suspect_of_growth()
  if self.keeps_state then return nil end
  for _, bytes in ipairs(self.recent) do
    if TESTS.memory(self, bytes) then return bytes end
  end
end

-- Makes each reply as small as it can be.
function Fuzz:shrink_replies(bytes, way)
  for i, reply in ipairs(way.replies) do
    way.replies[i] = mutate.shrink(reply, function(less)
      way.replies[i] = less
      return TESTS.raise(self, bytes, way) ~= nil
    end, self.shrink_until)
  end
end

function Fuzz:confirm(kind, bytes, way)
  self.shrink_until = os.clock() + SHRINK_SECONDS[kind]
  local fault = TESTS[kind](self, bytes, way)
  if not fault then return nil end
  local least, is_smallest = mutate.shrink(bytes, function(less) return TESTS[kind](self, less, way) ~= nil end,
    self.shrink_until)
  if way.replies then self:shrink_replies(least, way) end
  fault = TESTS[kind](self, least, way) or fault
  fault.bytes, fault.gone, fault.replies, fault.is_smallest = least, way.gone, way.replies, is_smallest
  return fault
end

-- Searches until a fault is found or the time is over. Returns the fault, or nil.
function Fuzz:search(deadline)
  while simulator.clock() < deadline do
    self.count = self.count + 1
    if self.datagrams and (self.is_for_datagrams_only or self.count % 2 == 0) then
      local fault = self.datagrams:try()
      if fault then return fault end
      goto continue
    end
    local bytes = self.count <= #self.pool.inputs and self.pool.inputs[self.count] or mutate.next(self.pool)
    self.replies.tls = self.count % 4 >= 2 and self.tls or nil
    local kind, way, part = self:suspect(bytes)
    local fault = kind and self:confirm(kind, part or bytes, way)
    if fault then return fault end
    self.recent[self.count % 8 + 1] = bytes
    if self.count % MEMORY_INTERVAL == 0 then
      local growing = self:suspect_of_growth()
      fault = growing and self:confirm("memory", growing, {})
      if fault then return fault end
      self:renew()
    end
    ::continue::
  end
end

-- Loads the script anew, because stored state would make it slow.
function Fuzz:renew()
  if self.script then self.script:close() end
  self.script = assert(self:load())
end

-- ---- the words ----------------------------------------------------------------------------------

-- Returns a transcript that shows the fault. What the server sends first stands in front.
local function transcript_of(fault, self)
  local outcome = fault.whole or self:converse_anew(fault.bytes, nil, fault.gone, fault.replies)
  local greeting, answer = { text = outcome.greeting }, { text = outcome.answer:sub(#outcome.greeting + 1) }
  local is_raised = fault.kind == "raise" -- Only the author knows the right answer.
  local steps = {}
  local function add(kind, text)
    steps[#steps + 1] = { kind = kind, client = "", text = text }
  end
  local function expect(item)
    if item.text ~= "" then steps[#steps + 1] = { kind = "expect", client = "", items = { item } } end
  end
  local tls = (fault.replies or self.replies).tls
  if tls then steps[1] = { kind = "tls", client = "", tls = tls } end
  if outcome.is_closed_at_once then
    expect(is_raised and { pattern = ".*" } or greeting)
    add(is_raised and "gone" or "expect_end")
  else
    expect(greeting)
    if fault.bytes ~= "" then add("send", fault.bytes) end
    for _, exchange in ipairs(outcome.exchanges) do
      if exchange.is_tls then
        steps[#steps + 1] = { kind = "expect_tls", client = exchange.name }
      elseif exchange.sent ~= "" then
        steps[#steps + 1] = { kind = "expect", client = exchange.name, items = { { text = exchange.sent } } }
      end
      if not exchange.is_tls and exchange.reply ~= "" then
        steps[#steps + 1] = { kind = "send", client = exchange.name, text = exchange.reply }
      end
    end
    add(fault.gone and "gone" or "send_end")
    if not fault.gone then
      expect(is_raised and { pattern = ".*" } or answer)
      add "expect_end"
    end
  end
  return transcripts.write {
    fresh = self.keeps_state, proxy = self.replies.proxy,
    variables = self.surroundings.variables, settings = self.surroundings.settings,
    upstreams = #outcome.exchanges > 0 and self.replies.upstreams or nil, steps = steps,
  }
end

local WORDS <const> = {}

function WORDS.raise(fault)
  return report.kind(fault), report.raised(fault)
end

function WORDS.cut(fault)
  local which = #fault.cuts == 1 and ("after byte %d"):format(fault.cuts[1]) or ("in %d places"):format(#fault.cuts)
  local lines = report.compare(fault.whole.answer, fault.other.answer, "in one piece", "cut")
  if fault.whole.answer == fault.other.answer then
    lines = { ("  in one piece the conversation ends with %s, cut with %s"):format(
      fault.whole.reason, fault.other.reason) }
  end
  return "the answer depends on the cut: it differs when the input is cut " .. which, lines
end

function WORDS.oversized(fault)
  return ("an answer of %d bytes is too large for a datagram, and is not sent"):format(fault.length), {}
end

function WORDS.memory(fault)
  return ("memory grows: each conversation leaves %d bytes behind"):format(fault.left), {}
end

-- Writes a transcript with the finding as comments, so that the output can be saved as a file.
local function tell(self, fault, write)
  local headline, lines = WORDS[fault.kind](fault)
  write(("# %s: %s\n"):format(self.path, headline))
  for _, line in ipairs(lines) do write("# " .. line .. "\n") end
  write(("# Found by parlance fuzz --seed %d with input %d; %s.\n"):format(self.seed, self.count, fault.is_smallest
    and "this is the smallest input that shows it" or "there was no time to make it as small as possible"))
  if fault.datagrams and fault.kind ~= "memory" then
    write "# The answers are left out: only the author of the script knows them.\n"
  end
  write(fault.datagrams and self.datagrams:transcript_of(fault) or transcript_of(fault, self))
end

-- ---- the program --------------------------------------------------------------------------------

-- Returns what the first client shows that begins TLS in a transcript, or nil. Every second input is then played so.
local function tls_of(list)
  for _, transcript in ipairs(list) do
    for _, step in ipairs(transcript.steps) do
      if step.tls then return step.tls end
    end
  end
end

-- Returns the inputs to begin with: what clients send in the transcripts, and the script's example. What a client sends
-- by TLS is an input of its own.
local function inputs_of(list, script)
  local inputs = { "" }
  local example = script:example()
  if example ~= "" then inputs[#inputs + 1] = example end
  for _, transcript in ipairs(list) do
    local sent = {}
    for _, step in ipairs(transcript.steps) do
      if step.kind == "send" and not step.is_upstream and not step.is_datagram then
        sent[step.client] = (sent[step.client] or "") .. step.text
      elseif step.kind == "tls" then
        inputs[#inputs + 1], sent[step.client] = sent[step.client], nil
      end
    end
    for _, bytes in pairs(sent) do inputs[#inputs + 1] = bytes end
  end
  table.sort(inputs) -- The order of pairs() varies, and a seed must give the same inputs each time.
  return inputs
end

-- Whether the first step of an upstream is one of its own.
local function speaks_first(transcript, upstream)
  for _, step in ipairs(transcript.steps) do
    if step.is_upstream and step.client == upstream.name then return step.kind == "send" end
  end
  return false
end

-- Returns what upstreams say in the transcripts, with the `upstreams`.
local function replies_of(list)
  local replies = { upstreams = {} }
  local places = {}
  for _, transcript in ipairs(list) do
    for _, upstream in ipairs(transcript.upstreams) do
      if not places[upstream.address] then
        places[upstream.address] = true
        local count = #replies.upstreams
        replies.upstreams[count + 1] = {
          name = ("%s%s"):format(upstream.name, count > 0 and count + 1 or ""), address = upstream.address,
          speaks_first = speaks_first(transcript, upstream),
        }
      end
    end
    replies.proxy = replies.proxy or transcript.proxy
    for _, step in ipairs(transcript.steps) do
      if step.is_upstream and step.kind == "send" then replies[#replies + 1] = step.text end
    end
  end
  if #replies == 0 then replies[1] = "" end
  return replies
end

-- Whether nothing tells that the script serves connections, too.
local function is_for_datagrams_only(list, script)
  for _, transcript in ipairs(list) do
    if not transcript.udp then return false end
  end
  return script:listen():find "^udp:" ~= nil
end

local function fuzz_one(entry, list, seed, seconds, write)
  local self = setmetatable({
    path = entry.path, options = entry.options, seed = seed, count = 0, recent = {},
    surroundings = { variables = {}, settings = {} }, replies = replies_of(list), tls = tls_of(list),
  }, Fuzz)
  for _, transcript in ipairs(list) do
    self.keeps_state = self.keeps_state or transcript.fresh
    if #self.surroundings.variables + #self.surroundings.settings == 0 then self.surroundings = transcript end
  end
  self:renew()
  self.pool = { inputs = inputs_of(list, self.script), words = mutate.words(self.script:files()) }
  self.reply_pool = { inputs = { table.unpack(self.replies) }, words = self.pool.words }
  self.datagrams = fuzz_datagrams(self, list, self.script)
  self.is_for_datagrams_only = self.datagrams and is_for_datagrams_only(list, self.script)
  math.randomseed(seed)
  simulator.silence(true) -- It would print with each input.
  local fault = self:search(simulator.clock() + seconds)
  simulator.silence(false)
  if fault then
    tell(self, fault, write)
    return FAULTY
  end
  write(("%s: nothing found with %d inputs (seed %d)\n"):format(self.path, self.count, seed))
  return SOUND
end

return function(arguments)
  local seed = math.tointeger(tonumber(arguments.options.seed)) or os.time()
  local seconds = tonumber(arguments.options.seconds) or SECONDS
  if seconds == 0 then seconds = math.huge end
  local status = SOUND
  for _, script in ipairs(arguments.scripts) do
    script.options.allow_effects = arguments.options["allow-effects"] ~= nil
    seeds.set(script.options, seed)
    local list, faults = scripts.transcripts(script, true)
    local is_valid, why = scripts.validate(script, arguments.is_address, list)
    for _, fault in ipairs(is_valid and faults or { why }) do
      io.stderr:write("parlance: ", fault, "\n")
      status = UNCHECKED
    end
    if is_valid then status = math.max(status, fuzz_one(script, list, seed, seconds, arguments.write)) end
  end
  return status
end
