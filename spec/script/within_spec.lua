-- parlance.within(): a deadline for all that a function does.

local line_protocol = require "support.line_protocol"

describe("parlance.within", function()
  local lines = line_protocol.simulate()
  local start, ask, send, answer = lines.start, lines.ask, lines.send, lines.answer

  it("returns true and what the function returns in time", function()
    start()
    assert.equal("true", ask "return listed(parlance.within(1, function() end))")
    assert.equal("true a nil b", ask "return listed(parlance.within(0, function(...) return ... end, 'a', nil, 'b'))")
    send "return listed(parlance.within(1, function(...) sleep(0.5) return ... end, 1, 2))"
    lines.advance(0.5)
    assert.equal("true 1 2", answer())
    assert.is_nil(lines.logged():match "%S")
  end)

  it("is over also if a variable that is closed raises another error", function()
    start()
    send [[
      local got = listed(pcall(parlance.within, 1, function()
        pcall(function()
          local x <close> = setmetatable({}, { __close = function() error('another', 0) end })
          sleep(10)
        end)
        return 'escaped'
      end))
      return got .. ' ' .. select('#', sleep(1))]]
    lines.advance(1)
    lines.advance(1)
    assert.equal("false another 0", answer())
  end)

  it("cancels what the function does when the time is over, and goes on behind", function()
    start()
    send [[
      local got = listed(parlance.within(1, function()
        local x <close> = setmetatable({}, { __close = function(_, why) note(tostring(why), listed(sleep(1))) end })
        pcall(function()
          coroutine.wrap(function()
            local y <close> = setmetatable({}, { __close = function() note 'inner' end })
            sleep(10)
          end)()
        end)
        note 'caught'
      end))
      sleep(1)
      return got]]
    lines.advance(1)
    assert.equal("1 inner, 1 cancelled nil cancelled cancelled", lines.noted())
    lines.advance(1)
    assert.equal("nil timeout timeout", answer())
    assert.equal("", lines.logged())
  end)

  it("passes an error of the function on, with its place", function()
    start()
    assert.equal("on purpose", ask "return select(2, pcall(parlance.within, 1, error, 'on purpose', 0))")
    send "parlance.within(1, function() sleep(0.5) error 'here' end)"
    lines.advance(0.5)
    local text = lines.logged()
    assert.truthy(text:find(":1: here", 1, true), text)
    assert.truthy(text:find("in function 'error'", 1, true), text)
  end)

  it("raises at the next wait where the function did not wait when the time was over", function()
    start()
    send [[return listed(parlance.within(1, function()
      local t = parlance.spawn(function() sleep(1) return 'result' end)
      note(listed(t:wait()))
      note(listed(sleep(1)))
    end))]]
    lines.advance(1)
    assert.equal("nil timeout timeout", answer())
  end)

  it("of no time ends the first wait", function()
    start()
    send "return listed(parlance.within(0, function() note 'ran' sleep(1) note 'went on' end))"
    lines.advance(0)
    assert.equal("nil timeout timeout", answer())
    assert.equal("0 ran", lines.noted())
  end)

  describe("within another", function()
    it("ends with the earlier one: the outer", function()
      start()
      send [[
        local function inner() note('inner', listed(parlance.within(5, sleep, 10))) note 'never' end
        return listed(parlance.within(1, inner))]]
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      assert.equal("", lines.noted())
    end)

    it("ends with the earlier one: the inner", function()
      start()
      send [[
        local function inner() note(listed(parlance.within(1, sleep, 10))) sleep(1) return 'done' end
        return listed(parlance.within(5, inner))]]
      lines.advance(2)
      assert.equal("true done", answer())
      assert.equal("1 nil timeout timeout", lines.noted())
    end)

    it("ends with the outer where both are over at once", function()
      start()
      send [[
        local function inner() note(listed(parlance.within(1, sleep, 10))) end
        return listed(parlance.within(1, inner))]]
      lines.advance(1)
      assert.equal("nil timeout timeout", answer())
      assert.equal("", lines.noted())
    end)

    it("a hundred deep ends them all", function()
      start()
      send [[
        local function nest(n)
          if n == 0 then sleep(1000) end
          return parlance.within(n, nest, n - 1)
        end
        return listed(nest(100))]]
      lines.advance(1)
      assert.matches("^true true .* nil timeout timeout$", answer())
    end)
  end)

  it("is passed by a cancel of the task", function()
    start()
    ask [[
      t = parlance.spawn(function()
        local x <close> = setmetatable({}, { __close = function(_, why) note(tostring(why)) end })
        note(listed(parlance.within(5, sleep, 10)))
      end)]]
    ask "t:cancel()"
    assert.equal("0 cancelled", lines.noted())
    assert.equal("nil cancelled cancelled", ask "return listed(t:wait())")
    lines.advance(10)
    assert.equal("", lines.noted())
  end)

  it("is passed by a task that cancels itself while the deadline ends it", function()
    start()
    send [[
      local t
      t = parlance.spawn(function()
        parlance.within(1, function()
          local x <close> = setmetatable({}, { __close = function() t:cancel() sleep(1) note 'never' end })
          sleep(10)
        end)
        note 'never'
      end)
      return listed(t:wait())]]
    lines.advance(1)
    assert.equal("nil cancelled cancelled", answer())
    assert.equal("", lines.noted())
  end)

  it("is passed by an error of a variable that is closed", function()
    start()
    send [[
      return listed(pcall(parlance.within, 1, function()
        local x <close> = setmetatable({}, { __close = function() error('on purpose', 0) end })
        sleep(10)
      end))]]
    lines.advance(1)
    assert.equal("false on purpose", answer())
    assert.equal("fine", ask "return 'fine'")
  end)

  it("is passed by a stop", function()
    start(nil, { call_timeout = 50 })
    send "parlance.within(1, function() sleep(0.5) while true do pcall(error) end end)"
    lines.advance(0.5)
    assert.truthy(lines.logged():find("error script_overrun", 1, true))
    lines.advance(10)
    assert.equal("fine", ask("return 'fine'", lines.open()))
  end)

  it("works in coroutines of the script, which may yield only within themselves", function()
    start()
    send [[return coroutine.wrap(function()
      return listed(parlance.within(1, function()
        local each = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end sleep(10) end)
        note(each(), each(), each(), select(2, pcall(coroutine.yield)))
        each()
      end))
    end)()]]
    lines.advance(1)
    assert.equal("nil timeout timeout", answer())
    assert.equal("0 1 2 3 coroutine.yield cannot leave parlance.within", lines.noted())
  end)

  describe("around a function of a C module that yields", function()
    local library <const> = package.searchpath("parlance_spec", package.cpath)
    local AGAIN <const> = "return listed(parlance.within(1, function() collectgarbage() sleep(0) return 5 end))"

    local function begin()
      start(("leave = assert(package.loadlib(%q, 'spec_yield'))"):format(library))
    end

    it("ends the coroutine, with its variables, in an error that says so", function()
      begin()
      local said <const> = "a C module yields within parlance.within"
      send [[
        local c = coroutine.create(function()
          parlance.within(1, function()
            parlance.within(2, function()
              local x <close> = setmetatable({}, { __close = function() note 'closed' end })
              leave()
            end)
          end)
        end)
        return listed(coroutine.resume(c)) .. ', ' .. listed(coroutine.resume(c)) .. ', ' .. coroutine.status(c)]]
      assert.equal("false " .. said .. ", false cannot resume dead coroutine, dead", answer())
      assert.equal("0 closed", lines.noted())
      assert.matches("false .*" .. said, ask [[return listed(pcall(coroutine.wrap(function()
        parlance.within(1, leave)
      end)))]])
      lines.advance(3)
      assert.equal("true 5", ask(AGAIN))
    end)

    it("ends what the task does", function()
      begin()
      ask [[
        task = parlance.spawn(function() parlance.within(1, function() parlance.within(2, leave) end) end)]]
      local said <const> = 'script_error .*detail="?a C module yields outside of a coroutine'
      assert.matches(said, lines.logged())
      send "parlance.within(1, leave)"
      assert.matches(said, lines.logged())
      lines.advance(3)
      assert.equal("true 5", ask(AGAIN, lines.open()))
    end)

    it("ends the coroutine when its deadline was over before", function()
      begin()
      send [[
        local c = coroutine.wrap(function()
          parlance.within(1, function()
            local x <close> = setmetatable({}, { __close = function() leave() end })
            sleep(2)
          end)
        end)
        local got = listed(pcall(c))
        return got .. ' ' .. select('#', sleep(1))]]
      lines.advance(1)
      lines.advance(1)
      assert.matches("^false .* 0$", answer())
    end)
  end)

  it("ends a read from the client, which loses nothing", function()
    local _, session = start()
    send "local first = listed(parlance.within(1, (...).read, (...), 'l')) return first .. ', ' .. (...):read('l')"
    session:receive "la"
    lines.advance(1)
    session:receive "te\n"
    assert.equal("nil timeout timeout, late", answer())
    assert.equal("next", ask "return 'next'")
  end)

  it("cannot be where nothing may wait", function()
    start()
    assert.matches("parlance.within cannot wait within table.sort",
      ask "return select(2, pcall(function() table.sort({ 1, 2 }, function() parlance.within(1, print) end) end))")
  end)

  it("runs nothing in a task that was cancelled", function()
    start()
    ask [[t = parlance.spawn(function()
      local x <close> = setmetatable({}, { __close = function() note(listed(parlance.within(1, note, 'ran'))) end })
      sleep(1)
    end)]]
    ask "t:cancel()"
    assert.equal("0 nil cancelled cancelled", lines.noted())
  end)

  it("refuses what is no time and no function", function()
    start()
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(parlance.within, -1, print))")
    assert.matches("from 0 to 1e9", ask "return select(2, pcall(parlance.within, 0/0, print))")
    assert.matches("number expected, got nil", ask "return select(2, pcall(parlance.within, nil, print))")
    assert.matches("function expected, got no value", ask "return select(2, pcall(parlance.within, 1))")
  end)

  it("leaves no timer behind", function()
    local script = start()
    ask "parlance.within(5, note)"
    assert.is_nil(script:deadline())
  end)
end)
