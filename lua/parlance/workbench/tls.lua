-- Reads and writes what a client of a transcript shows when it begins TLS: the words behind `> tls`. In Lua this is a
-- table with the fields of `self.tls`.

local literal = require "parlance.workbench.literal"

local tls = {}

local complain, shown = literal.complain, literal.shown

-- The words in the order in which they are written. Those of the client's certificate are in the field `peer`.
local WORDS <const> = { "version", "cipher", "server_name", "alpn", "subject", "issuer", "fingerprint", "name" }
local OF_PEER <const> = { subject = true, issuer = true, fingerprint = true, name = true }

local IS_WORD <const> = {}
for _, word in ipairs(WORDS) do IS_WORD[word] = true end

local function set(place, word, text)
  if word == "name" then
    place.names = place.names or {}
    place.names[#place.names + 1] = text
  elseif place[word] then
    complain("%s stands twice", word)
  else
    place[word] = text
  end
end

--- Reads the words from `at` on, each with a text behind it.
function tls.read(line, at)
  local client = {}
  while true do
    local word, behind = line:match("^%s*([%w_]+)()", at)
    if not word then break end
    if not IS_WORD[word] then
      complain("tls has no %s: it has %s", shown(word), table.concat(WORDS, ", "))
    end
    local text, stop = literal.read_one(line, line:match("^%s*()", behind))
    if not text then complain('%s needs a text: %s "..."', word, word) end
    if text == "" or text:find "\0" then complain("%s needs a text without a zero byte", word) end
    local place = client
    if OF_PEER[word] then
      client.peer = client.peer or {}
      place = client.peer
    end
    set(place, word, text)
    at = stop
  end
  local rest = line:match("^%s*([^#]*)", at):gsub("%s+$", "")
  if rest ~= "" then complain("%s makes no sense behind tls", shown(rest)) end
  return client
end

--- Returns the words as text, with a blank before each of them.
function tls.write(client)
  local out, peer = {}, client.peer or {}
  local function put(word, text)
    if text then out[#out + 1] = (" %s %s"):format(word, literal.quote(text)) end
  end
  for _, word in ipairs(WORDS) do
    if word ~= "name" then put(word, (OF_PEER[word] and peer or client)[word]) end
  end
  for _, name in ipairs(peer.names or {}) do put("name", name) end
  return table.concat(out)
end

return tls
