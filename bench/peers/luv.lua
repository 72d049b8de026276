-- luv (libuv for Lua) with the protocol of length_sep_body: lua5.4 luv.lua PORT

local uv = require "luv"

local server = uv.new_tcp()
server:bind("127.0.0.1", tonumber(arg[1]))
server:listen(4096, function()
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  local incoming = ""
  client:read_start(function(err, received)
    if err or not received then
      client:close()
      return
    end
    incoming = incoming .. received
    local responses, at = {}, 1
    while true do
      local stop = incoming:find("\n", at, true)
      if not stop then break end
      local length = tonumber(incoming:sub(at, stop - 1))
      if #incoming < stop + length then break end
      responses[#responses + 1] = incoming:sub(stop + 1, stop + length)
      at = stop + length + 1
    end
    incoming = incoming:sub(at)
    if #responses > 0 then client:write(responses) end
  end)
end)
uv.run()
