-- timeout 300
-- A script that waits in all kinds of ways (spec/fixtures/chaos.lua), with clients and an upstream that break off, and
-- edits in between. No response is mixed up, and at the end nothing is left: no descriptor, no child.

local server = require "support.server"
local socket = require "socket"
local upstream = require "support.upstream"

local CONVERSATIONS <const>, AT_ONCE <const>, EDIT_EVERY <const> = 300, 40, 20

local REQUESTS <const> = {
  "sleep", "guard", "late", "raise", "ask", "ask", "ask_in_time", "ask_beside", "run", "run_beside", "push",
  "publish", "subscribe", "leave", "cancel", "drop", "put", "take", "long", "resume", "deadlines", "first", "hold",
  "tick", "write", "call", "program", "pass_on",
}

local function one(list) return list[math.random(#list)] end

-- ---- many at once ----------------------------------------------------------------------------------

-- Coroutines that yield a socket, or nil, and for how many seconds at most they wait for it.
local function new_loop()
  local loop = { count = 0 }
  local waiting = {}

  local function resume(thread)
    local is_well, waits_for, seconds = coroutine.resume(thread)
    assert(is_well, waits_for)
    waiting[thread] = nil
    if coroutine.status(thread) == "dead" then
      loop.count = loop.count - 1
    else
      waiting[thread] = { socket = waits_for, until_time = socket.gettime() + seconds }
    end
  end

  function loop.start(run, ...)
    loop.count = loop.count + 1
    local arguments = table.pack(...)
    resume(coroutine.create(function() run(table.unpack(arguments, 1, arguments.n)) end))
  end

  function loop.turn()
    local sockets = {}
    for _, wait in pairs(waiting) do sockets[#sockets + 1] = wait.socket end
    local readable = socket.select(sockets, nil, 0.005)
    local now, due = socket.gettime(), {}
    for thread, wait in pairs(waiting) do
      if (wait.socket and readable[wait.socket]) or now >= wait.until_time then due[#due + 1] = thread end
    end
    for _, thread in ipairs(due) do resume(thread) end
  end

  return loop
end

-- Waits until the socket can be read, or so long.
local function wait_for(connected, seconds) coroutine.yield(connected, seconds) end
local function sleep(seconds) coroutine.yield(nil, seconds) end

-- Reads what has come. Returns nil at the end.
local function read_some(connected)
  local bytes, why, rest = connected:receive(65536)
  if why == "closed" and rest == "" then return nil end
  return bytes or rest
end

-- ---- the upstream ----------------------------------------------------------------------------------

local function read_line(connected)
  local line, seconds = "", 0
  while seconds < 3 do
    local part, why, rest = connected:receive "*l"
    line = line .. (part or rest or "")
    if part then return line end
    if why == "closed" then return nil end
    wait_for(connected, 0.5)
    seconds = seconds + 0.5
  end
end

local behaviours = {
  echo = function(connected, token) connected:send(token .. "\n") return true end,
  late = function(connected, token)
    sleep(math.random() * 0.1)
    connected:send(token .. "\n")
    return true
  end,
  half = function(connected, token) connected:send(token:sub(1, 1)) end,
  reset = function(connected) connected:setoption("linger", { on = true, timeout = 0 }) end,
  close = function() end,
  never = function() sleep(0.3) end,
  flood = function(connected)
    for _ = 1, 20 do
      if select(2, connected:send(("x"):rep(100000))) == "closed" then return end
      sleep(0.01)
    end
  end,
}

local function serve_one(connected)
  connected:settimeout(0)
  for line in read_line, connected do
    local mode, token = line:match "^(%a+) ?(%w*)$"
    local behave = behaviours[mode]
    if not behave or not behave(connected, token) then break end
  end
  connected:close()
end

local function serve_upstream(listener, is_over)
  listener:settimeout(0)
  return function(loop)
    while not is_over() do
      wait_for(listener, 0.05)
      local connected = listener:accept()
      if connected then loop.start(serve_one, connected) end
    end
  end
end

-- ---- clients ---------------------------------------------------------------------------------------

-- Why these are not the responses to the requests with these numbers, the last of which may be cut; nil: they are.
local function judge(said, numbers)
  local place, count = 1, 0
  while place <= #said do
    local after = said:match("^![%a]*!\n()", place)
    if not after then
      local number, behind = said:match("^%[(%d+)%a*%1%]\n()", place)
      if number and number ~= numbers[count + 1] then return "a response to " .. number end
      count, after = count + 1, behind
    end
    if not after then
      local rest = said:sub(place)
      local is_cut = rest:find "^%?\n$" or rest:find "^!%a*!?$" or rest:find "^%[%d*%a*%d*%]?$" or
                     rest:find "^%[%d*%a*%d*%]?[!%a\n]*$"
      return not is_cut and ("%q"):format(rest:sub(1, 100) .. " ... " .. rest:sub(-100)) or nil
    end
    place = after
  end
end

-- A conversation of one client. Adds what is wrong to `faults`.
local function converse(connected, place, faults)
  local numbers, pieces, is_open = {}, {}, true
  local how = one { "polite", "polite", "polite", "half", "reset", "slow", "bytes" }
  connected:settimeout(0)
  for request = 1, math.random(4) do
    numbers[request] = ("%d"):format(1000 * place + request)
    local line = one(REQUESTS) .. " " .. numbers[request] .. "\n"
    for piece in line:gmatch(how == "bytes" and "." or ".+\n") do
      connected:send(piece)
      if how == "bytes" then sleep(0) end
    end
    if how == "reset" then sleep(math.random() * 0.05) end
    if math.random(2) == 1 then wait_for(connected, 0.5) end
  end
  if how == "reset" then connected:setoption("linger", { on = true, timeout = 0 }) end
  if how ~= "half" then sleep(0.3) end
  connected:shutdown "send" -- Who subscribes would be sent to for ever.
  local deadline = socket.gettime() + server.DEADLINE
  while how ~= "reset" and is_open do
    wait_for(connected, 1)
    local bytes = read_some(connected)
    pieces[#pieces + 1] = bytes
    is_open = bytes ~= nil
    if how == "slow" then sleep(0.02) end
    if socket.gettime() > deadline then
      faults[#faults + 1] = "the connection is not closed"
      break
    end
  end
  connected:close()
  local fault = judge(table.concat(pieces), numbers)
  if fault then faults[#faults + 1] = fault end
end

-- ---- all together ----------------------------------------------------------------------------------

server.for_each_poller(function(poller)
  it("waits, breaks and edits with " .. poller .. " leave nothing behind, and mix up nothing", function()
    local seed = math.random(1000000)
    math.randomseed(seed)
    local up = upstream.listen()
    finally(function() up:close() end)
    local text <const> = server.read_file(server.SOURCE .. "/spec/fixtures/chaos.lua")
    local running = server.start(text, {
      poller = poller, "--set", "upstream=" .. up.address, "--memory-limit", "100M", "--max-buffered", "20M",
    })
    local descriptors = running:descriptors()
    local loop, faults, begun, ended = new_loop(), {}, 0, 0
    loop.start(serve_upstream(up.listener, function() return ended == CONVERSATIONS end), loop)
    local function edit(version)
      local path <const> = running.folder .. "/script1.lua"
      local file <close> = assert(io.open(path .. ".new", "w"))
      assert(file:write(text, "-- ", version, "\n"))
      assert(os.rename(path .. ".new", path))
    end
    local function run_client(place)
      converse(running:connect().socket, place, faults)
      ended = ended + 1
    end
    repeat
      while begun - ended < AT_ONCE and begun < CONVERSATIONS do
        begun = begun + 1
        if begun % EDIT_EVERY == 0 then edit(begun) end
        loop.start(run_client, begun)
      end
      loop.turn()
    until loop.count == 0
    running:close_clients()
    assert.same({}, faults, "seed " .. seed)
    assert.equal(0, running:count_in_log "mixed up", running:log())
    server.wait_until("the descriptors to be as before", function() return running:descriptors() <= descriptors end)
    server.wait_until("the end of the children", function() return running:children() == 0 end)
    assert.truthy(running:count_in_log "info reloaded" > 0)
  end)
end)
