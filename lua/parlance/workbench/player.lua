-- Plays a transcript once, in one way, against a script in the simulator, and returns the fault if there is one.

local advance = require "parlance.workbench.advance"
local captured_log = require "parlance.workbench.captured_log"
local patience = require "parlance.workbench.patience"

local player = {}

-- ---- answers ------------------------------------------------------------------------------------

-- The most steps of a search in which each pattern tries all lengths.
local MOST_STEPS <const> = 1e8

-- Whether the items together match all of `got`, with backtracking between them. Returns false for patterns with
-- captures or anchors: they would mean something else within a longer pattern.
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

-- Returns nil if `got` is what the items say, else a fault. Where a pattern matched, `expected` has the bytes that it
-- matched.
local function compare(items, got)
  if #items == 1 and items[1].text == got then return nil end -- This is the usual case.
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
      -- find() raises if the pattern is too complex for the text.
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

-- Whether `got` is the answers of the parts one after the other, each as long as in the play before. (A pattern alone
-- might also match a part of the next answer.)
local function is_in_parts(parts, got)
  local at = 1
  for _, part in ipairs(parts) do
    if not part.length or compare(part.items, got:sub(at, at + part.length - 1)) then return false end
    at = at + part.length
  end
  return at == #got + 1
end

-- Whether `got` is what the items say if interim responses, such as 100 Continue, are left out: a client whose request
-- comes in one piece gets none.
local function is_but_for(interim, items, got)
  local from, to = got:find(interim, 1, true)
  if not from then return false end
  got = got:sub(1, from - 1) .. got:sub(to + 1)
  return not compare(items, got) or is_but_for(interim, items, got)
end

-- ---- a play -------------------------------------------------------------------------------------

local Play = {}
Play.__index = Play

-- Ends the play with this fault.
local function fail(fault)
  error(fault, 0)
end

-- The client reads all output. If the server has finished with the connection, it is closed at once, so that
-- handle_close runs when it would in the server.
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

-- Gives the session the next piece of what the client has sent. Returns whether it has read any of it. It reads nothing
-- while too much output waits, or while a request waits for its answer and more was read ahead.
local function give(client)
  local piece = client.unread[client.first]
  if not piece or not client.session then return false end
  if piece.is_end then
    if not client.session:receive_end() then return false end
  else
    local count = client.session:receive(piece.text, piece.from, piece.to)
    piece.from = piece.from + count
    if piece.from <= piece.to then return count > 0 end
  end
  client.unread[client.first], client.first = nil, client.first + 1
  return true
end

-- Moves bytes in both directions until nothing moves.
local function flow(client)
  repeat
    local had = #client.pending
    local has_given = give(client)
    take(client)
  until not has_given and #client.pending == had
end

-- Adds a piece to what the client has sent.
local function add_unread(client, piece)
  if not client.session then return end
  client.last = client.last + 1
  client.unread[client.last] = piece
  flow(client)
end

-- The client stops sending.
local function send_end(client)
  add_unread(client, { is_end = true })
end

-- The client sends bytes, as far as the session reads them, and reads each answer at once.
local function send(client, text, from, to)
  while client.first > client.last and client.session and from <= to do
    local count = client.session:receive(text, from, to)
    from = from + count
    local had = #client.pending
    take(client)
    if count == 0 and #client.pending == had then break end
  end
  if from <= to then add_unread(client, { text = text, from = from, to = to }) end
end

function Play:client(name)
  local client = self.clients[name]
  if not client then
    local nth = self.way.has_one_port and 0 or #self.order
    client = { session = self.script:open { port = 50001 + nth }, pending = "", unread = {}, first = 1, last = 0 }
    self.clients[name] = client
    self.order[#self.order + 1] = client
    take(client) -- handle_connect may have sent something.
  end
  return client
end

-- Begins a client's turn, which lasts until its next `<`: there must be no output that the transcript lacks.
local function begin_turn(client, step)
  if client.is_in_turn then return end
  client.is_in_turn = true
  flow(client) -- Other clients may have caused output.
  if client.pending ~= "" then
    fail { kind = "answer", line = step.line, expected = "", got = client.pending }
  end
  if not client.session and not client.is_over then
    fail { kind = "closed", line = step.line, reason = reason(client) }
  end
end

-- The client disconnects in the middle of what it sends: it closes or resets the connection.
function Play:leave(client)
  if not self.way.breaks then send_end(client) end
  vanish(client)
  self.is_left = true
end

-- Tells of requests that were answered only after a wait.
function Play:note_answers(client)
  local after_piece = self.way.after_piece
  if after_piece and self.position > 0 and after_piece(self.position, requests(client)) then self.is_left = true end
end

-- Plays a step of kind "send", cut where the way says.
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
  client.pending, client.is_over = "", true -- The client never reads what it has not read by now.
end

-- ---- time ---------------------------------------------------------------------------------------

-- All clients read what the server has sent, and send what it reads now.
function Play:flow()
  for _, client in ipairs(self.order) do flow(client) end
end

-- The time moves until `is_over()` returns true or the client is not connected any more; see patience.lua.
function Play:move_until(client, is_over)
  patience(self.script, function() return not client.session or is_over() end, function()
    self:flow()
    return #client.pending
  end)
end

-- ---- what must hold -----------------------------------------------------------------------------

-- Whether `got` may become what the items say when more bytes come.
local function is_beginning(items, got)
  local at = 1
  for _, item in ipairs(items) do
    if item.pattern or at > #got then return true end
    local part = got:sub(at, at + #item.text - 1)
    if item.text:sub(1, #part) ~= part then return false end
    at = at + #item.text
  end
  return at > #got
end

-- Returns the fault if the client has not received what the step says.
local function check_answer(self, client, step)
  local fault, interim = compare(step.items, client.pending), client.interim
  if fault and interim and is_but_for(interim, step.items, client.pending) then fault = nil end
  if not fault and interim and client.pending:find(interim, 1, true) then self.transcript.waits = true end
  return fault and not (step.parts and is_in_parts(step.parts, client.pending)) and fault or nil
end

function STEPS.expect(self, client, step)
  flow(client)
  local fault = check_answer(self, client, step)
  if fault then
    self:move_until(client, function()
      fault = check_answer(self, client, step)
      return not fault or not client.interim and not is_beginning(step.items, client.pending)
    end)
    fault = check_answer(self, client, step)
  end
  if fault then
    fault.requests, fault.is_closed, fault.has_sent = requests(client), not client.session, client.has_sent
    fault.reason = reason(client)
    fail(fault)
  end
  step.length = #client.pending
  client.pending, client.is_in_turn = "", false
  self:note_answers(client)
end

function STEPS.expect_end(self, client, step)
  flow(client)
  if client.session and client.session:waits() then
    self:move_until(client, function() return client.pending ~= "" or not client.session:waits() end)
  end
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
      advance(self.script, step.seconds, function() self:flow() end)
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

-- Adds to the fault the error or the warning that was logged. An error alone is a fault, too. A response that waited
-- for too long is none if the transcript has the words about that.
local function explain(fault, notes)
  local raised, warning, hanging = captured_log.read(notes)
  raised = raised or fault and hanging
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
---   cuts     a sorted list of byte counts of all that clients send: the session gets one piece up to each of them;
---            "bytes": it gets each byte separately; nil: each send is one piece
---   gone     the client disconnects after so many bytes; `breaks`: by a reset
---   has_one_port   all clients have the same port
---   after_piece(position, requests)   is called after each piece; the play ends if it returns true
---
--- Returns nil, or the fault: its `kind` is "answer" (with `expected` and `got`),
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
  script:end_play()
  fault = explain(not is_well and fault or nil, notes)
  if fault then
    fault.line, fault.client = fault.line or self.step.line, self.step.client
    fault.position = self.position
  end
  return fault
end

return player
