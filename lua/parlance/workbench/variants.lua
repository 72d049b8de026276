-- Makes variants of a transcript: conversations that the script must answer in the same way.

local proxy = require "parlance.workbench.proxy"

local variants = {}

local function derived(self, steps)
  local copy = {}
  for name, value in pairs(self) do copy[name] = value end
  copy.steps = steps
  return copy
end

local function has_upstreams(self)
  return self.upstreams ~= nil and #self.upstreams > 0
end

-- A wait of so many seconds or more is part of the conversation. Recordings have shorter ones between two steps.
local PAUSE <const> = 0.1

--- Returns a variant in which the client sends everything in one piece, and all answers come after it. What the
--- server sends first stays in front. A turn that goes into a tunnel (`is_tunneled`, which player.play() sets) and all
--- behind it stay as they are, because nothing in a tunnel tells where a turn ends. So does all that follows when the
--- client begins TLS later. Returns nil where that would be a different conversation: with several clients, waits, or a
--- client that resets the connection or sends after the server has closed.
function variants.pipelined(self)
  if self.clients ~= 1 or self.udp then return nil end
  local steps, upstream, sent, items = {}, {}, {}, {}
  local send, expect, send_end, expect_end
  local answers_end = false -- Something is answered behind the client's end.
  local rest = #self.steps + 1
  for nth, step in ipairs(self.steps) do
    if step.is_tunneled or step.kind == "tls" and send then
      rest = nth
      break
    end
    local is_short = step.kind == "wait" and step.seconds < PAUSE
    local is_over = step.kind == "wait" or step.kind == "gone" or expect_end
    if not is_short and not step.is_upstream and is_over then return nil end
    if is_short then
      goto continue
    elseif step.is_upstream then
      local list = (send or send_end) and upstream or steps
      list[#list + 1] = step
      answers_end = answers_end or send_end ~= nil -- A tunnel may pass the end on.
    elseif step.kind == "send" then
      send = send or { kind = "send", client = step.client, line = step.line }
      sent[#sent + 1] = step.text
    elseif step.kind == "send_end" then
      send_end = step
    elseif step.kind == "expect_end" then
      expect_end = step
    elseif not send and not send_end then
      steps[#steps + 1] = step
    else
      answers_end = answers_end or send_end ~= nil
      expect = expect or { kind = "expect", client = step.client, line = step.line, items = items, parts = {} }
      expect.parts[#expect.parts + 1] = { items = step.items, length = step.length }
      table.move(step.items, 1, #step.items, #items + 1, items)
    end
    ::continue::
  end
  if #sent < 2 then return nil end -- The client sends one piece already.
  send.text = table.concat(sent)
  -- A client that has stopped sending may count as gone for a request that waits.
  local ends_late = (self.takes_time or has_upstreams(self)) and not answers_end
  steps[#steps + 1] = send
  if not ends_late then steps[#steps + 1] = send_end end
  table.move(upstream, 1, #upstream, #steps + 1, steps)
  steps[#steps + 1] = expect
  if ends_late then steps[#steps + 1] = send_end end
  steps[#steps + 1] = expect_end
  table.move(self.steps, rest, #self.steps, #steps + 1, steps)
  return derived(self, steps)
end

-- The most pieces in which each of two clients sends its bytes.
local MOST_PIECES <const> = 8192

--- Returns a variant in which two clients have this conversation at once. They send in turn, a byte at a time, or a few
--- if it is long. Returns nil if the conversation has several clients.
function variants.doubled(self)
  local steps, size = {}, (self.bytes + MOST_PIECES - 1) // MOST_PIECES
  if self.clients ~= 1 or self.fresh or has_upstreams(self) then return nil end
  for _, step in ipairs(self.steps) do
    for at = 1, step.kind == "send" and not step.is_datagram and math.max(#step.text, 1) or 1, math.max(size, 1) do
      for _, client in ipairs(step.kind == "wait" and { "one" } or { "one", "two" }) do
        local copy = {}
        for name, value in pairs(step) do copy[name] = value end
        copy.client = client
        if step.kind == "send" and not step.is_datagram then copy.text = step.text:sub(at, at + size - 1) end
        steps[#steps + 1] = copy
      end
    end
  end
  return derived(self, steps)
end

-- Whether the transcript can be played beside another: not if time passes in it or clients share state by design.
local function is_independent(self)
  for _, step in ipairs(self.steps) do
    if step.kind == "wait" and step.seconds >= PAUSE then return false end
  end
  return not self.fresh and not has_upstreams(self)
end

local function is_same_list(one, other)
  if #one ~= #other then return false end
  for i, entry in ipairs(one) do
    if entry.name ~= other[i].name or entry.value ~= other[i].value then return false end
  end
  return true
end

--- Whether two transcripts can be played against each other: they meet the same script at the same time.
function variants.are_compatible(one, other)
  local told, other_told = one.proxy and proxy.write(one.proxy), other.proxy and proxy.write(other.proxy)
  return is_independent(one) and is_independent(other) and one.time == other.time and told == other_told
    and is_same_list(one.variables, other.variables) and is_same_list(one.settings, other.settings)
end

-- A step of more lines is sent in one piece.
local MOST_LINES <const> = 64

-- Returns the steps of a transcript, with those that send several lines split into lines.
local function turns_of(self, name)
  local turns = {}
  local function add(step, text)
    local copy = {}
    for key, value in pairs(step) do copy[key] = value end
    copy.client, copy.text, copy.length = name .. step.client, text, nil
    turns[#turns + 1] = copy
  end
  for _, step in ipairs(self.steps) do
    local _, lines = (step.text or ""):gsub("\n", "")
    if step.kind == "send" and not step.is_datagram and lines > 1 and lines <= MOST_LINES then
      for line in step.text:gmatch "[^\n]*\n?" do
        if line ~= "" then add(step, line) end
      end
    elseif step.kind ~= "wait" then
      add(step, step.text)
    end
  end
  return turns
end

--- Returns a transcript with the conversations of two transcripts, whose steps take turns; the first one begins.
--- The names of clients begin with "one" and "two". Where one is over, the other goes on.
function variants.paired(one, other)
  local steps, first, second = {}, turns_of(one, "one"), turns_of(other, "two")
  for i = 1, math.max(#first, #second) do
    steps[#steps + 1] = first[i]
    steps[#steps + 1] = second[i]
  end
  local copy = derived(one, steps)
  copy.bytes, copy.clients = one.bytes + other.bytes, one.clients + other.clients
  return copy
end

return variants
