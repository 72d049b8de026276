-- SUBSCRIBE and PUBLISH as Redis has them.
local framing = require "parlance.framing"
local parlance = require "parlance"

local Broadcast = { close_when_done = false, idle_timeout = 0, request_complete = framing.resp {} }

local function bulk(text) return ("$%d\r\n%s\r\n"):format(#text, text) end

function Broadcast:make_response()
  local command <const>, channel <const>, message <const> = table.unpack(self.request)
  local topic <const> = parlance.topic(channel)
  if command == "SUBSCRIBE" then
    topic:subscribe(self)
    return "*3\r\n$9\r\nsubscribe\r\n" .. bulk(channel) .. ":1\r\n"
  end
  return (":%d\r\n"):format(topic:publish("*3\r\n$7\r\nmessage\r\n" .. bulk(channel) .. bulk(message)))
end

return Broadcast
