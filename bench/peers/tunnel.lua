-- A TCP proxy: what docs/upstreams.md shows.

local net = require "parlance.net"
local parlance = require "parlance"

local Proxy = { settings = { to = "where connections go" } }

function Proxy:handle_connect()
  local upstream <close>, why = net.connect(parlance.settings.to)
  if not upstream then return parlance.log("warn", "no upstream", { why = why }) end
  parlance.tunnel(self, upstream)
end

return Proxy
