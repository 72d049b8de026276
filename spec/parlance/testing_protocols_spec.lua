-- What docs/testing-protocols.md shows does what it says there.

local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")

local file <close> = assert(io.open(SOURCE .. "/docs/testing-protocols.md"))
local blocks <const> = {}
for block in file:read("a"):gmatch "\n```lua\n(.-)\n```\n" do blocks[#blocks + 1] = block end

-- What stands in one block holds for those behind it.
describe("docs/testing-protocols.md", function()
  assert(load(table.concat(blocks, "\n"), "=docs/testing-protocols.md", "t", _ENV))()
end)
