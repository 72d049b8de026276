-- Sends every line back, like RFC 862, which has no lines.

local framing = require "parlance.framing"

local Echo = {
  close_when_done = false,
  example = "hello\n",
  request_complete = framing.line { max = 64 * 1024 },
}

function Echo:make_response()
  return self.request .. "\n"
end

return Echo
