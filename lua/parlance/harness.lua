--- Protocols under test, for busted and other spec runners: clients of a script without a server, and a
--- clock that the spec moves by hand. The sessions and the scripts are the server's own. See
--- docs/testing-protocols.md.
---
---     local harness = require "parlance.harness"
---
---     it("sends every line back", function()
---       local client = harness.open "protocols/echo.lua"
---       assert.equal("hello\n", client:send("hello\n"):receive())
---     end)
---@class parlance.harness
local harness = {}

local Case = require "parlance.harness.case"

---@type parlance.harness.Case? from the first open() to close()
local case

local is_subscribed = false

-- Within busted, close() comes after each test by itself, and what it raises is counted against that.
local function close_after_tests()
  local busted <const> = package.loaded.busted
  if is_subscribed or not busted or not busted.subscribe then return end
  is_subscribed = true
  busted.subscribe({ "test", "end" }, function()
    local is_closed, why = pcall(harness.close)
    if not is_closed then error(why, 0) end
    return nil, true -- for the other subscribers
  end)
end

--- Connects a client to the script of this path, which is relative to the current folder. The script is
--- loaded when it is opened first; further clients talk to the same. An error if it is not valid, or
--- fails when it is connected to.
---@param path string
---@param options? parlance.harness.Options
---@return parlance.harness.Client
function harness.open(path, options)
  if not case then
    close_after_tests()
    case = Case.new()
  end
  return case:open(path, options)
end

local function current()
  return case or error("no script was opened", 3)
end

--- So many seconds pass at once, for all scripts, and with them the limits of time. What the server
--- sends meanwhile is read by the clients when it is sent.
---@param seconds number
function harness.advance(seconds)
  current():advance(seconds)
end

--- Loads all scripts anew, changed or not, as the server does when they were edited: state is carried
--- over, or not, and clients go on with the new version. An error if it is refused.
function harness.reload()
  current():reload()
end

--- The server is asked to stop: conversations that have nothing in hand end.
function harness.drain()
  current():drain()
end

--- What was logged since the first open(): all of it, or the events of this name ("state_lost"), and
--- those that the script logged with this message.
---@param name? string
---@return parlance.harness.Event[]
function harness.log(name)
  local found <const> = {}
  for _, one in ipairs(case and case.events or {}) do
    if not name or one.event == name or one.fields.message == name then found[#found + 1] = one end
  end
  return found
end

--- Every way in which TCP may cut these bytes in two, and whole, and byte by byte: a list of lists, for
--- client:send_pieces().
---@param bytes string
---@return string[][]
function harness.cuts(bytes)
  local ways <const> = { { bytes }, {} }
  for place = 1, #bytes do ways[2][place] = bytes:sub(place, place) end
  for place = 1, #bytes - 1 do ways[#ways + 1] = { bytes:sub(1, place), bytes:sub(place + 1) } end
  return ways
end

--- Ends all conversations and forgets all scripts; the next open() begins anew. In busted this comes after
--- each test by itself. An error if a script fails in it (in handle_close).
function harness.close()
  local ended <const> = case
  case = nil
  if ended then ended:close() end
end

return harness
