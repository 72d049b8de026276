-- Commands about the server and the connection. Most connections are like all others: only for one
-- that has chosen a database, has a name or is in a transaction is there a `client` in store.clients.
local glob = require "redis.glob"
local reply = require "redis.reply"
local store = require "redis.store"

local has_server, parlance = pcall(require, "parlance")

local bulk, integer = reply.bulk, reply.integer

local connection = {}

local started <const> = store.now()

--- What is known of a connection; `self` is its client handler.
function connection.client_of(self)
  local client = store.clients[self]
  if not client then
    client = { database = 0, name = "" }
    store.add_client(self, client)
  end
  return client
end

-- Runs what the first argument behind the command's name says.
local function subcommands(name, functions)
  return function(request, count, self)
    local run = functions[request[2]:upper()]
    if not run then
      return reply.error("ERR unknown subcommand '%s'. Try %s HELP.", request[2]:sub(1, 128), name)
    end
    return run(request, count, self)
  end
end

function connection.ping(request, count)
  if count > 2 then return reply.wrong_arguments "ping" end
  return count == 2 and bulk(request[2]) or "+PONG\r\n"
end

function connection.echo(request)
  return bulk(request[2])
end

function connection.select(request, _, self)
  local index = reply.to_integer(request[2])
  if not index then return reply.NO_INTEGER end
  if index < 0 or index >= store.DATABASES then return reply.error "ERR DB index is out of range" end
  connection.client_of(self).database = index
  return reply.OK
end

function connection.quit(_, _, self)
  self.close_when_done = true
  return reply.OK
end

local VERSION <const> = "7.0.15" -- the Redis that this was held against

local last_id = 0

local function id_of(self)
  local client = connection.client_of(self)
  if not client.id then
    last_id = last_id + 1
    client.id = last_id
  end
  return client.id
end

function connection.hello(request, count, self)
  if count > 1 and request[2] ~= "2" then
    if not reply.to_integer(request[2]) then
      return reply.error "ERR Protocol version is not an integer or out of range"
    end
    return reply.error "NOPROTO unsupported protocol version"
  end
  for i = 3, count, 2 do
    if request[i]:upper() ~= "SETNAME" or not request[i + 1] then
      return reply.error("ERR Syntax error in HELLO option '%s'", request[i])
    end
    connection.client_of(self).name = request[i + 1]
  end
  return table.concat {
    "*14\r\n", bulk "server", bulk "redis", bulk "version", bulk(VERSION), bulk "proto", integer(2),
    bulk "id", integer(id_of(self)), bulk "mode", bulk "standalone", bulk "role", bulk "master",
    bulk "modules", reply.EMPTY,
  }
end

-- ---- CLIENT -------------------------------------------------------------------------------------

local client_commands = {}

function client_commands.ID(_, _, self)
  return integer(id_of(self))
end

function client_commands.GETNAME(_, _, self)
  local client = store.clients[self]
  return client and client.name ~= "" and bulk(client.name) or reply.NOTHING
end

function client_commands.SETNAME(request, count, self)
  if count ~= 3 then return reply.wrong_arguments "client|setname" end
  if request[3]:find "[^!-~]" then
    return reply.error "ERR Client names cannot contain spaces, newlines or special characters."
  end
  connection.client_of(self).name = request[3]
  return reply.OK
end

function client_commands.SETINFO()
  return reply.OK
end

-- Of this connection only.
function client_commands.INFO(_, _, self)
  local client, peer, here = connection.client_of(self), self.client_address or {}, self.server or {}
  return bulk(("id=%d addr=%s:%s laddr=%s:%s name=%s db=%d cmd=client resp=2\n"):format(
    id_of(self), peer.host, peer.port, here.host, here.port, client.name, client.database
  ))
end

client_commands.LIST = client_commands.INFO
connection.client = subcommands("CLIENT", client_commands)

-- ---- the server ---------------------------------------------------------------------------------

-- What clients and benchmarks like to know of a server that keeps everything in memory.
local SETTINGS <const> = {
  appendonly = "no", databases = tostring(store.DATABASES), maxmemory = "0",
  ["maxmemory-policy"] = "noeviction", save = "", timeout = "0",
}

local config_commands = {}

function config_commands.GET(request, count)
  if count < 3 then return reply.wrong_arguments "config|get" end
  local list = {}
  for name, value in pairs(SETTINGS) do
    for i = 3, count do
      if glob.compile(request[i]:lower())(name) then
        list[#list + 1] = name
        list[#list + 1] = value
        break
      end
    end
  end
  return reply.array(list, #list)
end

function config_commands.RESETSTAT()
  return reply.OK
end

connection.config = subcommands("CONFIG", config_commands)

local sections = {}

function sections.Server()
  return {
    "redis_version:" .. VERSION, "redis_mode:standalone", "server_name:parlance",
    "parlance_version:" .. (has_server and parlance.version or "none"),
    "uptime_in_seconds:" .. (store.now() - started) // 1000,
  }
end

function sections.Memory()
  return { "used_memory:" .. math.floor(collectgarbage "count" * 1024), "maxmemory:0" }
end

function sections.Replication()
  return { "role:master", "connected_slaves:0" }
end

function sections.Keyspace()
  local lines = {}
  for i = 0, store.DATABASES - 1 do
    local database = store.databases[i]
    if database.keys.count > 0 then
      lines[#lines + 1] = ("db%d:keys=%d,expires=%d,avg_ttl=0"):format(i, database.keys.count, database.mortals.count)
    end
  end
  return lines
end

local ALL_SECTIONS <const> = { all = true, default = true, everything = true }

function connection.info(request, count)
  local lines = {}
  for _, name in ipairs { "Server", "Memory", "Replication", "Keyspace" } do
    local is_wanted = count == 1
    for i = 2, count do
      local wanted = request[i]:lower()
      is_wanted = is_wanted or wanted == name:lower() or ALL_SECTIONS[wanted]
    end
    if is_wanted then
      if #lines > 0 then lines[#lines + 1] = "" end
      lines[#lines + 1] = "# " .. name
      table.move(sections[name](), 1, 64, #lines + 1, lines)
    end
  end
  return bulk(table.concat(lines, "\r\n") .. (#lines > 0 and "\r\n" or ""))
end

-- ---- COMMAND ------------------------------------------------------------------------------------

--- Makes COMMAND from the table of all commands. A client asks for it to find out where the keys
--- stand in a request.
function connection.describe(commands)
  local functions = {}

  local function describe(command)
    local flags = command.writes and "write" or "readonly"
    return table.concat {
      "*10\r\n", bulk(command.name), integer(command.arity), "*1\r\n+", flags, "\r\n",
      integer(command.first), integer(command.last), integer(command.step), ("*0\r\n"):rep(4),
    }
  end

  local function describe_all()
    local pieces = {}
    for name, command in pairs(commands) do
      if name == command.name then pieces[#pieces + 1] = describe(command) end
    end
    return "*" .. #pieces .. "\r\n" .. table.concat(pieces)
  end

  function functions.COUNT()
    local total = 0
    for name, command in pairs(commands) do
      if name == command.name then total = total + 1 end
    end
    return integer(total)
  end

  function functions.INFO(request, count)
    if count == 2 then return describe_all() end
    local pieces = { "*" .. count - 2 .. "\r\n" }
    for i = 3, count do
      local command = commands[request[i]:lower()]
      pieces[#pieces + 1] = command and describe(command) or reply.NO_LIST
    end
    return table.concat(pieces)
  end

  -- A text for people, which redis-cli does without.
  function functions.DOCS()
    return reply.EMPTY
  end

  local run = subcommands("COMMAND", functions)
  return function(request, count, self)
    if count == 1 then return describe_all() end
    return run(request, count, self)
  end
end

return connection
