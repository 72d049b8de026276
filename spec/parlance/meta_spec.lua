-- The definitions for editors (lua/parlance/meta, and the annotations of modules in Lua) say what scripts
-- really see, no less and no more. What that is, a script in the simulator tells: spec/fixtures/surface.lua.

local definitions = require "support.definitions"
local json = require "dkjson" -- which busted needs too

local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")
local BUILD <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest")

package.cpath = BUILD .. "/lua/?.so;" .. package.cpath
local simulator = require "parlance.simulator"

local function read(path)
  local file <close> = io.open(SOURCE .. "/" .. path, "rb")
  return file and file:read "a"
end

-- Where each module is defined.
local MODULES <const> = {
  ["parlance"] = "lua/parlance/meta/parlance.lua",
  ["parlance.framing"] = "lua/parlance/meta/framing.lua",
  ["parlance.files"] = "lua/parlance/meta/files.lua",
  ["parlance.net"] = "lua/parlance/meta/net.lua",
  ["parlance.process"] = "lua/parlance/meta/process.lua",
  ["parlance.http"] = "lua/parlance/http.lua",
  ["parlance.socket"] = "lua/parlance/meta/socket.lua",
  ["parlance.http.conditions"] = "lua/parlance/http/conditions.lua",
}

-- What is defined in one of the files that are read here, wherever.
local function find(kind, name, texts)
  for _, text in pairs(texts) do
    local found = definitions.parse(text)[kind][name]
    if found then return found end
  end
  error(name .. " is nowhere defined", 0)
end

local function read_all()
  local texts = { types = read "lua/parlance/meta/http.lua" }
  for name, path in pairs(MODULES) do texts[name] = read(path) end
  return texts
end

-- What the script sees: { ["parlance.framing"] = { line = "?" }, ["parlance.http"] = { date = "time" } }.
local function look()
  local script = assert(simulator.load(SOURCE .. "/spec/fixtures/surface.lua", { modules = SOURCE .. "/lua" }))
  local session = script:open()
  session:receive "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  local told = session:take()
  script:close()
  local seen = {}
  for whole, name, more in told:gmatch "([^\t\n]+)\t([^\t\n]+)\t([^\n]*)\n" do
    seen[whole] = seen[whole] or {}
    seen[whole][name] = more
  end
  assert(seen["options of http.serve"], "the script did not come to its end: " .. told)
  return seen
end

-- ---- what there is to complain about ----------------------------------------------------------

local function add(faults, more)
  table.move(more, 1, #more, #faults + 1, faults)
end

-- A function of Lua has the names of its parameters in it.
local function compare_parameters(faults, module, names, real)
  for name, each in pairs(names) do
    local list = type(each) == "table" and table.concat(each.parameters, ",")
    if list and each.is_method then list = list == "" and "self" or "self," .. list end
    if list and real[name] and real[name] ~= "?" and real[name] ~= list then
      faults[#faults + 1] = ("%s: %s takes (%s), and is defined with (%s)"):format(module, name, real[name], list)
    end
  end
end

local function module_faults(texts, seen)
  local faults = {}
  for module in pairs(MODULES) do
    local file = definitions.parse(texts[module])
    local names = definitions.names(file, file.returned)
    add(faults, definitions.differences(module, names, seen[module]))
    compare_parameters(faults, module, names, seen[module])
    add(faults, definitions.undescribed(file))
  end
  table.sort(faults)
  return faults
end

local function class_faults(texts, seen)
  local faults = {}
  local function compare(class, real)
    add(faults, definitions.differences(class, find("classes", class, texts).fields, real))
  end
  for _, class in ipairs {
    "parlance.Protocol", "parlance.Address", "parlance.files.About", "parlance.http.Request",
  } do
    compare(class, seen[class])
  end
  local parlance = definitions.parse(texts.parlance)
  add(faults, definitions.differences("parlance.Connection", definitions.names(parlance, "Connection"), seen.self))
  add(faults, definitions.differences("parlance.Topic", definitions.names(parlance, "Topic"), seen["parlance.Topic"]))
  local entry = {}
  for name in pairs(seen["parlance.files.Entry"]) do
    if not seen["parlance.files.About"][name] then entry[name] = true end
  end
  compare("parlance.files.Entry", entry)
  local files = definitions.parse(texts["parlance.files"])
  add(faults, definitions.differences("parlance.files.Root", definitions.names(files, "Root"),
    seen["parlance.files.Root"]))
  return faults
end

-- The options of a function: fields of the class of its parameter `options`, and of that class's parent.
local function options_of(texts, module, name)
  local file = definitions.parse(texts[module])
  local each = definitions.names(file, file.returned)[name]
  local kind = each.types.options
  if not kind then return {} end
  local names = {}
  if kind:find "^{" then
    for option in kind:match "^%b{}":gmatch "([%w_]+)%??:" do names[option] = true end
    return names
  end
  local class = find("classes", kind:match "^[%w_.]+", texts)
  while class do
    for option in pairs(class.fields) do names[option] = true end
    class = class.parent and find("classes", class.parent, texts)
  end
  return names
end

local function option_faults(texts, seen)
  local faults = {}
  for whole, real in pairs(seen) do
    local variable, name = whole:match "^options of (%a+)%.([%w_]+)$"
    if variable then
      add(faults, definitions.differences(whole, options_of(texts, "parlance." .. variable, name), real))
    end
  end
  table.sort(faults)
  return faults
end

-- Words in quotes that a C file has in the function that chooses from them.
local function words_in(path, start, pattern)
  local words = {}
  local body = assert(read(path)):match("\n[%a ]+%*?" .. start .. "%(.-\n}\n")
  for word in assert(body, start .. " is not in " .. path):gmatch(pattern) do words[word] = true end
  return words
end

local function word_faults(texts, seen)
  local faults = {}
  local reasons = words_in("core/session/reason.c", "reason_name", '%[REASON_[%u_]+%] = "([%w_]+)"')
  reasons.none = nil -- a conversation that goes on
  local function compare(whole, text, real)
    add(faults, definitions.differences(whole, definitions.words(text), real))
  end
  compare("parlance.Reason", find("aliases", "parlance.Reason", texts), reasons)
  compare("parlance.files.Word", find("aliases", "parlance.files.Word", texts),
    words_in("core/modules/module_files.c", "push_failure", 'word = "(%a+)"'))
  compare("kind", find("classes", "parlance.files.About", texts).fields.kind,
    words_in("core/modules/module_files.c", "kind_of", '"(%a+)"'))
  local parlance = definitions.parse(texts.parlance)
  compare("level", definitions.names(parlance, "parlance").log.types.level, seen.levels)
  return faults
end

-- ---- facts ------------------------------------------------------------------------------------

describe("the definitions for editors", function()
  local texts, seen = read_all(), look()

  it("have the functions and values of every module, with their parameters", function()
    assert.same({}, module_faults(texts, seen))
  end)

  it("have the fields of self, of the protocol and of what modules return", function()
    assert.same({}, class_faults(texts, seen))
  end)

  it("have the options of every function that takes some", function()
    assert.same({}, option_faults(texts, seen))
  end)

  it("have the words that the core chooses from", function()
    assert.same({}, word_faults(texts, seen))
  end)

  -- For specs, and not for scripts; it is annotated where it is written.
  for _, path in ipairs {
    "lua/parlance/harness.lua", "lua/parlance/harness/client.lua", "lua/parlance/harness/sender.lua",
    "lua/parlance/harness/upstream.lua",
  } do
    local text <const> = read(path)
    if text then
      it("describe every function of " .. path, function()
        local file = definitions.parse(text)
        assert.is_truthy(#file.functions > 3)
        assert.same({}, definitions.undescribed(file))
      end)
    end
  end

  if read "lua/parlance/harness.lua" then
    it("have the functions of parlance.harness", function()
      local names = definitions.names(definitions.parse(read "lua/parlance/harness.lua"), "harness")
      assert.same({}, definitions.differences("parlance.harness", names, require "parlance.harness"))
    end)
  end

  it("say which module they are of, so that require finds them", function()
    for module, path in pairs(MODULES) do
      if path:find "/meta/" then assert.equal(module, definitions.parse(texts[module]).meta) end
    end
    assert.equal("_", definitions.parse(texts.types).meta) -- types alone: the module is in Lua
  end)

  it("know each type that they name", function()
    local known, faults = { ["parlance.http"] = true }, {}
    for _, text in pairs(texts) do
      local file = definitions.parse(text)
      for name in pairs(file.classes) do known[name] = true end
      for name in pairs(file.aliases) do known[name] = true end
    end
    for module, text in pairs(texts) do
      for line in text:gmatch "%-%-%-[@|][^\n]*" do
        for name in line:gsub("@meta.*", ""):gsub('".-"', ""):gmatch "parlance%.[%w_.]+" do
          if not known[name] then faults[#faults + 1] = module .. " names " .. name end
        end
      end
    end
    assert.same({}, faults)
  end)
end)

describe("a definition that is wrong", function()
  local seen = look()

  -- The line that has the words goes away, or others stand in their place.
  local function edited(text, words, others)
    local first, last = text:find(words, 1, true)
    assert(first, words .. " is not there")
    if not others then
      while text:sub(first - 1, first - 1) ~= "\n" do first = first - 1 end
      last = text:find("\n", last, true)
    end
    return text:sub(1, first - 1) .. (others or "") .. text:sub(last + 1)
  end

  -- What is wrong; who finds it, in which module; the words, and others for them; what is to be said of it.
  for _, case in ipairs {
    { "a function without a definition", module_faults, "parlance.framing", "function framing.netstring", nil,
      "parlance.framing: netstring has no definition" },
    { "an invented function", module_faults, "parlance",
      "\nreturn parlance", "\n--- Sings.\nfunction parlance.sing() end\nreturn parlance",
      "parlance: sing is defined and is not there" },
    { "a value without a definition", module_faults, "parlance", "@field shared", nil,
      "parlance: shared has no definition" },
    { "a parameter that is not described", module_faults, "parlance", "@param fields", nil,
      "parlance.log: takes (level, message, fields), and @param describes (level, message)" },
    { "a function that is not described", module_faults, "parlance", "--- Returns the seconds of a clock", nil,
      "parlance.now: no text says what it does" },
    { "a field of self that is left out", class_faults, "parlance", "@field client_address", nil,
      "parlance.Connection: client_address has no definition" },
    { "an invented field of self", class_faults, "parlance",
      "---@field incoming", "---@field outgoing string\n---@field incoming",
      "parlance.Connection: outgoing is defined and is not there" },
    { "a handler that is left out", class_faults, "parlance", "@field handle_close", nil,
      "parlance.Protocol: handle_close has no definition" },
    { "an invented handler", class_faults, "parlance",
      "---@field handle_close", "---@field handle_open? fun()\n---@field handle_close",
      "parlance.Protocol: handle_open is defined and is not there" },
    { "a method that is left out", class_faults, "parlance.files", "function Root:stat", nil,
      "parlance.files.Root: stat has no definition" },
    { "a field of a request that is left out", class_faults, "parlance.framing", "@field keep_alive", nil,
      "parlance.http.Request: keep_alive has no definition" },
    { "an option that is left out", option_faults, "parlance.framing", "@field strip", nil,
      "options of framing.prefixed: strip has no definition" },
    { "an invented option", option_faults, "parlance.framing",
      "---@field size", "---@field fill? string\n---@field size",
      "options of framing.fixed: fill is defined and is not there" },
    { "an option of a table's own type that is left out", option_faults, "parlance.files",
      "{ links?: boolean }", "{}", "options of files.root: links has no definition" },
    { "a word that is left out", word_faults, "parlance", '| "drained"', nil,
      "parlance.Reason: drained has no definition" },
    { "an invented word", word_faults, "parlance", '"debug"|', '"trace"|"debug"|',
      "level: trace is defined and is not there" },
  } do
    local what, faults_of, module, words, others, complaint = table.unpack(case, 1, 6)
    it("is noticed: " .. what, function()
      local texts = read_all()
      texts[module] = edited(texts[module], words, others)
      assert.same({ complaint }, faults_of(texts, seen))
    end)
  end

  it("is noticed: a parameter that the code has by another name", function()
    local texts = read_all()
    texts["parlance.http"] = edited(texts["parlance.http"],
      "@param text string\n---@return string\nfunction http.encode(text)",
      "@param word string\n---@return string\nfunction http.encode(word)")
    assert.same({ "parlance.http: encode takes (text), and is defined with (word)" }, module_faults(texts, seen))
  end)

  it("is noticed: a tag that the spec does not know", function()
    local line = "---@feild a string"
    assert.has_error(function() definitions.parse(line) end, "a tag that nobody checks: " .. line)
  end)
end)

describe("the settings of the language server", function()
  -- The names that are used here, and what they hold, as the server's own documentation has them.
  local KNOWN <const> = {
    ["$schema"] = "string", ["runtime.version"] = "string", ["workspace.library"] = "table",
    ["workspace.checkThirdParty"] = "boolean", ["diagnostics.globals"] = "table",
    ["diagnostics.disable"] = "table",
  }

  for _, path in ipairs { ".luarc.json", "lua/parlance/workbench/new/.luarc.json" } do
    it("are plain JSON with names that exist: " .. path, function()
      local settings, _, why = json.decode((assert(read(path), path .. " is not there")))
      assert.is_nil(why)
      for name, value in pairs(settings) do assert.equal(KNOWN[name], type(value), name) end
      assert.equal("Lua 5.4", settings["runtime.version"])
    end)
  end
end)
