-- A transcript of 100 KiB, cut in every way.
--
-- serial
-- release only

local server = require "support.server"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

describe("check", function()
  for fact, text in pairs {
    ["one request of 100 KiB"] = '> "102400\\n" "x" * 102400\n< "x" * 102400\n',
    ["14600 requests of 7 bytes"] = ('> "5\\nhello"\n< "hello"\n'):rep(14600),
  } do
    it("cuts " .. fact .. " at every place in less than ten seconds", function()
      local path = folder .. "/large.transcript"
      server.write_file(path, text)
      local begin = server.now()
      local status, said, complaint = server.run({ "check", server.SOURCE .. "/protocols/length_sep_body.lua", path },
        { seconds = 60 })
      assert.is_true(server.now() - begin < 10)
      assert.same({ 0, "" }, { status, complaint })
      assert.matches("large.transcript: holds", said)
      assert.is_nil(said:find("ways to cut", 1, true)) -- it would say so if it had not come to all of them
    end)
  end
end)
