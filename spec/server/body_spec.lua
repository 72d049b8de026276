-- timeout 120
-- Bodies of requests that are streams, over sockets: how much is read ahead, and peers that go. And http.serve with
-- stream_body, with the lesson of docs/writing-protocols.md.

local server = require "support.server"
local socket = require "socket"
local upstream = require "support.upstream"

-- Each path is a handler of `on`.
local SCRIPT <const> = [[
io.stdout:setvbuf "no"
local http = require "parlance.http"
local net = require "parlance.net"
local parlance = require "parlance"
local process = require "parlance.process"
local UPSTREAM <const> = "%s"
local on = {}
local function noted()
  return setmetatable({}, { __close = function(_, why) if why then print(tostring(why)) end end })
end
local function serve(request, self)
  local held <close> = noted()
  print("begins " .. request.target)
  return on[request.target:sub(2)](request.body, self)
end
function on.count(body)
  local total, sum = 0, 0
  for piece in body:lines "any" do
    total, sum = total + #piece, sum + piece:byte(1) + piece:byte(-1)
  end
  return 200, nil, total .. "\n"
end
function on.wait(body, self)
  self:set_response_timeout(0)
  parlance.sleep(0.5)
  return on.count(body)
end
function on.never(body)
  parlance.sleep(600)
end
function on.relay(body)
  local to <close> = assert(net.connect(UPSTREAM))
  for piece in body:lines "any" do to:write(piece) end
  return 200, nil, "relayed\n"
end
function on.program(body)
  local child <close> = assert(process.spawn { "wc", "-c" })
  for piece in body:lines "any" do child.stdin:write(piece) end
  child.stdin:close()
  return 200, nil, child.stdout:read "a"
end
function on.echo(body)
  return 200, nil, function()
    local piece, why, code = body:read "any"
    if not piece and code ~= "closed" then error(why) end
    return piece
  end
end
function on.beside(body)
  local task = parlance.spawn(function()
    local total = 0
    for piece in body:lines "any" do total = total + #piece end
    return total
  end)
  local _, total = task:wait()
  return 200, nil, total .. "\n"
end
function on.no() return 403, nil, "no\n" end
function on.tells(body)
  local _, _, code = body:read "a"
  return 200, nil, tostring(code) .. "\n"
end
function on.itself(body) return 200, nil, body end
return http.serve(serve, { stream_body = true, handle_close = function(_, why) print("closed " .. why) end, %s })
]]

local function head(target, ...)
  return table.concat({ "PUT /" .. target .. " HTTP/1.1", "Host: a", ... }, "\r\n") .. "\r\n\r\n"
end

local function long(target, length) return head(target, "Content-Length: " .. length) end

local CHUNKED <const> = "Transfer-Encoding: chunked"
local PIECE <const> = ("0123456789abcdef"):rep(4096)
local CHUNK <const> = ("10000\r\n%s\r\n"):format(PIECE)

-- What the kernel's buffers of a connection hold, at most, in bytes.
local KERNEL <const> = 16 * 1024 * 1024

server.for_each_poller(function(poller)
  local running

  local function start(options, address)
    running = server.start(SCRIPT:format(address or "", options or ""), { poller = poller, turns = true })
    return running:connect()
  end

  local function waits_for(text)
    server.wait_until(text, function() return running:output():find(text, 1, true) end)
  end

  local function response(client)
    local answer = client:receive_until "\r\n\r\n"
    local length = tonumber(answer:match "Content%-Length: (%d+)")
    return tonumber(answer:match "^HTTP/1.1 (%d+)"), client:receive(length), answer:match "Connection: (%w+)"
  end

  describe("a body", function()
    for _, case in ipairs { { "with a length", false }, { "in chunks", true } } do
      it(case[1] .. " of 64 MiB takes no memory of that size", function()
        local client = start()
        client:send(case[2] and head("count", CHUNKED) or long("count", 1024 * #PIECE))
        waits_for "begins"
        local memory = running:memory()
        for _ = 1, 1024 do client:send(case[2] and CHUNK or PIECE) end
        if case[2] then client:send "0\r\n\r\n" end
        client:send "GET /no HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.same({ 200, "67108864\n" }, { response(client) })
        assert.same({ 403, "no\n" }, { response(client) })
        if not server.is_sanitized then
          local more = running:memory() - memory
          assert.is_true(more < 8 * 1024, more .. " KiB")
        end
      end)
    end

    it("that is not read is not read from the peer, but for one read ahead", function()
      local client = start()
      local all = 1024 * #PIECE
      client:send(long("wait", all))
      waits_for "begins"
      local left = 1024
      local sent = client:send_until_full(function()
        left = left - 1
        return left >= 0 and PIECE or nil
      end, 0.2)
      assert.is_true(sent < KERNEL, sent .. " bytes were taken")
      client:send(("x"):rep(all - sent))
      assert.same({ 200, all .. "\n" }, { response(client) })
    end)

    it("that is passed on is read as fast as the other server reads", function()
      local other = upstream.listen()
      local client = start(nil, other.address)
      local all = 1024 * #PIECE
      client:send(long("relay", all))
      local peer = other:accept()
      local left = 1024
      local sent = client:send_until_full(function()
        left = left - 1
        return left >= 0 and PIECE or nil
      end, 0.3)
      assert.is_true(sent < 2 * KERNEL, sent .. " bytes were taken")
      local got, rest = 0, all - sent
      client.socket:settimeout(0)
      peer:settimeout(0)
      while got < all do
        socket.select({ peer }, rest > 0 and { client.socket } or nil, server.DEADLINE)
        local done, _, count = client.socket:send(PIECE, 1, math.min(rest, #PIECE))
        rest = rest - (done or count)
        local bytes, why, part = peer:receive(1024 * 1024)
        assert.is_true(bytes ~= nil or why == "timeout" or why == "closed", why)
        got = got + #(bytes or part)
      end
      client.socket:settimeout(server.DEADLINE, "t")
      assert.same({ 200, "relayed\n" }, { response(client) })
      assert.equal(all, got)
      other:close()
    end)

    it("can be read by a task beside", function()
      local client = start()
      client:send(head("beside", "Content-Length: " .. 65 * #PIECE, "Expect: 100-continue"))
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", client:receive_until "\r\n\r\n")
      for _ = 1, 65 do client:send(PIECE) end
      assert.same({ 200, 65 * #PIECE .. "\n" }, { response(client) })
    end)

    it("can be written to a program", function()
      local client = start()
      client:send(long("program", 64 * #PIECE))
      for _ = 1, 64 do client:send(PIECE) end
      assert.same({ 200, 64 * #PIECE .. "\n" }, { response(client) })
    end)

    it("goes back as it comes, and the connection is closed behind it", function()
      local client = start()
      client:send(head("echo", CHUNKED) .. "1\r\na")
      client:receive_until "1\r\na\r\n"
      client:send "\r\n2\r\nbc\r\n0\r\n\r\n"
      assert.equal("2\r\nbc\r\n0\r\n\r\n", client:receive_all())
    end)

    it("counts for --max-buffered, as far as it is read at once", function()
      running = server.start(SCRIPT:format("", ""), { poller = poller, "--max-buffered", "4M" })
      local client = running:connect()
      client:send(long("tells", 100 * #PIECE))
      client:send_until_full(function() return PIECE end, 0.2)
      assert.truthy(client:receive_rest():find("HTTP/1.1 503 ", 1, true))
      waits_for "cancelled"
      waits_for "closed overloaded"
    end)

    it("that is broken cuts what goes back", function()
      local client = start()
      client:send(head("echo", CHUNKED) .. "1\r\na")
      client:receive_until "1\r\na\r\n"
      client:send "\r\nx"
      assert.equal("", client:receive_rest())
      waits_for "closed malformed"
      assert.equal(0, running:count_in_log "script_error")
    end)

    it("ends the connection after idle_timeout, where nothing of it comes", function()
      local client = start "idle_timeout = 0.3"
      client:send(long("count", 10) .. "x")
      assert.equal("", client:receive_all())
      waits_for "cancelled"
      waits_for "closed idle_timeout"
    end)
  end)

  describe("a peer", function()
    it("that resets the connection within a body ends its task", function()
      local client = start()
      client:send(long("count", 10) .. "x")
      waits_for "begins"
      running:turn()
      client:reset()
      waits_for "cancelled"
      waits_for "closed peer_reset"
    end)

    it("that stops sending within a body that is read breaks it, where half_close allows that", function()
      local client = start "half_close = true"
      client:send(long("tells", 10) .. "x")
      waits_for "begins"
      running:turn()
      client:half_close()
      assert.same({ 200, "reset\n", "close" }, { response(client) })
      assert.equal("", client:receive_all())
    end)

    for _, target in ipairs { "tells", "never" } do
      it("that stops sending within a body is gone without it, whether it is read or not: " .. target, function()
        local client = start()
        client:send(long(target, 10) .. "x")
        waits_for "begins"
        running:turn()
        client:half_close()
        waits_for "cancelled"
        waits_for "closed peer_closed"
        assert.equal("", client:receive_all())
      end)
    end

    it("that waits to be told is told when the body is read, and else is not", function()
      local client = start()
      client:send(head("count", "Content-Length: 3", "Expect: 100-continue"))
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", client:receive_until "\r\n\r\n")
      client:send "abc"
      assert.same({ 200, "3\n" }, { response(client) })
      client:send(head("no", "Content-Length: 3", "Expect: 100-continue"))
      assert.same({ 403, "no\n", "close" }, { response(client) })
      assert.equal("", client:receive_all())
    end)
  end)

  describe("http.serve with stream_body", function()
    it("says that the connection closes, if the body cannot be dropped", function()
      local client = start()
      client:send(long("no", 65536) .. PIECE)
      assert.same({ 403, "no\n" }, { response(client) })
      client:send(long("no", 65537) .. PIECE)
      assert.same({ 403, "no\n", "close" }, { response(client) })
      assert.equal("", client:receive_all())
      client = running:connect()
      client:send(head("no", CHUNKED) .. "0\r\n\r\n")
      assert.same({ 403, "no\n", "close" }, { response(client) })
      assert.equal("", client:receive_all())
    end)

    it("has no limit for a body, or the one that it is given", function()
      local client = start "max = 10"
      client:send(long("count", 11))
      assert.equal(413, (response(client)))
      client = running:connect()
      client:send(head("count", CHUNKED) .. "b\r\n")
      assert.same({ 413, "413 Content Too Large\nthe body is larger than allowed\n", "close" }, { response(client) })
    end)

    it("answers a broken body with 400", function()
      local client = start()
      client:send(head("count", CHUNKED) .. "1\r\nxy")
      assert.same({ 400, "400 Bad Request\nno CR LF behind the data of a chunk\n", "close" }, { response(client) })
      assert.equal(0, running:count_in_log "script_error")
    end)

    it("tells how a stream becomes the body of a response", function()
      local client = start()
      client:send(long("itself", 1) .. "x")
      assert.equal(500, (response(client)))
      assert.equal(1, running:count_in_log "a body cannot be made of a stream: return a function that reads it")
    end)

    it("is the lesson of the documents", function()
      local page = server.read_file(server.SOURCE .. "/docs/writing-protocols.md")
      local lesson = assert(page:match "#### Bodies of any length.-```lua\n(.-)```")
      running = server.start(lesson, { poller = poller })
      local client = running:connect()
      client:send(head("x", CHUNKED) .. "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n" .. long("x", 2) .. "ab")
      assert.same({ 200, "4 bytes\n" }, { response(client) })
      assert.same({ 200, "2 bytes\n" }, { response(client) })
      client:send(head("x", CHUNKED) .. "x")
      local why = "400 the chunk size holds a byte that is no hexadecimal digit\n"
      assert.same({ 400, why, "close" }, { response(client) })
    end)
  end)
end)
