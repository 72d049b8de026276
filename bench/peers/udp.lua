-- An echo of datagrams.

local Echo = { listen = "udp:localhost:7" }

function Echo:make_response()
  return self.request
end

return Echo
