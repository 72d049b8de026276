-- What a script may leave unsent in a stream: it is bounded, and a program gets all of it.

local server = require "support.server"
local upstream = require "support.upstream"

-- Each line is a piece of Lua that is run, and what it returns is answered.
local PROTOCOL <const> = [[
  parlance = require "parlance"
  net = require "parlance.net"
  process = require "parlance.process"
  local framing = require "parlance.framing"
  local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 0 }
  function Lines:make_response() return tostring((assert(load(self.request))(self))) .. "\n" end
  return Lines]]

describe("what is unsent in a stream", function()
  local function ask(line)
    local client = server.start(PROTOCOL):connect()
    return client:exchange_all((line:gsub("\n", " ")) .. "\n")
  end

  it("is bounded, also if each write times out", function()
    local up = upstream.listen()
    local answer = ask(([[
      local s = net.connect(%q)
      s:set_timeout(0.01)
      local taken, code = 0, nil
      repeat
        local ok, _, why = s:write(('x'):rep(1 << 20))
        if ok or why == 'timeout' then taken = taken + 1 end
        code = why
      until code == 'full' or taken == 100
      ;(...):close()
      return code .. (taken < 100 and ' soon' or ' late') ]]):format(up.address))
    up:close()
    assert.equal("full soon\n", answer)
  end)

  it("goes to a program that reads it late, though its input was closed", function()
    assert.equal("200000\n", ask [[
      local child <close> = process.spawn { 'sh', '-c', 'sleep 11; wc -c' }
      child.stdin:write(('x'):rep(200000))
      child.stdin:close()
      local text = child.stdout:read 'l'
      ;(...):close()
      return (text:gsub(' ', '')) ]])
  end)

  it("does not harm a script that calls the finalizer of a child which is waited for", function()
    assert.equal("nil\n", ask [[
      local child = process.spawn { 'cat' }
      local task = parlance.spawn(function() return (child:wait()) end)
      parlance.sleep(0.01)
      getmetatable(child).__gc(child)
      ;(...):close()
      return tostring(select(2, task:wait())) ]])
  end)
end)
