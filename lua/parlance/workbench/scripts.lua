-- Loads the scripts that a tool works on, and the transcripts that belong to them.

local captured_log = require "parlance.workbench.captured_log"
local simulator = require "parlance.simulator"
local temp = require "parlance.workbench.temp"
local transcripts = require "parlance.workbench.transcript"

local scripts = {}

-- Returns the options with the settings of the transcript, and the variables of the environment that it sets; or nil
-- and why not.
local function prepare(options, transcript)
  local given, variables = {}, {}
  for name, value in pairs(options) do given[name] = value end
  given.settings = {} -- those of this transcript must not reach the next one
  for name, value in pairs(options.settings or {}) do given.settings[name] = value end
  local folder, why = temp.make(simulator)
  given.temp = folder
  for _, setting in ipairs(transcript and transcript.settings or {}) do
    local value = temp.expand(setting.value, folder)
    if not value then return nil, why end
    given.settings[setting.name] = value
  end
  for i, variable in ipairs(transcript and transcript.variables or {}) do
    local value = temp.expand(variable.value, folder)
    if not value then return nil, why end
    variables[i] = { name = variable.name, value = value }
  end
  return given, variables
end

--- Calls simulator.load() with the settings and the variables of the environment that the transcript has at its top, if
--- one is given, and a folder that it may write to.
function scripts.load(path, options, transcript)
  local given, variables = prepare(options, transcript)
  if not given then return nil, ("%s: %s"):format(path, variables) end
  local before = {}
  for i, variable in ipairs(variables) do
    before[i] = os.getenv(variable.name) or false
    simulator.setenv(variable.name, variable.value)
  end
  local script, why = simulator.load(path, given)
  for i = #before, 1, -1 do simulator.setenv(variables[i].name, before[i] or nil) end
  return script, why
end

--- Loads the script as it is, or, if that fails, with the settings and variables of the first transcript that has any.
function scripts.load_any(script, list)
  local loaded, why = scripts.load(script.path, script.options)
  if loaded then return loaded end
  for _, transcript in ipairs(list) do
    if #transcript.settings + #transcript.variables > 0 then
      captured_log.read {}
      loaded = scripts.load(script.path, script.options, transcript)
      return loaded, why
    end
  end
  return nil, why
end

--- Loads the script and closes it. Returns a table of what captured_log.read() found: `printed`, `misspelled`,
--- `unknown` and `remarks`; or nil and why the script is not valid. `is_address(text)` returns whether a text is an
--- address, and if not, why. See scripts.load_any() for the list of transcripts.
function scripts.validate(script, is_address, list)
  if script.path:find "%.transcript$" then
    return nil, ("%s is a transcript; the script that it is for must stand before it"):format(script.path)
  end
  local loaded <close>, why = scripts.load_any(script, list)
  local notes = { printed = {}, misspelled = {}, unknown = {}, remarks = {} }
  captured_log.read(notes.printed, notes.misspelled, notes.unknown, notes.remarks)
  if not loaded then return nil, why end
  local listen = loaded:listen()
  local is_valid, reason = is_address(listen)
  if listen ~= "" and not is_valid then
    return nil, ('%s: listen is "%s": %s'):format(script.path, listen, reason)
  end
  return notes
end

--- Returns the folder of the transcripts that belong to the script at this path.
function scripts.folder(path)
  local folder, name = path:match "^(.*/)([^/]*)$"
  return ("%stranscripts/%s"):format(folder or "", ((name or path):gsub("(.)%.[^.]*$", "%1")))
end

local function is_empty(path)
  local file <close> = io.open(path, "rb")
  return file ~= nil and file:seek "end" == 0
end

local function add(list, faults, path, skips_empty)
  if skips_empty and is_empty(path) then return end
  local read, why = transcripts.open(path)
  if read then list[#list + 1] = read else faults[#faults + 1] = why end
end

local function add_folder(list, faults, folder, names, skips_empty)
  local count = 0
  for _, name in ipairs(names) do
    if name:find "%.transcript$" then
      count = count + 1
      add(list, faults, ("%s/%s"):format((folder:gsub("(.)/+$", "%1")), name), skips_empty)
    end
  end
  if count == 0 then faults[#faults + 1] = ("%s: there is no transcript in this folder"):format(folder) end
end

--- Reads the transcripts that were named for the script, files and folders, or else those in its folder. Returns a
--- list of them, and a list of error texts for the others. `skips_empty`: empty files are skipped, such as one that the
--- shell has just made for the tool's output.
function scripts.transcripts(script, skips_empty)
  local list, faults = {}, {}
  for _, path in ipairs(script.transcripts) do
    local names = simulator.list(path)
    if names then
      add_folder(list, faults, path, names, skips_empty)
    else
      add(list, faults, path, skips_empty)
    end
  end
  if #script.transcripts == 0 then
    local folder = scripts.folder(script.path)
    local names, why, is_absent = simulator.list(folder)
    if names then
      add_folder(list, faults, folder, names, skips_empty)
    elseif not is_absent then
      faults[#faults + 1] = why
    end
  end
  return list, faults
end

return scripts
