-- Lua's debug library in a script: what is in Lua can be seen and changed, and what is in C cannot.
local conversation = require "support.conversation"

local PROTOCOL <const> = [[
  local framing = require "parlance.framing"
  local parlance = require "parlance"
  local P = { close_when_done = false, request_complete = framing.line {} }
  function P:make_response()
    %s
  end
  return P]]

-- What the body of make_response returns.
local function answer(body)
  local session <close> = conversation.script(PROTOCOL:format(body)):open()
  return (conversation.feed(session, { "x\n" }))
end

describe("debug library", function()
  after_each(conversation.clean)

  for _, name in ipairs { "debug", "getregistry", "sethook", "setuservalue" } do
    it("lacks " .. name, function()
      assert.equal("nil", answer("return tostring(debug." .. name .. ")"))
    end)
  end

  for _, value in ipairs { "parlance.queue()", "parlance.lock():acquire()", "io.stdout" } do
    it("changes no metatable of " .. value, function()
      local said = answer(("return select(2, pcall(debug.setmetatable, %s, debug.getmetatable(parlance.lock())))")
        :format(value))
      assert.truthy(said:find("the metatable of a userdata cannot be changed", 1, true), said)
    end)
  end

  it("changes metatables of other types", function()
    assert.equal("5", answer "debug.setmetatable(1, { __len = function() return '5' end }) return #1")
  end)

  it("tells the place and the variables of each level in Lua, as Lua itself does", function()
    assert.equal("6 deep deep one 1 two", answer [[
      local one = 1
      local function inner()
        local deep = "deep"
        local here, there = debug.getinfo(1, "l").currentline, debug.getinfo(2, "l").currentline
        local name, value = debug.getlocal(1, 1)
        local outer, number = debug.getlocal(2, 2)
        debug.setlocal(2, 2, "two")
        return (there - here) .. " " .. name .. " " .. value .. " " .. outer .. " " .. number
      end
      local said = inner()
      return said .. " " .. one]])
  end)

  it("takes the levels of another coroutine", function()
    assert.equal("inside 3", answer [[
      local other = coroutine.create(function() local inside = 3 coroutine.yield(inside) end)
      coroutine.resume(other)
      local name, value = debug.getlocal(other, 1, 1)
      return name .. " " .. value]])
  end)

  it("names the parameters of a function, and reads and changes its upvalues", function()
    assert.equal("a up 1 2", answer [[
      local up = 1
      local function f(a) return up + a end
      local name, value = debug.getupvalue(f, 1)
      debug.setupvalue(f, 1, 2)
      return debug.getlocal(f, 1) .. " " .. name .. " " .. value .. " " .. up]])
  end)

  it("gives nothing of a C function but what is said about it", function()
    assert.equal("C nil nil nil nil", answer [[
      local about = debug.getinfo(parlance.sleep)
      local change = debug.setupvalue(debug.setmetatable, 1, print)
      return about.what .. " " .. tostring(about.func) .. " " .. tostring((debug.getupvalue(debug.setmetatable, 1)))
        .. " " .. tostring(change) .. " " .. tostring((debug.getupvalue(parlance.sleep, 1)))]])
  end)

  it("gives no function and no variable of the core's frames on the stack", function()
    assert.equal("0 0 true", answer [[
      local functions, variables, levels = 0, 0, 0
      for level = 0, 100 do
        local about = debug.getinfo(level, "Sf")
        if not about then break end
        levels = levels + 1
        if about.what == "C" then
          if about.func then functions = functions + 1 end
          for place = -3, 20 do
            if debug.getlocal(level, place) or debug.setlocal(level, place, false) then variables = variables + 1 end
          end
        end
      end
      return functions .. " " .. variables .. " " .. tostring(levels > 1)]])
  end)

  it("refuses a level that does not exist", function()
    assert.equal("nil false", answer [[
      return tostring(debug.getinfo(1000)) .. " " .. tostring((pcall(debug.getlocal, 1000, 1)))]])
  end)
end)
