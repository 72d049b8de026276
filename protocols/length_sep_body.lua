-- A request is a length, a line feed and a body of that length. The response is the body.
--
--     $ printf '5\nhello' | nc -N 127.0.0.1 8888
--     hello
--
-- This is the protocol of the Python recipe that parlance descends from, "a generic, multi-protocol
-- asynchronous server". It is written by hand on self.incoming to show how that is done;
-- framing.length_line from `require "parlance.framing"` does the same in C.

local LengthSepBody = {
  close_when_done = false, -- a client may send one request after another
  example = "5\nhello",
}

-- A length must fit into a Lua integer, also when the bytes before the body are added to it.
local MAX_DIGITS <const> = 19
local MAX_LENGTH <const> = math.maxinteger - MAX_DIGITS - 1

local match, sub, tonumber = string.match, string.sub, tonumber

-- Only decimal digits are a length: no sign, no space, no "0x10", no "1e3", no "007".
local function may_become_length(incoming)
  return incoming == "0" or #incoming <= MAX_DIGITS and match(incoming, "^[1-9]%d*$")
end

function LengthSepBody:request_complete()
  local incoming = self.incoming
  local digits = match(incoming, "^([1-9]%d*)\n")
  if not digits then
    digits = match(incoming, "^(0)\n")
    if not digits and may_become_length(incoming) then return false end
    if not digits then return nil, "the length is not a plain decimal number" end
  end
  local length = tonumber(digits)
  if length > MAX_LENGTH then return nil, "the length is too large" end

  local line <const> = #digits + 1
  local last = line + length
  -- With the number of bytes that are needed, this function is not called again before they have come.
  if #incoming < last then return false, last end
  self.msg_body = sub(incoming, line + 1, last)
  return true, last
end

function LengthSepBody:make_response()
  return self.msg_body
end

return LengthSepBody
