-- A watcher that polls, and what it has in common with one that gets events.

local lfs = require "lfs"
local rooms = require "parlance_spec"
local tree = require "support.tree"
local Watched = require "support.watched"

local process = rooms.process
local watch <const>, write <const>, read <const> = Watched.new, Watched.write, Watched.read_file
local run <const> = Watched.run

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
