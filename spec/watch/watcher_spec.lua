local lfs = require "lfs"
local rooms = require "parlance_spec"
local tree = require "support.tree"

local process = rooms.process

-- A watcher and a clock that is moved by hand, from one deadline to the next.
local Watched = {}
Watched.__index = Watched

local function watch(polls, ...)
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
local function write(path, content)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(content))
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function run(arguments, folder)
  local none = { LD_PRELOAD = "", GIT_CONFIG_GLOBAL = "/dev/null", GIT_CONFIG_SYSTEM = "/dev/null" }
  local child <close> = assert(process.spawn(arguments, { cwd = folder, env = none }))
  assert.equal(0, child:wait(30), table.concat(arguments, " "))
end

local function has(program)
  return (os.execute("command -v " .. program .. " >/dev/null 2>&1"))
end

describe("watcher", function()
  local here, path, before, blocks

  before_each(function()
    before = process.descriptors()
    blocks = rooms.session.blocks()
    here = tree.new { ["app/main.lua"] = "1" }
    path = here.path .. "/app/main.lua"
  end)
  after_each(function()
    rooms.session.fail_allocations()
    here:remove()
    assert.equal(before, process.descriptors())
    assert.equal(blocks, rooms.session.blocks())
  end)

  for _, polls in ipairs { false, true } do
    describe(polls and "by looking" or "by events", function()
      it("has nothing to tell while nothing happens", function()
        local watched <close> = watch(polls, path)
        assert.equal(polls, watched.watcher:polls())
        assert.equal(polls, watched.watcher:descriptor() == -1)
        watched:assert_untold()
      end)

      it("has no deadline without files", function()
        local watched <close> = watch(polls)
        assert.is_nil(watched.watcher:deadline())
        write(path, "22")
        watched:assert_untold()
      end)

      it("tells of a file written in place", function()
        local watched <close> = watch(polls, path)
        write(path, "22")
        watched:assert_told()
      end)

      it("tells of a new file renamed over the old one", function()
        local watched <close> = watch(polls, path)
        for round = 1, 3 do
          write(path .. ".new", ("2"):rep(round))
          assert(os.rename(path .. ".new", path))
          watched:assert_told()
        end
      end)

      it("tells of what sed -i did", function()
        local watched <close> = watch(polls, path)
        run { "sed", "-i", "s/1/22/", path }
        assert.equal("22", read(path))
        watched:assert_told()
      end)

      it("tells of what vim did", function()
        if not has "vim" then return pending "there is no vim" end
        local watched <close> = watch(polls, path)
        for _, way in ipairs { "yes", "no", "auto" } do -- writes in place, renames the old file, either
          run { "vim", "-es", "-u", "NONE", "-i", "NONE", "-c", "set backupcopy=" .. way, "-c", "normal A2",
            "-c", "wq", path }
          watched:assert_told()
        end
        assert.equal("1222\n", read(path))
      end)

      it("tells of another version that git checks out", function()
        if not has "git" then return pending "there is no git" end
        local function git(...)
          run({ "git", "-c", "user.name=a", "-c", "user.email=a@example.org", ... }, here.path)
        end
        git("init", "-q")
        git("add", ".")
        git("commit", "-q", "-m", "one")
        write(path, "22")
        git("commit", "-q", "-a", "-m", "two")
        local watched <close> = watch(polls, path)
        git("checkout", "-q", "HEAD~1")
        assert.equal("1", read(path))
        watched:assert_told()
        git("checkout", "-q", "-")
        assert.equal("22", read(path))
        watched:assert_told()
      end)

      it("tells of a file that goes, and of its coming back", function()
        local watched <close> = watch(polls, path)
        assert(os.remove(path))
        watched:assert_told()
        write(path, "1")
        watched:assert_told()
        write(path, "22")
        watched:assert_told()
      end)

      it("tells of a file that did not exist", function()
        local watched <close> = watch(polls, here.path .. "/app/later.lua")
        write(path, "22")
        watched:assert_untold()
        write(here.path .. "/app/later.lua", "later")
        watched:assert_told()
      end)

      it("tells of a file in folders that did not exist", function()
        local watched <close> = watch(polls, here.path .. "/a/b/c/later.lua")
        watched:assert_untold()
        here:add("a/b/c/later.lua", "1")
        watched:assert_told()
        here:add("a/b/c/later.lua", "22")
        watched:assert_told()
      end)

      it("tells of a file whose folders come one at a time", function()
        local watched <close> = watch(polls, here.path .. "/a/b/later.lua")
        for _, name in ipairs { "a/", "a/b/" } do
          here:add(name)
          assert.is_true(watched:pass(2000) <= 1) -- there is still no file
        end
        here:add("a/b/later.lua", "1")
        watched:assert_told()
      end)

      it("follows a link to a file, and tells when it leads to another", function()
        here:add("releases/1.lua", "1")
        here:add("releases/2.lua", "22")
        here:add("link.lua>", "releases/1.lua")
        local watched <close> = watch(polls, here.path .. "/link.lua")
        write(here.path .. "/releases/1.lua", "11")
        watched:assert_told()
        write(here.path .. "/releases/2.lua", "2")
        watched:assert_untold()
        run({ "ln", "-sfn", "releases/2.lua", "link.lua" }, here.path)
        watched:assert_told()
        write(here.path .. "/releases/2.lua", "222")
        watched:assert_told()
        write(here.path .. "/releases/1.lua", "111")
        watched:assert_untold()
        here:add("new>", here.path .. "/releases/1.lua")
        assert(os.rename(here.path .. "/new", here.path .. "/link.lua"))
        watched:assert_told()
        write(here.path .. "/releases/1.lua", "1")
        watched:assert_told()
      end)

      it("follows a link to a folder, and tells when it leads to another", function()
        here:add("site/releases/1/main.lua", "1")
        here:add("site/releases/2/main.lua", "22")
        here:add("site/current>", "releases/1")
        local watched <close> = watch(polls, here.path .. "/site/current/main.lua")
        run({ "ln", "-sfn", "releases/2", "current" }, here.path .. "/site")
        watched:assert_told()
        write(here.path .. "/site/releases/1/main.lua", "111")
        watched:assert_untold()
        write(here.path .. "/site/releases/2/main.lua", "222")
        watched:assert_told()
      end)

      it("follows links through links and ..", function()
        here:add("a/b/one>", "../../c/./two")
        here:add("c/two>", here.path .. "//d/../app")
        here:add("d/")
        local watched <close> = watch(polls, here.path .. "/a/b/one/main.lua")
        write(path, "22")
        watched:assert_told()
        assert(os.remove(here.path .. "/c/two"))
        watched:assert_told()
        here:add("c/two>", "../app")
        watched:assert_told()
      end)

      it("takes links in a circle for a missing file", function()
        here:add("circle>", "circle")
        local watched <close> = watch(polls, here.path .. "/circle")
        watched:assert_untold()
        assert(os.remove(here.path .. "/circle"))
        watched:pass(2000)
        write(here.path .. "/circle", "round")
        watched:assert_told()
      end)

      it("tells of a folder deleted and made again with its file", function()
        local watched <close> = watch(polls, path)
        for round = 1, 3 do
          assert(os.remove(path))
          assert(lfs.rmdir(here.path .. "/app"))
          watched:assert_told()
          here:add("app/main.lua", ("2"):rep(round))
          watched:assert_told()
          write(path, "4444")
          watched:assert_told()
        end
      end)

      it("tells of a folder that is moved and another that takes its place", function()
        here:add("x/y/z/main.lua", "1")
        here:add("other/y/z/main.lua", "22")
        local watched <close> = watch(polls, here.path .. "/x/y/z/main.lua")
        assert(os.rename(here.path .. "/x", here.path .. "/old"))
        watched:assert_told()
        assert(os.rename(here.path .. "/other", here.path .. "/x"))
        watched:assert_told()
        write(here.path .. "/old/y/z/main.lua", "333")
        watched:assert_untold()
        write(here.path .. "/x/y/z/main.lua", "333")
        watched:assert_told()
      end)

      it("has a few words for a hundred saves, the last of them after the last save", function()
        local watched <close> = watch(polls, path)
        local told, last = 0, nil
        local function look() last = read(path) end
        for save = 1, 100 do
          write(path, ("x"):rep(save))
          told = told + watched:pass(10, look)
        end
        assert.is_true(told >= 1 and told <= 12, told)
        told = watched:pass(2000, look)
        assert.equal(1, told)
        assert.equal(("x"):rep(100), last)
      end)

      it("is not concerned by other files, here or in folders on the way", function()
        local watched <close> = watch(polls, path)
        here:add("app/other.lua", "1")
        here:add("app/main.lua~", "1")
        here:add("beside.lua", "1")
        assert(os.remove(here.path .. "/app/other.lua"))
        assert(os.rename(here.path .. "/beside.lua", here.path .. "/app/beside.lua"))
        local elsewhere = tree.new { ["app/main.lua"] = "1" }
        elsewhere:remove()
        watched:assert_untold()
      end)

      it("watches several files, and then others", function()
        here:add("app/one.lua", "1")
        here:add("two.lua", "2")
        local one, two = here.path .. "/app/one.lua", here.path .. "/two.lua"
        local watched <close> = watch(polls, path, one)
        write(one, "22")
        write(path, "22")
        watched:assert_told()
        assert(watched.watcher:watch(two, path))
        watched:assert_untold()
        write(one, "333")
        watched:assert_untold()
        write(two, "333")
        watched:assert_told()
        write(path, "333")
        watched:assert_told()
        assert(watched.watcher:watch())
        write(path, "4444")
        watched:assert_untold()
      end)

      it("keeps what it has still to tell when other files are watched", function()
        local watched <close> = watch(polls, path)
        write(path, "22")
        watched:read()
        assert(watched.watcher:watch(path, here.path .. "/app/more.lua"))
        watched:assert_told()
      end)

      it("finds a relative path from the current folder", function()
        local current = lfs.currentdir()
        finally(function() lfs.chdir(current) end)
        assert(lfs.chdir(here.path .. "/app"))
        local watched <close> = watch(polls, "./main.lua", "../beside.lua")
        write(path, "22")
        watched:assert_told()
        here:add("beside.lua", "1")
        watched:assert_told()
      end)

      it("watches what is no path of a file without harm", function()
        local names = { "", "/", ".", here.path, here.path .. "/app/..", ("x/"):rep(3000), ("x"):rep(300),
          path .. "/below" }
        local watched <close> = watch(polls, path, table.unpack(names))
        write(path, "22")
        assert.equal(1, watched:pass(300))
      end)

      it("says so at the time it is nudged for", function()
        local watched <close> = watch(polls, path)
        watched.watcher:nudge(watched.now + 1000)
        assert.equal(0, watched:pass(999))
        assert.equal(1, watched:pass(1))
        watched:assert_untold()
        watched.watcher:nudge(watched.now)
        watched.watcher:nudge(watched.now + 50)
        assert.equal(0, watched:pass(49))
        assert.equal(1, watched:pass(1))
        watched.watcher:nudge(watched.now + 50)
        watched.watcher:nudge()
        watched:assert_untold()
      end)

      it("tells of a file that is being written when it has come to rest, though it is nudged before", function()
        local watched <close> = watch(polls, path)
        local file <close> = assert(io.open(path, "wb"))
        file:setvbuf "no"
        file:write "22"
        watched.watcher:nudge(watched.now)
        assert.is_false(watched.watcher:settled(watched.now))
        file:write "333"
        assert.equal(0, watched:pass(10))
        file:close()
        watched:assert_told()
      end)

      it("is as it was when there is no memory for other files", function()
        local watched <close> = watch(polls, path)
        for n = 1, 3 do -- the list and the copies of two paths
          rooms.session.fail_allocations(n)
          local done, why = watched.watcher:watch(path, path .. "x")
          rooms.session.fail_allocations()
          assert.is_nil(done)
          assert.equal("no_memory", why)
        end
        write(path, "22")
        watched:assert_told()
      end)
    end)
  end

  describe("by events", function()
    -- Writes a piece at a time, and each piece at once.
    local function open(name)
      local file = assert(io.open(name, "wb"))
      file:setvbuf "no"
      return file
    end

    it("waits for who has truncated the file to close it", function()
      local watched <close> = watch(false, path)
      local file <close> = open(path)
      for _ = 1, 10 do
        assert.equal(0, watched:pass(190))
        file:write "piece"
      end
      assert.equal(0, watched:pass(190))
      file:close()
      watched:read()
      assert.equal(watched.now + 10, watched.watcher:deadline())
      watched:assert_told()
    end)

    it("waits for who has made the file to close it", function()
      local watched <close> = watch(false, here.path .. "/later.lua")
      local file <close> = open(here.path .. "/later.lua")
      assert.equal(0, watched:pass(190))
      file:close()
      assert.equal(0, watched:pass(9))
      assert.equal(1, watched:pass(1))
    end)

    it("waits for a writer in a folder that has just been made", function()
      local watched <close> = watch(false, here.path .. "/new/later.lua")
      here:add("new/")
      watched:read()
      local file <close> = open(here.path .. "/new/later.lua")
      assert.equal(0, watched:pass(190))
      file:close()
      watched:assert_told()
    end)

    it("waits 200 ms for who does not close the file", function()
      local watched <close> = watch(false, path)
      local file <close> = open(path)
      file:write "22"
      assert.equal(0, watched:pass(199))
      assert.equal(1, watched:pass(1))
      watched:assert_untold()
      here:add("app/new", "333")
      assert(os.rename(here.path .. "/app/new", path))
      assert.equal(1, watched:pass(10))
      file:close()
      watched:assert_untold()
    end)

    it("does not wait any longer for who has been waited for", function()
      here:add("second.lua", "1")
      local watched <close> = watch(false, path, here.path .. "/second.lua")
      local file <close> = open(path)
      assert.equal(1, watched:pass(500))
      write(here.path .. "/second.lua", "22")
      assert.equal(1, watched:pass(10))
      file:close()
      watched:assert_told()
    end)

    it("does not wait for a link or a folder, which are complete when they are there", function()
      local watched <close> = watch(false, here.path .. "/link/main.lua")
      here:add("link>", "app")
      assert.equal(1, watched:pass(10))
      watched:assert_untold()
      assert(os.remove(here.path .. "/link"))
      watched:assert_told()
      here:add("link/")
      assert.equal(1, watched:pass(10))
    end)

    it("does not wait for who still writes to the file that was replaced", function()
      local watched <close> = watch(false, path)
      local file <close> = open(path)
      file:write "22"
      watched:read()
      write(path .. ".new", "333")
      assert(os.rename(path .. ".new", path))
      assert.equal(1, watched:pass(10))
      file:write "22"
      file:close()
      watched:assert_untold()
    end)

    it("waits for a second file that is being written, but not for ever", function()
      here:add("second.lua", "1")
      local watched <close> = watch(false, path, here.path .. "/second.lua")
      local second <close> = open(here.path .. "/second.lua")
      write(path, "22")
      for _ = 1, 4 do
        assert.equal(0, watched:pass(100))
        second:write "2"
      end
      assert.equal(0, watched:pass(99))
      assert.equal(1, watched:pass(1))
      second:close()
      watched:assert_told()
    end)

    it("tells at the latest 100 ms after the first save", function()
      local watched <close> = watch(false, path)
      local start = watched.now
      repeat
        write(path, "22")
        watched:read()
        local told = watched:pass(9)
      until told > 0 or watched.now > start + 1000
      assert.is_true(watched.now - start >= 100 and watched.now - start < 109)
    end)

    it("lets the save that is under way then be finished, and tells at once", function()
      local watched <close> = watch(false, path)
      local told
      for _ = 1, 13 do -- the first is closed at 9, the last opened at 108
        local file <close> = open(path)
        assert.equal(0, watched:pass(9))
        file:close()
        told = watched:pass(0)
      end
      assert.equal(1, told)
    end)

    it("tells a burst farther and farther apart, up to 100 ms, and the next one at once", function()
      local watched <close> = watch(false, path)
      for burst = 1, 2 do
        write(path, burst .. "2")
        assert.equal(1, watched:pass(10))
        for place, gap in ipairs { 20, 40, 80, 100, 100 } do
          write(path, burst .. ("3"):rep(place))
          assert.equal(0, watched:pass(gap - 1))
          assert.equal(1, watched:pass(1))
        end
        watched:pass(201)
      end
    end)

    it("reads on before it says that all is at rest", function()
      local watched <close> = watch(false, path)
      write(path, "22")
      watched:read()
      local file <close> = open(path) -- which nobody has read about yet
      assert.is_false(watched.watcher:settled(watched.now + 10))
      file:close()
      watched:assert_told()
    end)

    it("hears nothing of a busy folder on the way", function()
      local watched <close> = watch(false, path)
      for _ = 1, 10 do os.remove(os.tmpname()) end
      here:add("beside.lua", "1")
      assert.is_false(watched:is_readable())
    end)

    it("hears nothing any more of the folder in which the file's folder was missing", function()
      local watched <close> = watch(false, here.path .. "/new/later.lua")
      here:add("new/later.lua", "1")
      watched:assert_told()
      here:add("beside.lua", "1")
      assert.is_false(watched:is_readable())
    end)

    it("wakes up when there is something to read", function()
      local watched <close> = watch(false, path)
      local child <close> = assert(process.spawn { "sh", "-c", "echo 22 >" .. path })
      assert.is_true(watched:is_readable(10))
      child:wait(10)
      watched:assert_told()
    end)

    it("notices a folder that goes and comes while somebody is in it", function()
      here:add("x/y/main.lua", "1")
      local watched <close> = watch(false, here.path .. "/x/y/main.lua")
      local x <close> = assert(process.spawn({ "sleep", "100" }, { cwd = here.path .. "/x" }))
      local y <close> = assert(process.spawn({ "sleep", "100" }, { cwd = here.path .. "/x/y" }))
      assert(x and y)
      for round = 1, 2 do
        assert(os.remove(here.path .. "/x/y/main.lua"))
        watched:pass(1000)
        assert(lfs.rmdir(here.path .. "/x/y"))
        watched:pass(1000)
        if round == 1 then
          assert(lfs.rmdir(here.path .. "/x"))
          watched:pass(1000)
        end
        here:add("x/y/main.lua", "22")
        watched:assert_told()
      end
    end)

    it("sees what happens between two walks", function()
      local watched <close> = watch(false, here.path .. "/a/b/later.lua")
      for _ = 1, 20 do
        here:add("a/")
        watched:read()
        here:add("a/b/later.lua", "1")
        watched:assert_told()
        assert(os.remove(here.path .. "/a/b/later.lua"))
        assert(lfs.rmdir(here.path .. "/a/b"))
        assert(lfs.rmdir(here.path .. "/a"))
        watched:assert_told()
      end
    end)

    it("has no more watches and descriptors after many rounds", function()
      here:add("site/1/main.lua", "1")
      here:add("site/2/main.lua", "1")
      here:add("site/current>", "1")
      local watched <close> = watch(false, path, here.path .. "/site/current/main.lua", here.path .. "/no/file")
      local watches, descriptors = watched:watches(), process.descriptors()
      for round = 1, 50 do
        run({ "ln", "-sfn", tostring(round % 2 + 1), "current" }, here.path .. "/site")
        watched:pass(1000)
        assert(os.remove(path))
        assert(lfs.rmdir(here.path .. "/app"))
        here:add("no/file", "1")
        watched:pass(1000)
        here:add("app/main.lua", "1")
        assert(os.remove(here.path .. "/no/file"))
        assert(lfs.rmdir(here.path .. "/no"))
        watched:pass(1000)
      end
      assert.equal(watches, watched:watches())
      assert.equal(descriptors, process.descriptors())
      assert(watched.watcher:watch())
      assert.equal(0, watched:watches())
    end)

    it("does nothing when it is told to watch what it watches", function()
      local watched <close> = watch(false, path)
      rooms.session.fail_allocations()
      assert(watched.watcher:watch(path))
      assert.equal(0, rooms.session.allocations())
    end)

    it("counts events that the kernel had no room for", function()
      local limit = tonumber(read "/proc/sys/fs/inotify/max_queued_events")
      if limit > 200000 then return pending "the queue is too long to be filled" end
      local watched <close> = watch(false, path)
      here:add("app/a", "")
      local from, to = here.path .. "/app/a", here.path .. "/app/b"
      for _ = 1, limit // 2 + 2 do
        assert(os.rename(from, to))
        from, to = to, from
      end
      write(path, "22") -- unheard
      watched:assert_told()
    end)

    it("does not hand its descriptor on", function()
      local watched <close> = watch(false, path)
      local flags = read("/proc/self/fdinfo/" .. watched.watcher:descriptor()):match "flags:%s*(%d+)"
      assert.is_true(tonumber(flags, 8) & tonumber("2000000", 8) ~= 0)
    end)
  end)

  describe("by looking", function()
    it("takes for settled what is the same 20 ms later", function()
      local watched <close> = watch(true, path)
      watched:pass(250 - watched.now % 250)
      write(path, "22")
      local start = watched.watcher:deadline()
      assert.is_false(watched.watcher:settled(start))
      assert.equal(start + 20, watched.watcher:deadline())
      write(path, "333")
      assert.is_false(watched.watcher:settled(start + 20))
      assert.is_true(watched.watcher:settled(start + 40))
      assert.equal(start + 290, watched.watcher:deadline())
    end)

    it("tells half a second late of a file that never comes to rest", function()
      local watched <close> = watch(true, path)
      local start, now = watched.watcher:deadline(), 0
      repeat
        write(path, ("x"):rep(now - start + 5000))
        now = watched.watcher:deadline()
      until watched.watcher:settled(now) or now > start + 2000
      assert.equal(start + 500, now)
    end)
  end)

  describe("without events that it can rely on", function()
    it("looks at a file that has another name", function()
      assert(lfs.link(path, here.path .. "/other.lua"))
      local watched <close> = watch(false, path)
      assert.is_true(watched.watcher:polls())
      write(here.path .. "/other.lua", "22")
      watched:assert_told()
      write(path, "333") -- heard and seen
      watched:assert_told()
      assert(os.remove(here.path .. "/other.lua"))
      write(path, "1")
      watched:assert_told()
      assert.is_false(watched.watcher:polls())
      assert.is_nil(watched.watcher:deadline())
    end)

    it("looks at the files when there is no inotify to be had", function()
      local limit = assert(rooms.io.limit_descriptors(3))
      local watcher = rooms.io.watcher(false)
      rooms.io.limit_descriptors(limit)
      local watched <close> = setmetatable({ watcher = assert(watcher), now = 1000 }, Watched)
      assert(watcher:watch(path))
      assert.equal(-1, watcher:descriptor())
      assert.is_true(watcher:polls())
      assert.equal(0, watched:pass(0))
      write(path, "22")
      watched:assert_told()
    end)

    it("looks at the files while watches are refused, and no longer", function()
      local complete = 0
      for n = 1, 200 do
        local watched <close> = setmetatable({ watcher = assert(rooms.io.watcher(false)), now = 1000 }, Watched)
        rooms.session.fail_allocations(n, 1000)
        local done = watched.watcher:watch(path, here.path .. "/later.lua")
        rooms.session.fail_allocations()
        if done then
          local polls = watched.watcher:polls()
          if not polls then complete = n end
          write(path, ("x"):rep(n + 1))
          watched:assert_told()
          assert.is_false(watched.watcher:polls())
        end
        if complete > 0 then break end
      end
      assert.is_true(complete > 5)
    end)

    it("knows file systems that others change", function()
      for _, type in ipairs { 0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x5346414f, 0x6b414653,
        0x73757245, 0x786f4256 } do
        assert.is_true(rooms.io.is_shared_type(type))
      end
      for _, type in ipairs { 0xef53, 0x9123683e, 0x58465342, 0x01021994, 0x794c7630, 0x2fc12fc1, 0 } do
        assert.is_false(rooms.io.is_shared_type(type)) -- ext4, btrfs, xfs, tmpfs, overlayfs, zfs
      end
    end)
  end)

  it("closes what it has opened", function()
    local watched = watch(false, path)
    assert.equal(before + 1, process.descriptors())
    watched:close()
    assert.equal(before, process.descriptors())
  end)

  it("cannot be had without memory", function()
    rooms.session.fail_allocations(1)
    local watcher, why = rooms.io.watcher(false)
    rooms.session.fail_allocations()
    assert.is_nil(watcher)
    assert.equal("no_memory", why)
  end)
end)
