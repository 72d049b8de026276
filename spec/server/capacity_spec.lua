-- release only
-- serial
-- As many connections as the system lets us have: 10,000 under epoll, what fits under select.

local server = require "support.server"
local net = require("parlance_spec").io

local ECHO <const> = "protocols/echo.lua"

-- Plain descriptors, because so many luasocket objects take long to make.
local function open_many(port, count, opened)
  for nth = 1, count do opened[nth] = assert(net.connect(port)) end
end

local function close_many(opened)
  -- With a RST, so that no port of the client's stays in TIME_WAIT.
  for _, fd in ipairs(opened) do net.close(fd, true) end
end

local function write(fd, bytes)
  net.write(fd, { bytes }, false) -- the answer tells whether it got there
end

-- The answer, "" for the end of the connection.
local function read_answer(fd)
  assert.is_true(net.ready(fd, "r", server.DEADLINE), "no answer")
  local bytes, status = net.read(fd)
  return bytes or (status == "closed" and "" or status)
end

-- Lets this process have so many descriptors, if the system allows it, and returns what it had.
local function allow_descriptors(count)
  return (net.limit_descriptors(count))
end

-- After the test: the connections, and the limit as it was.
local function clean_up(opened, limit)
  close_many(opened)
  net.limit_descriptors(limit)
end

describe("10,000 connections under epoll", function()
  server.cleans_up()

  it("are held open at once, and each is answered", function()
    local count <const> = 10000
    local limit = allow_descriptors(count + 200)
    if not limit then
      pending "the limit of descriptors is too low here"
      return
    end
    local running = server.start(ECHO, { poller = "epoll", rlimit_nofile = count + 200 })
    local opened = {}
    finally(function() clean_up(opened, limit) end)
    open_many(running.addresses[1].port, count, opened)
    for _ = 1, 2 do
      for nth, fd in ipairs(opened) do write(fd, "this is " .. nth .. "\n") end
      for nth, fd in ipairs(opened) do assert.equal("this is " .. nth .. "\n", read_answer(fd)) end
    end
    assert.is_true(running:descriptors() > count)
    assert.equal(0, running:count_in_log " full ")
    -- An idle connection owns no buffer: what it takes is its record, its session and its `self`.
    assert.is_true(running:memory() < 32 * 1024, running:memory() .. " KiB")
    close_many(opened)
    opened = {}
    server.wait_until("all of them to be gone", function() return running:descriptors() < 100 end)
  end)
end)

describe("1,100 connections under select", function()
  server.cleans_up()

  it("are answered as far as they fit, the others are refused, and the server lives", function()
    local count <const> = 1100
    local limit = allow_descriptors(count + 200)
    if not limit then
      pending "the limit of descriptors is too low here"
      return
    end
    local running = server.start(ECHO, { poller = "select", rlimit_nofile = count + 200 })
    local opened = {}
    finally(function() clean_up(opened, limit) end)
    open_many(running.addresses[1].port, count, opened)
    local answered, refused = 0, 0
    for nth, fd in ipairs(opened) do
      write(fd, nth .. "\n")
      local answer = read_answer(fd)
      if answer == nth .. "\n" then
        answered = answered + 1
        assert.equal(0, refused) -- the first that came are those that fit
      else
        refused = refused + 1
      end
    end
    assert.equal(count, answered + refused)
    assert.is_true(answered > 1000 and answered < 1024, answered .. " were answered")
    running:wait_for_log " error refused service=echo peer=127.0.0.1 port=%d+ descriptor=1024 detail=\"the poller "

    local last = table.remove(opened, answered)
    net.close(last, true)
    server.wait_until("room", function()
      local fd = assert(net.connect(running.addresses[1].port))
      write(fd, "again\n")
      local answer = read_answer(fd)
      net.close(fd, true)
      return answer == "again\n"
    end)
    for nth = 1, answered - 1 do
      write(opened[nth], "still\n")
      assert.equal("still\n", read_answer(opened[nth]))
    end
  end)
end)
