---@meta parlance.files
-- For editors only: what `require "parlance.files"` gives a script. The module itself is in C.

--- Access to files and folders beneath a root only. "..", absolute paths, symbolic links and a rename at the same time
--- cannot lead out of the root, so names may come from the network unchecked.
---
---     local root = assert(files.root "/srv/www")
---     local about, file = root:open "a/b.txt"
---
--- After a failure, the functions return nil, a word and a message. The word is "absent" (the path does not exist, or is
--- outside), "denied", "unfit" (neither a file nor a folder), "busy" (no descriptor or memory is left) or "failed".
---@class parlance.files
local files = {}

---@alias parlance.files.Word "absent"|"denied"|"unfit"|"busy"|"failed"

---@class parlance.files.About
---@field kind "file"|"folder"|"link"|"other"
---@field size integer bytes
---@field mtime integer seconds since 1970 of the last change
---@field mtime_ns integer nanoseconds after that second
---@field ctime integer seconds since 1970 of the last change of the bytes or of a property; no program can set it
---@field ctime_ns integer nanoseconds after that second
---@field inode integer
---@field device integer

---@class parlance.files.Entry: parlance.files.About
---@field name string

---@class parlance.files.Root
local Root = {}

--- Opens a folder. The root stays this folder, even if it gets another name.
---@param path string
---@param options? { links?: boolean } links = false: no symbolic link is followed; default: links that stay inside are
---@return parlance.files.Root?
---@return parlance.files.Word?
---@return string? message
function files.root(path, options) end

--- Opens a regular file for reading, and returns its description and the file. For a folder it returns only the
--- description. It never waits, not even for a FIFO. The file is like one from io.open. A response with
--- { file = f, length = n } costs least if the file was not used before.
---@param path string relative to the root; "" is the root
---@param last? parlance.files.About the result of an earlier call: it is returned again if the file has not changed
---@return parlance.files.About?
---@return file*|parlance.files.Word?
---@return string? message
function Root:open(path, last) end

--- Returns the description of a file of any kind. Links are followed.
---@param path string
---@return parlance.files.About?
---@return parlance.files.Word?
---@return string? message
function Root:stat(path) end

--- Returns the entries of a folder in no particular order. Links are not followed.
---@param path string
---@param limit? integer the most entries; default 10000
---@return parlance.files.Entry[]?
---@return parlance.files.Word?
---@return string? message
function Root:list(path, limit) end

--- Closes the root now. A root may also be a `<close>` variable, and the garbage collector closes it.
function Root:close() end

return files
