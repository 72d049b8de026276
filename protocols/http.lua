-- Serves a folder over HTTP: the folder of the setting `root` (--set root=/srv/www), else of the environment
-- variable PARLANCE_ROOT, else the current folder.
--
-- parlance.http makes a response of the values that serve() returns. parlance.files opens files beneath the folder
-- and no others. The bytes of files never pass through Lua.

local conditions = require "parlance.http.conditions"
local files = require "parlance.files"
local http = require "parlance.http"
local parlance = require "parlance"
local type_of = require "parlance.http.types"

local FOLDER <const> = parlance.settings.root or os.getenv "PARLANCE_ROOT" or "."
local INDEX <const> = "index.html"

local root, _, trouble = files.root(FOLDER)
if not root then error(("cannot serve the folder %s: %s"):format(FOLDER, trouble), 0) end

local function say(status, text, headers)
  headers = headers or {}
  headers["Content-Type"] = "text/plain; charset=utf-8"
  return status, headers, ("%d %s\n%s"):format(status, http.status[status], text and text .. "\n" or "")
end

-- ---- from targets to files ----------------------------------------------------------------------

-- Returns the decoded names in the path, and whether it ends with a slash; or nil, a status and the reason. A name
-- has no slash and no NUL, and none is "..".
local function names_of(target)
  local path = http.split(target)
  local names = {}
  if path:sub(1, 1) ~= "/" then return nil, 400, "the target is no path" end
  for segment in path:gmatch "[^/]+" do
    local name = http.decode(segment)
    if not name or name:find("/", 1, true) or name:find("\0", 1, true) then
      return nil, 400, "the path is not encoded properly"
    end
    if name == ".." then return nil, 403, "the path leads upwards" end
    if name ~= "." then names[#names + 1] = name end
  end
  return names, path:sub(-1) == "/"
end

local function join(path, name)
  return path == "" and name or path .. "/" .. name
end

-- A cache of places by target: the `names` in the path, the `path` to open, and whether it is a folder; or a
-- `status` and `why`. A place that is missing is added when it is read.
local MOST_PLACES <const>, LONGEST_TARGET <const> = 1000, 200
local place_count = 0

local PLACES <const> = setmetatable({}, {
  __index = function(places, target)
    local names, second, why = names_of(target)
    local place = names and { names = names, is_folder = second, path = table.concat(names, "/") }
      or { status = second, why = why }
    if #target > LONGEST_TARGET then return place end
    if place_count == MOST_PLACES then
      for known in pairs(places) do places[known] = nil end
      place_count = 0
    end
    places[target], place_count = place, place_count + 1
    return place
  end,
})

-- The status for each way in which root:open() fails.
local STATUS_OF <const> = { absent = 404, denied = 403, unfit = 403, busy = 503, failed = 500 }

local function say_trouble(word, message)
  if word == "busy" then parlance.log("error", "no file can be opened: " .. message) end
  return say(STATUS_OF[word], word == "failed" and message or nil, { ["Retry-After"] = word == "busy" and "1" or nil })
end

-- ---- folders ------------------------------------------------------------------------------------

local function encoded(names)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = http.encode(name) end
  return "/" .. table.concat(parts, "/")
end

-- The most entries of a folder that are listed.
local MOST_ENTRIES <const> = 10000

-- Returns the entries of a folder that are served: files, folders, and links to those that stay beneath the root. Or
-- nil if the folder has an index that cannot be opened: then the folder is not listed.
local function listed_entries(path, list)
  local entries = {}
  for _, entry in ipairs(list) do
    local about = entry.kind == "link" and root:stat(join(path, entry.name)) or entry
    if entry.name == INDEX and about.kind ~= "folder" then return nil end
    if about.kind == "file" or about.kind == "folder" then
      entries[#entries + 1] = {
        name = about.kind == "folder" and entry.name .. "/" or entry.name,
        is_folder = about.kind == "folder", size = about.size, mtime = about.mtime,
        link = http.encode(entry.name) .. (about.kind == "folder" and "/" or ""),
      }
    end
  end
  table.sort(entries, function(a, b)
    if a.is_folder ~= b.is_folder then return a.is_folder end
    return a.name < b.name
  end)
  return entries
end

-- Whether HTTP can write the time of a file, which may be any number.
local function is_date(time)
  return time >= 0 and time <= 253402300799 -- the end of the year 9999
end

local PAGE <const> = [[
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title></head>
<body><h1>%s</h1><table>
%s</table></body></html>
]]

-- Answers with the page for a folder, which has neither ETag nor Last-Modified.
local function show(request, names)
  local path = table.concat(names, "/")
  local list, word, message = root:list(path, MOST_ENTRIES + 1)
  if not list then return say_trouble(word, message) end
  local is_cut = #list > MOST_ENTRIES
  if is_cut then list[#list] = nil end
  local entries = listed_entries(path, list)
  if not entries then return say(403) end
  local status = conditions.check(request.headers)
  if status then return status end
  local rows = {}
  if #names > 0 then rows[1] = '<tr><td><a href="../">../</a></td></tr>\n' end
  for _, entry in ipairs(entries) do
    rows[#rows + 1] = ('<tr><td><a href="%s">%s</a></td><td>%s</td><td>%s</td></tr>\n'):format(
      entry.link, http.escape(entry.name), is_date(entry.mtime) and os.date("!%Y-%m-%d %H:%M", entry.mtime) or "",
      entry.is_folder and "" or entry.size)
  end
  if is_cut then rows[#rows + 1] = ("<tr><td>and more: %d entries are listed at most"):format(MOST_ENTRIES) end
  local title = http.escape("/" .. path)
  return 200, { ["Content-Type"] = "text/html; charset=utf-8" }, PAGE:format(title, title, table.concat(rows))
end

-- ---- files --------------------------------------------------------------------------------------

-- The seconds of a tick of the file system's clock. If a file changes twice within a tick, its times stay the same.
local TICK <const>, COARSE_TICK <const> = 0.012, 2

-- Whether the file may change again without a change of its times.
local function is_fresh(about, now)
  local age = now - about.ctime - about.ctime_ns / 1e9
  return math.abs(age) < (about.ctime_ns == 0 and COARSE_TICK or TICK)
end

-- Returns a digest of the bytes of a small file.
local MOST_DIGESTED <const> = 64 * 1024

local function digest(file)
  local bytes = file:read(MOST_DIGESTED) or ""
  file:seek("set", 0)
  local sum = #bytes
  bytes = bytes .. ("\0"):rep(-#bytes % 8)
  for at = 1, #bytes, 8 do
    sum = (sum ~ string.unpack("<i8", bytes, at)) * 0x100000001b3
    sum = sum ~ sum >> 29
  end
  return sum
end

-- Returns the ETag. It is strong because it contains the time of the last change (ctime), which nobody can set back.
-- While the file may change without a change of that time, the tag has a digest of the bytes, or is weak.
local function tag_of(about, file, is_doubtful)
  local tag = ("%x-%x-%x.%x"):format(about.inode, about.size, about.ctime, about.ctime_ns)
  if not is_doubtful then return '"' .. tag .. '"' end
  if about.size > MOST_DIGESTED then return 'W/"' .. tag .. '"' end
  return ('"%s-%x"'):format(tag, digest(file))
end

-- Returns the headers of the file at a place, which are made anew when the file has changed. The caller must not
-- change them.
local function headers_of(place, about, file)
  if about ~= place.about or place.is_fresh then
    local now <const> = parlance.time()
    local was_fresh <const> = about == place.about
    place.about, place.is_fresh = about, is_fresh(about, now)
    -- Until the second of this date is over, the file may get another content with the same date.
    if now < about.mtime + 1 + TICK then place.ambiguous = about.mtime end
    place.headers = {
      ETag = tag_of(about, file, place.is_fresh or was_fresh),
      -- No date may be later than the response's (RFC 9110, 8.8.2.1).
      ["Last-Modified"] = is_date(about.mtime) and http.date(math.min(about.mtime, math.floor(now))) or nil,
      ["Content-Type"] = type_of(place.is_folder and INDEX or place.path),
      ["Accept-Ranges"] = "bytes",
    }
  end
  return place.headers
end

-- Whether the date is a strong validator: it is the time of the last change, and no other content had it.
local function has_strong_date(place, about)
  return about.mtime == about.ctime and place.ambiguous ~= about.mtime
end

local function send_part(headers, file, first, last, size)
  local more = { ["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, size) }
  for name, value in pairs(headers) do more[name] = value end
  file:seek("set", first)
  return 206, more, { file = file, length = last - first + 1 }
end

local function send(request, place, about, file)
  local headers, fields = headers_of(place, about, file), request.headers
  local status = conditions.check(fields, headers.ETag, about.mtime)
  if status then
    file:close()
    return status, { ETag = headers.ETag, ["Last-Modified"] = headers["Last-Modified"] }
  end
  if request.method == "GET" and fields.range then
    local first, last = conditions.range(fields, about.size, headers.ETag, about.mtime,
      has_strong_date(place, about))
    if first then return send_part(headers, file, first, last, about.size) end
    if first == false then
      file:close()
      return say(416, nil, { ["Content-Range"] = ("bytes */%d"):format(about.size) })
    end
  end
  return 200, headers, { file = file, length = about.size }
end

-- ---- requests -----------------------------------------------------------------------------------

-- Returns the response to methods other than GET and HEAD. A client that waits for 100 Continue gets it before it
-- sends the body.
local function refused(request)
  if request.method == "GET" or request.method == "HEAD" then return nil end
  if not http.methods[request.method] then return say(501, "the method is not known") end
  return say(405, "a folder is only read", { Allow = "GET, HEAD" })
end

-- Sends the index, or a list of the entries if the index does not exist or is a folder.
local function serve_folder(request, place)
  local about, file, message = root:open(join(place.path, INDEX), place.about)
  if about and about.kind == "file" then return send(request, place, about, file) end
  if about or file == "absent" then return show(request, place.names) end
  return say_trouble(file, message)
end

local function serve(request)
  if request.method ~= "GET" and request.method ~= "HEAD" then return refused(request) end
  local place = PLACES[request.target]
  if place.status then return say(place.status, place.why) end
  if place.is_folder then return serve_folder(request, place) end
  local about, file, message = root:open(place.path, place.about)
  if not about then return say_trouble(file, message) end
  if about.kind == "file" then return send(request, place, about, file) end
  local _, query = http.split(request.target)
  return say(301, nil, { Location = encoded(place.names) .. "/" .. (query and "?" .. query or "") })
end

return http.serve(serve, {
  expect = refused,
  max = 64 * 1024,
  settings = { root = "the folder that is served (default: PARLANCE_ROOT in the environment, else the current one)" },
})
