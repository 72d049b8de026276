--- Tests protocols from busted and other spec runners: simulated clients of a script, without a server, and a clock
--- that the spec moves. Sessions and scripts are those of the server. See docs/testing-protocols.md.
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

-- In busted, close() runs after each test. If it raises, that test fails.
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

local function begin()
  if case then return end
  close_after_tests()
  case = Case.new()
end

--- The spec plays the party with this address, which scripts may connect to. Call it before the script connects.
--- Without it, connecting is an error of the script. The nth call with one address is for the nth connection to it; the
--- last one serves all further connections.
---@param address string
---@param options? parlance.harness.UpstreamOptions
---@return parlance.harness.Upstream
function harness.upstream(address, options)
  begin()
  return case:upstream(address, options)
end

--- Connects a client to the script of this path, which is relative to the current folder. The first call for a path
--- loads the script; further clients connect to the same script. Raises if the script is not valid, or if
--- handle_connect fails.
---@param path string
---@param options? parlance.harness.Options
---@return parlance.harness.Client
function harness.open(path, options)
  begin()
  return case:open(path, options)
end

--- Returns a client that sends datagrams to the script of this path, as to a listener with udp:. The first call of
--- open() or open_udp() for a path loads the script.
---@param path string
---@param options? parlance.harness.Options
---@return parlance.harness.Sender
function harness.open_udp(path, options)
  begin()
  return case:open_udp(path, options)
end

local function current()
  return case or error("no script was opened", 3)
end

--- Moves the time of all scripts by so many seconds at once. Time limits expire, and clients read what the server
--- sends at that time.
---@param seconds number
function harness.advance(seconds)
  current():advance(seconds)
end

--- Reloads all scripts, changed or not, as the server does after an edit: state is migrated, and clients go on with
--- the new version. Raises if the new version is refused.
function harness.reload()
  current():reload()
end

--- The server begins to stop: conversations without an unfinished request end.
function harness.drain()
  current():drain()
end

--- Returns the events that were logged since the first open(): all, or those of this name ("state_lost") and those
--- that the script logged with this message.
---@param name? string
---@return parlance.harness.Event[]
function harness.log(name)
  local found <const> = {}
  for _, one in ipairs(case and case.events or {}) do
    if not name or one.event == name or one.fields.message == name then found[#found + 1] = one end
  end
  return found
end

--- Returns a list of lists for client:send_pieces(): the bytes whole, byte by byte, and cut in two at each place.
---@param bytes string
---@return string[][]
function harness.cuts(bytes)
  local ways <const> = { { bytes }, {} }
  for place = 1, #bytes do ways[2][place] = bytes:sub(place, place) end
  for place = 1, #bytes - 1 do ways[#ways + 1] = { bytes:sub(1, place), bytes:sub(place + 1) } end
  return ways
end

--- Ends all conversations and closes all scripts. busted calls this after each test. Raises if a script fails in
--- handle_close.
function harness.close()
  local ended <const> = case
  case = nil
  if ended then ended:close() end
end

return harness
