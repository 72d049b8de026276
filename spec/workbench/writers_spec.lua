local json = require "cjson"
local report = require "parlance.workbench.report"
local transcripts = require "parlance.workbench.transcript"
local writers = require "parlance.workbench.writers"

local function transcript(path)
  return assert(transcripts.read('> "a\\n"\n< "A\\n"', path))
end

-- What a writer writes of a script with a transcript that holds and one that does not, of a second one that
-- prints, and of what could not be checked.
local function written(format)
  local pieces = {}
  local writer = writers[format](function(text) pieces[#pieces + 1] = text end, report)
  writer.script({ path = "one.lua" }, { path = "one.lua", printed = {} })
  writer.transcript(transcript "a#1.transcript", { findings = {}, plays = 12, printed = {} })
  writer.transcript(transcript "b\n.transcript", { plays = 3, printed = {}, findings = {
    { how = "cut", cuts = { 1 }, kind = "answer", line = 2, expected = "A\n", got = "\0\xff\"\n", requests = 1 },
    { how = "whole", kind = "raise", line = 1, raised = "time error script_error detail=one\n    two", requests = 0 },
  } })
  writer.script({ path = "two.lua" }, { path = "two.lua", printed = { ["two.lua:1"] = true } })
  writer.unchecked "c.transcript:1: there is no step in it"
  writer.finish()
  return table.concat(pieces)
end

describe("workbench.writers", function()
  it("write a text for people", function()
    assert.equal(table.concat({
      "one.lua: valid",
      "a#1.transcript: holds (12 plays)",
      "b\n.transcript:2: the answer is not the one expected, when what the client sends is cut after byte 1",
      '  cut      "a" | "\\n"',
      '  expected "A\\n"',
      '  got      "\\x00\\xFF\\"\\n"',
      "         expected                           |  got",
      '       0 41 0a                    A.        |  00 ff 22 0a              ..".',
      "b\n.transcript:1: the script raises an error",
      "  one",
      "  two",
      "two.lua: valid",
      "two.lua:1: prints to standard output; use parlance.log instead",
      "",
    }, "\n"), written "text")
  end)

  it("write TAP 13: a version, points in order, comments, and a plan", function()
    local points, lines = {}, {}
    for line in written("tap"):gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line
      if not line:find "^#" then points[#points + 1] = line end
    end
    assert.same({
      "TAP version 13",
      "ok 1 - one.lua is valid",
      "ok 2 - a\\#1.transcript holds",
      "not ok 3 - b .transcript holds",
      "ok 4 - two.lua is valid",
      "not ok 5 - c.transcript:1: there is no step in it",
      "1..5",
    }, points)
    assert.is_true(#lines > #points)
  end)

  it("write JSON, whatever the bytes", function()
    local text = written "json"
    assert.is_nil(text:find "[^\n\x20-\x7e]")
    assert.equal("\n", text:sub(-1))
    local read = json.decode(text)
    assert.same({ "c.transcript:1: there is no step in it" }, read.unchecked)
    assert.equal(2, #read.scripts)
    assert.same({ "two.lua", 1, 0 }, { read.scripts[2].script, #read.scripts[2].remarks, #read.scripts[2].transcripts })
    local holds, fails = table.unpack(read.scripts[1].transcripts)
    assert.same({ "a#1.transcript", 12, 0 }, { holds.path, holds.plays, #holds.findings })
    local found = fails.findings[1]
    assert.same({ "answer", "cut", "b\n.transcript", 2, "A\n", "\0\u{ff}\"\n" },
      { found.kind, found.way, found.path, found.line, found.expected, found.got })
    assert.same({ 1 }, found.cuts)
    assert.equal("b\n.transcript:2: the answer is not the one expected, when what the client sends is cut after byte 1",
      found.message)
    assert.equal("  one", fails.findings[2].details[1])
  end)

  it("write TAP and JSON of nothing", function()
    for format, expected in pairs {
      tap = "TAP version 13\n1..0\n", json = '{"scripts":[],"unchecked":[]}\n', text = "",
    } do
      local pieces = {}
      local writer = writers[format](function(text) pieces[#pieces + 1] = text end, report)
      writer.finish()
      assert.equal(expected, table.concat(pieces))
    end
  end)
end)
