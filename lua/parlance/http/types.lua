-- The media type of a file, found by the extension of its name.

local TEXT <const> = "text/plain; charset=utf-8"

local types = {
  c = TEXT, conf = TEXT, h = TEXT, ini = TEXT, log = TEXT, py = TEXT, sh = TEXT, toml = TEXT, yaml = TEXT, yml = TEXT,
  m4v = "video/mp4", mkv = "video/matroska", mov = "video/quicktime", ts = "video/mp2t",
    vtt = "text/vtt; charset=utf-8",
  aac = "audio/aac", avif = "image/avif", bmp = "image/bmp", bz2 = "application/x-bzip2",
  css = "text/css; charset=utf-8", csv = "text/csv; charset=utf-8",
  epub = "application/epub+zip", flac = "audio/flac", gif = "image/gif", gz = "application/gzip",
  htm = "text/html; charset=utf-8", html = "text/html; charset=utf-8", ico = "image/vnd.microsoft.icon",
  jpeg = "image/jpeg", jpg = "image/jpeg", js = "text/javascript; charset=utf-8",
  json = "application/json", lua = TEXT, m4a = "audio/mp4",
  map = "application/json", md = "text/markdown; charset=utf-8", mjs = "text/javascript; charset=utf-8",
  mp3 = "audio/mpeg", mp4 = "video/mp4", oga = "audio/ogg", ogg = "audio/ogg", ogv = "video/ogg",
  opus = "audio/ogg", otf = "font/otf", pdf = "application/pdf", png = "image/png",
  rss = "application/rss+xml", svg = "image/svg+xml", tar = "application/x-tar", tif = "image/tiff",
  tiff = "image/tiff", ttf = "font/ttf", txt = TEXT, wasm = "application/wasm",
  wav = "audio/wav", webm = "video/webm", webmanifest = "application/manifest+json",
  webp = "image/webp", woff = "font/woff", woff2 = "font/woff2", xhtml = "application/xhtml+xml",
  xml = "application/xml", xz = "application/x-xz", zip = "application/zip",
}

-- Files without an extension that are text.
local whole_names = {}
for name in ("AUTHORS CHANGELOG CHANGES CONTRIBUTING COPYING Dockerfile INSTALL LICENCE LICENSE Makefile NEWS NOTICE "
  .. "README TODO"):gmatch "%S+" do whole_names[name] = TEXT end

--- Returns the media type for the name; "application/octet-stream" if the name is not known.
---@param name string may be a path
---@return string
return function(name)
  local ending = name:match "^.*[^/]%.(%w+)$"
  return ending and types[ending:lower()] or whole_names[name:match "[^/]*$"] or "application/octet-stream"
end
