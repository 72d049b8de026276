-- Scripts with a fault each, and what trying them with a transcript finds; and scripts without one, with which
-- nothing must be found.

local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local run = require "parlance.workbench.run"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- A line a request, and what else the script is to be.
local function lines(more)
  return [[
local framing = require "parlance.framing"
local count = 0
local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
function Lines:make_response() return self.request:upper() .. "\n" end
]] .. more .. "\nreturn Lines\n"
end

-- The same by hand: `self.part` is what request_complete was shown last.
local BY_HAND <const> = [[
function Lines:request_complete()
  self.part = self.incoming
  local last = self.incoming:find("\n", 1, true)
  if last then self.line = self.incoming:sub(1, last) end
  return last ~= nil, last
end
function Lines:make_response() return self.line:upper() end
]]

local function try(script, text, deadline, allows_effects)
  local path = folder .. "/script.lua"
  server.write_file(path, script)
  local transcript = assert(transcripts.read(text, folder .. "/t.transcript"))
  local options = { modules = server.SOURCE .. "/lua", call_timeout = 500, allow_effects = allows_effects }
  return run(path, options, transcript, deadline)
end

-- An upload, with or without what stands for WAIT.
local WAITS <const> = [[
> "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
WAIT> "hi"
< "HTTP/1.1 200 OK\r\nDate: " ~"[^\r]+" "\r\nContent-Length: 2\r\n\r\nhi"
]]

local TWO <const> = '> "one\\n"\n< "ONE\\n"\n> "two\\n"\n< "TWO\\n"\n'

describe("workbench.run", function()
  describe("finds nothing", function()
    for _, case in ipairs {
      { "in a sound script", lines "", TWO },
      { "when the client stops sending and the server closes", lines "", TWO .. "> end\n< end" },
      { "in a greeting, also when all is sent at once", lines "function Lines.handle_connect() return 'hi\\n' end",
        '< "hi\\n"\n' .. TWO },
      { "in a client that breaks off without having read", lines "", '> "one\\n"\n> gone' },
      { "in what a client sends to a server that has closed", lines "Lines.close_when_done = true",
        '> "one\\n"\n< "ONE\\n"\n< end\n> "two\\n"' },
      { "in state that is shared by design",
        lines "function Lines:make_response() count = count + 1 return count .. '\\n' end",
        'fresh\n> "a\\n"\n< "1\\n"\nb> "b\\n"\nb< "2\\n"' },
      { "in a count of those who are there, when one of them is told that it may go, leaves, breaks off or is silent",
        lines [[
        Lines.idle_timeout = 10
        function Lines.handle_connect() count = count + 1 end
        function Lines.handle_close() count = count - 1 end
        function Lines:make_response()
          self.close_when_done = self.request == "bye"
          return count .. "\n"
        end]], 'fresh\n> "a\\n"\n< "1\\n"\nb> "bye\\n"\nb< "2\\n"\nb< end\n> "a\\n"\n< "1\\n"\n'
          .. 'c> end\nc< end\n> "a\\n"\n< "1\\n"\nd> gone\n> "a\\n"\n< "1\\n"\n'
          .. 'e> "a\\n"\ne< "2\\n"\nwait 6\n> "a\\n"\n< "2\\n"\nwait 6\n> "a\\n"\n< "1\\n"\ne< end' },
      { "in a client that waits to go on, or does not", [[return require "parlance.http".serve(function(request)
          return 200, nil, request.body
        end)]], WAITS:gsub("WAIT", '< "HTTP/1.1 100 Continue\\r\\n\\r\\n"\n') .. WAITS:gsub("WAIT", "") },
      { "in a client that waits in vain", [[return require "parlance.http".serve(function() return 200 end, {
          expect = function() return 403 end })]], WAITS:gsub("WAIT", ""):gsub("200 OK", "403 Forbidden")
            :gsub("2\\r\\n\\r\\nhi", "0\\r\\nConnection: close\\r\\n\\r\\n") .. "< end\n" },
      { "when a time limit ends a conversation", lines "Lines.idle_timeout = 10",
        '> "a\\n"\n< "A\\n"\nwait 11\n< end' },
      { "in what depends on the time alone", lines "function Lines:make_response() return os.date '!%T\\n' end",
        'time 2026-11-22T12:00:00Z\n> "a\\n"\n< "12:00:00\\n"\nwait 61.5\n> "b\\n"\n< "12:01:01\\n"' },
      { "where a pattern matches", lines "function Lines:make_response() return math.random(100) .. ' ok\\n' end",
        '> "a\\n"\n< ~"%d+"\n< " ok\\n"' },
      { "in what a script logs, be it an error", lines
        "function Lines:make_response() require('parlance').log('error', 'x printed place=y') return 'A\\n' end",
        '> "a\\n"\n< "A\\n"' },
      { "in a transcript that sends nothing", lines "", "wait 1\n< ~\"\"" },
      { "where a pattern would take the next answer as well, when all is sent at once", lines "",
        '> "one\\n"\n< ~"O.*\\n"\n> "two\\n"\n< "TWO\\n"\n> "three\\n"\n< ~".*"' },
      { "in a client that stops sending behind answers that wait to be taken", lines
        "function Lines:make_response() return { ('x'):rep(300000), '\\n' } end",
        '> "a\\n"\n< "x" * 300000 "\\n"\n> "b\\n" "c\\n"\n< "x" * 300000 "\\n" "x" * 300000 "\\n"\n> end\n< end' },
      { "when handle_close tells other clients who has left", lines [[
        function Lines.handle_connect() count = count + 1 return count .. "\n" end
        function Lines.handle_close() count = count - 1 end]],
        'fresh\na< "1\\n"\nb< "2\\n"\na> gone\nb> end\nb< end\nc< "1\\n"' },
      { "when an answer has the client's port",
        lines "function Lines:make_response() return self.client_address.port .. '\\n' end",
        '> "a\\n"\n< "50001\\n"\n> "b\\n"\n< "50001\\n"' },
      { "in an answer that is asked for after a pause", lines "Lines.write_timeout, Lines.idle_timeout = 10, 30",
        '> "a\\n"\nwait 29\n< "A\\n"\n> "b\\n"\nwait 20\n< "B\\n"\nwait 20\n< end' },
      { "in a script that waits before it answers", lines [[
        local sleep = require("parlance").sleep
        function Lines.handle_connect() sleep(3) return "hi\n" end
        function Lines:make_response()
          sleep(#self.request)
          local ends = { "\n" }
          return { self.request:upper(), function() sleep(1) return table.remove(ends) end }
        end]], '< "hi\\n"\n' .. TWO },
      { "in a client that stops sending behind a request that waits, and is lost by that", lines [[
        Lines.half_close = false
        function Lines:make_response() require("parlance").sleep(1) return self.request:upper() .. "\n" end]],
        '> "one\\n" "two\\n" "three\\n"\n> end\n< end' },
      { "in empty texts", lines "", '> ""\n< ""\n> "a\\n"\n< "A\\n"\n< ""' },
    } do
      local fact, script, text = table.unpack(case)
      it(fact, function()
        local outcome = assert(try(script, text))
        assert.same({}, outcome.findings)
        assert.is_nil(outcome.unplayed)
        assert.is_true(outcome.plays >= 3)
      end)
    end
  end)

  describe("finds", function()
    -- What is found; of `expected` all is in the fault.
    for _, case in ipairs {
      { "a wrong answer", lines "", '> "a\\n"\n< "B\\n"',
        { how = "whole", kind = "answer", line = 2, expected = "B\n", got = "A\n" } },
      { "an answer that is too short", lines "", '> "a\\n"\n< "A\\n"\n\n< "B\\n"',
        { how = "whole", kind = "answer", line = 4, expected = "A\nB\n", got = "A\n" } },
      { "an answer that goes on", lines "", '> "a\\n"\n< "A"',
        { how = "whole", kind = "answer", line = 2, expected = "A", got = "A\n" } },
      { "an answer that nobody expects", lines "", '> "a\\n"\n< "A\\n"\n> "b\\n"',
        { how = "whole", kind = "answer", line = 3, expected = "", got = "B\n" } },
      { "an answer before the client's turn", lines "function Lines.handle_connect() return 'hi\\n' end", TWO,
        { how = "whole", kind = "answer", line = 1, expected = "", got = "hi\n" } },
      { "an answer where the server should only close", lines "", '> "a\\n"\n> end\n< end',
        { how = "whole", kind = "answer", line = 3, expected = "", got = "A\n" } },
      { "no answer", lines "", '> "a"\n< "A\\n"',
        { how = "whole", kind = "answer", line = 2, expected = "A\n", got = "", requests = 0 } },
      { "where a pattern does not match", lines "", '> "a\\n"\n< "A"\n< ~"%d"\n< "\\n"',
        { how = "whole", kind = "answer", line = 3, expected = "A~%d\n", got = "A\n" } },
      { "what differs behind a pattern", lines "", '> "a1\\n"\n< ~"%a+"\n< "2\\n"',
        { how = "whole", kind = "answer", line = 3, expected = "A2\n", got = "A1\n" } },
      { "a server that stays", lines "", '> "a\\n"\n< "A\\n"\n< end', { how = "whole", kind = "open", line = 3 } },
      { "a server that closes", lines "Lines.close_when_done = true", TWO,
        { how = "whole", kind = "closed", line = 3, reason = "done" } },
      { "a server that closes at the end", lines "Lines.close_when_done = true", '> "a\\n"\n< "A\\n"',
        { how = "whole", kind = "closed", line = 2, reason = "done" } },
      { "a raise", lines "function Lines:make_response() error 'on purpose' end", TWO,
        { how = "whole", kind = "raise", line = 2 } },
      { "a raise although the answer is right", lines "function Lines:handle_close() error 'on purpose' end",
        TWO, { how = "whole", kind = "raise", line = 4 } },
      { "a raise behind a full log", lines [[
        function Lines:handle_close() error "on purpose" end
        function Lines:make_response()
          for _ = 1, 500 do require("parlance").log("info", ("x"):rep(1000)) end
          return self.request:upper() .. "\n"
        end]], TWO, { how = "whole", kind = "raise", line = 4 } },
      { "a response that waits for too long", lines [[
        function Lines:make_response() while true do require("parlance").sleep(1) end end]], TWO,
        { how = "whole", kind = "raise", line = 2, reason = "response_timeout" } },
      { "os.exit()", lines "function Lines:make_response() os.exit(0) end", TWO,
        { how = "whole", kind = "raise", line = 2 } },
      { "a call without end", lines "function Lines:make_response() while true do end end", TWO,
        { how = "whole", kind = "raise", line = 2 } },
      { "what is kept for the next conversation",
        lines "function Lines:make_response() count = count + 1 return count .. '\\n' end", '> "a\\n"\n< "1\\n"',
        { how = "again", kind = "answer", line = 2, expected = "1\n", got = "2\n" } },
      { "what depends on how often the script was asked", lines(BY_HAND .. [[
        local request_complete = Lines.request_complete
        function Lines:request_complete()
          self.looks = (self.looks or 0) + 1
          return request_complete(self)
        end
        function Lines:make_response() return self.looks > 2 and "?\n" or self.line:upper() end]]), TWO,
        { how = "cut", kind = "answer", line = 4, cuts = { 1 }, expected = "TWO\n", got = "?\n" } },
      { "a request of which a piece is taken for the whole", lines(BY_HAND .. [[
        local request_complete = Lines.request_complete
        function Lines:request_complete()
          if self.incoming ~= "tw" then return request_complete(self) end
          self.line = ""
          return true, 2
        end]]), TWO, { how = "cut", kind = "answer", line = 4, cuts = { 6 }, expected = "TWO\n", got = "O\n" } },
      { "a request that must come alone", lines(BY_HAND .. [[
        function Lines:request_complete()
          self.line = self.incoming
          return self.incoming:find "^%a+\n$" ~= nil
        end]]), TWO, { how = "pipelined", kind = "answer", line = 2, expected = "ONE\nTWO\n", got = "" } },
      { "what two clients share", lines [[
        local open = 0
        function Lines:handle_connect() open = open + 1 end
        function Lines:handle_close() open = open - 1 end
        function Lines:make_response() return (open == 1 and self.request:upper() or "busy") .. "\n" end]], TWO,
        { how = "doubled", kind = "answer", line = 2, expected = "ONE\n", got = "busy\n" } },
      { "a raise when the client leaves in the middle", lines(BY_HAND .. [[
        function Lines:handle_close() assert(self.part ~= "tw") end]]), TWO,
        { how = "gone", kind = "raise", gone = 6, breaks = false } },
      { "a raise when the client leaves, after hundreds of warnings", lines(BY_HAND .. [[
        local request_complete = Lines.request_complete
        function Lines:request_complete()
          if self.incoming:find "^bad" then return nil, "a bad one" end
          return request_complete(self)
        end
        function Lines:make_response()
          self.count = (self.count or 0) + 1
          return self.line:upper()
        end
        function Lines:handle_close() assert(self.count ~= 60) end]]),
        ('> "one\\n"\n< "ONE\\n"\n'):rep(61) .. '> "bad"\n< end', { how = "gone", kind = "raise", gone = 240 } },
      { "what a client that left has left behind", lines(BY_HAND .. [[
        local left = ""
        function Lines:handle_close() if self.part == "tw" then left = "tw" end end
        function Lines:make_response()
          local text = left .. self.line
          left = ""
          return text:upper()
        end]]), TWO, { how = "after", kind = "answer", line = 2, gone = 6, expected = "ONE\n", got = "TWONE\n" } },
      { "what wears out", lines [[
        function Lines.handle_connect() count = count + 1 end
        function Lines:make_response() return (count > 20 and "FULL" or self.request:upper()) .. "\n" end]],
        '> "' .. ("x"):rep(50) .. '\\n"\n< "' .. ("X"):rep(50) .. '\\n"',
        { how = "worn", kind = "answer", line = 2, plays = 21 } },
      { "chance in a script that is loaded anew", lines [[
        local file = io.open(os.getenv "COUNTER", "a+")
        file:write "x"
        local size = file:seek "end"
        function Lines:make_response() return size .. "\n" end]],
        'fresh\nset COUNTER "${HERE}/counter"\n> "a\\n"\n< "1\\n"', { how = "again", kind = "answer", line = 4 } },
    } do
      local fact, script, text, expected = table.unpack(case)
      it(fact, function()
        local outcome = assert(try(script, text, nil, true))
        assert.equal(1, #outcome.findings)
        local found = {}
        for name in pairs(expected) do found[name] = outcome.findings[1][name] end
        assert.same(expected, found)
      end)
    end
  end)

  it("takes what a script raises with its traceback", function()
    local fault = assert(try(lines "function Lines:make_response() error 'on purpose' end", TWO)).findings[1]
    assert.matches("script.lua:5: on purpose\n.*stack traceback", fault.raised)
  end)

  it("tells which request was looked at too often", function()
    local script = lines(BY_HAND)
    local outcome = assert(try(script, TWO .. '> "x" * 1999 "\\n"\n< "X" * 1999 "\\n"'))
    assert.same({ length = 2000, calls = 2000, bytes = 2001000 }, outcome.slow)
    assert.is_nil(assert(try(script, TWO)).slow)
    assert.is_nil(assert(try(lines "", TWO .. '> "x" * 999 "\\n"\n< "X" * 999 "\\n"')).slow)
  end)

  it("tells where a script prints", function()
    local script = lines "function Lines:make_response() io.stdout:write '' return 'A\\n' end"
    local outcome = assert(try(script, '> "a\\n"\n< "A\\n"'))
    assert.same({ [folder .. "/script.lua:5"] = true }, outcome.printed)
  end)

  it("tells what the time did not suffice for", function()
    local outcome = assert(try(lines "", TWO, os.clock()))
    assert.same({}, outcome.findings)
    assert.equal("7 of 7 ways to cut", outcome.unplayed)
  end)

  it("plays byte by byte also when there is no time left", function()
    local script = lines [[
      function Lines:request_complete()
        self.count = (self.count or 0) + 1
        local last = self.incoming:find("\n", 1, true)
        return last ~= nil, last
      end
      function Lines:make_response() return self.count < 150 and "few\n" or "many\n" end]]
    local outcome = assert(try(script, 'fresh\n> "x" * 200 "\\n"\n< "few\\n"', os.clock()))
    assert.equal("bytes", outcome.findings[1] and outcome.findings[1].how)
  end)

  it("tells why a script does not load", function()
    local outcome, why = try("return {}", TWO)
    assert.is_nil(outcome)
    assert.matches("script.lua: .*request_complete", why)
  end)

  it("tells why a script that is loaded anew does not load any more", function()
    local outcome, why = try(lines [[
      local file = io.open(os.getenv "COUNTER", "a+")
      file:write "x"
      if file:seek "end" > 3 then error "not today" end]], 'fresh\nset COUNTER "${HERE}/counter"\n' .. TWO, nil, true)
    assert.is_nil(outcome)
    assert.matches("not today", why)
  end)

  it("gives a script its variables, and leaves the environment as it was", function()
    simulator.setenv("PARLANCE_RUN_SPEC", "before")
    local outcome = assert(try(lines [[
      local text = os.getenv "PARLANCE_RUN_SPEC" .. (os.getenv "PARLANCE_RUN_SPEC_2" or "none")
      function Lines:make_response() return text .. "\n" end]],
      'set PARLANCE_RUN_SPEC "a"\nset PARLANCE_RUN_SPEC_2 "b"\n> "?\\n"\n< "ab\\n"'))
    assert.same({}, outcome.findings)
    assert.equal("before", os.getenv "PARLANCE_RUN_SPEC")
    assert.is_nil(os.getenv "PARLANCE_RUN_SPEC_2")
    simulator.setenv("PARLANCE_RUN_SPEC", nil)
  end)
end)
