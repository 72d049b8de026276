-- Versions that are checked elsewhere before they take over: reload_find_changes() and reload_try_checked().
local conversation = require "support.conversation"
local editable = require "support.editable"
local rooms = require "parlance_spec"

local version = editable.version

-- An edited script, and the functions of the check: look(now, is_forced) and judge(finding, fingerprint,
-- report, now, is_forced) return what came of it and what was logged.
local function open(text, beside, options)
  beside = beside or {}
  beside["a.transcript"] = beside["a.transcript"] or ""
  local script, save, _, tell = editable.open(text, beside, options)
  local transcript <const> = script:path():match "^(.*)/" .. "/a.transcript"
  local function look(now, is_forced)
    return tell("find_changes", is_forced or false, now or 1000, transcript)
  end
  local function judge(finding, fingerprint, report, now, is_forced)
    return tell("reload_checked", is_forced or false, now or 1000, finding, fingerprint, report)
  end
  return script, save, look, judge
end

-- What another process that loads the same files would say.
local function fingerprint_at(script)
  local other <close> = assert(rooms.session.load(script:path()))
  return other:fingerprint()
end

local function ask(script)
  local session <close> = script:open()
  return conversation.feed(session, { "x\n" })
end

describe("a fingerprint", function()
  after_each(conversation.clean)

  it("is the same for each load of the same files", function()
    local script = open(version("one", "require 'helper'"), { ["helper.lua"] = "return 1" })
    assert.equal(script:fingerprint(), fingerprint_at(script))
  end)

  it("is another when the script is, or a module that it has loaded, or which of them have which content", function()
    local script, save = open(version("one", "1", "require 'a' require 'b'"),
      { ["a.lua"] = "return 1", ["b.lua"] = "return 2" })
    local seen = { [fingerprint_at(script)] = true }
    local function is_new()
      local fingerprint = fingerprint_at(script)
      local was_new = not seen[fingerprint]
      seen[fingerprint] = true
      return was_new
    end
    save("return 3", "a.lua")
    assert.is_true(is_new())
    save("return 2", "a.lua")
    save("return 1", "b.lua")
    assert.is_true(is_new())
    save(version("two", "1", "require 'a' require 'b'"))
    assert.is_true(is_new())
  end)

  it("does not depend on the order in which files are read, nor on those that are not there", function()
    local text = [[
      local here = package.path:match "^(.-)/%?"
      local flag = io.open(here .. "/a.transcript")
      if flag then flag:close() require "a" require "b" else require "b" require "a" end
      pcall(require, "none")
    ]] .. version "one"
    local script, save = open(text, { ["a.lua"] = "return 1", ["b.lua"] = "return 2" })
    local before = fingerprint_at(script)
    save(nil, "a.transcript")
    assert.equal(before, fingerprint_at(script))
    save("return 3", "none.lua")
    assert.not_equal(before, fingerprint_at(script))
  end)

  it("is of what was loaded at first, whatever is required later", function()
    local script = open(version("one", "require 'late'"), { ["late.lua"] = "return 1" })
    local before = script:fingerprint()
    assert.equal("one 1\n", ask(script))
    assert.equal(before, script:fingerprint())
  end)
end)

describe("a look", function()
  before_each(function() rooms.base.log_configure("info", "text") end)
  after_each(conversation.clean)

  it("finds nothing to be checked where nothing has changed, unless it is forced", function()
    local _, _, look = open(version "one")
    assert.equal("unchanged", (look()))
    assert.equal("unchecked", (look(1000, true)))
  end)

  it("finds what has changed, and then that it is being checked until it changes again", function()
    local script, save, look = open(version "one")
    save(version "two")
    assert.equal("unchecked", (look()))
    assert.equal("checking", (look()))
    assert.equal("checking", (look(1000, true)))
    save(version "three")
    assert.equal("unchecked", (look()))
    assert.equal("checking", (look()))
    assert.equal("one x\n", ask(script))
  end)

  it("finds that a check is of no use when what serves is back", function()
    local _, save, look = open(version "one")
    save(version "two")
    assert.equal("unchecked", (look()))
    save(version "one")
    assert.equal("unchanged", (look()))
    assert.equal("unchanged", (look()))
  end)

  it("finds a check to be begun anew when a transcript changes", function()
    local _, save, look = open(version "one")
    save(version "two")
    assert.equal("unchecked", (look()))
    save("# another", "a.transcript")
    assert.equal("unchecked", (look()))
  end)

  it("waits half a second for a file that has gone", function()
    local _, save, look = open(version("one", "1", "require 'helper'"), { ["helper.lua"] = "" })
    save(nil, "helper.lua")
    assert.equal("lacking", (look(1000)))
    assert.equal("lacking", (look(1400)))
    assert.equal("unchecked", (look(1600)))
  end)

  it("waits half a second once more for a file that came back, and goes again", function()
    local _, save, look = open(version("one", "1", "require 'helper'"), { ["helper.lua"] = "" })
    save(nil, "helper.lua")
    assert.equal("lacking", (look(1000)))
    save("return 2", "helper.lua")
    assert.equal("unchecked", (look(1100)))
    save(nil, "helper.lua")
    assert.equal("lacking", (look(2000)))
    assert.equal("lacking", (look(2499)))
    assert.equal("unchecked", (look(2500)))
  end)
end)

describe("a verdict", function()
  before_each(function() rooms.base.log_configure("info", "text") end)
  after_each(conversation.clean)

  it("that is good lets the version take over that it is about, and tells how long that took", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    look(1000)
    local outcome, log = judge("good", fingerprint_at(script), nil, 1250)
    assert.equal("reloaded", outcome)
    assert.matches("^info reloaded service=protocol generation=2 .* transcripts=1 check_ms=250\n$", log)
    assert.equal("two x\n", ask(script))
    assert.equal("unchanged", (look()))
  end)

  it("that is bad refuses it with the report, once for each content", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    look()
    local outcome, log = judge("bad", fingerprint_at(script), "a.transcript:1: no\n  expected x")
    assert.equal("refused", outcome)
    assert.matches('^error reload_failed service=protocol step=preflight serving=1 age=[%d.-]+ '
      .. 'detail="a.transcript:1: no\\n  expected x"\n$', log)
    assert.equal("one x\n", ask(script))
    assert.same({ "unchanged", "" }, { look() })
    save(version "three")
    assert.equal("unchecked", (look()))
    assert.equal("reloaded", (judge("good", fingerprint_at(script))))
  end)

  it("that is bad is forgotten when the transcript changes, or is removed", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    for round = 1, 2 do
      assert.equal("unchecked", (look()))
      assert.equal("refused", (judge("bad", fingerprint_at(script), "no")))
      assert.equal("unchanged", (look()))
      save(round == 1 and "# mended" or nil, "a.transcript")
    end
    assert.equal("unchecked", (look()))
    assert.equal("reloaded", (judge("good", fingerprint_at(script))))
  end)

  it("that is bad has the transcripts watched, and no more once another version serves", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    look()
    judge("bad", fingerprint_at(script), "no")
    assert.matches("a.transcript", table.concat(script:files(), " "))
    save(version "three")
    look()
    judge("good", fingerprint_at(script))
    assert.is_nil(table.concat(script:files(), " "):find("a.transcript", 1, true))
  end)

  it("that is bad is taken back when what serves is saved again", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    look()
    judge("bad", fingerprint_at(script), "no")
    save(version "one")
    local outcome, log = look()
    assert.equal("unchanged", outcome)
    assert.matches("^info reload_undone ", log)
  end)

  for _, finding in ipairs { "good", "bad" } do
    it(("of another version (%s) than the one that is there says nothing of it"):format(finding), function()
      local script, save, look, judge = open(version "one")
      save(version "two")
      look()
      local checked = fingerprint_at(script)
      save(version "three")
      assert.same({ "lacking", "" }, { judge(finding, checked, finding == "bad" and "no" or nil) })
      assert.equal("one x\n", ask(script))
      assert.equal("unchecked", (look()))
      assert.equal("reloaded", (judge("good", fingerprint_at(script))))
      assert.equal("three x\n", ask(script))
    end)
  end

  it("of another version does not run that version", function()
    local script, save, look, judge = open(version("one", "tostring(parlance.shared.ran)"))
    save(version "two")
    look()
    local checked = fingerprint_at(script)
    save(version("three", "1", "parlance.shared.ran = true"))
    assert.same({ "lacking", "" }, { judge("good", checked) })
    assert.equal("one nil\n", ask(script))
  end)

  it("of another version does not run restore, nor save", function()
    local more = "function Lines.save() error 'saved' end function Lines.restore() error 'restored' end"
    local script, save, look, judge = open(version("one", "1", more))
    save(version("two", "1", more))
    look()
    assert.same({ "lacking", "" }, { judge("good", 1) })
    look()
    assert.matches("step=save .*saved", select(2, judge("good", fingerprint_at(script))))
  end)

  it("of other versions is not asked for for ever if the one that is there stays the same", function()
    local _, save, look, judge = open(version "one")
    save(version "two")
    for _ = 1, 2 do
      assert.equal("unchecked", (look()))
      assert.same({ "lacking", "" }, { judge("good", 1) })
    end
    assert.equal("unchecked", (look()))
    local outcome, log = judge("good", 1)
    assert.equal("refused", outcome)
    assert.matches('step=preflight .*detail="it was made from other files when it was checked"', log)
    assert.equal("unchanged", (look()))
  end)

  it("of other versions goes on being asked for while that changes, and is logged once after ten seconds", function()
    local script, save, look, judge = open(version "one")
    local logged = {}
    for i = 1, 60 do
      save(version("v" .. i))
      assert.equal("unchecked", (look(i * 1000)))
      local outcome, log = judge("good", 1, nil, i * 1000)
      assert.equal("lacking", outcome)
      if log ~= "" then logged[#logged + 1] = i end
    end
    assert.same({ 11 }, logged)
    assert.equal("unchecked", (look()))
    assert.equal("reloaded", (judge("good", fingerprint_at(script))))
    assert.equal("v60 x\n", ask(script))
  end)

  it("of a version that is saved again before each verdict is logged as a step of the check", function()
    local _, save, look, judge = open(version "one")
    local log
    for i = 1, 11 do
      save(version("checked" .. i))
      look(i * 1000)
      save(version("saved" .. i))
      log = select(2, judge("good", 1, nil, i * 1000))
      assert.equal(i < 11, log == "")
    end
    assert.matches('step=preflight .*detail="it was made from other files when it was checked"', log)
  end)

  it("of other versions counts its ten seconds, and is logged, anew after what serves was back", function()
    local _, save, look, judge = open(version "one")
    local function judge_another(now)
      save(version("at" .. now))
      look(now)
      return select(2, judge("good", 1, nil, now))
    end
    local function take_back(now)
      save(version "one")
      assert.equal("unchanged", (look(now)))
    end
    assert.equal("", judge_another(1000))
    take_back(2000)
    assert.equal("", judge_another(50000))
    assert.matches("step=preflight", judge_another(60000))
    take_back(61000)
    assert.equal("", judge_another(100000))
    assert.matches("step=preflight", judge_another(110000))
  end)

  for _, finding in ipairs { "bad", "unloadable" } do
    it(("that is %s runs nothing of the version where it serves"):format(finding), function()
      local script, save, look, judge = open(version "one")
      local mark = script:path() .. ".ran"
      save(version("two", "1", ("io.open(%q, 'w'):close()"):format(mark)))
      local fingerprint = fingerprint_at(script) -- for which it is run once
      assert(os.remove(mark))
      local outcomes = {}
      while look() == "unchecked" do outcomes[#outcomes + 1] = judge(finding, fingerprint, "no good") end
      assert.equal("refused", outcomes[#outcomes])
      assert.is_true(#outcomes <= 3)
      assert.is_nil(io.open(mark))
      assert.equal("one x\n", ask(script))
      save(version "three")
      assert.equal("unchecked", (look()))
      assert.equal("reloaded", (judge("good", fingerprint_at(script))))
    end)
  end

  it("that nothing could be loaded leaves it to the load here to say why", function()
    local script, save, look, judge = open(version "one")
    save "return {\n = }"
    look()
    local outcome, log = judge("unloadable", 0, "said elsewhere")
    assert.equal("refused", outcome)
    assert.matches("step=load .*protocol.lua:2: unexpected symbol", log)
    assert.equal("one x\n", ask(script))
  end)

  it("that nothing could be loaded holds against what loads only here, in the end", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    for _ = 1, 2 do
      look()
      assert.equal("lacking", (judge("unloadable", 0, "protocol.lua:1: not there")))
    end
    look()
    local outcome, log = judge("unloadable", 0, "protocol.lua:1: not there")
    assert.equal("refused", outcome)
    assert.matches('step=preflight .*detail="protocol.lua:1: not there"', log)
    assert.equal("one x\n", ask(script))
  end)

  it("that is not known refuses without a load here, until the files change", function()
    local script, save, look, judge = open(version "one")
    save(version("two", "1", "error 'it was loaded'"))
    look()
    local outcome, log = judge("unknown", 0, "the check did not end")
    assert.equal("refused", outcome)
    assert.matches('step=preflight .*detail="the check did not end"', log)
    assert.equal("unchanged", (look()))
    save(version "three")
    assert.equal("unchecked", (look()))
    assert.equal("reloaded", (judge("good", fingerprint_at(script))))
  end)

  it("comes too late for a version that was taken back", function()
    local script, save, look, judge = open(version "one")
    save(version "two")
    look()
    local checked = fingerprint_at(script)
    save(version "one")
    assert.same({ "unchanged", "" }, { judge("good", checked) })
  end)

  it("counts for a forced check of what serves, too", function()
    local script, _, look, judge = open(version "one")
    look(1000, true)
    assert.equal("reloaded", (judge("good", fingerprint_at(script), nil, 1000, true)))
    look(1000, true)
    assert.equal("refused", (judge("bad", fingerprint_at(script), "no", 1000, true)))
    assert.equal("one x\n", ask(script))
  end)
end)
