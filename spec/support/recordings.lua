-- What the specs of --record share: a protocol, folders for transcripts, and what was written to them.

local assert = require "luassert"
local lfs = require "lfs"
local server = require "support.server"

local recordings = {}

-- Requests are lines.
recordings.LINES = [[
local framing = require "parlance.framing"
local answers = {
  bye = function(_, self)
    self.close_when_done = true
    return "bye\n"
  end,
  raise = function() error "on purpose" end,
  nothing = function() return "" end,
  small = function(n)
    local lines = {}
    for i = 1, n do lines[i] = ("%%07d\n"):format(i) end
    return lines
  end,
  held = function(n) return { ("h"):rep(n), "end\n" } end,
  stream = function(n)
    return { function()
      if n == 0 then return nil end
      local length = math.min(n, 65536)
      n = n - length
      return ("s"):rep(length)
    end, "end\n" }
  end,
  file = function() return { "<", assert(io.open(%q, "rb")), ">\n" } end,
  pipe = function() return { "begins\n", (assert(io.popen "exec sleep 3")) } end,
}
return {
  close_when_done = false,
  request_complete = framing.line { max = 2000000 },
  make_response = function(self)
    local name, number = self.request:match "^(%%l+) ?(%%d*)$"
    if answers[name] then return answers[name](tonumber(number), self) end
    return self.request:upper() .. "\n"
  end,
  handle_error = function(_, reason) return reason .. "\n" end,
}
]]

local folders = {}

--- A folder for a test; or only its name, so that the server has to make it.
function recordings.new_folder(is_missing)
  local folder = server.new_folder()
  folders[#folders + 1] = folder
  if is_missing then assert(lfs.rmdir(folder)) end
  return folder
end

--- The names of the files in it. Those of echo are Server:turn()'s, and left out.
function recordings.names_in(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name ~= "." and name ~= ".." and not name:find "^%.?echo%-" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    local first, second = a:match "(%d+)%.transcript$", b:match "(%d+)%.transcript$"
    if first and second then return tonumber(first) < tonumber(second) end
    return a < b
  end)
  return names
end

--- The texts of the first so many transcripts, which must come.
function recordings.transcripts(folder, count)
  local names = server.wait_until(count .. " transcripts", function()
    local names = recordings.names_in(folder)
    return #names >= count and not table.concat(names, "\n"):find "%.part" and names
  end)
  assert.equal(count, #names, table.concat(names, "\n"))
  local texts = {}
  for nth, name in ipairs(names) do texts[nth] = server.read_file(folder .. "/" .. name) end
  return table.unpack(texts)
end

--- The steps without what depends on how fast this machine is.
function recordings.steps(text)
  return (text:match "\n\n(.*)$":gsub("wait %d+%.%d+\n", ""):gsub('< ""[^\n]*\n', ""))
end

--- Removes all folders that were made here.
function recordings.remove_folders()
  for _, folder in ipairs(folders) do
    if lfs.attributes(folder) then server.remove_folder(folder) end
  end
  folders = {}
end

return recordings
