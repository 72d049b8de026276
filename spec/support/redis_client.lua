-- What a client of Redis sends and reads.

local redis_client = {}

-- A list of words as a client sends them.
function redis_client.encode(words)
  local out = { "*" .. #words .. "\r\n" }
  for i, word in ipairs(words) do out[i + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n" end
  return table.concat(out)
end

-- A word that Redis says before it closes the connection.
function redis_client.is_last_word(reply)
  return reply:find("^%-ERR Protocol error") ~= nil
end

return redis_client
