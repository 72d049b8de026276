-- The harness that authors of protocols test with: scripts, time, the log, and what a script may do. Its clients are in
-- harness_client_spec.lua.

local harness = require "parlance.harness"
local harnessed = require "support.harnessed"
local lfs = require "lfs"
local tree = require "support.tree"

local failure_of <const> = harnessed.failure_of

-- Waits for as many seconds as the line says.
local SLOW <const> = [[
local parlance = require "parlance"
local Slow = { close_when_done = false, request_complete = require("parlance.framing").line {}, idle_timeout = 0 }
function Slow:make_response()
  parlance.sleep(tonumber(self.request))
  return ("%s at %g\n"):format(self.request, parlance.now())
end
return Slow
]]

local GREETER <const> = [[
local Greeter = {}
function Greeter:handle_connect() return "hello, " .. self.client_address.host .. "\n" end
return Greeter
]]

local AT_THE_END <const> = [[
local AtTheEnd = { close_when_done = false, request_complete = require("parlance.framing").line() }
function AtTheEnd:make_response() return "x" end
function AtTheEnd:handle_close(reason) error("the end: " .. reason) end
return AtTheEnd
]]

describe("the harness", function()
  local folder, path, client

  before_each(function()
    folder = tree.new {
      ["lines.lua"] = harnessed.LINES, ["beside.lua"] = 'return "beside"', ["greeter.lua"] = GREETER,
      ["slow.lua"] = SLOW, ["at_the_end.lua"] = AT_THE_END, ["broken.lua"] = "return {\n", ["http.lua"] = [[
        return require("parlance.http").serve(function() return 200, nil, "x" end)]],
      ["raises.lua"] = 'return { handle_connect = function() error "at once" end }',
    }
    path = folder.path .. "/lines.lua"
    client = harness.open(path)
  end)

  after_each(function()
    harness.close()
    folder:remove()
  end)

  local function open(name, options)
    local opened = harness.open(folder.path .. "/" .. name, options)
    return opened
  end

  describe("open", function()
    it("loads a script once for all its clients", function()
      assert.equal("1\n", client:send("count\n"):receive())
      assert.equal("2\n", harness.open(path):send("count\n"):receive())
    end)

    it("begins anew after close", function()
      client:send "count\n"
      harness.close()
      assert.equal("1\n", harness.open(path):send("count\n"):receive())
    end)

    it("greets", function()
      local guest = open "greeter.lua"
      assert.equal("hello, 192.0.2.1\n", guest:receive())
      assert.is_true(guest:closed())
      assert.equal("done", guest:reason())
    end)

    it("finds the modules beside the script and those of the server", function()
      assert.equal("beside\n", client:send("folder\n"):receive())
      assert.matches("^HTTP/1.1 200 OK\r\n", open("http.lua"):send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"):receive())
    end)

    it("finds a script from the current folder", function()
      local echo = harness.open "protocols/echo.lua"
      assert.equal("hello\n", echo:send("hello\n"):receive())
    end)

    it("tells the script who has connected to whom", function()
      assert.equal("192.0.2.1 50000 192.0.2.1 127.0.0.1 8888\n", client:send("who\n"):receive())
      assert.equal("192.0.2.1 50001 192.0.2.1 127.0.0.1 8888\n", harness.open(path):send("who\n"):receive())
      local other = harness.open(path, {
        host = "::1", port = 7, name = "a.example", server = { host = "::", port = 1 },
      })
      assert.equal("::1 7 a.example :: 1\n", other:send("who\n"):receive())
    end)

    it("raises what is wrong with a script, with its place, where the spec opened it", function()
      local why = failure_of(function() client = open "broken.lua" end)
      assert.matches("harness_spec%.lua:%d+: .*broken%.lua:%d+: ", why)
      assert.matches("lacks%.lua", failure_of(open, "lacks.lua"))
    end)

    it("takes a path", function()
      assert.matches("open%(%) takes the path", failure_of(harness.open))
    end)

    it("raises what handle_connect raises", function()
      assert.matches("script_error: .*raises%.lua:1: at once\nstack traceback:", failure_of(open, "raises.lua"))
    end)

    it("sets the limits of the script, times in seconds", function()
      harness.close()
      client = harness.open(path, { max_request = 5, idle_timeout = 0.5, request_timeout = 0, call_timeout = 0.05 })
      client:send "12"
      harness.advance(1000)
      assert.is_nil(client:reason())
      client:send "\n"
      harness.advance(0.499)
      assert.is_nil(client:reason())
      harness.advance(0.001)
      assert.equal("idle_timeout", client:reason())
      assert.equal("too_large", harness.open(path):send("123456"):reason())
      assert.matches("script_overrun", failure_of(function() harness.open(path):send "spin" :send "\n" end))
    end)

    it("refuses other limits for a script that is loaded", function()
      local options = { max_request = 3, environment = { A = "a" } }
      open("greeter.lua", options)
      open("greeter.lua", options)
      open("greeter.lua", { environment = { A = "a" } })
      for _, other in ipairs { { max_request = 4 }, { idle_timeout = 1 }, { environment = { A = "b" } } } do
        assert.matches("is loaded already", failure_of(open, "greeter.lua", other))
      end
      assert.matches("is loaded already: the option max_request is for the first open",
        failure_of(harness.open, path, { max_request = 1 }))
    end)

    for _, case in ipairs {
      { { max_requests = 1 }, "there is no option \"max_requests\"" },
      { { host = 1 }, "the option host must be a string" },
      { { environment = "A" }, "the option environment must be a table" },
    } do
      it("refuses options that are none: " .. case[2], function()
        assert.matches(case[2], failure_of(harness.open, path, case[1]), 1, true)
      end)
    end

    it("sets the environment, until close", function()
      harness.close()
      client = harness.open(path, { environment = { PARLANCE_HARNESS_SPEC = "set", HOME = false } })
      assert.equal("set\n", client:send("variable\n"):receive())
      assert.is_nil(os.getenv "HOME")
      harness.close()
      assert.is_nil(os.getenv "PARLANCE_HARNESS_SPEC")
      assert.is_string(os.getenv "HOME")
    end)

    it("gives settings", function()
      harness.close()
      client = harness.open(path, { settings = { spool = "here" } })
      assert.error_matches(function() client:send "write\n" end, "io.open would write to here/mail: ")
      assert.error_matches(function() harness.open(path, { settings = { spool = "there" } }) end,
        "the option settings is for the first open")
    end)

    it("lets a script write to a folder of its own, which goes with it, and do nothing else", function()
      for _, options in ipairs {
        { settings = { spool = "${TEMP}" } }, { environment = { PARLANCE_HARNESS_SPEC = "${TEMP}" } },
      } do
        harness.close()
        client = harness.open(path, options)
        assert.equal("true\n", client:send("simulated\n"):receive())
        assert.error_matches(function() client:send "run\n" end, "os.execute would run true: a simulation has no")
        local spool = harness.open(path):send("write\n"):receive():match "^x (/.+)\n$"
        assert.is_table(lfs.attributes(spool))
        harness.close()
        assert.is_nil(lfs.attributes(spool))
      end
    end)

    it("lets a script do what it likes, where the spec says so", function()
      harness.close()
      client = harness.open(path, { allow_effects = true })
      assert.equal("true\n", client:send("run\n"):receive())
    end)
  end)

  describe("time", function()
    it("passes at once, and limits run out", function()
      client:send "half"
      harness.advance(29.999)
      assert.equal("", client:receive())
      harness.advance(0.001)
      assert.equal("sorry: request_timeout\n", client:receive())
      assert.is_true(client:closed())
    end)

    it("is read through by clients, whatever happens in it", function()
      local idle = harness.open(path)
      client:send "half"
      harness.advance(1000)
      assert.equal("sorry: request_timeout\n", client:receive())
      assert.equal("request_timeout", client:reason())
      assert.equal("idle_timeout", idle:reason())
    end)

    it("is up for a client that does not read", function()
      client = harness.open(path, { read_ahead = 0 }):send "a\n"
      harness.advance(9.999)
      assert.is_nil(client:reason())
      harness.advance(0.001)
      assert.equal("write_timeout", client:reason())
      assert.equal("", client:receive())
    end)

    it("is what the script is told", function()
      harness.close()
      client = harness.open(path, { time = 1e9 })
      harness.advance(0.1)
      harness.advance(0.2)
      assert.equal("1000000000 0.3 1000000000.3\n", client:send("time\n"):receive())
      harness.advance(50)
      assert.equal("1000000050 50.3 1000000050.3\n", client:send("time\n"):receive())
    end)

    it("passes for all scripts", function()
      local echo = harness.open("protocols/echo.lua", { idle_timeout = 5 })
      harness.advance(60)
      assert.same({ "idle_timeout", "idle_timeout" }, { (client:reason()), (echo:reason()) })
    end)

    it("goes only forward", function()
      for _, bad in ipairs { -1, 0 / 0, 1e10, "1", false } do
        assert.matches("harness_spec%.lua:%d+: advance%(%) takes", failure_of(function() harness.advance(bad) end))
      end
    end)
  end)

  describe("a script that waits", function()
    local function slow(options) return harness.open(folder.path .. "/slow.lua", options) end

    it("answers when its time has come", function()
      local waiting = slow():send "5\n"
      assert.equal("", waiting:receive())
      harness.advance(4.999)
      assert.equal("", waiting:receive())
      harness.advance(0.001)
      assert.equal("5 at 5\n", waiting:receive())
    end)

    it("has the time move until what a client expects is there", function()
      local waiting = slow()
      waiting:send("5\n1\n"):expect "5 at 5\n1 at 6\n"
      assert.equal("2 at 8\n", waiting:send("2\n"):receive_until "\n")
      assert.equal("3 at 11\n", waiting:send("3\n"):receive(8))
      waiting:send("4\n"):expect "4 at 15\n"
    end)

    it("keeps other clients and scripts in the same time", function()
      local one, two, lines = slow():send "5\n", slow():send "3\n", open "lines.lua"
      one:expect "5 at 5\n"
      assert.equal("3 at 3\n", two:receive())
      assert.matches("^5 5%.0 5%.0", lines:send("time\n"):receive())
    end)

    it("is waited for no longer than a response may take", function()
      local waiting = slow { response_timeout = 10 }
      local fails, why = pcall(waiting.expect, waiting:send "11\n", "11 at 11\n")
      assert.is_false(fails)
      assert.matches("the server has sent nothing, and has closed: response_timeout", why)
      harness.close()
    end)
  end)

  describe("an upstream", function()
    local store, asking

    before_each(function()
      store = harness.upstream "127.0.0.1:6379"
      asking = harness.open "spec/fixtures/ask_store.lua"
    end)

    it("is the other side of a script that connects", function()
      asking:send "k\n"
      store:expect("GET k\r\n"):send("$1\r", "\nv\r\n")
      asking:expect "v\n"
      assert.equal(1, store:connections())
      assert.is_false(store:closed())
    end)

    it("may close, break and refuse", function()
      asking:send "k\n"
      store:expect("GET k\r\n"):close()
      asking:expect("ERR closed\n"):send "l\n"
      assert.equal("GET l\r\n", store:receive(7))
      store:reset()
      asking:expect("ERR the connection was reset\n")
      store:refuse()
      asking:send("m\n"):expect "ERR connection refused\n"
      assert.same({ 2, "" }, { store:connections(), store:receive() })
    end)

    it("tells what is wrong", function()
      assert.error_matches(function() store:send "x" end, "the script has not connected")
      asking:send "k\n"
      assert.error_matches(function() store:expect "GET l\r\n" end, "has not sent what is expected to 127.0.0.1:6379\n")
      assert.error_matches(function() store:receive(1) end, "expected 1 bytes, but 0 bytes are there")
      assert.error_matches(function() harness.upstream(1) end, "upstream%(%) takes an address")
    end)

    it("is there for the script that was opened before, too", function()
      local second = harness.upstream "127.0.0.1:6379"
      asking:send "k\n"
      store:expect "GET k\r\n"
      local other = harness.open "spec/fixtures/ask_store.lua"
      other:send "l\n"
      second:expect "GET l\r\n"
    end)

    it("is needed to connect", function()
      harness.close()
      local alone = harness.open "spec/fixtures/ask_store.lua"
      assert.error_matches(function() alone:send "k\n" end, "a simulation has no network")
    end)
  end)

  describe("an error of the script", function()
    it("is raised where the spec caused it, with the traceback", function()
      local why = failure_of(function() client:send "boom\n" end)
      assert.matches("^[^\n]*harness_spec%.lua:%d+: script_error: [^\n]*lines%.lua:%d+: on purpose\n", why)
      assert.matches("\nstack traceback:\n\t", why)
      assert.matches("lines%.lua:%d+: in ", why)
      assert.matches([[what was buffered: "boom\n"]], why, 1, true)
    end)

    it("is told as it was raised, quotes and backslashes too", function()
      folder:add("quotes.lua", "return { handle_connect = function() error [[no \"\\n\" here]] end }")
      local why = failure_of(function() open "quotes.lua" end)
      assert.is_truthy(why:find([[no "\n" here]], 1, true), why)
    end)

    it("leaves the conversation as the server does", function()
      failure_of(client.send, client, "a\nboom\nb\n")
      assert.equal("[a]\nsorry: script_error\n", client:receive())
      assert.is_true(client:closed())
      assert.equal("script_error", client:reason())
      assert.equal("[x]\n", harness.open(path):send("x\n"):receive())
    end)

    it("is only logged for a client that may fail", function()
      client = harness.open(path, { may_fail = true })
      assert.equal("sorry: script_error\n", client:send("boom\n"):receive())
      local reason, detail = client:reason()
      assert.equal("script_error", reason)
      assert.matches("lines%.lua:%d+: on purpose\nstack traceback:", detail)
      assert.equal(detail, harness.log("script_error")[1].fields.detail)
      assert.matches("on purpose", failure_of(function() harness.open(path):send "boom\n" end))
    end)

    it("in handle_close is raised by whatever ends the conversation", function()
      assert.matches("the end: peer_closed", failure_of(function() open("at_the_end.lua"):half_close() end))
      assert.matches("the end: peer_reset", failure_of(function() open("at_the_end.lua"):reset() end))
      open "at_the_end.lua"
      assert.matches("the end: stopped", failure_of(harness.close))
      harness.close()
    end)

    it("is told with how many more there were", function()
      open "at_the_end.lua"
      open "at_the_end.lua"
      assert.matches("\nand 1 more: see harness.log%(%)", failure_of(harness.close))
    end)
  end)

  describe("reload", function()
    it("loads the script anew, for the clients that are there", function()
      client:send "count\ncount\n"
      client:receive()
      harness.reload()
      assert.equal("1\n", client:send("count\n"):receive())
      assert.equal(1, #harness.log "reloaded")
    end)

    it("takes what was written meanwhile, and leaves a request in hand to the old", function()
      client:send "ab"
      folder:add("lines.lua", (harnessed.LINES:gsub('"%["', '"("'):gsub('"%]', '")')))
      harness.reload()
      assert.equal("[abc]\n(d)\n", client:send("c\nd\n"):receive())
    end)

    it("raises why a version is refused, and the old one serves on", function()
      harness.advance(2.5)
      folder:add("lines.lua", "return nothing.at.all")
      assert.matches("reload_failed: .*lines%.lua:1: attempt to index a nil value", failure_of(harness.reload))
      assert.equal("2.5", harness.log("reload_failed")[1].fields.age)
      assert.equal("[a]\n", client:send("a\n"):receive())
    end)
  end)

  describe("the log", function()
    it("has what the script says, taken apart", function()
      client:send "log\n"
      local said = harness.log "said"
      assert.equal(1, #said)
      assert.equal("error", said[1].level)
      assert.equal('a "b"\\\n\tc', said[1].fields.text)
      assert.equal("", said[1].fields.empty)
      assert.matches("^error script service=lines message=said ", said[1].text)
      assert.same(said, harness.log "script")
      assert.same(said, harness.log())
    end)

    it("is empty after close", function()
      client:send "log\n"
      harness.close()
      assert.same({}, harness.log())
    end)
  end)

  describe("close", function()
    it("ends what is open", function()
      harness.close()
      assert.equal("stopped", client:reason())
      assert.matches("ended by harness.close", failure_of(client.send, client, "x"))
    end)

    it("may come twice, or with nothing open", function()
      harness.close()
      harness.close()
      for _, name in ipairs { "advance", "reload", "drain" } do
        assert.matches("harness_spec%.lua:%d+: no script was opened", failure_of(function() harness[name](1) end))
      end
    end)
  end)
end)

describe("the harness in busted", function()
  local last

  for round = 1, 2 do
    it(("closes after each test (%d)"):format(round), function()
      if last then assert.equal("stopped", last:reason()) end
      last = harness.open "protocols/echo.lua"
      assert.is_nil(last:reason())
    end)
  end
end)
