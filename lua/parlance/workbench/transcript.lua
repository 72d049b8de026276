-- Transcripts: conversations in text files, see docs/transcripts.md.
--
-- A transcript is a table:
--
--   path, fresh, time, variables   what stands at its top
--   steps                          a list; each step has `line`, `client` (its name, "" for the first)
--                                  and `kind`:
--     "send"        text
--     "expect"      items: a list of { text = } and { pattern = }, each with its `line`
--     "send_end", "gone", "expect_end"
--     "wait"        seconds
--   bytes                          how many bytes clients send in all
--   clients                        how many there are

local transcript = {}

-- What a `* N` may make of a string, and a transcript may have in all, in bytes.
local MOST_BYTES <const> = 64 * 1024 * 1024

local ESCAPES <const> = { n = "\n", r = "\r", t = "\t", ["\\"] = "\\", ['"'] = '"' }
local NAMES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

-- ---- reading ------------------------------------------------------------------------------------

-- An error that read() turns into nil and a message.
local function complain(...)
  error({ complaint = (...):format(select(2, ...)) }, 0)
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
      complain("a string holds \\%s, which is no escape", escape)
    end
  end
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
      part, at = part:rep(tonumber(times)), stop
    end
    size = size + #part
    if size > MOST_BYTES then complain("a string of over %d bytes", MOST_BYTES) end
    out[#out + 1] = part
  end
  local rest = text:match("^%s*([^#]*)", at):gsub("%s+$", "")
  if rest ~= "" then complain("%q makes no sense here", rest) end
  return #out > 0 and table.concat(out) or nil
end

-- Seconds since 1970 of a time in UTC, such as 2026-11-22T16:58:38.5Z.
local function read_time(text)
  local year, month, day, hour, minute, second = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$"
  if not year then complain("%q is no time such as 2026-11-22T16:58:38Z", text) end
  -- Days since 1970, counted in years that begin with March.
  local y, m = tonumber(year), tonumber(month)
  if m < 3 then y, m = y - 1, m + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + tonumber(day) - 719469
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60 + tonumber(second)
end

-- What stands at the top: each is given the transcript and what stands behind the word.
local HEADERS <const> = {}

function HEADERS.fresh(self, rest)
  if rest ~= "" then complain("%q makes no sense behind fresh", rest) end
  self.fresh = true
end

function HEADERS.time(self, rest)
  self.time = read_time(rest)
end

function HEADERS.set(self, rest)
  local name, at = rest:match "^([%a_][%w_]*)%s+()"
  local value = name and read_strings(rest, at)
  if not value then complain 'set wants a name and a string: set NAME "text"' end
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
    local is_valid, why = pcall(string.find, "", "^" .. pattern)
    if not is_valid then complain("%s", (why:gsub("^.-:%d+: ", ""))) end
    add_item(self, client, { pattern = pattern })
  else
    local text = read_strings(rest, 1)
    if not text then
      complain("%s wants a string or %s", arrow, arrow == ">" and "end or gone" or "end or a ~pattern")
    end
    if arrow == ">" then add_send(self, client, text) else add_item(self, client, { text = text }) end
  end
end

local function read_line(self, text)
  local client, arrow, at = text:match "^%s*(%a?%w*)([<>])%s*()"
  if client then
    if not self.seen[client] then self.clients = self.clients + 1 end
    self.seen[client] = true
    local over = self.over[client]
    if over then complain("the client has left already, in line %d", over) end
    read_arrow(self, client, arrow, text:sub(at))
    if self.steps[#self.steps].kind == "gone" then self.over[client] = self.line end
    return
  end
  local word, rest = text:match "^%s*([^%s#]+)%s*(.-)%s*$"
  if not word then return end -- an empty line, or a comment
  if word ~= "set" then rest = rest:gsub("%s*#.*$", "") end
  if word == "wait" then
    local seconds = tonumber(rest)
    if not seconds or not rest:find "^%d+%.?%d*$" or seconds > 1e6 then complain "wait wants a number of seconds" end
    add(self, { kind = "wait", seconds = seconds })
  elseif not HEADERS[word] then
    complain("%q is no step: a line begins with > or <, or with wait, fresh, time or set", word)
  elseif #self.steps > 0 then
    complain("%s must stand before the first step", word)
  else
    HEADERS[word](self, rest)
  end
end

--- Reads a transcript from its text; nil and "path:line: what is wrong" if it is none.
function transcript.read(text, path)
  local self = { path = path, variables = {}, steps = {}, bytes = 0, clients = 0, seen = {}, over = {}, line = 0 }
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
  self.seen, self.over, self.line = nil, nil, nil
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

local WORDS <const> = { send_end = "> end", gone = "> gone", expect_end = "< end" }

--- A transcript as text.
function transcript.write(self)
  local out = {}
  if self.fresh then out[#out + 1] = "fresh" end
  if self.time then out[#out + 1] = os.date("!time %Y-%m-%dT%H:%M:%SZ", math.floor(self.time)) end
  for _, variable in ipairs(self.variables or {}) do
    out[#out + 1] = ("set %s %s"):format(variable.name, transcript.quote(variable.value))
  end
  for _, step in ipairs(self.steps) do
    if step.kind == "send" then
      write_bytes(out, step.client .. ">", step.text)
    elseif step.kind == "wait" then
      out[#out + 1] = ("wait %s"):format(step.seconds)
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

--- The same with everything that the client sends in one piece, and all answers behind it; nil where
--- that would be another conversation: with several clients, pauses, or a client that breaks off.
function transcript.pipelined(self)
  local sent, items, lines = {}, {}, {}
  local send_end, expect_end
  if self.clients ~= 1 then return nil end
  local client = self.steps[1].client
  for _, step in ipairs(self.steps) do
    lines[step.kind] = lines[step.kind] or step.line
    if step.kind == "send" then
      if send_end then return nil end
      sent[#sent + 1] = step.text
    elseif step.kind == "expect" then
      for _, item in ipairs(step.items) do items[#items + 1] = item end
    elseif step.kind == "send_end" then
      send_end = step
    elseif step.kind == "expect_end" then
      expect_end = step
    else
      return nil
    end
  end
  if #sent < 2 then return nil end -- it is in one piece already
  local steps = { { kind = "send", client = client, line = lines.send, text = table.concat(sent) } }
  steps[#steps + 1] = send_end
  if #items > 0 then
    steps[#steps + 1] = { kind = "expect", client = client, line = lines.expect, items = items }
  end
  steps[#steps + 1] = expect_end
  return derived(self, steps)
end

--- Two clients that both have this conversation at once, and send in turn, a byte at a time; nil for
--- a conversation of several.
function transcript.doubled(self)
  local steps = {}
  if self.clients ~= 1 or self.fresh then return nil end
  for _, step in ipairs(self.steps) do
    local count = step.kind == "send" and #step.text or 1
    for at = 1, count do
      for _, client in ipairs(step.kind == "wait" and { "one" } or { "one", "two" }) do
        local copy = {}
        for name, value in pairs(step) do copy[name] = value end
        copy.client = client
        if step.kind == "send" then copy.text = step.text:sub(at, at) end
        steps[#steps + 1] = copy
      end
    end
  end
  return derived(self, steps)
end

return transcript
