-- A chat room. Each line that a member sends goes to all members.
--
--     nc localhost 8004
--
-- The server sends to members that have asked for nothing: they have subscribed to a topic.

local framing = require "parlance.framing"
local parlance = require "parlance"

local room <const> = parlance.topic "room"

-- The members by their names. Like those who have subscribed, they stay when this file is edited.
local members <const> = parlance.shared.members or {}
parlance.shared.members = members

local Chat = {
  listen = "localhost:8004",
  example = "ada\n",
  close_when_done = false,
  idle_timeout = 0, -- who only listens stays
  request_complete = framing.line { max = 1000 },
}

function Chat:handle_connect()
  return "What is your name?\n"
end

-- The first line is a name, and each further one goes to all.
function Chat:make_response()
  if not self.name then return self:enter(self.request) end
  if self.request == "/quit" then
    self:close "quit" -- when the line below is sent
    return "Goodbye.\n"
  end
  room:publish(("[%s] %s\n"):format(self.name, self.request))
end

function Chat:enter(name)
  if not name:find "^%w+$" then return "A name has letters and digits. What is your name?\n" end
  if members[name] then return "That name is taken. What is your name?\n" end
  room:publish(("* %s has come\n"):format(name)) -- who has not subscribed yet does not get it
  room:subscribe(self)
  members[name] = self
  self.name = name
  return ("Welcome, %s. Type /quit to leave.\n"):format(name)
end

-- However it has ended: with /quit, with a broken connection, or because the member did not read.
function Chat:handle_close(reason)
  if not self.name then return end
  members[self.name] = nil
  room:publish(("* %s has left (%s)\n"):format(self.name, reason))
end

return Chat
