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
end)
