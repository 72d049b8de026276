-- The command line: mistakes are told in one line that names the option and the value.

local server = require "support.server"

local ECHO <const> = server.SOURCE .. "/protocols/echo.lua"

-- Exactly one line on standard error, which holds each of these texts; nothing on standard output.
local function refuses(argv, ...)
  local status, said, complaint = server.run(argv, { seconds = 5 })
  assert.equal(2, status)
  assert.equal("", said)
  assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
  for _, text in ipairs { ... } do
    assert.is_truthy(complaint:find(text, 1, true), ("%q is not in %q"):format(text, complaint))
  end
  return complaint
end

describe("the command line", function()
  local BYTES <const> = {
    "", "x", "-1", "+1", "0", "1.5", "0x10", "1e6", "10T", "10KB", " 10", "10 ", "99999999999999999999", "9999999999G",
  }
  local SECONDS <const> = {
    "", "x", "-1", "-0.5", "+1", "1e3", "0x10", "inf", "nan", "1s", " 1", "1..5", ".", "9999999999999",
  }

  for option, values in pairs {
    ["--max-connections"] = { "", "x", "-1", "0", "1.5", "10K", "0x10", "99999999999999999999" },
    ["--max-connections-per-peer"] = { "", "x", "-1", "1.5", "10K", "99999999999999999999" },
    ["--accept-proxy"] = { "", "localhost", "10.0.0.0/33", "10.0.0.1/8", "::1,", "[::1]" },
    ["--socket-mode"] = { "", "x", "-1", "+660", "8", "0x1b0", "1777", "00660", "u=rw", " 660" },
    ["--socket-group"] = { "", "no-such-group", "0 " },
    ["--max-request"] = BYTES,
    ["--max-tasks"] = { "", "x", "-1", "0", "1.5", "10K", "1000000001" },
    ["--memory-limit"] = { "x", "-1", "0", "1", "1K", "99999999999999999999", "1.5M" },
    ["--request-timeout"] = SECONDS,
    ["--idle-timeout"] = SECONDS,
    ["--write-timeout"] = SECONDS,
    ["--response-timeout"] = SECONDS,
    ["--drain-timeout"] = SECONDS,
    ["--call-timeout"] = SECONDS,
    ["--record"] = { "", "/nonexistent/of/this", "/dev/null", "/dev/null/folder", "/proc" },
    ["--set"] = { "", "root", "=x", "ro ot=x", "1st=x", "a-b=x", "\195\164=x" },
    ["--poller"] = { "", "poll", "EPOLL", "epoll " },
    ["--log-level"] = { "", "loud", "INFO" },
    ["--log-format"] = { "", "xml" },
    ["--log-file"] = { "", "/nonexistent/of/this", "/proc", "/dev/null/file" },
    ["--log-bytes"] = { "", "x", "-1", "1.5", "1K", "1025", "99999999999999999999" },
    ["--max-buffered"] = { "", "x", "-1", "1.5", "10T", "99999999999999999999" },
    ["--tcp-keepalive"] = { "", "x", "-1", "1s", "32768", "9999999999999" },
    ["--name-server"] = { "", "x", "127.0.0.1", "unix:/tmp/x", ":", "127.0.0.1:99999" },
    ["--listen"] = {
      "", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1: 80",
      "[::1]", "[::1", "[::1]:", "::1:80", "[localhost]:80", "unix:", "unix:" .. ("x"):rep(108),
    },
  } do
    for _, value in ipairs(values) do
      it(("refuses %s %q"):format(option, value), function()
        refuses({ option, value, ECHO }, option, value)
      end)
    end
  end

  it("names the commands where a script that is not there may be one that was mistyped", function()
    refuses({ "chekc", ECHO }, "cannot open chekc: ", "(the commands are check, fuzz and new; see parlance --help)")
    for _, path in ipairs { "chekc.lua", "./chekc", "/nonexistent/check" } do
      assert.is_nil(refuses({ path }, "cannot open " .. path):find("commands", 1, true))
    end
  end)

  it("refuses a seed that is none, and options of the tools where they do not belong", function()
    for _, tool in ipairs { "check", "fuzz" } do
      for _, value in ipairs { "", "x", "-1", "1.5", "99999999999999999999" } do
        refuses({ tool, "--seed", value, ECHO }, "--seed", value)
      end
    end
    refuses({ "--seed", "1", ECHO }, "--seed")
    refuses({ "fuzz", "--strict", ECHO }, "--strict")
    refuses({ "--strict", ECHO }, "--strict")
  end)

  it("refuses a value that is joined to its option in the same way", function()
    refuses({ "--max-request=0", ECHO }, "--max-request", "0")
    refuses({ "-lx", ECHO }, "--listen", "x")
  end)

  for _, option in ipairs {
    "--listen", "-l", "--max-connections", "--max-request", "--max-tasks", "--request-timeout", "--idle-timeout",
    "--write-timeout", "--response-timeout", "--drain-timeout", "--call-timeout", "--memory-limit", "--poller",
    "--name-server", "--log-level", "--log-format", "--record", "--set", "--log-bytes", "--tcp-keepalive",
    "--max-buffered", "--socket-mode", "--socket-group", "--log-file", "--max-connections-per-peer",
    "--accept-proxy", "--certificate", "--key", "--client-ca", "--client-verify", "--alpn", "--tls-min",
  } do
    it("tells that a value is missing behind " .. option, function()
      refuses({ ECHO, option }, option, "value")
    end)
  end

  it("refuses options that it does not know", function()
    refuses({ "--frobnicate", ECHO }, "--frobnicate")
    refuses({ "--frobnicate=5", ECHO }, "--frobnicate")
    refuses({ "-x", ECHO }, "-x")
    refuses({ "-xl", ECHO }, "-x")
  end)

  it("suggests the option that is nearest", function()
    for typed, meant in pairs {
      ["--lisen"] = "--listen", ["--max_requst"] = "--max-request", ["--log_level=info"] = "--log-level",
      ["--sets=a=b"] = "--set", ["--preflihgt"] = "--preflight", ["--hlep"] = "--help",
    } do
      refuses({ typed, ECHO }, "unknown option " .. typed .. "; did you mean " .. meant .. "? See parlance --help")
    end
    assert.is_nil(refuses({ "--frobnicate", ECHO }, "--frobnicate"):find "did you mean")
  end)

  it("suggests how a port, a host or a path alone is written", function()
    for typed, meant in pairs {
      ["8888"] = ":8888", ["0"] = ":0", localhost = "localhost:8888", ["127.0.0.1"] = "127.0.0.1:8888",
      ["/run/x.sock"] = "unix:/run/x.sock", ["./x"] = "unix:./x",
    } do
      refuses({ "--listen", typed, ECHO },
        ('--listen %s: the port is missing (did you mean "%s"?)'):format(typed, meant))
    end
    for _, address in ipairs { "88888", "", "a:b", "[::1]", "::1:80", "127.0.0.1:" } do
      assert.is_nil(refuses({ "--listen", address, ECHO }, "--listen"):find("did you mean", 1, true))
    end
  end)

  it("refuses a mode or a group of Unix sockets where there is none", function()
    refuses({ "--socket-mode", "0660", "-l", "127.0.0.1:0", ECHO }, "--socket-mode is for Unix sockets", "echo.lua")
    refuses({ "--socket-group", "root", "-l", "127.0.0.1:0", ECHO }, "--socket-group is for Unix sockets")
  end)

  it("tells which range of a list is none", function()
    refuses({ "--accept-proxy", "::1,10.0.0.0/33,unix", ECHO },
      '--accept-proxy ::1,10.0.0.0/33,unix: "10.0.0.0/33": the prefix is not a number from 0 to 32')
  end)

  it("refuses a value for an option that takes none", function()
    refuses({ "--resolve-names=yes", ECHO }, "--resolve-names")
    refuses({ "--preflight=yes", ECHO }, "--preflight")
  end)

  it("refuses options behind the last script, because they are for none", function()
    refuses({ ECHO, "--max-request", "10" }, "--max-request", "behind")
    refuses({ ECHO, "-l", "127.0.0.1:0" }, "--listen", "behind")
    refuses({ ECHO, "--idle-timeout", "1", ECHO, "--call-timeout", "1" }, "--call-timeout", "behind")
  end)

  it("needs a script", function()
    refuses({}, "no script")
    refuses({ "--poller", "select" }, "no script")
    refuses({ "check" }, "no script")
  end)

  it("points to --help where that helps", function()
    for _, argv in ipairs { {}, { "--frobnicate", ECHO }, { ECHO, "--listen" } } do refuses(argv, "--help") end
  end)
end)

describe("--help", function()
  it("tells every option on standard output, and ends with 0", function()
    local status, said, complaint = server.run { "--help" }
    assert.equal(0, status)
    assert.equal("", complaint)
    for _, option in ipairs {
      "--listen", "--max-connections", "--max-request", "--max-tasks", "--request-timeout", "--idle-timeout",
      "--write-timeout", "--response-timeout", "--drain-timeout", "--call-timeout", "--memory-limit", "--poller",
      "--resolve-names", "--name-server", "--log-level",
      "--log-format", "--log-bytes", "--tcp-keepalive",
      "--max-buffered", "--record", "--preflight", "--set", "--fingerprint",
      "--socket-mode", "--socket-group", "--log-file", "--max-connections-per-peer",
      "--accept-proxy", "--certificate", "--key", "--client-ca", "--client-verify",
      "--alpn", "--tls-min", "--version", "--help",
    } do
      assert.is_truthy(said:find(option, 1, true), option)
    end
    for line in said:gmatch "[^\n]+" do assert.is_true(#line <= 100, line) end
  end)

  it("may stand beside anything that is right", function()
    assert.equal(0, (server.run { "--poller", "select", "--help" }))
    assert.equal(0, (server.run { ECHO, "--help" }))
  end)

  it("fails with 1 when nobody can read it", function()
    assert.equal(1, (server.run({ "--help" }, { stdout = "/dev/full" })))
  end)
end)

describe("--version", function()
  it("is the name and three numbers", function()
    for _, option in ipairs { "--version", "-v" } do
      local status, said, complaint = server.run { option }
      assert.equal(0, status)
      assert.equal("", complaint)
      assert.is_truthy(said:find "^parlance %d+%.%d+%.%d+\n$")
    end
  end)
end)

describe("a script", function()
  local folder

  before_each(function() folder = server.new_folder() end)
  after_each(function() server.remove_folder(folder) end)

  it("may be named without .lua", function()
    server.write_file(folder .. "/greet.lua", "return { handle_connect = print }")
    local status, said, complaint = server.run({ "check", "greet" }, { cwd = folder })
    assert.same({ 0, "greet.lua: valid", "" }, { status, said:match "^[^\n]*", complaint })
    assert.equal(0, (server.run { "check", folder .. "/greet" }))
  end)

  it("may be named without .lua where a folder has that name", function()
    assert.equal(0, (server.run({ "check", "redis", "--seconds", "0.1" }, { cwd = server.SOURCE .. "/protocols" })))
  end)

  it("is the very file that is named, if there is one", function()
    server.write_file(folder .. "/greet", "return 5")
    server.write_file(folder .. "/greet.lua", "return { handle_connect = print }")
    assert.equal(2, (server.run { "check", folder .. "/greet" }))
    os.remove(folder .. "/greet.lua")
    os.remove(folder .. "/greet")
    refuses({ folder .. "/greet" }, "cannot open " .. folder .. "/greet: No such file or directory")
  end)

  it("whose listen is a port alone is told how to write it", function()
    server.write_file(folder .. "/greet.lua", "return { listen = '8888', handle_connect = print }")
    refuses({ folder .. "/greet.lua" }, 'listen is "8888": the port is missing (did you mean ":8888"?)')
    local _, _, complaint = server.run { "check", folder .. "/greet.lua" }
    assert.truthy(complaint:find('listen is "8888": the port is missing (did you mean ":8888"?)', 1, true), complaint)
  end)

  it("that lacks a module is told where it was looked for", function()
    server.write_file(folder .. "/greet.lua", "require 'jsonx'")
    local status, _, complaint = server.run { folder .. "/greet.lua" }
    assert.equal(2, status)
    assert.equal(("parlance: %s/greet.lua:1: module 'jsonx' not found:\n"):format(folder), complaint:match "^[^\n]*\n")
    for _, path in ipairs { folder .. "/jsonx.lua", folder .. "/jsonx/init.lua", server.SOURCE .. "/lua/jsonx.lua" } do
      assert.truthy(complaint:find(("\n\tno file '%s'\n"):format(path), 1, true), path)
    end
    assert.is_nil(complaint:find("traceback", 1, true))
  end)

  it("whose place is taken is told of --listen", function()
    local running = server.start("protocols/echo.lua")
    local status, _, complaint = server.run { "-l", running.addresses[1].text, ECHO }
    assert.equal(1, status)
    assert.truthy(complaint:find("Address already in use; another program listens there: choose another place with "
      .. "--listen\n", 1, true), complaint)
    server.stop_all()
  end)
end)

describe("an option", function()
  server.cleans_up()

  it("stands before the script that it is for, and holds for no other", function()
    local text = "return {\n request_complete = function() return false end, make_response = print }"
    local running = server.start {
      { text, options = { "--max-request=1K" } },
      { text },
    }
    local first, second = running:connect(1), running:connect(2)
    first:send(("x"):rep(2000))
    second:send(("x"):rep(2000))
    first:receive_rest()
    assert.is_true(second:is_quiet(0.05))
  end)

  it("--set is what the script that follows sees in parlance.settings", function()
    local text = [[
      local settings = require("parlance").settings
      return { settings = { a = "one", b = "two" }, handle_connect = function()
        return ("a=%s b=%s\n"):format(settings.a, settings.b)
      end }]]
    local running = server.start {
      { text, options = { "--set", "a=1", "--set=b==x y=", "--set", "a=2" } },
      { text, options = { "--set", "b=" } },
    }
    assert.equal("a=2 b==x y=\n", running:connect(1):receive_all())
    assert.equal("a=nil b=\n", running:connect(2):receive_all())
    assert.is_nil(running:log():find("unknown_setting", 1, true))
  end)

  for unit, factor in pairs { [""] = 1, K = 1 << 10, k = 1 << 10, M = 1 << 20, m = 1 << 20 } do
    it(("of bytes may end in %q"):format(unit), function()
      local running = server.start("protocols/length_sep_body.lua", { "--max-request", "10" .. unit })
      local largest = 10 * factor
      local body = largest - #tostring(largest) - 1
      if #tostring(body) < #tostring(largest) then body = largest - #tostring(body) - 1 end
      local client = running:connect()
      client:send(body .. "\n")
      assert.is_true(client:is_quiet(0.02))
      client = running:connect()
      client:send(body + 1 .. "\n")
      assert.equal("", client:receive_all())
    end)
  end

  it("of the log writes JSON, an event a line", function()
    local json = require "dkjson"
    local running = server.start("protocols/echo.lua")
    local taken = running.addresses[1].text
    local _, _, complaint = server.run { "--log-format", "json", "-l", "127.0.0.1:0", "-l", taken, ECHO }
    local event = json.decode(complaint:match "^[^\n]+")
    assert.equal("listening", event.event)
    assert.equal("info", event.level)
    assert.equal("echo", event.service)
  end)
end)
