-- parlance check: are the scripts valid, and do their transcripts hold however the bytes come?

local report = require "parlance.workbench.report"
local scripts = require "parlance.workbench.scripts"
local stage = require "parlance.stage"
local trial = require "parlance.workbench.trial"
local writers = require "parlance.workbench.writers"

local HOLDS <const>, FAULTY <const>, UNCHECKED <const> = 0, 1, 2

-- When the nth of so many is to be done: each has its share of what time is left, so that a long one leaves
-- some for those behind it.
local function share(deadline, nth, count)
  if not deadline then return nil end
  local now = stage.clock()
  return now + (deadline - now) / (count - nth + 1)
end

-- Tries the script with each of its transcripts; the worst status. The set `versions` gets the fingerprints of
-- what was played. (With variables a script may load other files; that is the same version.)
local function check_transcripts(script, writer, deadline, complain, versions)
  local list, faults = scripts.transcripts(script)
  local status = #faults > 0 and UNCHECKED or HOLDS
  for _, fault in ipairs(faults) do complain(fault) end
  for i, transcript in ipairs(list) do
    local outcome, why = trial(script.path, script.options, transcript, share(deadline, i, #list))
    if outcome then
      writer.transcript(transcript, outcome)
      for version in pairs(#transcript.variables == 0 and outcome.versions or {}) do versions[version] = true end
      if #outcome.findings > 0 then status = math.max(status, FAULTY) end
    else
      status = complain(("%s (with %s)"):format(why, transcript.path))
    end
  end
  return status
end

-- What is checked for a server (--preflight) is told by a fingerprint of the files, in the last line; "none"
-- if it does not load, or was saved meanwhile.
local function fingerprint(script)
  local loaded <close> = stage.load(script.path, script.options)
  return loaded and loaded:fingerprint() or "none"
end

return function(arguments)
  local is_for_server = arguments.options.fingerprint
  local format = is_for_server and "faults" or arguments.options.format or "text"
  local writer = writers[format](arguments.write, report)
  local before = is_for_server and fingerprint(arguments.scripts[1])
  local function complain(text)
    if not is_for_server then io.stderr:write("parlance: ", text, "\n") end
    writer.unchecked(text)
    return UNCHECKED
  end
  local seconds = tonumber(arguments.options.seconds)
  local deadline = seconds and seconds > 0 and stage.clock() + seconds or nil
  local status, versions = HOLDS, {}
  for _, script in ipairs(arguments.scripts) do
    local printed, why = scripts.validate(script, arguments.is_address)
    if printed then
      writer.script(script, printed)
      status = math.max(status, check_transcripts(script, writer, deadline, complain, versions))
    else
      status = complain(why)
    end
  end
  writer.finish()
  if is_for_server then
    versions[fingerprint(arguments.scripts[1])] = true
    versions[before] = nil
    local is_same = next(versions) == nil
    arguments.write(("fingerprint %s\n"):format(is_same and before or "none"))
  end
  return status
end
