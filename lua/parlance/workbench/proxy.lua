-- Reads and writes the header `proxy` of a transcript: what a proxy has told of its clients. In Lua this is a table
-- with the fields of `self.proxy`.

local literal = require "parlance.workbench.literal"
local words = require "parlance.workbench.words"

local proxy = {}

-- In the order in which they are written. All but the first three are in the field `ssl`.
local WORDS <const> = { "authority", "alpn", "unique_id", "version", "cipher", "common_name", "signature", "key",
  "has_certificate", "verified" }
local OWN <const> = { authority = true, alpn = true, unique_id = true }
local IS_FLAG <const> = { has_certificate = true, verified = true }

--- Reads the words.
function proxy.read(line)
  local header = {}
  words.read(line, 1, "proxy", WORDS, function(word, text)
    local value = text
    if IS_FLAG[word] then
      value = text == "true"
      if not value and text ~= "false" then literal.complain('%s is "true" or "false"', word) end
    end
    if not OWN[word] then header.ssl = header.ssl or {} end
    words.set(OWN[word] and header or header.ssl, word, value)
  end)
  return header
end

--- Returns the words as text, with a blank before each of them.
function proxy.write(header)
  local out = {}
  for _, word in ipairs(WORDS) do
    local value = (OWN[word] and header or header.ssl or {})[word]
    if value ~= nil then value = tostring(value) end
    out[#out + 1] = words.write(word, value)
  end
  return table.concat(out)
end

return proxy
