-- `parlance new [--bare] NAME`: makes the files of a new protocol in the current folder; with --bare only a script.
--
-- The templates are the files in new/, with NAME in the place of the name. Files that exist are not changed: if a file
-- of the protocol exists, nothing is made.

-- The protocol's own files, each with a description.
local OWN <const> = {
  { "NAME.lua", "the protocol; read it from top to bottom" },
  { "transcripts/NAME/hello.transcript", "a conversation that it must hold to" },
  { "spec/NAME_spec.lua", "what a transcript cannot say, for busted" },
}

-- The files with --bare. `from` is the path of the template, if that differs.
local BARE <const> = { { "NAME.lua", "the protocol", from = "bare/NAME.lua" } }

-- Files for all protocols of the folder, each with a description, and what to add if such a file exists.
local SHARED <const> = {
  { ".busted", "where busted finds parlance", 'lpath and cpath must contain what "parlance --paths" prints' },
  { ".luarc.json", "where the Lua language server finds parlance", "workspace.library must contain %q" },
}

-- The longest name. A file name may have 255 bytes, and the names of the files are longer than this one.
local LONGEST <const> = 64

-- Names of modules of the server, which a script must not have.
local TAKEN <const> = { parlance = true }

-- The folder of the templates, and the folder of all modules.
local TEMPLATES <const> = select(2, ...):gsub("%.lua$", "")
local MODULES <const> = TEMPLATES:gsub("/parlance/workbench/new$", "")

-- Returns why this is no name for a protocol, or nil.
local function fault_of(name)
  if name:find "%.lua$" then return "leave \".lua\" away" end
  if name:find("/", 1, true) then return "a name, not a path: the files are made in the folder where you are" end
  if not name:find "^%a[%w_-]*$" then return "a name has letters, digits, \"_\" and \"-\", and a letter first" end
  if #name > LONGEST then return ("a name has at most %d letters"):format(LONGEST) end
  if TAKEN[name] then return "that is the name of a module of the server" end
end

local function complain(text, ...)
  io.stderr:write("parlance: ", text:format(...), "\n")
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

-- Returns a string of JSON without its quotes. Bytes over 127 stay as they are.
local function as_json(text)
  return (text:gsub('[%c"\\]', function(byte) return ("\\u%04x"):format(byte:byte()) end))
end

-- Returns the text of a template, with the names filled in.
local function fill(path, name)
  local text = assert(read(TEMPLATES .. "/" .. path), path .. ": the template is not there")
  local values = { NAME = name, LIBRARY = as_json(MODULES) }
  return (text:gsub("%f[%w]%u+%f[%W]", values))
end

-- Makes the files. Returns the paths of all that was made, and why not everything was, if so.
local function make(disk, files)
  local made = {}
  for _, file in ipairs(files) do
    for place in file.path:gmatch "()/" do
      local folder = file.path:sub(1, place - 1)
      local is_new, why = disk.make_folder(folder)
      if is_new == nil then return made, why end
      if is_new then made[#made + 1] = folder end
    end
    local is_made, why = disk.make_file(file.path, file.text)
    if not is_made then return made, why end
    made[#made + 1] = file.path
  end
  return made
end

-- Removes what was made. os.remove() does not remove a folder with files in it.
local function undo(made)
  for place = #made, 1, -1 do os.remove(made[place]) end
end

-- Returns a word quoted for a shell.
local function quoted(word)
  return word:find "^[%w_./+-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Returns the files to make, and a line of advice for each shared file that exists.
local function plan(disk, name, is_bare)
  local files, advice = {}, {}
  for _, own in ipairs(is_bare and BARE or OWN) do
    files[#files + 1] = { path = own[1]:gsub("NAME", name), about = own[2], text = fill(own.from or own[1], name) }
  end
  for _, shared in ipairs(is_bare and {} or SHARED) do
    local path, about, missing = table.unpack(shared)
    local text = fill(path, name)
    if not disk.exists(path) then
      files[#files + 1] = { path = path, about = about, text = text }
    elseif read(path) ~= text then
      advice[#advice + 1] = ("%s exists and was not changed: %s\n"):format(path, missing:format(MODULES))
    end
  end
  return files, advice
end

-- Returns the paths that must not exist: files, and a folder whose transcripts would belong to the new script.
local function obstacles(disk, name, is_bare)
  local found = {}
  local paths = is_bare and { name .. ".lua" }
    or { name .. ".lua", "transcripts/" .. name, "spec/" .. name .. "_spec.lua" }
  for _, path in ipairs(paths) do
    if disk.exists(path) then found[#found + 1] = path end
  end
  return found
end

-- The command line that runs the specs, with a comment that names the packages.
local BUSTED <const> = "busted  # Debian: apt-get install lua-busted lua5.4"

local function report(write, name, binary, files, advice)
  local width = 0
  for _, file in ipairs(files) do width = math.max(width, #file.path) end
  for _, file in ipairs(files) do
    write(file.path .. (" "):rep(width - #file.path) .. "  " .. file.about .. "\n")
  end
  write(table.concat(advice))
  local program = quoted(binary)
  -- busted runs "parlance", unless the variable PARLANCE names another program.
  local setting = binary:find("/", 1, true) and "PARLANCE=" .. program .. " " or ""
  local busted = #files > 1 and ("  %s%s\n"):format(setting, BUSTED) or ""
  write(("\nNext:\n  %s check %s.lua\n%s  %s %s.lua\n"):format(program, name, busted, program, name))
end

-- Files that together exist only in parlance's own source tree.
local OF_SOURCE <const> = { "core/cli/new.c", "tools/run", "spec/house_spec.lua" }

-- Whether the current folder is in that tree. busted would run the specs of parlance itself there.
local function is_in_source(disk)
  local up = ""
  for _ = 1, 16 do
    local count = 0
    for _, path in ipairs(OF_SOURCE) do
      if disk.exists(up .. path) then count = count + 1 end
    end
    if count == #OF_SOURCE then return true end
    up = up .. "../"
  end
  return false
end

-- The exit statuses of the command line.
local DONE <const>, FAILED <const>, REFUSED <const> = 0, 1, 2

return function(arguments)
  local name, disk = arguments.options.name, arguments.disk
  local is_bare <const> = arguments.options.bare ~= nil
  local fault = fault_of(name)
  if fault then
    complain("new %s: %s", quoted(name), fault)
    return REFUSED
  end
  if is_in_source(disk) then
    complain("new %s: this folder is in the source tree of parlance; make one of your own first:\n"
      .. "  mkdir ~/%s && cd ~/%s", name, name, name)
    return REFUSED
  end
  local found = obstacles(disk, name, is_bare)
  if #found > 0 then
    for _, path in ipairs(found) do complain("%s is there already; nothing was made", path) end
    return REFUSED
  end
  local files, advice = plan(disk, name, is_bare)
  local made, why = make(disk, files)
  if why then
    undo(made)
    complain("%s; nothing was made", why)
    return FAILED
  end
  report(arguments.write, name, arguments.options.binary, files, advice)
  return DONE
end
