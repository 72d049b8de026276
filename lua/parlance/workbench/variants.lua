-- Other conversations that are made of a transcript's, and must be answered in the same way.

local variants = {}

local function derived(self, steps)
  local copy = {}
  for name, value in pairs(self) do copy[name] = value end
  copy.steps = steps
  return copy
end

-- From so many seconds on a wait is part of the conversation; less is what recordings have between two steps.
local PAUSE <const> = 0.1

--- The same with everything that the client sends in one piece, and all answers behind it; what the server
--- says before the client does stays in front. Nil where that would be another conversation: with several
--- clients, pauses, or a client that breaks off or sends when the server has closed.
function variants.pipelined(self)
  if self.clients ~= 1 then return nil end
  local steps, sent, items = {}, {}, {}
  local send, expect, send_end, expect_end
  for _, step in ipairs(self.steps) do
    local is_short = step.kind == "wait" and step.seconds < PAUSE
    if not is_short and (step.kind == "wait" or step.kind == "gone" or expect_end) then return nil end
    if is_short then
      goto continue
    elseif step.kind == "send" then
      send = send or { kind = "send", client = step.client, line = step.line }
      sent[#sent + 1] = step.text
    elseif step.kind == "send_end" then
      send_end = step
    elseif step.kind == "expect_end" then
      expect_end = step
    elseif not send and not send_end then
      steps[#steps + 1] = step
    else
      expect = expect or { kind = "expect", client = step.client, line = step.line, items = items, parts = {} }
      expect.parts[#expect.parts + 1] = { items = step.items, length = step.length }
      table.move(step.items, 1, #step.items, #items + 1, items)
    end
    ::continue::
  end
  if #sent < 2 then return nil end -- it is in one piece already
  send.text = table.concat(sent)
  for _, step in ipairs { send, send_end or false, expect or false, expect_end or false } do
    if step then steps[#steps + 1] = step end
  end
  return derived(self, steps)
end

-- In so many pieces at most two clients at once send what one would.
local MOST_PIECES <const> = 8192

--- Two clients that both have this conversation at once, and send in turn, a byte at a time, or a few if it is
--- long; nil for a conversation of several.
function variants.doubled(self)
  local steps, size = {}, (self.bytes + MOST_PIECES - 1) // MOST_PIECES
  if self.clients ~= 1 or self.fresh then return nil end
  for _, step in ipairs(self.steps) do
    for at = 1, step.kind == "send" and math.max(#step.text, 1) or 1, math.max(size, 1) do
      for _, client in ipairs(step.kind == "wait" and { "one" } or { "one", "two" }) do
        local copy = {}
        for name, value in pairs(step) do copy[name] = value end
        copy.client = client
        if step.kind == "send" then copy.text = step.text:sub(at, at + size - 1) end
        steps[#steps + 1] = copy
      end
    end
  end
  return derived(self, steps)
end

return variants
