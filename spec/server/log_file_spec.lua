-- --log-file: a log that is rotated, and one whose disk is full.

local lfs = require "lfs"
local server = require "support.server"

local USR1 <const> = 10

-- Logs each line that it is sent, and a piece of text behind it.
local SCRIPT <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
return {
  close_when_done = false,
  request_complete = framing.line { max = 100 },
  make_response = function(self)
    parlance.log("info", self.request, { filler = ("x"):rep(400) })
    return "ok\n"
  end,
}
]]

local function each_line_is_whole(log)
  for line in log:gmatch "([^\n]*)\n" do
    assert.is_truthy(line:find "^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z %l+ [%l_]+", line)
  end
end

server.for_each_poller(function(poller)
  local running, client, path

  local function start(options)
    options.poller, options.log_file = poller, true
    running = server.start(SCRIPT, options)
    client, path = running:connect(), running.folder .. "/log"
  end

  local function log(text) assert.equal("ok\n", client:exchange(text .. "\n", 3)) end

  -- Whether the server has this file open.
  local function has_open(file)
    local folder = ("/proc/%d/fd/"):format(running.process:pid())
    for name in lfs.dir(folder) do
      if lfs.symlinkattributes(folder .. name, "target") == file then return true end
    end
    return false
  end

  describe("--log-file", function()
    it("is where the log goes; standard error stays empty", function()
      start {}
      log "hello"
      running:wait_for_log " info script service=script1 message=hello "
      assert.equal("", server.read_file(running.folder .. "/stderr"))
    end)

    it("is added to", function()
      local folder = server.new_folder()
      finally(function() server.remove_folder(folder) end)
      server.write_file(folder .. "/log", "the day before\n")
      local _, _, complaint = server.run { "--log-file", folder .. "/log", "-l", "127.0.0.1:0", "-l", "unix:/proc/x",
        server.SOURCE .. "/protocols/echo.lua" }
      assert.is_truthy(complaint:find "^parlance: cannot listen on unix:/proc/x: [^\n]*\n$", complaint)
      assert.is_truthy(server.read_file(folder .. "/log"):find "^the day before\n%S+Z info listening service=echo ")
    end)

    it("is opened again at SIGUSR1: the log goes on in a new file when the old one was renamed", function()
      start {}
      log "before"
      local before = running:descriptors()
      assert(os.rename(path, path .. ".1"))
      log "between"
      assert(running.process:signal(USR1))
      server.wait_until("the new file", function() return lfs.attributes(path) end)
      running:wait_for_log "^%S+Z info log_reopened\n"
      log "behind"
      running:wait_for_log "message=behind"
      local old = server.read_file(path .. ".1")
      assert.is_truthy(old:find "message=before.*message=between")
      assert.is_nil(old:find("message=behind", 1, true))
      assert.equal(before, running:descriptors())
      assert.equal("---", lfs.attributes(path, "permissions"):sub(7)) -- it shows bytes of peers
    end)

    it("that cannot be opened again is told in the old file, where the log goes on", function()
      start {}
      assert(os.rename(path, path .. ".1"))
      assert(lfs.mkdir(path))
      assert(running.process:signal(USR1))
      server.wait_until("the line", function()
        return server.read_file(path .. ".1"):find ' error log_not_reopened detail="Is a directory"\n'
      end)
      log "still"
      assert.is_truthy(server.read_file(path .. ".1"):find("message=still", 1, true))
      assert(lfs.rmdir(path))
      assert(running.process:signal(USR1))
      server.wait_until("the new file", function() return lfs.attributes(path) end)
      running:wait_for_log " info log_reopened\n"
    end)

    it("on a full disk does not stop the server, and tells later how many lines were lost", function()
      start {}
      assert(os.rename(path, path .. ".1"))
      assert(lfs.link("/dev/full", path, true))
      assert(running.process:signal(USR1))
      server.wait_until("the full disk", function() return has_open "/dev/full" end)
      for place = 1, 300 do log("lost" .. place) end
      assert(os.remove(path))
      assert(running.process:signal(USR1))
      server.wait_until("the new file", function() return lfs.attributes(path) end)
      local lost = running:wait_for_log "^%S+Z info log_reopened lines_lost_before=(%d+)\n"
      assert.is_true(tonumber(lost) >= 300, lost)
    end)

    it("on a disk that fills in the middle of a line has the next line in a line of its own", function()
      local limited = server.new_folder() .. "/limited"
      server.write_file(limited, ('#!/bin/sh\nulimit -f 64\nexec "%s" "$@"\n'):format(server.BINARY))
      assert(os.execute("chmod +x " .. limited))
      finally(function() server.remove_folder(limited:match "^(.*)/") end)
      start { binary = limited }
      local size
      for _ = 1, 300 do
        log "more"
        size = lfs.attributes(path, "size")
      end
      log "lost"
      assert.equal(size, lfs.attributes(path, "size"))
      -- The disk has room again: what is there is cut, as somebody who needs room would.
      local text = server.read_file(path)
      assert.are_not.equal("\n", text:sub(-1), "the last line was not cut, and the spec shows nothing")
      server.write_file(path, text:sub(1, 1000))
      log "again"
      running:wait_for_log "\n%S+Z info script service=script1 message=again [^\n]* lines_lost_before=%d+\n"
      local first, rest = running:log():match "^(.*)(\n[^\n]*message=again.*)$"
      assert.equal(1000, #first)
      each_line_is_whole(rest:sub(2))
    end)
  end)
end)
