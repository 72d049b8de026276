-- protocols/gateway.lua between a client of HTTP and a Redis: ours, the real one, and one that the spec plays itself.

local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"
local upstream = require "support.upstream"

local function start(address, timeout, options)
  options = options or {}
  options[#options + 1], options[#options + 2] = "--set", "redis=" .. address
  options[#options + 1], options[#options + 2] = "--set", "timeout=" .. (timeout or 30)
  return server.start("protocols/gateway.lua", options)
end

local function send(client, method, target, body)
  return client:send(("%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(method, target, #(body or ""),
    body or ""))
end

-- Returns the status and the body of a response.
local function receive(client, is_to_head)
  local head = client:receive_until "\r\n\r\n"
  local length = is_to_head and 0 or head:match "\r\nContent%-Length: (%d+)\r\n" or 0
  return tonumber(head:match "^HTTP/1.1 (%d+) "), client:receive(tonumber(length))
end

local function ask(client, method, target, body)
  return receive(send(client, method, target, body), method == "HEAD")
end

-- What a client finds, whichever Redis there is.
local function check_keys(client)
  assert.same({ 404, "no such key\n" }, { ask(client, "GET", "/a") })
  assert.same({ 204, "" }, { ask(client, "PUT", "/a", "hello\0\r\n") })
  assert.same({ 200, "hello\0\r\n" }, { ask(client, "GET", "/a") })
  assert.same({ 200, "" }, { ask(client, "HEAD", "/a") })
  assert.same({ 204, "" }, { ask(client, "PUT", "/a%20%2F%00b", "") })
  assert.same({ 200, "" }, { ask(client, "GET", "/a%20%2F%00b?query") })
  assert.same({ 204, "" }, { ask(client, "DELETE", "/a") })
  assert.same({ 404, "no such key\n" }, { ask(client, "DELETE", "/a") })
  assert.same({ 204, "" }, { ask(client, "PUT", "/large", ("x"):rep(500000)) })
  assert.same({ 200, ("x"):rep(500000) }, { ask(client, "GET", "/large") })
end

-- A request of the gateway for /KEY, as the Redis gets it; the Redis answers.
local function answer_get(peer, key, reply)
  local command = ("*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n"):format(#key, key)
  assert.equal(command, peer:receive(#command))
  if reply then peer:send(reply) end
end

server.for_each_poller(function(poller)
  describe("gateway with " .. poller, function()
    local up

    before_each(function() up = upstream.listen() end)
    after_each(function() up:close() end)

    local function connect(timeout)
      return start(up.address, timeout, { poller = poller }):connect()
    end

    -- Asks for /a over a new connection, whose end at the Redis is returned. Without a reply there is no answer yet.
    local function ask_for_a(client, reply)
      send(client, "GET", "/a")
      local peer = up:accept()
      answer_get(peer, "a", reply)
      return peer
    end

    it("keeps the keys of protocols/redis.lua", function()
      local redis = server.start("protocols/redis.lua", { poller = poller })
      check_keys(start(redis.addresses[1].text, nil, { poller = poller }):connect())
    end)

    it("answers each client its own, when two hundred ask at once", function()
      local redis = server.start("protocols/redis.lua", { poller = poller })
      local gateway = start(redis.addresses[1].text, nil, { poller = poller })
      local clients = {}
      for i = 1, 200 do
        clients[i] = send(gateway:connect(), "PUT", "/" .. i, "value " .. i)
      end
      for i = 1, 200 do
        assert.equal(204, (receive(clients[i])))
        send(clients[i], "GET", "/" .. i)
      end
      for i = 1, 200 do assert.same({ 200, "value " .. i }, { receive(clients[i]) }) end
    end)

    it("asks again on the connection that it has kept", function()
      local client = connect()
      local peer = ask_for_a(client, "$1\r\n1\r\n")
      assert.same({ 200, "1" }, { receive(client) })
      send(client, "GET", "/b")
      answer_get(peer, "b", "$-1\r\n")
      assert.same({ 404, "no such key\n" }, { receive(client) })
    end)

    it("tries again once, where a kept connection ends before the first byte", function()
      local client = connect()
      local peer = ask_for_a(client, "$1\r\n1\r\n")
      receive(client)
      send(client, "GET", "/b")
      answer_get(peer, "b")
      peer:close()
      local other = up:accept()
      answer_get(other, "b", "$1\r\n2\r\n")
      assert.same({ 200, "2" }, { receive(client) })
    end)

    it("does not try again on a new connection, nor behind the first byte", function()
      local client = connect()
      local peer = ask_for_a(client)
      peer:close()
      assert.same({ 502, "no answer from Redis: closed\n" }, { receive(client) })

      peer = ask_for_a(client, "$1\r\n1\r\n")
      receive(client)
      send(client, "GET", "/b")
      answer_get(peer, "b", "$1\r")
      peer:close()
      assert.same({ 502, "no answer from Redis: closed\n" }, { receive(client) })
      assert.is_true(up:is_quiet(0.05))
    end)

    it("gives no late reply to the next request", function()
      local client = connect(1)
      local peer = ask_for_a(client)
      assert.same({ 504, "no answer from Redis: timeout\n" }, { receive(client) })
      send(client, "GET", "/b")
      local other = up:accept()
      peer:send "$4\r\nlate\r\n"
      answer_get(other, "b", "$1\r\nb\r\n")
      assert.same({ 200, "b" }, { receive(client) })
    end)

    it("tells an error of Redis, and that Redis talks nonsense or is not there", function()
      local client = connect()
      local peer = ask_for_a(client, "-WRONGTYPE no string\r\n")
      assert.same({ 502, "Redis: WRONGTYPE no string\n" }, { receive(client) })
      send(client, "GET", "/a")
      answer_get(peer, "a", ":0\r\n")
      assert.same({ 200, "0" }, { receive(client) }) -- a Redis does not say that, but it can be served
      send(client, "GET", "/a")
      answer_get(peer, "a", "HTTP/1.1 400 Bad Request\r\n\r\n")
      local status, body = receive(client)
      assert.equal(502, status)
      assert.matches("^no answer from Redis: Protocol error", body)
      up.listener:close()
      assert.same({ 502, "no answer from Redis: connection refused\n" }, { ask(client, "GET", "/a") })
    end)
  end)
end)

describe("gateway", function()
  server.cleans_up()

  it("keeps the keys of redis-server", function()
    if os.execute "command -v redis-server >/dev/null 2>&1" ~= true then
      return pending "redis-server is not installed"
    end
    local folder = server.new_folder()
    local redis <close> = setmetatable({}, { __close = function(self)
      self.process:signal(15)
      self.process:wait(server.DEADLINE)
      self.process:close()
      server.remove_folder(folder)
    end })
    local path = folder .. "/redis"
    redis.process = assert(process.spawn({
      "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder,
    }, { stdout = folder .. "/stdout", stderr = folder .. "/log" }))
    server.wait_until("redis-server", function() return lfs.attributes(path, "mode") == "socket" end)
    check_keys(start("unix:" .. path):connect())
  end)
end)
