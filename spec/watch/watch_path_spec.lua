local lfs = require "lfs"
local rooms = require "parlance_spec"
local tree = require "support.tree"

describe("watch_path", function()
  local here

  before_each(function()
    here = tree.new { ["a/b/file"] = "1", ["a/link>"] = "b/file", ["up>"] = "a", ["circle>"] = "circle" }
  end)
  after_each(function() here:remove() end)

  -- The visits of a walk, a line each, those above our folder left out, and whether it came to its end.
  -- `meanwhile` has what happens in the middle of a visit, by its line.
  local function walk(path, meanwhile)
    local visits = {}
    local ended = rooms.io.walk_path(path, function(reason, folder, name)
      if folder ~= here.path and folder:sub(1, #here.path + 1) ~= here.path .. "/" then return end
      local visit = (reason .. " ." .. folder:sub(#here.path + 1) .. " " .. (name or "")):gsub(" $", "")
      visits[#visits + 1] = visit
      local happens = meanwhile and meanwhile[visit]
      if happens then return happens() end
    end)
    return visits, ended
  end

  it("visits every folder from the root on, and the file in the last", function()
    local all = {}
    assert.is_true(rooms.io.walk_path("/proc/version", function(reason, folder, name)
      all[#all + 1] = { reason, folder, name }
    end))
    assert.same({ { "way", "/" }, { "way", "/proc" }, { "name", "/proc", "version" } }, all)
    assert.same({ { "way .", "way ./a", "way ./a/b", "name ./a/b file" }, true }, { walk(here.path .. "/a/b/file") })
    assert.same({ { "way .", "way ./a", "way ./a/b", "way ./a/b", "name ./a/b file" }, true },
      { walk(here.path .. "//a/./b/../b/file/") })
  end)

  it("starts a relative path in the current folder", function()
    local current = lfs.currentdir()
    finally(function() lfs.chdir(current) end)
    assert(lfs.chdir(here.path .. "/a/b"))
    assert.same({ { "way .", "way ./a", "way ./a/b", "name ./a link", "way ./a/b", "name ./a/b file" }, true },
      { walk "../link" })
  end)

  it("tells of links, and goes where they lead", function()
    assert.same({ { "way .", "name . up", "way ./a", "name ./a link", "way ./a/b", "name ./a/b file" }, true },
      { walk(here.path .. "/up/link") })
    local visits, ended = walk(here.path .. "/circle")
    assert.is_true(ended)
    assert.equal(42, #visits) -- the folder, the first look, and forty links
  end)

  it("ends where something is missing, which is looked after from above too", function()
    assert.same({ { "way .", "way ./a", "loss . a", "name ./a no" }, true }, { walk(here.path .. "/a/no/file") })
    assert.same({ { "way .", "way ./a", "way ./a/b", "name ./a/b file" }, true }, { walk(here.path .. "/a/b/file/no") })
  end)

  it("sees what appears before the visit is over", function()
    local function add(name, content) return function() here:add(name, content) end end
    assert.same({ { "way .", "way ./a", "loss . a", "name ./a no", "way ./a/no", "name ./a/no file" }, true },
      { walk(here.path .. "/a/no/file", { ["name ./a no"] = add("a/no/file", "1") }) })
    local function relink()
      assert(os.remove(here.path .. "/up"))
      here:add("c/link", "1")
      here:add("up>", "c")
    end
    assert.same({ { "way .", "name . up", "way ./c", "name ./c link" }, true },
      { walk(here.path .. "/up/link", { ["name . up"] = relink }) })
  end)

  it("is broken off when what was there goes, or when the visitor says so", function()
    local path = here.path .. "/a/b/file"
    assert.same({ { "way .", "way ./a" }, false },
      { walk(path, { ["way ./a"] = function() return false end }) })
    assert.same({ { "way .", "way ./a", "way ./a/b", "name ./a/b file" }, false },
      { walk(path, { ["name ./a/b file"] = function() assert(os.remove(path)) end }) })
  end)

  it("does not walk what is no path of a file, or too long for one", function()
    for _, path in ipairs { "", "/", here.path .. "/a/..", here.path .. "/" .. ("x"):rep(256), ("x/"):rep(2048) } do
      assert.is_false(select(2, walk(path)))
    end
  end)
end)
