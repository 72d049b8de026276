-- parlance check: checks that scripts are valid, and that their transcripts hold however the bytes arrive.

local play_together = require "parlance.workbench.interleave"
local report = require "parlance.workbench.report"
local scripts = require "parlance.workbench.scripts"
local seeds = require "parlance.workbench.seeds"
local run = require "parlance.workbench.run"
local writers = require "parlance.workbench.writers"

local HOLDS <const>, FAULTY <const>, UNCHECKED <const> = 0, 1, 2

-- Returns the deadline of the nth of so many transcripts: each gets an equal share of the remaining time.
local function share(deadline, nth, count)
  if not deadline then return nil end
  local now = os.clock()
  return now + (deadline - now) / (count - nth + 1)
end

local Check = {}
Check.__index = Check

function Check:raise_status(status)
  self.status = math.max(self.status, status)
end

function Check:complain(text)
  if not self.is_for_server then io.stderr:write("parlance: ", text, "\n") end
  self.writer.unchecked(text)
  self:raise_status(UNCHECKED)
end

-- Plays one transcript of the script. Returns whether it holds. The set `versions` gets the fingerprints of what
-- was played. (With other settings a script may load other files; that is the same version.)
function Check:play(script, transcript, deadline)
  local outcome, why = run(script.path, script.options, transcript, deadline)
  if not outcome then
    self:complain(("%s (with %s)"):format(why, transcript.path))
    return false
  end
  self.writer.transcript(transcript, outcome)
  if #outcome.findings > 0 then self:raise_status(FAULTY) end
  local is_as_served = #transcript.variables + #transcript.settings == 0
  for version in pairs(is_as_served and outcome.versions or {}) do self.versions[version] = true end
  return #outcome.findings == 0
end

function Check:check(script)
  local list, faults = scripts.transcripts(script)
  local notes, why = scripts.validate(script, self.is_address, list)
  if not notes then return self:complain(why) end
  notes.path, notes.lacks = script.path, #list == 0 and #faults == 0 and scripts.folder(script.path)
  self.writer.script(script, notes)
  for _, fault in ipairs(faults) do self:complain(fault) end
  local sound = {}
  for i, transcript in ipairs(list) do
    local is_sound = self:play(script, transcript, share(self.deadline, i, #list + 1))
    sound[#sound + 1] = is_sound and transcript or nil
  end
  self:play_together(script, sound)
end

-- Plays the transcripts that hold alone in pairs.
function Check:play_together(script, list)
  local findings, plays = play_together(script, list, self.deadline, self.versions)
  for _, finding in ipairs(findings) do
    self.writer.transcript(finding.transcript, {
      path = script.path, transcript = finding.transcript, findings = { finding.fault }, plays = plays, printed = {},
    })
    self:raise_status(FAULTY)
  end
end

local function fingerprint(script)
  local loaded <close> = scripts.load_any(script, scripts.transcripts(script))
  return loaded and loaded:fingerprint() or "none"
end

-- Returns the fingerprint of the version that was checked; "none" if it does not load or was saved meanwhile.
function Check:version(script, before)
  self.versions[fingerprint(script)] = true
  self.versions[before] = nil
  return next(self.versions) == nil and before or "none"
end

return function(arguments)
  local options = arguments.options
  local is_for_server = options.fingerprint -- A server gets only the faults, and in the last line the version.
  local seconds = tonumber(options.seconds)
  local self = setmetatable({
    status = HOLDS,
    versions = {},
    is_address = arguments.is_address,
    is_for_server = is_for_server,
    deadline = seconds and seconds > 0 and os.clock() + seconds or nil,
    writer = writers[is_for_server and "faults" or options.format or "text"](arguments.write, report),
  }, Check)
  for _, script in ipairs(arguments.scripts) do
    script.options.allow_effects = options["allow-effects"] ~= nil
    script.options.strict = options.strict ~= nil
    seeds.set(script.options, options.seed)
  end
  local before = is_for_server and fingerprint(arguments.scripts[1])
  for _, script in ipairs(arguments.scripts) do self:check(script) end
  self.writer.finish()
  if is_for_server then arguments.write(("fingerprint %s\n"):format(self:version(arguments.scripts[1], before))) end
  return self.status
end
