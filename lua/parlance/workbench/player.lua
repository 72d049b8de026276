-- Plays a transcript once against a script in the simulator, in one way, and tells what is wrong.

local advance = require "parlance.workbench.advance"
local captured_log = require "parlance.workbench.captured_log"

local player = {}

-- ---- answers ------------------------------------------------------------------------------------

-- How many steps a search may take, with each pattern of them trying all lengths.
local MOST_STEPS <const> = 1e8

-- Whether all of `got` is these items, each pattern taking what those behind it leave, and not all that it can get.
-- Captures and anchors mean something else in the midst of a pattern.
local function is_one_match(items, got)
  local parts, count = {}, 0
  for i, item in ipairs(items) do
    if item.text then
      parts[i] = item.text:gsub("%p", "%%%0")
    else
      local plain = item.pattern:gsub("%%[^%d]", "")
      if plain:find "[()$]" or plain:find "%%%d" then return false end
      parts[i], count = item.pattern, count + 1
    end
  end
  if count == 0 or (#got) ^ count > MOST_STEPS then return false end
  local is_well, start = pcall(string.find, got, "^" .. table.concat(parts) .. "$")
  return is_well and start ~= nil
end

-- Nil if `got` is just what the items say; else what was expected, as far as it is known: where a
-- pattern matched, what it matched stands.
local function compare(items, got)
  if #items == 1 and items[1].text == got then return nil end -- nearly always
  local expected, at = {}, 1
  local failed
  for _, item in ipairs(items) do
    if item.text then
      expected[#expected + 1] = item.text
      if not failed and got:sub(at, at + #item.text - 1) ~= item.text then failed = item end
      at = at + #item.text
    elseif failed then
      expected[#expected + 1] = "~" .. item.pattern
    else
      -- It fails where a pattern is too complex for what it meets.
      local is_well, start, stop = pcall(string.find, got, "^" .. item.pattern, at)
      if is_well and start then
        expected[#expected + 1] = got:sub(at, stop)
        at = stop + 1
      else
        failed = item
        expected[#expected + 1] = "~" .. item.pattern
      end
    end
  end
  if not failed and at == #got + 1 or is_one_match(items, got) then return nil end
  return { kind = "answer", line = (failed or items[#items]).line, expected = table.concat(expected), got = got }
end

-- Whether what was said is the answers one behind the other, each as long as it was by itself: a pattern that
-- takes all that it can get would take the next answer as well.
local function is_in_parts(parts, got)
  local at = 1
  for _, part in ipairs(parts) do
    if not part.length or compare(part.items, got:sub(at, at + part.length - 1)) then return false end
    at = at + part.length
  end
  return at == #got + 1
end

-- Whether it is what the items say but for an interim response, such as 100 Continue: a client that would wait
-- for one gets none where its request comes in one piece.
local function is_but_for(interim, items, got)
  local from, to = got:find(interim, 1, true)
  if not from then return false end
  got = got:sub(1, from - 1) .. got:sub(to + 1)
  return not compare(items, got) or is_but_for(interim, items, got)
end

-- ---- a play -------------------------------------------------------------------------------------

local Play = {}
Play.__index = Play

-- What is wrong ends the play.
local function fail(fault)
  error(fault, 0)
end

-- The client reads all that there is. When the server is through with it, the script hears so at once, as it
-- does from a server: other clients may be told of it.
local function take(client)
  local session = client.session
  if not session then return end
  local bytes = session:take()
  if bytes ~= "" then client.pending = client.pending .. bytes end
  client.interim = session:interim()
  if not session:finished() then return end
  client.reason, client.requests, client.session = session:reason(), session:requests(), nil
  session:close()
end

local function requests(client)
  return client.session and client.session:requests() or client.requests
end

local function reason(client)
  return client.session and client.session:reason() or client.reason
end

local function vanish(client)
  if client.session then client.session:vanish() end
  take(client)
end

-- The server reads that only when enough of its answers were taken, as it does the bytes before.
local function send_end(client)
  while client.session and not client.session:receive_end() do
    local had = #client.pending
    take(client)
    if #client.pending == had then return end
  end
  take(client)
end

-- All of it, as far as the server reads; what it answers is read at once.
local function send(client, text, from, to)
  while client.session and from <= to do
    local count = client.session:receive(text, from, to)
    from = from + count
    local had = #client.pending
    take(client)
    if count == 0 and #client.pending == had then return end
  end
end

function Play:client(name)
  local client = self.clients[name]
  if not client then
    local nth = self.way.has_one_port and 0 or #self.order
    client = { session = self.script:open { port = 50001 + nth }, pending = "" }
    self.clients[name] = client
    self.order[#self.order + 1] = client
    take(client) -- what it is greeted with
  end
  return client
end

-- Before a client's turn, which lasts until it reads again: nothing is there that was not said.
local function begin_turn(client, step)
  if client.is_in_turn then return end
  client.is_in_turn = true
  if client.pending ~= "" then
    fail { kind = "answer", line = step.line, expected = "", got = client.pending }
  end
  if not client.session and not client.is_over then
    fail { kind = "closed", line = step.line, reason = reason(client) }
  end
end

-- The client leaves in the middle of what it sends: with or without saying so.
function Play:leave(client)
  if not self.way.breaks then send_end(client) end
  vanish(client)
  self.is_left = true
end

-- A send, cut where the way says.
local function play_send(self, client, step)
  local text, base = step.text, self.position
  local cuts, from = self.way.cuts, 1
  while from <= #text do
    local to = #text
    if cuts == "bytes" then
      to = from
    elseif cuts then
      while cuts[self.next_cut] and cuts[self.next_cut] < base + from do self.next_cut = self.next_cut + 1 end
      local cut = cuts[self.next_cut]
      if cut and cut - base < to then to = cut - base end
    end
    local gone = self.way.gone
    if gone and gone <= base + to then to = gone - base end
    if to >= from then send(client, text, from, to) end
    if gone == base + to then return self:leave(client) end
    from = to + 1
    local after_piece = self.way.after_piece
    if after_piece and after_piece(base + to, requests(client)) then
      self.is_left = true
      return
    end
  end
  self.position = base + #text
end

local STEPS <const> = {}

function STEPS.send(self, client, step)
  begin_turn(client, step)
  client.has_sent = client.has_sent or step.text ~= ""
  play_send(self, client, step)
end

function STEPS.send_end(_, client, step)
  begin_turn(client, step)
  send_end(client)
end

function STEPS.gone(_, client, step)
  begin_turn(client, step)
  vanish(client)
  client.pending, client.is_over = "", true -- whatever it has not read, it never will
end

function STEPS.expect(self, client, step)
  local fault, interim = compare(step.items, client.pending), client.interim
  if fault and interim and is_but_for(interim, step.items, client.pending) then fault = nil end
  if not fault and interim and client.pending:find(interim, 1, true) then self.transcript.waits = true end
  if fault and not (step.parts and is_in_parts(step.parts, client.pending)) then
    fault.requests, fault.is_closed, fault.has_sent = requests(client), not client.session, client.has_sent
    fault.reason = reason(client)
    fail(fault)
  end
  step.length = #client.pending
  client.pending, client.is_in_turn = "", false
end

function STEPS.expect_end(_, client, step)
  if client.pending ~= "" then
    fail { kind = "answer", line = step.line, expected = "", got = client.pending }
  end
  if client.session then fail { kind = "open", line = step.line } end
  client.is_over, client.is_in_turn = true, false
end

local function play_steps(self, steps)
  for _, step in ipairs(steps) do
    self.step = step
    if step.kind == "wait" then
      advance(self.script, step.seconds, function()
        for _, client in ipairs(self.order) do take(client) end
      end)
    else
      STEPS[step.kind](self, self:client(step.client), step)
    end
    if self.is_left then return end
  end
  for _, client in ipairs(self.order) do
    client.is_in_turn = false
    begin_turn(client, self.step)
  end
end

local function close_all(self)
  for _, client in ipairs(self.order) do
    send_end(client)
    if client.session then client.session:close() end
  end
end

-- The fault, with what the server raised meanwhile, or why it refused something.
local function explain(fault, notes)
  local raised, warning = captured_log.read(notes)
  if raised then
    fault = fault or {}
    fault.kind, fault.raised = "raise", raised
  elseif fault then
    fault.remark = warning
  end
  return fault
end

--- Plays the transcript in this way:
---
---   cuts     a sorted list of counts of bytes that clients have sent, in all, after each of which the
---            server gets what was sent so far; "bytes": after each; nil: each send is one piece
---   gone     the client leaves when it has sent so many bytes; `breaks`: without saying so
---   has_one_port   all clients come from the same port
---   after_piece(position, requests)   is called after each piece; the play is over if it says true
---
--- Nil if all is as it should be; else the fault: its `kind` is "answer" (with `expected` and `got`),
--- "closed" (it should not, with the `reason`), "open" (it should have closed) or "raise" (with the log's
--- text as `raised`); `line` is the transcript's. `notes` gets the places at which the script printed.
function player.play(script, transcript, way, notes)
  local self = setmetatable({
    script = script, transcript = transcript, way = way, clients = {}, order = {}, position = 0, next_cut = 1,
  }, Play)
  script:begin_play()
  if transcript.time then script:set_time(transcript.time) end
  local is_well, fault = pcall(play_steps, self, transcript.steps)
  if not is_well and type(fault) ~= "table" then error(fault, 0) end
  close_all(self)
  fault = explain(not is_well and fault or nil, notes)
  if fault then
    fault.line, fault.client = fault.line or self.step.line, self.step.client
    fault.position = self.position
  end
  return fault
end

return player
