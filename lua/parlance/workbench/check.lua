-- parlance check: are the scripts valid, and do their transcripts hold however the bytes come?

local report = require "parlance.workbench.report"
local scripts = require "parlance.workbench.scripts"
local trial = require "parlance.workbench.trial"
local writers = require "parlance.workbench.writers"

local HOLDS <const>, FAULTY <const>, UNCHECKED <const> = 0, 1, 2

local function complain(text)
  io.stderr:write("parlance: ", text, "\n")
  return UNCHECKED
end

-- Tries the script with each of its transcripts; the worst status.
local function check_transcripts(script, writer, deadline)
  local list, faults = scripts.transcripts(script)
  local status = #faults > 0 and UNCHECKED or HOLDS
  for _, fault in ipairs(faults) do complain(fault) end
  for _, transcript in ipairs(list) do
    local outcome, why = trial(script.path, script.options, transcript, deadline)
    if outcome then
      writer.transcript(transcript, outcome)
      if #outcome.findings > 0 then status = math.max(status, FAULTY) end
    else
      status = complain(("%s (with %s)"):format(why, transcript.path))
    end
  end
  return status
end

return function(arguments)
  local writer = writers[arguments.options.format or "text"](arguments.write, report)
  local seconds = tonumber(arguments.options.seconds)
  local deadline = seconds and os.clock() + seconds
  local status = HOLDS
  for _, script in ipairs(arguments.scripts) do
    local printed, why = scripts.validate(script, arguments.is_address)
    if printed then
      writer.script(script, printed)
      status = math.max(status, check_transcripts(script, writer, deadline))
    else
      status = complain(why)
    end
  end
  writer.finish()
  return status
end
