-- `parlance SCRIPT`: what it says when it cannot serve, and what to a person when it can.

local process = require("parlance_spec").process
local server = require "support.server"
local socket = require "socket"
local tls = require "support.tls"
local unix = require "socket.unix"

local ECHO <const> = server.SOURCE .. "/protocols/echo.lua"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)
server.cleans_up()

local function write(name, text)
  local path = folder .. "/" .. name
  server.write_file(path, text)
  return path
end

-- Ends with this status and one line on standard error that holds each of the texts.
local function refuses(expected, argv, ...)
  local status, said, complaint = server.run(argv)
  assert.equal("", said)
  assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
  assert.is_nil(complaint:find("stack traceback", 1, true))
  for _, text in ipairs { ... } do
    assert.is_truthy(complaint:find(text, 1, true), ("%q is not in %q"):format(text, complaint))
  end
  assert.equal(expected, status)
end

describe("a server", function()
  for _, case in ipairs {
    { "has a syntax error", "return {", ":1:" },
    { "returns no table", "return 42", "number" },
    { "lacks a function", "return { make_response = print }", "request_complete" },
    { "raises while it loads", "\nerror 'on purpose'", ":2: on purpose" },
    { "listens nowhere that there is",
      "return { listen = 'nowhere', request_complete = print, make_response = print }", "nowhere" },
  } do
    local name, text, where = table.unpack(case)
    it("does not start with a script that " .. name, function()
      local path = write("faulty.lua", text)
      refuses(2, { path }, path, where)
    end)
  end

  it("does not start with a script that is not there", function()
    refuses(2, { folder .. "/missing.lua" }, folder .. "/missing.lua", "No such file")
    refuses(2, { folder }, folder)
  end)

  it("does not start with a script that loops for ever", function()
    local path = write("endless.lua", "while true do end")
    refuses(2, { "--call-timeout", "0.2", path }, path)
  end)

  it("does not start when one of several scripts is faulty", function()
    local path = write("faulty.lua", "return 42")
    refuses(2, { "-l", "127.0.0.1:0", ECHO, path }, path)
  end)

  it("tells of an address that is in use", function()
    local running = server.start "protocols/echo.lua"
    local address = running.addresses[1].text
    refuses(1, { "-l", address, "--log-level", "warn", ECHO }, address, "in use")
  end)

  it("tells of an address that is not ours", function()
    refuses(1, { "-l", "192.0.2.1:0", ECHO }, "192.0.2.1", "annot assign requested address")
  end)

  it("tells of a Unix socket that a living server has", function()
    local path = folder .. "/socket"
    local running = server.start("protocols/echo.lua", { listen = { "unix:" .. path } })
    refuses(1, { "-l", "unix:" .. path, ECHO }, path)
    assert.equal("x\n", running:connect():exchange("x\n", 2))
  end)

  it("leaves a file alone that is no socket", function()
    local path = write("precious", "do not lose me")
    refuses(1, { "-l", "unix:" .. path, ECHO }, path)
    assert.equal("do not lose me", server.read_file(path))
  end)

  it("tells of a folder that is not there", function()
    refuses(1, { "-l", "unix:/nonexistent/socket", ECHO }, "/nonexistent/socket", "No such file")
  end)

  it("tells of a port that it may not have, by the second address too", function()
    local running = server.start "protocols/echo.lua"
    local address = running.addresses[1].text
    local status, _, complaint = server.run { "--log-level", "warn", "-l", "127.0.0.1:0", "-l", address, ECHO }
    assert.equal(1, status)
    assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
    assert.is_truthy(complaint:find(address, 1, true))
  end)

  it("logs to standard error, an event a line, without a banner", function()
    local running = server.start "protocols/echo.lua"
    for line in running:log():gmatch "[^\n]+" do
      assert.is_truthy(line:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ %l+ %l+ ", line)
    end
  end)
end)

describe("what a script writes to standard output", function()
  server.cleans_up()

  it("is seen line by line, also in a file", function()
    local running = server.start [[
      local framing = require "parlance.framing"
      return { close_when_done = false, request_complete = framing.line {}, make_response = function(self)
        io.write("asked for ", self.request, "\n")
        return "ok\n"
      end }]]
    local client = running:connect()
    for _, word in ipairs { "this", "that" } do
      assert.equal("ok\n", client:exchange(word .. "\n", 3))
      assert.truthy(server.read_file(running.folder .. "/stdout"):find("asked for " .. word .. "\n$"))
    end
  end)
end)

describe("a server without standard streams", function()
  it("serves, and stops", function()
    local path <const> = folder .. "/socket"
    local script = write("noisy.lua", [[
      local parlance = require "parlance"
      local framing = require "parlance.framing"
      return {
        close_when_done = false,
        request_complete = framing.line {},
        make_response = function(self)
          print "to standard output"
          io.stderr:write "to standard error\n"
          parlance.log("error", "to the log")
          io.stdout:flush()
          if self.request == "fail" then error "on purpose" end
          return (io.read "l" or "nothing to read") .. "\n"
        end,
      }
    ]])
    local command = ("exec env %s %s -l unix:%s %s <&- >&- 2>&-")
      :format(os.getenv "PARLANCE_SERVER_ENV" or "", os.getenv "PARLANCE_BINARY", path, script)
    local child <close> = assert(process.spawn { "sh", "-c", command })
    local function connect()
      local client = unix.stream()
      client:settimeout(5, "t")
      if client:connect(path) then return client end
      client:close()
    end
    local client = server.wait_until("somebody to listen", connect)
    for _ = 1, 3 do
      assert(client:send "a\n")
      assert.equal("nothing to read", client:receive "*l")
    end
    local failing = assert(connect())
    failing:send "fail\n"
    local answer, why, rest = failing:receive "*a"
    assert.equal("", answer or rest, why)
    assert(client:send "a\n")
    assert.equal("nothing to read", client:receive "*l")
    client:close()
    failing:close()
    assert(child:signal(15))
    assert.equal(0, (child:wait(server.DEADLINE)))
    assert.is_nil(connect())
  end)
end)

describe("a server in a terminal", function()
  local function has_script()
    return os.execute "command -v script >/dev/null 2>&1 && script --version >/dev/null 2>&1" == true
  end

  -- What a person sees who starts this and stops it again; meanwhile this is done with it. `programs` is the PATH.
  local function typescript(arguments, act, programs)
    local path = folder .. "/typescript"
    local env = (os.getenv "PARLANCE_SERVER_ENV" or "") .. (programs and " PATH=" .. programs or "")
    -- It writes its own number, so that it and nobody else gets the signal.
    local command = ("echo $$ >%s/pid; exec env %s %s %s"):format(folder, env, os.getenv "PARLANCE_BINARY", arguments)
    local child <close> = assert(process.spawn({ "script", "-qefc", command, "/dev/null" },
      { stdout = path, stderr = folder .. "/err", env = { SHELL = "/bin/sh", LD_PRELOAD = "" } }))
    server.wait_until("the banner", function() return server.read_file(path):find "stops the server%." end)
    if act then act(server.read_file(path)) end
    local pid <const> = server.read_file(folder .. "/pid"):match "%d+"
    assert(process.spawn { "kill", "-TERM", pid }):wait(5)
    assert.equal(0, child:wait(server.DEADLINE))
    return (server.read_file(path):gsub("\r", ""))
  end

  it("says first what is served, where, and a command to try it with", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local text = typescript("-l 127.0.0.1:0 " .. ECHO)
    local version, port, again = text:match("^parlance ([%d.]+) serves echo %([^\n]*echo%.lua%)\n"
      .. "  on   127%.0%.0%.1:(%d+)\n"
      .. "  try  printf 'hello\\n' | nc %-N 127%.0%.0%.1 (%d+)\n"
      .. "Save a script, and it is reloaded%. Ctrl%-C stops the server%.\n")
    assert.is_truthy(version, text)
    assert.equal(port, again)
  end)

  it("logs tracebacks and texts of several lines in several lines", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local script = write("faulty.lua", [[
      local parlance = require "parlance"
      local function fail(x) return x.y end
      return { close_when_done = false, request_complete = require("parlance.framing").line {},
        make_response = function(self)
          parlance.log("warn", "one\ntwo\27[31m", { field = "a\nb" })
          return fail(nil) .. ""
        end }]])
    local text = typescript("-l 127.0.0.1:0 " .. script, function(text)
      local client = socket.tcp4()
      client:settimeout(5, "t")
      assert(client:connect("127.0.0.1", tonumber(text:match "on   127%.0%.0%.1:(%d+)")))
      assert(client:send "x\n")
      assert.equal("closed", (select(2, client:receive "*a")))
      client:close()
    end)
    assert.truthy(text:find('Z warn script service=faulty field="a\\nb"\n    one\n    two\\x1b[31m\n', 1, true), text)
    local place = script:gsub("%p", "%%%0")
    assert.truthy(text:find("Z error script_error service=faulty [^\n]*\n    " .. place .. ":2: attempt to index a nil "
      .. "value %(local 'x'%)\n    stack traceback:\n    \t" .. place .. ":2: in upvalue 'fail'\n"), text)
  end)

  it("tells scripts of the same name apart", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local other = server.new_folder()
    finally(function() server.remove_folder(other) end)
    local GREETER <const> = "return { handle_connect = function() return %q end }\n"
    local first, second = write("same.lua", GREETER:format "first"), other .. "/same.lua"
    server.write_file(second, GREETER:format "second")
    typescript(("-l 127.0.0.1:0 %s -l 127.0.0.1:0 %s"):format(first, second), function(text)
      for path, greeting in pairs { [first] = "first", [second] = "second" } do
        local place = select(2, text:find(("serves same (%s)"):format(path), 1, true))
        assert.is_truthy(place, text)
        local on, try = text:match("on   127%.0%.0%.1:(%d+)%s+try  nc 127%.0%.0%.1 (%d+)", place)
        assert.equal(on, try)
        local client = socket.tcp4()
        client:settimeout(5, "t")
        assert(client:connect("127.0.0.1", tonumber(on)))
        assert.equal(greeting, client:receive "*a")
        client:close()
      end
    end)
  end)

  it("says so for each script", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local text = typescript(("-l unix:%s/a %s -l '[::1]:0' %s/protocols/daytime.lua")
      :format(folder, ECHO, server.SOURCE))
    assert.is_truthy(text:find(("nc -N -U %s/a\n"):format(folder), 1, true), text)
    assert.is_truthy(text:find "serves daytime [^\n]*\n  on   %[::1%]:%d+\n  try  nc ::1 %d+\n", text)
  end)

  -- A folder with a program nc that says this when it is asked for help; nil: with none.
  local function fake(help)
    local path = folder .. "/nc"
    if not help then return folder end
    server.write_file(path, ("#!/bin/sh\n/bin/cat <<'END'\n%s\nEND\nexit 1\n"):format(help))
    assert(os.execute("chmod +x " .. path))
    return folder
  end

  local OPENBSD <const> = "usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]\n\t  [-m minttl]"
  local TRADITIONAL <const> = "[v1.10-47]\nconnect to somewhere:\tnc [-options] hostname port[s] [ports] ...\n"
    .. "options:\n\t-n\t\t\tnumeric-only IP addresses, no DNS\n\t-q secs\t\t\tquit after EOF on stdin and delay of "
    .. "secs\n"
    .. "hyphens in port names must be backslash escaped (e.g. 'ftp\\-data')."
  local NCAT <const> = "Ncat 7.93 ( https://nmap.org/ncat )\nUsage: ncat [options] [hostname] [port]\n"
    .. "  -U, --unixsock             Use Unix domain sockets only\n  -N, --nothing"
  local BUSYBOX <const> = "BusyBox v1.35.0 multi-call binary.\n\nUsage: nc [OPTIONS] HOST PORT\n\n\t-q SEC\tQuit"

  for name, case in pairs {
    ["OpenBSD's"] = { OPENBSD, "printf 'hello\\n' | nc -N 127.0.0.1 PORT", "printf 'hello\\n' | nc -N -U PATH" },
    ["the traditional one"] = { TRADITIONAL, "printf 'hello\\n' | nc -q 1 127.0.0.1 PORT" },
    ["ncat"] = { NCAT, "printf 'hello\\n' | nc 127.0.0.1 PORT", "printf 'hello\\n' | nc -U PATH" },
    ["busybox"] = { BUSYBOX, "printf 'hello\\n' | nc 127.0.0.1 PORT" },
    ["not there"] = { nil, "bash -c '(printf \"hello\\n\" >&3; timeout 1 cat <&3) 3<>/dev/tcp/127.0.0.1/PORT'" },
  } do
    it("suggests a command that this machine has, where nc is " .. name, function()
      if not has_script() then
        pending "needs the program script"
        return
      end
      local path <const> = folder .. "/socket"
      local text = typescript(("-l localhost:0 %s -l unix:%s %s"):format(ECHO, path, ECHO), nil, fake(case[1]))
      local commands = {}
      for command in text:gmatch "\n  try  ([^\n]*)" do
        commands[#commands + 1] = command:gsub("([ /])%d%d%d%d+", "%1PORT"):gsub(path:gsub("%p", "%%%0"), "PATH")
      end
      assert.same({ case[2], case[3] }, commands)
    end)
  end

  it("suggests openssl for TLS, and nc -u for datagrams", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local made = tls.folder()
    finally(function() made:remove() end)
    local pair = made:certificate "localhost"
    local datagrams = write("datagrams.lua", "return { make_response = function(self) return self.request end, "
      .. "example = 'hi\\n', request_complete = require('parlance.framing').line {} }")
    local options = ("--certificate %s --key %s"):format(pair.certificate, pair.key)
    typescript(("%s -l tls:localhost:0 %s -l udp:localhost:0 %s %s -l tls:unix:%s/socket %s"):format(
      options, ECHO, datagrams, options, folder, ECHO), function(text)
      local commands = {}
      for command in text:gmatch "\n  try  ([^\r\n]*)" do commands[#commands + 1] = command end
      assert.matches("on   tls:localhost:", text, 1, true)
      assert.matches("on   udp:localhost:", text, 1, true)
      assert.matches("on   tls:unix:", text, 1, true)
      assert.matches("^%(printf 'hello\\n'; sleep 1%) | openssl s_client %-quiet %-no_ign_eof %-connect 127.0.0.1:%d+$",
        commands[1])
      assert.matches("^printf 'hi\\n' | nc %-w 1 %-u 127.0.0.1 %d+$", commands[2])
      assert.matches("| openssl s_client -quiet -no_ign_eof -unix " .. folder .. "/socket", commands[3], 1, true)
      for place, answer in ipairs { "hello\n", "hi\n", "hello\n" } do
        local pipe <close> = assert(io.popen("export LD_PRELOAD=; " .. commands[place] .. " 2>/dev/null"))
        assert.equal(answer, pipe:read "a", commands[place])
      end
    end)
  end)

  it("suggests a command that works when it is typed, also without nc", function()
    if not has_script() then
      pending "needs the program script"
      return
    end
    local script = write("odd.lua", [[
      return { example = "a'b\"c$d`e\\f!g%h\n", request_complete = require("parlance.framing").line {},
        make_response = function(self) return self.request:upper() .. "\n" end }]])
    for _, programs in ipairs { folder, os.getenv "PATH" } do
      typescript("-l localhost:0 " .. script, function(text)
        local command = assert(text:match "\n  try  ([^\r\n]*)", text)
        local pipe <close> = assert(io.popen("LD_PRELOAD= " .. command))
        assert.equal("A'B\"C$D`E\\F!G%H\n", pipe:read "a", command)
      end, programs)
    end
  end)
end)
