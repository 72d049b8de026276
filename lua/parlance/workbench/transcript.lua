-- Transcripts: conversations in text files, see docs/transcripts.md.
--
-- A transcript is a table:
--
--   path, fresh, time, variables   what stands at its top
--   steps                          a list; each step has `line`, `client` (its name, "" for the first)
--                                  and `kind`:
--     "send"        text
--     "expect"      items: a list of { text = } and { pattern = }, each with its `line`; `length` of the answer
--                   when it was played last; `parts`: the answers that it was made of, items and length
--     "send_end", "gone", "expect_end"
--     "wait"        seconds
--   bytes                          how many bytes clients send in all
--   clients                        how many there are

local fault_of_pattern = require "parlance.workbench.pattern"

local transcript = {}

-- What a `* N` may make of a string, and each side may say in all, in bytes.
local MOST_BYTES <const> = 64 * 1024 * 1024

local ESCAPES <const> = { n = "\n", r = "\r", t = "\t", ["\\"] = "\\", ['"'] = '"' }
local NAMES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

-- ---- reading ------------------------------------------------------------------------------------

-- An error that read() turns into nil and a message.
local function complain(...)
  error({ complaint = (...):format(select(2, ...)) }, 0)
end

-- A piece of the transcript, as it is shown in an error: it may be long, and hold anything.
local function shown(text)
  if #text > 40 then return transcript.quote(text:sub(1, 40)) .. "..." end
  return transcript.quote(text)
end

-- The string that begins with the quote at `from`, and where it ends.
local function read_string(text, from)
  local out, at = {}, from + 1
  while true do
    local plain, stop = text:match('^([^"\\%c]*)()', at)
    out[#out + 1] = plain
    local byte = text:sub(stop, stop)
    if byte == '"' then return table.concat(out), stop + 1 end
    if byte == "" then complain "a string does not end" end
    if byte ~= "\\" then complain("a string holds the control character \\x%02X", byte:byte()) end
    local escape = text:sub(stop + 1, stop + 1)
    local hex, decimal = text:match("^x(%x%x)", stop + 1), text:match("^%d%d?%d?", stop + 1)
    if ESCAPES[escape] then
      out[#out + 1], at = ESCAPES[escape], stop + 2
    elseif hex then
      out[#out + 1], at = string.char(tonumber(hex, 16)), stop + 4
    elseif decimal and tonumber(decimal) < 256 then
      out[#out + 1], at = string.char(tonumber(decimal)), stop + 1 + #decimal
    else
      if escape == "" then complain "a string does not end" end
      complain("a string holds %s, which is no escape", "\\" .. (escape:find "[%g]" and escape or shown(escape)))
    end
  end
end

-- What cannot stand where strings do, at the beginning or behind some.
local function complain_of(rest, is_first)
  local hint = is_first and rest:find "^%w" and "; a text stands in double quotes" or ""
  complain("%s makes no sense here%s", shown(rest), hint)
end

-- The strings from `at` on, each perhaps repeated, as one; nil if there is none.
local function read_strings(text, at)
  local out, size = {}, 0
  while text:find('^%s*"', at) do
    local part
    part, at = read_string(text, text:find('"', at, true))
    local times, stop = text:match("^%s*%*%s*(%d+)()", at)
    if times then
      if tonumber(times) * #part > MOST_BYTES then complain("a string of over %d bytes", MOST_BYTES) end
      part, at = part == "" and "" or part:rep(tonumber(times)), stop
    end
    size = size + #part
    if size > MOST_BYTES then complain("a string of over %d bytes", MOST_BYTES) end
    out[#out + 1] = part
  end
  local rest = text:match("^%s*([^#]*)", at):gsub("%s+$", "")
  if rest ~= "" then complain_of(rest, #out == 0) end
  return #out > 0 and table.concat(out) or nil
end

-- Seconds since 1970 of a time in UTC, such as 2026-11-22T16:58:38.5Z.
local function read_time(text)
  local parts = { text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$" }
  for i, part in ipairs(parts) do parts[i] = tonumber(part) end
  local y, m, day, hour, minute, second = table.unpack(parts)
  if not y or m < 1 or m > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 or second >= 60 then
    complain("%s is no time such as 2026-11-22T16:58:38Z", shown(text))
  end
  -- Days since 1970, counted in years that begin with March.
  if m < 3 then y, m = y - 1, m + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

-- What stands at the top: each is given the transcript and what stands behind the word.
local HEADERS <const> = {}

function HEADERS.fresh(self, rest)
  if rest ~= "" then complain("%s makes no sense behind fresh", shown(rest)) end
  self.fresh = true
end

function HEADERS.time(self, rest)
  self.time = read_time(rest)
end

function HEADERS.set(self, rest)
  local name, at = rest:match "^([%a_][%w_]*)%s+()"
  local value = name and read_strings(rest, at)
  if not value then complain 'set wants a name and a string: set NAME "text"' end
  if value:find "\0" then complain "a variable cannot hold \\0" end
  local here = self.path:match "^(.*)/[^/]*$" or "."
  self.variables[#self.variables + 1] = { name = name, value = (value:gsub("%${HERE}", (here:gsub("%%", "%%%%")))) }
end

local function add(self, step)
  step.line = self.line
  self.steps[#self.steps + 1] = step
  return step
end

-- The step that this one goes on with: its client's last, if no other stands in between.
local function last_of(self, client, kind)
  local last = self.steps[#self.steps]
  return last and last.client == client and last.kind == kind and last or nil
end

local function add_send(self, client, text)
  local step = last_of(self, client, "send") or add(self, { kind = "send", client = client, text = "" })
  step.parts = step.parts or {}
  step.parts[#step.parts + 1] = text
  self.bytes = self.bytes + #text
  if self.bytes > MOST_BYTES then complain("clients send over %d bytes", MOST_BYTES) end
end

local function add_item(self, client, item)
  self.said = self.said + #(item.text or item.pattern)
  if self.said > MOST_BYTES then complain("the server says over %d bytes", MOST_BYTES) end
  local step = last_of(self, client, "expect") or add(self, { kind = "expect", client = client, items = {} })
  item.line = self.line
  step.items[#step.items + 1] = item
end

local function read_arrow(self, client, arrow, rest)
  local word = rest:match "^([%a]+)%s*$" or rest:match "^([%a]+)%s*#"
  if arrow == ">" and word == "end" then
    add(self, { kind = "send_end", client = client })
  elseif arrow == ">" and word == "gone" then
    add(self, { kind = "gone", client = client })
  elseif arrow == "<" and word == "end" then
    add(self, { kind = "expect_end", client = client })
  elseif arrow == "<" and rest:sub(1, 1) == "~" then
    local pattern = read_strings(rest, 2)
    if not pattern then complain 'a pattern is a string: < ~"%%d+"' end
    local fault = fault_of_pattern(pattern)
    if fault then complain("%s is no pattern: %s", shown(pattern), fault) end
    add_item(self, client, { pattern = pattern })
  else
    local text = read_strings(rest, 1)
    if not text then
      complain("%s wants a string or %s", arrow, arrow == ">" and "end or gone" or "end or a ~pattern")
    end
    if arrow == ">" then add_send(self, client, text) else add_item(self, client, { text = text }) end
  end
end

-- Behind a step of this kind, no more of those of its client.
local ENDS <const> = {
  gone = { how = "the client has left", "send", "send_end", "gone", "expect", "expect_end" },
  send_end = { how = "the client has stopped sending", "send", "send_end" },
  expect_end = { how = "the server has closed", "expect", "expect_end" },
}

local function read_client_line(self, client, arrow, rest)
  if client:find "^%d" then complain("a client's name begins with a letter, not with %s", client:sub(1, 1)) end
  local ended = self.ended[client]
  if not ended then
    ended = {}
    self.ended[client], self.clients = ended, self.clients + 1
  end
  read_arrow(self, client, arrow, rest)
  local kind = self.steps[#self.steps].kind
  if ended[kind] then complain("%s", ended[kind]) end
  for _, other in ipairs(ENDS[kind] or {}) do
    ended[other] = ("%s, in line %d"):format(ENDS[kind].how, self.line)
  end
end

local function read_line(self, text)
  local client, arrow, at = text:match "^%s*(%w*)([<>])%s*()"
  if client then return read_client_line(self, client, arrow, text:sub(at)) end
  local word, rest = text:match "^%s*([^%s#]+)%s*(.-)%s*$"
  if not word then return end -- an empty line, or a comment
  if word ~= "set" then rest = rest:gsub("%s*#.*$", "") end
  if word == "wait" then
    local seconds = tonumber(rest)
    if not seconds or not rest:find "^%d+%.?%d*$" or seconds > 1e6 then complain "wait wants a number of seconds" end
    add(self, { kind = "wait", seconds = seconds })
  elseif not HEADERS[word] then
    if rest:find "^[<>]" then
      complain("no blank may stand between a client's name and its arrow: %s", shown(word .. rest:sub(1, 1)))
    end
    if word:find "[<>]" then complain("%s: a client's name has letters and digits only", shown(word)) end
    complain("%s is no step: a line begins with > or <, or with wait, fresh, time or set", shown(word))
  elseif #self.steps > 0 then
    complain("%s must stand before the first step", word)
  else
    HEADERS[word](self, rest)
  end
end

--- Reads a transcript from its text; nil and "path:line: what is wrong" if it is none.
function transcript.read(text, path)
  local self = { path = path, variables = {}, steps = {}, bytes = 0, said = 0, clients = 0, ended = {}, line = 0 }
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    self.line = self.line + 1
    local is_well, failure = pcall(read_line, self, line)
    if not is_well then
      if not (type(failure) == "table" and failure.complaint) then error(failure, 0) end
      return nil, ("%s:%d: %s"):format(path, self.line, failure.complaint)
    end
  end
  for _, step in ipairs(self.steps) do
    if step.kind == "send" then step.text, step.parts = table.concat(step.parts), nil end
  end
  if #self.steps == 0 then return nil, ("%s:1: there is no step in it"):format(path) end
  self.ended, self.said, self.line = nil, nil, nil
  return self
end

--- The same from a file; nil and why not.
function transcript.open(path)
  local file <close>, why = io.open(path, "rb")
  if not file then return nil, why end
  local text, failure = file:read "a"
  if not text then return nil, ("%s: %s"):format(path, failure) end
  return transcript.read(text, path)
end

-- ---- writing ------------------------------------------------------------------------------------

--- The bytes as a string of a transcript, quotes and all.
function transcript.quote(bytes)
  local text = bytes:gsub('[%c"\\\x7f-\xff]', function(byte) return NAMES[byte] or ("\\x%02X"):format(byte:byte()) end)
  return '"' .. text .. '"'
end

-- The bytes in lines of a transcript: one for each line of text, and of at most 64 bytes, but where one
-- byte is there so often and more.
local LINE <const> = 64

-- Where the run of the byte at this place ends.
local function run_end(bytes, at)
  local byte = bytes:byte(at)
  while bytes:byte(at + 1) == byte and byte do at = at + 1 end
  return at
end

local function write_bytes(out, arrow, bytes)
  local at = 1
  repeat
    local stop = run_end(bytes, at)
    local text = bytes:sub(at, at)
    if stop - at >= LINE then
      text = ("%s * %d"):format(transcript.quote(text), stop - at + 1)
    else
      stop = math.min(bytes:find("\n", at, true) or #bytes, at + LINE - 1)
      text = transcript.quote(bytes:sub(at, stop))
    end
    out[#out + 1] = ("%s %s"):format(arrow, text)
    at = stop + 1
  until at > #bytes
end

-- Seconds, without an exponent.
local function write_seconds(seconds)
  return (("%.6f"):format(seconds):gsub("%.?0+$", ""))
end

local WORDS <const> = { send_end = "> end", gone = "> gone", expect_end = "< end" }

--- A transcript as text.
function transcript.write(self)
  local out = {}
  if self.fresh then out[#out + 1] = "fresh" end
  if self.time then
    local whole = math.floor(self.time)
    local part = write_seconds(self.time - whole):match "%.%d+" or ""
    out[#out + 1] = os.date("!time %Y-%m-%dT%H:%M:%S", whole) .. part .. "Z"
  end
  for _, variable in ipairs(self.variables or {}) do
    out[#out + 1] = ("set %s %s"):format(variable.name, transcript.quote(variable.value))
  end
  for _, step in ipairs(self.steps) do
    if step.kind == "send" then
      write_bytes(out, step.client .. ">", step.text)
    elseif step.kind == "wait" then
      out[#out + 1] = "wait " .. write_seconds(step.seconds)
    elseif step.kind == "expect" then
      for _, item in ipairs(step.items) do
        if item.text then
          write_bytes(out, step.client .. "<", item.text)
        else
          out[#out + 1] = ("%s< ~%s"):format(step.client, transcript.quote(item.pattern))
        end
      end
    else
      out[#out + 1] = step.client .. WORDS[step.kind]
    end
  end
  return table.concat(out, "\n") .. "\n"
end

-- ---- other conversations made of one ------------------------------------------------------------

local function derived(self, steps)
  local copy = {}
  for name, value in pairs(self) do copy[name] = value end
  copy.steps = steps
  return copy
end

-- From so many seconds on a wait is part of the conversation; less is what recordings have between two steps.
local PAUSE <const> = 0.1

--- The same with everything that the client sends in one piece, and all answers behind it; what the server
--- says before the client does stays in front. Nil where that would be another conversation: with several
--- clients, pauses, or a client that breaks off or sends when the server has closed.
function transcript.pipelined(self)
  if self.clients ~= 1 then return nil end
  local steps, sent, items = {}, {}, {}
  local send, expect, send_end, expect_end
  for _, step in ipairs(self.steps) do
    local is_short = step.kind == "wait" and step.seconds < PAUSE
    if not is_short and (step.kind == "wait" or step.kind == "gone" or expect_end) then return nil end
    if is_short then
      goto continue
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
      expect = expect or { kind = "expect", client = step.client, line = step.line, items = items, parts = {} }
      expect.parts[#expect.parts + 1] = { items = step.items, length = step.length }
      table.move(step.items, 1, #step.items, #items + 1, items)
    end
    ::continue::
  end
  if #sent < 2 then return nil end -- it is in one piece already
  send.text = table.concat(sent)
  for _, step in ipairs { send, send_end or false, expect or false, expect_end or false } do
    if step then steps[#steps + 1] = step end
  end
  return derived(self, steps)
end

-- In so many pieces at most two clients at once send what one would.
local MOST_PIECES <const> = 8192

--- Two clients that both have this conversation at once, and send in turn, a byte at a time, or a few if it is
--- long; nil for a conversation of several.
function transcript.doubled(self)
  local steps, size = {}, (self.bytes + MOST_PIECES - 1) // MOST_PIECES
  if self.clients ~= 1 or self.fresh then return nil end
  for _, step in ipairs(self.steps) do
    for at = 1, step.kind == "send" and math.max(#step.text, 1) or 1, math.max(size, 1) do
      for _, client in ipairs(step.kind == "wait" and { "one" } or { "one", "two" }) do
        local copy = {}
        for name, value in pairs(step) do copy[name] = value end
        copy.client = client
        if step.kind == "send" then copy.text = step.text:sub(at, at + size - 1) end
        steps[#steps + 1] = copy
      end
    end
  end
  return derived(self, steps)
end

return transcript
