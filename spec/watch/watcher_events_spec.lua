-- A watcher that gets events: what it tells of each way to change a file.

local lfs = require "lfs"
local rooms = require "parlance_spec"
local tree = require "support.tree"
local Watched = require "support.watched"

local process = rooms.process
local watch <const>, write <const>, read <const> = Watched.new, Watched.write, Watched.read_file
local run <const> = Watched.run

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
end)
