-- The servers of the benchmarks: how each is started, and the program and package that it needs.

local measure = require "measure"

local servers = {}

local root = os.getenv("PARLANCE_BENCH_ROOT")
local folder = os.getenv("PARLANCE_BENCH_FOLDER")

local function write(name, text)
  local path = folder .. "/" .. name
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

local function parlance(script, environment, options, scheme)
  return {
    program = root .. "/build/release/parlance",
    command = function(port)
      return ("%s%s/build/release/parlance --log-level error %s -l %s127.0.0.1:%d %s/%s")
        :format(environment and "env " .. environment .. " " or "", root, options or "", scheme or "", port, root,
          script)
    end,
  }
end

-- The certificate of all servers with TLS: workplace.make_certificate().
local CERTIFICATE <const>, KEY <const> = (folder or "") .. "/certificate.pem", (folder or "") .. "/key.pem"

local function parlance_tls(script, environment)
  return parlance(script, environment, ("--certificate %s --key %s"):format(CERTIFICATE, KEY), "tls:")
end

-- nginx as in its documentation for static files, without logs and without an end to keep-alive.
local function nginx(location, has_tls)
  return {
    program = "nginx",
    package = "nginx libnginx-mod-http-lua",
    command = function(port)
      local modules = ""
      if location:find("lua", 1, true) then
        local place = measure.output("nginx -V 2>&1"):match("modules%-path=(%S+)")
        modules = ("load_module %s/ndk_http_module.so;\nload_module %s/ngx_http_lua_module.so;\n")
          :format(place, place)
      end
      local tls = has_tls and ("ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3;")
        :format(CERTIFICATE, KEY) or ""
      local path = write("nginx" .. port .. ".conf", ([[
user root;
worker_processes 1;
daemon off;
pid %s/nginx%d.pid;
error_log %s/nginx%d.error;
%sevents { worker_connections 10000; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type text/plain;
  server { listen 127.0.0.1:%d %sbacklog=4096; %s location / { %s } }
}
]]):format(folder, port, folder, port, modules, port, has_tls and "ssl " or "", tls, location))
      return "nginx -p " .. folder .. " -c " .. path
    end,
  }
end

servers["parlance, framing in C"] = parlance("bench/peers/length_line.lua")
servers["parlance, request_complete in Lua"] = parlance("protocols/length_sep_body.lua")
servers["parlance, redis"] = parlance("protocols/redis.lua")
servers["parlance, hello"] = parlance("bench/peers/hello.lua")
servers["parlance, broadcast"] = parlance("bench/peers/broadcast.lua")
servers["parlance, files"] = parlance("protocols/http.lua", "PARLANCE_ROOT=" .. (folder or "") .. "/files")

servers["parlance, hello with TLS"] = parlance_tls("bench/peers/hello.lua")
servers["parlance, files with TLS"] = parlance_tls("protocols/http.lua", "PARLANCE_ROOT=" .. (folder or "") .. "/files")
servers["parlance, UDP"] = parlance("bench/peers/udp.lua", nil, nil, "udp:")
servers["parlance, UDP"].is_udp = true

servers["parlance, sleep"] = parlance("bench/peers/sleep.lua")
servers["parlance, sleepers"] = parlance("bench/peers/sleepers.lua", nil, "--call-timeout 0")
servers["Lua, coroutines"] = {
  program = "lua5.4",
  module = "socket",
  package = "lua5.4 lua-socket",
  command = function(port) return ("lua5.4 %s/bench/peers/coroutines.lua %d"):format(root, port) end,
}

-- The Redis that gateways ask runs beside the client: see servers.start_redis().
local REDIS <const> = (folder or "") .. "/redis.socket"
servers["parlance, gateway"] = parlance("protocols/gateway.lua", nil, "--set redis=unix:" .. REDIS)
servers["nginx, lua-nginx-redis"] = nginx(([[content_by_lua_block {
  local redis = require("nginx.redis"):new()
  redis:set_timeout(2000)
  assert(redis:connect("unix:%s"))
  local value = assert(redis:get(ngx.var.uri:sub(2)))
  redis:set_keepalive(60000, 64)
  ngx.header.content_type = "application/octet-stream"
  ngx.header.content_length = #value
  ngx.print(value)
}]]):format(REDIS))
servers["nginx, lua-nginx-redis"].package = "nginx libnginx-mod-http-lua lua-nginx-redis"
servers["Node, http and net"] = {
  program = "node",
  package = "nodejs",
  command = function(port) return ("node %s/bench/peers/gateway.js %d %s"):format(root, port, REDIS) end,
}
servers["Node, setTimeout"] = {
  program = "node",
  package = "nodejs",
  command = function(port) return ("node %s/bench/peers/sleep.js %d"):format(root, port) end,
}

-- Where tunnels lead: the client of the benchmark listens there.
servers.far_port = measure.free_port()
servers["parlance, tunnel"] = parlance("bench/peers/tunnel.lua", nil, "--set to=127.0.0.1:" .. servers.far_port)
local function haproxy_tunnel(options)
  return {
    program = "haproxy",
    package = "haproxy",
    command = function(port)
      local path = write("haproxy" .. port .. ".cfg", ([[
global
  nbthread 1
  maxconn 1000
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 5s
%s
listen bench
  bind 127.0.0.1:%d
  server far 127.0.0.1:%d
]]):format(options, port, servers.far_port))
      return "haproxy -q -f " .. path
    end,
  }
end
servers["HAProxy, TCP mode"] = haproxy_tunnel ""
servers["HAProxy, TCP mode, splice-auto"] = haproxy_tunnel "  option splice-auto"
servers["socat"] = {
  program = "socat",
  package = "socat",
  command = function(port)
    return ("socat -b 65536 TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork TCP:127.0.0.1:%d")
      :format(port, servers.far_port)
  end,
}
servers["bare C, epoll"] = {
  program = "cc",
  package = "gcc",
  command = function(port) return folder .. "/floor " .. port end,
}
servers["bare C, recvmmsg"] = {
  program = "cc",
  package = "gcc",
  is_udp = true,
  command = function(port) return folder .. "/udp " .. port end,
}
servers["Node, dgram"] = {
  program = "node",
  package = "nodejs",
  is_udp = true,
  command = function(port) return ("node %s/bench/peers/udp.js %d"):format(root, port) end,
}
servers["Python recipe, select"] = {
  program = "python3",
  package = "python3",
  command = function(port) return ("python3 %s/bench/peers/recipe.py %d"):format(root, port) end,
}
servers["Node, net"] = {
  program = "node",
  package = "nodejs",
  command = function(port) return ("node %s/bench/peers/net.js %d"):format(root, port) end,
}
servers["Node, http"] = {
  program = "node",
  package = "nodejs",
  command = function(port) return ("node %s/bench/peers/http.js %d"):format(root, port) end,
}
servers["luv"] = {
  module = "luv",
  program = "lua5.4",
  package = "lua-luv",
  command = function(port) return ("lua5.4 %s/bench/peers/luv.lua %d"):format(root, port) end,
}
servers["HAProxy, Lua service"] = {
  program = "haproxy",
  package = "haproxy",
  command = function(port)
    local path = write("haproxy" .. port .. ".cfg", ([[
global
  lua-load %s/bench/peers/haproxy.lua
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 5s
listen bench
  bind 127.0.0.1:%d
  tcp-request content use-service lua.length_sep_body
]]):format(root, port))
    return "haproxy -q -f " .. path
  end,
}
servers["redis-server"] = {
  program = "redis-server",
  package = "redis-server redis-tools",
  command = function(port)
    return "redis-server --bind 127.0.0.1 --save '' --appendonly no --maxclients 12000 --port " .. port
  end,
}
servers["memcached"] = {
  program = "memcached",
  package = "memcached",
  command = function(port) return "memcached -u root -l 127.0.0.1 -t 1 -c 12000 -p " .. port end,
}
servers["nginx, return 200"] = nginx('return 200 "hello\\n";')
servers["nginx, content_by_lua"] = nginx('content_by_lua_block { ngx.print("hello\\n") }')
servers["nginx, files"] = nginx("root " .. (folder or "") .. "/files;")
servers["nginx, return 200 with TLS"] = nginx('return 200 "hello\\n";', true)
servers["nginx, files with TLS"] = nginx("root " .. (folder or "") .. "/files;", true)

---Whether the server can be started here.
function servers.is_here(name)
  local server = servers[name]
  return measure.has(server.program) and (not server.module or (pcall(require, server.module)))
end

---Starts the Redis that gateways ask, with one key.
function servers.start_redis(key, value)
  local port = measure.free_port()
  local command = servers["redis-server"].command(port) .. " --unixsocket " .. REDIS
  local redis = measure.start("redis-server", command, port, folder, true)
  measure.output(("redis-cli -s %s set %s %s"):format(REDIS, key, value))
  return redis
end

---Starts the server of that name on a free port. If `wrapper` is given, it is the command that runs the server.
function servers.start(name, wrapper)
  local port = measure.free_port()
  local command = (wrapper or "") .. servers[name].command(port)
  return measure.start(name, command, port, folder, false, servers[name].is_udp)
end

return servers
