-- Reads and writes what a client of a transcript shows when it begins TLS: the words behind `> tls`. In Lua this is a
-- table with the fields of `self.tls`.

local words = require "parlance.workbench.words"

local tls = {}

-- In the order in which they are written. Those of the client's certificate are in the field `peer`.
local WORDS <const> = { "version", "cipher", "server_name", "alpn", "subject", "issuer", "fingerprint", "name" }
local OF_PEER <const> = { subject = true, issuer = true, fingerprint = true, name = true }

--- Reads the words from `at` on.
function tls.read(line, at)
  local client = {}
  words.read(line, at, "tls", WORDS, function(word, text)
    if OF_PEER[word] then client.peer = client.peer or {} end
    if word == "name" then
      client.peer.names = client.peer.names or {}
      client.peer.names[#client.peer.names + 1] = text
    else
      words.set(OF_PEER[word] and client.peer or client, word, text)
    end
  end)
  return client
end

--- Returns the words as text, with a blank before each of them.
function tls.write(client)
  local out, peer = {}, client.peer or {}
  for _, word in ipairs(WORDS) do
    if word ~= "name" then out[#out + 1] = words.write(word, (OF_PEER[word] and peer or client)[word]) end
  end
  for _, name in ipairs(peer.names or {}) do out[#out + 1] = words.write("name", name) end
  return table.concat(out)
end

return tls
