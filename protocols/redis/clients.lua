-- The connections and the command CLIENT.
local host = require "redis.host"
local memory = require "redis.memory"
local numbers = require "redis.numbers"
local reply = require "redis.reply"
local store = require "redis.store"

local bulk, integer = reply.bulk, reply.integer
local databases <const> = store.databases

local clients = { SEEN = 1, LAST = 2 } -- keys in `self`: see redis.lua

--- Returns the record of a connection.
function clients.of(self)
  local client = databases.clients[self]
  if client then return client end
  databases.connections = databases.connections + 1
  client = { id = databases.connections, since = host.now(), database = 0, name = "" }
  databases.clients[self] = client
  return client
end

--- Removes the record of a connection that has ended.
function clients.forget(self)
  databases.clients[self] = nil
end

-- ---- texts --------------------------------------------------------------------------------------

--- Whether a text of a client may be a field in a line of CLIENT LIST.
function clients.is_word(text)
  return not text:find "[^!-~]"
end

local function format_address(address)
  if not address then return "?:0" end
  local name = address.host:find(":", 1, true) and "[" .. address.host .. "]" or address.host
  return name .. ":" .. address.port
end

local function flags_of(client)
  local flags = (client.queue and "x" or "") .. (client.is_spoiled and "d" or "") .. (client.is_kept and "e" or "")
  return flags == "" and "N" or flags
end

-- The fields about memory are 0, because Lua cannot measure the memory of a connection.
local FORMAT <const> = "id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=%d sub=0 psub=0 ssub=0 "
  .. "multi=%d qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r "
  .. "cmd=%s user=default redir=-1 resp=2 lib-name=%s lib-ver=%s\n"

local function describe(self, client)
  local now = host.now()
  return FORMAT:format(
    client.id, format_address(self.client_address), format_address(self.server), client.name,
    math.floor(now - client.since), math.floor(math.max(now - (self[clients.SEEN] or client.since), 0)),
    flags_of(client), client.database, client.queue and #client.queue or -1, (self[clients.LAST] or "NULL"):lower(),
    client.library or "", client.library_version or ""
  )
end

-- Finds the connections for which a function is true. Returns a table from records to `self`, and the list of records
-- in the order of the connections.
local function select_clients(is_wanted)
  local selves, found = {}, {}
  for self, client in pairs(databases.clients) do
    if is_wanted(self, client) then
      selves[client] = self
      found[#found + 1] = client
    end
  end
  table.sort(found, function(a, b) return a.id < b.id end)
  return selves, found
end

function clients.count()
  local total = 0
  for _ in pairs(databases.clients) do total = total + 1 end
  return total
end

-- ---- CLIENT -------------------------------------------------------------------------------------

local TYPES <const> = { normal = true, master = true, replica = true, slave = true, pubsub = true }

-- Reads a type of client, or returns nil and an error. All clients of this server are normal ones.
local function read_type(text)
  local kind = text:lower()
  if not TYPES[kind] then return nil, reply.error("ERR Unknown client type '%s'", text) end
  return kind
end

local function id(_, _, self)
  return integer(clients.of(self).id)
end

local function get_name(_, _, self)
  local name = clients.of(self).name
  return name ~= "" and bulk(name) or reply.NOTHING
end

--- Names the connection, or answers with an error.
function clients.set_name(self, name)
  if not clients.is_word(name) then
    return reply.error "ERR Client names cannot contain spaces, newlines or special characters."
  end
  if memory.is_tight(#name) then return reply.OUT_OF_MEMORY end
  clients.of(self).name = name
  return reply.OK
end

local function set_name(request, _, self)
  return clients.set_name(self, request[3])
end

local LIBRARY_FIELDS <const> = { ["lib-name"] = "library", ["lib-ver"] = "library_version" }

local function set_info(request, _, self)
  local field = LIBRARY_FIELDS[request[3]:lower()]
  if not field then return reply.error("ERR Unrecognized option '%s'", request[3]) end
  if not clients.is_word(request[4]) then
    return reply.error("ERR %s cannot contain spaces, newlines or special characters.", request[3]:lower())
  end
  if memory.is_tight(#request[4]) then return reply.OUT_OF_MEMORY end
  clients.of(self)[field] = request[4]
  return reply.OK
end

local function info(_, _, self)
  return bulk(describe(self, clients.of(self)))
end

-- Reads the filter of CLIENT LIST, or returns nil and an error.
local function read_filter(request, count)
  if count == 2 then return function() return true end end
  local option = request[3]:lower()
  if option == "type" and count == 4 then
    local kind, fault = read_type(request[4])
    return kind and function() return kind == "normal" end, fault
  end
  if option ~= "id" or count == 3 then return nil, reply.SYNTAX end
  local wanted = {}
  for i = 4, count do
    local number = numbers.to_integer(request[i])
    if not number then return nil, reply.error "ERR Invalid client ID" end
    wanted[number] = true
  end
  return function(_, client) return wanted[client.id] end
end

local function list(request, count)
  local is_wanted, fault = read_filter(request, count)
  if not is_wanted then return fault end
  local selves, found = select_clients(is_wanted)
  local lines = {}
  for i, client in ipairs(found) do lines[i] = describe(selves[client], client) end
  return bulk(table.concat(lines))
end

local function set_no_evict(request, _, self)
  local how = request[3]:lower()
  if how ~= "on" and how ~= "off" then return reply.SYNTAX end
  clients.of(self).is_kept = how == "on"
  return reply.OK
end

-- ---- CLIENT KILL --------------------------------------------------------------------------------

-- Each option makes a test for connections from its value, or returns nil and an error.
local KILL_OPTIONS <const> = {
  id = function(text)
    local number = numbers.to_integer(text)
    if not number or number < 1 then return nil, reply.error "ERR client-id should be greater than 0" end
    return function(_, client) return client.id == number end
  end,
  addr = function(text)
    return function(self) return format_address(self.client_address) == text end
  end,
  laddr = function(text)
    return function(self) return format_address(self.server) == text end
  end,
  type = function(text)
    local kind, fault = read_type(text)
    return kind and function() return kind == "normal" end, fault
  end,
  user = function(text)
    if text ~= "default" then return nil, reply.error("ERR No such user '%s'", text) end
    return function() return true end
  end,
}

-- Reads the options, or returns nil and an error.
local function read_kill(request, count)
  local tests, skips_me = {}, true
  for i = 3, count, 2 do
    local option, value = request[i]:lower(), request[i + 1]
    if i == count then return nil, reply.SYNTAX end
    if option == "skipme" then
      local word = value:lower()
      if word ~= "yes" and word ~= "no" then return nil, reply.SYNTAX end
      skips_me = word == "yes"
    else
      if not KILL_OPTIONS[option] then return nil, reply.SYNTAX end
      local test, fault = KILL_OPTIONS[option](value)
      if not test then return nil, fault end
      tests[#tests + 1] = test
    end
  end
  return tests, skips_me
end

-- A script can only close the connection that it is answering. A command that would close another one is refused and
-- closes none.
local function kill(request, count, me)
  local tests, skips_me
  if count == 3 then
    tests, skips_me = { KILL_OPTIONS.addr(request[3]) }, false
  else
    tests, skips_me = read_kill(request, count)
    if not tests then return skips_me end
  end
  local _, found = select_clients(function(self, client)
    if self == me and skips_me then return false end
    for _, test in ipairs(tests) do
      if not test(self, client) then return false end
    end
    return true
  end)
  local own = clients.of(me)
  if #found > 1 or found[1] and found[1] ~= own then
    return reply.error "ERR CLIENT KILL can only end the connection that it came on"
  end
  if found[1] then me.close_when_done = true end
  if count > 3 then return integer(#found) end
  return found[1] and reply.OK or reply.error "ERR No such client"
end

-- CLIENT REPLY. OFF: this command and all later ones have no reply. SKIP: this command and the next one have none.
local function switch_replies(request, _, self)
  local how, client = request[3]:lower(), clients.of(self)
  if how ~= "on" and how ~= "off" and how ~= "skip" then return reply.SYNTAX end
  if how == "skip" and client.silence then return nil end
  client.silence = how ~= "on" and how or nil
  store.update_special(client)
  return how == "on" and reply.OK or nil
end

--- The subcommands: the function and the arity of each, as in redis.lua.
clients.commands = {
  getname = { get_name, 2 },
  id = { id, 2 },
  info = { info, 2 },
  kill = { kill, -3 },
  list = { list, -2 },
  ["no-evict"] = { set_no_evict, 3 },
  reply = { switch_replies, 3 },
  setinfo = { set_info, 4 },
  setname = { set_name, 3 },
}

return clients
