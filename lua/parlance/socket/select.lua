-- socket.select on top of tasks: one for each socket that may have to be waited for.

local limits = require "parlance.socket.limits"
local parlance = require "parlance"
local tcp = require "parlance.socket.tcp"
local udp = require "parlance.socket.udp"

local unpack = table.unpack

-- A set of sockets, as LuaSocket returns it: a list that also has the place of each socket, as a float.
local function add(set, socket)
  if set[socket] then return end
  set[#set + 1] = socket
  set[socket] = #set + 0.0
end

-- What knows how to wait for a socket; nil: it is no socket.
local function module_of(socket)
  return tcp.is_socket(socket) and tcp or udp.is_socket(socket) and udp or nil
end

local function check(sockets, place)
  if sockets == nil then return {} end
  if type(sockets) ~= "table" then
    error(("bad argument #%d to 'select' (table expected, got %s)"):format(place, type(sockets)), 3)
  end
  for which, socket in ipairs(sockets) do
    if not module_of(socket) then
      error(("bad argument #%d to 'select' (entry %d is no socket of this module)"):format(place, which), 3)
    end
  end
  return sockets
end

-- What waits is cancelled when select returns.
local cancelling <const> = {
  __close = function(tasks)
    for _, task in ipairs(tasks) do task:cancel() end
  end,
}

-- The tasks that wait for the sockets; `found` gets the set and the socket of each.
local function spawn_all(readable, writable, receivers, senders)
  local tasks, found = setmetatable({}, cancelling), {}
  local function spawn(name, socket, set)
    local module = module_of(socket)
    if not module.is_open(socket) or set[socket] then return end
    tasks[#tasks + 1] = parlance.spawn(module[name], socket)
    found[#tasks] = { set, socket }
  end
  for _, socket in ipairs(receivers) do spawn("wait_to_receive", socket, readable) end
  for _, socket in ipairs(senders) do spawn("wait_to_send", socket, writable) end
  return tasks, found
end

-- A task that has failed tells so: two tasks may have waited for the same socket.
local function collect(tasks, found)
  for place, task in ipairs(tasks) do
    local is_well, why, code = task:wait(0)
    if code == "error" then error(why, 0) end
    if is_well then add(unpack(found[place])) end
  end
end

local function wait(receivers, senders, readable, writable, seconds)
  local tasks <close>, found = spawn_all(readable, writable, receivers, senders)
  if #tasks == 0 then
    if #readable == 0 then parlance.sleep(seconds or limits.LONGEST) end
    return
  end
  parlance.any(tasks, seconds)
  collect(tasks, found)
end

--- Waits until one of the sockets can be received from, or sent to, without waiting.
---@param receivers? (parlance.socket.Tcp|parlance.socket.Udp)[]
---@param senders? (parlance.socket.Tcp|parlance.socket.Udp)[]
---@param timeout? number seconds; nil or negative: no limit
---@return table readable
---@return table writable
---@return string? why "timeout"
local function select(receivers, senders, timeout)
  receivers, senders = check(receivers, 1), check(senders, 2)
  local readable, writable = {}, {}
  for _, socket in ipairs(receivers) do
    if socket:dirty() then add(readable, socket) end
  end
  local seconds = timeout and timeout >= 0 and math.min(timeout, limits.LONGEST) or nil
  if #readable > 0 then seconds = 0 end
  if seconds then seconds = math.max(seconds, limits.LEAST) end
  wait(receivers, senders, readable, writable, seconds)
  if #readable + #writable == 0 then return readable, writable, "timeout" end
  return readable, writable
end

return select
