-- A script that runs pieces of Lua with its module `socket`, and what asks it. spec/parlance/socket_spec.lua and
-- spec/parlance/udp_spec.lua run the same pieces with LuaSocket.

local luasocket = require "socket"

local HOST <const> = "127.0.0.1"

-- What a piece of Lua returns or raises, as text. The place of an error is left out.
local SHOW <const> = [[
  local function show(is_well, ...)
    local all = table.pack(...)
    for i = 1, all.n do
      local text = tostring(all[i])
      if not is_well then text = text:gsub("^.-:%d+: ", "") end
      all[i] = ("%q"):format(text):gsub("\n", "n")
    end
    return (is_well and "" or "raised ") .. table.concat(all, " ")
  end
  return function(code, ...) return show(pcall(assert(load(code)), ...)) end
]]

local run <const> = assert(load(SHOW))()

-- Answers each line with what it returns as a piece of Lua that gets `socket`, HOST and the port.
local function script(port, rest)
  return ([[
    local framing = require "parlance.framing"
    local socket = require "socket"
    parlance = require "parlance"
    local run = (function() %s end)()
    kept = {}
    local Lines = {
      request_complete = framing.line { max = 100000 }, close_when_done = false, idle_timeout = 0, max_request = 200000,
    }
    function Lines:make_response() return run(self.request, socket, "%s", %d) .. "\n" end
    %s
    return Lines
  ]]):format(SHOW, HOST, port, rest or "")
end

local function begin(client, code) client:send((code:gsub("\n", " ")) .. "\n") end

local function ask(client, code)
  begin(client, code)
  return (client:receive_until "\n":sub(1, -2))
end

-- Runs the cases with LuaSocket and in the script. Returns what they tell differently, as text.
local function differences(cases, client, port)
  local lines = {}
  for _, case in ipairs(cases) do
    local expected, told = run(case.code, luasocket, HOST, port), ask(client, case.code)
    if told ~= expected then lines[#lines + 1] = ("%s:\n  %s\n  %s\n"):format(case.name, expected, told) end
  end
  return table.concat(lines)
end

return { HOST = HOST, script = script, begin = begin, ask = ask, differences = differences }
