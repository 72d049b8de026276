-- Serves a folder over HTTP: the one that the setting `root` names (--set root=/srv/www), else the one that the
-- environment variable PARLANCE_ROOT names, else the current one.
--
-- parlance.http makes responses of what serve() returns, parlance.files opens what lies in the
-- folder and nothing else, and the bytes of files never pass through Lua.

local conditions = require "parlance.http.conditions"
local files = require "parlance.files"
local http = require "parlance.http"
local settings = require("parlance").settings
local type_of = require "parlance.http.types"

local FOLDER <const> = settings.root or os.getenv "PARLANCE_ROOT" or "."
local INDEX <const> = "index.html"

local root, _, trouble = files.root(FOLDER)
if not root then error(("cannot serve the folder %s: %s"):format(FOLDER, trouble), 0) end

local function say(status, text, headers)
  headers = headers or {}
  headers["Content-Type"] = "text/plain; charset=utf-8"
  return status, headers, ("%d %s\n%s"):format(status, http.status[status], text and text .. "\n" or "")
end

-- ---- which file is meant ------------------------------------------------------------------------

-- The names on the way from the root, decoded once, and whether a slash stands at the end; or nil, a
-- status and why. A name can hold neither a slash nor a NUL, and none leads upwards.
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

-- What the targets stand for that were asked for last, since the same ones come again and again: the `names`
-- on the way, the `path` of what is to be opened, and whether it is a folder; or a `status` and why. The
-- table fills itself.
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

-- What root:open() could not open, as a response.
local STATUS_OF <const> = { absent = 404, denied = 403, unfit = 403, failed = 500 }

-- ---- folders ------------------------------------------------------------------------------------

local function encoded(names)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = http.encode(name) end
  return "/" .. table.concat(parts, "/")
end

-- What is served of a folder: files and folders, and links to such that do not lead out.
local function served(path, list)
  local entries = {}
  for _, entry in ipairs(list) do
    local about = entry.kind == "link" and root:stat(join(path, entry.name)) or entry
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

local PAGE <const> = [[
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title></head>
<body><h1>%s</h1><table>
%s</table></body></html>
]]

local function show(names)
  local path = table.concat(names, "/")
  local list, word = root:list(path)
  if not list then return say(STATUS_OF[word]) end
  local rows = {}
  if #names > 0 then rows[1] = '<tr><td><a href="../">../</a></td></tr>\n' end
  for _, entry in ipairs(served(path, list)) do
    rows[#rows + 1] = ('<tr><td><a href="%s">%s</a></td><td>%s</td><td>%s</td></tr>\n'):format(
      entry.link, http.escape(entry.name), os.date("!%Y-%m-%d %H:%M", entry.mtime),
      entry.is_folder and "" or entry.size)
  end
  local title = http.escape("/" .. path)
  return 200, { ["Content-Type"] = "text/html; charset=utf-8" }, PAGE:format(title, title, table.concat(rows))
end

-- ---- files --------------------------------------------------------------------------------------

-- The headers of the file at a place, made anew when it is another one than the last time. They are
-- for reading only.
local function headers_of(place, about)
  if about ~= place.about then
    place.about = about
    place.headers = {
      ETag = ('"%x-%x-%x.%x"'):format(about.inode, about.size, about.mtime, about.mtime_ns),
      ["Last-Modified"] = http.date(about.mtime),
      ["Content-Type"] = type_of(place.is_folder and INDEX or place.path),
      ["Accept-Ranges"] = "bytes",
    }
  end
  return place.headers
end

local function send_part(headers, file, first, last, size)
  local more = { ["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, size) }
  for name, value in pairs(headers) do more[name] = value end
  file:seek("set", first)
  return 206, more, { file = file, length = last - first + 1 }
end

local function send(request, place, about, file)
  local headers, fields = headers_of(place, about), request.headers
  local status = conditions.check(fields, headers.ETag, about.mtime)
  if status then
    file:close()
    return status, { ETag = headers.ETag, ["Last-Modified"] = headers["Last-Modified"] }
  end
  if request.method == "GET" and fields.range then
    local first, last = conditions.range(fields, about.size, headers.ETag, about.mtime)
    if first then return send_part(headers, file, first, last, about.size) end
    if first == false then
      file:close()
      return say(416, nil, { ["Content-Range"] = ("bytes */%d"):format(about.size) })
    end
  end
  return 200, headers, { file = file, length = about.size }
end

-- ---- requests -----------------------------------------------------------------------------------

local function serve(request)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    if not http.methods[request.method] then return say(501, "the method is not known") end
    return say(405, "a folder is only read", { Allow = "GET, HEAD" })
  end
  local place = PLACES[request.target]
  if place.status then return say(place.status, place.why) end

  local about, file, message = root:open(place.path, place.about)
  if not about then return say(STATUS_OF[file], file == "failed" and message or nil) end
  if about.kind == "file" then
    if not place.is_folder then return send(request, place, about, file) end
    file:close()
    return say(404)
  end

  if not place.is_folder then
    local _, query = http.split(request.target)
    return say(301, nil, { Location = encoded(place.names) .. "/" .. (query and "?" .. query or "") })
  end
  about, file = root:open(join(place.path, INDEX), place.about)
  if file and about and about.kind == "file" then return send(request, place, about, file) end
  return show(place.names)
end

return http.serve(serve, {
  max = 64 * 1024,
  settings = { root = "the folder that is served (default: PARLANCE_ROOT in the environment, else the current one)" },
})
