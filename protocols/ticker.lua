-- A ticker: each second it tells every client for how many seconds it has run.
--
--     nc localhost 8005
--
-- The server speaks first. A client that sends "pause" is told nothing more, until it sends "go".

local framing = require "parlance.framing"
local parlance = require "parlance"

local Ticker = {
  listen = "localhost:8005",
  example = "pause\n",
  close_when_done = false,
  idle_timeout = 0, -- who only listens stays
  request_complete = framing.line { max = 100 },
}

-- This function belongs to this version of the file. When the file is edited, the function of the next version goes on
-- with the same table.
local state <const> = parlance.shared.state or { seconds = 0 }
parlance.shared.state = state

parlance.every(1, function()
  state.seconds = state.seconds + 1
  local line = ("%d s\n"):format(state.seconds)
  for _, client in ipairs(parlance.connections()) do
    -- send() refuses the line if too much waits for a client that does not read.
    if not client.is_paused and not client:send(line) then client:close "slow_reader" end
  end
end)

function Ticker:make_response()
  if self.request == "pause" then
    self.is_paused = true
  elseif self.request == "go" then
    self.is_paused = nil
  else
    return "Send pause or go.\n"
  end
end

return Ticker
