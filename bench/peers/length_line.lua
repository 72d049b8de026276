-- The protocol of length_sep_body with the framing in C.

local framing = require "parlance.framing"

return {
  close_when_done = false,
  request_complete = framing.length_line {},
  make_response = function(self)
    return self.request
  end,
}
