-- release only
-- What the documents name exists.
local lfs = require "lfs"

local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")

local function read(path)
  local file <close> = io.open(SOURCE .. "/" .. path)
  return file and file:read "a"
end

describe("the documents", function()
  for name in lfs.dir(SOURCE .. "/docs") do
    if name:find "%.md$" then
      local text <const> = read("docs/" .. name)

      it("name files that are there: " .. name, function()
        for path in text:gmatch "%f[%w]%l+/[%w_/]+%.%l+" do
          if path:find "^spec/" or path:find "^core/" or path:find "^protocols/" or path:find "^tools/" then
            assert.is_truthy(read(path), path)
          end
        end
      end)

      it("name specs that are there: " .. name, function()
        for path, fact in text:gmatch '(spec/[%w_/]+%.lua), "([^"]+)"' do
          assert.is_truthy((read(path) or ""):find(fact, 1, true), path .. ": " .. fact)
        end
      end)
    end
  end
end)
