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

  -- Opens connections from 192.0.2.3 to 192.0.2.LAST. One that nothing refers to would be collected.
  local function open_more(script, last)
    local open = setmetatable({}, { __close = function(list)
      for _, one in ipairs(list) do one:close() end
    end })
    for i = 3, last do open[#open + 1] = script:open { host = "192.0.2." .. i } end
    return open
  end

  it("are in the order in which they came, also those that have said nothing", function()
    local script = start(NAMES)
    local _ <close> = open_more(script, 6)
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
    local opened = {}
    for i = 2, 3 do opened[i] = script:open { host = "192.0.2." .. i } end
    send("sleep(1)", opened[2])
    assert.equal("reloaded", lines.edit(NAMES, "second"))
    opened[4] = script:open { host = "192.0.2.4" }
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
    local _ <close> = open_more(script, 60)
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
