-- `parlance fuzz`: finds bytes that a script cannot take. A seed makes it find the same each time.

local server = require "support.server"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- A script of this text, and what fuzz says of it.
local function fuzz(text, ...)
  local path = folder .. "/fuzzed.lua"
  server.write_file(path, text)
  local arguments = { "fuzz", "--seconds", "5", "--seed", "1", ... }
  arguments[#arguments + 1] = path
  local status, said, complaint = server.run(arguments)
  return status, said, complaint, path
end

-- The same, with a transcript to begin with.
local function fuzz_with(transcript, text)
  server.write_file(folder .. "/fuzzed.lua", text)
  server.write_file(folder .. "/t.transcript", transcript)
  return server.run { "fuzz", "--seconds", "10", "--seed", "1", folder .. "/fuzzed.lua", folder .. "/t.transcript" }
end

local LINES <const> = [[
  local framing = require "parlance.framing"
  local Lines = { close_when_done = false, request_complete = framing.line { max = 1000 } }
  function Lines:make_response() %s end
  %s
  return Lines]]

local function lines(body, more)
  return LINES:format(body, more or "")
end

describe("fuzz", function()
  it("finds a script error, and the smallest input that raises it", function()
    local status, said, complaint = fuzz(lines 'if self.request:find "1" then error "on purpose" end return "x"')
    assert.equal("", complaint)
    assert.equal(1, status)
    assert.is_truthy(said:find("fuzzed.lua:3: on purpose", 1, true), said)
    assert.is_truthy(said:find("seed 1", 1, true), said)
    assert.is_truthy(said:find('> "1\\n"\n', 1, true), said)
  end)

  it("plays clients with TLS, if a transcript has one, and shows that", function()
    local script = lines [[
      if self.request == "STARTTLS" and not self.tls then self:start_tls() end
      if self.tls and self.tls.server_name == "a" and self.request:find "1" then error "on purpose" end
      return "x"]]
    local status, said = fuzz_with('> "STARTTLS\\n"\n< "x"\n> tls server_name "a"\n> "hello\\n"\n< "x"\n', script)
    assert.equal(1, status)
    assert.is_truthy(said:find('> tls server_name "a"\n> "1\\n"\n', 1, true), said)
  end)

  it("finds nothing in a script that waits, in no time", function()
    local status, said = server.run { "fuzz", "--seconds", "1", "--seed", "1", (function()
      server.write_file(folder .. "/fuzzed.lua",
        lines 'require("parlance").sleep(#self.request % 50) return self.request .. "\\n"')
      return folder .. "/fuzzed.lua"
    end)() }
    assert.same({ 0, true }, { status, said:find "nothing found with %d%d%d+ inputs" ~= nil }, said)
  end)

  it("finds a wait that is too long", function()
    local status, said = fuzz(lines [[
      while self.request:find "7" do require("parlance").sleep(20) end
      return "x"]])
    assert.equal(1, status, said)
    assert.is_truthy(said:find("the script waits for longer than response_timeout", 1, true), said)
    assert.is_truthy(said:find('> "7\\n"\n', 1, true), said)
  end)

  it("mutates what upstreams say, and finds an error that this causes", function()
    local status, said = fuzz_with([[
upstream store "127.0.0.1:6379"
> "k\n"
store< "GET k\n"
store> "value 1\n"
< "1\n"
]], [[
      local framing = require "parlance.framing"
      local net = require "parlance.net"
      local Ask = { close_when_done = false, request_complete = framing.line { max = 100 } }
      function Ask:make_response()
        local store <close> = net.connect "127.0.0.1:6379"
        store:write("GET ", self.request, "\n")
        local line = store:read "l"
        if not line then return "none\n" end
        return line:match "^value (%d)" .. "\n"
      end
      return Ask]])
    assert.equal(1, status, said)
    assert.is_truthy(said:find("fuzzed.lua:9: attempt to concatenate a nil value", 1, true), said)
    local shown = 'upstream store "127.0.0.1:6379"\n> "\\n"\nstore< "GET \\n"\nstore> "\\n"\n'
    assert.is_truthy(said:find(shown, 1, true), said)
  end)

  it("lets an upstream speak first that does so in its transcript", function()
    local status, said = fuzz_with([[
upstream mail "127.0.0.1:25"
> "hi\n"
mail> "220 mail\n"
< "mail\n"
]], [[
      local framing = require "parlance.framing"
      local net = require "parlance.net"
      local Ask = { close_when_done = false, request_complete = framing.line { max = 100 } }
      function Ask:make_response()
        local mail <close> = net.connect "127.0.0.1:25"
        local line = mail:read "l"
        if not line then return "none\n" end
        return line:match "^220 (%w+)" .. "\n"
      end
      return Ask]])
    assert.equal(1, status, said)
    assert.is_truthy(said:find("fuzzed.lua:8: attempt to concatenate a nil value", 1, true), said)
    assert.is_truthy(said:find('upstream mail "127.0.0.1:25"\n> "\\n"\nmail> "\\n"\n', 1, true), said)
  end)

  it("finds nothing in a script that takes whatever an upstream says", function()
    local path = server.SOURCE .. "/spec/fixtures/ask_store.lua"
    local status, said = server.run { "fuzz", "--seconds", "2", "--seed", "1", path }
    assert.equal(0, status, said)
  end)

  it("does not blame the cut for what a tunnel passes on, piece by piece", function()
    local status, said = fuzz_with([[
upstream far "127.0.0.1:6379"
> "go\nabc"
far< "abc"
far> "1"
< "1"
]], [[
      local framing = require "parlance.framing"
      local net = require "parlance.net"
      local parlance = require "parlance"
      local Proxy = { close_when_done = false, request_complete = framing.line { max = 100 } }
      function Proxy:make_response() parlance.tunnel(self, (net.connect "127.0.0.1:6379")) end
      return Proxy]])
    assert.equal(0, status, said)
  end)

  it("still blames the cut if an answer before the tunnel depends on it", function()
    local status, said = fuzz_with([[
upstream far "127.0.0.1:6379"
> "hi\n"
< "3 bytes\n"
> "abc"
far< "abc"
far> "1"
< "1"
]], [[
      local net = require "parlance.net"
      local parlance = require "parlance"
      local Proxy = { close_when_done = false, request_complete = function() return true end }
      function Proxy:make_response()
        self:write(#self.incoming, " bytes\n")
        parlance.tunnel(self, (net.connect "127.0.0.1:6379"))
      end
      return Proxy]])
    assert.equal(1, status, said)
    assert.is_truthy(said:find("the answer depends on the cut", 1, true), said)
  end)

  it("finds nothing in a script whose bodies are streams, which hold in check, too", function()
    local path = server.SOURCE .. "/spec/fixtures/upload.lua"
    local status, said = server.run { "check", path }
    assert.equal(0, status, said)
    status, said = server.run { "fuzz", "--seconds", "2", "--seed", "1", path }
    assert.equal(0, status, said)
  end)

  it("finds a call that takes too long", function()
    local status, said = fuzz(lines 'while #self.request > 3 do end return "x"', "--call-timeout", "0.05")
    assert.equal(1, status)
    assert.is_truthy(said:find("a call into the script takes too long", 1, true), said)
  end)

  it("counts the time that passes, also where a script spends it waiting", function()
    local status, said = fuzz(lines [[os.execute "sleep 0.1" return "x"]], "--seconds", "0.3", "--allow-effects")
    assert.equal(0, status, said)
  end)

  it("finds nothing in a script that waits for a client who is lost when it stops sending", function()
    local script = lines('require("parlance").sleep(1) return self.request .. "\\n"', "Lines.half_close = false")
    local status, said = fuzz(script, "--seconds", "2")
    assert.equal(0, status, said)
  end)

  it("goes on without --seconds' limit where that is 0", function()
    local status, said = fuzz(lines 'if self.request:find "1" then error "on purpose" end return "x"', "--seconds", "0")
    assert.equal(1, status, said)
  end)

  it("does not blame the cut for the order of a table's fields in a script that keeps state", function()
    local status, said = fuzz(lines([[
      count = (count or 0) + 1
      local words = {}
      for word in pairs { alpha = 1, beta = 2 } do words[#words + 1] = word end
      return count .. table.concat(words)]]))
    assert.equal(0, status, said)
  end)

  it("finds an answer that depends on the cut", function()
    local status, said = server.run { "fuzz", "--seconds", "5", "--seed", "1",
      server.SOURCE .. "/spec/fixtures/cut_dependent.lua" }
    assert.equal(1, status)
    assert.is_truthy(said:find("the answer depends on the cut: it differs when the input is cut after byte 1", 1,
      true), said)
    assert.is_truthy(said:find('> "a\\n"\n> end\n< "fast\\n"\n< end\n', 1, true), said)
  end)

  it("finds a raise when the client leaves", function()
    local status, said = server.run { "fuzz", "--seconds", "5", "--seed", "1",
      server.SOURCE .. "/spec/fixtures/early_leaver.lua" }
    assert.equal(1, status)
    assert.is_truthy(said:find('> "HELO"\n', 1, true), said)
  end)

  it("finds memory that every conversation leaves behind", function()
    local status, said = fuzz(lines('return "x"',
      "local all = {} function Lines:handle_connect() all[#all + 1] = self end"))
    assert.equal(1, status)
    assert.is_truthy(said:find "memory grows: each conversation leaves %d+ bytes behind", said)
  end)

  it("makes what leaves memory behind as small as it can be", function()
    local status, said = fuzz_with('> "a\\n" "b\\n" "k\\n" "c\\n" "d\\n"\n',
      lines('if self.request == "k" then kept[#kept + 1] = { self } end return "x"', "kept = {}"))
    assert.equal(1, status)
    assert.is_truthy(said:find("this is the smallest input that shows it", 1, true), said)
    assert.is_truthy(said:find('\n> "k\\n"\n> end\n', 1, true), said)
  end)

  it("does not call the smallest what there was no time to make so", function()
    local mutate = require "parlance.workbench.mutate"
    assert.same({ "xx", false }, { mutate.shrink("xx", function() return true end, os.clock() - 1) })
    assert.same({ "", true }, { mutate.shrink("xx", function() return true end, os.clock() + 60) })
  end)

  it("takes no notice of an empty transcript, which the shell has made for what is found", function()
    server.write_file(folder .. "/empty.transcript", "")
    server.write_file(folder .. "/fuzzed.lua", lines 'return "x"')
    local status, _, complaint = server.run { "fuzz", "--seconds", "0.2", folder .. "/fuzzed.lua",
      folder .. "/empty.transcript" }
    assert.same({ 0, "" }, { status, complaint })
    status, _, complaint = server.run { "check", folder .. "/fuzzed.lua", folder .. "/empty.transcript" }
    assert.equal(2, status)
    assert.matches("there is no step in it", complaint)
  end)

  it("prints settings and variables as they are written", function()
    local _, said = fuzz_with('setting spool "${TEMP}/spool"\nset SPOOL "${HERE}/spool"\n> "a1\\n"\n',
      lines 'if self.request:find "1" then error "on purpose" end return "x"')
    assert.is_truthy(said:find('\nsetting spool "${TEMP}/spool"\nset SPOOL "${HERE}/spool"\n', 1, true), said)
  end)

  it("prints a transcript that check finds the fault with", function()
    local _, said, _, path = fuzz(lines 'if self.request:find "1" then error "on purpose" end return "x"')
    local file = folder .. "/found.transcript"
    server.write_file(file, said)
    local status, checked = server.run { "check", path, file }
    assert.equal(1, status)
    assert.is_truthy(checked:find("on purpose", 1, true), checked)
  end)

  it("prints a transcript that holds once the script does not raise any more, whatever it answers", function()
    local broken = [[
      if self.request == "1" then error "on purpose" end return self.request .. "\n" end
      function Lines:handle_error() return "last words\n"]]
    local _, said, _, path = fuzz(lines(broken))
    local file = folder .. "/found.transcript"
    server.write_file(file, said)
    server.write_file(path, lines((broken:gsub('error "on purpose"', 'return "mended"'))))
    local status, checked = server.run { "check", path, file }
    assert.equal(0, status, checked)
  end)

  for _, case in ipairs {
    {
      "finds the fault with in a script that greets", "on purpose",
      'if self.request == "1" then error "on purpose" end return "x"', 'return "hi\\n"',
      '\n< "hi\\n"\n> "1\\n"\n> end\n< ~".*"\n< end\n',
    },
    {
      "finds the fault with in a script that raises before it greets", "on purpose",
      'return "x"', 'error "on purpose"', '\n< ~".*"\n> gone\n',
    },
    {
      "finds the cut with, behind a greeting that has the client's address", "is cut after byte 1\n",
      "return (self.is_cut and 'slow' or 'fast') .. '\\n'", [[return self.client_address.port .. "\n" end
        local complete = Lines.request_complete
        function Lines:request_complete()
          if #self.incoming == 1 then self.is_cut = true end
          return complete(self)]],
      '\n< "50001\\n"\n',
    },
    {
      "holds what grows with, in a script that only greets", "holds",
      'return "x"', 'self.close_when_done = true all[#all + 1] = self return "hi\\n"', '\n< "hi\\n"\n< end\n',
    },
  } do
    local name, found, body, greet, steps = table.unpack(case)
    it("prints a transcript that check " .. name, function()
      local script = lines(body, "local all = {} function Lines:handle_connect() " .. greet .. " end")
      local _, said, _, path = fuzz(script)
      assert.is_truthy(said:find(steps, 1, true), said)
      local file = folder .. "/found.transcript"
      server.write_file(file, said)
      local _, checked = server.run { "check", path, file }
      assert.is_truthy(checked:find(found, 1, true), checked)
      local mended, count = script:gsub('error "on purpose"', 'return "mended\\n"')
      if count == 0 then return end
      server.write_file(path, mended)
      local status, told = server.run { "check", path, file }
      assert.equal(0, status, told)
    end)
  end

  it("says the same for the same seed", function()
    local script = lines 'if self.request:find "%d%a" then error "on purpose" end return "x"'
    assert.equal(select(2, fuzz(script)), (select(2, fuzz(script))))
  end)

  for _, name in ipairs { "echo", "upper", "daytime", "chat", "length_sep_body", "redis", "http" } do
    it("finds nothing in protocols/" .. name .. ".lua", function()
      local status, said, complaint = server.run {
        "fuzz", "--seconds", "1", ("%s/protocols/%s.lua"):format(server.SOURCE, name),
      }
      assert.equal("", complaint)
      assert.is_truthy(said:find "nothing found with %d+ inputs %(seed %d+%)\n$", said)
      assert.equal(0, status)
    end)
  end

  it("keeps quiet of what changes from one play to the next by design", function()
    local status, said = fuzz(lines('count = (count or 0) + 1 return count .. "\\n"'), "--seconds", "1")
    assert.equal(0, status, said)
  end)

  it("does not fuzz what does not load", function()
    local status, said, complaint = fuzz "return 1"
    assert.equal(2, status)
    assert.equal("", said)
    assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
  end)

  it("refuses options that it does not have, and values that make no sense", function()
    for _, arguments in ipairs { { "--format", "tap" }, { "--seed", "x" }, { "--seed", "-1" }, { "--seconds", "x" } } do
      local status, said, complaint = server.run { "fuzz", arguments[1], arguments[2], "protocols/echo.lua" }
      assert.equal(2, status)
      assert.equal("", said)
      assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
    end
  end)
end)
