-- NAME: a client sends its name, and gets a greeting.
--
-- Start the server. You can edit this file while it runs: after you save it, the new code answers the next request.
--     parlance NAME.lua
-- Send a request. (The server prints this command for your machine: there are several programs called nc.)
--     printf 'hello Ada\n' | nc -N 127.0.0.1 8888
-- Play the conversations in transcripts/NAME, cut in every way in which a network may cut them.
--     parlance check NAME.lua
-- Run spec/NAME_spec.lua.
--     busted
-- (On Debian this needs the packages lua-busted and lua5.4.)
--
-- The server owns the sockets, and calls the functions in this file. The file returns a table, the protocol. Each
-- connection gets its own table `self`, which inherits from the protocol.

local framing = require "parlance.framing"

-- The fields of `self`, for editors that use the Lua language server.
---@class NAME.Connection: parlance.Connection
---@field name? string the name that the client has sent; a field of our own
local protocol = {
  -- Does the server close the connection after a response? Here it does not.
  close_when_done = false,

  -- What is an example of a request? The server prints it when you start it in a terminal.
  example = "hello Ada\n",
}

-- Where does a request end? Here a request is a line. The bytes of a client arrive in pieces of any size: half a line,
-- or three lines. A framing joins them, refuses a line over `max` bytes, and puts the line without its ending into
-- `self.request`. There are also framings for binary lengths, for HTTP and for Redis. If none fits, write a function
-- here that examines `self.incoming`.
protocol.request_complete = framing.line { max = 512 }

-- What can a client ask for? Each word has a function. It gets the client's `self` and the text after the word, and
-- returns the response.
---@type table<string, fun(client: NAME.Connection, rest: string): string>
local words = {}

-- What is kept from one request to the next? Fields that you set in `self`: they belong to this client alone. (All
-- clients share a local variable of this file, and it begins anew when you edit the file.)
function words.hello(client, rest)
  if rest == "" then return "hello who?\n" end
  client.name = rest
  return "Hello, " .. rest .. "!\n"
end

function words.who(client)
  return client.name and "You are " .. client.name .. ".\n" or "You have not said hello.\n"
end

-- How does a conversation end? When the client stops sending, or after a response, as here.
function words.bye(client)
  client.close_when_done = true
  return "Bye, " .. (client.name or "stranger") .. ".\n"
end

-- What is the response? The server calls this function once for each request, in order. It may return a string, a file,
-- or a function that makes the pieces one by one.
function protocol:make_response()
  local word, rest = self.request:match "^(%a+) *(.*)$"
  local answer = words[word]
  if not answer then return "? say hello and a name, who, or bye\n" end
  return answer(self, rest)
end

-- What does the client get after a failure? The server sends what this function returns, and closes the connection.
-- `reason` is a word such as "too_large" or "script_error". The server's log has it, too, with more details.
function protocol.handle_error(_, reason)
  return "! " .. reason .. "\n"
end

return protocol
