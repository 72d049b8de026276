-- Commands about the server: CONFIG, INFO and COMMAND.
local clients = require "redis.clients"
local connection = require "redis.connection"
local glob = require "redis.glob"
local host = require "redis.host"
local memory = require "redis.memory"
local reply = require "redis.reply"
local store = require "redis.store"
local strings = require "redis.strings"

local bulk, integer = reply.bulk, reply.integer
local databases <const> = store.databases

local server = {}

-- ---- CONFIG -------------------------------------------------------------------------------------

-- The settings that clients and benchmarks read.
local SETTINGS <const> = {
  appendonly = "no", databases = tostring(store.DATABASES), maxmemory = tostring(memory.MAXIMUM or 0),
  ["maxmemory-policy"] = "noeviction", save = "", timeout = "0",
}

local function get(request, count)
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

local function reset_statistics()
  strings.take_lookups()
  databases.expired, databases.hits, databases.misses = 0, 0, 0
  databases.connections_before, databases.commands_before = databases.connections, server.count_commands()
  return reply.OK
end

--- The subcommands: the function and the arity of each, as in redis.lua.
server.config = {
  get = { get, -3 },
  resetstat = { reset_statistics, 2 },
}

-- ---- INFO ---------------------------------------------------------------------------------------

-- Returns the first line of a file; "": the file cannot be read.
local function read_line(path)
  local file <close> = io.open(path)
  return file and file:read "l" or ""
end

-- Returns the fields of /proc/[pid]/stat of this process by their numbers in proc(5).
local function read_process()
  local text = read_line "/proc/self/stat"
  local fields = { text:match "^%d+" or "0", "", "" }
  for field in (text:match "%) %S(.*)" or ""):gmatch "%S+" do fields[#fields + 1] = field end
  return fields
end

local PID <const>, USER_TIME <const>, SYSTEM_TIME <const> = 1, 14, 15
local TICKS <const> = 100 -- USER_HZ: ticks of /proc in a second
local DAY <const> = 86400

local function format_bytes(bytes)
  if bytes < 1024 then return bytes .. "B" end
  for _, unit in ipairs { "K", "M" } do
    bytes = bytes / 1024
    if bytes < 1024 then return ("%.2f%s"):format(bytes, unit) end
  end
  return ("%.2fG"):format(bytes / 1024)
end

local function make_run_id()
  local digits = {}
  for i = 1, 40 do digits[i] = ("%x"):format(math.random(0, 15)) end
  return table.concat(digits)
end

databases.started = databases.started or host.now()
databases.run_id = databases.run_id or make_run_id()

-- Each function returns the lines of a section.
local sections = {}

function sections.Server(self)
  local uptime = math.floor(host.now() - databases.started)
  return {
    "redis_version:" .. connection.VERSION, "redis_git_sha1:00000000", "redis_git_dirty:0",
    "redis_mode:standalone", "server_name:parlance", "parlance_version:" .. host.version,
    ("os:%s %s"):format(read_line "/proc/sys/kernel/ostype", read_line "/proc/sys/kernel/osrelease"),
    "arch_bits:" .. string.packsize "T" * 8, "process_id:" .. read_process()[PID],
    "run_id:" .. databases.run_id, "tcp_port:" .. (self.server and self.server.port or 0),
    ("server_time_usec:%d"):format(host.time() * 1000000 // 1), "uptime_in_seconds:" .. uptime,
    "uptime_in_days:" .. uptime // DAY, "hz:10", "configured_hz:10",
  }
end

function sections.Clients()
  return {
    "connected_clients:" .. clients.count(), "cluster_connections:0", "blocked_clients:0", "tracking_clients:0",
    "clients_in_timeout_table:0",
  }
end

function sections.Memory()
  local used, maximum = memory.usage(), memory.MAXIMUM or 0
  return {
    "used_memory:" .. used, "used_memory_human:" .. format_bytes(used),
    "used_memory_lua:" .. used, "used_memory_lua_human:" .. format_bytes(used),
    "maxmemory:" .. maximum, "maxmemory_human:" .. format_bytes(maximum), "maxmemory_policy:noeviction",
  }
end

function sections.Persistence()
  return { "loading:0", "rdb_changes_since_last_save:0", "rdb_bgsave_in_progress:0", "aof_enabled:0" }
end

function sections.Stats()
  local hits, misses = strings.take_lookups()
  databases.hits, databases.misses = databases.hits + hits, databases.misses + misses
  return {
    "total_connections_received:" .. databases.connections - (databases.connections_before or 0),
    "total_commands_processed:" .. server.count_commands() - (databases.commands_before or 0), "rejected_connections:0",
    "expired_keys:" .. databases.expired, "evicted_keys:0", "keyspace_hits:" .. databases.hits,
    "keyspace_misses:" .. databases.misses, "pubsub_channels:0", "pubsub_patterns:0",
  }
end

function sections.Replication()
  return { "role:master", "connected_slaves:0" }
end

function sections.CPU()
  local process = read_process()
  return {
    ("used_cpu_sys:%.6f"):format((tonumber(process[SYSTEM_TIME]) or 0) / TICKS),
    ("used_cpu_user:%.6f"):format((tonumber(process[USER_TIME]) or 0) / TICKS),
  }
end

function sections.Cluster()
  return { "cluster_enabled:0" }
end

function sections.Keyspace()
  local lines = {}
  for i = 0, store.DATABASES - 1 do
    local database = databases[i]
    if database.keys.count > 0 then
      lines[#lines + 1] = ("db%d:keys=%d,expires=%d,avg_ttl=0"):format(i, database.keys.count, database.mortals.count)
    end
  end
  return lines
end

local ORDER <const> = {
  "Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Cluster", "Keyspace",
}

local ALL_SECTIONS <const> = { all = true, default = true, everything = true }

function server.info(request, count, self)
  local wanted, wants_all, lines = {}, count == 1, {}
  for i = 2, count do
    local name = request[i]:lower()
    wanted[name] = true
    wants_all = wants_all or ALL_SECTIONS[name]
  end
  for _, name in ipairs(ORDER) do
    if wants_all or wanted[name:lower()] then
      if #lines > 0 then lines[#lines + 1] = "" end
      lines[#lines + 1] = "# " .. name
      table.move(sections[name](self), 1, 64, #lines + 1, lines)
    end
  end
  return bulk(table.concat(lines, "\r\n") .. (#lines > 0 and "\r\n" or ""))
end

-- ---- COMMAND ------------------------------------------------------------------------------------

local FLAGS <const> = { readonly = "*1\r\n+readonly\r\n", write = "*1\r\n+write\r\n", none = "*0\r\n" }

local function describe(command)
  local flags = FLAGS[command.writes and "write" or command.reads and "readonly" or "none"]
  return table.concat {
    "*10\r\n", bulk(command.name), integer(command.arity), flags,
    integer(command.first), integer(command.last), integer(command.step), ("*0\r\n"):rep(4),
  }
end

--- Makes COMMAND from the list and the table of all commands. Returns its subcommands, and the function for COMMAND
--- without one. Clients use COMMAND to find the keys in a request.
function server.describe(list, by_name)
  local commands = {}

  local function describe_all()
    local pieces = { "*" .. #list .. "\r\n" }
    for i, command in ipairs(list) do pieces[i + 1] = describe(command) end
    return table.concat(pieces)
  end

  local function count_all()
    return integer(#list)
  end

  local function list_names()
    local names = {}
    for i, command in ipairs(list) do names[i] = command.name end
    return reply.array(names, #names)
  end

  local function describe_some(request, count)
    if count == 2 then return describe_all() end
    local pieces = { "*" .. count - 2 .. "\r\n" }
    for i = 3, count do
      local command = by_name[request[i]:lower()]
      pieces[#pieces + 1] = command and describe(command) or reply.NO_LIST
    end
    return table.concat(pieces)
  end

  -- COMMAND DOCS returns texts for people; redis-cli works without them.
  local function list_no_docs()
    return reply.EMPTY
  end

  commands.count = { count_all, 2 }
  commands.docs = { list_no_docs, -2 }
  commands.info = { describe_some, -2 }
  commands.list = { list_names, -2 }
  return commands, describe_all
end

return server
