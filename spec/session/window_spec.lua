-- How much of the input request_complete is shown where many small requests wait.
local conversation = require "support.conversation"

-- A request ends at a full stop; the response is how many bytes were shown each time it was asked
-- about, with blanks between.
local function shown()
  return conversation.script([[
    local Shown = { close_when_done = false, max_request = 100000 }
    function Shown:request_complete()
      self.shown = (self.shown or "") .. " " .. #self.incoming
      local stop = self.incoming:find(".", 1, true)
      if not stop then return false end
      return true, stop
    end
    function Shown:make_response()
      local shown = self.shown:sub(2)
      self.shown = nil
      return shown .. "\n"
    end
    return Shown]]):open()
end

-- What was shown for each of these requests, which arrive at once, given by their lengths.
local function feed(session, ...)
  local requests <const> = {}
  for i, length in ipairs { ... } do requests[i] = ("x"):rep(length - 1) .. "." end
  local all <const> = {}
  for line in conversation.feed(session, { table.concat(requests) }):gmatch "[^\n]+" do all[#all + 1] = line end
  return all
end

describe("what is shown of the input", function()
  after_each(conversation.clean)

  it("is all of it before there was a request", function()
    assert.equal("1000", feed(shown(), 100, 900)[1])
  end)

  it("is twice the last request, so that many take linear time", function()
    local lengths = {}
    for i = 1, 100 do lengths[i] = 200 end
    local all = feed(shown(), table.unpack(lengths))
    assert.equal("20000", all[1])
    for i = 2, 99 do assert.equal("400", all[i]) end
    assert.equal("200", all[100])
  end)

  it("is no less than what is cheap anyway", function()
    assert.same({ "1010", "95", "95 190 380 760 1000" }, feed(shown(), 5, 5, 1000))
  end)

  it("grows when that is no request", function()
    assert.same({ "1305", "95 190 380", "600", "500" }, feed(shown(), 5, 300, 500, 500))
  end)

  it("is not narrowed at once behind a larger one, since they may take turns", function()
    assert.same({ "3000", "2000", "1750", "1532", "1341 1970" }, feed(shown(), 1000, 10, 10, 10, 1970))
  end)

  it("is narrowed at once behind one that is much larger", function()
    assert.same({ "20030", "3584", "3136" }, { table.unpack(feed(shown(), 5, 40000, 10, 10, 10, 20000), 3, 5) })
  end)

  it("holds for what arrives later, too", function()
    local session = shown()
    feed(session, 5, 500)
    assert.equal("1000", feed(session, 10, 2000)[1])
  end)
end)
