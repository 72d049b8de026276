-- Compares what a party has received in a play with what the transcript says: the items of a step, each of which has a
-- `text` or a `pattern`.

local answers = {}

-- The most steps of a search in which each pattern tries all lengths.
local MOST_STEPS <const> = 1e8

-- Whether the items together match all of `got`, with backtracking between them. Returns false for patterns with
-- captures or anchors: they would mean something else within a longer pattern.
local function is_one_match(items, got)
  local parts, count = {}, 0
  for i, item in ipairs(items) do
    if item.text then
      parts[i] = item.text:gsub("%p", "%%%0")
    else
      local plain = item.pattern:gsub("%%[^%d]", "")
      if plain:find "[()$]" or plain:find "%%%d" then return false end
      parts[i], count = item.pattern, count + 1
    end
  end
  if count == 0 or (#got) ^ count > MOST_STEPS then return false end
  local is_well, start = pcall(string.find, got, "^" .. table.concat(parts) .. "$")
  return is_well and start ~= nil
end

--- Returns nil if `got` is what the items say, else a fault. Where a pattern matched, `expected` has the bytes that it
--- matched.
function answers.compare(items, got)
  if #items == 1 and items[1].text == got then return nil end -- This is the usual case.
  local expected, at = {}, 1
  local failed
  for _, item in ipairs(items) do
    if item.text then
      expected[#expected + 1] = item.text
      if not failed and got:sub(at, at + #item.text - 1) ~= item.text then failed = item end
      at = at + #item.text
    elseif failed then
      expected[#expected + 1] = "~" .. item.pattern
    else
      -- find() raises if the pattern is too complex for the text.
      local is_well, start, stop = pcall(string.find, got, "^" .. item.pattern, at)
      if is_well and start then
        expected[#expected + 1] = got:sub(at, stop)
        at = stop + 1
      else
        failed = item
        expected[#expected + 1] = "~" .. item.pattern
      end
    end
  end
  if not failed and at == #got + 1 or is_one_match(items, got) then return nil end
  return { kind = "answer", line = (failed or items[#items]).line, expected = table.concat(expected), got = got }
end

--- Whether `got` is the answers of the parts one after the other, each as long as in the play before. (A pattern alone
--- might also match a part of the next answer.)
function answers.is_in_parts(parts, got)
  local at = 1
  for _, part in ipairs(parts) do
    if not part.length or answers.compare(part.items, got:sub(at, at + part.length - 1)) then return false end
    at = at + part.length
  end
  return at == #got + 1
end

--- Whether `got` is what the items say if interim responses, such as 100 Continue, are left out: a client whose request
--- comes in one piece gets none.
function answers.is_but_for(interim, items, got)
  local from, to = got:find(interim, 1, true)
  if not from then return false end
  got = got:sub(1, from - 1) .. got:sub(to + 1)
  return not answers.compare(items, got) or answers.is_but_for(interim, items, got)
end

--- Whether `got` may become what the items say when more bytes come.
function answers.is_beginning(items, got)
  local at = 1
  for _, item in ipairs(items) do
    if item.pattern or at > #got then return true end
    local part = got:sub(at, at + #item.text - 1)
    if item.text:sub(1, #part) ~= part then return false end
    at = at + #item.text
  end
  return at > #got
end

return answers
