-- The folder that a simulated script may write to, which texts of a transcript or of a spec call ${TEMP}.

local temp = {}

--- Makes one with simulator.make_temp(); nil and why not. It goes with the script that it is given to.
function temp.make(simulator)
  local folder = os.getenv "TMPDIR" or ""
  return simulator.make_temp(folder ~= "" and folder or "/tmp")
end

--- The text with the folder in it; nil if it wants one and there is none.
function temp.expand(text, folder)
  if not text:find("${TEMP}", 1, true) then return text end
  return folder and (text:gsub("%${TEMP}", (folder:gsub("%%", "%%%%")))) or nil
end

return temp
