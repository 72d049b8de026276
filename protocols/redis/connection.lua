-- Commands about the client's own connection.
local clients = require "redis.clients"
local host = require "redis.host"
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"

local bulk, integer = reply.bulk, reply.integer

local connection = { VERSION = "7.0.15" } -- the version of Redis that the specs compare with

function connection.ping(request, count)
  if count > 2 then return reply.wrong_arguments "ping" end
  return count == 2 and bulk(request[2]) or "+PONG\r\n"
end

function connection.echo(request)
  return bulk(request[2])
end

local LEAST <const>, MOST <const> = -2147483648, 2147483647

function connection.select(request, _, self)
  local index = numbers.to_integer(request[2])
  if not index then return reply.NO_INTEGER end
  if index < LEAST or index > MOST then return reply.not_between(LEAST, MOST) end
  if index < 0 or index >= store.DATABASES then return reply.error "ERR DB index is out of range" end
  local client = clients.of(self)
  client.database = index
  store.update_special(client)
  return reply.OK
end

function connection.quit(_, _, self)
  self.close_when_done = true
  return reply.OK
end

-- ---- users --------------------------------------------------------------------------------------

-- There is one user, and every password is accepted, as in a Redis without a password.
local function check_user(name)
  return name ~= "default" and "-WRONGPASS invalid username-password pair or user is disabled.\r\n" or nil
end

function connection.auth(request, count)
  if count > 3 then return reply.SYNTAX end
  if count == 3 then return check_user(request[2]) or reply.OK end
  return "-ERR AUTH <password> called without any password configured for the default user. "
    .. "Are you sure your configuration is correct?\r\n"
end

-- Reads the options of HELLO. Returns the name for the connection or nil, and an error or nil.
local function read_hello(request, count)
  local name, fault, i = nil, nil, 3
  while i <= count do
    local option = request[i]:upper()
    if option == "AUTH" and i + 2 <= count then
      fault = fault or check_user(request[i + 1])
      i = i + 3
    elseif option == "SETNAME" and i + 1 <= count then
      name = request[i + 1]
      i = i + 2
    else
      return nil, reply.error("ERR Syntax error in HELLO option '%s'", request[i])
    end
  end
  return name, fault
end

-- Only version 2 of the protocol is supported. Clients know this error by its first word.
function connection.hello(request, count, self)
  if count > 1 then
    local version = numbers.to_integer(request[2])
    if not version then return reply.error "ERR Protocol version is not an integer or out of range" end
    if version ~= 2 then return reply.error "NOPROTO unsupported protocol version" end
  end
  local name, fault = read_hello(request, count)
  if fault then return fault end
  if name then
    local answer = clients.set_name(self, name)
    if answer ~= reply.OK then return answer end
  end
  return table.concat {
    "*14\r\n", bulk "server", bulk "redis", bulk "version", bulk(connection.VERSION), bulk "proto", integer(2),
    bulk "id", integer(clients.of(self).id), bulk "mode", bulk "standalone", bulk "role", bulk "master",
    bulk "modules", reply.EMPTY,
  }
end

-- ---- requests of HTTP ---------------------------------------------------------------------------

local WARN_AFTER <const> = 60 -- s
local warned = -math.huge

--- A web page can make a browser send any bytes to this server, after the head of an HTTP request. A command that is
--- a part of such a head closes the connection at once.
function connection.refuse_http(_, _, self)
  self.close_when_done = true
  if host.now() - warned >= WARN_AFTER then
    warned = host.now()
    host.log("warn", "a request of HTTP was refused: a web page may have sent commands to this server", {
      peer = self.client_address and self.client_address.host or "unknown",
    })
  end
  return nil
end

return connection
