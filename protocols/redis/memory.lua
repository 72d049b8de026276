-- The limit of --memory-limit: a full server refuses the commands that need memory, and runs all others.
local host = require "redis.host"

local memory = {
  WORD = 200, -- the bytes that storing an argument may take beyond its own bytes
}

--- Returns the bytes in use, and the limit or nil.
function memory.usage()
  local used, limit = host.memory()
  return used or math.floor(collectgarbage "count" * 1024), limit
end

local _, LIMIT = memory.usage()

--- Commands that need memory are refused if more bytes than this are in use; nil: there is no limit. The memory between
--- this and the limit is for reading and answering requests.
memory.MAXIMUM = LIMIT and LIMIT - math.max(LIMIT // 8, 256 * 1024)

-- Only a garbage collection tells how much memory is really in use, and it takes long if there is much. A collection is
-- done if much memory was allocated since the last one, or if collections take less than a quarter of the time.
local left, collects_after = 0, -math.huge

local function collect()
  local started = host.now()
  if memory.usage() < left + memory.MAXIMUM // 32 and started < collects_after then return end
  collectgarbage()
  left = memory.usage()
  local ended = host.now()
  collects_after = ended + (ended - started) * 3
end

--- Allows the next collection at once, because much data was removed.
function memory.expect_less()
  collects_after = -math.huge
end

local function exceeds(maximum, bytes)
  if not maximum or memory.usage() + bytes <= maximum then return false end
  collect()
  return memory.usage() + bytes > maximum
end

--- Whether the server is full, or would be with so many bytes more.
function memory.is_full(bytes)
  return exceeds(memory.MAXIMUM, bytes)
end

local TIGHT <const> = LIMIT and (LIMIT + memory.MAXIMUM) // 2

--- Whether the server is nearly at its limit, or would be with so many bytes more. Then it refuses also commands that
--- need a little memory, as for a deadline.
function memory.is_tight(bytes)
  return exceeds(TIGHT, bytes)
end

--- Whether there is memory for a reply of so many bytes. If not, a command that removes items must leave them.
function memory.has_room(bytes)
  return not LIMIT or memory.usage() + bytes <= LIMIT
end

return memory
