-- NAME: answers each line with the same in capitals.

local framing = require "parlance.framing"

return {
  close_when_done = false,                        -- the connection stays open for the next line
  example = "hello\n",                            -- what the server suggests to send
  request_complete = framing.line { max = 1024 }, -- a request is a line of 1024 bytes at most
  make_response = function(self)
    return self.request:upper() .. "\n"
  end,
}
