-- What the server logged while a script was on stage.

local stage = require "parlance.stage"

local journal = {}

--- Reads what was logged since the last time. Adds the places at which the script printed to the set `printed`,
--- and fields of the protocol that look misspelled to `misspelled`, with what was meant, if that is given.
--- Returns the text of the first error, and of the first warning; what a script logs itself is neither.
function journal.read(printed, misspelled)
  local raised, warning
  for _, entry in ipairs(stage.log()) do
    local event, rest = entry.text:match "^%S+ %S+ (%S+) ?(.*)$"
    if event == "printed" then
      printed[rest:match '^place="?(.-):? ?"?$'] = true
    elseif event == "misspelled" and misspelled then
      local field, meant = rest:match 'field="?(.-)"? meant=(.+)$'
      misspelled[field] = meant
    elseif event ~= "script" and entry.level == "error" then
      raised = raised or entry.text
    elseif event ~= "script" and entry.level == "warn" then
      warning = warning or entry.text
    end
  end
  return raised, warning
end

return journal
