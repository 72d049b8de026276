-- What peers/sleepers.lua does, with plain coroutines in a table: lua5.4 coroutines.lua PORT
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path

local socket = require "socket"
local step = require "longest_step"

local sleeping = {} -- so that they are not collected
local server = assert(socket.bind("127.0.0.1", tonumber(arg[1])))
while true do
  local client = server:accept()
  for line in function() return (client:receive()) end do
    local count = tonumber(line)
    if count then
      for _ = 1, count do
        local task = coroutine.create(function(seconds) coroutine.yield(seconds) end)
        coroutine.resume(task, 600)
        sleeping[#sleeping + 1] = task
      end
      client:send(#sleeping >= count and "asleep\n" or "lost\n")
    else
      client:send(("%.3f\n"):format(step(socket.gettime)))
    end
  end
  client:close()
end
