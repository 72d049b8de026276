-- NAME: a client says who it is, and is greeted.
--
-- Serve it, and edit it meanwhile: the next request is answered by what you have saved.
--     parlance NAME.lua
-- Talk to it. (The server prints this command as this machine has it: there are several programs called nc.)
--     printf 'hello Ada\n' | nc -N 127.0.0.1 8888
-- Play the conversations in transcripts/NAME against it, cut in every way in which a network may cut them.
--     parlance check NAME.lua
-- Run spec/NAME_spec.lua.
--     busted
-- (On Debian that needs the packages lua-busted and lua5.4.)
--
-- The server owns the sockets; this file answers its questions. It returns a table, the protocol, and
-- every connection gets a table `self` of its own that inherits from it.

local framing = require "parlance.framing"

-- For editors that know the Lua language server: what there is in `self`.
---@class NAME.Connection: parlance.Connection
---@field name? string whom the client has said it is; our own idea
local protocol = {
  -- Does the conversation go on after a response? If not, each client gets one.
  close_when_done = false,

  -- What may somebody send who wants to try it? The server says so when it is started in a terminal.
  example = "hello Ada\n",
}

-- Where does a request end? Here, with its line. The bytes of a client come in pieces of any size, half a
-- line or three of them; a framing puts them together, refuses a line over `max` bytes, and leaves the line
-- without its ending in `self.request`. There are framings for binary lengths, for HTTP, for Redis; and
-- if none fits, this is a function that looks at `self.incoming`.
protocol.request_complete = framing.line { max = 512 }

-- What can a client ask for? A function for each word, which gets the client's `self` and what stands behind
-- the word. What it returns goes to the client.
---@type table<string, fun(client: NAME.Connection, rest: string): string>
local words = {}

-- What is kept from one request to the next? What you put into `self`, for this client alone. (A local of
-- this file is shared by all clients, and begins anew when the file is edited.)
function words.hello(client, rest)
  if rest == "" then return "hello who?\n" end
  client.name = rest
  return "Hello, " .. rest .. "!\n"
end

function words.who(client)
  return client.name and "You are " .. client.name .. ".\n" or "You have not said hello.\n"
end

-- How does a conversation end? When the client stops sending; or like this, after the response.
function words.bye(client)
  client.close_when_done = true
  return "Bye, " .. (client.name or "stranger") .. ".\n"
end

-- What is the response? It is asked for once for each request, in order. A string goes out as it is; files
-- and pieces that are made bit by bit can go out, too.
function protocol:make_response()
  local word, rest = self.request:match "^(%a+) *(.*)$"
  local answer = words[word]
  if not answer then return "? say hello and a name, who, or bye\n" end
  return answer(self, rest)
end

-- What is said when something goes wrong? The last words, before the server closes. `reason` is a word such
-- as "too_large" or "script_error"; the server's log has it too, with more about it.
function protocol.handle_error(_, reason)
  return "! " .. reason .. "\n"
end

return protocol
