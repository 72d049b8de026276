-- The captured log: what was logged while a script ran in the simulator.

local simulator = require "parlance.simulator"

local captured_log = {}

--- Reads the log lines since the last call. Adds to these tables, of which the last three may be nil:
---
---   printed      a set of the places at which the script printed
---   misspelled   fields of the protocol that look misspelled, each with the field that was probably meant
---   unknown      settings that the protocol does not document, each with the one that was probably meant, or ""
---   remarks      a set of remarks on byte orders, and on fields of the protocol that hide a method
---
--- Returns the lines of the first error, of the first warning, of the first response that waited for too long, and of
--- the first error that is none of a request alone: it does not end with the request; and of the first answer that is
--- too large for a datagram.
--- Lines that a script logs itself do not count.
function captured_log.read(printed, misspelled, unknown, remarks)
  local raised, warning, hanging, serious, oversized
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
      if remarks then remarks[rest:match '^detail="(.*)"$':gsub('\\"', '"')] = true end
    elseif event == "method_hidden" then
      local service, field = rest:match "service=(%S+) field=(%S+)"
      local remark = ("%s.lua: the field %s of the protocol hides the method self:%s()"):format(service, field, field)
      if remarks then remarks[remark] = true end
    elseif event == "stream_collected" or event == "lock_collected" then
      raised, serious = raised or entry.text, serious or entry.text
    elseif event ~= "script" and entry.level == "error" then
      raised = raised or entry.text
      if event ~= "script_error" or rest:find "^service=%S+ task=" then serious = serious or entry.text end
    elseif event ~= "script" and entry.level == "warn" then
      warning = warning or entry.text
      if event == "datagram_dropped" and rest:find("too large", 1, true) then oversized = oversized or entry.text end
      if event == "response_timeout" then hanging = hanging or entry.text end
    end
  end
  return raised, warning, hanging, serious, oversized
end

return captured_log
