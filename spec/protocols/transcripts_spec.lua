-- The protocols that ship hold to their transcripts, however the bytes are cut.
--
-- timeout 300

local lfs = require "lfs"
local server = require "support.server"

local FOLDER <const> = server.SOURCE .. "/protocols"

-- Names in a folder that match the pattern, in order.
local function names_in(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do names[#names + 1] = name:match(pattern) end
  table.sort(names)
  return names
end

describe("protocols/transcripts", function()
  for _, name in ipairs(names_in(FOLDER, "^(.+)%.lua$")) do
    it("hold for " .. name, function()
      local own = names_in(FOLDER .. "/transcripts/" .. name, "^(.+%.transcript)$")
      local status, said, complaint = server.run({ "check", FOLDER .. "/" .. name .. ".lua" }, { seconds = 200 })
      assert.equal("", complaint)
      local expected = { ("%s/%s.lua: valid"):format(FOLDER, name) }
      for i, file in ipairs(own) do
        expected[i + 1] = ("%s/transcripts/%s/%s: holds"):format(FOLDER, name, file)
      end
      assert.equal(table.concat(expected, "\n") .. "\n", (said:gsub(" %(%d+ plays?[^)]*%)", "")))
      assert.is_true(#own > 0)
      assert.equal(0, status)
    end)
  end

  it("belong to a protocol each, and begin with a comment that tells what is learnt from them", function()
    for name in lfs.dir(FOLDER .. "/transcripts") do
      if not name:find "^%." then
        assert.is_truthy(lfs.attributes(("%s/%s.lua"):format(FOLDER, name)), name)
        for _, file in ipairs(names_in(FOLDER .. "/transcripts/" .. name, "^(.+%.transcript)$")) do
          local text = server.read_file(("%s/transcripts/%s/%s"):format(FOLDER, name, file))
          assert.is_truthy(text:find "^# %u%l*", file)
        end
      end
    end
  end)
end)
