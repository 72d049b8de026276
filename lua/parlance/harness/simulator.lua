-- Finds the module parlance.simulator, which is written in C: in package.cpath, or at a path relative to the harness,
-- in a checkout that was built or in an installation.

local simulator = {}

-- ".../lua", the folder of the modules that come with the server.
local MODULES <const> = debug.getinfo(1, "S").source:match "^@(.*)[/\\]parlance[/\\]harness[/\\][^/\\]*$"

local PATHS <const> = {
  "/../build/release/lua/?.so", -- a checkout
  "/../../../lib/lua/5.4/?.so", -- PREFIX/share/parlance/lua
}

simulator.modules = MODULES

--- Returns the module; raises if it is not found.
---@return table
function simulator.require()
  local name <const> = "parlance.simulator"
  if package.loaded[name] or package.preload[name] or package.searchpath(name, package.cpath) then
    return require(name)
  end
  for _, relative in ipairs(PATHS) do
    local path <const> = MODULES .. relative:gsub("%?", "parlance/simulator")
    local open <const> = package.loadlib(path, "luaopen_parlance_simulator")
    if open then
      package.loaded[name] = open(name, path)
      return package.loaded[name]
    end
  end
  error("parlance.simulator is neither in package.cpath nor built in " .. MODULES .. "/..: build parlance first", 0)
end

return simulator
