-- What a simulated script may do to the machine: nothing, outside of a folder of its own.

local lfs = require "lfs"
local server = require "support.server"
local simulator = require "parlance.simulator"

-- Answers each line, which is code, with what that raises, or with what it gives.
local CODE <const> = [[
local parlance = require "parlance"
local Code = { close_when_done = false, request_complete = require "parlance.framing".line { max = 10000 } }
function Code:make_response()
  local is_well, result = pcall(assert(load(self.request)))
  return tostring(result):gsub("\n.*", "") .. "\n"
end
return Code
]]

local folder, own, script

local function load_script(text, options)
  server.write_file(folder .. "/code.lua", text or CODE)
  options = options or {}
  options.modules = server.SOURCE .. "/lua"
  own = options.temp
  local loaded, why = simulator.load(folder .. "/code.lua", options)
  simulator.log()
  script = loaded
  return loaded, why
end

before_each(function()
  folder = server.new_folder()
  lfs.mkdir(folder .. "/beside")
  server.write_file(folder .. "/beside/file", "before")
end)

after_each(function()
  if script then script:close() end
  script = nil
  server.remove_folder(folder)
end)

-- What a line of code gives; OWN is the script's folder, BESIDE another.
local function answer(code)
  local session <close> = script:open {}
  code = code:gsub("OWN", own or "nowhere"):gsub("BESIDE", folder .. "/beside")
  session:receive(code .. "\n")
  return (session:take():gsub("\n$", ""))
end

-- Whatever a script does, this is still so.
local function check_untouched()
  local names = {}
  for name in lfs.dir(folder .. "/beside") do names[#names + 1] = name end
  assert.equal(3, #names) -- with . and ..
  assert.equal("before", server.read_file(folder .. "/beside/file"))
end

local NO_EFFECTS <const> = ": a simulation has no effects outside of ${TEMP} (see --allow-effects)"

describe("a simulated script", function()
  it("can tell that it is one", function()
    assert(load_script())
    assert.equal("true", answer 'return require "parlance".simulated')
  end)

  -- What is refused: the code, and what it would have done.
  for _, case in ipairs {
    { 'os.execute "touch BESIDE/new"', "os.execute would run touch BESIDE/new" },
    { 'io.popen "touch BESIDE/new"', "io.popen would run touch BESIDE/new" },
    { 'io.popen("cat >BESIDE/new", "w")', "io.popen would run cat >BESIDE/new" },
    { 'io.open("BESIDE/new", "w")', "io.open would write to BESIDE/new" },
    { 'io.open("BESIDE/new", "wb")', "io.open would write to BESIDE/new" },
    { 'io.open("BESIDE/new", "a")', "io.open would write to BESIDE/new" },
    { 'io.open("BESIDE/file", "r+")', "io.open would write to BESIDE/file" },
    { 'io.open("BESIDE/file", "r+b")', "io.open would write to BESIDE/file" },
    { 'io.open("BESIDE/file", "w+")', "io.open would write to BESIDE/file" },
    { 'io.open("BESIDE/missing/new", "w")', "io.open would write to BESIDE/missing/new" },
    { 'io.open("relative", "w")', "io.open would write to relative" },
    { 'io.open("./relative", "w")', "io.open would write to ./relative" },
    { 'io.open("", "w")', "io.open would write to" },
    { 'io.open("/", "w")', "io.open would write to /" },
    { 'io.open("OWN", "w")', "io.open would write to OWN" },
    { 'io.open("OWN/..", "w")', "io.open would write to OWN/.." },
    { 'io.open("OWN/../new", "w")', "io.open would write to OWN/../new" },
    { 'io.open("OWN/missing/../../new", "w")', "io.open would write to OWN/missing/../../new" },
    { 'io.open("OWN/../../../BESIDE/new", "w")', "io.open would write to OWN/../../../BESIDE/new" },
    { 'io.open("OWNx", "w")', "io.open would write to OWNx" },
    { 'io.output "BESIDE/new"', "io.output would write to BESIDE/new" },
    { 'os.remove "BESIDE/file"', "os.remove would remove BESIDE/file" },
    { 'os.remove "OWN"', "os.remove would remove OWN" },
    { 'os.rename("BESIDE/file", "OWN/file")', "os.rename would rename BESIDE/file" },
    { 'io.open("OWN/a", "w"):close() os.rename("OWN/a", "BESIDE/file")', "os.rename would rename BESIDE/file" },
    { 'require "lfs".mkdir "BESIDE/new"', "lfs.mkdir would make the folder BESIDE/new" },
    { 'require "lfs".rmdir "BESIDE"', "lfs.rmdir would remove the folder BESIDE" },
    { 'require "lfs".touch "BESIDE/file"', "lfs.touch would change BESIDE/file" },
    { 'require "lfs".link("BESIDE/file", "OWN/l", true)', "lfs.link would link BESIDE/file" },
    { 'require "lfs".chdir "/"', "lfs.chdir would go to /" },
    { 'io.output(7)', "io.output would write to 7" },
    {
      'package.loadlib(package.searchpath("lfs", package.cpath), "luaopen_lfs")().mkdir "BESIDE/new"',
      "lfs.mkdir would make the folder BESIDE/new",
    },
    {
      'package.loadlib(package.searchpath("socket.core", package.cpath), "luaopen_socket_core")().connect("::1", 1)',
      "socket.core.connect would connect to ::1",
    },
    { 'package.searchers[3] "lfs" "other".rmdir "BESIDE"', "lfs.rmdir would remove the folder BESIDE" },
    { 'require "socket.core".connect("127.0.0.1", 1)', "socket.core.connect would connect to 127.0.0.1" },
    { 'require "socket.core".tcp():connect("127.0.0.1", 1)', "socket.core.connect would connect to 127.0.0.1" },
    { 'require "socket.core".tcp():bind("127.0.0.1", 0)', "socket.core.bind would listen on 127.0.0.1" },
    { 'require "socket.core".udp():sendto("x", "127.0.0.1", 1)', "socket.core.sendto would send x" },
    { 'require "socket.core".udp():setpeername("127.0.0.1", 1)', "socket.core.setpeername would connect to 127.0.0.1" },
    { 'require "socket.core".dns.toip "localhost"', "socket.core.toip would look up localhost" },
    { 'require "socket.unix"():connect "BESIDE/socket"', "connect would connect to BESIDE/socket" },
  } do
    local code, deed = table.unpack(case)
    it("is refused " .. code, function()
      assert(load_script(nil, { temp = simulator.make_temp(folder) }))
      local said = answer(code)
      local expected = deed:gsub("OWN", own):gsub("BESIDE", folder .. "/beside")
      assert.is_truthy(said:find(expected .. NO_EFFECTS, 1, true), said)
      script:close()
      check_untouched()
    end)
  end

  it("is refused what a symbolic link in its folder leads to", function()
    assert(load_script(nil, { temp = simulator.make_temp(folder) }))
    lfs.link(folder .. "/beside/file", own .. "/file", true)
    lfs.link(folder .. "/beside", own .. "/folder", true)
    lfs.link(folder .. "/nothing", own .. "/nothing", true)
    for _, name in ipairs { "file", "folder/file", "folder/new", "nothing" } do
      local said = answer(('io.open("OWN/%s", "w")'):format(name))
      assert.is_truthy(said:find(NO_EFFECTS, 1, true), name)
    end
    assert.is_truthy(answer('os.remove "OWN/folder/file"'):find(NO_EFFECTS, 1, true))
    assert.equal("true", answer 'return os.remove "OWN/file"') -- the link itself
    script:close()
    check_untouched()
    assert.is_nil(lfs.attributes(folder .. "/nothing"))
  end)

  -- What is not, and what it gives.
  for _, case in ipairs {
    { 'return io.open("BESIDE/file"):read "a"', "before" },
    { 'for line in io.lines "BESIDE/file" do return line end', "before" },
    { 'return os.execute() ~= nil', "true" },
    { 'return io.tmpfile():write "x" ~= nil', "true" },
    { 'io.open("/dev/null", "w"):write "x":close() return 1', "1" },
    { 'io.open("OWN/a", "w"):write "x":close() return io.open("OWN/a"):read "a"', "x" },
    { 'io.output "OWN/a" io.write "x" io.close() io.output(io.stdout) return io.open("OWN/a"):read "a"', "x" },
    { 'io.open("OWN/a", "w"):close() return os.rename("OWN/a", "OWN/b") and os.remove "OWN/b"', "true" },
    { 'return require "lfs".mkdir "OWN/a" and io.open("OWN/a/b", "w") ~= nil', "true" },
    { 'return select(2, io.open("OWN/missing/a", "w"))', "OWN/missing/a: No such file or directory" },
    { 'io.open("OWN/./b", "w"):close() return io.open("OWN/b") ~= nil', "true" },
    { 'return os.tmpname() .. os.tmpname():match "/lua_2"', "OWN/lua_1/lua_2" },
    { 'return io.open(os.tmpname(), "w"):write "x" ~= nil', "true" },
    { 'return require "socket.core".gettime() > 0', "true" },
    { 'return select(3, package.loadlib("BESIDE/nothing.so", "luaopen_nothing"))', "open" },
    { 'return (package.searchers[3] "no.such.module"):find "no file" ~= nil', "true" },
  } do
    local code, expected = table.unpack(case)
    it("may " .. code, function()
      assert(load_script(nil, { temp = simulator.make_temp(folder) }))
      assert.equal((expected:gsub("OWN", own)), answer(code))
      script:close()
      check_untouched()
    end)
  end

  it("is refused everything where it has no folder", function()
    assert(load_script())
    assert.is_truthy(answer('io.open("BESIDE/new", "w")'):find(NO_EFFECTS, 1, true))
    assert.is_truthy(answer "os.tmpname()":find("unable to generate", 1, true))
    check_untouched()
  end)

  it("is guarded while it is loaded, and in its modules", function()
    local loaded, why = load_script(('io.open("%s/beside/new", "w") %s'):format(folder, CODE))
    assert.is_nil(loaded)
    assert.is_truthy(why:find(NO_EFFECTS, 1, true), why)
    server.write_file(folder .. "/more.lua", ('return os.remove "%s/beside/file"'):format(folder))
    loaded, why = load_script('require "more" ' .. CODE)
    assert.is_nil(loaded)
    assert.is_truthy(why:find(NO_EFFECTS, 1, true), why)
    check_untouched()
  end)

  it("does what it likes where effects are allowed", function()
    assert(load_script(nil, { allow_effects = true, temp = simulator.make_temp(folder) }))
    assert.equal("true", answer 'return os.execute "touch BESIDE/new"')
    assert.equal("true", answer 'return os.remove "BESIDE/new"')
    assert.equal("true", answer 'return require "parlance".simulated')
    check_untouched()
  end)

  it("has an empty folder in each play, but for what it made while it was loaded", function()
    assert(load_script('os.tmpname() io.open(os.getenv "OWN" .. "/index", "w"):close() ' .. CODE,
      (function()
        local temp = simulator.make_temp(folder)
        simulator.setenv("OWN", temp)
        return { temp = temp }
      end)()))
    for _ = 1, 2 do
      assert.equal(own .. "/lua_2", answer 'require "lfs".mkdir "OWN/a" return os.tmpname()')
      script:begin_play()
      local names = {}
      for name in lfs.dir(own) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ ".", "..", "index", "lua_1" }, names)
    end
    script:close()
    assert.is_nil(lfs.attributes(own))
    simulator.setenv("OWN", nil)
  end)
end)
