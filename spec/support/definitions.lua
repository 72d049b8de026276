-- Reads LuaCATS definitions, as far as they are used here, and finds where they and the code differ.
--
--     local defined = definitions.parse(text)
--     defined.classes["parlance.Protocol"].fields.listen
--     defined.functions[1]       { owner = "framing", name = "line", parameters = { "options" }, ... }
--
-- The reader knows a line at a time, and raises at a tag that it does not know: it would be checked by
-- nobody. What is marked as private to its class or its file is nobody's business and left out.

local definitions = {}

---@class definitions.Function
---@field owner string the variable
---@field name string
---@field parameters string[] in the code, without a method's self
---@field is_method boolean
---@field described string[] names of the @param lines, in their order
---@field types table<string, string> of the parameters
---@field has_text boolean

---@class definitions.Class
---@field parent? string
---@field variable? string that stands for it
---@field fields table<string, string> types by name

---@class definitions.File
---@field meta? string
---@field classes table<string, definitions.Class>
---@field aliases table<string, string> the text of each
---@field functions definitions.Function[]
---@field values table<string, true> "http.status": what is assigned outside of functions
---@field returned? string the variable that the file returns

local IGNORED <const> = { ["return"] = true, overload = true, type = true, generic = true, cast = true,
  diagnostic = true, see = true, nodiscard = true, async = true, deprecated = true, operator = true }

local function new_block()
  return { described = {}, types = {}, has_text = false }
end

local tags = {}

function tags.meta(file, _, rest)
  file.meta = rest
end

function tags.class(file, block, rest)
  local name, parent = rest:match "^([%w_.-]+)%s*:?%s*([%w_.-]*)"
  block.class = { fields = {}, parent = parent ~= "" and parent or nil }
  file.classes[name] = block.class
end

local HIDDEN <const> = { private = true, package = true, protected = true }

for tag in pairs(HIDDEN) do
  tags[tag] = function(_, block) block.is_hidden = true end
end

function tags.field(_, block, rest)
  if HIDDEN[rest:match "^%a+"] then return end
  local name, kind = rest:match "^([%w_]+)%??%s+(.*)$"
  if name then block.class.fields[name] = kind end -- else "[integer]" or the like
end

function tags.alias(file, block, rest)
  block.alias = rest:match "^[%w_.-]+"
  file.aliases[block.alias] = rest:match "^[%w_.-]+%s*(.*)$"
end

function tags.param(_, block, rest)
  local name, kind = rest:match "^([%w_.]+)%??%s+(.*)$"
  block.described[#block.described + 1] = name
  block.types[name] = kind
end

local function read_comment(file, block, line)
  local choice = line:match "^%-%-%-|(.*)$"
  if choice then
    file.aliases[block.alias] = file.aliases[block.alias] .. "|" .. choice
    return
  end
  local tag, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
  if not tag then
    block.has_text = block.has_text or line:find "^%-%-%-+%s*%w" ~= nil
  elseif tags[tag] then
    tags[tag](file, block, rest)
  elseif not IGNORED[tag] then
    error("a tag that nobody checks: " .. line, 0)
  end
end

local function read_code(file, block, line)
  local owner, mark, name, list = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%)"
  if owner then
    block.owner, block.name, block.parameters, block.is_method = owner, name, {}, mark == ":"
    for parameter in list:gmatch "[%w_.]+" do block.parameters[#block.parameters + 1] = parameter end
    if not block.is_hidden then file.functions[#file.functions + 1] = block end
    return
  end
  local variable = line:match "^local ([%w_]+)%s*=" or line:match "^local ([%w_]+) <const> ="
  if variable and block.class then block.class.variable = variable end
  local value = line:match "^([%w_]+%.[%w_]+) ="
  if value then file.values[value] = true end
  file.returned = line:match "^return ([%w_]+)$" or file.returned
end

---@param text string
---@return definitions.File
function definitions.parse(text)
  local file = { classes = {}, aliases = {}, functions = {}, values = {} }
  local block = new_block()
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:find "^%-%-%-" then
      read_comment(file, block, line)
    else
      read_code(file, block, line)
      block = new_block()
    end
  end
  return file
end

-- The class that the variable stands for.
local function class_of(file, variable)
  for _, class in pairs(file.classes) do
    if class.variable == variable then return class end
  end
end

--- The public names of a variable: { name = function or true }.
---@param file definitions.File
---@param variable string
---@return table<string, definitions.Function|true>
function definitions.names(file, variable)
  local names = {}
  for name in pairs((class_of(file, variable) or { fields = {} }).fields) do names[name] = true end
  for value in pairs(file.values) do
    local owner, name = value:match "^(.-)%.(.*)$"
    if owner == variable then names[name] = true end
  end
  for _, each in ipairs(file.functions) do
    if each.owner == variable then names[each.name] = each end
  end
  return names
end

--- The words in quotes of an alias or of a parameter's type.
---@param text string
---@return table<string, true>
function definitions.words(text)
  local words = {}
  for line in text:gmatch "[^\n]+" do
    for word in line:gsub("#[^|]*", ""):gmatch '"([%w_ ]+)"' do words[word] = true end
  end
  return words
end

--- Sorted lines that say which names are only on one side.
---@param whole string of what these are the names
---@param defined table<string, any>
---@param real table<string, any>
---@return string[]
function definitions.differences(whole, defined, real)
  local faults = {}
  for name in pairs(real) do
    if not defined[name] then faults[#faults + 1] = ("%s: %s has no definition"):format(whole, name) end
  end
  for name in pairs(defined) do
    if not real[name] then faults[#faults + 1] = ("%s: %s is defined and is not there"):format(whole, name) end
  end
  table.sort(faults)
  return faults
end

--- Which functions of a file are not described in full.
---@param file definitions.File
---@return string[]
function definitions.undescribed(file)
  local faults = {}
  local public = { [file.returned or ""] = true }
  for _, class in pairs(file.classes) do public[class.variable or ""] = true end
  for _, each in ipairs(file.functions) do
    local name = each.owner .. "." .. each.name
    local list, described = table.concat(each.parameters, ", "), table.concat(each.described, ", ")
    if public[each.owner] and not each.has_text then faults[#faults + 1] = name .. ": no text says what it does" end
    if public[each.owner] and list ~= described then
      faults[#faults + 1] = ("%s: takes (%s), and @param describes (%s)"):format(name, list, described)
    end
  end
  table.sort(faults)
  return faults
end

return definitions
