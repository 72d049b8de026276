-- One test case: the scripts that it has loaded, their clients, and the events that were logged.

local Client = require "parlance.harness.client"
local Sender = require "parlance.harness.sender"
local Upstream = require "parlance.harness.upstream"
local advance = require "parlance.workbench.advance"
local complain = require "parlance.harness.complain"
local log = require "parlance.workbench.log_line"
local patience = require "parlance.workbench.patience"
local quote = require "parlance.harness.quote"
local play_upstreams = require "parlance.workbench.upstreams"
local simulator = require "parlance.harness.simulator"
local temp = require "parlance.workbench.temp"

---@class parlance.harness.Options
---@field host? string the client's address; default "192.0.2.1"
---@field port? integer the client's; by default each has one of its own
---@field name? string the client's, as the server looks it up (`self.host`)
---@field server? { host?: string, port?: integer } where it connects to; default 127.0.0.1:8888
---@field tls? parlance.Tls the client connects with TLS: what the script is to find in `self.tls`
---@field proxy? parlance.Proxy what a proxy has told: what the script is to find in `self.proxy`
---@field read_ahead? integer how much the client's machine takes in before it is received; default 1 MiB
---@field may_fail? boolean errors of the script in this conversation are logged, as in the server, not raised
---@field max_request? integer bytes; this and what follows is for the script: the first open() counts
---@field max_unsent? integer bytes that wait for a client that was sent to
---@field max_tasks? integer that run beside the requests
---@field request_timeout? number seconds; 0: none
---@field idle_timeout? number
---@field write_timeout? number
---@field response_timeout? number
---@field call_timeout? number in the time that is really used; default 1
---@field memory_limit? integer bytes
---@field time? number what os.time() says when the script is loaded; default 0
---@field environment? table<string, string|false> what os.getenv() finds; false: nothing
---@field settings? table<string, string> parlance.settings; ${TEMP} in a text is the script's folder, as above
---@field allow_effects? boolean the script may write files: see docs/checking.md, "Effects"

-- The options for load() of the simulator, with functions that convert them to its units.
local function in_bytes(value) return value end
local function in_ms(value) return math.floor(value * 1000 + 0.5) end
local FOR_SCRIPTS <const> = {
  max_request = in_bytes, max_tasks = in_bytes, max_unsent = in_bytes, memory_limit = in_bytes, request_timeout = in_ms,
  idle_timeout = in_ms, write_timeout = in_ms, response_timeout = in_ms, call_timeout = in_ms, time = in_bytes,
  allow_effects = in_bytes,
}

local TYPES <const> = {
  host = "string", port = "number", name = "string", server = "table", tls = "table", proxy = "table",
  read_ahead = "number",
  may_fail = "boolean",
  max_request = "number", max_tasks = "number", max_unsent = "number", request_timeout = "number",
  idle_timeout = "number", write_timeout = "number", response_timeout = "number", call_timeout = "number",
  memory_limit = "number", time = "number", environment = "table", settings = "table", allow_effects = "boolean",
}

---@class parlance.harness.UpstreamOptions
---@field tls? boolean the script must connect with TLS
---@field failure? "refused"|"unreachable"|"name"|"timeout"|"certificate"|"handshake" how each connect to it fails
---@field why? string the reason that the script gets

local UPSTREAM_TYPES <const> = { tls = "boolean", failure = "string", why = "string" }
local UPSTREAM_FAILURES <const> = {
  refused = true, unreachable = true, name = true, timeout = true, certificate = true, handshake = true,
}

-- These events in the log mean that the script or its files have a fault.
local FAULTS <const> = {
  script_error = true, script_overrun = true, out_of_memory = true, file_error = true, reload_failed = true,
  close_failed = true,
}

---@class parlance.harness.Case
---@field private simulator table parlance.simulator
---@field private scripts table[] { path =, script =, options =, environment = } in the order in which they were loaded
---@field private environment table<string, string|false> the values of variables before the first open()
---@field package clients (parlance.harness.Client|parlance.harness.Sender)[]
---@field package upstreams parlance.harness.Upstream[]
---@field events parlance.harness.Event[]
local Case = {}
Case.__index = Case

---@return parlance.harness.Case
function Case.new()
  return setmetatable({
    simulator = simulator.require(), scripts = {}, environment = {}, clients = {}, upstreams = {},
    events = {},
  }, Case)
end

local function check_options(options, types)
  for name, value in pairs(options) do
    local expected <const> = types[name]
    if not expected then complain(("there is no option %q"):format(tostring(name))) end
    if type(value) ~= expected then complain(("the option %s must be a %s"):format(name, expected)) end
  end
end

local function set_environment(self, environment)
  for name, value in pairs(environment or {}) do
    if self.environment[name] == nil then self.environment[name] = os.getenv(name) or false end
    self.simulator.setenv(name, value or nil)
  end
end

-- Returns a copy of the table in which ${TEMP} is replaced by the script's folder.
local function expand(texts, folder, why)
  local expanded <const> = {}
  for name, text in pairs(texts or {}) do
    local is_text <const> = type(text) == "string"
    expanded[name] = is_text and (temp.expand(text, folder) or complain(why)) or text
  end
  return expanded
end

local function load_script(self, path, options)
  local folder <const>, no_folder <const> = temp.make(self.simulator)
  local given <const> = {
    modules = simulator.modules, temp = folder, settings = expand(options.settings, folder, no_folder),
  }
  for name, convert in pairs(FOR_SCRIPTS) do
    if options[name] then given[name] = convert(options[name]) end
  end
  local environment <const> = expand(options.environment, folder, no_folder)
  set_environment(self, environment)
  local script, why = self.simulator.load(path, given)
  if not script then complain(why) end
  self.scripts[#self.scripts + 1] = { path = path, script = script, options = options, environment = environment }
  self:join(script)
  return script
end

local function is_same(value, before)
  if type(value) ~= "table" then return value == before end
  for name, text in pairs(value) do
    if not before or before[name] ~= text then return false end
  end
  return true
end

-- Raises if an option for the script differs from those that it was loaded with.
local function check_loaded(one, options)
  for name, value in pairs(options) do
    local is_for_script <const> = FOR_SCRIPTS[name] or name == "environment" or name == "settings"
    if is_for_script and not is_same(value, one.options[name]) then
      complain(("%s is loaded already: the option %s is for the first open()"):format(one.path, name))
    end
  end
end

-- Returns the script of this path. The first call loads it.
local function find_script(self, path, options)
  for _, one in ipairs(self.scripts) do
    if one.path == path then
      check_loaded(one, options)
      return one.script
    end
  end
  return load_script(self, path, options)
end

local function open(self, name, class, path, options)
  if type(path) ~= "string" then complain(name .. "() takes the path of a script") end
  check_options(options, TYPES)
  local client <const> = class.new(self, find_script(self, path, options), options, #self.clients)
  client:pump()
  self:check()
  return client
end

---@param path string
---@param options? parlance.harness.Options
---@return parlance.harness.Client
function Case:open(path, options)
  return open(self, "open", Client, path, options or {})
end

---@param path string
---@param options? parlance.harness.Options
---@return parlance.harness.Sender
function Case:open_udp(path, options)
  return open(self, "open_udp", Sender, path, options or {})
end

---@param seconds number
function Case:advance(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then
    complain "advance() takes a number of seconds from 0 to 1e9"
  end
  local function read() self:pump() end
  for _, one in ipairs(self.scripts) do advance(one.script, seconds, read) end
  self:check()
end

--- Moves the time until `is_over()` returns true; see patience.lua.
---@param is_over fun(): boolean
---@param read fun(): integer
---@package
function Case:await(is_over, read)
  local function each(name, choose)
    local found
    for _, one in ipairs(self.scripts) do
      local value <const> = one.script[name](one.script)
      found = found and value and choose(found, value) or found or value
    end
    return found
  end
  patience({
    response_timeout = function() return each("response_timeout", math.max) end,
    task_deadline = function() return each("task_deadline", math.min) end,
    advance = function(_, seconds) self:advance(seconds) end,
  }, is_over, read)
end

function Case:reload()
  for _, one in ipairs(self.scripts) do
    set_environment(self, one.environment)
    one.script:reload(true)
  end
  self:pump()
  self:check()
end

function Case:drain()
  for _, client in ipairs(self.clients) do client:drain() end
  self:check()
end

---@package
function Case:pump()
  for _, client in ipairs(self.clients) do client:pump() end
  for _, upstream in ipairs(self.upstreams) do upstream:pump() end
end

local function party_of(upstream, nth)
  local options <const> = upstream.options
  return { name = tostring(nth), address = upstream.address, tls = options.tls, failure = options.failure,
    why = options.why or options.failure }
end

-- The script meets the upstreams. Those are parties of the script that was opened last.
function Case:join(script)
  local list <const> = {}
  for i, upstream in ipairs(self.upstreams) do list[i] = party_of(upstream, i) end
  local parties <const> = play_upstreams(script, list)
  for i, upstream in ipairs(self.upstreams) do upstream:join(parties[tostring(i)]) end
end

---@param address string
---@param options? parlance.harness.UpstreamOptions
---@return parlance.harness.Upstream
function Case:upstream(address, options)
  if type(address) ~= "string" then complain "upstream() takes an address, such as \"127.0.0.1:6379\"" end
  options = options or {}
  check_options(options, UPSTREAM_TYPES)
  local failure <const> = options.failure
  if failure and not UPSTREAM_FAILURES[failure] then
    complain(("%q is no way to fail: refused, unreachable, name, timeout, certificate or handshake"):format(failure))
  end
  local upstream <const> = Upstream.new(self, address, options)
  self.upstreams[#self.upstreams + 1] = upstream
  if #self.scripts > 0 then self:join(self.scripts[#self.scripts].script) end
  return upstream
end

function Case:close()
  for _, client in ipairs(self.clients) do client:leave "this conversation was ended by harness.close()" end
  for _, one in ipairs(self.scripts) do one.script:close() end
  for name, value in pairs(self.environment) do self.simulator.setenv(name, value or nil) end
  self:check()
end

-- ---- the log ------------------------------------------------------------------------------------

-- Returns the client in whose conversation the event happened, or nil.
local function find_client(self, fields)
  for _, client in ipairs(self.clients) do
    if client.host == fields.peer and tostring(client.port) == fields.port then return client end
  end
end

local function describe(event, more)
  local lines <const> = { event.event .. ": " .. (event.fields.detail or event.text) }
  if event.fields.text then lines[#lines + 1] = "what was buffered: " .. quote(event.fields.text) end
  if more > 0 then lines[#lines + 1] = ("and %d more: see harness.log()"):format(more) end
  return table.concat(lines, "\n")
end

--- Reads new log lines into `events`. Raises a script's first fault, unless its client has `may_fail`.
---@package
function Case:check()
  local first, more = nil, 0
  local lines <const>, lost <const> = self.simulator.log()
  for _, line in ipairs(lines) do
    local event <const> = log.parse(line.text)
    local client <const> = find_client(self, event.fields)
    self.events[#self.events + 1] = event
    if client then client.detail = client.detail or event.fields.detail end -- The first one counts.
    if FAULTS[event.event] and not (client and client.may_fail) then
      if first then more = more + 1 end
      first = first or event
    end
  end
  if lost > 0 then
    local text <const> = ("warn lines_lost count=%d"):format(lost)
    self.events[#self.events + 1] = log.parse("- " .. text)
  end
  if first then complain(describe(first, more)) end
end

return Case
