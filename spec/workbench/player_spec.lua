-- One play of a transcript, in one way.

local player = require "parlance.workbench.player"
local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"

-- Answers each line with the pieces that it was shown in, joined by "|".
local PIECES <const> = [[
local Pieces = { close_when_done = false }
function Pieces:request_complete()
  self.shown = self.shown or {}
  local before = 0
  for _, length in ipairs(self.shown) do before = before + length end
  if #self.incoming > before then table.insert(self.shown, #self.incoming - before) end
  local last = self.incoming:find("\n", 1, true)
  return last ~= nil, last
end
function Pieces:make_response()
  local text = table.concat(self.shown, "|") .. "\n"
  self.shown = nil
  return text
end
return Pieces
]]

local folder, script

before_each(function()
  folder = server.new_folder()
  server.write_file(folder .. "/pieces.lua", PIECES)
  script = assert(simulator.load(folder .. "/pieces.lua", { modules = server.SOURCE .. "/lua" }))
end)
after_each(function()
  script:close()
  server.remove_folder(folder)
end)

local function play(text, way)
  return player.play(script, assert(transcripts.read(text, "t.transcript")), way, {})
end

describe("workbench.player", function()
  for _, case in ipairs {
    { "sends what belongs together in one piece", {}, "6", "4" },
    { "cuts where it is told to", { cuts = { 1, 4 } }, "1|3|2", "4" },
    { "cuts what is sent later by the bytes that were sent before", { cuts = { 7 } }, "6", "1|3" },
    { "needs no cut where a piece ends", { cuts = { 6 } }, "6", "4" },
    { "sends byte by byte", { cuts = "bytes" }, "1|1|1|1|1|1", "1|1|1|1" },
  } do
    local fact, way, first, second = table.unpack(case)
    it(fact, function()
      local text = '> "hello\\n"\n< "%s\\n"\n> "you\\n"\n< "%s\\n"'
      assert.is_nil(play(text:format(first, second), way))
      local fault = play(text:format(first, "?"), way)
      assert.same({ "answer", 4, second .. "\n" }, { fault.kind, fault.line, fault.got })
    end)
  end

  it("counts cuts over all clients", function()
    assert.is_nil(play('a> "one\\n"\na< "4\\n"\nb> "two\\n"\nb< "2|2\\n"', { cuts = { 6 } }))
  end)

  it("looks at no answer any more when the client has left", function()
    for _, breaks in ipairs { false, true } do
      for place = 0, 6 do
        assert.is_nil(play('> "hello\\n"\n< "wrong"', { gone = place, breaks = breaks }))
      end
    end
  end)

  it("looks at answers that come before the client leaves", function()
    assert.equal(2, play('> "hello\\n"\n< "wrong"\n> "you\\n"', { gone = 8 }).line)
  end)

  it("tells of each piece, and is over when it is told so", function()
    local places = {}
    assert.is_nil(play('> "hello\\n"\n< "wrong"', {
      cuts = "bytes",
      after_piece = function(position, requests)
        places[#places + 1] = position
        assert.equal(0, requests)
        return position == 3
      end,
    }))
    assert.same({ 1, 2, 3 }, places)
  end)

  it("has conversations with several clients in the order in which they came", function()
    local fault = play('b> "one\\n"\na> "two\\n"', {})
    assert.same({ "answer", 2, "" }, { fault.kind, fault.line, fault.expected })
  end)

  -- What is answered to "hello\n" is "6\n": what the transcript says of it, and whether it fits.
  for _, case in ipairs {
    { 'a string and a pattern in a line', '< "" ~"%d+" "\\n"', true },
    { 'a pattern that leaves what stands behind it', '< ~".*" "6\\n"', true },
    { 'a pattern that takes as little as there must be', '< ~".-" "\\n"', true },
    { 'two of them', '< ~".*" "6" ~".-" "\\n"', true },
    { 'lines one behind the other', '< ~".*"\n< "\\n"', true },
    { 'a text with the letters of patterns', '< ~".*" "." ~".*"', false },
    { 'a pattern that finds too much', '< ~".*" "6"', false },
    { 'a pattern that finds too little', '< ~".-" "6"', false },
    { 'an anchor at the end', '< "6" ~"\\n$"', true },
    { 'a capture, which takes all that it can', '< ~"(.*)" "\\n"', false },
  } do
    local fact, lines, fits = table.unpack(case)
    it("takes " .. fact, function()
      local fault = play('> "hello\\n"\n' .. lines, {})
      assert.equal(not fits and "answer" or nil, fault and fault.kind)
    end)
  end

  it("takes a pattern that is too complex for one that does not match", function()
    local fault = play('> "hello\\n"\n< ~"' .. ("6-"):rep(300) .. '"\n< "\\n"', {})
    assert.equal("answer", fault.kind)
  end)

  it("gives a client what another one has caused", function()
    server.write_file(folder .. "/room.lua", [[
      local all = {}
      local Room = { close_when_done = false, request_complete = require "parlance.framing".line {} }
      function Room:handle_connect() all[self] = true end
      function Room:handle_close() all[self] = nil end
      function Room:make_response()
        for other in pairs(all) do if other ~= self then other:send(self.request .. "\n") end end
        return "ok\n"
      end
      return Room]])
    script:close()
    script = assert(simulator.load(folder .. "/room.lua", { modules = server.SOURCE .. "/lua" }))
    for _, cuts in ipairs { {}, "bytes" } do
      assert.is_nil(play('a< ""\nb> "one\\n"\na< "one\\n"\nb< "ok\\n"\na> "two\\n"\nb< "two\\n"\na< "ok\\n"',
        { cuts = cuts }))
      local fault = play('a< ""\nb> "one\\n"\nb< "ok\\n"\na> "two\\n"', { cuts = cuts })
      assert.same({ 4, "", "one\n" }, { fault.line, fault.expected, fault.got })
    end
  end)

  describe("of a script that waits", function()
    -- Each line says how many seconds its answer takes; "push" has a second answer after the first.
    local SLOW <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local Slow = { close_when_done = false, request_complete = framing.line {}, response_timeout = 10 }
function Slow:make_response()
  if self.request == "push" then
    return { "one\n", function() parlance.sleep(8) self.count = (self.count or 0) + 1
      return self.count < 3 and "more\n" or nil end }
  end
  if self.request == "bye" then parlance.sleep(1) self.close_when_done = true return "" end
  if self.request == "hang" then while true do parlance.sleep(1) end end
  parlance.sleep(tonumber(self.request))
  return ("%s at %g\n"):format(self.request, parlance.now())
end
function Slow:handle_error(reason) return "sorry: " .. reason .. "\n" end
return Slow
]]

    before_each(function()
      script:close()
      server.write_file(folder .. "/slow.lua", SLOW)
      script = assert(simulator.load(folder .. "/slow.lua", { modules = server.SOURCE .. "/lua" }))
    end)

    for _, case in ipairs {
      { "moves the time until the bytes are there", '> "5\\n"\n< "5 at 5\\n"' },
      { "takes what is sent before the answer", '> "5\\n" "1\\n" "0\\n"\n< "5 at 5\\n1 at 6\\n0 at 6\\n"' },
      { "moves the time no further", '> "1\\n"\n< "1 at 1\\n"\n> "0\\n"\n< "0 at 1\\n"' },
      { "counts from the last bytes for how long it waits", '> "push\\n"\n< "one\\nmore\\nmore\\n"' },
      { "waits for the end", '> "bye\\n"\n< end' },
      { "has a wait pass in the time of all", '> "5\\n"\nwait 2\n< ""\nwait 3\n< "5 at 5\\n"' },
      { "is satisfied with the words about a time limit", '> "hang\\n"\n< "sorry: response_timeout\\n"\n< end' },
      { "answers two clients at once", 'a> "3\\n"\nb> "2\\n"\na< "3 at 3\\n"\nb< "2 at 2\\n"' },
    } do
      local fact, text = table.unpack(case)
      it(fact, function()
        for _, cuts in ipairs { {}, { 1 }, { 2, 4 }, "bytes" } do
          script:close()
          script = assert(simulator.load(folder .. "/slow.lua", { modules = server.SOURCE .. "/lua" }))
          assert.is_nil(play((text:gsub("\\\\", "\\")), { cuts = cuts }))
        end
      end)
    end

    it("does not wait for what cannot come any more", function()
      local fault = play('> "5\\n" "9\\n"\n< "6 at"', {})
      assert.same({ "answer", 2, "5 at 5\n" }, { fault.kind, fault.line, fault.got })
      assert.equal(5, script:now())
    end)

    it("waits for no longer than a response may take, and says what the server says", function()
      local fault = play('> "hang\\n"\n< "done"', {})
      assert.same({ "raise", "sorry: response_timeout\n", true }, { fault.kind, fault.got, fault.is_closed })
      assert.matches("warn response_timeout", fault.raised)
    end)

    it("does not move the time where nothing waits", function()
      assert.equal("answer", play('> "half"\n< "done"', {}).kind)
      assert.equal(0, script:now())
    end)

    it("takes a byte more at that instant for a fault, and a later one not", function()
      assert.is_nil(play('> "push\\n"\n< "one\\n"', {}))
      assert.equal("answer", play('> "push\\n"\n< "one\\nmo"', {}).kind)
    end)
  end)
end)
