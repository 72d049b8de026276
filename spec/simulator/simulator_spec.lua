-- The module in C under the tools and the harness: each function of core/simulator/simulator.h.

local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

local MODULES <const> = server.SOURCE .. "/lua"

local LINES <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local Lines = { close_when_done = false, request_timeout = 5, idle_timeout = 20, write_timeout = 10 }
Lines.request_complete = framing.line { max = 100000 }
local does = {
  boom = function() error "on purpose" end,
  time = function() return os.time() .. " " .. parlance.now() .. " " .. os.date("!%Y") end,
  who = function(self) return table.concat({ self.client_address.host, self.client_address.port, self.host,
    self.server.host, self.server.port }, " ") end,
  big = function() return ("b"):rep(300000) end,
  endless = function() return { function() return ("e"):rep(100000) end } end,
  file = function() return { assert(io.open(FILE)), "after" } end,
  cut = function() return { { file = assert(io.open(FILE)), length = 4 } } end,
  variable = function() return tostring(os.getenv "PARLANCE_SIMULATOR_SPEC") end,
  garbage = function(self) self.kept = ("g"):rep(1000000) return "" end,
  print = function() print "" return "" end,
  chance = function() return math.random(1 << 30) .. " " .. math.random() end,
  clock = function() return tostring(os.clock()) end,
  quit = function(self) self.close_when_done = true return "bye" end,
}
function Lines:make_response()
  local act = does[self.request]
  return act and act(self) or "[" .. self.request .. "]"
end
function Lines:handle_close(reason) parlance.log("info", "left", { reason = reason }) end
return Lines
]]

-- Is asked what a request is.
local ASKED <const> = [[
return { request_complete = function(self) return #self.incoming >= 3, 3 end, make_response = function() end,
  close_when_done = false }
]]

describe("parlance.simulator", function()
  local folder, script

  before_each(function()
    collectgarbage() -- so that nothing of an earlier test is heard of in this one
    collectgarbage()
    folder = tree.new { ["data"] = "file", ["asked.lua"] = ASKED, ["broken.lua"] = "return" }
    folder:add("lines.lua", (LINES:gsub("FILE", ("%q"):format(folder.path .. "/data"))))
    simulator.log()
    script = assert(simulator.load(folder.path .. "/lines.lua", { modules = MODULES }))
  end)

  after_each(function()
    script:close()
    simulator.setenv "PARLANCE_SIMULATOR_SPEC"
    folder:remove()
  end)

  local function load(name, options) return assert(simulator.load(folder.path .. "/" .. name, options)) end

  describe("begin_play", function()
    local function ask(session, what)
      session:receive(what .. "\n")
      return session:take()
    end

    it("has math.random give the same again, from the first load on", function()
      local session <close> = script:open {}
      local first, second = ask(session, "chance"), ask(session, "chance")
      assert.not_equal(first, second)
      script:begin_play()
      assert.same({ first, second }, { ask(session, "chance"), ask(session, "chance") })
      local other <close> = load("lines.lua", { modules = MODULES })
      local guest <close> = other:open {}
      assert.equal(first, ask(guest, "chance"))
    end)

    it("leaves os.clock what passes in the play", function()
      local session <close> = script:open {}
      assert.equal("0.0", ask(session, "clock"))
      script:advance(1.5)
      assert.equal("1.5", ask(session, "clock"))
    end)
  end)

  local function ask(session, request)
    assert.equal(#request, session:receive(request))
    return session:take()
  end

  -- The texts of what was logged, without their times.
  local function logged()
    local texts = {}
    for place, line in ipairs((simulator.log())) do texts[place] = line.text:match "^%S+ (.*)$" end
    return texts
  end

  describe("load", function()
    it("tells why a script is not valid", function()
      local nothing, why = simulator.load(folder.path .. "/broken.lua")
      assert.is_nil(nothing)
      assert.matches("broken%.lua: ", why)
      assert.is_nil((simulator.load(folder.path .. "/lacks.lua")))
    end)

    it("takes limits, times in ms", function()
      local other <close> = load("lines.lua", {
        max_request = 3, idle_timeout = 1500, request_timeout = 0, write_timeout = 7000, memory_limit = 1 << 20,
      })
      local session = other:open()
      assert.equal(1.5, other:deadline())
      session:receive "1"
      assert.is_nil(other:deadline())
      session:receive "\n"
      assert.equal(7, other:deadline())
      assert.equal(4, other:open():receive "1234")
      local long = load("lines.lua", { memory_limit = 1 << 20 }):open()
      assert.equal(8, long:receive "garbage\n")
      assert.equal("out_of_memory", long:reason())
    end)

    it("refuses what is no option's value", function()
      assert.has_error(function() simulator.load(folder.path .. "/lines.lua", { max_request = "x" }) end)
      assert.has_error(function() simulator.load(folder.path .. "/lines.lua", { modules = {} }) end)
      assert.has_error(function() simulator.load(folder.path .. "/lines.lua", { time = {} }) end)
      assert.has_error(function() simulator.load(folder.path .. "/lines.lua", 1) end)
      assert.has_error(function() simulator.load() end)
    end)

    it("takes options as they are then", function()
      local options = { modules = MODULES .. "/" .. ("./"):rep(100) }
      local other <close> = load("lines.lua", options)
      local identity = { host = ("h"):rep(100) }
      local session = other:open(identity)
      options.modules, identity.host = nil, nil
      collectgarbage()
      assert.equal(("h"):rep(100) .. " 50000 " .. ("h"):rep(100) .. " 127.0.0.1 8888", ask(session, "who\n"))
      folder:add("lines.lua", 'require "parlance.http"\n' .. LINES)
      assert.equal("reloaded", other:reload())
    end)

    it("keeps scripts apart, and their times", function()
      local other = load("lines.lua", { time = 5 })
      other:advance(2)
      assert.equal("7 2.0 1970", ask(other:open(), "time\n"))
      assert.equal("0 0.0 1970", ask(script:open(), "time\n"))
      other:close()
      assert.equal("[a]", ask(script:open(), "a\n"))
    end)
  end)

  describe("log", function()
    it("has each line once, with its level", function()
      script:open():receive "boom\n"
      local lines, lost = simulator.log()
      assert.equal(1, #lines)
      assert.equal("error", lines[1].level)
      assert.matches("error script_error service=lines peer=192.0.2.1 port=50000 .*on purpose\n", lines[1].text)
      assert.equal(0, lost)
      assert.same({}, (simulator.log()))
    end)

    it("leaves none out, however many fail in one second", function()
      local sessions = {}
      for place = 1, 50 do
        sessions[place] = script:open()
        sessions[place]:receive "boom\n"
      end
      assert.equal(50, #simulator.log())
    end)

    it("tells how many it did not keep", function()
      local sessions = {}
      for place = 1, 1000 do
        sessions[place] = script:open()
        sessions[place]:receive "boom\n"
      end
      local lines, lost = simulator.log()
      assert.is_true(lost > 0)
      assert.equal(1000, #lines + lost)
      assert.equal(0, select(2, simulator.log()))
    end)

    it("has what a script prints", function()
      assert.equal("", ask(script:open(), "print\n"))
      assert.matches("^warn printed place=", logged()[1])
    end)
  end)

  it("list tells whether a folder is absent", function()
    assert.same({ nil, "/nowhere: No such file or directory", true }, { simulator.list "/nowhere" })
    assert.same({ nil, "/dev/null/x: Not a directory", true }, { simulator.list "/dev/null/x" })
    assert.same({ nil, ("x"):rep(300) .. ": File name too long", false }, { simulator.list(("x"):rep(300)) })
  end)

  it("silence keeps what scripts print to itself", function()
    local function output()
      local program <close> = io.popen "readlink /proc/$PPID/fd/1"
      return program:read "l"
    end
    local session, before = script:open(), output()
    simulator.silence(true)
    simulator.silence(true)
    local silent = output()
    ask(session, "print\n")
    simulator.silence(false)
    simulator.silence(false)
    assert.same({ "/dev/null", before }, { silent, output() })
    assert.matches("^warn printed place=", logged()[1])
  end)

  it("setenv is for scripts, and can be undone", function()
    local session = script:open()
    simulator.setenv("PARLANCE_SIMULATOR_SPEC", "here")
    assert.equal("here", ask(session, "variable\n"))
    simulator.setenv("PARLANCE_SIMULATOR_SPEC", nil)
    assert.equal("nil", ask(session, "variable\n"))
    assert.has_error(function() simulator.setenv("A=B", "x") end)
  end)

  describe("script", function()
    it("open tells who talks to whom", function()
      assert.equal("192.0.2.1 50000 192.0.2.1 127.0.0.1 8888", ask(script:open(), "who\n"))
      local session = script:open { host = "::1", name = "n", port = 1, server_host = "s", server_port = 2 }
      assert.equal("::1 1 n s 2", ask(session, "who\n"))
      assert.has_error(function() script:open { port = "x" } end)
    end)

    it("reload says what came of it", function()
      script:advance(1)
      assert.equal("unchanged", script:reload())
      assert.equal("reloaded", script:reload(true))
      folder:add("lines.lua", "return")
      assert.equal("refused", script:reload())
      assert.equal("unchanged", script:reload())
      os.remove(folder.path .. "/lines.lua")
      assert.equal("lacking", script:reload())
      script:advance(0.5)
      assert.equal("refused", script:reload())
    end)

    it("reload moves who is between two requests", function()
      local idle, busy = script:open(), script:open()
      busy:receive "ha"
      folder:add("lines.lua", (LINES:gsub('"%[" ', '"(" ')))
      assert.equal("reloaded", script:reload())
      assert.equal("(a]", ask(idle, "a\n"))
      assert.equal("[half](a]", ask(busy, "lf\na\n"))
    end)

    it("advance ends one limit after the other, each at its time", function()
      local first, second = script:open(), script:open()
      first:receive "half"
      script:advance(2)
      second:receive "half"
      script:advance(2.999)
      assert.same({ "none", "none" }, { first:reason(), second:reason() })
      script:advance(0.001)
      assert.same({ "request_timeout", "none" }, { first:reason(), second:reason() })
      script:advance(100)
      assert.equal("request_timeout", second:reason())
      local times = {}
      for _, text in ipairs(logged()) do times[#times + 1] = text:match "^warn request_timeout" end
      assert.equal(2, #times)
    end)

    it("advance takes seconds that can pass", function()
      for _, bad in ipairs { -1, 1e10, 0 / 0, "x" } do
        assert.has_error(function() script:advance(bad) end)
      end
      script:advance(0)
      assert.equal(0, script:now())
    end)

    it("deadline tells when the next limit ends", function()
      assert.is_nil(script:deadline())
      local first = script:open()
      assert.equal(20, script:deadline())
      script:advance(3)
      assert.equal(17, script:deadline())
      first:receive "half"
      assert.equal(5, script:deadline())
      first:receive "\n"
      assert.equal(10, script:deadline())
      first:take()
      assert.equal(20, script:deadline())
      first:close()
      assert.is_nil(script:deadline())
    end)

    it("now is exact, however many steps were made", function()
      for _ = 1, 1000 do script:advance(0.1) end
      assert.equal(100, script:now())
      assert.equal("100 100.0 1970", ask(script:open(), "time\n"))
    end)

    it("asked counts what request_complete was shown", function()
      local other <close> = load "asked.lua"
      local session = other:open()
      for _, bytes in ipairs { "a", "b", "c" } do session:receive(bytes) end
      assert.same({ 2, 4 }, { other:asked() }) -- not with two bytes: it wants three
      assert.same({ 0, 0 }, { script:asked() })
    end)

    it("memory is that of its own state", function()
      local before, session = script:memory(true), script:open()
      session:receive "garbage\n"
      assert.is_true(script:memory(true) > before + 1000000)
      session:close()
      assert.is_true(script:memory(true) < before + 500000)
    end)

    it("tells its name and its files", function()
      assert.equal("lines", script:name())
      assert.same({ folder.path .. "/lines.lua" }, script:files())
    end)

    it("close ends its conversations, and may come twice", function()
      local session = script:open()
      script:close()
      script:close()
      assert.matches("^info script service=lines message=left reason=stopped", logged()[1])
      for _, name in ipairs { "open", "reload", "now", "advance", "asked", "memory", "name", "files", "deadline" } do
        assert.error_matches(function() script[name](script, 1) end, "the script was closed")
      end
      assert.error_matches(function() session:take() end, "the session was closed")
      session:close()
    end)
  end)

  describe("session", function()
    it("receive tells how much was read", function()
      local session = script:open()
      assert.equal(0, session:receive "")
      assert.equal(4, session:receive "a\nb\n")
      assert.equal("[a][b]", session:take())
      assert.equal(2, session:receive("xa\nx", 2, 3))
      assert.equal("[a]", session:take())
      assert.equal(0, session:receive("a\n", 3))
      for _, range in ipairs { { 0, 1 }, { 1, 3 } } do
        assert.has_error(function() session:receive("a\n", table.unpack(range)) end)
      end
      assert.has_error(function() session:receive() end)
    end)

    it("receive stops when too much waits to be taken, and when it has ended", function()
      local session = script:open()
      session:receive "big\n"
      assert.is_false(session:wants_input())
      assert.equal(0, session:receive "a\n")
      assert.equal(300000, #session:take())
      assert.is_true(session:wants_input())
      session:receive "quit\n"
      assert.equal(0, session:receive "a\n")
    end)

    it("receive_end tells whether the end was read", function()
      local session = script:open()
      session:receive "endless\n"
      assert.is_false(session:receive_end())
      assert.equal("none", session:reason())
      session = script:open()
      session:receive "a\n"
      assert.is_true(session:receive_end())
      assert.is_false(session:receive_end())
      assert.is_false(session:finished())
      assert.equal("[a]", session:take())
      assert.is_true(session:finished())
      assert.equal("peer_closed", session:reason())
    end)

    it("take gives so many bytes at most", function()
      local session = script:open()
      assert.equal("", session:take())
      session:receive "abc\n"
      assert.equal("", session:take(0))
      assert.equal("[a", session:take(2))
      assert.equal("bc]", session:take(100))
      session:receive "endless\n"
      assert.equal(1234567, #session:take(1234567))
      assert.has_error(function() session:take(-1) end)
    end)

    it("take reads files, and fails on those that end early", function()
      local session = script:open()
      session:receive "file\n"
      assert.equal("fi", session:take(2))
      assert.equal("leafter", session:take())
      session:receive "cut\n"
      folder:add("data", "fi")
      assert.equal("fi", session:take())
      assert.is_true(session:finished())
      assert.equal("file_error", session:reason())
    end)

    it("vanish breaks the connection, whatever was in hand", function()
      local session = script:open()
      session:receive "big\n"
      session:vanish()
      assert.is_true(session:finished())
      assert.equal("peer_reset", session:reason())
      assert.equal("", session:take())
    end)

    it("drain ends it when nothing is in hand", function()
      local idle, busy = script:open(), script:open()
      busy:receive "ha"
      idle:drain()
      busy:drain()
      assert.same({ "drained", "none" }, { idle:reason(), busy:reason() })
      assert.equal("[half]", ask(busy, "lf\n"))
      assert.equal("drained", busy:reason())
    end)

    it("counts the requests that were answered", function()
      local session = script:open()
      session:receive "a\nb\nc"
      assert.equal(2, session:requests())
    end)

    it("tells what a framing had the client told while it waited", function()
      folder:add("waits.lua", [[return {
        request_complete = require "parlance.framing".http(),
        make_response = function(self) return self.request.body end,
      }]])
      local session = load "waits.lua":open()
      assert.is_nil(session:interim())
      session:receive "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", session:interim())
      assert.equal(session:interim(), session:take())
      session:receive "hi"
      assert.equal("hi", session:take())
    end)

    it("close tells the script, once, and lets no more be done", function()
      local session = script:open()
      session:close()
      session:close()
      assert.equal(1, #simulator.log())
      for _, name in ipairs {
        "receive", "receive_end", "take", "vanish", "drain", "finished", "reason", "requests", "interim", "wants_input",
        "has_tunnel",
      } do
        assert.error_matches(function() session[name](session, "x") end, "the session was closed")
      end
    end)

    it("is nothing else", function()
      local session = script:open()
      assert.has_error(function() session.take(script) end)
      assert.has_error(function() script.open(session) end)
      assert.has_error(function() session.take(io.stdout) end)
      assert.has_error(function() session.take {} end)
    end)
  end)

  describe("garbage collection", function()
    it("ends a conversation that nobody has", function()
      script:open():receive "a\n"
      collectgarbage()
      collectgarbage()
      assert.matches("message=left reason=stopped", logged()[1])
      assert.is_nil(script:deadline())
    end)

    it("keeps a script while a conversation with it lives", function()
      local session = load("lines.lua"):open()
      collectgarbage()
      collectgarbage()
      assert.equal("[a]", ask(session, "a\n"))
    end)

    it("takes scripts and conversations in any order", function()
      for _ = 1, 20 do
        local other = load "lines.lua"
        for _ = 1, 3 do ask(other:open(), "a\n") end
      end
      collectgarbage()
      collectgarbage()
      assert.equal(60, #simulator.log())
    end)

    it("at the end of a block closes too", function()
      do
        local other <close> = load "lines.lua"
        local session <close> = other:open()
        session:receive "a\n"
      end
      assert.equal(1, #simulator.log())
    end)
  end)
end)
