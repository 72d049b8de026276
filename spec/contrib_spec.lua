-- release only
-- needs systemd-analyze
-- What contrib/ has for systemd, as `cmake --install` installs it.

local server = require "support.server"

local BUILD <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest")

-- Runs a command and returns what it said. It must end with 0.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local said = pipe:read "a"
  assert(pipe:close(), said)
  return said
end

describe("contrib/", function()
  server.cleans_up()
  local folder

  before_each(function()
    folder = server.new_folder()
    run(("cmake --install %q --prefix %q/usr"):format(BUILD, folder))
  end)

  after_each(function() run(("rm -r %q"):format(folder)) end)

  local function unit(kind) return ("%s/usr/lib/systemd/system/parlance@.%s"):format(folder, kind) end

  it("has a service and a socket that systemd-analyze verify accepts", function()
    local text, count = server.read_file(unit "service"):gsub("ExecStart=parlance ", function()
      return ("ExecStart=%s/usr/bin/parlance "):format(folder)
    end)
    assert.equal(1, count)
    server.write_file(unit "service", text)
    local command <const> = "timeout 60 systemd-analyze verify %s/usr/lib/systemd/system/parlance@%s.%s"
    for _, kind in ipairs { "service", "socket" } do
      assert.equal("", run(command:format(folder, "", kind)))
      assert.equal("", run(command:format(folder, "greet", kind):gsub("verify", "verify --recursive-errors=yes")))
    end
  end)

  it("has a service whose command line serves the sockets of its socket unit", function()
    local words = {}
    for word in server.read_file(unit "service"):match "\nExecStart=parlance ([^\n]*)\n":gmatch "%S+" do
      if word ~= "$PARLANCE_OPTIONS" then words[#words + 1] = word end
    end
    assert.same({ "--listen", "systemd:", "/etc/parlance/%i.lua" }, words)
    assert.is_truthy(server.read_file(unit "service"):find("\nRestartPreventExitStatus=2\n", 1, true))
  end)
end)
