-- The other server that a script connects to, played by the spec itself.

local socket = require "socket"
local unix = require "socket.unix"

local DEADLINE <const> = 30

local upstream = {}

---@class spec.Upstream
---@field address string what a script connects to
local Upstream = {}
Upstream.__index = Upstream

--- Listens on a free port, or at the path of a Unix socket.
---@param path? string
---@param backlog? integer
---@return spec.Upstream
function upstream.listen(path, backlog)
  local listener = path and unix.stream() or socket.tcp4()
  if path then
    assert(listener:bind(path))
  else
    assert(listener:setoption("reuseaddr", true))
    assert(listener:bind("127.0.0.1", 0))
  end
  assert(listener:listen(backlog or 1024))
  listener:settimeout(DEADLINE)
  local address = "unix:" .. (path or "")
  if not path then address = "127.0.0.1:" .. select(2, listener:getsockname()) end
  return setmetatable({ listener = listener, address = address, accepted = {} }, Upstream)
end

--- A port that nobody listens on.
function upstream.refusing()
  local closed = upstream.listen()
  closed:close()
  return closed.address
end

--- Accepts a connection: a socket of LuaSocket, which raises where there is nothing in time.
function Upstream:accept()
  local accepted = assert(self.listener:accept())
  accepted:settimeout(DEADLINE, "t")
  self.accepted[#self.accepted + 1] = accepted
  return accepted
end

--- Whether nobody connects within so many seconds.
function Upstream:is_quiet(seconds)
  self.listener:settimeout(seconds)
  local accepted = self.listener:accept()
  self.listener:settimeout(DEADLINE)
  if accepted then accepted:close() end
  return not accepted
end

--- Whether the other side has ended its sending, with nothing unread before.
function upstream.has_ended(accepted)
  local byte, why = accepted:receive(1)
  return not byte and why == "closed"
end

--- Ends a connection with a RST.
function upstream.reset(accepted)
  assert(accepted:setoption("linger", { on = true, timeout = 0 }))
  accepted:close()
end

function Upstream:close()
  for _, accepted in ipairs(self.accepted) do accepted:close() end
  self.listener:close()
end

return upstream
