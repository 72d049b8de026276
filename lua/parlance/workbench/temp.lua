-- The folder that a simulated script may write to. Transcripts and specs call it ${TEMP}.

local temp = {}

--- Makes a folder with simulator.make_temp(), or returns nil and why not. It is removed with the script that gets it.
function temp.make(simulator)
  local folder = os.getenv "TMPDIR" or ""
  return simulator.make_temp(folder ~= "" and folder or "/tmp")
end

--- Returns the text with ${TEMP} replaced by the folder; nil if the text has ${TEMP} and there is no folder.
function temp.expand(text, folder)
  if not text:find("${TEMP}", 1, true) then return text end
  return folder and (text:gsub("%${TEMP}", (folder:gsub("%%", "%%%%")))) or nil
end

return temp
