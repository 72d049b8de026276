-- Answers a line a minute later.
local framing = require "parlance.framing"
local parlance = require "parlance"

return {
  close_when_done = false,
  response_timeout = 0,
  request_complete = framing.line {},
  make_response = function()
    parlance.sleep(60)
    return "late\n"
  end,
}
