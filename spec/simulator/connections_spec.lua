-- The order of events in a simulation, and what its clients see of scripts that wait.

local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

-- Each line is a piece of Lua that is run; what it returns is the answer. `note(text)` keeps the time and the text.
local LINES <const> = [[
local framing = require "parlance.framing"
parlance = require "parlance"
sleep, noted = parlance.sleep, {}
function note(text) noted[#noted + 1] = ("%g %s"):format(parlance.now(), text) end
local Lines = { close_when_done = false, request_complete = framing.line { max = 10000 }, idle_timeout = 30 }
Lines.request_timeout = 20
function Lines:make_response() return tostring((assert(load(self.request))(self))) .. "\n" end
function Lines:handle_error(reason) note(reason) end
function Lines:handle_close(reason) note(reason) end
return Lines]]

describe("a simulation", function()
  local folder, script

  before_each(function()
    folder = tree.new { ["lines.lua"] = LINES }
    simulator.log()
    script = assert(simulator.load(folder.path .. "/lines.lua", { modules = server.SOURCE .. "/lua" }))
  end)

  after_each(function()
    script:close()
    folder:remove()
  end)

  local function open(line)
    local session = script:open()
    if line then session:receive(line .. "\n") end
    return session
  end

  local function noted()
    return open "return table.concat(noted, ', ')":take():sub(1, -2)
  end

  it("has tasks of the same instant go on in the order in which they began to wait", function()
    open "sleep(2) note 'a'"
    open "sleep(1) sleep(1) note 'b'"
    open "sleep(2) note 'c'"
    script:advance(2)
    assert.equal("2 a, 2 c, 2 b", noted())
  end)

  it("runs what is woken behind what can run already", function()
    open "sleep(1) note 'a1' sleep(0) note 'a2'"
    open "sleep(1) note 'b1' sleep(0) note 'b2'"
    script:advance(1)
    assert.equal("1 a1, 1 b1, 1 a2, 1 b2", noted())
  end)

  it("lets the time stand still while anything can run", function()
    open "for _ = 1, 1000 do sleep(0) end note 'done'"
    assert.equal("0 done", noted())
  end)

  it("has what is due at an instant before the bytes of that instant", function()
    open "sleep(1) note 'woken'"
    script:advance(1)
    open "note 'sent'"
    assert.equal("1 woken, 1 sent", noted())
  end)

  it("has limits expire before what is woken at the same time goes on", function()
    open "sleep(20) note 'before'"
    open():receive "half a line"
    open "sleep(20) note 'after'"
    script:advance(20)
    assert.equal("20 request_timeout, 20 before, 20 after", noted())
  end)

  it("fails on tasks that never wait for the time", function()
    local session = open "while true do sleep(0) end"
    assert.matches("script_overrun detail=\"tasks go on and on", simulator.log()[1].text)
    session:close()
  end)

  it("tells when a task goes on, apart from the limits of others", function()
    assert.is_nil(script:task_deadline())
    local idle, session = open(), open "sleep(45) return 'late'"
    assert.same({ 30, 45 }, { script:deadline(), script:task_deadline() })
    assert.same({ false, true }, { idle:waits(), session:waits() })
    script:advance(45)
    assert.is_nil(script:task_deadline())
    assert.same({ false, "late\n" }, { session:waits(), session:take() })
  end)

  it("counts the limit of a response for one that waits for it", function()
    assert.equal(60, script:response_timeout())
    local session = open "sleep(100)"
    assert.equal(60, script:task_deadline())
    script:advance(60)
    assert.equal("response_timeout", session:reason())
  end)

  it("wakes nobody in a conversation that has ended", function()
    local session = open "sleep(1) note 'woken'"
    session:close()
    script:advance(2)
    assert.equal("0 stopped", noted())
  end)
end)
