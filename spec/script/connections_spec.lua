-- parlance.connections(), the clients that are connected.

local line_protocol = require "support.line_protocol"

describe("parlance.connections", function()
  local lines = line_protocol.simulate()
  local start, ask, send = lines.start, lines.ask, lines.send

  local NAMES <const> = [[
    function names()
      local all = {}
      for i, one in ipairs(parlance.connections()) do all[i] = one.client_address.host:match '%d+$' end
      return table.concat(all, ' ')
    end]]

  it("are in the order in which they came, also those that have said nothing", function()
    local script = start(NAMES)
    for i = 3, 6 do script:open { host = "192.0.2." .. i } end
    assert.equal("1 3 4 5 6", ask "return names()")
  end)

  it("are the same values that the functions of the protocol get", function()
    start(NAMES)
    assert.equal("true", ask "mine = ... return parlance.connections()[1] == mine")
    assert.equal("true", ask "return parlance.connections()[1] == mine")
  end)

  it("lack those that are over, or will be closed", function()
    local script = start(NAMES)
    local two, three = script:open { host = "192.0.2.2" }, script:open { host = "192.0.2.3" }
    local four = script:open { host = "192.0.2.4" }
    two:vanish()
    two:close()
    three:vanish()
    send("return (...):close()", four)
    assert.equal("1", ask "return names()")
  end)

  it("lack the one that handle_close is called for", function()
    local script = start(NAMES .. " function Lines:handle_close() note(names()) end")
    local two = script:open { host = "192.0.2.2" }
    two:vanish()
    two:close()
    assert.equal("0 1", lines.noted())
  end)

  it("have the one that handle_connect is called for", function()
    local script = start(NAMES .. " function Lines:handle_connect() note(names()) end")
    script:open { host = "192.0.2.2" }
    assert.matches("^0 1, 0 1 2", lines.noted())
  end)

  it("keep their order over versions, and while some of them are in an old one", function()
    local script = start(NAMES)
    local two = script:open { host = "192.0.2.2" }
    script:open { host = "192.0.2.3" }
    send("sleep(1)", two)
    assert.equal("reloaded", lines.edit(NAMES, "second"))
    script:open { host = "192.0.2.4" }
    assert.equal("1 2 3 4", ask "return names()")
    lines.advance(1)
    assert.equal("1 2 3 4", ask "return names()")
  end)

  it("can be asked for while the script is loaded, and by a task", function()
    start("note(#parlance.connections()) parlance.every(1, function() note(#parlance.connections()) end)")
    lines.advance(1)
    assert.equal("0 0, 1 1", lines.noted())
  end)

  it("survive finalizers that ask for them", function()
    local script = start(NAMES)
    for i = 3, 60 do script:open { host = "192.0.2." .. i } end
    assert.equal("59", ask [[
      local function trap()
        setmetatable({}, { __gc = function() parlance.connections() if not stopped then trap() end end })
      end
      trap()
      for _ = 1, 1000 do parlance.connections() end
      stopped = true
      return #parlance.connections()]])
  end)
end)
