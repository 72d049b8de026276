-- A transcript of 100 KiB, cut in every way.
--
-- serial
-- release only
-- timeout 200

local server = require "support.server"

local SECONDS <const> = 10

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

local function check(path)
  local begin = server.now()
  local status, said, complaint = server.run({ "check", server.SOURCE .. "/protocols/length_sep_body.lua", path },
    { seconds = 30 })
  local took = server.now() - begin
  assert.same({ 0, "" }, { status, complaint })
  assert.matches("large.transcript: holds", said)
  assert.is_nil(said:find("ways to cut", 1, true)) -- it would say so if it had not come to all of them
  return took
end

describe("check", function()
  for fact, text in pairs {
    ["one request of 100 KiB"] = '> "102400\\n" "x" * 102400\n< "x" * 102400\n',
    ["14600 requests of 7 bytes"] = ('> "5\\nhello"\n< "hello"\n'):rep(14600),
  } do
    it("cuts " .. fact .. " at every place in less than ten seconds", function()
      local path = folder .. "/large.transcript"
      server.write_file(path, text)
      -- The least of several, because what else the machine does only adds to it.
      local least, rounds = math.huge, 0
      repeat
        least, rounds = math.min(least, check(path)), rounds + 1
      until least < SECONDS or rounds == 3
      assert.is_true(least < SECONDS, ("%.1f s"):format(least))
    end)
  end
end)
