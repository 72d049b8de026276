-- Parts of files in a response, { file = f, length = n }, as they come out of a socket.

local server = require "support.server"

local SCRIPT <const> = [[
local framing = require "parlance.framing"
local path = ...
local function file(at, content)
  local made = assert(io.tmpfile())
  made:write(content or "0123456789")
  if not content or at then made:seek("set", at or 0) end
  return made
end
local cases = {
  part = function() return { "<", { file = file(2), length = 3 }, ">" } end,
  two = function() return { { file = file(0), length = 2 }, { file = file(8), length = 2 } } end,
  empty = function() return { "<", { file = file(10), length = 0 }, ">" } end,
  long = function() return { { file = file(1, ("x"):rep(1000000) .. "y"), length = 1000000 }, "|" } end,
  over = function() return { "<", { file = file(5), length = 6 } } end,
  negative = function() return { { file = file(), length = -1 } } end,
  fraction = function() return { { file = file(), length = 1.5 } } end,
  text = function() return { { file = file(), length = "3" } } end,
  missing = function() return { { file = file() } } end,
  other = function() return { { file = file(), length = 1, offset = 2 } } end,
  closed = function()
    local closed = file()
    closed:close()
    return { { file = closed, length = 1 } }
  end,
  pipe = function() return { { file = io.popen "echo hello", length = 1 } } end,
  twice = function()
    local same = file()
    return { { file = same, length = 1 }, "-", { file = same, length = 1 } }
  end,
  whole_twice = function()
    local same = file()
    return { same, same }
  end,
  shrinks = function()
    local name = os.tmpname()
    local made = assert(io.open(name, "w+"))
    made:write("0123456789")
    made:seek("set", 0)
    made:flush()
    local pieces = 0
    return {
      function()
        pieces = pieces + 1
        if pieces > 1 then return nil end
        io.open(name, "w"):close()
        os.remove(name)
        return "<"
      end,
      { file = made, length = 10 },
    }
  end,
}
return {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self) return cases[self.request]() end,
  handle_error = function(_, reason) return "sorry: " .. reason .. "\n" end,
}
]]

describe("a part of a file", function()
  server.for_each_poller(function(poller)
    local function answer(...)
      local started = server.start(SCRIPT, { poller = poller })
      return started:connect():exchange_all(table.concat({ ... }, "\n") .. "\n"), started
    end

    it("is sent from where the file stands, and no more of it", function()
      assert.are.equal("<234>" .. "0189" .. "<>" .. "<234>", (answer("part", "two", "empty", "part")))
    end)

    it("may be long", function()
      local bytes = answer "long"
      assert.are.equal(1000001, #bytes)
      assert.are.equal("xy|", bytes:sub(-3))
    end)

    for _, case in ipairs {
      { "over", "item 2 is 6 bytes of a file that has 5 left" },
      { "negative", "item 1 is a table" }, { "fraction", "item 1 is a table" }, { "text", "item 1 is a table" },
      { "missing", "item 1 is a table" }, { "other", "item 1 is a table" }, { "closed", "item 1 is a table" },
      { "pipe", "item 1 is a part of a file that is no regular one" },
      { "twice", "items 1 and 3 are the same file" }, { "whole_twice", "items 1 and 2 are the same file" },
    } do
      local request, message = table.unpack(case)
      it("is an error of the script: " .. request, function()
        local bytes, started = answer("part", request, "part")
        assert.are.equal("<234>sorry: script_error\n", bytes)
        assert.truthy(started:log():find(message, 1, true), started:log())
      end)
    end

    it("ends the connection when the file gets shorter meanwhile", function()
      local bytes, started = answer "shrinks"
      assert.are.equal("<", bytes)
      started:wait_for_log "reason=file_error"
    end)

    it("is closed afterwards", function()
      local started = server.start(SCRIPT, { poller = poller })
      local client = started:connect()
      client:exchange("part\n", 5)
      local before = started:descriptors()
      for _ = 1, 50 do client:exchange("part\nempty\ntwo\n", 5 + 2 + 4) end
      -- The last file may be closed a moment after its last byte has come.
      server.wait_until("the files to be closed", function() return started:descriptors() <= before end)
    end)
  end)
end)
