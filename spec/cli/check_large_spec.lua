-- A transcript of 100 KiB, cut in many ways.
--
-- serial
-- release only
-- timeout 200

local server = require "support.server"

local SECONDS <const> = 10

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

describe("check", function()
  for _, case in ipairs {
    { "one request of 100 KiB", '> "102400\\n" "x" * 102400\n< "x" * 102400\n',
      "; 1024 of 102407 ways to cut, 1024 of 102408 places to leave at)" },
    { "14600 requests of 7 bytes", ('> "5\\nhello"\n< "hello"\n'):rep(14600), "; 69 of 102201 places to leave at)" },
  } do
    local fact, text, chosen = table.unpack(case)
    it("plays " .. fact .. " in less than ten seconds, and says how many places it has chosen", function()
      local path = folder .. "/large.transcript"
      server.write_file(path, text)
      -- The least of several, because what else the machine does only adds to it; how much that is, is measured.
      local least, rounds = math.huge, 0
      repeat
        local begin = server.now()
        local status, said, complaint = server.run(
          { "check", server.SOURCE .. "/protocols/length_sep_body.lua", path }, { seconds = 60 })
        least, rounds = math.min(least, server.now() - begin), rounds + 1
        assert.same({ 0, "" }, { status, complaint })
        assert.is_truthy(said:find "large.transcript: holds %(%d+ plays" and said:find(chosen, 1, true), said)
        assert.is_nil(said:find("no time", 1, true))
      until least < SECONDS or rounds == 3
      assert.is_true(least < SECONDS or least < SECONDS * server.slowdown(), ("%.1f s"):format(least))
    end)
  end
end)
