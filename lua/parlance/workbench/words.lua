-- Reads and writes words with texts behind them: `server_name "mail.example" alpn "smtp"`.

local literal = require "parlance.workbench.literal"

local words = {}

local complain, shown = literal.complain, literal.shown

--- Reads the words from `at` on to the end of the line. `what` has them: `known` is their list. Calls `put(word, text)`
--- for each of them.
function words.read(line, at, what, known, put)
  local is_known = {}
  for _, word in ipairs(known) do is_known[word] = true end
  while true do
    local word, behind = line:match("^%s*([%w_]+)()", at)
    if not word then break end
    if not is_known[word] then complain("%s has no %s: it has %s", what, shown(word), table.concat(known, ", ")) end
    local text, stop = literal.read_one(line, line:match("^%s*()", behind))
    if not text then complain('%s needs a text: %s "..."', word, word) end
    if text == "" or text:find "\0" then complain("%s needs a text without a zero byte", word) end
    put(word, text)
    at = stop
  end
  local rest = line:match("^%s*([^#]*)", at):gsub("%s+$", "")
  if rest ~= "" then complain("%s makes no sense behind %s", shown(rest), what) end
end

--- Sets a field of the table, which must not be there yet.
function words.set(place, word, value)
  if place[word] ~= nil then complain("%s stands twice", word) end
  place[word] = value
end

--- Returns a word with its text, and a blank before them; "" without a text.
function words.write(word, text)
  return text and (" %s %s"):format(word, literal.quote(text)) or ""
end

return words
