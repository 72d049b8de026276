-- The texts of a report: describes for people what a run has found.

local log = require "parlance.workbench.log_line"
local sorted = require "parlance.workbench.sorted"
local transcripts = require "parlance.workbench.transcript"

local report = {}

-- ---- bytes side by side -------------------------------------------------------------------------

local ROW <const>, ROWS <const> = 8, 6

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x "):format(byte:byte()) end))
end

local function printable(bytes)
  return (bytes:gsub("[^\x20-\x7e]", "."))
end

-- Returns the position of the first difference.
local function first_difference(one, other)
  local low, high = 0, math.min(#one, #other)
  while low < high do -- the longest common beginning, by halves
    local middle = (low + high + 1) // 2
    if one:sub(low + 1, middle) == other:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low + 1
end

-- Returns rows of both texts, beginning one row before the difference.
local function side_by_side(expected, got, first, second)
  local place = first_difference(expected, got)
  local start = math.max(0, (place - 1) // ROW - 1) * ROW
  local wide = ("%%-%ds %%-%ds"):format(3 * ROW, ROW)
  local lines = { ("         " .. wide .. "  |  %s"):format(first, "", second) }
  for row = start, start + (ROWS - 1) * ROW, ROW do
    local left, right = expected:sub(row + 1, row + ROW), got:sub(row + 1, row + ROW)
    if left == "" and right == "" then break end
    local line = ("  %6d " .. wide .. "  |  " .. wide):format(
      row, hex(left), printable(left), hex(right), printable(right))
    lines[#lines + 1] = line:gsub("%s+$", "")
  end
  local rest = math.max(#expected, #got) - (start + ROWS * ROW)
  if rest > 0 then lines[#lines + 1] = ("         ... and %d more bytes"):format(rest) end
  return lines, place
end

local SHOWN <const> = 60

-- Returns the bytes as one line, or if they are long, those around this place.
local function short(bytes, place)
  if #bytes <= SHOWN then return transcripts.quote(bytes) end
  local from = math.max(1, math.min(place - SHOWN // 3, #bytes - SHOWN + 1))
  return ("%s%s%s (%d bytes)"):format(from > 1 and "..." or "", transcripts.quote(bytes:sub(from, from + SHOWN - 1)),
    from + SHOWN <= #bytes and "..." or "", #bytes)
end

-- ---- what happened ------------------------------------------------------------------------------

local KINDS <const> = {
  closed = function(fault)
    return ("the server has closed (%s), but the transcript has no `< end` here%s"):format(fault.reason,
      fault.reason == "done" and "; to keep connections open, a protocol has `close_when_done = false`" or "")
  end,
  open = function(fault)
    if fault.upstream then return ("the script does not end its connection to %s"):format(fault.upstream) end
    return "the server does not close"
  end,
  left = function(fault)
    return ("%d task%s that the conversation has spawned run on for longer than response_timeout after its end"):format(
      fault.count, fault.count == 1 and "" or "s")
  end,
  streams = function(fault)
    return ("a connection to %s stays open: nothing closes it"):format(fault.address)
  end,
  no_tls = function(fault) return ("the script does not begin TLS with %s"):format(fault.upstream) end,
  unread = function(fault)
    return ("a reply of %s is left unread in a connection that the script uses again"):format(fault.upstream)
  end,
  plain = function() return "the client begins TLS, and the script has not called self:start_tls() before" end,
  injected = function(fault)
    return ("the connection does not end with the reason malformed, but with %s"):format(fault.reason)
  end,
  hang = function() return "the script still waits when response_timeout is over" end,
  raise = function(fault)
    local event = log.parse(fault.raised).event
    if event == "response_timeout" then return "the script waits for longer than response_timeout" end
    if event == "stream_collected" then return "a detached stream is closed only by the collector" end
    if event == "lock_collected" then return "a lock is released only by the collector" end
    if event == "script_overrun" then return "a call into the script takes too long" end
    return event == "out_of_memory" and "the script runs out of memory" or "the script raises an error"
  end,
  answer = function(fault)
    if fault.upstream then
      if fault.got == "" then return ("the script sends nothing to %s"):format(fault.upstream) end
      if fault.expected == "" then return ("the script sends to %s what nobody expects"):format(fault.upstream) end
      return ("what the script sends to %s is not what is expected"):format(fault.upstream)
    end
    if fault.is_extra then return "the server sends a datagram that is not expected" end
    if fault.got == "" and not fault.has_come then return "there is no answer" end
    return fault.expected == "" and "the server answers where nothing is expected"
      or "the answer is not the one expected"
  end,
}

local function plural(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

-- State that one conversation leaves for another need not be a fault.
local IF_MEANT <const> = " (if that is intended, write `fresh` at the top of the transcript)"

local IS_SHARED <const> = ": the script keeps state outside of `self`" .. IF_MEANT

local function leaving(fault)
  return ("%s the connection after %s"):format(fault.breaks and "resets" or "closes", plural(fault.gone, "byte"))
end

--- Returns the fault of an upstream as text: `breaks_at`, `refused`, `distrusted` or `silent_line` tells what it is.
function report.upstream_fault(fault)
  if fault.breaks_at then
    return ("the connection to an upstream breaks after %s from upstreams"):format(plural(fault.breaks_at, "byte"))
  end
  if fault.refused then return ("the connect with the number %d is refused"):format(fault.refused) end
  if fault.distrusted then
    return ("the certificate is refused in the handshake with the number %d"):format(fault.distrusted)
  end
  return ("upstreams say nothing from line %d on"):format(fault.silent_line)
end

--- Returns the fault of the network as text.
function report.network_fault(fault)
  local network, lines = fault.network, fault.network_lines
  if network.at_once then return "when clients do not wait for answers before they send the next datagram" end
  if network.swapped then
    return ("when the datagrams of the lines %d and %d come in the other order"):format(lines[1], lines[2])
  end
  return ("when the datagram of line %d %s"):format(lines[1], network.lost and "is lost" or "comes twice")
end

-- Each text follows a comma after the kind of the fault.
local WAYS <const> = {
  whole = function() return nil end,
  again = function(_, transcript)
    if transcript.fresh then return "when it is played a second time, although the script was loaded anew for it" end
    return "when it is played a second time: the script keeps state of one conversation for the next" .. IF_MEANT
  end,
  worn = function(fault)
    return ("in conversation %d with this script, but not with a newly loaded one%s"):format(fault.plays, IS_SHARED)
  end,
  cut = function(fault)
    if #fault.cuts == 1 then return ("when what the client sends is cut after byte %d"):format(fault.cuts[1]) end
    return ("when what the client sends is cut in %d places, each request after its byte %d"):format(
      #fault.cuts, fault.cuts[1])
  end,
  bytes = function() return "when what the client sends comes byte by byte" end,
  pipelined = function() return "when the client sends all of it at once (pipelined)" end,
  doubled = function()
    return "when two clients have this conversation at once" .. IS_SHARED
  end,
  beside = function(fault)
    return ("when another client has the conversation of %s at the same time%s"):format(fault.other.path, IS_SHARED)
  end,
  gone = function(fault) return "when the client " .. leaving(fault) end,
  injected = function() return "when bytes that are not secure follow the request for TLS" end,
  network = function(fault)
    local how = report.network_fault(fault)
    return fault.kind == "answer" and how .. ": it depends on other datagrams" .. IF_MEANT or how
  end,
  after_network = function()
    return "when it is played again, after datagrams were lost, repeated and swapped" .. IS_SHARED
  end,
  upstream_cut = function(fault)
    if not fault.upstream_cut then return "when what upstreams send comes byte by byte" end
    return ("when what upstreams send is cut after byte %d"):format(fault.upstream_cut)
  end,
  upstream = function(fault)
    if fault.is_late then
      return ("when it is played again, after what an upstream says in line %d came too late: it was still to come on "
        .. "a connection that the script kept; close a connection whose reply was not read"):format(fault.silent_line)
    end
    local after = fault.is_after and "when it is played again, after " or "when "
    return after .. report.upstream_fault(fault)
  end,
  order = function() return "when tables have another order: it depends on the order of pairs()" end,
  after = function(fault)
    if not fault.gone then
      return "for a client after others have disconnected" .. IS_SHARED
    end
    return ("for the client after one that %s%s"):format(leaving(fault), IS_SHARED)
  end,
}

--- Returns the kind of a fault as text.
function report.kind(fault)
  return KINDS[fault.kind](fault)
end

-- Returns the bytes before and after the place of a cut.
local function around(transcript, place, is_upstream)
  local base = 0
  for _, step in ipairs(transcript.steps) do
    if step.kind == "send" and (step.is_upstream or false) == is_upstream then
      if place > base and place <= base + #step.text then
        local at = place - base
        local before, after = step.text:sub(math.max(1, at - 23), at), step.text:sub(at + 1, at + 24)
        return transcripts.quote(before) .. " | " .. transcripts.quote(after)
      end
      base = base + #step.text
    end
  end
end

--- Returns what was raised, with its traceback: a list of lines. (Other lines show the other fields.)
function report.raised(fault)
  local lines = {}
  for line in (log.parse(fault.raised).fields.detail or fault.raised):gmatch "[^\n]+" do
    lines[#lines + 1] = "  " .. line:gsub("\t", "  ")
  end
  return lines
end

-- Returns a line with a warning that may explain the fault, or nil.
local function remark(text)
  local warning = log.parse(text)
  if not warning.fields.detail then return nil end
  return ("  the server says: %s: %s"):format(warning.event, warning.fields.detail)
end

local function append(lines, more)
  table.move(more, 1, #more, #lines + 1, lines)
end

--- Compares two texts, in a line each and then side by side. Returns a list of lines.
function report.compare(expected, got, first, second)
  local line = ("  %%-%ds %%s"):format(math.max(#first, #second))
  local place = first_difference(expected, got)
  local lines = { line:format(first, short(expected, place)), line:format(second, short(got, place)) }
  if got ~= "" and expected ~= "" then append(lines, (side_by_side(expected, got, first, second))) end
  return lines
end

--- Returns a fault as one line: "path:line: what is wrong".
function report.headline(fault, transcript)
  local way = WAYS[fault.how](fault, transcript)
  return ("%s:%d: %s%s"):format(transcript.path, fault.line, KINDS[fault.kind](fault), way and ", " .. way or "")
end

--- Returns the line for a transcript that holds.
function report.success(run, transcript)
  local chosen = #(run.chosen or {}) > 0 and "; " .. table.concat(run.chosen, ", ") or ""
  return ("%s: holds (%s%s)"):format(transcript.path, plural(run.plays, "play"), chosen)
end

--- Returns the details of a fault: a list of lines.
function report.details(fault, transcript)
  local lines = {}
  local of_upstream = fault.upstream_cut or fault.breaks_at
  local place = fault.how == "cut" and fault.cuts[1] or fault.gone or of_upstream
  local cut = place and around(transcript, place, of_upstream ~= nil)
  local what = fault.gone and "leaves  " or fault.breaks_at and "breaks  " or "cut     "
  if cut then lines[#lines + 1] = ("  %s %s"):format(what, cut) end
  if fault.expected then
    append(lines, report.compare(fault.expected, fault.got, "expected", "got"))
    if fault.is_missing then lines[2] = "  got      nothing" end
    if fault.is_extra then lines[1] = "  expected nothing" end
    if fault.got == "" and fault.requests == 0 and fault.has_sent and not fault.is_closed then
      lines[#lines + 1] = "  request_complete finds no complete request in what was sent so far"
    end
  end
  if fault.raised then append(lines, report.raised(fault)) end
  if fault.remark then lines[#lines + 1] = remark(fault.remark) end
  if fault.seed then lines[#lines + 1] = ("  seen with --seed %d"):format(fault.seed) end
  return lines
end

local function size(bytes)
  if bytes < 10 * 1024 then return plural(bytes, "byte") end
  if bytes < 10 * 1024 * 1024 then return ("%d KiB"):format(bytes // 1024) end
  return ("%d MiB"):format(bytes // (1024 * 1024))
end

--- Returns remarks that are no faults: a list of lines.
function report.remarks(run)
  local lines = {}
  local slow = run.slow
  if slow then
    lines[#lines + 1] = ("%s: slow: request_complete was called %d times for one request of %s and looked at %s; "
      .. "return `false, n`, or use a framing of parlance.framing"):format(
      run.path, slow.calls, size(slow.length), size(slow.bytes))
  end
  for _, field in ipairs(sorted(run.misspelled or {})) do
    lines[#lines + 1] = ("%s: the server does not know the field %s; did you mean %s?"):format(
      run.path, field, run.misspelled[field])
  end
  for _, name in ipairs(sorted(run.unknown or {})) do
    local meant = run.unknown[name]
    lines[#lines + 1] = ("%s: the script documents no setting %s%s"):format(
      run.path, name, meant ~= "" and "; did you mean " .. meant .. "?" or "")
  end
  append(lines, sorted(run.remarks or {}))
  for _, note in ipairs(run.tolerated or {}) do
    lines[#lines + 1] = ("%s: the script raises an error when %s (a fault with --strict): %s"):format(
      run.transcript.path, report.upstream_fault(note), note.detail)
  end
  for _, place in ipairs(sorted(run.printed)) do
    lines[#lines + 1] = place .. ": prints to standard output; use parlance.log instead"
  end
  if run.lacks then
    lines[#lines + 1] = ("%s: it was loaded, but nothing was played: there are no transcripts in %s"):format(
      run.path, run.lacks)
  end
  if run.unplayed then
    lines[#lines + 1] = ("%s: not all was played: there was no time for %s"):format(
      run.transcript.path, run.unplayed)
  end
  return lines
end

return report
