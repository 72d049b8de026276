-- Plays pairs of transcripts of one script at the same time: state that one conversation keeps outside of `self` must
-- not reach the other.

local player = require "parlance.workbench.player"
local scripts = require "parlance.workbench.scripts"
local captured_log = require "parlance.workbench.captured_log"
local simulator = require "parlance.simulator"
local variants = require "parlance.workbench.variants"

-- The most pairs that are played. Transcripts that stand next to each other come first.
local MOST_PAIRS <const> = 256

-- Returns the pairs of the list that can be played, the nearest first, each in both orders.
local function pairs_of(list)
  local found = {}
  for distance = 1, #list - 1 do
    for i = 1, #list - distance do
      if #found >= 2 * MOST_PAIRS then return found end
      local one, other = list[i], list[i + distance]
      if variants.are_compatible(one, other) then
        found[#found + 1] = { one, other }
        found[#found + 1] = { other, one }
      end
    end
  end
  return found
end

-- Plays both on a newly loaded script. Returns the fault, or nil.
local function play(script, one, other, versions)
  local options = { time = one.time }
  for name, value in pairs(script.options) do options[name] = value end
  local loaded <close> = scripts.load(script.path, options, one)
  captured_log.read {}
  if not loaded then return nil end
  if #one.variables + #one.settings == 0 then versions[loaded:fingerprint()] = true end
  return player.play(loaded, variants.paired(one, other), {}, {})
end

-- Whether the server has only said more than expected, in a play in which time passes for the other transcript: then
-- something may be there that would come later.
local function is_early(fault, one, other)
  return (one.takes_time or other.takes_time) and fault.kind == "answer"
    and fault.got:sub(1, #fault.expected) == fault.expected
end

--- Plays the transcripts of the list, each of which holds alone, in pairs, until os.clock() is `deadline`.
--- Returns a list of { transcript =, fault = } (see player.play()) with fault.how "beside" and fault.other, the other
--- transcript, at most one for each; and how many plays there were. The set `versions` gets the fingerprints of the
--- versions that were played with the settings of the server.
return function(script, list, deadline, versions)
  local findings, is_found, plays = {}, {}, 0
  simulator.silence(true)
  for _, pair in ipairs(pairs_of(list)) do
    local one, other = table.unpack(pair)
    if deadline and os.clock() > deadline then break end
    if not is_found[one] and not is_found[other] then
      plays = plays + 1
      local fault = play(script, one, other, versions)
      if fault and not is_early(fault, one, other) then
        if (fault.client or ""):find "^two" then one, other = other, one end
        fault.how, fault.other, fault.seed, is_found[one] = "beside", other, script.options.seed, true
        findings[#findings + 1] = { transcript = one, fault = fault }
      end
    end
  end
  simulator.silence(false)
  return findings, plays
end
