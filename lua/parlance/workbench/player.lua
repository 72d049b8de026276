-- Plays a transcript once, in one way, against a script in the simulator, and returns the fault if there is one.

local advance = require "parlance.workbench.advance"
local answers = require "parlance.workbench.answers"
local captured_log = require "parlance.workbench.captured_log"
local datagrams = require "parlance.workbench.datagrams"
local patience = require "parlance.workbench.patience"
local upstreams = require "parlance.workbench.upstreams"

local player = {}

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

-- Gives the session the end behind what it does not read. Returns whether that ends it.
local function give_end(client)
  if not client.unread[client.last].is_end or not client.session:receive_end(true) then return false end
  client.first = client.last + 1
  return true
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
    if piece.from <= piece.to then return count > 0 or give_end(client) end
  end
  client.unread[client.first], client.first = nil, client.first + 1
  return true
end

-- Moves bytes in both directions until nothing moves. Returns whether any has moved.
local function flow(client)
  local has_moved = false
  while true do
    local had = #client.pending
    local has_given = give(client)
    take(client)
    if not has_given and #client.pending == had then return has_moved end
    has_moved = true
  end
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

-- Returns the client, which connects with the first step that is for it.
function Play:client(name, step)
  local client = self.clients[name]
  if not client then
    local port = 50001 + (self.way.has_one_port and 0 or self.connected)
    self.connected = self.connected + 1
    client = { name = name, pending = "", unread = {}, first = 1, last = 0, sends_datagrams = step.is_datagram,
      opened_by = step }
    local who = { port = port, tls = step.tls, proxy = self.transcript.proxy }
    client.session = client.sends_datagrams and datagrams.sender(self.script, who) or self.script:open(who)
    self.clients[name] = client
    self.order[#self.order + 1] = client
    take(client) -- handle_connect may have sent something.
  end
  return client
end

-- Begins the play of the upstreams. Steps have a party of this kind where others have a client.
function Play:add_upstreams()
  local parties
  parties, self.parties = upstreams(self.script, self.transcript.upstreams or {}, self.way)
  for _, upstream in ipairs(self.transcript.upstreams or {}) do
    local party = { session = parties[upstream.name], pending = "", unread = {}, first = 1, last = 0,
      upstream = upstream.name }
    self.clients[upstream.name] = party
    self.order[#self.order + 1] = party
  end
end

-- Begins a client's turn, which lasts until its next `<`: there must be no output that the transcript lacks.
local function begin_turn(client, step)
  if client.is_in_turn then return end
  client.is_in_turn = true
  flow(client) -- Other clients may have caused output.
  if client.pending ~= "" then
    fail { kind = "answer", line = step.line, expected = "", got = client.pending, upstream = client.upstream }
  end
  local unexpected = client.sends_datagrams and client.session:find_unexpected(step.line)
  if unexpected then fail(unexpected) end
  local has_ended = not client.session or not client.upstream and client.session:has_ended()
  if has_ended and not client.is_over then
    fail { kind = "closed", line = step.line, reason = client.session and "it has stopped sending" or reason(client) }
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

-- Returns which part of text[from..] is sent next: up to its next cut. `base` bytes were sent before the text.
local function next_part(self, text, from, base, cuts, nth)
  if cuts == "bytes" then return from end
  if not cuts then return #text end
  while cuts[self[nth]] and cuts[self[nth]] < base + from do self[nth] = self[nth] + 1 end
  local cut = cuts[self[nth]]
  return cut and cut - base < #text and cut - base or #text
end

-- The same for a step of an upstream. With `breaks_at` it resets the connection after so many bytes, and no connection
-- to it succeeds any more.
local function play_upstream_send(self, party, step)
  local text, base, from = step.text, self.upstream_position, 1
  local breaks_at = self.way.breaks_at
  while from <= #text do
    local to = next_part(self, text, from, base, self.way.upstream_cuts, "next_upstream_cut")
    local is_last = breaks_at and breaks_at <= base + to
    if is_last then to = breaks_at - base end
    if to >= from then send(party, text, from, to) end
    if is_last then
      vanish(party)
      self.script:refuse_upstreams()
      self.is_free = true
      return
    end
    from = to + 1
  end
  self.upstream_position = base + #text
end

-- Plays a step of kind "send", cut where the way says.
local function play_send(self, client, step)
  local text, base = step.text, self.position
  if step == self.way.injected_at then text = text .. self.way.injected end
  local cuts, from = self.way.cuts, 1
  while from <= #text do
    local to = next_part(self, text, from, base, cuts, "next_cut")
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
  if step.is_datagram and self.way.network then
    datagrams.advance_to(self.script, step, self.script:now() - self.began, function() self:flow() end)
    return client.session:send(step)
  end
  begin_turn(client, step)
  client.has_sent = client.has_sent or step.text ~= ""
  if client.upstream then return play_upstream_send(self, client, step) end
  if step.is_datagram then
    datagrams.note_send(step, self.script:now() - self.began)
    return client.session:send(step)
  end
  step.is_tunneled = client.session and client.session:has_tunnel()
  play_send(self, client, step)
  if step == self.way.injected_at then self:check_injected(client, step) end
end

function STEPS.send_end(_, client, step)
  begin_turn(client, step)
  send_end(client)
end

function STEPS.gone(_, client, step)
  begin_turn(client, step)
  vanish(client)
  client.pending, client.is_over = "", not client.upstream -- The client never reads what it has not read by now.
end

-- ---- time ---------------------------------------------------------------------------------------

-- All clients read what the server has sent, and send what it reads now, until nothing moves: what the script sends to
-- one may be its answer to what another one has just sent.
function Play:flow()
  local has_moved
  repeat
    has_moved = false
    for _, client in ipairs(self.order) do has_moved = flow(client) or has_moved end
  until not has_moved
end

-- The time moves until `is_over()` returns true or the client is not connected any more; see patience.lua. Notes in the
-- transcript that it takes time.
function Play:move_until(client, is_over)
  local began = self.script:now()
  patience(self.script, function() return not client.session or is_over() end, function()
    self:flow()
    return #client.pending + (client.sends_datagrams and client.session.count or 0)
  end)
  self.transcript.takes_time = self.transcript.takes_time or self.script:now() > began
end

-- ---- TLS ----------------------------------------------------------------------------------------

-- As its first step the client has connected so.
function STEPS.tls(self, client, step)
  if client.opened_by == step then return end
  client.is_in_turn = false
  begin_turn(client, step)
  local has_begun = false
  self:move_until(client, function()
    has_begun = has_begun or client.session:start_tls(step.tls)
    return has_begun
  end)
  if not has_begun then fail { kind = "plain", line = step.line } end
  client.is_in_turn = false
end

-- Somebody has sent bytes behind a request for TLS that are not secure: the connection must end for that.
function Play:check_injected(client, step)
  self:move_until(client, function()
    flow(client)
    return not client.session
  end)
  if reason(client) ~= "malformed" then fail { kind = "injected", line = step.line, reason = reason(client) } end
  self.is_left = true
end

-- ---- what must hold -----------------------------------------------------------------------------

-- Returns the fault if the client has not received what the step says.
local function check_answer(self, client, step)
  local fault, interim = answers.compare(step.items, client.pending), client.interim
  if fault and interim and answers.is_but_for(interim, step.items, client.pending) then fault = nil end
  if not fault and interim and client.pending:find(interim, 1, true) then self.transcript.waits = true end
  return fault and not (step.parts and answers.is_in_parts(step.parts, client.pending)) and fault or nil
end

-- The clients that send datagrams.
local function senders(self)
  local list = {}
  for _, client in ipairs(self.order) do list[#list + 1] = client.sends_datagrams and client.session or nil end
  return list
end

-- A datagram that was lost has no answers, and those of one that came twice are compared at the end of the play.
local function expect_datagrams(self, client, step)
  flow(client)
  if self.way.network then
    return self:move_until(client, function() return datagrams.has_answers(step, senders(self)) end)
  end
  local fault, is_to_come
  self:move_until(client, function()
    fault, is_to_come = client.session:compare(step)
    return not is_to_come
  end)
  fault = client.session:compare(step)
  if fault then
    fault.requests, fault.reason = requests(client), reason(client)
    fail(fault)
  end
  client.session:note_answers(step)
  client.is_in_turn = false
end

function STEPS.expect(self, client, step)
  if step.is_datagram then return expect_datagrams(self, client, step) end
  flow(client)
  local fault = check_answer(self, client, step)
  if fault then
    self:move_until(client, function()
      fault = check_answer(self, client, step)
      return not fault or not client.interim and not answers.is_beginning(step.items, client.pending)
    end)
    fault = check_answer(self, client, step)
  end
  if fault then
    fault.requests, fault.is_closed, fault.has_sent = requests(client), not client.session, client.has_sent
    fault.reason, fault.upstream = reason(client), client.upstream
    fail(fault)
  end
  step.length = #client.pending
  client.pending, client.is_in_turn = "", false
  if not client.upstream then self:note_answers(client) end
end

function STEPS.expect_end(self, client, step)
  flow(client)
  if client.upstream then
    self:move_until(client, function() return client.session:has_ended() end)
    if not client.session:has_ended() then fail { kind = "open", line = step.line, upstream = client.upstream } end
    return
  end
  if client.session and client.session:waits() then
    self:move_until(client, function()
      return client.pending ~= "" or client.session:has_ended() or not client.session:waits()
    end)
  end
  if client.pending ~= "" then
    fail { kind = "answer", line = step.line, expected = "", got = client.pending }
  end
  if client.session and not client.session:has_ended() then fail { kind = "open", line = step.line } end
  client.is_over, client.is_in_turn = true, false
end

-- The script begins TLS with an upstream, and has sent nothing but what the steps before say.
function STEPS.expect_tls(self, client, step)
  flow(client)
  self:move_until(client, function() return client.session:wants_tls() or client.pending ~= "" end)
  client.is_in_turn = false
  begin_turn(client, step)
  if not client.session:wants_tls() then fail { kind = "no_tls", line = step.line, upstream = client.upstream } end
  client.session:begin_tls(step.failure, step.why)
  client.is_in_turn = false
end

-- A request that no time limit ends waits for ever.
function Play:check_hanging()
  if self.script:response_timeout() > 0 and self.script:task_deadline() then return end
  for _, client in ipairs(self.order) do
    if client.session and client.session:waits() then fail { kind = "hang", line = self.step.line } end
  end
end

-- Whether a request waits for its answer.
local function is_awaited(self)
  for _, client in ipairs(self.order) do
    if client.session and client.session:waits() then return true end
  end
  return false
end

-- A step after the fault of an upstream: what the script says then is free. An upstream that was not asked does not
-- answer.
local function play_freely(self, client, step)
  if client.is_unasked and step.kind ~= "expect" and step.kind ~= "expect_tls" then
    return
  elseif step.kind == "expect_tls" then
    self:move_until(client, function() return client.session:wants_tls() or not is_awaited(self) end)
    client.is_unasked = not client.session:wants_tls()
    if client.is_unasked then return self:check_hanging() end
    client.pending = ""
    client.session:begin_tls(step.failure, step.why)
  elseif step.kind == "send" or step.kind == "send_end" then
    client.is_in_turn, client.pending = true, ""
    STEPS[step.kind](self, client, step)
  elseif step.kind == "gone" then
    STEPS.gone(self, client, step)
  elseif step.kind == "tls" then
    if client.session and client.opened_by ~= step then client.session:start_tls(step.tls) end
  else
    self:move_until(client, function()
      return not is_awaited(self) or client.upstream and client.pending ~= ""
    end)
    local is_asked = client.upstream and client.pending ~= ""
    client.is_unasked, client.pending = client.upstream and not is_asked, ""
    if not is_asked then self:check_hanging() end
  end
end

local function play_steps(self, steps)
  for nth, step in ipairs(steps) do
    self.step = step
    if nth == self.way.silent_from then
      self.is_free = true
      if step.kind == "send" then self:client(step.client, step).session:hold(step.text) end
    end
    if step.is_upstream and self.is_free and not self.way.has_refused and not self.way.network then
      goto continue -- It is down, or silent.
    elseif step.kind == "wait" then
      advance(self.script, step.seconds, function() self:flow() end)
    elseif self.is_free or self.way.has_refused then
      play_freely(self, self:client(step.client, step), step)
    else
      STEPS[step.kind](self, self:client(step.client, step), step)
    end
    ::continue::
    if self.is_left then return end
  end
  if self.is_free or self.way.has_refused then return end
  if self.way.network then
    for _, client in ipairs(self.order) do
      self.step = { line = self.step.line, client = client.name }
      if client.sends_datagrams then
        self:move_until(client, function() return client.session:has_all_answers() end)
        local fault = client.session:check_answers()
        if fault then fail(fault) end
      end
    end
    return
  end
  for _, client in ipairs(self.order) do
    client.is_in_turn = false
    begin_turn(client, self.step)
  end
end

-- The clients leave first, then the upstreams end, unless the next play goes on with their connections.
local function close_all(self)
  for _, is_upstream in ipairs { false, true } do
    for _, client in ipairs(self.order) do
      if (client.upstream ~= nil) == is_upstream and not (is_upstream and self.way.keeps) then
        if not is_upstream and not client.sends_datagrams then send_end(client) end
        if client.session then client.session:close() end
        if not is_upstream then client.session = nil end
      end
    end
  end
end

-- Tasks that requests have spawned go on for as long as a response may take. Returns the fault if there are some left.
local function end_tasks(self)
  local left = patience(self.script, function() return self.script:left_tasks() == 0 end, function()
    self:flow()
    return 0
  end)
  return not left and { kind = "left", line = self.step.line, count = self.script:left_tasks() } or nil
end

-- Returns how many connects, and how many handshakes of TLS, there were in the play.
local function connects(script)
  local number, count, handshakes
  repeat number, count, handshakes = script:accept() until not number
  return count, handshakes
end

-- Adds to the fault the error or the warning that was logged. An error alone is a fault, too. A response that waited
-- for too long is none if the transcript has the words about that. If anything may be answered, an error that ends the
-- request is none either: it is the second result.
local function explain(fault, notes, is_free)
  local tolerated
  local raised, warning, hanging, serious = captured_log.read(notes)
  if is_free then raised, hanging, tolerated = serious, nil, raised end
  raised = raised or fault and hanging
  if raised then
    fault = fault or {}
    fault.kind, fault.raised = "raise", raised
  elseif fault then
    fault.remark = warning
  end
  return fault, tolerated
end

--- Plays the transcript in this way:
---
---   cuts     a sorted list of byte counts of all that clients send: the session gets one piece up to each of them;
---            "bytes": it gets each byte separately; nil: each send is one piece
---   gone     the client disconnects after so many bytes; `breaks`: by a reset
---   has_one_port   all clients have the same port
---   upstream_cuts  the same as `cuts` for what upstreams send
---   breaks_at, refused, distrusted, silent_from   the fault of an upstream: it resets the connection after so many
---            bytes, the connect of this number is refused, the certificate is refused in the handshake of this number,
---            or nothing more is sent by upstreams from the step of this number on. Then any answer is right
---   keeps    connections to upstreams live on after the play
---   before   the `kept` of the way of the play before: this play goes on with its connections
---   late     see upstreams.lua
---   injected_at, injected   these bytes, which are not secure, follow those of this step, which is a request for TLS
---   after_piece(position, requests)   is called after each piece; the play ends if it returns true
---
---   network  a fault of the network, see datagrams.deliver(); with `is_free` any answer is right
---
--- Sets in the way: `kept` (with `keeps`), `has_sent_late` (with `late`), and `unread`, the name of an upstream from
--- which the script has not read all.
---
--- Returns nil, or the fault: its `kind` is "answer" (with `expected` and `got`),
--- "plain" (the server does not begin TLS), "injected" (it takes bytes that are not secure, or ends for this `reason`),
--- "no_tls" (the script does not begin TLS with an upstream), "closed" (it should not, with the `reason`),
--- "open" (it should have closed), "hang" (a request still waits), "left"
--- (`count` tasks are left), or "raise" (with the log's text as `raised`); `upstream` is the name of the party that it
--- is about; `line` is the transcript's. `notes` gets the places at which the script printed.
function player.play(script, transcript, way, notes)
  local self = setmetatable({
    script = script, transcript = transcript, way = way, clients = {}, order = {}, connected = 0, position = 0,
    next_cut = 1, upstream_position = 0, next_upstream_cut = 1,
  }, Play)
  local is_plain = not next(way)
  way.has_refused = way.refused or way.distrusted
  script:begin_play()
  self.began, self.is_free = script:now(), way.is_free
  self:add_upstreams()
  if transcript.time then script:set_time(transcript.time) end
  local steps = way.network and datagrams.deliver(transcript, way.network) or transcript.steps
  local is_well, fault = pcall(play_steps, self, steps)
  if not is_well and type(fault) ~= "table" then error(fault, 0) end
  close_all(self)
  fault = not is_well and fault or end_tasks(self)
  if is_plain then transcript.connects, transcript.handshakes = connects(script) end
  way.has_sent_late, way.unread = self.parties.has_sent_late, self.parties:unread()
  if way.keeps then way.kept = self.parties else script:play_upstreams {} end
  script:end_play()
  local tolerated
  fault, tolerated = explain(fault, notes, way.breaks_at or way.has_refused or way.silent_from)
  if fault then
    fault.line, fault.client = fault.line or self.step.line, self.step.client
    fault.position = self.position
  end
  return fault, tolerated
end

return player
