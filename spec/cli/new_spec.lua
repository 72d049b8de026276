-- timeout 300
-- `parlance new`: the files that it makes, those that it leaves alone, and that they do what they promise.

local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"
local tree = require "support.tree"

local BINARY <const> = os.getenv "PARLANCE_BINARY"
local BUILD <const> = os.getenv "PARLANCE_BUILD_DIR"

local OWN <const> = { "greet.lua", "spec/greet_spec.lua", "transcripts/greet/hello.transcript" }
local SHARED <const> = { ".busted", ".luarc.json" }

local folder

before_each(function() folder = tree.new {} end)
after_each(function() folder:remove() end)

local function new(...)
  return server.run({ "new", ... }, { cwd = folder.path })
end

local function read(name)
  return server.read_file(folder.path .. "/" .. name)
end

-- The environment of a user who has this binary in the PATH.
local function in_path(binary)
  return { PATH = binary:match "^(.*)/" .. ":" .. os.getenv "PATH" }
end

-- What such a user types first.
local FIRST_COMMANDS <const> = "parlance new greet && parlance check greet.lua && busted --output=TAP"

-- Every file below the folder and what is in it; folders have a "/" at the end, links to nowhere a ">".
local function content(below, all)
  below, all = below or "", all or {}
  for name in lfs.dir(folder.path .. "/" .. below) do
    local path = below .. name
    local mode = lfs.attributes(folder.path .. "/" .. path, "mode")
    if name ~= "." and name ~= ".." then
      if mode == "directory" then
        all[path .. "/"] = true
        content(path .. "/", all)
      else
        all[mode and path or path .. ">"] = mode and read(path) or true
      end
    end
  end
  return all
end

-- Runs a program in the folder as a user would: nothing in the environment leads to parlance but PARLANCE
-- or, for a user who has installed it, the PATH.
local function run(argv, environment)
  local words = { "env", "-u", "LUA_PATH", "-u", "LUA_CPATH", "-u", "PARLANCE" }
  for name, value in pairs(environment or {}) do words[#words + 1] = name .. "=" .. value end
  table.move(argv, 1, #argv, #words + 1, words)
  local out <const> = folder.path .. "/out"
  local child <close> = assert(process.spawn(words, { cwd = folder.path, stdout = out, stderr = out }))
  local status = child:wait(120)
  return status, server.read_file(out)
end

describe("new", function()
  it("makes a script, a transcript, a spec, and what belongs to the folder", function()
    local status, said, complaint = new "greet"
    assert.equal("", complaint)
    assert.equal(0, status)
    local made = content()
    for _, path in ipairs(OWN) do
      assert.is_string(made[path], path)
      assert.is_truthy(said:find(path, 1, true), said)
    end
    for _, path in ipairs(SHARED) do assert.is_string(made[path], path) end
  end)

  it("tells which commands come next, with the name by which it was called", function()
    local _, said = new "greet"
    local next_steps = said:match "\nNext:\n(.*)$"
    assert.equal(("  %s check greet.lua\n  PARLANCE=%s busted  # Debian: apt-get install lua-busted lua5.4\n"
      .. "  %s greet.lua\n"):format(BINARY, BINARY, BINARY), next_steps)
  end)

  it("with --bare makes a script of ten lines alone, which serves", function()
    for _, argv in ipairs { { "--bare", "small" }, { "tiny", "--bare" } } do
      local name = argv[argv[1] == "--bare" and 2 or 1]
      local status, said, complaint = new(table.unpack(argv))
      assert.same({ 0, "" }, { status, complaint })
      assert.equal(("%s.lua  the protocol\n\nNext:\n  %s check %s.lua\n  %s %s.lua\n")
        :format(name, BINARY, name, BINARY, name), said)
      local text = read(name .. ".lua")
      assert.equal("-- " .. name .. ": answers each line with the same in capitals.\n", text:match "^[^\n]*\n")
      local code = text:match "\n\nreturn (.*)$"
      assert.is_true(select(2, code:gsub("\n", "")) <= 10, code)
      local running = server.start(folder.path .. "/" .. name .. ".lua")
      assert.equal("HELLO\nYOU\n", running:connect():exchange_all "hello\nyou\n")
      server.stop_all()
    end
    assert.same({ ["small.lua"] = read "small.lua", ["tiny.lua"] = read "tiny.lua" }, content())
    local status = run { "luacheck", "--no-color", "small.lua" }
    assert.equal(0, status)
  end)

  it("with --bare overwrites nothing either", function()
    folder:add("small.lua", "mine")
    assert.equal(2, (new("--bare", "small")))
    assert.equal("mine", read "small.lua")
  end)

  it("makes nothing in the source tree of parlance, and says where to go", function()
    for _, place in ipairs { "", "/protocols", "/lua/parlance/workbench" } do
      for _, option in ipairs { "greet", "--bare" } do
        local argv = option == "--bare" and { "new", "--bare", "greet" } or { "new", "greet" }
        local status, said, complaint = server.run(argv, { cwd = server.SOURCE .. place })
        assert.same({ 2, "" }, { status, said })
        assert.equal("parlance: new greet: this folder is in the source tree of parlance; make one of your own first:\n"
          .. "  mkdir ~/greet && cd ~/greet\n", complaint)
        assert.is_nil(lfs.attributes(server.SOURCE .. place .. "/greet.lua"))
      end
    end
  end)

  it("writes the name wherever it belongs", function()
    for _, name in ipairs { "my-proto_2", "X", "end", ("n"):rep(64) } do
      local status, _, complaint = new(name)
      assert.equal("", complaint)
      assert.equal(0, status)
      assert.is_truthy(read(name .. ".lua"):find("-- " .. name .. ": ", 1, true))
      assert.is_truthy(read("spec/" .. name .. "_spec.lua"):find('harness.open "' .. name .. '.lua"', 1, true))
    end
    for path, text in pairs(content()) do
      if text ~= true then
        assert.is_nil(text:find "NAME", path)
        assert.is_nil(text:find "LIBRARY", path)
      end
    end
  end)

  it("makes a script that is valid", function()
    new "greet"
    local status, _, complaint = server.run({ "check", "greet.lua" }, { cwd = folder.path })
    assert.equal("", complaint)
    assert.equal(0, status)
  end)

  it("makes Lua that luacheck finds nothing in", function()
    new "greet"
    local status, said = run { "luacheck", "--no-color", "greet.lua", "spec", ".busted" }
    assert.equal(0, status, said)
  end)

  it("tells the language server where the definitions are", function()
    new "greet"
    local library = read(".luarc.json"):match '"workspace.library": %["(.-)"'
    assert.equal("file", lfs.attributes(library .. "/parlance/meta/parlance.lua", "mode"))
  end)

  it("leaves a folder that has served already as it is, and makes the rest", function()
    new "greet"
    local before = content()
    local status, said = new "other"
    assert.equal(0, status)
    local after = content()
    for path, text in pairs(before) do assert.equal(text, after[path]) end
    assert.is_string(after["other.lua"])
    assert.is_nil(said:find("is yours", 1, true))
  end)
end)

describe("new overwrites nothing:", function()
  for _, case in ipairs {
    { "a script", { ["greet.lua"] = "mine" }, "greet.lua" },
    { "a transcript", { ["transcripts/greet/hello.transcript"] = "mine" }, "transcripts/greet" },
    { "a folder of transcripts that would be the new script's", { ["transcripts/greet/own.transcript"] = "mine" },
      "transcripts/greet" },
    { "a spec", { ["spec/greet_spec.lua"] = "mine" }, "spec/greet_spec.lua" },
    { "a folder by the script's name", { ["greet.lua/"] = "" }, "greet.lua" },
    { "a link that leads nowhere", { ["greet.lua>"] = "nowhere" }, "greet.lua" },
  } do
    local what, files, named = table.unpack(case)
    it(what, function()
      for name, text in pairs(files) do folder:add(name, text) end
      local before = content()
      local status, said, complaint = new "greet"
      assert.equal(2, status)
      assert.equal("", said)
      assert.equal("parlance: " .. named .. " is there already; nothing was made\n", complaint)
      assert.same(before, content())
    end)
  end

  it("all that is in the way is named", function()
    new "greet"
    local status, _, complaint = new "greet"
    assert.equal(2, status)
    for _, path in ipairs { "greet.lua", "transcripts/greet", "spec/greet_spec.lua" } do
      assert.is_truthy(complaint:find("parlance: " .. path .. " is there already", 1, true), complaint)
    end
  end)

  for _, case in ipairs { { ".busted", "--paths" }, { ".luarc.json", "workspace.library" } } do
    local path, advice = table.unpack(case)
    it("a " .. path .. " of one's own, and tells what it needs", function()
      folder:add(path, "return {}")
      local status, said = new "greet"
      assert.equal(0, status)
      assert.equal("return {}", read(path))
      local line = said:match("\n(" .. path:gsub("%p", "%%%0") .. " exists and was not changed[^\n]*)\n")
      assert.is_truthy(line and line:find(advice, 1, true), said)
    end)
  end

  it("what cannot be made whole is taken away again", function()
    folder:add("spec", "a file where the folder is to be")
    local before = content()
    local status, said, complaint = new "greet"
    assert.equal(1, status)
    assert.equal("", said)
    assert.is_truthy(complaint:find "^parlance: spec: [^\n]*; nothing was made\n$", complaint)
    assert.same(before, content())
  end)
end)

describe("new refuses", function()
  for _, case in ipairs {
    { "", "a letter first" }, { "-x", "a letter first" }, { "1st", "a letter first" }, { "a b", "a letter first" },
    { "a.b", "a letter first" }, { "é", "a letter first" }, { "a\nb", "a letter first" },
    { "a/b", "not a path" }, { "../a", "not a path" }, { "/a", "not a path" },
    { "greet.lua", 'leave ".lua" away' }, { ("x"):rep(65), "at most 64" }, { "parlance", "a module of the server" },
  } do
    local name, why = table.unpack(case)
    it(("the name %q"):format(name), function()
      local status, said, complaint = new(name)
      assert.equal(2, status)
      assert.equal("", said)
      assert.is_truthy(complaint:find "^parlance: new ", complaint)
      assert.is_truthy(complaint:find(why, 1, true), complaint)
      assert.same({}, content())
    end)
  end

  it("no name, and two", function()
    for _, names in ipairs { {}, { "a", "b" } } do
      local status, _, complaint = new(table.unpack(names))
      assert.equal(2, status)
      assert.is_truthy(complaint:find "^parlance: new takes one name[^\n]*\n$", complaint)
    end
    assert.same({}, content())
  end)
end)

describe("new --help", function()
  it("tells what is made, and makes nothing", function()
    local status, said = new "--help"
    assert.equal(0, status)
    assert.is_truthy(said:find("usage: parlance new [--bare] NAME", 1, true))
    assert.same({}, content())
  end)
end)

describe("--paths", function()
  local function modules_by(binary)
    local status, said = run { binary, "--paths" }
    assert.equal(0, status, said)
    local path, cpath = said:match "^([^\n]+)\n([^\n]+)\n$"
    assert.is_truthy(package.searchpath("parlance.http", path))
    assert.is_truthy(package.searchpath("parlance.simulator", cpath))
    return path
  end

  it("prints where Lua finds the modules, and where it finds those in C", function()
    assert.equal(server.SOURCE .. "/lua/?.lua", modules_by(BINARY))
  end)

  it("tells when the modules are not where the binary looks for them, and so does new", function()
    local binary <const> = folder.path .. "/parlance"
    run { "cp", BINARY, binary }
    for _, words in ipairs { { "--paths" }, { "new", "greet" } } do
      local status, said = run { binary, table.unpack(words) }
      assert.equal(1, status)
      assert.is_truthy(said:find "^parlance: the modules [^\n]* not there[^\n]*\n$", said)
    end
    assert.is_nil(lfs.attributes(folder.path .. "/greet.lua"))
  end)

  it("is right in an installed tree, wherever it lies, and new has its templates there", function()
    local install = { "cmake", "--install", BUILD, "--prefix", folder.path .. "/else where" }
    local status, said = run(install)
    assert.equal(0, status, said)
    local binary <const> = folder.path .. "/else where/bin/parlance"
    assert.equal(folder.path .. "/else where/share/parlance/lua/?.lua", modules_by(binary))
    status, said = run({ "sh", "-c", FIRST_COMMANDS }, in_path(binary))
    assert.equal(0, status, said)
    assert.is_truthy(said:find("\n  busted  # Debian: ", 1, true), said)
    assert.is_truthy(read(".luarc.json"):find(folder.path .. "/else where/share/parlance/lua", 1, true))
    assert.equal(0, (run({ "busted" }, { PARLANCE = binary }))) -- a path with a blank
    local documents <const> = folder.path .. "/else where/share/doc/parlance/"
    for path in server.read_file(documents .. "README.md"):gmatch "%]%((docs/[^)#]+)" do
      assert.is_table(lfs.attributes(documents .. path), path)
    end
  end)
end)

describe("the .busted that new makes", function()
  before_each(function()
    new "greet"
    os.remove(folder.path .. "/spec/greet_spec.lua")
    folder:add("spec/own_spec.lua", [[
      it("finds the modules, in Lua 5.4", function()
        assert.equal("Lua 5.4", _VERSION)
        assert.is_table(require "parlance.simulator")
        assert.is_truthy(package.searchpath("parlance.http", package.path))
      end)
    ]])
  end)

  it("lets busted find parlance's modules, whatever Lua it was started by", function()
    local status, said = run({ "busted", "--output=TAP" }, { PARLANCE = BINARY })
    assert.equal(0, status, said)
    assert.is_truthy(said:find("ok 1 - finds the modules", 1, true), said)
  end)

  it("tells what is to be done when parlance is not found", function()
    local status, said = run({ "busted" }, { PARLANCE = "/no where/parlance" })
    assert.not_equal(0, status)
    assert.is_truthy(said:find("set PARLANCE to the path of the binary", 1, true), said)
  end)
end)

describe("the first commands of a user", function()
  it("pass in an empty folder", function()
    local status, said = run({ "sh", "-c", FIRST_COMMANDS }, in_path(BINARY))
    assert.equal(0, status, said)
    assert.is_truthy(said:find("hello.transcript: holds", 1, true), said)
    assert.is_truthy(said:find("ok 5 - greet", 1, true), said)
  end)

  for _, case in ipairs {
    { "check", "parlance check greet.lua" },
    { "busted", "busted" },
  } do
    local what, command = table.unpack(case)
    it("are no matter of course: " .. what .. " fails when the script answers otherwise", function()
      run({ "sh", "-c", "parlance new greet && sed -i s/Hello,/Hullo,/ greet.lua" }, in_path(BINARY))
      local status, said = run({ "sh", "-c", command }, in_path(BINARY))
      assert.equal(1, status, said)
      assert.is_truthy(said:find("Hullo, Ada!", 1, true), said)
    end)
  end
end)
