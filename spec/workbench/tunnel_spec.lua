-- parlance.tunnel in plays and in the harness: the proxy that docs/upstreams.md shows, between simulated peers.

local harness = require "parlance.harness"
local run = require "parlance.workbench.run"
local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local variants = require "parlance.workbench.variants"

local PAGE <const> = server.read_file(server.SOURCE .. "/docs/upstreams.md")
local PROXY <const> = assert(PAGE:match "This is a whole TCP proxy:%s+```lua\n(.-)```")

-- A tunnel behind a line, with what is read ahead on both sides.
local BEHIND <const> = [[
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local Proxy = { close_when_done = false, request_complete = framing.line {} }
function Proxy:make_response()
  if self.request == "plain" then return "plain\n" end
  local up = assert(net.connect "127.0.0.1:6379")
  up:write "request "
  self:write "response "
  up:peek(4)
  self:send "pushed "
  local there, back = parlance.tunnel(self, up)
  parlance.log("info", "tunnel", { there = there, back = back })
end
return Proxy
]]

local folder

before_each(function()
  folder = server.new_folder()
  simulator.log()
end)
after_each(function() server.remove_folder(folder) end)

local function write(source)
  local path = folder .. "/proxy.lua"
  server.write_file(path, source)
  return path
end

local function try(source, text)
  local transcript = assert(transcripts.read(text, folder .. "/t.transcript"))
  return assert(run(write(source), { modules = server.SOURCE .. "/lua" }, transcript))
end

describe("a tunnel in a play", function()
  it("passes bytes and ends on, in every cut and with every fault", function()
    local outcome = try(PROXY, [[
setting to "127.0.0.1:6379"
upstream far "127.0.0.1:6379"
> "hello"
far< "hello"
far> "good "
far> "morning"
< "good morning"
far> end
< end
> "still here"
far< "still here"
> end
far< end
]])
    assert.same({}, outcome.findings)
    assert.same({}, outcome.tolerated)
  end)

  it("has turns of the client that follow one another, as in a recording", function()
    assert.same({}, try(PROXY, [[
setting to "127.0.0.1:6379"
upstream far "127.0.0.1:6379"
> "hi\n"
far< "hi\n"
far> "far: hi\n"
< "far: hi\n"
wait 0.002
> "ho\n"
far< "ho\n"
far> "far: ho\n"
< "far: ho\n"
> end
far< end
far> end
< end
]]).findings)
  end)

  it("has all turns before it in one piece, and those in it as they are", function()
    local outcome = try(BEHIND, [[
upstream far "127.0.0.1:6379"
> "plain\n"
< "plain\n"
> "go\n"
far< "request "
far> "data"
< "response pushed data"
> "hi"
far< "hi"
> "ho"
far< "ho"
]])
    assert.same({}, outcome.findings)
    assert.equal([[
upstream far "127.0.0.1:6379"
> "plain\n"
> "go\n"
far< "request "
far> "data"
< "plain\n"
< "response pushed data"
> "hi"
far< "hi"
> "ho"
far< "ho"
]], transcripts.write(variants.pipelined(outcome.transcript)))
  end)

  it("ends the client's side first, too", function()
    assert.same({}, try(PROXY, [[
setting to "127.0.0.1:6379"
upstream far "127.0.0.1:6379"
> "all"
> end
far< "all"
far< end
far> "of it"
far> end
< "of it"
< end
]]).findings)
  end)

  it("sends first what waits to go out, then what was read before", function()
    assert.same({}, try(BEHIND, [[
upstream far "127.0.0.1:6379"
> "plain\n"
< "plain\n"
> "go\nplain\nplain\n"
far< "request "
far> "data"
< "response pushed data"
far< "plain\nplain\n"
> end
far< end
far> end
< end
]]).findings)
  end)

  it("stops sending without `< end`: that is a finding", function()
    local fault = try(PROXY, [[
setting to "127.0.0.1:6379"
upstream far "127.0.0.1:6379"
> "x"
far< "x"
far> "y"
< "y"
far> end
]]).findings[1] or {}
    assert.equal("closed", fault.kind)
  end)
end)

describe("a tunnel in the harness", function()
  local far, client

  before_each(function()
    far = harness.upstream "127.0.0.1:6379"
    client = harness.open(write(BEHIND))
  end)
  after_each(function() harness.close() end)

  local function join()
    client:send "go\n"
    far:expect("request "):send "data"
    client:expect "response pushed data"
  end

  it("passes on a half-close of each side", function()
    join()
    far:send("!"):close()
    client:expect "!"
    assert.is_true(client:closed())
    client:send "?"
    far:expect "?"
    assert.is_nil((client:reason()))
    client:half_close()
    assert.is_true(far:closed())
    assert.equal("done", (client:reason()))
  end)

  it("passes on a reset of each side", function()
    join()
    far:reset()
    client:receive()
    assert.equal("peer_reset", (client:reason()))
    local other = harness.open(folder .. "/proxy.lua")
    other:send "go\n"
    far:expect("request "):send "data"
    other:expect "response pushed data"
    other:reset()
    assert.is_true(far:closed())
  end)

  it("moves much both ways", function()
    join()
    local much = ("0123456789abcdef"):rep(1 << 17)
    client:send(much)
    far:send(much)
    assert.is_true(much == client:receive(#much))
    assert.is_true(much == far:receive(#much))
  end)
end)

describe("a tunnel that is asked for wrongly", function()
  local MISUSE <const> = [[
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local Lines = { close_when_done = false, request_complete = framing.line {} }
function Lines:make_response()
  local ok
  local up = assert(net.connect "127.0.0.1:6379")
  local function tell(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    return table.concat(words, " ") .. "\n"
  end
  BODY
end
return Lines
]]

  local function answer(body)
    harness.upstream "127.0.0.1:6379"
    local client = harness.open(write((MISUSE:gsub("BODY", function() return body end))))
    client:send "x\n"
    return client:receive_until "\n"
  end

  after_each(function() harness.close() end)

  it("is an error of the script", function()
    for body, expected in pairs {
      ["return tell(pcall(parlance.tunnel, self, 'x'))"] = "bad argument #2 .*parlance.stream expected, got string",
      ["return tell(pcall(parlance.tunnel, 1, up))"] = "bad argument #1 .*table expected",
      ["return tell(pcall(parlance.tunnel, {}, up))"] = "true nil closed closed",
      ["return tell(parlance.spawn(parlance.tunnel, self, up):wait())"] =
        "nil parlance.tunnel works only in the handle_connect and make_response of the same connection error",
      ["parlance.spawn(up.read, up) parlance.sleep(0.1) return tell(pcall(parlance.tunnel, self, up))"] =
        "false another task uses the stream",
      ["return function() if ok then return end ok = true return tell(pcall(parlance.tunnel, self, up)) end"] =
        "works only in the handle_connect and make_response",
    } do
      assert.matches(expected, answer(body))
      harness.close()
    end
  end)

  it("is told of a stream that is closed, and can still answer", function()
    assert.equal("nil closed closed\n", answer "up:close() return tell(parlance.tunnel(self, up))")
  end)
end)
