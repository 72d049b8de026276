-- `parlance check`: loads and validates scripts, without a server.

local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

local function write(name, text)
  local path = folder .. "/" .. name
  server.write_file(path, text)
  return path
end

local function check(...)
  return server.run { "check", ... }
end

local FUNCTIONS <const> = "request_complete = function() return true end, make_response = function() end"

describe("check", function()
  for _, name in ipairs { "length_sep_body", "echo", "daytime", "upper", "chat" } do
    it("finds protocols/" .. name .. ".lua valid", function()
      local path = ("%s/protocols/%s.lua"):format(server.SOURCE, name)
      local status, said, complaint = check(path)
      assert.equal("", complaint)
      assert.equal(path .. ": valid", said:match "^[^\n]*")
      assert.equal(0, status)
    end)
  end

  it("remarks a field that looks misspelled, which is no fault", function()
    local path = folder .. "/typo.lua"
    server.write_file(path, "return { request_complete = print, make_response = print, idle_timout = 5 }")
    local status, said, complaint = check(path)
    assert.same({ 0, "" }, { status, complaint })
    assert.equal(path .. ": the server does not know the field idle_timout; did you mean idle_timeout?",
      select(2, said:match "^([^\n]*)\n([^\n]*)"))
  end)

  it("remarks fields that hide a method of self, which is no fault", function()
    local path = folder .. "/hides.lua"
    server.write_file(path, [[return {
      request_complete = print, make_response = print, send = print, close = 5, read = print, write = print,
    }]])
    local status, said, complaint = check(path)
    assert.same({ 0, "" }, { status, complaint })
    for _, name in ipairs { "close", "read", "send", "write" } do
      local remark = ("hides.lua: the field %s of the protocol hides the method self:%s()"):format(name, name)
      assert.truthy(said:find(remark, 1, true), said)
    end
  end)

  it("remarks a length field without a byte order, which is no fault", function()
    local path = folder .. "/order.lua"
    server.write_file(path, [[
      local framing = require "parlance.framing"
      framing.prefixed { format = "B" }
      framing.prefixed { format = "=I2" }
      return { request_complete = framing.prefixed { format = "I2" }, make_response = print }]])
    local status, said, complaint = check(path)
    assert.same({ 0, "" }, { status, complaint })
    assert.equal(path .. ':4: framing.prefixed: format "I2" has the byte order of this machine; write ">I2" or "<I2"',
      select(2, said:match "^([^\n]*)\n([^\n]*)"))
  end)

  it("gives the settings of one transcript to no other", function()
    local path = folder .. "/settings.lua"
    server.write_file(path, [[
      local root = require "parlance".settings.root or "none"
      return {
        request_complete = require "parlance.framing".line(), close_when_done = false, settings = { root = "it" },
        make_response = function() return root .. "\n" end,
      }]])
    local paths = { folder .. "/a.transcript", folder .. "/b.transcript" }
    server.write_file(paths[1], 'setting root "set"\n> "a\\n"\n< "set\\n"\n')
    server.write_file(paths[2], '> "a\\n"\n< "none\\n"\n')
    local status, said = server.run { "check", path, paths[1], paths[2] }
    assert.matches("b.transcript: holds", said, 1, true)
    assert.equal(0, status)
  end)

  it("remarks a setting that the script does not document, which is no fault", function()
    local path = folder .. "/settings.lua"
    server.write_file(path, "return { request_complete = print, make_response = print, settings = { root = 'it' } }")
    local status, said, complaint = check("--set", "root=/", "--set", "rooot=x", path)
    assert.same({ 0, "" }, { status, complaint })
    assert.equal(path .. ": the script documents no setting rooot; did you mean root?",
      select(2, said:match "^([^\n]*)\n([^\n]*)"))
  end)

  -- What a script may get wrong; `where` is what the complaint says besides the file's name.
  for _, case in ipairs {
    { "a syntax error", "local x = = 1\nreturn {}", ":1:" },
    { "a syntax error in a later line", "local x = 1\n\nreturn {", ":3:" },
    { "no table", "return 42", "number" },
    { "nothing", "", "nil" },
    { "a function", "return function() end", "function" },
    { "an error while it loads", "local x\n\nx.y = 1\nreturn {}", ":3:" },
    { "an error of its own while it loads", "error 'on purpose'", "on purpose" },
    { "an error that is a table", "error {}", "table" },
    { "an error that is nil", "error(nil)", "nil" },
    { "neither function", "return {}", "request_complete" },
    { "no request_complete", "return { make_response = print }", "request_complete" },
    { "no make_response", "return { request_complete = print }", "make_response" },
    { "a request_complete that is no function", "return { request_complete = 5, make_response = print }",
      "request_complete" },
    { "a make_response that is no function", "return { request_complete = print, make_response = 'x' }",
      "make_response" },
    { "a handle_error that is no function", "return { handle_error = {}, " .. FUNCTIONS .. " }", "handle_error" },
    { "a handle_close that is no function", "return { handle_close = true, " .. FUNCTIONS .. " }", "handle_close" },
    { "a handle_connect that is no function", "return { handle_connect = 1, " .. FUNCTIONS .. " }", "handle_connect" },
    { "a max_request that is no number", "return { max_request = 'x', " .. FUNCTIONS .. " }", "max_request" },
    { "a max_request of 0", "return { max_request = 0, " .. FUNCTIONS .. " }", "max_request" },
    { "a fraction for max_request", "return { max_request = 1.5, " .. FUNCTIONS .. " }", "max_request" },
    { "a negative time", "return { idle_timeout = -1, " .. FUNCTIONS .. " }", "idle_timeout" },
    { "a time that is no number", "return { request_timeout = '5', " .. FUNCTIONS .. " }", "request_timeout" },
    { "a time that is not a number", "return { write_timeout = 0/0, " .. FUNCTIONS .. " }", "write_timeout" },
    { "a blocksize of 0", "return { blocksize = 0, " .. FUNCTIONS .. " }", "blocksize" },
    { "a close_when_done that is no boolean", "return { close_when_done = 'no', " .. FUNCTIONS .. " }",
      "close_when_done" },
    { "a listen that is no string", "return { listen = 8888, " .. FUNCTIONS .. " }", "listen" },
    { "a listen that is no address", "return { listen = 'nowhere', " .. FUNCTIONS .. " }", "listen" },
    { "a framing that does not exist", "return { request_complete = require('parlance.framing').lines {} }", ":1:" },
    { "a framing with a wrong option", "return { request_complete = require('parlance.framing').line { max = -1 } }",
      ":1:" },
    { "bytes that are not Lua at all", "\27Lua\x54\0\1\2\3", "" },
  } do
    local name, text, where = table.unpack(case)
    it("tells in one line of a script with " .. name, function()
      local path = write("faulty.lua", text)
      local status, said, complaint = check(path)
      assert.equal(2, status)
      assert.equal("", said)
      assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
      assert.is_truthy(complaint:find(path, 1, true), complaint)
      assert.is_truthy(complaint:find(where, 1, true), complaint)
      assert.is_nil(complaint:find("stack traceback", 1, true))
    end)
  end

  it("tells where a module was looked for that is not there, and not who called", function()
    local path = write("faulty.lua", "require 'no.such.module' return {}")
    local status, said, complaint = check(path)
    assert.same({ 2, "" }, { status, said })
    assert.equal(("parlance: %s:1: module 'no.such.module' not found:"):format(path), complaint:match "^[^\n]*")
    for line in complaint:gmatch "\n([^\n]+)" do assert.truthy(line:find "^\tno f", line) end
    assert.truthy(complaint:find(("\n\tno file '%s/no/such/module.lua'\n"):format(folder), 1, true), complaint)
  end)

  it("tells of a script that is not there, and of a folder", function()
    for _, path in ipairs { folder .. "/missing.lua", folder } do
      local status, _, complaint = check(path)
      assert.equal(2, status)
      assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
      assert.is_truthy(complaint:find(path, 1, true))
    end
  end)

  it("names a script whole, however long its path is", function()
    local path = write(("x"):rep(200) .. ".lua", "x.y = 1")
    local _, _, complaint = check(path)
    assert.is_truthy(complaint:find(path, 1, true), complaint)
    assert.is_truthy(complaint:find(":1:", 1, true), complaint)
    assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
  end)

  it("tells of a script that loops for ever", function()
    local path = write("endless.lua", "while true do pcall(error) end")
    local begin = server.now()
    local status, _, complaint = check("--call-timeout", "0.2", path)
    assert.equal(2, status)
    assert.is_true(server.now() - begin < 2 * server.slowdown())
    assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
    assert.is_truthy(complaint:find(path, 1, true), complaint)
  end)

  it("tells of a script that takes more memory than it may", function()
    local path = write("hungry.lua", "return { ('x'):rep(1 << 24) }")
    local status, _, complaint = check("--memory-limit", "1M", path)
    assert.equal(2, status)
    assert.is_truthy(complaint:find "^parlance: [^\n]+\n$", complaint)
    assert.is_truthy(complaint:find(path, 1, true), complaint)
    assert.is_truthy(complaint:find("memory", 1, true), complaint)
  end)

  it("looks at all scripts, and fails if one of them does", function()
    local good, bad = write("good.lua", "return { " .. FUNCTIONS .. " }"), write("bad.lua", "return 1")
    local status, said, complaint = check(bad, good, bad)
    assert.equal(2, status)
    assert.equal(good .. ": valid", said:match "^[^\n]*")
    assert.equal(2, select(2, complaint:gsub("\n", "")))
  end)

  it("plays a script that waits for half a minute, in every cut and in no time", function()
    local started = server.now()
    local status, said = server.run { "check", server.SOURCE .. "/spec/fixtures/slow.lua" }
    assert.equal(0, status, said)
    assert.matches("holds %(%d%d+ plays%)", said)
    assert.is_true(server.now() - started < 20)
  end)

  it("lets a script require modules beside it, the server's, and C modules of the system", function()
    write("beside.lua", "return { name = 'beside' }")
    local path = write("good.lua", [[
      assert(require("beside").name == "beside")
      assert(require("parlance").version)
      assert(require("parlance.framing").line)
      assert(require("lpeg").P(1))
      assert(require("cjson").encode {} == "{}")
      return { request_complete = function() return true end, make_response = function() end }
    ]])
    local status, _, complaint = check(path)
    assert.equal("", complaint)
    assert.equal(0, status)
  end)

  describe("with --fingerprint", function()
    local TRANSCRIPTS <const> = "/transcripts"

    after_each(function() os.execute(("rm -rf '%s%s'"):format(folder, TRANSCRIPTS)) end)

    local function add_transcript(script, text)
      assert(lfs.mkdir(folder .. TRANSCRIPTS))
      assert(lfs.mkdir(folder .. TRANSCRIPTS .. "/" .. script))
      return write(("transcripts/%s/a.transcript"):format(script), text)
    end

    it("tells nothing but that of what holds, the same each time", function()
      local path = write("good.lua", "return { " .. FUNCTIONS .. " }")
      local status, said, complaint = check("--fingerprint", path)
      assert.equal("", complaint)
      assert.equal(0, status)
      assert.is_truthy(said:find("^fingerprint " .. ("%x"):rep(16) .. "\n$"), said)
      assert.equal(said, select(2, check("--fingerprint", path)))
      write("good.lua", "return {" .. FUNCTIONS .. " }")
      assert.is_not.equal(said, select(2, check("--fingerprint", path)))
    end)

    it("tells first what does not hold", function()
      local path = write("good.lua", "return { " .. FUNCTIONS .. " }")
      local transcript = add_transcript("good", '> "x"\n< "y"\n')
      local status, said, complaint = check("--fingerprint", path)
      assert.equal("", complaint)
      assert.equal(1, status)
      assert.equal(1, (said:find(transcript .. ":2: ", 1, true)))
      assert.is_truthy(said:find "\nfingerprint %x+\n$", said)
    end)

    it("tells in the same place of a transcript that is malformed", function()
      local path = write("good.lua", "return { " .. FUNCTIONS .. " }")
      local transcript = add_transcript("good", "oops\n")
      local status, said, complaint = check("--fingerprint", path)
      assert.equal("", complaint)
      assert.equal(2, status)
      assert.equal(1, (said:find(transcript .. ":1: ", 1, true)))
      assert.is_truthy(said:find "\nfingerprint %x+\n$", said)
    end)

    it("has none of a script that does not load", function()
      local status, said = check("--fingerprint", write("bad.lua", "return 1"))
      assert.equal(2, status)
      assert.is_truthy(said:find "bad.lua: .*\nfingerprint none\n$", said)
    end)

    it("has none of a script of which another version was played, although it is there again at the end", function()
      local path = write("good.lua", ([[
        local log <close> = io.open("%s/loads", "a+")
        log:write "x"
        local loads = log:seek "end"
        local is_played = loads >= 3 and loads <= 6 -- after a first look and the validation, with four orders of tables
        local file = io.open("%s/letter.lua", "w")
        file:write(is_played and "return 'y'" or "return 'z'")
        file:close()
        local letter = require "letter"
        return { request_complete = function() return true end, make_response = function() return letter end }
      ]]):format(folder, folder))
      add_transcript("good", '> "x"\n< "y"\n< end\n')
      local status, said = check("--fingerprint", "--allow-effects", path)
      assert.equal(0, status, said)
      assert.equal("fingerprint none\n", said)
    end)

    it("has none of a script that is saved meanwhile", function()
      local path = write("restless.lua", "local f <close> = io.open(os.getenv 'RESTLESS', 'ab')\n"
        .. "if f then f:write '\\n' end return { " .. FUNCTIONS .. " }")
      local child <close> = assert(process.spawn(
        { os.getenv "PARLANCE_BINARY", "check", "--fingerprint", "--allow-effects", path },
        { stdout = folder .. "/out", env = { RESTLESS = path, LD_PRELOAD = "" } }))
      assert.equal(0, child:wait(server.DEADLINE))
      assert.is_truthy(server.read_file(folder .. "/out"):find "fingerprint none\n$")
    end)
  end)

  it("tells of a script that has no transcripts", function()
    local path = write("good.lua", "return { " .. FUNCTIONS .. " }")
    local status, said = check(path)
    assert.equal(0, status)
    assert.equal(("%s: valid\n%s: it was loaded, but nothing was played: "
      .. "there are no transcripts in %s/transcripts/good\n"):format(
      path, path, folder), said)
  end)

  it("ends with 2 when it cannot say what it has found", function()
    local path = write("good.lua", "return { " .. FUNCTIONS .. " }")
    local status = server.run({ "check", path }, { stdout = "/dev/full" })
    assert.equal(2, status)
  end)
end)
