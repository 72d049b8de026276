-- The rows: each measures our server and others with the same client.
--
-- `run(server)` of a row measures one server once and returns its figure. With `low = true` smaller figures are
-- better, and the goal is the largest ratio; else the smallest. The ratio is our figure divided by the other's. `most`
-- is a goal for our own figure.

local measure = require "measure"
local servers = require "servers"

local folder = os.getenv("PARLANCE_BENCH_FOLDER")
local SECONDS <const> = 3

local BODY <const> = "0123456789abcdef0123456789abcdef"
local LENGTH_LINE <const> = "32\\n" .. BODY

---Microseconds of the server's processor time for each request that `client` made.
local function cpu_per_request(server, client)
  local before = measure.cpu(server)
  local requests, rate = client()
  return (measure.cpu(server) - before) / requests * 1e6, rate
end

local function load_client(server, options, request, length)
  local output = measure.client(("%s/load %s -s %d %d '%s' %d")
    :format(folder, options, SECONDS, server.port, request, length))
  local rate, requests = output:match("^(%d+) (%d+)$")
  if not rate then error(server.name .. ": " .. output) end
  return tonumber(requests), tonumber(rate)
end

local function udp_echo(senders)
  return function(server)
    return cpu_per_request(server, function()
      return load_client(server, "-u -c " .. senders, BODY, #BODY)
    end)
  end
end

local function handshakes(options)
  return function(server)
    return cpu_per_request(server, function()
      local output = measure.client(("%s/handshakes %s -s %d %d"):format(folder, options, SECONDS, server.port))
      local rate, count = output:match("^(%d+) (%d+)$")
      if not rate then error(server.name .. ": " .. output) end
      return tonumber(count), tonumber(rate)
    end)
  end
end

local function length_line(depth)
  return function(server)
    return cpu_per_request(server, function()
      return load_client(server, "-p " .. depth, LENGTH_LINE, #BODY)
    end)
  end
end

local function run_wrk(server, path, connections, scheme)
  local output = measure.client(("wrk -t1 -c%d -d%ds %s://127.0.0.1:%d%s")
    :format(connections, SECONDS, scheme, server.port, path))
  if not output:find("Requests/sec") or output:find("Non%-2xx") then error(server.name .. ": " .. output) end
  return output
end

local function wrk(path, connections, scheme)
  return function(server)
    return cpu_per_request(server, function()
      local output = run_wrk(server, path, connections, scheme or "http")
      return tonumber(output:match "(%d+) requests in"), tonumber(output:match "Requests/sec:%s+([%d.]+)")
    end)
  end
end

local UNITS <const> = { MB = 2 ^ 20, GB = 2 ^ 30 }

---Seconds of the server's processor time for each GB that is read. Few requests for a large file end in a run.
local function wrk_bytes(path, connections, scheme)
  return function(server)
    local before = measure.cpu(server)
    local count, unit = run_wrk(server, path, connections, scheme):match "([%d.]+)(%aB) read"
    local bytes = tonumber(count) * UNITS[unit]
    return (measure.cpu(server) - before) / bytes * 1e9, bytes / SECONDS
  end
end

local function redis_benchmark(depth)
  return function(server)
    local output = measure.client(("redis-benchmark -p %d -t set,get -r 10000 -c 50 -P %d -n %d --csv")
      :format(server.port, depth, depth == 1 and 200000 or 1000000))
    local set, get = output:match('"SET","([%d.]+)"'), output:match('"GET","([%d.]+)"')
    if not get then error(server.name .. ": " .. output) end
    return 2 / (1 / tonumber(set) + 1 / tonumber(get))
  end
end

local IDLE <const> = 4000

local function idle_memory(request)
  return function(server)
    local length = measure.response_length(server.port, (request:gsub("\\(.)", { n = "\n", r = "\r" })))
    local before = measure.memory(server)
    local client <close> = measure.client_start(("%s/load -c 1 -i %d -s %d %d '%s' %d")
      :format(folder, IDLE, SECONDS, server.port, request, length))
    measure.sleep(SECONDS - 1)
    local memory = (measure.memory(server) - before) / IDLE
    client:read("a")
    return memory
  end
end

local TLS_IDLE <const> = 2000

local function idle_memory_with_tls(request)
  return function(server)
    local output = measure.output(("printf '%s' | timeout 1 openssl s_client -quiet -connect 127.0.0.1:%d 2>/dev/null")
      :format(request, server.port))
    local before = measure.memory(server)
    local client <close> = measure.client_start(("%s/handshakes -i %d -s %d %d '%s' %d")
      :format(folder, TLS_IDLE, SECONDS, server.port, request, #output + 1))
    local said = client:read()
    measure.sleep(SECONDS - 1)
    local memory = (measure.memory(server) - before) / TLS_IDLE
    if said ~= "ready" then error(server.name .. ": " .. tostring(said)) end
    return memory
  end
end

local function among_idle(idle)
  return function(server)
    local _, rate = load_client(server, ("-c 100 -i %d"):format(idle), LENGTH_LINE, #BODY)
    return rate
  end
end

---Microseconds of the server's processor time for each delivery of a message that is published.
local function broadcast(subscribers)
  return function(server)
    local client <close> = measure.client_start(("%s/broadcast -s %d %d %d")
      :format(folder, SECONDS, server.port, subscribers))
    local said = client:read()
    local before = measure.cpu(server)
    local rate, deliveries = (client:read("a") or ""):match("^(%d+) (%d+)")
    if said ~= "ready" or not rate then error(server.name .. ": " .. tostring(said)) end
    return (measure.cpu(server) - before) / tonumber(deliveries) * 1e6, tonumber(rate)
  end
end

---Seconds of the proxy's processor time for each GB that passes, both ways at once.
local function tunnel(connections)
  return function(server)
    local client <close> = measure.client_start(("%s/tunnel -s %d -c %d %d %d")
      :format(folder, SECONDS, connections, server.port, servers.far_port))
    local said = client:read()
    local before = measure.cpu(server)
    local bytes = tonumber(client:read() or "")
    local spent = measure.cpu(server) - before
    if said ~= "ready" or not bytes then error(server.name .. ": " .. tostring(said)) end
    return spent / bytes * 1e9, bytes / SECONDS
  end
end

---Bytes for each of so many clients whose request, a line, waits for longer than they do.
local function waiting_memory(clients)
  return function(server)
    local before = measure.memory(server)
    local client <close> = measure.client_start(("%s/load -c %d -s %d %d 'x\\n' 5")
      :format(folder, clients, SECONDS + 1, server.port))
    measure.sleep(SECONDS)
    local memory = (measure.memory(server) - before) / clients
    client:read("a")
    return memory
  end
end

---Has so many tasks sleep. Returns the bytes that each takes, or the ms of the collector's longest step beside them.
local function sleepers(tasks, what)
  return function(server)
    local before = measure.memory(server)
    local asleep = measure.ask(server.port, tasks)
    local memory = (measure.memory(server) - before) / tasks
    local step = tonumber(measure.ask(server.port, "step"))
    if asleep ~= "asleep" or not step then error(server.name .. ": " .. tostring(asleep)) end
    return what == "memory" and memory or step
  end
end

local GET <const> = "GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"

return {
  { "length_sep_body 32 B, framing in C", "us of CPU a request", low = true, run = length_line(1),
    ours = "parlance, framing in C",
    { "bare C, epoll", goal = 1.10 }, { "Python recipe, select" }, { "Node, net" }, { "luv" },
    { "HAProxy, Lua service" } },
  { "the same, 16 deep", "us of CPU a request", low = true, run = length_line(16),
    ours = "parlance, framing in C",
    { "bare C, epoll", goal = 1.25 }, { "Python recipe, select" }, { "Node, net" }, { "luv" } },
  { "the same, request_complete in Lua, 16 deep", "us of CPU a request", low = true,
    run = length_line(16), ours = "parlance, request_complete in Lua",
    { "bare C, epoll", goal = 2.0 } },
  { "redis-benchmark -t set,get -r 10000", "requests/s", run = redis_benchmark(1),
    ours = "parlance, redis", { "redis-server", goal = 1.05 } },
  { "the same with -P 16", "requests/s", run = redis_benchmark(16),
    ours = "parlance, redis", { "redis-server", goal = 1.0 } },
  { "hello over HTTP, wrk -t1 -c50", "us of CPU a request", low = true, run = wrk("/", 50),
    ours = "parlance, hello",
    { "nginx, return 200", goal = 0.85 }, { "nginx, content_by_lua", goal = 0.65 },
    { "Node, http" } },
  { "a 100 KiB file over HTTP", "us of CPU a request", low = true, run = wrk("/100K", 50),
    ours = "parlance, files", { "nginx, files", goal = 1.0 } },
  { "a 100 MiB file over HTTP", "us of CPU a request", low = true, run = wrk("/100M", 4),
    ours = "parlance, files", { "nginx, files", goal = 1.0 } },
  { "TLS handshakes, TLS 1.3, P-256", "us of CPU a handshake", low = true, run = handshakes "",
    ours = "parlance, hello with TLS", { "nginx, return 200 with TLS" } },
  { "TLS handshakes that resume a session, TLS 1.3", "us of CPU a handshake", low = true, run = handshakes "-r",
    ours = "parlance, hello with TLS", { "nginx, return 200 with TLS", goal = 1.0 } },
  { "hello over HTTPS, wrk -t1 -c50", "us of CPU a request", low = true, run = wrk("/", 50, "https"),
    ours = "parlance, hello with TLS", { "nginx, return 200 with TLS", goal = 1.0 } },
  { "a 100 MiB file over HTTPS", "s of CPU a GB", low = true, run = wrk_bytes("/100M", 4, "https"),
    ours = "parlance, files with TLS", { "nginx, files with TLS", goal = 1.05 } },
  { "UDP: 32 bytes are sent back, 50 senders", "us of CPU a datagram", low = true, run = udp_echo(50),
    ours = "parlance, UDP", { "bare C, recvmmsg", goal = 1.5 }, { "Node, dgram" } },
  { "memory of an idle connection, HTTPS", "bytes", low = true, run = idle_memory_with_tls(GET), fresh = true,
    ours = "parlance, hello with TLS", { "nginx, return 200 with TLS", goal = 1.0 } },
  { "memory of an idle connection, length_sep_body", "bytes", low = true, most = 512,
    run = idle_memory(LENGTH_LINE), fresh = true, ours = "parlance, framing in C", { "Node, net" } },
  { "memory of an idle connection, HTTP", "bytes", low = true, run = idle_memory(GET), fresh = true,
    ours = "parlance, hello", { "nginx, return 200" } },
  { "memory of an idle connection, Redis and memcached", "bytes", low = true, fresh = true,
    run = function(server)
      return idle_memory(server.name == "memcached" and "version\\r\\n" or "PING\\r\\n")(server)
    end,
    ours = "parlance, redis", { "redis-server" }, { "memcached" } },
  { "a message to 1,000 subscribers", "us of CPU a delivery", low = true, run = broadcast(1000),
    ours = "parlance, broadcast", { "redis-server" } },
  { "a message to 10,000 subscribers", "us of CPU a delivery", low = true, run = broadcast(10000),
    ours = "parlance, broadcast", { "redis-server", goal = 0.8 } },
  { "a gateway: a value of 32 bytes of a Redis over HTTP, wrk -t1 -c50", "us of CPU a request", low = true,
    run = wrk("/greeting", 50), beside = function() return servers.start_redis("greeting", BODY) end,
    ours = "parlance, gateway",
    { "nginx, lua-nginx-redis", goal = 0.80 }, { "Node, http and net" } },
  { "a tunnel: 8 TCP connections, both ways at once", "s of CPU a GB", low = true, run = tunnel(8),
    ours = "parlance, tunnel",
    { "HAProxy, TCP mode", goal = 1.0 }, { "HAProxy, TCP mode, splice-auto", goal = 1.0 }, { "socat" } },
  { "memory of a request that sleeps, 10,000 of them", "bytes", low = true, fresh = true,
    run = waiting_memory(10000), ours = "parlance, sleep", { "Node, setTimeout" } },
  { "memory of a background task that sleeps, 100,000 of them", "bytes", low = true, fresh = true,
    run = sleepers(100000, "memory"), ours = "parlance, sleepers", { "Lua, coroutines" } },
  { "longest step of the collector beside 10,000 tasks that sleep", "ms", low = true, fresh = true,
    run = sleepers(10000, "step"), ours = "parlance, sleepers", { "Lua, coroutines" } },
  { "longest step of the collector beside 100,000 tasks that sleep", "ms", low = true, fresh = true,
    run = sleepers(100000, "step"), ours = "parlance, sleepers", { "Lua, coroutines" } },
  { "100 busy connections among 10,000, against 100 alone", "requests/s", run = among_idle(9900),
    other_run = among_idle(0), ours = "parlance, framing in C",
    { "parlance, framing in C", goal = 0.95 } },
}
