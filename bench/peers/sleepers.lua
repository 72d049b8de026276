-- Tasks that sleep, and how long a step of Lua's collector takes beside them. A line of digits begins so many tasks,
-- and any other line is answered with the ms of the longest step.
local framing = require "parlance.framing"
local parlance = require "parlance"

local step <const> = require "longest_step"

return {
  close_when_done = false,
  max_tasks = 1000000,
  request_complete = framing.line {},
  make_response = function(self)
    local count <const> = tonumber(self.request)
    if not count then return ("%.3f\n"):format(step(parlance.now)) end
    for _ = 1, count do parlance.spawn(parlance.sleep, 600) end
    return "asleep\n"
  end,
}
