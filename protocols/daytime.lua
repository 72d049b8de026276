-- Sends the date and the time when a client connects, and closes the connection (RFC 867).
--
-- A protocol in which only the server sends needs no request_complete and no make_response.

local Daytime = {}

function Daytime:handle_connect()
  return os.date("!%A, %B %d, %Y %H:%M:%S-UTC\r\n")
end

return Daytime
