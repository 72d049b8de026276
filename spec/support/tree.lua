-- A temporary folder of files for a spec.
--
--     local tree = require("support.tree").new { ["a.txt"] = "hello", ["sub/b.txt"] = "", ["link>"] = "a.txt" }
--     ... tree.path ...
--     tree:remove()

local lfs = require "lfs"

local Tree = {}
Tree.__index = Tree

local function make_parents(path, name)
  local at = path
  for part in name:gmatch "([^/]+)/" do
    at = at .. "/" .. part
    lfs.mkdir(at)
  end
end

--- Adds a file, a folder (its name ends with "/") or a symbolic link (its name ends with ">").
function Tree:add(name, content)
  make_parents(self.path, name)
  local path = self.path .. "/" .. name
  if name:sub(-1) == ">" then
    assert(lfs.link(content, path:sub(1, -2), true))
  elseif name:sub(-1) ~= "/" then
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(content))
  end
end

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

function Tree:remove()
  remove(self.path)
end

local tree = {}

function tree.new(files)
  local path = os.tmpname()
  assert(os.remove(path))
  assert(lfs.mkdir(path))
  local self = setmetatable({ path = path }, Tree)
  for name, content in pairs(files) do self:add(name, content) end
  return self
end

return tree
