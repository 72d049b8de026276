-- The module in C that plays the scripts. Lua's own paths come first; without them it is found from
-- where the harness lies: in a checkout that was built, or where it was installed.

local simulator = {}

-- ".../lua", the folder of the modules that come with the server.
local MODULES <const> = debug.getinfo(1, "S").source:match "^@(.*)[/\\]parlance[/\\]harness[/\\][^/\\]*$"

local PLACES <const> = {
  "/../build/release/lua/?.so", -- a checkout
  "/../../../lib/lua/5.4/?.so", -- PREFIX/share/parlance/lua
}

simulator.modules = MODULES

--- Loads it; raises if there is none.
---@return table
function simulator.require()
  local name <const> = "parlance.simulator"
  if package.loaded[name] or package.preload[name] or package.searchpath(name, package.cpath) then
    return require(name)
  end
  for _, place in ipairs(PLACES) do
    local path <const> = MODULES .. place:gsub("%?", "parlance/simulator")
    local open <const> = package.loadlib(path, "luaopen_parlance_simulator")
    if open then
      package.loaded[name] = open(name, path)
      return package.loaded[name]
    end
  end
  error("parlance.simulator is neither in package.cpath nor built in " .. MODULES .. "/..: build parlance first", 0)
end

return simulator
