-- A gateway: it is asked over HTTP, and asks a Redis.
--
--     parlance --set redis=localhost:6379 protocols/gateway.lua
--     curl -X PUT -d hello localhost:8006/greeting
--     curl localhost:8006/greeting
--
-- A request waits here until Redis answers. Meanwhile the server serves all others.

local framing = require "parlance.framing"
local http = require "parlance.http"
local net = require "parlance.net"
local parlance = require "parlance"

local REDIS <const> = parlance.settings.redis or "localhost:6379"
local TIMEOUT <const> = tonumber(parlance.settings.timeout or 2)

-- ---- asking Redis -------------------------------------------------------------------------------

local replies <const> = framing.resp { replies = true }

-- A command is an array of bulk strings.
local function encode(words)
  local parts = { "*" .. #words .. "\r\n" }
  for i, word in ipairs(words) do parts[i + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n" end
  return table.concat(parts)
end

-- Returns the reply, in which nil is a value; or nil, the reason and its code. `reuse`: a connection that an earlier
-- request has released will do.
local function ask(command, reuse)
  local redis <close>, why, code = net.connect(REDIS, { timeout = TIMEOUT, reuse = reuse })
  if not redis then return nil, why, code end
  redis:set_timeout(TIMEOUT)
  redis:write(command)
  local reply
  reply, why, code = redis:read(replies)
  if not why then
    redis:release() -- all of the reply was read: the next request may have the connection
  elseif redis.reused and (code == "closed" or code == "reset") and not redis:peek(1) then
    -- Redis had closed the kept connection, and not a byte came: a new one is tried. The command may run twice: all
    -- commands of this gateway may.
    return ask(command, false)
  end
  return reply, why, code
end

-- ---- answering over HTTP ------------------------------------------------------------------------

local function say(status, text)
  return status, { ["Content-Type"] = "text/plain; charset=utf-8" }, text and text .. "\n"
end

local function answer_value(value)
  if not value then return say(404, "no such key") end
  return 200, { ["Content-Type"] = "application/octet-stream" }, tostring(value)
end

local function answer_count(count)
  if count == 0 then return say(404, "no such key") end
  return 204
end

-- What each method asks for, and how its reply is answered.
local METHODS <const> = {
  GET = function(key) return { "GET", key }, answer_value end,
  PUT = function(key, body) return { "SET", key, body }, function() return 204 end end,
  DELETE = function(key) return { "DEL", key }, answer_count end,
}
METHODS.HEAD = METHODS.GET -- parlance.http leaves out the body

local function handle(request)
  local method = METHODS[request.method]
  if not method then return 405, { Allow = "DELETE, GET, HEAD, PUT" } end
  local key = http.decode(http.split(request.target):sub(2))
  if key == "" then return say(400, "the path names no key") end

  local words, answer = method(key, request.body)
  local reply, why, code = ask(encode(words), true)
  if why then return say(code == "timeout" and 504 or 502, "no answer from Redis: " .. why) end
  if type(reply) == "table" then return say(502, "Redis: " .. tostring(reply)) end -- its own error
  return answer(reply)
end

return http.serve(handle, {
  listen = "localhost:8006",
  example = "GET /greeting HTTP/1.1\r\nHost: localhost\r\n\r\n",
  settings = {
    redis = "the address of the Redis: localhost:6379, or unix:/run/redis.sock",
    timeout = "seconds for the connection to it, and for each reply; default 2",
  },
})
