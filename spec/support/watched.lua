-- A watcher with a clock that specs move by hand, from one deadline to the next.

local assert = require "luassert"
local rooms = require "parlance_spec"

local Watched = {}
Watched.__index = Watched

--- Makes a watcher of these files, which polls or waits for events.
function Watched.new(polls, ...)
  local watcher = assert(rooms.io.watcher(polls))
  local self = setmetatable({ watcher = watcher, now = 1000 }, Watched)
  assert(watcher:watch(...))
  assert.equal(0, self:pass(0))
  return self
end

function Watched:close() self.watcher:close() end
Watched.__close = Watched.close

function Watched:is_readable(seconds)
  local fd = self.watcher:descriptor()
  return fd >= 0 and rooms.io.ready(fd, "r", seconds or 0)
end

-- Reads all there is: what this process and its late children did stands in the queue at once.
function Watched:read()
  local reads = 0
  while self:is_readable() do
    self.watcher:read(self.now)
    reads = reads + 1
    assert(reads < 100000)
  end
  return reads
end

-- Lets so many milliseconds pass; how often the files have settled meanwhile.
function Watched:pass(milliseconds, on_settled)
  local count, stop = 0, self.now + milliseconds
  self:read()
  for _ = 1, 10000 do
    local deadline = self.watcher:deadline()
    if not deadline or deadline > stop then break end
    self.now = math.max(self.now, deadline)
    if self.watcher:settled(self.now) then
      count = count + 1
      if on_settled then on_settled() end
    end
    self:read()
  end
  self.now = stop
  return count
end

-- That something was changed, is told once, and is over then.
function Watched:assert_told()
  assert.equal(1, self:pass(300))
  assert.equal(0, self:pass(2000))
end

function Watched:assert_untold()
  assert.equal(0, self:pass(2000))
end

-- How many watches the kernel has for it.
function Watched:watches()
  local count = 0
  for line in io.lines("/proc/self/fdinfo/" .. self.watcher:descriptor()) do
    if line:find "^inotify" then count = count + 1 end
  end
  return count
end

-- Where a spec looks at files, two contents in a row differ in their length: times may be too coarse.
function Watched.write(path, content)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(content))
end

function Watched.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Runs a program in the folder to its end, which must be a good one.
function Watched.run(arguments, folder)
  local none = { LD_PRELOAD = "", GIT_CONFIG_GLOBAL = "/dev/null", GIT_CONFIG_SYSTEM = "/dev/null" }
  local child <close> = assert(rooms.process.spawn(arguments, { cwd = folder, env = none }))
  assert.equal(0, child:wait(30), table.concat(arguments, " "))
end

return Watched
