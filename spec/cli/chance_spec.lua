-- What is chance in a script is the same in each run of a tool with one seed.

local process = require("parlance_spec").process
local server = require "support.server"

local BINARY <const> = assert(os.getenv "PARLANCE_BINARY", "run me through ctest")

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

-- A script that answers a line with what `body` returns.
local function write(body, name)
  local path = folder .. "/" .. (name or "chance.lua")
  server.write_file(path, ([[
local framing = require "parlance.framing"
local Chance = { close_when_done = false, request_complete = framing.line { max = 100 } }
function Chance:make_response()
  %s
end
return Chance]]):format(body))
  return path
end

local function check(path, answer, ...)
  server.write_file(folder .. "/t.transcript", '> "x\\n"\n< ' .. answer .. "\n")
  return server.run { "check", path, folder .. "/t.transcript", ... }
end

-- The keys of a table, as pairs() gives them.
local KEYS <const> = [[
  local keys = {}
  for key in pairs { alpha = 1, beta = 2, gamma = 3, delta = 4, epsilon = 5 } do keys[#keys + 1] = key end
  return table.concat(keys, " ") .. "\n"]]

-- These depend on addresses. A sanitized build has its memory from malloc(), where other threads allocate, too.
local OF_ADDRESSES <const> = {
  ["the order of pairs()"] = true, ["the order of tables as keys"] = true, ["an address"] = true,
}

describe("chance in the tools", function()
  -- Each of these differs from run to run in a server.
  for name, body in pairs {
    ["the order of pairs()"] = KEYS,
    ["the order of tables as keys"] = [[
      local keys, names = {}, {}
      for i = 1, 20 do keys[{}] = i end
      for _, i in pairs(keys) do names[#names + 1] = i end
      return table.concat(names, " ") .. "\n"]],
    ["an address"] = "return tostring {} .. '\\n'",
    ["math.random"] = "return math.random(1 << 40) .. '\\n'",
    ["math.randomseed"] = "math.randomseed() return math.random(1 << 40) .. '\\n'",
    ["os.clock"] = "return os.clock() .. '\\n'",
    ["os.date"] = "return os.date '%c %z' .. '\\n'",
    ["the time of a date"] = "return os.time { year = 2026, month = 7, day = 1, hour = 0 } .. '\\n'",
  } do
    it("is the same in two runs: " .. name, function()
      if server.is_sanitized and OF_ADDRESSES[name] then return pending "its memory is that of malloc()" end
      local path = write(body)
      local first = { check(path, '"?"') }
      assert.equal(1, first[1])
      assert.same(first, { check(path, '"?"') })
      assert.same(first, { check(path, '"?"', "--seed", "1") })
    end)
  end

  it("does not depend on the time zone, nor on the length of paths or of the environment", function()
    if server.is_sanitized then return pending "its memory is that of malloc()" end
    local body = KEYS:gsub("return ", "return os.date '%%X ' .. ")
    local said = select(2, check(write(body), '"?"')):match "got +(%b\"\")"
    assert.matches("00:00:00 ", said)
    local long = write(body, ("long"):rep(20) .. ".lua")
    server.write_file(folder .. "/t.transcript", '> "x\\n"\n< "?"')
    local child <close> = assert(process.spawn({ BINARY, "check", long, folder .. "/t.transcript" }, {
      stdout = folder .. "/out", env = { TZ = "America/Lima", MORE = ("x"):rep(5000) },
    }))
    child:wait(server.DEADLINE)
    assert.equal(said, server.read_file(folder .. "/out"):match "got +(%b\"\")")
  end)

  it("is another one with another seed, which is told with a finding", function()
    local path = write(KEYS)
    local said = {}
    for seed = 1, 8 do
      local text = select(2, check(path, '"?"', "--seed", tostring(seed)))
      assert.matches("\n  seen with %-%-seed " .. seed .. "\n", text)
      said[text:match "got +(%b\"\")"] = true
    end
    assert.is_truthy(next(said, (next(said))))
  end)

  it("is a finding if an answer depends on the order of pairs()", function()
    local path = write(KEYS)
    local _, said = check(path, '"?"')
    local status, found = check(path, said:match "got +(%b\"\")")
    assert.equal(1, status)
    assert.matches("when tables have another order: it depends on the order of pairs%(%)", found)
    assert.equal(0, (check(write(KEYS:gsub("return ", "table.sort(keys) return ")),
      '"alpha beta delta epsilon gamma\\n"')))
  end)

  it("is no finding if it is a number of math.random", function()
    local path = write "return math.random(1 << 40) .. '\\n'"
    local _, said = check(path, '"?"')
    server.write_file(folder .. "/t.transcript", 'fresh\n> "x\\n"\n< ' .. said:match "got +(%b\"\")")
    assert.equal(0, (server.run { "check", path, folder .. "/t.transcript" }))
  end)

  it("leaves the collector to rest in a play, and runs finalizers at its end", function()
    local path = write [[
      local log = require("parlance").log
      setmetatable({}, { __gc = function() ended = (ended or 0) + 1 end })
      local garbage
      for _ = 1, 20000 do garbage = { {} } end
      local before = ended
      ended = 0
      return (before or "none") .. "\n"]]
    server.write_file(folder .. "/t.transcript",
      'fresh\n> "x\\n"\n< "none\\n"\n> "x\\n"\n< "0\\n"\n')
    assert.equal(0, (server.run { "check", path, folder .. "/t.transcript" }))
  end)

  it("ends the rest when a play makes much garbage", function()
    if server.is_sanitized then return pending "so much memory takes a sanitizer too long" end
    local path = write [[
      local last
      for i = 1, 80 do last = ("x"):rep(1000000) .. i end
      return (collectgarbage "count" < 75000 and #last or "too much") .. "\n"]]
    server.write_file(folder .. "/t.transcript", '> "x\\n"\n< "1000002\\n"')
    assert.equal(0, (server.run { "check", "--call-timeout", "10", "--seconds", "1", path, folder .. "/t.transcript" }))
  end)

  it("makes the same of fuzz, too", function()
    local path = write "if #self.request > 2 then error(next { a = 1, b = 2, c = 3, d = 4 }) end return 'x'"
    local first = { server.run { "fuzz", "--seed", "7", "--seconds", "5", path } }
    assert.equal(1, first[1])
    assert.same(first, { server.run { "fuzz", "--seed", "7", "--seconds", "5", path } })
  end)
end)
