-- Reads and writes transcripts: conversations in text files, see docs/transcripts.md. literal.lua reads and writes the
-- bytes in them.
--
-- A transcript is a table with these fields:
--
--   path                  the path of the file
--   fresh, time, udp      the headers of these names
--   proxy                 the header of this name, as a table like `self.proxy`
--   variables, settings   the headers `set` and `setting`: lists of { name =, text =, value = }. `text` is as written;
--                         in `value` ${HERE} is replaced
--   upstreams             the headers `upstream`: a list of { name =, address =, failure =, why =, tls = }, in which
--                         each name stands once. `failure` is nil or the code of net.connect for a connect that fails;
--                         `tls`: the script connects with TLS
--   bytes                 how many bytes all clients send
--   upstream_bytes        how many bytes all upstreams send
--   clients               how many clients there are
--   steps                 a list of steps
--   takes_time            set by the player: whether time has passed while the script waited
--
-- Each step has a `line`, a `client` (its name, "" for the client without a name), and a `kind`. Steps of an upstream
-- have its name as `client`, and `is_upstream`; "expect" and "expect_end" are what the script does then.
--
--   "send"         `text`: the bytes that the client sends
--   "expect"       `items`: a list of { text = } and { pattern = }, each with its `line`. The player sets `length`: how
--                  long the answer was. A step that joins several answers has them as `parts`: a list of
--                  { items =, length = }
--   "send_end"     the client stops sending
--   "gone"         the client resets the connection
--   "expect_end"   the server closes the connection
--   "tls"          the client begins TLS, and shows `tls` (see tls.lua): as its first step it connects so
--   "expect_tls"   the script begins TLS with an upstream; `failure` and `why`: it fails, with this code
--   "wait"         `seconds`
--
-- With `udp`, the clients send datagrams, and the steps of clients have `is_datagram`: each "send" is one datagram, and
-- an "expect" has `datagrams`, a list of lists of items. datagrams.lua sets more fields in them.

local LONGEST <const> = require("parlance.workbench.datagrams").LONGEST
local literal = require "parlance.workbench.literal"
local proxy = require "parlance.workbench.proxy"
local tls = require "parlance.workbench.tls"

local transcript = { quote = literal.quote }

local MOST_BYTES <const> = literal.MOST_BYTES
local complain, shown = literal.complain, literal.shown

-- ---- reading ------------------------------------------------------------------------------------

-- Returns the seconds since 1970 of a time in UTC, such as 2026-11-22T16:58:38.5Z.
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

-- The headers. Each function gets the transcript and the rest of the line after the word.
local HEADERS <const> = {}

function HEADERS.fresh(self, rest)
  if rest ~= "" then complain("%s makes no sense after fresh", shown(rest)) end
  self.fresh = true
end

function HEADERS.udp(self, rest)
  if rest ~= "" then complain("%s makes no sense after udp", shown(rest)) end
  self.udp = true
end

function HEADERS.proxy(self, rest)
  if self.proxy then complain "proxy stands twice" end
  self.proxy = proxy.read(rest)
end

function HEADERS.time(self, rest)
  self.time = read_time(rest)
end

-- Reads a name and a text. In the value, ${HERE} is replaced by the folder of the transcript.
local function read_named(self, word, rest)
  local name, at = rest:match "^([%a_][%w_]*)%s+()"
  local text = name and literal.read_text(rest, at)
  if not text then complain('%s needs a name and a string: %s NAME "text"', word, word) end
  local here = self.path:match "^(.*)/[^/]*$" or "."
  return { name = name, text = text, value = (text:gsub("%${HERE}", (here:gsub("%%", "%%%%")))) }
end

function HEADERS.set(self, rest)
  local variable = read_named(self, "set", rest)
  if variable.value:find "\0" then complain "a variable cannot hold \\0" end
  self.variables[#self.variables + 1] = variable
end

function HEADERS.setting(self, rest)
  self.settings[#self.settings + 1] = read_named(self, "setting", rest)
end

-- Why a connect may fail, as the codes of net.connect, and what it says if the transcript does not.
local FAILURES <const> = {
  refused = "connection refused", unreachable = "No route to host", name = "Domain name not found",
  timeout = "timeout", certificate = "the certificate is refused: self-signed certificate",
  handshake = "TLS: the peer has closed the connection",
}

-- Reads how connecting fails, from `at` on. Returns the code and the text, or nil if nothing stands there.
local function read_failure(rest, at)
  local code, behind = rest:match("^%s*([^%s#]+)()", at)
  if not code then return nil end
  if not FAILURES[code] then
    complain("%s is no way to fail: refused, unreachable, name, timeout, certificate or handshake", shown(code))
  end
  return code, literal.read_text(rest, behind) or FAILURES[code]
end

function HEADERS.upstream(self, rest)
  local name, at = rest:match "^(%a%w*)%s+()"
  local address, behind
  if name then address, behind = literal.read_one(rest, at) end
  if not address or address == "" then complain 'upstream needs a name and an address: upstream NAME "HOST:PORT"' end
  if self.upstreams[name] then complain("there is an upstream %s already", name) end
  local upstream = { name = name, address = address }
  local behind_tls = rest:match("^%s*tls%f[%W]()", behind)
  upstream.tls = behind_tls and true
  if behind_tls and rest:find("^%s*[^%s#]", behind_tls) then complain "tls is the last word of an upstream" end
  if behind_tls then behind = #rest + 1 end
  upstream.failure, upstream.why = read_failure(rest, behind)
  self.upstreams[#self.upstreams + 1], self.upstreams[name] = upstream, upstream
end

local function add(self, step)
  step.line, step.is_upstream = self.line, self.upstreams[step.client] and true
  self.steps[#self.steps + 1] = step
  return step
end

-- Returns the last step if it has this client and this kind: then the line adds to it. Returns nil otherwise.
local function last_of(self, client, kind)
  local last = self.steps[#self.steps]
  return last and last.client == client and last.kind == kind and last or nil
end

local function add_send(self, client, text)
  local is_datagram = self.udp and not self.upstreams[client]
  local step = not is_datagram and last_of(self, client, "send") or add(self, { kind = "send", client = client })
  if is_datagram and #text > LONGEST then complain("a datagram has at most %d bytes", LONGEST) end
  step.is_datagram = is_datagram
  step.parts = step.parts or {}
  step.parts[#step.parts + 1] = text
  local count = self.upstreams[client] and "upstream_bytes" or "bytes"
  self[count] = self[count] + #text
  if self[count] > MOST_BYTES then complain("clients send over %d bytes", MOST_BYTES) end
end

local function add_expect(self, client, items)
  for _, item in ipairs(items) do
    self.said = self.said + #(item.text or item.pattern)
    if self.said > MOST_BYTES then complain("the server sends over %d bytes", MOST_BYTES) end
    item.line = self.line
  end
  local is_datagram = self.udp and not self.upstreams[client]
  local step = last_of(self, client, "expect") or add(self, {
    kind = "expect", client = client, is_datagram = is_datagram, [is_datagram and "datagrams" or "items"] = {},
  })
  if is_datagram then
    step.datagrams[#step.datagrams + 1] = items
  else
    table.move(items, 1, #items, #step.items + 1, step.items)
  end
end

-- The script begins TLS.
local function read_tls(self, client, rest)
  local failure, why = read_failure(rest, 4)
  if failure and failure ~= "certificate" and failure ~= "handshake" then
    complain("%s is no way for TLS to fail: certificate or handshake", shown(failure))
  end
  add(self, { kind = "expect_tls", client = client, failure = failure, why = why })
end

local function read_arrow(self, client, arrow, rest)
  local word = rest:match "^([%a]+)%s*$" or rest:match "^([%a]+)%s*#"
  if arrow == ">" and word == "end" then
    add(self, { kind = "send_end", client = client })
  elseif arrow == ">" and word == "gone" then
    add(self, { kind = "gone", client = client })
  elseif arrow == ">" and rest:find "^tls%f[%W]" then
    if self.upstreams[client] then complain "an upstream does not begin TLS: the script does, with < tls" end
    if self.udp then complain "datagrams have no TLS" end
    add(self, { kind = "tls", client = client, tls = tls.read(rest, 4) })
  elseif arrow == "<" and word == "end" then
    add(self, { kind = "expect_end", client = client })
  elseif arrow == "<" and rest:find "^tls%f[%W]" then
    if not self.upstreams[client] then complain "the server does not begin TLS: the client does, with > tls" end
    read_tls(self, client, rest)
  else
    local items = literal.read(rest, 1, arrow == "<")
    if #items == 0 then
      complain("%s needs a string, hex, %s", arrow, arrow == ">" and "end, gone or tls" or "end or a ~pattern")
    end
    if arrow == ">" then return add_send(self, client, items[1].text) end
    add_expect(self, client, items)
  end
end

-- After a step of such a kind its client can have no step of these kinds.
local ENDS <const> = {
  gone = { how = "the client has left", "send", "send_end", "gone", "expect", "expect_end", "tls" },
  send_end = { how = "the client has stopped sending", "send", "send_end", "tls" },
  expect_end = { how = "the server has closed", "expect", "expect_end", "tls" },
  tls = { how = "the client has begun TLS", "tls" },
}

local function read_client_line(self, client, arrow, rest)
  if self.upstreams[client] then return read_arrow(self, client, arrow, rest) end -- The script may connect again.
  if client:find "^%d" then complain("a client's name begins with a letter, not with %s", client:sub(1, 1)) end
  local ended = self.ended[client]
  if not ended then
    ended = {}
    self.ended[client], self.clients = ended, self.clients + 1
  end
  read_arrow(self, client, arrow, rest)
  local kind = self.steps[#self.steps].kind
  if self.udp and kind ~= "send" and kind ~= "expect" then
    if kind == "tls" then complain "datagrams have no TLS" end
    complain("datagrams have no connection that could %s", kind == "gone" and "break" or "end")
  end
  if ended[kind] then complain("%s", ended[kind]) end
  for _, other in ipairs(ENDS[kind] or {}) do
    ended[other] = ("%s in line %d"):format(ENDS[kind].how, self.line)
  end
end

-- The headers with texts, in which a # is no comment.
local HAS_TEXT <const> = { set = true, setting = true, upstream = true, proxy = true }

local function read_line(self, text)
  local client, arrow, at = text:match "^%s*(%w*)([<>])%s*()"
  if client then return read_client_line(self, client, arrow, text:sub(at)) end
  local word, rest = text:match "^%s*([^%s#]+)%s*(.-)%s*$"
  if not word then return end -- an empty line, or a comment
  if not HAS_TEXT[word] then rest = rest:gsub("%s*#.*$", "") end
  if word == "wait" then
    local seconds = tonumber(rest)
    if not seconds or not rest:find "^%d+%.?%d*$" or seconds > 1e6 then complain "wait needs a number of seconds" end
    add(self, { kind = "wait", seconds = seconds })
  elseif not HEADERS[word] then
    if rest:find "^[<>]" then
      complain("no blank may stand between a client's name and its arrow: %s", shown(word .. rest:sub(1, 1)))
    end
    if word:find "[<>]" then complain("%s: a client's name has letters and digits only", shown(word)) end
    complain("%s is no step: a line begins with > or <, or with wait, fresh, udp, proxy, time, set, "
      .. "setting or upstream",
      shown(word))
  elseif #self.steps > 0 then
    complain("%s must stand before the first step", word)
  else
    HEADERS[word](self, rest)
  end
end

--- Reads a transcript from its text. Returns nil and "path:line: what is wrong" if the text is not valid.
function transcript.read(text, path)
  local self = {
    path = path, variables = {}, settings = {}, upstreams = {}, steps = {}, bytes = 0, upstream_bytes = 0, said = 0,
    clients = 0, ended = {}, line = 0,
  }
  for line in (text:gsub("^\xEF\xBB\xBF", "") .. "\n"):gmatch "(.-)\r?\n" do
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

--- Reads a transcript from a file. Returns nil and an error text if that fails.
function transcript.open(path)
  local file <close>, why = io.open(path, "rb")
  if not file then return nil, why end
  local text, failure = file:read "a"
  if not text then return nil, ("%s: %s"):format(path, failure) end
  return transcript.read(text, path)
end

-- ---- writing ------------------------------------------------------------------------------------

-- Formats seconds without an exponent.
local function write_seconds(seconds)
  return (("%.6f"):format(seconds):gsub("%.?0+$", ""))
end

local function write_item(out, arrow, item)
  if item.text then return literal.write(out, arrow, item.text) end
  out[#out + 1] = ("%s ~%s"):format(arrow, literal.quote(item.pattern))
end

-- Each datagram has a line of its own.
local function write_datagrams(out, arrow, step)
  for _, items in ipairs(step.datagrams or { { step } }) do
    local parts = {}
    for i, item in ipairs(items) do
      parts[i] = item.text and literal.line(item.text) or "~" .. literal.quote(item.pattern)
    end
    out[#out + 1] = ("%s %s"):format(arrow, table.concat(parts, " "))
  end
end

local WORDS <const> = { send_end = "> end", gone = "> gone", expect_end = "< end" }

-- How it fails, as it stands behind an upstream's address or behind `tls`.
local function failing(self)
  return self.failure and (" %s %s"):format(self.failure, literal.quote(self.why)) or ""
end

--- Returns a transcript as text.
function transcript.write(self)
  local out = {}
  if self.fresh then out[#out + 1] = "fresh" end
  if self.udp then out[#out + 1] = "udp" end
  if self.proxy then out[#out + 1] = "proxy" .. proxy.write(self.proxy) end
  if self.time then
    local whole = math.floor(self.time)
    local part = write_seconds(self.time - whole):match "%.%d+" or ""
    out[#out + 1] = os.date("!time %Y-%m-%dT%H:%M:%S", whole) .. part .. "Z"
  end
  for _, setting in ipairs(self.settings or {}) do
    out[#out + 1] = ("setting %s %s"):format(setting.name, literal.quote(setting.text))
  end
  for _, upstream in ipairs(self.upstreams or {}) do
    local how = upstream.tls and " tls" or failing(upstream)
    out[#out + 1] = ("upstream %s %s%s"):format(upstream.name, literal.quote(upstream.address), how)
  end
  for _, variable in ipairs(self.variables or {}) do
    out[#out + 1] = ("set %s %s"):format(variable.name, literal.quote(variable.text))
  end
  for _, step in ipairs(self.steps) do
    if step.is_datagram then
      write_datagrams(out, step.client .. (step.kind == "send" and ">" or "<"), step)
    elseif step.kind == "send" then
      literal.write(out, step.client .. ">", step.text)
    elseif step.kind == "expect_tls" then
      out[#out + 1] = ("%s< tls%s"):format(step.client, failing(step))
    elseif step.kind == "wait" then
      out[#out + 1] = "wait " .. write_seconds(step.seconds)
    elseif step.kind == "expect" then
      for _, item in ipairs(step.items) do write_item(out, step.client .. "<", item) end
    elseif step.kind == "tls" then
      out[#out + 1] = ("%s> tls%s"):format(step.client, tls.write(step.tls))
    else
      out[#out + 1] = step.client .. WORDS[step.kind]
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return transcript
