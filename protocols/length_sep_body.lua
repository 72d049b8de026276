-- A length, a line feed, a body of that length; the answer is the body.
--
--     $ printf '5\nhello' | nc -N localhost 8888
--     hello
--
-- This is the protocol of the Python recipe that parlance descends from, "a generic, multi-protocol
-- asynchronous server". It is written by hand on self.incoming to show how that is done;
-- framing.length_line from `require "parlance.framing"` does the same in C.

local LengthSepBody = {
  close_when_done = false, -- a client may send one request after another
  example = "5\nhello",
}

-- No length that fits into a Lua integer has more digits than this.
local MAX_DIGITS <const> = 19

function LengthSepBody:request_complete()
  local line_feed = self.incoming:find("\n", 1, true)
  local digits = self.incoming:sub(1, line_feed and line_feed - 1 or MAX_DIGITS + 1)
  -- Only decimal digits are a length: no sign, no space, no "0x10", no "1e3", no "007".
  if digits:find("%D") or digits:find("^0.") or #digits > MAX_DIGITS then
    return nil, "the length is not a plain decimal number"
  end
  if not line_feed then return false end

  local length = math.tointeger(tonumber(digits))
  if not length or length > math.maxinteger - line_feed then
    return nil, "the length is empty or too large"
  end
  local needed = line_feed + length
  -- Saying how many bytes are needed saves being asked again before they are there.
  if #self.incoming < needed then return false, needed end
  self.msg_body = self.incoming:sub(line_feed + 1, needed)
  return true, needed
end

function LengthSepBody:make_response()
  return { self.msg_body }
end

return LengthSepBody
