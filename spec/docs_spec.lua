-- release only
-- What the documents name exists, and what the README tells people to type works.
local lfs = require "lfs"
local process = require("parlance_spec").process
local server = require "support.server"
local tree = require "support.tree"

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

describe("the README", function()
  local README <const> = read "README.md"
  local home

  before_each(function() home = tree.new {} end)
  after_each(function() home:remove() end)

  -- The lines that are to be typed, of the block that has this line in it.
  local function block(line)
    local place = assert(README:find("\n    " .. line, 1, true), line .. " is not in it")
    local first, lines = place, {}
    while README:sub(1, first - 1):match "\n    [^\n]*$" do first = #README:sub(1, first - 1):match "^(.*)\n" + 1 end
    for text in README:sub(first):gmatch "\n([^\n]*)" do
      if not text:find "^    " then break end
      lines[#lines + 1] = text:sub(5)
    end
    return lines
  end

  -- Types this in a shell, in the clone or in a folder of the user's.
  local function start(text, folder)
    return assert(process.spawn({ "env", "-u", "LUA_PATH", "-u", "LUA_CPATH", "-u", "PARLANCE", "HOME=" .. home.path,
      "bash", "-c", text }, { cwd = folder or SOURCE, stdout = home.path .. "/out", stderr = home.path .. "/log" }))
  end

  local function output() return server.read_file(home.path .. "/out"), server.read_file(home.path .. "/log") end

  local function run(text, folder)
    local child <close> = start("set -e\n" .. text, folder)
    local status = child:wait(100)
    local out, log = output()
    assert.equal(0, status, out .. log)
    return out
  end

  -- Any port that is free takes the place of those that are written there.
  local function freed(text)
    text = text:gsub("localhost:7000", "127.0.0.1:0"):gsub(" :9000", " 127.0.0.1:0")
    text = text:gsub("unix:/tmp/", "unix:" .. home.path .. "/")
    return text:find "127.0.0.1:0" and text or text:gsub("^%S+", "%0 -l 127.0.0.1:0")
  end

  -- Starts a server with this command, does something with its ports, and stops it again.
  local function serve(text, folder, names, act)
    local child <close> = start("exec " .. freed(text), folder)
    local ports = {}
    server.wait_until("all to listen", function()
      local _, log = output()
      for name, port in log:gmatch "listening service=(%S+) address=127%.0%.0%.1:(%d+)" do ports[name] = port end
      for name in log:gmatch "listening service=(%S+) address=unix:" do ports[name] = "unix" end
      if child:wait(0) then error("it has ended: " .. log, 0) end
      for _, name in ipairs(names) do
        if not ports[name] then return false end
      end
      return true
    end, 60)
    if act then act(ports) end
    assert(child:signal(15))
    assert.equal(0, (child:wait(server.DEADLINE)))
  end

  local PATH <const> = "PATH=$PWD/build/release:$PATH"
  local IN_PATH <const> = ("PATH='%s/build/release':$PATH; "):format(SOURCE)

  it("begins with two commands that work", function()
    local command = block("tools/run protocols/length_sep_body.lua")[1]
    local client = block("printf '5\\nhello' |")[1]
    assert.truthy(client:find("127.0.0.1 8888", 1, true), client)
    serve(command, nil, { "length_sep_body" }, function(ports)
      local pipe <close> = assert(io.popen((client:gsub("8888", ports.length_sep_body))))
      assert.equal("hello", pipe:read "a")
    end)
  end)

  it("finds the protocols that ship by name", function()
    for _, command in ipairs { assert(README:match "`(tools/run echo)`"), "tools/run echo.lua", "tools/run ./echo" } do
      serve(command, nil, { "echo" })
    end
  end)

  it("makes a protocol of ten lines, and one with a transcript and a spec", function()
    local lines = block(PATH)
    assert.same({ PATH, "mkdir ~/greet && cd ~/greet", "parlance new --bare first", "parlance first.lua" }, lines)
    run(table.concat(lines, "\n", 1, 3))
    local folder = home.path .. "/greet"
    serve((lines[4]:gsub("^parlance", SOURCE .. "/build/release/parlance")), folder, { "first" }, function(ports)
      local example = assert(README:match "\n      try  (printf 'hello[^\n]*)\n")
      local pipe <close> = assert(io.popen((example:gsub("8888", ports.first))))
      assert.equal("HELLO\n", pipe:read "a")
    end)
    local said = run(IN_PATH .. table.concat(block "parlance new greet", "\n"), folder)
    assert.truthy(said:find("transcript: holds", 1, true), said)
    for _, command in ipairs(block "parlance --listen :9000") do
      command = command:gsub("^parlance", SOURCE .. "/build/release/parlance")
      if command:find("--help", 1, true) then
        assert.truthy(run(command, folder):find("greet (greet.lua)", 1, true))
      else
        serve(command, folder, command:find "7000" and { "greet", "first" } or { "first" })
      end
    end
  end)
end)
