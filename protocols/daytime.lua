-- Tells the date and the time as soon as a client connects, and closes (RFC 867).
--
-- A protocol in which only the server speaks needs no request_complete and no make_response.

local Daytime = {}

function Daytime:handle_connect()
  return os.date("!%A, %B %d, %Y %H:%M:%S-UTC\r\n")
end

return Daytime
