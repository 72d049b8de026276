-- Sends every line back (in the spirit of RFC 862, which knows no lines).

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
