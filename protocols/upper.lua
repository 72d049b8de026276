-- Answers every line in capitals.
local framing = require "parlance.framing"

return {
  close_when_done = false,
  example = "hello\n",
  request_complete = framing.line { max = 1024 },
  make_response = function(self)
    return self.request:upper() .. "\n"
  end,
}
