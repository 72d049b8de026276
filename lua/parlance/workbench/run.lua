-- A run: plays one transcript against one script in every way, and finds the smallest case that shows a fault.

local captured_log = require "parlance.workbench.captured_log"
local datagrams = require "parlance.workbench.datagrams"
local positions = require "parlance.workbench.positions"
local player = require "parlance.workbench.player"
local report = require "parlance.workbench.report"
local scripts = require "parlance.workbench.scripts"
local simulator = require "parlance.simulator"
local sorted = require "parlance.workbench.sorted"
local variants = require "parlance.workbench.variants"

-- The limits of each part of a run, in seconds of processor time, so that a busy machine changes nothing. Playing byte
-- by byte has at least LEAST_SECONDS, even if no time is left. SEARCH_SECONDS is for finding a smaller case. Only slow
-- scripts reach these limits.
local BYTES_SECONDS <const>, LEAST_SECONDS <const> = 10, 0.1
local CUT_SECONDS <const>, GONE_SECONDS <const>, SEARCH_SECONDS <const> = 60, 30, 10

-- The most bytes that are played one by one.
local MOST_SINGLE <const> = 1024 * 1024

-- If clients send at most so many bytes, each play cuts at one place. If they send more, play number k cuts every
-- request after its byte k, since a cut matters only to the request that it falls into.
local SINGLE_CUTS <const> = 1024

-- A request is slow if it has so many bytes and request_complete was shown so many bytes for each of them.
local SLOW_BYTES <const>, SLOW_RATIO <const> = 1024, 32

local Run = {}
Run.__index = Run

-- ---- plays --------------------------------------------------------------------------------------

local function load(self)
  local options = { time = self.transcript.time }
  for name, value in pairs(self.options) do options[name] = value end
  options.string_seed = self.string_seed or options.string_seed
  local script, why = scripts.load(self.path, options, self.transcript)
  local unknown = {}
  captured_log.read({}, {}, unknown) -- Other log lines of loading were reported before.
  for _, setting in ipairs(self.transcript.settings) do self.unknown[setting.name] = unknown[setting.name] end
  if script then self.versions[script:fingerprint()] = true end
  return script, why
end

-- Loads the script anew. It did load before; if it no longer does, the run ends.
local function renew(self)
  local why
  if self.script then self.script:close() end
  self.script, why = load(self)
  if not self.script then error({ why = why }, 0) end
end

-- With `fresh`, each play is with a new script, unless it has the connections of the one before, or `goes_on`.
local function play(self, way, transcript)
  if self.transcript.fresh and self.plays > 0 and not way.before and not way.goes_on then renew(self) end
  simulator.silence(self.plays > 0) -- Each play prints the same.
  self.plays = self.plays + 1
  return player.play(self.script, transcript or self.transcript, way, self.printed)
end

-- Returns a function that tells whether the time is over: after `seconds`, or at the deadline of the run, but not
-- before `least` seconds.
local function timer(self, seconds, least)
  local now = os.clock()
  local stop = math.min(now + seconds, math.max(self.deadline or math.huge, now + (least or 0)))
  return function() return os.clock() > stop end
end

-- ---- findings -----------------------------------------------------------------------------------

local function add_finding(self, fault, how, more)
  fault.how, fault.seed = how, self.options.seed
  for name, value in pairs(more or {}) do fault[name] = value end
  self.findings[#self.findings + 1] = fault
end

-- Returns true if a newly loaded script does not show the fault: then the script kept state of the conversations
-- before.
local function is_worn(self, way)
  if self.transcript.fresh then return false end
  renew(self)
  return play(self, way) == nil
end

-- Notes the slowest request: how often request_complete was called for it, and with how many bytes.
local function note_request(self, length, calls, bytes)
  if length >= SLOW_BYTES and bytes > SLOW_RATIO * length and bytes > (self.slow and self.slow.bytes or 0) then
    self.slow = { length = length, calls = calls, bytes = bytes }
  end
end

-- Notes for the report that only some of all plays were chosen.
local function note_choice(self, count, all, what)
  if count < all then self.chosen[#self.chosen + 1] = ("%d of %d %s"):format(count, all, what) end
end

-- Plays byte by byte. Returns the fault, and where each request ends; also notes slow requests.
local function play_bytes(self)
  local ends, last, start = {}, 0, 0
  local calls, bytes = self.script:asked()
  if self.transcript.fresh then calls, bytes = 0, 0 end
  local is_over, total = timer(self, BYTES_SECONDS, LEAST_SECONDS), self.transcript.bytes
  local most = math.min(total, MOST_SINGLE)
  note_choice(self, most, total, "bytes one by one")
  local fault = play(self, {
    cuts = "bytes",
    after_piece = function(position, requests)
      local is_late = position < most and position % 64 == 0 and is_over()
      if is_late then self.unplayed = ("%d of %d bytes one by one"):format(total - position, total) end
      local is_last = is_late or position == most and most < total
      if self.transcript.clients == 1 and (requests ~= last or is_last) then
        local calls_now, bytes_now = self.script:asked()
        note_request(self, position - start, calls_now - calls, bytes_now - bytes)
        if requests ~= last then ends[#ends + 1] = position end
        last, calls, bytes, start = requests, calls_now, bytes_now, position
      end
      return is_last
    end,
  })
  return fault, ends
end

-- Converts the places of the sorted list to places within their requests. Returns a sorted list.
local function within_requests(list, ends)
  local set, request, from = {}, 1, 0
  for _, place in ipairs(list) do
    while ends[request] and place > ends[request] do from, request = ends[request], request + 1 end
    set[place - from] = true
  end
  return sorted(set)
end

-- Returns how many ways to cut there are, a list of the chosen ones, and a function that makes the cuts of one of
-- them. (The cuts are not stored, because Lua's collector would walk through them all.)
local function cuts_of(self, ends)
  local total, near = self.transcript.bytes, positions.ends(self.transcript)
  local most = positions.most(total, math.max(#ends, #self.transcript.steps))
  if self.transcript.clients > 1 or not self.transcript.fresh and total <= SINGLE_CUTS then
    return total - 1, positions.choose(1, total - 1, near, most), function(n) return { n } end
  end
  local longest, start = 0, 0
  for i = 1, #ends + 1 do
    local stop = ends[i] or total
    longest, start = math.max(longest, stop - start), stop
  end
  return longest, positions.choose(1, longest, within_requests(near, ends), most), function(n)
    local list, from = {}, 0
    for i = 1, #ends + 1 do
      local stop = ends[i] or total
      local place = from + n
      if place <= stop and place < total then list[#list + 1] = place end
      from = stop
    end
    return list
  end
end

-- Calls way_of(place), which plays, for each place of the list, until there is a fault or the time is over. Returns the
-- fault and the way. `all` is how many places the list was chosen from.
local function try_places(self, what, seconds, list, all, way_of)
  local is_late, done = timer(self, seconds), 0
  note_choice(self, #list, all, what)
  for place in positions.each(list, #list == all) do
    if is_late() then
      self.unplayed = self.unplayed or ("%d of %d %s"):format(#list - done, #list, what)
      return nil
    end
    done = done + 1
    local fault, way = way_of(place)
    if fault then return fault, way end
  end
end

-- Returns a single cut that shows a fault, and this fault; or the cuts and the fault if there is none.
local function smallest(self, cuts, fault)
  local is_late = timer(self, SEARCH_SECONDS)
  for _, place in ipairs(#cuts > 1 and cuts or {}) do
    if is_late() then break end
    local alone = play(self, { cuts = { place } })
    if alone then return { place }, alone end
  end
  return cuts, fault
end

local function try_cuts(self, ends)
  local count, list, cuts_at = cuts_of(self, ends)
  local fault, way = try_places(self, "ways to cut", CUT_SECONDS, list, count, function(n)
    local way = { cuts = cuts_at(n) }
    return play(self, way), way
  end)
  if not fault then return false end
  local plays = self.plays
  if is_worn(self, way) then
    add_finding(self, fault, "worn", { plays = plays })
  else
    local cuts, least = smallest(self, way.cuts, fault)
    add_finding(self, least, "cut", { cuts = cuts })
  end
  return true
end

-- Finds the first place where a client that disconnects there changes the answer of the next client.
local function find_left_over(self, fault)
  local is_late = timer(self, SEARCH_SECONDS)
  for place = 0, self.transcript.bytes do
    for _, breaks in ipairs { false, true } do
      if is_late() then return add_finding(self, fault, "after") end
      renew(self)
      play(self, { gone = place, breaks = breaks })
      local alone = play(self, {})
      if alone then return add_finding(self, alone, "after", { gone = place, breaks = breaks }) end
    end
  end
  add_finding(self, fault, "after")
end

-- Finds the first place that shows the fault. The places before were not all tried in order.
local function find_first(self, fault, way)
  local is_late = timer(self, SEARCH_SECONDS)
  for before = 0, way.gone - 1 do
    if is_late() then break end
    local earlier = play(self, { gone = before, breaks = way.breaks })
    if earlier then return add_finding(self, earlier, "gone", { gone = before, breaks = way.breaks }) end
  end
  add_finding(self, fault, "gone", way)
end

local function try_leaving(self, ends)
  local total = self.transcript.bytes
  local most = positions.most(total, math.max(#ends, #self.transcript.steps))
  local list = positions.choose(0, total, positions.ends(self.transcript), most)
  local fault, way = try_places(self, "places to leave at", GONE_SECONDS, list, total + 1, function(place)
    for _, breaks in ipairs { false, true } do
      local way = { gone = place, breaks = breaks }
      local fault = play(self, way)
      if fault then return fault, way end
    end
  end)
  if fault and not is_worn(self, way) then return find_first(self, fault, way) end
  fault = fault or not self.transcript.fresh and play(self, {})
  if fault then find_left_over(self, fault) end
end

-- ---- the network of datagrams -------------------------------------------------------------------

local NETWORK <const> = { lost = "datagrams to lose", repeated = "datagrams to repeat", swapped = "datagrams to swap" }

-- Loses, repeats and swaps each datagram: one fault a play. What is answered then is known if nothing but the datagram
-- itself decides about its answer.
local function try_network(self)
  local transcript = self.transcript
  local is_free = transcript.fresh or #transcript.upstreams > 0
  local most = positions.most(transcript.bytes, #transcript.steps)
  local function try(network, lines)
    local way = { network = network, is_free = is_free }
    local fault = play(self, way)
    if fault then fault.network, fault.network_lines = network, lines end
    return fault, way
  end
  local function find()
    for _, kind in ipairs { "lost", "repeated", "swapped" } do
      local places = datagrams.places(transcript, kind)
      local list = positions.choose(1, #places, {}, most)
      local fault, way = try_places(self, NETWORK[kind], CUT_SECONDS, list, #places, function(n)
        return try({ [kind] = places[n].number }, places[n].lines)
      end)
      if fault then return fault, way end
    end
    if #transcript.upstreams == 0 then return try { at_once = true } end
  end
  local fault, way = find()
  local plays = self.plays
  if fault and is_worn(self, way) then return add_finding(self, fault, "worn", { plays = plays }) end
  if fault then return add_finding(self, fault, "network") end
  fault = not transcript.fresh and play(self, {})
  if fault then add_finding(self, fault, "after_network") end
end

-- ---- TLS ----------------------------------------------------------------------------------------

-- Returns a list of { step =, base =, text = }: behind each request for TLS, the bytes `text` are to be injected. So
-- many bytes were sent before the request: `base`.
local function injections(transcript)
  local list, base, requests, waiting = {}, 0, {}, {}
  for _, step in ipairs(transcript.steps) do
    local request, injection = requests[step.client], waiting[step.client]
    if step.kind == "send" and not step.is_upstream then
      if injection then injection.text, waiting[step.client] = step.text, nil end
      requests[step.client] = { step = step, base = base, text = step.text }
      base = base + #step.text
    elseif step.kind == "tls" and request then
      list[#list + 1], waiting[step.client] = request, request
    end
  end
  return list
end

-- Plays bytes that are not secure behind each request for TLS: whole, byte by byte, and cut at each byte.
local function try_injections(self)
  for _, injection in ipairs(injections(self.transcript)) do
    local first, length = injection.base + 1, #injection.step.text + #injection.text
    local function play_cut(cuts)
      return play(self, { injected_at = injection.step, injected = injection.text, cuts = cuts })
    end
    local fault = play_cut(nil) or play_cut "bytes"
    local list = positions.choose(first, first + length - 2, {}, positions.most(length, 1))
    fault = fault or try_places(self, "ways to cut what is not secure", CUT_SECONDS, list, length - 1, function(place)
      return play_cut { place }
    end)
    if fault then return add_finding(self, fault, "injected") end
  end
end

-- ---- upstreams ----------------------------------------------------------------------------------

-- Cuts what upstreams send, while clients send all at once.
local function try_upstream_cuts(self)
  local total = self.transcript.upstream_bytes or 0
  if total == 0 then return end
  local fault = play(self, { upstream_cuts = "bytes" })
  local most = positions.most(self.transcript.bytes + total, #self.transcript.steps)
  local list = positions.choose(1, total - 1, positions.ends(self.transcript, true), most)
  local found, way = try_places(self, "ways to cut upstreams", CUT_SECONDS, list, total - 1, function(place)
    return play(self, { upstream_cuts = { place } }), place
  end)
  if found then return add_finding(self, found, "upstream_cut", { upstream_cut = way }) end
  if fault then add_finding(self, fault, "upstream_cut") end
end

-- Plays the whole transcript twice, the second time with the connections that the script has kept. If that does not
-- hold, the script says something else on a kept connection than on a new one, such as a password.
local function look_at_kept(self)
  local way = { keeps = true }
  if play(self, way) then return end
  local again = { before = way.kept }
  self.keeps = play(self, again) == nil
  self.leaves_unread = again.unread ~= nil
end

-- Plays the whole transcript on the same loaded script, after a play in this way. Returns the fault.
local function play_after(self, way, late)
  if not self.keeps then return not self.transcript.fresh and play(self, {}) or nil end
  local again = { before = way.kept, late = late }
  local fault = play(self, again)
  if not fault and again.has_sent_late and again.unread and not self.leaves_unread then
    fault = { kind = "unread", upstream = again.unread }
  end
  return fault, again.has_sent_late
end

-- How often a stream must be left behind, in as many plays.
local LEFT <const> = 3

-- Returns the fault if every play in this way leaves one more stream open.
local function find_left_streams(self, way)
  if self.transcript.fresh and not self.keeps then return nil end -- Each play would be with a new script.
  local before, now, address = self.streams, self.script:left_streams()
  for _ = 2, LEFT do
    if now <= before then break end
    way.goes_on = true
    play(self, way)
    play_after(self, way)
    before, now, address = now, self.script:left_streams()
  end
  if not self.transcript.fresh then self.streams = now end
  return now > before and { kind = "streams", address = address } or nil
end

-- Plays with a fault of an upstream, and then the whole transcript on the same loaded script. What a silent upstream
-- did not say comes then, before the script uses the connection again and, in another play, when it does: this finds
-- late replies in kept connections. `what` describes the fault. Returns the finding and its description, or nil.
local function play_fault(self, way, what)
  way.keeps = self.keeps
  local fault, tolerated = play(self, way)
  if tolerated and self.options.strict then fault = fault or { kind = "raise", raised = tolerated } end
  if fault then return fault, what end
  local place = tolerated and (tolerated:match 'detail="?([^\n]-:%d+:)' or tolerated:match "detail=(.*)$")
  if tolerated and not self.noted[place] then
    self.noted[place] = true
    what.detail = report.raised({ raised = tolerated })[1]:match "^%s*(.*)$"
    self.tolerated[#self.tolerated + 1] = what
  end
  local after, is_late = play_after(self, way, "idle")
  if not after and is_late then
    play(self, way)
    after, is_late = play_after(self, way, "in_use")
  end
  if not after then return find_left_streams(self, way), what end
  return after, { is_after = true, is_late = is_late, breaks_at = what.breaks_at, refused = what.refused,
    distrusted = what.distrusted, silent_line = what.silent_line }
end

local function line_of(fault, transcript)
  fault.line = fault.line or transcript.steps[#transcript.steps].line
  return fault
end

-- For each byte of the upstreams the connection breaks once, each connect is refused once, each certificate is refused
-- once, and from each step on upstreams are silent once: one fault a play.
local function try_upstream_faults(self)
  local transcript = self.transcript
  if #(transcript.upstreams or {}) == 0 then return end
  look_at_kept(self)
  self.streams = self.script:left_streams()
  local total, silences = transcript.upstream_bytes, {}
  for nth, step in ipairs(transcript.steps) do
    if step.is_upstream and (step.kind:find "^send" or step.kind == "expect_tls") then silences[#silences + 1] = nth end
  end
  local most = positions.most(transcript.bytes + total, #transcript.steps)
  local bytes = positions.choose(0, total, positions.ends(transcript, true), most)
  local connects = positions.choose(1, transcript.connects, {}, most)
  for _, kind in ipairs {
    { "bytes for an upstream to break after", total > 0 and bytes or {}, total > 0 and total + 1 or 0,
      function(place) return { breaks_at = place }, { breaks_at = place } end },
    { "connects to refuse", connects, transcript.connects,
      function(nth) return { refused = nth }, { refused = nth } end },
    { "certificates to refuse", positions.choose(1, transcript.handshakes, {}, most), transcript.handshakes,
      function(nth) return { distrusted = nth }, { distrusted = nth } end },
    { "steps from which upstreams are silent", silences, #silences,
      function(nth) return { silent_from = nth }, { silent_line = transcript.steps[nth].line } end },
  } do
    local what, list, all, make = table.unpack(kind)
    local fault, more = try_places(self, what, CUT_SECONDS, list, all, function(place)
      return play_fault(self, make(place))
    end)
    if fault then return add_finding(self, line_of(fault, transcript), "upstream", more) end
  end
end

-- How many further orders of tables are tried. Two orders of a small table are often the same.
local ORDERS <const> = 3

-- Plays with other seeds of Lua's hash of strings: then pairs() has another order.
local function try_orders(self)
  local first = self.options.string_seed
  for n = 1, first and ORDERS or 0 do
    self.string_seed = first + n
    renew(self)
    local fault = play(self, {})
    if fault then
      add_finding(self, fault, "order")
      break
    end
  end
  self.string_seed = nil
end

-- When a client sends all at once, the script may speak to an upstream before its turn in the transcript comes, such as
-- while the upstream is about to close a kept connection. That is another conversation, and no fault.
local function speaks_early(fault)
  return fault.kind == "answer" and fault.upstream and fault.expected == ""
end

-- ---- all ways -----------------------------------------------------------------------------------

-- The plainest ways come first. A fault in one of them makes the others needless.
local function try_all(self)
  local fault = play(self, {})
  if fault then return add_finding(self, fault, "whole") end
  fault = play(self, {})
  if fault then return add_finding(self, fault, "again") end
  local ends
  if self.transcript.udp then
    try_network(self)
  else
    local in_bytes
    in_bytes, ends = play_bytes(self)
    local is_found = try_cuts(self, ends)
    if in_bytes and not is_found then add_finding(self, in_bytes, "bytes") end
  end
  if #self.findings > 0 then return end
  -- A client that waits for an interim response cannot send all at once.
  local pipelined = not self.transcript.waits and variants.pipelined(self.transcript)
  local doubled = variants.doubled(self.transcript)
  fault = pipelined and play(self, {}, pipelined)
  if fault and not speaks_early(fault) then add_finding(self, fault, "pipelined") end
  -- The answer may contain the port, so that a fault counts only if it shows with one port, too.
  fault = doubled and play(self, {}, doubled) and play(self, { has_one_port = true }, doubled)
  if fault then add_finding(self, fault, "doubled") end
  if #self.findings == 0 and ends then try_leaving(self, ends) end
  if #self.findings == 0 and ends then try_injections(self) end
  if #self.findings == 0 then try_upstream_cuts(self) end
  if #self.findings == 0 then try_upstream_faults(self) end
  if #self.findings == 0 then try_orders(self) end
end

--- Plays the transcript against the script at `path`, loaded with these options of simulator.load(), until
--- os.clock(), which counts the processor's time, is `deadline` if there is one. Returns
---
---   findings   a list of faults (see player.play) with `how`: "whole", "again" (the second time), "cut"
---              (with `cuts`), "bytes", "pipelined", "doubled" (two clients at once), "gone" (with
---              `gone` and `breaks`), "after" (the client after one that disconnected), "worn" (play number
---              `plays` shows it, but a newly loaded script does not), "order" (pairs() has another order),
---              "injected" (bytes that are not secure follow a request for TLS),
---              "network" (with `network`, see datagrams.deliver(), and the `network_lines` of the datagrams),
---              "after_network" (in the play after such faults),
---              "upstream_cut" (with `upstream_cut` or byte by byte), "upstream" (with `breaks_at`, `refused`,
---              `distrusted` or `silent_line`; `is_after`: in the play after that; `is_late`: what was not said comes
---              in that play). `seed` is options.seed
---   plays      the number of plays
---   slow       the slowest request, if any is slow: its `length`, `calls`, `bytes`; or nil
---   printed    a set of the places at which the script printed
---   unknown    settings of the transcript that the script does not document, with what was meant, or ""
---   versions   a set of the fingerprints of the versions that were played
---   tolerated  a list of errors that ended a request properly when an upstream failed
---   chosen     a list of texts: which plays were chosen from how many
---   unplayed   a text: what was not played for lack of time; or nil
---
--- or nil and why the script does not load.
return function(path, options, transcript, deadline)
  local self = setmetatable({
    path = path, options = options, transcript = transcript, deadline = deadline,
    findings = {}, plays = 0, printed = {}, versions = {}, unknown = {}, chosen = {},
    tolerated = {}, noted = {},
  }, Run)
  local why
  simulator.silence(true) -- What it prints while loading was reported before.
  self.script, why = load(self)
  simulator.silence(false)
  if not self.script then return nil, why end
  local is_well, failure = pcall(try_all, self)
  simulator.silence(false)
  if self.script then self.script:close() end
  if not is_well and not (type(failure) == "table" and failure.why) then error(failure, 0) end
  if not is_well then return nil, failure.why end
  return self
end
