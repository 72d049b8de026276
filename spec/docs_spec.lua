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
          local is_ours = path:find "^spec/" or path:find "^core/" or path:find "^protocols/" or path:find "^tools/"
          if is_ours and not path:find("NAME", 1, true) then
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

-- The pages of the project: README.md, CHANGELOG.md and all of docs/.
local PAGES <const> = { "README.md", "CHANGELOG.md" }
for name in lfs.dir(SOURCE .. "/docs") do
  if name:find "%.md$" then PAGES[#PAGES + 1] = "docs/" .. name end
end

-- A page without its blocks of code, and so without what looks like a heading or a link in one.
local function prose(text)
  local lines, fenced = {}, false
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:find "^%s*```" then
      fenced = not fenced
    elseif not fenced and not line:find "^    " then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- The anchors of a page as GitHub makes them of its headings, and the headings of the second level.
local function headings(text)
  local anchors, sections, count = {}, {}, {}
  for marks, title in ("\n" .. prose(text)):gmatch "\n(#+) ([^\n]*)" do
    local slug = title:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")
    local number = count[slug]
    count[slug] = (number or 0) + 1
    anchors[number and slug .. "-" .. number or slug] = true
    if #marks == 2 then sections[#sections + 1] = { title = title, slug = slug } end
  end
  return anchors, sections
end

describe("links and contents", function()
  for _, page in ipairs(PAGES) do
    local text <const> = prose(read(page))
    local folder <const> = page:match "^(.*/)" or ""

    it("lead to files and headings that are there: " .. page, function()
      for target in text:gmatch "%]%(([^)%s]+)%)" do
        if not target:find "^%a+:" then
          local path, anchor = target:match "^([^#]*)#?(.*)$"
          path = path == "" and page or (folder .. path):gsub("^docs/%.%./", "")
          local linked = assert(read(path), page .. " links to " .. target .. ": there is no such file")
          if anchor ~= "" then
            assert.is_truthy(headings(linked)[anchor], page .. " links to " .. target .. ": there is no such heading")
          end
        end
      end
    end)

    local whole <const> = read(page)
    if page ~= "CHANGELOG.md" and select(2, whole:gsub("\n", "")) > 120 then
      it("name every section of a page that is longer than three screens: " .. page, function()
        for _, section in ipairs(select(2, headings(whole))) do
          if section.title ~= "Contents" then
            assert.is_truthy(text:find("](#" .. section.slug .. ")", 1, true), page .. ": " .. section.title)
          end
        end
      end)
    end
  end
end)

describe("the pages about the code", function()
  -- Every file of the code by its path and by each end of it, and the text of all of them.
  local paths, texts = {}, {}
  local function collect(folder)
    for name in lfs.dir(SOURCE .. "/" .. folder) do
      local path = folder .. "/" .. name
      if name:sub(1, 1) ~= "." and lfs.attributes(SOURCE .. "/" .. path, "mode") == "directory" then
        collect(path)
        while path do
          paths[path .. "/"] = true
          path = path:match "^[^/]+/(.*)$"
        end
      elseif name:find "%.[ch]$" or name:find "%.lua$" or name:find "^CMakeLists" then
        texts[#texts + 1] = read(path)
        while path do
          paths[path] = true
          path = path:match "^[^/]+/(.*)$"
        end
      elseif name:sub(1, 1) ~= "." then
        paths[path] = true
      end
    end
  end
  for _, folder in ipairs { "core", "lua", "spec", "protocols", "bench", "tools" } do collect(folder) end
  local code <const> = table.concat(texts, "\n")

  -- Names of other people's files.
  local FOREIGN <const> = { ["lua.h"] = true, ["lauxlib.h"] = true }

  for _, page in ipairs { "docs/architecture.md", "docs/contributing.md" } do
    local text <const> = read(page)

    it("name files that are there: " .. page, function()
      for span in text:gmatch "`([^`\n]+)`" do
        local is_path = span:find "^[%w_/.-]+%.[ch]$" or span:find "^[%w_/.-]+%.lua$" or span:find "^[%w_-]+/[%w_/-]*$"
        if is_path and not FOREIGN[span] and not span:find("NAME", 1, true) and not span:find "^build/" then
          assert.is_truthy(paths[span] or lfs.attributes(SOURCE .. "/" .. span), page .. " names " .. span)
        end
      end
    end)

    it("name functions that are there: " .. page, function()
      for name in text:gmatch "`([%w_]+)%(%)`" do
        assert.is_truthy(code:find("%f[%w_]" .. name .. "%("), page .. " names " .. name .. "()")
      end
    end)

    it("name each function in the file that has it: " .. page, function()
      for name, path in text:gmatch "`([%w_]+)%(%)`%s+in%s+`([%w_/.]+)`" do
        local source = read("core/" .. path) or read(path) or read("lua/parlance/" .. path) or ""
        assert.is_truthy(source:find("%f[%w_]" .. name .. "%("), page .. " names " .. name .. "() in " .. path)
      end
    end)

    it("name types that are there: " .. page, function()
      for kind, name in text:gmatch "`(%l+)%s+([%w_]+)`" do
        if kind == "struct" or kind == "enum" then
          local definition = ("\n%s %s {"):format(kind, name)
          assert.is_truthy(code:find(definition, 1, true), page .. " names" .. definition)
        end
      end
    end)

    it("name words of the code that are there: " .. page, function()
      for name in text:gmatch "`([%l%d]+_[%l%d_]+)`" do
        assert.is_truthy(code:find("%f[%w_]" .. name .. "%f[^%w_]"), page .. " names " .. name)
      end
    end)
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
