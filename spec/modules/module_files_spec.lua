local lfs = require "lfs"
local rooms = require "parlance_spec"
local tree = require "support.tree"

local files = rooms.script.open_files()

local function open_descriptors()
  local count = 0
  for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
  return count
end

describe("parlance.files", function()
  local outside, inside

  before_each(function()
    outside = tree.new { ["secret.txt"] = "secret", ["folder/secret.txt"] = "secret" }
    inside = tree.new {
      ["a.txt"] = "hello", ["sub/b.txt"] = "bye", ["sub/deep/c.txt"] = "", ["empty/"] = "",
      ["..a"] = "dots", ["link>"] = "a.txt", ["sub/up>"] = "../a.txt", ["folder-link>"] = "sub",
      ["out>"] = outside.path .. "/secret.txt", ["out-folder>"] = outside.path,
      ["up-and-out>"] = "../" .. outside.path:match "[^/]+$" .. "/secret.txt",
      ["dangling>"] = "nothing", ["loop>"] = "loop", ["proc>"] = "/proc/self/root",
    }
    assert(os.execute("mkfifo " .. inside.path .. "/fifo"))
  end)
  after_each(function()
    inside:remove()
    outside:remove()
  end)

  local function content(root, path)
    local about, file, why = root:open(path)
    if not about then return nil, file, why end
    if not file then return about.kind end
    local bytes = file:read "a"
    file:close()
    return bytes
  end

  for _, follows in ipairs { true, false } do
    describe(follows and "with links" or "without links", function()
      local root
      before_each(function() root = assert(files.root(inside.path, { links = follows })) end)
      after_each(function() root:close() end)

      it("opens files", function()
        assert.are.equal("hello", content(root, "a.txt"))
        assert.are.equal("bye", content(root, "sub/b.txt"))
        assert.are.equal("", content(root, "sub/deep/c.txt"))
        assert.are.equal("dots", content(root, "..a"))
      end)

      it("tells folders", function()
        for _, path in ipairs { "", ".", "sub", "sub/", "sub/deep", "empty" } do
          assert.are.equal("folder", content(root, path))
        end
      end)

      it("gives a file as io.open does", function()
        local about, file = root:open "a.txt"
        assert.are.equal("file", io.type(file))
        assert.are.equal(2, file:seek("set", 2))
        assert.are.equal("llo", file:read "a")
        assert.is_true(file:close())
        assert.are.equal("closed file", io.type(file))
        local expected = lfs.attributes(inside.path .. "/a.txt")
        assert.are.same({ "file", 5, expected.modification, expected.ino },
          { about.kind, about.size, about.mtime, about.inode })
      end)

      it("gives a file that any function of io takes, before anything else was done with it", function()
        local function opened() return (select(2, root:open "a.txt")) end
        assert.are.equal("file", io.type(opened()))
        assert.truthy(tostring(opened()):find "^file %(0x")
        assert.are.equal("hello", opened():read "a")
        assert.are.equal("hello", opened():lines()())
        assert.is_true(io.close(opened()))
        local standard <const>, file <close> = io.input(), opened()
        io.input(file)
        local bytes = io.read "a"
        io.input(standard)
        assert.are.equal("hello", bytes)
        assert.is_nil(opened().nothing)
      end)

      it("closes a file at the end of its scope, or when it is forgotten", function()
        collectgarbage()
        local before = open_descriptors()
        local escaped
        do
          local _, file <close> = root:open "a.txt"
          escaped = file
          assert.are.equal(before + 1, open_descriptors())
        end
        assert.are.equal(before, open_descriptors())
        assert.are.equal("closed file", io.type(escaped))
        assert.has_error(function() escaped:read() end, "attempt to use a closed file")
        for _ = 1, 20 do root:open "a.txt" end
        collectgarbage()
        assert.are.equal(before, open_descriptors())
      end)

      it("tells again what it told before, as long as that is true", function()
        local function open(last)
          local about, file = root:open("a.txt", last)
          if file then file:close() end
          return about
        end
        local first = open()
        assert.is_false(rawequal(first, open()))
        assert.is_true(rawequal(first, open(first)))
        for _, field in ipairs { "size", "mtime", "mtime_ns", "ctime", "ctime_ns", "inode", "device" } do
          local other = {}
          for name, value in pairs(first) do other[name] = value end
          other[field] = other[field] + 1
          assert.are.same(first, open(other))
          other[field] = nil
          assert.are.same(first, open(other))
        end
        local grown <close> = assert(io.open(inside.path .. "/a.txt", "a"))
        grown:write "more"
        grown:flush()
        assert.are.equal(9, open(first).size)
        assert.are.equal("folder", (root:open("sub", first)).kind)
        assert.has_error(function() root:open("a.txt", "first") end)
      end)

      it("tells of a change although its size and its time are set back", function()
        local path <const> = inside.path .. "/a.txt"
        local first, file = root:open "a.txt"
        file:close()
        local times = {}
        for round = 1, 3 do
          local same <close> = assert(io.open(path, "r+"))
          same:write("HELL" .. round)
          same:close()
          assert(lfs.touch(path, 500000000, 500000000))
          local about, opened = root:open("a.txt", first)
          opened:close()
          assert.are.same({ first.size, first.inode, 500000000, 0 }, { about.size, about.inode, about.mtime,
            about.mtime_ns })
          assert.is_true(about.ctime > 500000000)
          times[round] = about.ctime + about.ctime_ns / 1e9
          first = about
          local deadline <const> = os.time() + 5
          local later
          repeat -- until the clock of the file system has gone on
            assert(lfs.touch(path, 500000000, 500000000))
            later, opened = root:open "a.txt"
            opened:close()
          until later.ctime_ns ~= about.ctime_ns or os.time() > deadline
        end
        assert.is_true(times[1] < times[2] and times[2] < times[3])
      end)

      for path, word in pairs {
        ["nothing"] = "absent", ["a.txt/b"] = "absent", ["a.txt/"] = "absent", ["sub/nothing"] = "absent",
        [".."] = "absent", ["../x"] = "absent", ["sub/.."] = "absent", ["sub/../a.txt"] = "absent",
        ["sub/../../x"] = "absent", ["/etc/passwd"] = "absent", ["/"] = "absent",
        ["a.txt\0"] = "absent", ["\0"] = "absent", ["out"] = "absent", ["out-folder/secret.txt"] = "absent",
        ["out-folder"] = "absent", ["out-folder/folder"] = "absent", ["up-and-out"] = "absent",
        ["dangling"] = "absent", ["loop"] = "absent", ["proc/etc/passwd"] = "absent",
        [("x"):rep(300)] = "absent", [("x/"):rep(5000)] = "absent", ["fifo"] = "unfit",
      } do
        it(("does not open %q"):format(path:sub(1, 40)), function()
          local opened, answer, why = root:open(path)
          assert.is_nil(opened)
          assert.are.equal(word, answer)
          assert.are.equal("string", type(why))
        end)
      end

      it(follows and "follows links that stay inside" or "follows no link at all", function()
        for path, bytes in pairs { ["link"] = "hello", ["sub/up"] = "hello", ["folder-link/b.txt"] = "bye" } do
          local found, word = content(root, path)
          if follows then
            assert.are.equal(bytes, found)
          else
            assert.are.same({ nil, "absent" }, { found, word })
          end
        end
      end)

      it("leaves no descriptor open", function()
        collectgarbage()
        local before = open_descriptors()
        for _ = 1, 20 do
          for _, path in ipairs { "a.txt", "sub", "sub/deep/c.txt", "out", "nothing", "fifo", "a.txt/b", "sub/x/y" } do
            content(root, path)
            root:stat(path)
            root:list(path)
          end
        end
        assert.are.equal(before, open_descriptors())
      end)
    end)
  end

  it("keeps to the folder that was opened, whatever becomes of its name", function()
    local root <close> = assert(files.root(inside.path))
    local moved = inside.path .. "-moved"
    assert(os.rename(inside.path, moved))
    assert(lfs.link(outside.path, inside.path, true))
    assert.are.equal("hello", content(root, "a.txt"))
    assert.is_nil(content(root, "secret.txt"))
    os.remove(inside.path)
    assert(os.rename(moved, inside.path))
  end)

  describe("stat", function()
    it("tells what a name stands for", function()
      local root <close> = assert(files.root(inside.path))
      assert.are.equal("file", root:stat("link").kind)
      assert.are.equal(3, root:stat("sub/b.txt").size)
      assert.are.equal("folder", root:stat("folder-link").kind)
      assert.are.equal("other", root:stat("fifo").kind)
      assert.is_nil(root:stat "out")
    end)
  end)

  describe("list", function()
    local function names(list)
      local kinds = {}
      for _, entry in ipairs(list) do kinds[entry.name] = entry.kind end
      return kinds
    end

    it("tells what is in a folder", function()
      local root <close> = assert(files.root(inside.path))
      assert.are.same({ ["b.txt"] = "file", deep = "folder", up = "link" }, names(root:list "sub"))
      assert.are.same({}, root:list "empty")
      assert.are.equal("other", names(root:list "").fifo)
    end)

    it("stops at a limit", function()
      local root <close> = assert(files.root(inside.path))
      assert.are.equal(2, #root:list("sub", 2))
    end)

    it("refuses what is no folder, and what is outside", function()
      local root <close> = assert(files.root(inside.path))
      for _, path in ipairs { "a.txt", "out-folder", "..", "nothing" } do
        assert.are.same({ nil, "absent" }, { (root:list(path)), (select(2, root:list(path))) })
      end
    end)
  end)

  it("opens only folders as roots", function()
    assert.is_nil(files.root(inside.path .. "/a.txt"))
    assert.is_nil(files.root(inside.path .. "/nothing"))
  end)

  it("raises when a root is used that was closed", function()
    local root = files.root(inside.path)
    root:close()
    root:close()
    assert.has_error(function() root:open "a.txt" end)
  end)
end)
