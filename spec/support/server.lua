-- Runs the server as a process, on free ports, and talks to it through sockets. Every wait has a deadline, and every
-- server is stopped after its test.
--
--     local server = require "support.server"
--     server.for_each_poller(function(poller)
--       it("answers", function()
--         local echo = server.start("protocols/echo.lua", { poller = poller })
--         assert.equal("hello\n", echo:connect():exchange("hello\n", 6))
--       end)
--     end)
--
-- If a function here fails, it raises an error with what it waited for and the log of the server.

local busted = require "busted"
local lfs = require "lfs"
local process = require("parlance_spec").process
local socket = require "socket"
local unix = require "socket.unix"

local BINARY <const> = assert(os.getenv "PARLANCE_BINARY", "run me through ctest")
local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")
local SERVER_ENV <const> = os.getenv "PARLANCE_SERVER_ENV" or ""

-- Long enough for a slow machine with other tests beside this one; only failures take so long.
local DEADLINE <const> = 30
local CONT <const>, STOP <const>, TERM <const> = 18, 19, 15

local server = {
  DEADLINE = DEADLINE,
  SOURCE = SOURCE,
  BINARY = BINARY,
  is_sanitized = SERVER_ENV ~= "", -- memory and speed are not those of a release
}

-- ---- waiting ----------------------------------------------------------------------------------

--- Calls a function until its result is true, and returns the result. Raises an error when the time is over.
---@generic T
---@param what string what is waited for, for the error
---@param ask fun(): T?
---@param seconds? number
---@return T
function server.wait_until(what, ask, seconds)
  local deadline = process.now() + (seconds or DEADLINE)
  local pause = 0.001
  while true do
    local answer = ask()
    if answer then return answer end
    if process.now() > deadline then error("waited in vain for " .. what, 2) end
    socket.sleep(pause)
    pause = math.min(pause * 2, 0.02)
  end
end

-- ---- clients ----------------------------------------------------------------------------------

---@class spec.Client
---@field socket any of luasocket
local Client = {}
Client.__index = Client

-- Formats received bytes for an error.
local function shown(bytes)
  return #bytes <= 200 and ("%q"):format(bytes) or ("%q... (%d bytes)"):format(bytes:sub(1, 200), #bytes)
end

local function new_client(connected, running)
  connected:settimeout(DEADLINE, "t")
  return setmetatable({ socket = connected, server = running }, Client)
end

--- Sends all bytes, or raises an error.
function Client:send(bytes)
  local sent, why, count = self.socket:send(bytes)
  if sent ~= #bytes then error(("sent %d of %d bytes: %s"):format(count or sent, #bytes, why), 2) end
  return self
end

--- Sends each piece after the server has read the one before: see Server:turn().
function Client:send_pieces(pieces)
  for _, piece in ipairs(pieces) do
    self:send(piece)
    self.server:turn()
  end
  return self
end

--- Sends the bytes one by one.
function Client:send_bytes(bytes)
  local pieces = {}
  for place = 1, #bytes do pieces[place] = bytes:sub(place, place) end
  return self:send_pieces(pieces)
end

--- Receives exactly so many bytes, or raises an error.
function Client:receive(count)
  if count == 0 then return "" end
  local bytes, why, part = self.socket:receive(count)
  if not bytes then
    error(("wanted %d bytes, %s after %s"):format(count, why, shown(part)), 2)
  end
  return bytes
end

--- Receives all bytes up to the end of this text, or raises an error.
function Client:receive_until(text)
  local bytes = ""
  while bytes:sub(-#text) ~= text do bytes = bytes .. self:receive(1) end
  return bytes
end

--- Receives all bytes until the server closes. Raises an error if it does not, or if it resets the connection.
function Client:receive_all()
  local bytes, why, part = self.socket:receive("*a")
  if not bytes and why ~= "closed" then
    error(("wanted the end, %s after %s"):format(why, shown(part)), 2)
  end
  return bytes or part
end

--- Receives all bytes until the connection ends. The second result tells how: "closed", or the error.
function Client:receive_rest(seconds)
  self.socket:settimeout(seconds or DEADLINE, "t")
  local bytes, why, part = self.socket:receive("*a")
  self.socket:settimeout(DEADLINE, "t")
  return bytes or part, bytes and "closed" or why
end

--- Whether nothing comes within so many seconds, not even the end.
function Client:is_quiet(seconds)
  self.socket:settimeout(seconds, "t")
  local byte, why = self.socket:receive(1)
  self.socket:settimeout(DEADLINE, "t")
  return not byte and why == "timeout"
end

--- Sends, and returns so many bytes of the response.
function Client:exchange(bytes, count)
  self:send(bytes)
  return self:receive(count)
end

--- Sends, half-closes, and returns all bytes that come back.
function Client:exchange_all(bytes)
  self:send(bytes)
  self:half_close()
  return self:receive_all()
end

--- Sends the pieces that a function returns until it returns nil, or until the server has taken no byte for so many
--- seconds. Returns how many bytes the server took.
function Client:send_until_full(next_piece, seconds)
  local total = 0
  self.socket:settimeout(seconds)
  while true do
    local piece = next_piece()
    if not piece then break end
    local sent, _, count = self.socket:send(piece)
    total = total + (sent or count)
    if not sent then break end
  end
  self.socket:settimeout(nil)
  self.socket:settimeout(DEADLINE, "t")
  return total
end

function Client:half_close()
  assert(self.socket:shutdown("send"))
end

--- Ends the connection with a RST.
function Client:reset()
  assert(self.socket:setoption("linger", { on = true, timeout = 0 }))
  self.socket:close()
end

function Client:close()
  self.socket:close()
end

-- ---- servers ----------------------------------------------------------------------------------

---@class spec.Server
---@field addresses spec.Address[] in the order in which they were logged
---@field folder string for the scripts and other files of the spec
local Server = {}
Server.__index = Server

---@class spec.Address
---@field service string
---@field text string as it was logged
---@field host? string
---@field port? integer
---@field path? string of a Unix socket

---@class spec.Options
---@field poller? "epoll"|"select"
---@field binary? string run instead of parlance
---@field name? string the file's name, without ".lua"
---@field listen? string[] addresses; a free port of 127.0.0.1 without it
---@field [integer] string command line options that stand before the script
---@field env? table<string, string> is added to its environment
---@field pass? integer[] descriptors that it finds from 3 on, as systemd passes sockets
---@field listeners? integer how many addresses it logs, if that is not the length of `listen`
---@field rlimit_nofile? integer
---@field turns? boolean makes Server:turn() possible
---@field log_file? boolean the log goes there with --log-file, and standard error to the file "stderr"
---@field log_pipe? boolean its standard error is a pipe, see Server:read_log()

local running = {}

local function environment_of(options)
  local environment = {}
  for name, value in SERVER_ENV:gmatch "(%S-)=(%S*)" do environment[name] = value end
  for name, value in pairs(options.env or {}) do environment[name] = value end
  return environment
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function remove_folder(folder)
  for name in lfs.dir(folder) do
    if name ~= "." and name ~= ".." then os.remove(folder .. "/" .. name) end
  end
  lfs.rmdir(folder)
end

local function new_folder()
  local path = os.tmpname()
  assert(os.remove(path))
  assert(lfs.mkdir(path))
  return path
end

-- Returns the path of a script, which is a path in the project, or a text that is written to a file.
local function path_of(script, folder, name)
  if not script:find "\n" and script:find "%.lua$" then
    return script:sub(1, 1) == "/" and script or SOURCE .. "/" .. script
  end
  local path = ("%s/%s.lua"):format(folder, name)
  write_file(path, script)
  return path
end

local function add_service(argv, folder, script, options, place)
  for _, word in ipairs(options) do argv[#argv + 1] = tostring(word) end
  local listen = options.listen or { "127.0.0.1:0" }
  for _, address in ipairs(listen) do
    argv[#argv + 1] = "--listen"
    argv[#argv + 1] = address
  end
  argv[#argv + 1] = path_of(script, folder, options.name or "script" .. place)
  return #listen
end

local function parse_address(service, text)
  text = text:gsub("^tls:", "")
  local path = text:match "^unix:(.*)$"
  local host, port = text:gsub("^udp:", ""):match "^%[?([^%]]-)%]?:(%d+)$"
  return { service = service, text = text, path = path, host = host, port = tonumber(port) }
end

---@class spec.RunOptions
---@field env? table<string, string> as of spec.Options
---@field pass? integer[] as of spec.Options
---@field rlimit_nofile? integer
---@field seconds? number
---@field stdout? string
---@field cwd? string

--- Runs the binary with these arguments, and waits for its end.
---@param argv string[]
---@param options? spec.RunOptions
---@return integer? status, string stdout, string stderr
function server.run(argv, options)
  options = options or {}
  local folder = new_folder()
  local words = { BINARY, table.unpack(argv) }
  local out, err = options.stdout or folder .. "/out", folder .. "/err"
  local child <close> = assert(process.spawn(words, {
    stdout = out, stderr = err, env = environment_of(options), pass = options.pass, cwd = options.cwd,
    rlimit_nofile = options.rlimit_nofile,
  }))
  local status = child:wait(options.seconds or DEADLINE)
  child:close()
  local said, complained = options.stdout and "" or read_file(out), read_file(err)
  remove_folder(folder)
  return status, said, complained
end

-- A process of its own copies the pipe into the log.
local function open_log_pipe(self)
  local pipe = self.folder .. "/pipe"
  assert(assert(process.spawn { "mkfifo", pipe }):wait(DEADLINE) == 0, "there is no pipe")
  self.log_reader = assert(process.spawn({ "cat", pipe }, { stdout = self.folder .. "/log" }))
  return pipe
end

--- Starts a server and waits until it listens. It is stopped after the test, and must end with status 0; after an error
--- of a sanitizer it does not.
---@param scripts string|{ [1]: string, options: spec.Options }[] one script, or several
---@param options? spec.Options
---@return spec.Server
function server.start(scripts, options)
  options = options or {}
  local folder = new_folder()
  local argv, listeners = { options.binary or BINARY, "--log-level", "debug" }, 0
  if options.poller then
    argv[#argv + 1] = "--poller"
    argv[#argv + 1] = options.poller
  end
  local stderr = folder .. "/log"
  if options.log_file then
    write_file(stderr, "") -- log() can read it before the server has made it
    argv[#argv + 1], stderr = "--log-file=" .. stderr, folder .. "/stderr"
  end
  if type(scripts) == "string" then scripts = { { scripts, options = options } } end
  for place, script in ipairs(scripts) do
    listeners = listeners + add_service(argv, folder, script[1], script.options or {}, place)
  end
  listeners = options.listeners or listeners
  if options.turns then
    listeners = listeners + add_service(argv, folder, "protocols/echo.lua", {}, 0)
  end
  local self = setmetatable({ folder = folder, addresses = {}, clients = {} }, Server)
  self.process = assert(process.spawn(argv, {
    stdout = folder .. "/stdout", stderr = options.log_pipe and open_log_pipe(self) or stderr,
    env = environment_of(options), pass = options.pass, rlimit_nofile = options.rlimit_nofile,
  }))
  running[#running + 1] = self
  server.wait_until("the server to listen", function()
    local count = 0
    for service, text in self:log():gmatch "listening service=(%S+) address=(%S+) poller=%S+\n" do
      count = count + 1
      self.addresses[count] = parse_address(service, text)
    end
    if self.process:wait(0) then error("the server did not start: " .. self:log(), 0) end
    return count >= listeners
  end)
  return self
end

--- Returns the log so far.
function Server:log()
  return read_file(self.folder .. "/log")
end

--- Continues or stops the process that reads the pipe of the log. At first it runs.
---@param reads boolean
function Server:read_log(reads)
  assert(self.log_reader:signal(reads and CONT or STOP))
end

--- Returns the standard output of its scripts so far.
function Server:output()
  return read_file(self.folder .. "/stdout")
end

--- Waits until the log matches the pattern. Returns the results of string.match().
function Server:wait_for_log(pattern, seconds)
  local found
  local deadline = process.now() + (seconds or DEADLINE)
  repeat
    found = table.pack(self:log():match(pattern))
    if found[1] then return table.unpack(found) end
    socket.sleep(0.002)
  until process.now() > deadline
  error(("waited in vain for %q in the log:\n%s"):format(pattern, self:log()), 2)
end

--- Returns how often the pattern matches in the log.
function Server:count_in_log(pattern)
  return select(2, self:log():gsub(pattern, ""))
end

--- Connects to the nth address; `from` is the client's own address.
---@param nth? integer
---@param from? string
---@return spec.Client
function Server:connect(nth, from)
  local address = self.addresses[nth or 1]
  local connected
  if address.path then
    connected = unix.stream()
    connected:settimeout(DEADLINE)
    assert(connected:connect(address.path))
  else
    connected = address.host:find(":", 1, true) and socket.tcp6() or socket.tcp4()
    connected:settimeout(DEADLINE)
    if from then assert(connected:bind(from, 0)) end
    assert(connected:connect(address.host, address.port))
    connected:setoption("tcp-nodelay", true)
  end
  local client = new_client(connected, self)
  self.clients[#self.clients + 1] = client
  return client
end

--- Returns when the server has read all bytes that were sent before. It does so with two requests to a second service,
--- one after the other: the first answer may come from the same turn of the loop, but the second one cannot.
function Server:turn()
  self.turner = self.turner or self:connect(#self.addresses)
  for _ = 1, 2 do self.turner:exchange("\n", 1) end
end

--- Returns the resident memory in KiB.
function Server:memory()
  return assert(self.process:memory())
end

-- The numbers of /proc/<id>/schedstat in seconds: how long the first thread of the process has had a processor,
-- and how long it was ready to run and had none. Zeros where the kernel does not count them.
local function schedule_of(id)
  local file <close> = io.open(("/proc/%s/schedstat"):format(id))
  local ran, waited = 0, 0
  if file then ran, waited = file:read("n", "n") end
  return (ran or 0) / 1e9, (waited or 0) / 1e9
end

--- Returns the seconds of processor time, to the nanosecond if the kernel counts them.
function Server:cpu()
  local ran = schedule_of(self.process:pid())
  return ran > 0 and ran or assert(self.process:cpu())
end

--- Returns for how many seconds the loop of the server, and this process, were ready to run and had no processor: what
--- a busy machine adds to the times that a spec measures.
function Server:delay()
  local _, ours = schedule_of "self"
  local _, servers = schedule_of(self.process:pid())
  return ours + servers
end

function Server:descriptors()
  return assert(self.process:descriptors())
end

--- Returns how many children it has, zombies as well.
function Server:children()
  local id, count = self.process:pid(), 0
  for name in lfs.dir "/proc" do
    local file <close> = name:find "^%d+$" and io.open(("/proc/%s/status"):format(name))
    if file and tonumber((file:read "a" or ""):match "PPid:%s(%d+)") == id then count = count + 1 end
  end
  return count
end

function Server:terminate()
  assert(self.process:signal(TERM), "the server is gone already")
end

--- Waits for its end; returns the exit status.
function Server:wait(seconds)
  local status, how = self.process:wait(seconds or DEADLINE)
  if not status then error("the server does not stop; its log:\n" .. self:log(), 2) end
  return status, how
end

--- Asks it to stop and waits for that; returns the exit status.
function Server:stop(seconds)
  self:terminate()
  return self:wait(seconds)
end

--- Closes all connections of Server:connect(), so that the server need not wait for them when it stops.
function Server:close_clients()
  for _, client in ipairs(self.clients) do client:close() end
  self.clients = {}
end

-- Stops the process and removes its files. Returns an error text or nil.
local function clean(self)
  self:close_clients()
  if not self.looks_after_its_end then self.process:signal(TERM) end
  local status, how = self.process:wait(self.looks_after_its_end and 0 or DEADLINE)
  local log = self:log()
  if self.log_reader then self.log_reader:close() end
  self.process:close()
  remove_folder(self.folder)
  if self.looks_after_its_end then return nil end
  if status ~= 0 then return ("the server ended with %s %s; its log:\n%s"):format(how, status, log) end
end

--- Stops all servers. Raises an error if one of them has failed.
function server.stop_all()
  local all, faults = running, {}
  running = {}
  for _, each in ipairs(all) do faults[#faults + 1] = clean(each) end
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
end

--- The test itself stops the server and checks how it ends.
function Server:expect_end()
  self.looks_after_its_end = true
end

--- In a describe(): stops all servers after each test.
function server.cleans_up()
  busted.after_each(server.stop_all)
end

--- Runs the same tests for both pollers, and stops all servers after each test.
---@param body fun(poller: "epoll"|"select")
function server.for_each_poller(body)
  for _, poller in ipairs { "epoll", "select" } do
    busted.describe("with " .. poller, function()
      server.cleans_up()
      body(poller)
    end)
  end
end

server.now = process.now
server.new_folder = new_folder
server.remove_folder = remove_folder
server.read_file = read_file
server.write_file = write_file

--- Returns how many times slower this process runs because other processes use the processor.
function server.slowdown()
  local began, spent = server.now(), os.clock()
  while os.clock() - spent < 0.2 do end
  return math.max(1, (server.now() - began) / (os.clock() - spent))
end

return server
