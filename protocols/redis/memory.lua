-- The limit of --memory-limit: when a server is full, commands that need memory are refused, and all others go
-- on. Without a limit nothing here costs anything.
local host = require "redis.host"

local memory = {
  WORD = 200, -- the bytes that keeping a word of a request may take, but for its own
}

--- The bytes in use, and the limit or nil.
function memory.usage()
  local used, limit = host.memory()
  return used or math.floor(collectgarbage "count" * 1024), limit
end

local _, LIMIT = memory.usage()

--- The bytes over which commands that need memory are refused; nil if there is no limit. What lies between this
--- and the limit is for reading requests and answering them.
memory.MAXIMUM = LIMIT and LIMIT - math.max(LIMIT // 8, 256 * 1024)

-- Only a collection tells what is used, and it takes long where there is much. So there is one when it may be worth
-- it: when much has come since the last one, or when it does not take more than a quarter of the time.
local left, collects_after = 0, -math.huge

local function collect()
  local started = host.now()
  if memory.usage() < left + memory.MAXIMUM // 32 and started < collects_after then return end
  collectgarbage()
  left = memory.usage()
  local ended = host.now()
  collects_after = ended + (ended - started) * 3
end

--- Much has been removed.
function memory.expect_less()
  collects_after = -math.huge
end

local function exceeds(maximum, bytes)
  if not maximum or memory.usage() + bytes <= maximum then return false end
  collect()
  return memory.usage() + bytes > maximum
end

--- Whether a server is full, or so many bytes would make it so.
function memory.is_full(bytes)
  return exceeds(memory.MAXIMUM, bytes)
end

local TIGHT <const> = LIMIT and (LIMIT + memory.MAXIMUM) // 2

--- Whether a server is so full that it does without what takes some memory for good, as a deadline does.
function memory.is_tight(bytes)
  return exceeds(TIGHT, bytes)
end

--- Whether a command that takes things away may answer with so many bytes. Where it cannot, it is to leave them.
function memory.has_room(bytes)
  return not LIMIT or memory.usage() + bytes <= LIMIT
end

return memory
