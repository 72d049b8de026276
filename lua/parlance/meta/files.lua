---@meta parlance.files
-- For editors only: what `require "parlance.files"` gives a script. The module itself is in C.

--- Files and folders beneath a root, and none outside: no "..", no absolute path, no symbolic link and
--- no race with a rename leads out. Names may come from the network as they are.
---
---     local root = assert(files.root "/srv/www")
---     local about, file = root:open "a/b.txt"
---
--- What the world does comes back as nil, a word and a text: "absent" (it is not there, or outside),
--- "denied", "unfit" (neither a file nor a folder) or "failed".
---@class parlance.files
local files = {}

---@alias parlance.files.Word "absent"|"denied"|"unfit"|"busy"|"failed"

---@class parlance.files.About
---@field kind "file"|"folder"|"link"|"other"
---@field size integer bytes
---@field mtime integer seconds since 1970 of the last change
---@field mtime_ns integer and the nanoseconds of that second
---@field ctime integer seconds since 1970 of the last change of the bytes or of what else is known; nobody can set it
---@field ctime_ns integer and the nanoseconds of that second
---@field inode integer
---@field device integer

---@class parlance.files.Entry: parlance.files.About
---@field name string

---@class parlance.files.Root
local Root = {}

--- Opens the folder itself; it stays the same whatever becomes of its name.
---@param path string
---@param options? { links?: boolean } false: follow no symbolic link at all; else those that stay inside
---@return parlance.files.Root?
---@return parlance.files.Word?
---@return string? message
function files.root(path, options) end

--- Opens a regular file for reading, or finds a folder (without a file then). Never waits, not even
--- for a FIFO. The file is one as from io.open; a part of it, { file = f, length = n }, costs least in
--- a response if nothing was done with it before.
---@param path string relative to the root; "" is the root
---@param last? parlance.files.About of an earlier call: this table comes back if the file has not changed
---@return parlance.files.About?
---@return file*|parlance.files.Word?
---@return string? message
function Root:open(path, last) end

--- What a path stands for, of whatever kind, behind its links.
---@param path string
---@return parlance.files.About?
---@return parlance.files.Word?
---@return string? message
function Root:stat(path) end

--- What is in a folder, in no order. Links are not followed.
---@param path string
---@param limit? integer of entries; default 10000
---@return parlance.files.Entry[]?
---@return parlance.files.Word?
---@return string? message
function Root:list(path, limit) end

--- Gives it up at once. A root may also be a `<close>` variable, or be forgotten.
function Root:close() end

return files
