-- What a script may leave unsent in a stream: it is bounded, and a program gets all of it.

local line_protocol = require "support.line_protocol"
local server = require "support.server"
local upstream = require "support.upstream"

server.cleans_up()

describe("what is unsent in a stream", function()
  local lines = line_protocol.serve()

  local function ask(code)
    return lines.ask(lines.start "net = require 'parlance.net' process = require 'parlance.process'", code)
  end

  it("is bounded, also if each write times out", function()
    local up = upstream.listen()
    local answer = ask(([[
      local s = net.connect(%q)
      s:set_timeout(0.01)
      local taken, ok, why, code = 0, nil, nil, nil
      repeat
        ok, why, code = s:write(('x'):rep(1 << 20))
        if ok or code == 'timeout' then taken = taken + 1 end
      until code == 'full' or taken == 100
      return listed(taken < 100, code, why) ]]):format(up.address))
    up:close()
    assert.equal("true full too many bytes of earlier writes are unsent", answer)
  end)

  it("goes to a program that reads it late, though its input was closed", function()
    assert.equal("200000", ask [[
      local child <close> = process.spawn { 'sh', '-c', 'sleep 11; wc -c' }
      child.stdin:write(('x'):rep(200000))
      child.stdin:close()
      return (child.stdout:read 'l':gsub(' ', '')) ]])
  end)

  it("does not harm a script that calls the finalizer of a child which is waited for", function()
    assert.equal("true nil closed closed", ask [[
      local child = process.spawn { 'cat' }
      local task = parlance.spawn(function() return child:wait() end)
      sleep(0)
      getmetatable(child).__gc(child)
      return listed(task:wait()) ]])
  end)
end)
