-- Simulated datagrams: what the server does with them, without a socket.

local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

local SCRIPT <const> = [[
local parlance = require "parlance"
local Datagrams = { %s }
function Datagrams:make_response()
  local seconds = tonumber(self.request)
  if seconds then parlance.sleep(seconds) end
  if self.request == "long" then return ("x"):rep(65508) end
  if self.request == "number" then return 5 end
  local from = self.client_address
  return { self.request, "", ("%%s %%s:%%d"):format(self.transport, from.host, from.port) }
end
function Datagrams:handle_error(reason) return reason end
function Datagrams:handle_connect() error "it has no connection" end
function Datagrams:handle_close() error "it has no connection" end
return Datagrams]]

describe("a simulated datagram", function()
  local folder, script

  local function load(fields, options)
    folder = tree.new { ["datagrams.lua"] = SCRIPT:format(fields or 'listen = "udp:localhost:0"') }
    options = options or {}
    options.modules = server.SOURCE .. "/lua"
    simulator.log()
    script = assert(simulator.load(folder.path .. "/datagrams.lua", options))
  end

  after_each(function()
    script:close()
    folder:remove()
  end)

  local function answers(datagram)
    local list = {}
    for text in datagram.take_datagram, datagram do list[#list + 1] = text end
    return list
  end

  it("is answered with datagrams, which are numbered in the order in which they were sent", function()
    load()
    local slow = script:datagram("2", { port = 7 })
    local quick = script:datagram("", { host = "::1", port = 8 })
    assert.is_nil(slow:take_datagram())
    assert.is_true(slow:waits())
    assert.same({ "", 1 }, { quick:take_datagram() })
    assert.same({ "", "udp ::1:8" }, answers(quick))
    assert.same({ true, "done", 1 }, { quick:finished(), quick:reason(), quick:requests() })
    script:advance(2)
    assert.same({ "2", 4 }, { slow:take_datagram() })
    assert.same({ "", "udp 192.0.2.1:7" }, answers(slow))
    assert.same({}, simulator.log())
  end)

  it("waits in the kernel while max_tasks others are not answered", function()
    load(nil, { max_tasks = 1 })
    local first = script:datagram "1"
    assert.is_nil(script:datagram "x")
    script:advance(1)
    assert.is_true(first:finished())
    assert.equal("x", script:datagram("x"):take_datagram())
  end)

  it("keeps to the limits of the server", function()
    load 'listen = "udp:localhost:0", amplification = 1, max_request = 6, response_timeout = 3'
    assert.same({ "abc", "" }, answers(script:datagram "abc"))
    local large = script:datagram "1234567"
    assert.same({ "too_large", {} }, { large:reason(), answers(large) }) -- The word about it would have 9 bytes.
    local waits = script:datagram "9"
    script:advance(3)
    assert.equal("response_timeout", waits:reason())
    load()
    assert.same({}, answers(script:datagram "long"))
    assert.same({ "script_error" }, answers(script:datagram "number"))
    local events = {}
    for i, line in ipairs(simulator.log()) do events[i] = line.text:match "^%S+ %S+ (%S+)" end
    assert.same({ "datagram_dropped", "script_error" }, events)
    assert.has_error(function() script:datagram(("x"):rep(65508)) end,
      "bad argument #1 to 'datagram' (is longer than a datagram can be)")
  end)

  it("ends without a trace when it is closed while it waits, or the script is", function()
    load()
    local waits, other = script:datagram "5", script:datagram "6"
    waits:close()
    assert.has_error(function() waits:take_datagram() end)
    script:close()
    assert.has_error(function() other:take_datagram() end)
    assert.same({}, simulator.log())
  end)

  it("is answered by the version that it has begun with", function()
    load()
    local waits = script:datagram "5"
    server.write_file(folder.path .. "/datagrams.lua",
      'return { listen = "udp:localhost:0", make_response = function() return "new" end }')
    assert.equal("reloaded", script:reload(true))
    assert.equal("new", script:datagram("x"):take_datagram())
    script:advance(5)
    assert.equal("5", waits:take_datagram())
  end)
end)
