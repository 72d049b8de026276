-- Scripts that a tool is to work on, and the transcripts that belong to them.

local journal = require "parlance.workbench.journal"
local stage = require "parlance.stage"
local transcripts = require "parlance.workbench.transcript"

local scripts = {}

--- As stage.load(), with these variables in the environment.
function scripts.load(path, options, variables)
  local before = {}
  for i, variable in ipairs(variables) do
    before[i] = os.getenv(variable.name) or false
    stage.setenv(variable.name, variable.value)
  end
  local script, why = stage.load(path, options)
  for i = #before, 1, -1 do stage.setenv(variables[i].name, before[i] or nil) end
  return script, why
end

--- Loads the script and throws it away: what journal.read() tells of that, as `printed`, `misspelled` and
--- `unknown`; nil and what is wrong with it. `is_address` tells whether a text is an address, and why not.
function scripts.validate(script, is_address)
  if script.path:find "%.transcript$" then
    return nil, ("%s is a transcript; the script that it is for must stand before it"):format(script.path)
  end
  local loaded <close>, why = stage.load(script.path, script.options)
  local notes = { printed = {}, misspelled = {}, unknown = {} }
  journal.read(notes.printed, notes.misspelled, notes.unknown)
  if not loaded then return nil, why end
  local listen = loaded:listen()
  local is_valid, reason = is_address(listen)
  if listen ~= "" and not is_valid then
    return nil, ('%s: listen is "%s": %s'):format(script.path, listen, reason)
  end
  return notes
end

--- The folder of the transcripts that belong to the script at this path.
function scripts.folder(path)
  local folder, name = path:match "^(.*/)([^/]*)$"
  return ("%stranscripts/%s"):format(folder or "", ((name or path):gsub("(.)%.[^.]*$", "%1")))
end

local function add(list, faults, path)
  local read, why = transcripts.open(path)
  if read then list[#list + 1] = read else faults[#faults + 1] = why end
end

local function add_folder(list, faults, folder, names)
  local count = 0
  for _, name in ipairs(names) do
    if name:find "%.transcript$" then
      count = count + 1
      add(list, faults, ("%s/%s"):format((folder:gsub("(.)/+$", "%1")), name))
    end
  end
  if count == 0 then faults[#faults + 1] = ("%s: there is no transcript in this folder"):format(folder) end
end

--- The transcripts that were named for the script, files and folders; or else those that lie beside it.
--- Returns a list of them, and a list of what is wrong with the others.
function scripts.transcripts(script)
  local list, faults = {}, {}
  for _, path in ipairs(script.transcripts) do
    local names = stage.list(path)
    if names then add_folder(list, faults, path, names) else add(list, faults, path) end
  end
  if #script.transcripts == 0 then
    local folder = scripts.folder(script.path)
    local names, why, is_absent = stage.list(folder)
    if names then
      add_folder(list, faults, folder, names)
    elseif not is_absent then
      faults[#faults + 1] = why
    end
  end
  return list, faults
end

return scripts
