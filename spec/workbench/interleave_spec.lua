-- Different transcripts of one script, played against each other.

local play_together = require "parlance.workbench.interleave"
local server = require "support.server"
local run = require "parlance.workbench.run"
local transcripts = require "parlance.workbench.transcript"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- Answers "is WORD" with nothing but a line, and "what" with the word that was said last.
local function script(keeps)
  return ([[
local framing = require "parlance.framing"
local parlance = require "parlance"
local all = {}
local Words = { close_when_done = false, request_complete = framing.line { max = 100 } }
function Words:make_response()
  local kept = %s
  local word = self.request:match "^is (.*)$"
  if word then kept.word = word end
  return (word and "ok" or kept.word) .. (parlance.settings.ending or "") .. "\n"
end
return Words]]):format(keeps)
end

local function try(keeps, texts, deadline)
  local path = folder .. "/words.lua"
  server.write_file(path, script(keeps))
  local list, versions = {}, {}
  for i, text in ipairs(texts) do
    list[i] = assert(transcripts.read(text, ("%s/%d.transcript"):format(folder, i)))
  end
  local findings, plays = play_together(
    { path = path, options = { modules = server.SOURCE .. "/lua" } }, list, deadline, versions)
  return findings, plays, versions
end

local function says(word)
  return ('> "is %s\\n"\n< "ok\\n"\n> "what\\n"\n< "%s\\n"\n'):format(word, word)
end

describe("workbench.interleave", function()
  it("finds what one client leaves for another, and whose answer it is", function()
    local findings = try("all", { says "a", says "b" })
    assert.equal(1, #findings)
    local fault = findings[1].fault
    assert.same({ "beside", "answer", 4, "a\n", "b\n" },
      { fault.how, fault.kind, fault.line, fault.expected, fault.got })
    assert.equal(folder .. "/1.transcript", findings[1].transcript.path)
    assert.equal(folder .. "/2.transcript", fault.other.path)
  end)

  it("does not mind what comes earlier because another transcript waits", function()
    local path = folder .. "/slow.lua"
    server.write_file(path, [[
      local parlance = require "parlance"
      local Slow = { close_when_done = false, request_complete = require("parlance.framing").line {} }
      function Slow:make_response()
        if self.request == "slow" then parlance.sleep(5) return "done\n" end
        if self.request ~= "watch" then return self.request .. "\n" end
        local left = 1
        return { "ok\n", function()
          parlance.sleep(1)
          left = left - 1
          return left == 0 and "tick\n" or nil
        end }
      end
      return Slow]])
    local list = {}
    for i, text in ipairs { '> "slow\\n"\n< "done\\n"', '> "watch\\n"\n< "ok\\n"\n> "x\\n"\n< "tick\\nx\\n"' } do
      list[i] = assert(transcripts.read(text, ("%s/%d.transcript"):format(folder, i)))
      assert.same({}, run(path, { modules = server.SOURCE .. "/lua" }, list[i]).findings)
    end
    local options = { modules = server.SOURCE .. "/lua" }
    local findings, plays = play_together({ path = path, options = options }, list, nil, {})
    assert.same({}, findings)
    assert.equal(2, plays)
  end)

  it("finds what only the later one of two meets", function()
    local findings = try("all", { says "a",
      '> "what\\n"\n< ~"b?a?\\n"\n> "is b\\n"\n< "ok\\n"\n> "what\\n"\n< "b\\n"\n' })
    assert.is_true(#findings > 0)
  end)

  it("finds it in several requests that were sent at once", function()
    assert.equal(1, #try("all", {
      '> "is a\\n" "what\\n"\n< "ok\\n" "a\\n"\n', '> "is b\\n" "what\\n"\n< "ok\\n" "b\\n"\n' }))
  end)

  it("finds it between transcripts that are not neighbours", function()
    local findings = try("all", { says "a", 'fresh\n' .. says "x", says "b" })
    assert.equal(folder .. "/1.transcript", findings[1].transcript.path)
  end)

  it("finds nothing where each client has its own", function()
    local findings, plays, versions = try("self", { says "a", says "b", says "c" })
    assert.same({}, findings)
    assert.equal(6, plays) -- each with each, and each of two begins once
    assert.is_string((next(versions)))
  end)

  it("plays several clients of each, and those that leave", function()
    local findings, plays = try("self", {
      'x> "is a\\n"\nx< "ok\\n"\ny> "is b\\n"\ny< "ok\\n"\nx> "what\\n"\nx< "a\\n"\nx> gone\n',
      'x> "is c\\n"\nx< "ok\\n"\nx> "what\\n"\nx< "c\\n"\nx> end\nx< end\n' })
    assert.same({ 0, 2 }, { #findings, plays })
  end)

  -- Which are not played against each other.
  for fact, texts in pairs {
    ["state that is shared by design"] = { "fresh\n" .. says "a", says "b" },
    ["another time"] = { "time 2026-11-27T00:00:00Z\n" .. says "a", says "b" },
    ["time that passes"] = { says "a" .. "wait 1\n", says "b" },
    ["another setting"] = { 'setting ending ""\n' .. says "a", says "b" },
    ["another variable"] = { 'set X "1"\n' .. says "a", 'set X "2"\n' .. says "b" },
  } do
    it("does not play " .. fact, function()
      assert.same({ {}, 0, {} }, { try("all", texts) })
    end)
  end

  it("gives both the settings that they have in common", function()
    local function with_ending(word)
      return 'setting ending "!"\n' .. says(word):gsub('< "(%l+)', '< "%1!')
    end
    local findings, plays, versions = try("self", { with_ending "a", with_ending "b" })
    assert.same({ {}, 2, {} }, { findings, plays, versions }) -- a server loads it otherwise
  end)

  it("plays no more when the time is over", function()
    assert.same({ {}, 0, {} }, { try("all", { says "a", says "b" }, os.clock() - 1) })
  end)
end)
