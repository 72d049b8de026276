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

-- How a connection is made: one that an earlier request has released will do, or only a new one.
local KEPT <const> = { timeout = TIMEOUT, reuse = true }
local NEW <const> = { timeout = TIMEOUT }

-- A command is an array of bulk strings. Each begins with its length; the lines of the usual lengths are made once.
local LENGTHS <const> = setmetatable({}, { __index = function(_, length) return "$" .. length .. "\r\n" end })
for length = 0, 255 do LENGTHS[length] = LENGTHS[length] end

-- Returns the reply, in which nil is a value; or nil, the reason and its code. A connection that is not released ends
-- with the request.
local function ask(command, how)
  local redis, why, code = net.connect(REDIS, how)
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
    return ask(command, NEW)
  end
  return reply, why, code
end

-- ---- answering over HTTP ------------------------------------------------------------------------

local TEXT <const> = { ["Content-Type"] = "text/plain; charset=utf-8" }
local BYTES <const> = { ["Content-Type"] = "application/octet-stream" }

local function say(status, text)
  return status, TEXT, text .. "\n"
end

local function answer_value(value)
  if not value then return say(404, "no such key") end
  return 200, BYTES, value .. "" -- A body is a string, and some Redis might answer with a number.
end

local function answer_set()
  return 204
end

local function answer_count(count)
  if count == 0 then return say(404, "no such key") end
  return 204
end

-- The command of each method, and how its reply is answered.
local METHODS <const> = {
  GET = function(key) return "*2\r\n$3\r\nGET\r\n" .. LENGTHS[#key] .. key .. "\r\n", answer_value end,
  PUT = function(key, request)
    local body <const> = request.body
    return "*3\r\n$3\r\nSET\r\n" .. LENGTHS[#key] .. key .. "\r\n" .. LENGTHS[#body] .. body .. "\r\n", answer_set
  end,
  DELETE = function(key) return "*2\r\n$3\r\nDEL\r\n" .. LENGTHS[#key] .. key .. "\r\n", answer_count end,
}
METHODS.HEAD = METHODS.GET -- parlance.http leaves out the body

local function handle(request)
  local method = METHODS[request.method]
  if not method then return 405, { Allow = "DELETE, GET, HEAD, PUT" } end
  local key = http.decode(http.split(request.target):sub(2))
  if key == "" then return say(400, "the path names no key") end

  local command, answer = method(key, request)
  local reply, why, code = ask(command, KEPT)
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
