-- Starts servers, drives clients, and counts the processor time of a server from /proc.

local socket = require "socket"

local measure = {}

local SERVER_CORE <const>, CLIENT_CORE <const> = 0, 1
local TICKS <const> = 100 -- USER_HZ: ticks of /proc/PID/stat in a second

---Whether a program can be run.
function measure.has(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") == true
end

---Returns the output of a shell command, without its last line feed.
function measure.output(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("\n$", ""))
end

local function read(path)
  local file <close> = io.open(path)
  return file and file:read("a")
end

---Returns a process and all its descendants (nginx has workers).
local function family(pid)
  local pids = { pid }
  for child in measure.output("pgrep -P " .. pid):gmatch("%d+") do
    for _, descendant in ipairs(family(child)) do pids[#pids + 1] = descendant end
  end
  return pids
end

---Returns the seconds of user and system time.
function measure.cpu(server)
  local ticks = 0
  for _, pid in ipairs(family(server.pid)) do
    local stat = read("/proc/" .. pid .. "/stat")
    if stat then
      local user, system = stat:match("%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
      ticks = ticks + tonumber(user) + tonumber(system)
    end
  end
  return ticks / TICKS
end

---Returns the bytes of resident memory.
function measure.memory(server)
  local total = 0
  for _, pid in ipairs(family(server.pid)) do
    local status = read("/proc/" .. pid .. "/status") or ""
    total = total + 1024 * tonumber(status:match("VmRSS:%s+(%d+)") or 0)
  end
  return total
end

---Returns a free port.
function measure.free_port()
  local listener <const> = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

local function listens(port)
  local client = socket.connect("127.0.0.1", port)
  return client and client:close()
end

---Whether a datagram is sent back.
local function echoes(port)
  local client = assert(socket.udp())
  client:settimeout(0.2)
  client:setpeername("127.0.0.1", port)
  local answer = client:send("x") and client:receive()
  client:close()
  return answer
end

---Waits until the server can be asked.
local function await(port, name, is_there)
  for _ = 1, 500 do
    if is_there(port) then return end
    socket.sleep(0.02)
  end
  error(name .. " did not come up on port " .. port)
end

---Starts a server on its own core, or beside the client. `command` is a shell command that runs in the foreground.
---A server with `is_udp` sends datagrams back.
function measure.start(name, command, port, folder, is_beside_client, is_udp)
  local log = folder .. "/" .. name:gsub("%W", "_") .. ".log"
  local pid = measure.output(("ulimit -n 20000; cd %s; exec taskset -c %d %s >%s 2>&1 & echo $!")
    :format(folder, is_beside_client and CLIENT_CORE or SERVER_CORE, command, log))
  local server = { name = name, pid = pid, port = port, log = log }
  await(port, name, is_udp and echoes or listens)
  return server
end

function measure.stop(server)
  for _, pid in ipairs(family(server.pid)) do os.execute("kill " .. pid .. " 2>/dev/null") end
  for _ = 1, 200 do
    if not read("/proc/" .. server.pid .. "/stat") then return end
    socket.sleep(0.02)
  end
  for _, pid in ipairs(family(server.pid)) do os.execute("kill -9 " .. pid .. " 2>/dev/null") end
end

---Runs a client on its own core and returns what it printed.
function measure.client(command)
  return measure.output(("ulimit -n 20000; taskset -c %d %s 2>&1"):format(CLIENT_CORE, command))
end

---Runs a client in the background; read its output from the returned pipe.
function measure.client_start(command)
  return assert(io.popen(("ulimit -n 20000; exec taskset -c %d %s 2>&1"):format(CLIENT_CORE, command)))
end

---Returns how many bytes a server sends for one request.
function measure.response_length(port, request)
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(0.3)
  client:send(request)
  local whole, _, part = client:receive(1 << 20)
  client:close()
  return #(whole or part)
end

---Returns the line with which a server answers a line.
function measure.ask(port, line)
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(60)
  client:send(line .. "\n")
  local answer, why = client:receive()
  client:close()
  return answer or error(why, 0)
end

function measure.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

measure.sleep = socket.sleep

return measure
