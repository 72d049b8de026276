-- The other server that a script connects to, played by the spec itself.

local busted = require "busted"
local line_protocol = require "support.line_protocol"
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
  return setmetatable({ listener = listener, address = address, path = path, accepted = {} }, Upstream)
end

--- A port that nobody listens on, and that nobody else gets while the socket is there. Returns its address and the
--- socket.
function upstream.refusing()
  local bound = socket.tcp4()
  assert(bound:bind("127.0.0.1", 0))
  return "127.0.0.1:" .. select(2, bound:getsockname()), bound
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
  if self.path then os.remove(self.path) end
end

local CONNECTS <const> = [[
    net = require "parlance.net"
    UP = %q
    kept = {} ]]

--- To be called in a describe(): what line_protocol.serve() returns, and an upstream `up` for each spec. The lines have
--- its address as UP.
function upstream.lines(poller)
  local lines = line_protocol.serve(poller)
  local start = lines.start

  function lines.start(at_load, options)
    return start(CONNECTS:format(lines.up.address) .. (at_load or ""), options)
  end

  --- Runs a line that connects. Returns the client and the upstream's end.
  function lines.begin(code, at_load, options)
    local client = lines.start(at_load, options)
    lines.send(client, code)
    return client, lines.up:accept()
  end

  --- The same, for a line that has the stream `s`.
  function lines.stream(code, at_load)
    return lines.begin("local s <close> = assert(net.connect(UP)) " .. code, at_load)
  end

  function lines.listen(...)
    if lines.up then lines.up:close() end
    lines.up = upstream.listen(...)
  end

  --- Listens on a Unix socket in its place.
  function lines.listen_unix()
    local path = os.tmpname()
    os.remove(path)
    lines.listen(path)
  end

  busted.before_each(function() lines.listen() end)
  busted.after_each(function() lines.up:close() end)

  return lines
end

return upstream
