-- What the server logged while a script was in the simulator.

local simulator = require "parlance.simulator"

local captured_log = {}

--- Reads what was logged since the last time. Adds the places at which the script printed to the set `printed`,
--- fields of the protocol that look misspelled to `misspelled`, with what was meant, and settings that the protocol
--- does not document to `unknown`, with what was meant or "", and what was said of byte orders to the set `orders`, if
--- these are given.
--- Returns the text of the first error, and of the first warning; what a script logs itself is neither.
function captured_log.read(printed, misspelled, unknown, orders)
  local raised, warning
  for _, entry in ipairs(simulator.log()) do
    local event, rest = entry.text:match "^%S+ %S+ (%S+) ?(.*)$"
    if event == "printed" then
      printed[rest:match '^place="?(.-):? ?"?$'] = true
    elseif event == "misspelled" and misspelled then
      local field, meant = rest:match 'field="?(.-)"? meant=(.+)$'
      misspelled[field] = meant
    elseif event == "unknown_setting" then
      if unknown then unknown[rest:match "setting=(%S+)"] = rest:match " meant=(%S+)" or "" end
    elseif event == "byte_order" then
      if orders then orders[rest:match '^detail="(.*)"$':gsub('\\"', '"')] = true end
    elseif event ~= "script" and entry.level == "error" then
      raised = raised or entry.text
    elseif event ~= "script" and entry.level == "warn" then
      warning = warning or entry.text
    end
  end
  return raised, warning
end

return captured_log
