local conversation = require "support.conversation"
local editable = require "support.editable"
local lfs = require "lfs"
local rooms = require "parlance_spec"

local open, version = editable.open, editable.version

local function ask(session, line)
  return conversation.feed(session, { line .. "\n" })
end

local MODULES <const> = os.getenv("PARLANCE_SOURCE_DIR") .. "/lua"

describe("reload", function()
  before_each(function() rooms.base.log_configure("info", "text") end)
  after_each(function()
    conversation.clean()
    rooms.base.log_configure("info", "text")
  end)

  describe("takes a new version over", function()
    it("when the script has changed, and tells which file it was", function()
      local script, save, look = open(version "one")
      local session <close> = script:open()
      assert.equal("one a\n", ask(session, "a"))
      save(version "two")
      local result, log = look()
      assert.equal("reloaded", result)
      assert.matches("^info reloaded service=protocol generation=2 files=FOLDER/protocol.lua ms=[%d.]+ on_old=1\n$",
        log)
      assert.equal("two b\n", ask(session, "b"))
      assert.equal("two c\n", ask(script:open(), "c"))
    end)

    it("when a module beside the script has changed, in a folder too", function()
      local text = version("x", "require('helper') .. require('deep.one')")
      local script, save, look = open(text, { ["helper.lua"] = "return 'a'" })
      local session <close> = script:open()
      assert(lfs.mkdir(script:path():match "^(.*)/" .. "/deep"))
      save("return 1", "deep/one.lua")
      assert.equal("x a1\n", ask(session, ""))
      save("return 'b'", "helper.lua")
      assert.equal("reloaded", (look()))
      assert.equal("x b1\n", ask(session, ""))
      save("return 2", "deep/one.lua")
      local result, log = look()
      assert.equal("reloaded", result)
      assert.matches("files=FOLDER/deep/one.lua", log)
      assert.equal("x b2\n", ask(session, ""))
      save(nil, "deep/one.lua")
      assert(os.remove(script:path():match "^(.*)/" .. "/deep"))
    end)

    it("with a module that only the new version requires", function()
      local script, save, look = open(version "one")
      save("return 'new'", "added.lua")
      assert.equal("unchanged", (look()))
      save(version("two", "require 'added'"))
      assert.equal("reloaded", (look()))
      local session <close> = script:open()
      assert.equal("two new\n", ask(session, ""))
      save("return 'newer'", "added.lua")
      assert.equal("reloaded", (look()))
      assert.equal("two newer\n", ask(session, ""))
    end)

    it("when a file appears that it had looked for", function()
      local script, save, look = open(version("x", "select(2, pcall(require, 'maybe'))", "pcall(require, 'maybe')"))
      save("return 'there'", "maybe.lua")
      assert.equal("reloaded", (look()))
      assert.equal("x there\n", ask(script:open(), ""))
    end)

    it("when it is asked to, changed or not", function()
      local script, _, look = open(version "one")
      assert.equal("unchanged", (look()))
      local result, log = look(1000, true)
      assert.equal("reloaded", result)
      assert.matches('generation=2 files="" ', log)
      assert.equal("one x\n", ask(script:open(), "x"))
    end)

    it("but not for a file that was only touched", function()
      local _, save, look = open(version "one")
      save(version "one")
      local result, log = look()
      assert.equal("unchanged", result)
      assert.equal("", log)
    end)
  end)

  describe("a request", function()
    it("that was begun ends with the version it began with; the next one has the new version", function()
      local one, two = version "one", version "two"
      for place = 1, 5 do
        local script, save, look = open(one)
        local session <close> = script:open()
        assert.equal("", conversation.feed(session, { ("hello\n"):sub(1, place) }))
        save(two)
        assert.equal("reloaded", (look()))
        assert.equal("one hello\n", conversation.feed(session, { ("hello\n"):sub(place + 1) }))
        assert.equal("two x\n", ask(session, "x"))
      end
    end)

    it("in Lua that was begun, too", function()
      local function lua(name)
        return ([[return {
          close_when_done = false,
          request_complete = function(self)
            local n = self.incoming:find("\n", 1, true)
            self.n = n
            return n ~= nil, n
          end,
          make_response = function(self) return "%s " .. self.n .. "\n" end,
        }]]):format(name)
      end
      local script, save, look = open(lua "one")
      local session <close> = script:open()
      assert.equal("one 2\n", conversation.feed(session, { "a\nbc" }))
      save(lua "two")
      look()
      assert.equal("one 4\ntwo 3\n", conversation.feed(session, { "d\nef\n" }))
    end)

    it("is answered by one version alone, however many reloads come between its bytes", function()
      local script, save, look = open(version "v0")
      local session <close> = script:open()
      local out = {}
      local bytes = "first\nsecond\nthird\n"
      for i = 1, #bytes do
        out[#out + 1] = conversation.feed(session, { bytes:sub(i, i) })
        save(version("v" .. i))
        look()
      end
      -- The first byte of a line decides.
      assert.equal("v0 first\nv6 second\nv13 third\n", table.concat(out))
    end)
  end)

  it("gives the new version no request, and no bytes, of the one before", function()
    local framed = version("framed", "tostring(rawget(self, 'incoming')) .. self.request")
    local plain = [[return { close_when_done = false,
      request_complete = function(self) self.seen = self.request return true end,
      make_response = function(self) return tostring(self.seen) .. "\n" end }]]
    local script, save, look = open(framed)
    local session <close> = script:open()
    assert.equal("framed nila\n", ask(session, "a"))
    save(plain)
    look()
    assert.equal("nil\n", ask(session, "b"))
    save(framed)
    look()
    assert.equal("framed nilc\n", ask(session, "c"))
  end)

  it("notices a module that was saved and then required once more by the old version", function()
    local again = "(function() package.loaded.helper = nil return require 'helper' end)()"
    local script, save, look =
      open(version("x", again, "Lines.first = require 'helper'"), { ["helper.lua"] = "return 1" })
    save("return 2", "helper.lua")
    assert.equal("x 2\n", ask(script:open(), ""))
    assert.equal("reloaded", (look()))
  end)

  it("reloads what the script has put into package.preload", function()
    local function text(n)
      return version("x", "require 'inner'", ("package.preload.inner = function() return %d end"):format(n))
    end
    local script, save, look = open(text(1))
    local session <close> = script:open()
    assert.equal("x 1\n", ask(session, ""))
    save(text(2))
    look()
    assert.equal("x 2\n", ask(session, ""))
  end)

  describe("a connection", function()
    it("keeps its self, which inherits from the new version", function()
      local body = "self:count()"
      local function count(step)
        return "function Lines:count() self.n = (self.n or 0) + " .. step .. " return self.n end"
      end
      local script, save, look = open(version("one", body, count(1)))
      local session <close> = script:open()
      assert.equal("one 1\n", ask(session, ""))
      save(version("two", body, count(10)))
      look()
      assert.equal("two 11\n", ask(session, ""))
    end)

    it("calls handle_close of the version that it has", function()
      local function with_close(name)
        return version(name, nil, "function Lines:handle_close(why) parlance.log('info', '" .. name .. "') end")
      end
      local script, save, look = open(with_close "one")
      local first, second = script:open(), script:open()
      ask(first, "")
      ask(second, "")
      save(with_close "two")
      look()
      ask(first, "")
      local log = rooms.base.capture(function()
        first:close()
        second:close()
      end)
      assert.equal(1, select(2, log:gsub("message=one", "")))
      assert.equal(1, select(2, log:gsub("message=two", "")))
    end)

    it("that waits between two requests can be moved before its next one", function()
      local script, save, look = open(version "one")
      local session <close> = script:open()
      ask(session, "")
      save(version "two")
      local _, log = look()
      assert.matches("on_old=1", log)
      assert.is_true(session:migrate())
      save(version "three")
      _, log = look()
      assert.matches("on_old=1", log)
    end)
  end)

  it("to a protocol that only greets ends the connections that ask for more", function()
    local script, save, look = open(version "one")
    local session <close> = script:open()
    ask(session, "")
    save "return { handle_connect = function() return 'hello\\n' end }"
    assert.equal("reloaded", (look()))
    local log = rooms.base.capture(function() assert.equal("", ask(session, "x")) end)
    assert.matches("malformed .*this version of the protocol takes no requests", log)
    assert.is_true(session:finished())
    assert.equal("hello\n", conversation.feed(script:open(), {}))
  end)

  describe("a version that is no good", function()
    local LOOP <const> = "while true do pcall(function() while true do end end) end"
    for _, case in ipairs {
      { "a syntax error", "return {\n = }",
        "step=load serving=1 age=[%d.-]+ detail=\"?FOLDER/protocol.lua:2: unexpected symbol" },
      { "an error at load", "error 'on purpose'", "FOLDER/protocol.lua:1: on purpose" },
      { "a missing function", "return { request_complete = function() end }", "the protocol lacks make_response" },
      { "a wrong type", "return 5", "the script returned number, not a table" },
      { "no text at all", "", "the script returned nil, not a table" },
      { "a module that is not there", "require 'nowhere'", "FOLDER/protocol.lua:1: module 'nowhere' not found" },
      { "an endless loop", LOOP, "the call took longer than 0.1 s" },
      { "memory without end", "local t = {} while true do t[#t + 1] = ('x'):rep(500):rep(100) .. #t end",
        "not enough memory" },
      { "an error in restore", version("two", nil, "Lines.restore = function() error 'no way' end"),
        "step=restore .*protocol.lua:5: no way" },
      { "a restore that is no function", version("two", nil, "Lines.restore = 5"),
        "restore is number %(5%), not a function" },
      { "binary code", string.dump(function() end), "attempt to load a binary chunk" },
    } do
      local fact, text, wanted = table.unpack(case)
      it("because of " .. fact .. " leaves the old one, is logged once, and the next good one is taken", function()
        local first = version("one", nil, "Lines.save = function() return 1 end")
        local script, save, look = open(first, nil, { call_timeout = 100, memory_limit = 4 << 20 })
        local session <close> = script:open()
        assert.equal("one a\n", ask(session, "a"))
        save(text)
        local result, log = look()
        assert.equal("refused", result)
        assert.matches("^error reload_failed service=protocol ", log)
        assert.matches(wanted, log)
        assert.equal(1, select(2, log:gsub("\n%l+ %l+ ", "")) + 1)
        assert.equal("one b\n", ask(session, "b"))
        assert.equal("one c\n", ask(script:open(), "c"))
        result, log = look()
        assert.equal("unchanged", result)
        assert.equal("", log)
        save(version "three")
        assert.equal("reloaded", (look()))
        assert.equal("three d\n", ask(session, "d"))
      end)
    end

    it("because the old one cannot save is not taken", function()
      local script, save, look = open(version("one", nil, "Lines.save = function() error 'full' end"))
      save(version("two", nil, "function Lines.restore() end"))
      local result, log = look()
      assert.equal("refused", result)
      assert.matches("step=save .*protocol.lua:5: full", log)
      assert.equal("one x\n", ask(script:open(), "x"))
      -- The way out is a version that wants nothing of it.
      save(version "three")
      assert.equal("reloaded", (look()))
    end)

    it("because of a module beside it names the module's file and line", function()
      local _, save, look = open(version("x", "require 'helper'", "require 'helper'"), { ["helper.lua"] = "return 1" })
      save("return 1 +", "helper.lua")
      local result, log = look()
      assert.equal("refused", result)
      assert.matches("FOLDER/helper.lua:1: unexpected symbol near <eof>", log)
    end)

    it("and is taken back makes a note of it, and no new generation", function()
      local _, save, look = open(version "one")
      save "return {"
      assert.equal("refused", (look()))
      save(version "one")
      local result, log = look()
      assert.equal("unchanged", result)
      assert.equal("info reload_undone service=protocol serving=1\n", log)
    end)

    it("does not take over at once without an optional module that it looks for in vain", function()
      local optional <const> = "HAS, MORE = pcall(require, 'more')"
      local script, save, look = open(version("one", "HAS and MORE", optional), { ["more.lua"] = "return 1" })
      local session <close> = script:open()
      assert.equal("one 1\n", ask(session, "x"))
      save(nil, "more.lua")
      assert.equal("lacking", (look(1000)))
      assert.equal("lacking", (look(1499)))
      assert.equal("one 1\n", ask(session, "x"))
      save("return 2", "more.lua")
      assert.equal("reloaded", (look(1499)))
      assert.equal("one 2\n", ask(session, "x"))
      save(nil, "more.lua")
      assert.equal("lacking", (look(2000)))
      assert.equal("reloaded", (look(2500)))
      assert.equal("one false\n", ask(session, "x"))
      save("return 3", "more.lua")
      assert.equal("reloaded", (look(2600)))
      save(version "two")
      save(nil, "more.lua")
      assert.equal("reloaded", (look(2700)))
      assert.equal("two x\n", ask(session, "x"))
    end)

    it("because a file is missing has half a second before it is an error", function()
      local script, save, look = open(version("x", "1", "require 'helper'"), { ["helper.lua"] = "return 1" })
      for _, name in ipairs { "protocol.lua", "helper.lua" } do
        local text = name == "protocol.lua" and version "y" or "return 2"
        save(nil, name)
        assert.same({ "lacking", "" }, { look(1000) })
        assert.same({ "lacking", "" }, { look(1499) })
        local result, log = look(1500)
        assert.equal("refused", result)
        assert.matches(name == "protocol.lua" and "cannot open FOLDER/protocol.lua: No such file"
          or "module 'helper' not found", log)
        assert.same({ "unchanged", "" }, { look(1600) })
        save(text, name)
        assert.equal("reloaded", (look(1700)))
        if name == "protocol.lua" then
          save(version("x", "1", "require 'helper'"))
          assert.equal("reloaded", (look(1800)))
        end
      end
      assert.equal("x 1\n", ask(script:open(), ""))
    end)

    it("because a module is a pipe is not waited for", function()
      local _, save, look = open(version("x", "1", "require 'helper'"), { ["helper.lua"] = "return 1" })
      local helper = conversation.last_folder .. "/helper.lua"
      assert(os.remove(helper))
      assert(os.execute("mkfifo " .. helper))
      save(version("y", "1", "require 'helper'"))
      local result, log = look()
      assert.equal("refused", result)
      assert.matches("error loading module 'helper' from file 'FOLDER/helper.lua'", log)
    end)

    it("because no memory is left for it is logged once, too", function()
      local fill = "Lines.fill()"
      local more = [[function Lines.fill()
        pcall(function() for i = 1, 1e7 do parlance.shared[i] = {} end end)
      end]]
      local script, save, look = open(version("one", fill, more), nil, { memory_limit = 1 << 20, call_timeout = 0 })
      local session <close> = script:open()
      ask(session, "")
      save(version("two", fill, more .. " parlance.shared.more = ('x'):rep(1 << 20)")) -- more than the reserve
      assert.equal("refused", (look()))
      assert.same({ "unchanged", "" }, { look() })
    end)

    it("leaves no trace in the globals of the one that serves", function()
      local script, save, look = open(version("one", "leaked"))
      save "leaked = 'yes' package.loaded.helper = 5 string.leaked = nil error 'no'"
      assert.equal("refused", (look()))
      assert.equal("one nil\n", ask(script:open(), ""))
    end)
  end)

  describe("state", function()
    it("goes from save to restore", function()
      local keeper = [[
        local seen = 0
        function Lines.save() return { seen = seen } end
        function Lines.restore(state) seen = state.seen end
        function Lines.count() seen = seen + 1 return seen end]]
      local script, save, look = open(version("one", "Lines.count()", keeper))
      local session <close> = script:open()
      ask(session, "")
      assert.equal("one 2\n", ask(session, ""))
      save(version("two", "Lines.count()", keeper))
      look()
      assert.equal("two 3\n", ask(session, ""))
    end)

    it("is not restored when there is no save, and not asked for when there is no restore", function()
      local script, save, look = open(version "one")
      save(version("two", nil, [[
        function Lines.restore() error "not wanted" end
        function Lines.save() return 1 end]]))
      assert.equal("reloaded", (look()))
      save(version "three")
      assert.equal("reloaded", (look()))
      assert.equal("three x\n", ask(script:open(), "x"))
    end)

    it("in parlance.shared stays", function()
      local body = "parlance.shared.n"
      local more = "parlance.shared.n = (parlance.shared.n or 0) + 1"
      local script, save, look = open(version("one", body, more))
      save(version("two", body, more))
      look()
      assert.equal("two 2\n", ask(script:open(), ""))
    end)

    it("that is about to be lost is named: locals, globals, fields of the protocol", function()
      local function text(name)
        return version(name, "Lines.put()", [[
          local inner = {}
          counts, Lines.names, Lines.constant = {}, {}, { 1 }
          local function add() inner[#inner + 1] = 1 end
          function Lines.put()
            add()
            counts.x, Lines.names.y = 1, 2
            return #inner
          end]])
      end
      local script, save, look = open(text "one", nil, { modules = MODULES })
      ask(script:open(), "")
      save(text "two")
      local _, log = look()
      assert.matches("\nwarn state_lost service=protocol generation=2 "
        .. 'names="field names, global counts, local inner %(FOLDER/protocol.lua%)" ', log)
      save(text "three")
      _, log = look()
      assert.is_nil(log:find("state_lost", 1, true))
    end)

    it("of a module beside the script is named, too", function()
      local helper = "local cache = {} return function() cache[1] = 1 return #cache end"
      local script, save, look =
        open(version("one", "require('helper')()"), { ["helper.lua"] = helper }, { modules = MODULES })
      ask(script:open(), "")
      save(version("two", "require('helper')()", "local use = require 'helper' Lines.use = use"))
      look()
      ask(script:open(), "")
      save(version("three", "require('helper')()", "local use = require 'helper' Lines.use = use"))
      local _, log = look()
      assert.matches("local cache %(FOLDER/helper.lua%)", log)
    end)

    it("in a queue is named, and in a shared queue is not", function()
      local make <const> = { own = "parlance.queue()", shared = "parlance.shared.jobs or parlance.queue()" }
      for kind, queue in pairs(make) do
        local more = "local parlance = require 'parlance' local jobs = " .. queue .. " parlance.shared.jobs = "
          .. (kind == "shared" and "jobs" or "nil") .. " function Lines.put() jobs:push(1) return #jobs end"
        local script, save, look = open(version("one", "Lines.put()", more), nil, { modules = MODULES })
        ask(script:open(), "")
        save(version("two", "Lines.put()", more))
        local _, log = look()
        local lost <const> = log:find('state_lost service=protocol generation=2 names="local jobs', 1, true)
        assert.equal(kind == "own", lost ~= nil, log)
      end
    end)

    it("that is saved, shared, empty, or a cache is not", function()
      for _, more in ipairs {
        "local kept = setmetatable({}, { __mode = 'k' }) function Lines.put() kept[Lines] = 1 end",
        "local kept = setmetatable({}, { __index = function(t, k) t[k] = k return k end }) "
          .. "function Lines.put() return kept[1] end",
        "local kept = {} function Lines.put() kept[1] = 1 end Lines.save = Lines.put Lines.restore = Lines.put",
        "local kept = parlance.shared function Lines.put() kept[1] = 1 end",
        "local kept = {} function Lines.put() return kept[1] end",
        "local kept = { 1 } function Lines.put() kept[2] = 1 end",
      } do
        local script, save, look = open(version("one", "Lines.put()", more), nil, { modules = MODULES })
        ask(script:open(), "")
        save(version("two", "Lines.put()", more))
        local _, log = look()
        assert.is_nil(log:find("state_lost", 1, true), log)
      end
    end)
  end)

  it("frees a version, memory and all, when its last connection has left it", function()
    local function big(name)
      return version(name, "#Lines.big", "Lines.big = ('x'):rep(1 << 20) .. '" .. name .. "'")
    end
    local script, save, look = open(big "a", nil, { memory_limit = 8 << 20 })
    local idle <close> = script:open()
    ask(idle, "")
    local busy <close> = script:open()
    for round = 1, 40 do
      save(big(round % 2 == 0 and "a" or "b"))
      assert.equal("reloaded", (look()))
      ask(busy, "")
    end
    assert.matches("^a ", ask(idle, ""))
  end)

  it("lists its files, those that it looked for, and those of a version that was refused", function()
    local script, save, look = open(version("x", "1", "require 'helper' pcall(require, 'none')"),
      { ["helper.lua"] = "return 1" })
    local folder = script:path():match "^(.*)/"
    local function files()
      local names = {}
      for _, path in ipairs(script:files()) do names[#names + 1] = path:sub(#folder + 2) end
      return names
    end
    assert.same({ "protocol.lua", "helper.lua", "none.lua", "none/init.lua" }, files())
    save "require 'other'"
    look()
    assert.same({ "protocol.lua", "helper.lua", "none.lua", "none/init.lua", "protocol.lua", "other.lua",
      "other/init.lua" }, files())
  end)
end)
