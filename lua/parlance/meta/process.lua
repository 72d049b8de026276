---@meta parlance.process
-- For editors only: what `require "parlance.process"` gives a script. The module itself is in C.

--- Programs that a script runs. All functions and methods that wait do so without keeping anybody else waiting;
--- docs/waiting.md tells where a script may wait.
---
---     local child <close>, why = process.spawn { "git", "rev-parse", "HEAD" }
---     if not child then return "-ERR " .. why .. "\n" end
---     local hash = child.stdout:read "l"
---     local how, number = child:wait()
---
--- A program that cannot run is returned: nil, a reason and a code. Misuse is an error.
---@class parlance.process
local process = {}

---@alias parlance.process.Code "not_found"|"denied"|"busy"|"failed"|"cancelled"

---@class parlance.process.Limits
---@field cpu? number seconds of processor time, rounded up; then it gets SIGXCPU, and a second later SIGKILL
---@field memory? integer bytes of address space
---@field files? integer open descriptors, at least 3

---@class parlance.process.Options
---@field env? table<string, string|number> the whole environment; default: that of the server
---@field cwd? string its working folder
---@field stdin? boolean false: its input is empty, and there is no child.stdin
---@field stderr? "log"|"pipe"|"stdout" where its standard error goes: to the log (default), to child.stderr, or to child.stdout
---@field timeout? number seconds until its process group is ended; default and 0: no limit
---@field limits? parlance.process.Limits

--- A program that runs, or has run. It leads a process group, which is ended when the child is closed or the task ends
--- that made it: with SIGTERM, and with SIGKILL two seconds later. If a response has one of its streams, it ends with
--- that instead.
---@class parlance.Child
---@field stdin? parlance.Stream write to it; closing it ends the program's input
---@field stdout parlance.Stream read from it
---@field stderr? parlance.Stream with stderr = "pipe"
local Child = {}

--- Runs a program. No shell has a part in it. A name without "/" is looked for in the folders of the server's PATH.
---@param argv (string|number)[] the program and its arguments
---@param options? parlance.process.Options
---@return parlance.Child?
---@return string? why
---@return parlance.process.Code? code
function process.spawn(argv, options) end

--- Waits until the program has ended. Tells it again when it is asked again.
---@param seconds? number 0: does not wait
---@return "exit"|"signal"|nil how
---@return integer|string number the exit status, or the signal; or why not
---@return "timeout"|"closed"|"cancelled"? code
function Child:wait(seconds) end

--- Sends a signal to its process group.
---@param signal? integer|string a number or a name such as "INT"; default: "TERM"
---@return boolean
---@return "finished"? why
function Child:kill(signal) end

--- Ends its process group, and closes its streams. Nobody waits for that. A child may also be a `<close>` variable.
---@return true
function Child:close() end

return process
