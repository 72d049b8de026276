-- --record: what a script says to other servers with TLS is recorded as plain bytes, and plays back without them.

local lfs = require "lfs"
local server = require "support.server"
local tls = require "support.tls"
local upstream = require "support.upstream"

local SCRIPT <const> = [=[
local framing = require "parlance.framing"
local net = require "parlance.net"
local CA <const> = %q
local does = {}
function does.ask(address, name)
  local options = { reuse = true, tls = { ca = CA, server_name = name } }
  local up <close>, why, code = net.connect(address, options)
  if not up then return code .. ": " .. why end
  up:write "GET\n"
  local line = up:read()
  up:release()
  return line
end
function does.start(address, name)
  local up <close> = assert(net.connect(address))
  up:write "STARTTLS\n"
  local line = up:read()
  local ok, why, code = up:start_tls { ca = CA, server_name = name }
  if not ok then return line .. " " .. code .. ": " .. why end
  up:write "secret\n"
  return line .. " " .. up:read()
end
return {
  close_when_done = false,
  request_complete = framing.line { max = 1000 },
  make_response = function(self)
    local word, address, name = self.request:match "(%%S+) (%%S+) (%%S+)"
    return does[word](address, name) .. "\n"
  end,
}
]=]

server.for_each_poller(function(poller)
  describe("--record of TLS with " .. poller, function()
    local folder, made, web, up, running, client

    setup(function()
      made = tls.folder()
      web = made:certificate "web.example"
    end)
    teardown(function() made:remove() end)

    before_each(function()
      folder, up = server.new_folder(), upstream.listen()
      assert(lfs.mkdir(folder .. "/records"))
      server.write_file(folder .. "/relay.lua", SCRIPT:format(web.certificate))
      running = server.start(folder .. "/relay.lua", { poller = poller, "--record", folder .. "/records" })
      client = running:connect()
    end)
    after_each(function()
      up:close()
      server.remove_folder(folder)
    end)

    local function answer() return client:receive_until "\n" end

    -- The upstreams and the steps of the recording, which must hold without the other server.
    local function recorded()
      client:close()
      up:close()
      local name = server.wait_until("a recording", function()
        for found in lfs.dir(folder .. "/records") do
          if found:find "%.transcript$" then return found end
        end
      end)
      local path = folder .. "/records/" .. name
      local status, said, complaint = server.run { "check", folder .. "/relay.lua", path }
      local text = server.read_file(path)
      assert.equal("0 ", status .. " " .. complaint, said .. text)
      local lines = {}
      for line in text:match "\ntime [^\n]*\n(.*)$":gsub("127.0.0.1:%d+", "ADDRESS"):gmatch "[^\n]+" do
        local is_about = line:find "^up" and not line:find "> end"
        if is_about then lines[#lines + 1] = line end
      end
      return table.concat(lines, "\n")
    end

    it("writes plain bytes, of a connection that is used again, too", function()
      local peer
      for n = 1, 2 do
        client:send(("ask %s web.example\n"):format(up.address))
        peer = peer or assert(tls.serve(up:accept(), web))
        assert.equal("GET", peer:receive "*l")
        peer:send(("value %d\n"):format(n))
        assert.equal(("value %d\n"):format(n), answer())
      end
      assert.equal([[
upstream up1 "ADDRESS" tls
up1< "GET\n"
up1> "value 1\n"
up1< "GET\n"
up1> "value 2\n"]], recorded())
    end)

    it("writes why there is no TLS", function()
      client:send(("ask %s other.example\n"):format(up.address))
      assert.is_nil(tls.serve(up:accept(), web))
      assert.matches("^certificate: ", answer())
      local why = "the certificate of other.example is refused: hostname mismatch"
      assert.equal(('upstream up1 "ADDRESS" certificate "%s"'):format(why), recorded())
    end)

    it("writes where TLS begins behind plain bytes, and why it does not", function()
      client:send(("start %s web.example\n"):format(up.address))
      local peer = up:accept()
      assert.equal("STARTTLS", peer:receive "*l")
      peer:send "go\n"
      peer = assert(tls.serve(peer, web))
      assert.equal("secret", peer:receive "*l")
      peer:send "well\n"
      assert.equal("go well\n", answer())
      client:send(("start %s other.example\n"):format(up.address))
      peer = up:accept()
      assert.equal("STARTTLS", peer:receive "*l")
      peer:send "go\n"
      assert.is_nil(tls.serve(peer, web))
      assert.matches("^go certificate: ", answer())
      assert.equal([[
upstream up1 "ADDRESS"
up1< "STARTTLS\n"
up1> "go\n"
up1< tls
up1< "secret\n"
up1> "well\n"
up1< "STARTTLS\n"
up1> "go\n"
up1< tls certificate "the certificate of other.example is refused: hostname mismatch"]], recorded())
    end)
  end)
end)
