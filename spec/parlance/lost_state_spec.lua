-- What is named when it is about to be lost is in spec/reload/reload_spec.lua; here: that looking for it ends.
package.loaded.parlance = { shared = {} }
local lost_state = require "parlance.lost_state"

local PROTOCOL <const>, GLOBALS <const> = 1, 2

-- A version whose protocol, or globals, hold so many tables.
local function version(place, count)
  local roots = { [PROTOCOL] = {}, [GLOBALS] = {} }
  for i = 1, count do roots[place]["field" .. i] = { i } end
  return roots
end

-- In steps of a thousand instructions.
local function steps(run, ...)
  local count = 0
  debug.sethook(function() count = count + 1 end, "", 1000)
  run(...)
  debug.sethook()
  return count
end

describe("the state that is lost", function()
  for name, place in pairs { protocol = PROTOCOL, globals = GLOBALS } do
    it("is not looked for in all of a " .. name .. " that holds very much", function()
      local much, more = version(place, 10000), version(place, 100000)
      local before = steps(lost_state, much, version(place, 0))
      assert.is_true(before > 10)
      assert.is_true(steps(lost_state, more, version(place, 0)) < before * 2)
    end)
  end
end)
