-- The coroutine functions that scripts have are not Lua's own; each case is run by both.
local conversation = require "support.conversation"

-- A case is a function's body that returns what is to be compared.
local CASES <const> = {
  ["passes values in and out"] = [[
    local co = coroutine.create(function(...)
      local a = { coroutine.yield(select("#", ...), ...) }
      local b = { coroutine.yield(#a, table.unpack(a)) }
      return "end", #b
    end)
    return { coroutine.resume(co, 1, nil, 3) }, { coroutine.resume(co, "x") }, { coroutine.resume(co) },
      { coroutine.resume(co) }, coroutine.status(co)]],
  ["passes nils, none and many"] = [[
    local co = coroutine.wrap(function(...)
      while true do coroutine.yield(select("#", ...), select("#", coroutine.yield())) end
    end)
    return select("#", co(nil, nil)), select("#", co(nil)), select("#", co())]],
  ["passes hundreds of values"] = [[
    local function count(...) return select("#", ...) end
    local co = coroutine.wrap(function(...) return count(coroutine.yield(...)) end)
    local many = table.pack(co(table.unpack({}, 1, 5000)))
    return many.n, co(table.unpack({}, 1, 3000))]],
  ["refuses too many arguments"] = [[
    local co = coroutine.create(function(...) return select("#", ...) end)
    local ok, message = pcall(function() return coroutine.resume(co, table.unpack({}, 1, 900000)) end)
    return ok, type(message), coroutine.status(co)]],
  ["tells a dead one"] = [[
    local co = coroutine.create(function() end)
    return { coroutine.resume(co) }, { coroutine.resume(co) }, coroutine.status(co)]],
  ["tells one that died of an error"] = [[
    local co = coroutine.create(function() error "on purpose" end)
    return { coroutine.resume(co) }, { coroutine.resume(co) }, coroutine.status(co)]],
  ["tells one that runs already"] = [[
    local co
    co = coroutine.create(function() return coroutine.resume(co) end)
    return coroutine.resume(co)]],
  ["tells one that has resumed this one"] = [[
    local outer
    outer = coroutine.create(function()
      local inner = coroutine.create(function()
        return coroutine.status(outer), coroutine.resume(outer)
      end)
      return coroutine.resume(inner)
    end)
    return coroutine.resume(outer)]],
  ["keeps an error that is not a string"] = [[
    local value = {}
    local co = coroutine.create(function() error(value) end)
    local ok, got = coroutine.resume(co)
    local wrapped_ok, wrapped = pcall(coroutine.wrap(function() error(value) end))
    return ok, got == value, wrapped_ok, wrapped == value, pcall(coroutine.wrap(function() error() end))]],
  ["puts a place before an error of a wrapped one"] = [[
    local f = coroutine.wrap(function() error "inside" end)
    return pcall(function() local x = f() return x end)]],
  ["puts a place before that of a dead wrapped one"] = [[
    local f = coroutine.wrap(function() return 1 end)
    return f(), pcall(function() local x = f() return x end)]],
  ["puts a place before each level of wrapping"] = [[
    local f = coroutine.wrap(function()
      local g = coroutine.wrap(function() error("deep", 0) end)
      local x = g()
      return x
    end)
    return pcall(function() local x = f() return x end)]],
  ["is told by error levels"] = [[
    return pcall(coroutine.wrap(function() error("no place", 0) end))]],
  ["checks its arguments"] = [[
    return { pcall(coroutine.resume) }, { pcall(coroutine.resume, 1) }, { pcall(coroutine.wrap) },
      { pcall(coroutine.wrap, {}) }, { pcall(coroutine.close) }, { pcall(coroutine.close, print) },
      { pcall(coroutine.create, 1) }, { pcall(coroutine.status, nil) }]],
  ["wraps C functions"] = [[
    return coroutine.wrap(print) ~= nil, coroutine.wrap(math.max)(1, 3, 2), pcall(coroutine.wrap(error), "x")]],
  ["closes one that waits, with its variables"] = [[
    local closed
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function(_, e) closed = "a" .. tostring(e) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    return coroutine.close(co), closed, coroutine.status(co), coroutine.close(co)]],
  ["closes one that has not begun, one that is dead and one that failed"] = [[
    local failed = coroutine.create(function() error "x" end)
    coroutine.resume(failed)
    local dead = coroutine.create(function() end)
    coroutine.resume(dead)
    return coroutine.close(coroutine.create(print)), coroutine.close(dead), { coroutine.close(failed) },
      { coroutine.close(failed) }]],
  ["tells an error of a variable that is closed"] = [[
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function() error("in close", 0) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    return { coroutine.close(co) }, coroutine.status(co), { coroutine.close(co) }]],
  ["does not close one that runs or has resumed this one"] = [[
    local outer
    outer = coroutine.create(function()
      local inner = coroutine.create(function() return pcall(coroutine.close, outer) end)
      return { coroutine.resume(inner) }, { pcall(coroutine.close, outer) }
    end)
    return coroutine.resume(outer)]],
  ["closes the variables of a wrapped one that fails"] = [[
    local seen
    local f = coroutine.wrap(function()
      local a <close> = setmetatable({}, { __close = function(_, e) seen = e end })
      error("gone", 0)
    end)
    return { pcall(f) }, seen]],
  ["tells the error of a variable of a wrapped one"] = [[
    local f = coroutine.wrap(function()
      local a <close> = setmetatable({}, { __close = function() error("second", 0) end })
      error("first", 0)
    end)
    return pcall(f)]],
  ["leaves an unclosed variable of a plain one that failed to close"] = [[
    local seen = "not yet"
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, { __close = function(_, e) seen = e end })
      error("gone", 0)
    end)
    local result = { coroutine.resume(co) }
    return result, seen, { coroutine.close(co) }, seen]],
  ["yields through pcall, metamethods and iterators"] = [[
    local function walk()
      local got = {}
      local t = setmetatable({}, {
        __index = function(_, k) return coroutine.yield("index " .. k) end,
        __add = function() return coroutine.yield "add" end,
        __lt = function() return coroutine.yield "lt" end,
        __concat = function() return coroutine.yield "concat" end,
      })
      got[1] = t.x
      got[2] = t + 1
      got[3] = t < t
      got[4] = t .. "a"
      for v in function(_, last) return coroutine.yield("next " .. tostring(last)) end do got[#got + 1] = v end
      got[#got + 1] = select(2, pcall(function() return coroutine.yield "pcall" end))
      got[#got + 1] = select(2, pcall(function() coroutine.yield "pcall" error("after", 0) end))
      return table.unpack(got)
    end
    local co, log = coroutine.create(walk), {}
    local answers = { false, 1, 2, true, "c", "v", nil, "p", "q" }
    for i = 1, 12 do
      local result = table.pack(coroutine.resume(co, answers[i]))
      log[i] = result
      if coroutine.status(co) == "dead" then break end
    end
    return log]],
  ["does not yield across a C function"] = [[
    local f = coroutine.wrap(function()
      return pcall(string.gsub, "a", "a", function() coroutine.yield() end)
    end)
    return f()]],
  ["knows what can yield and what runs"] = [[
    local co
    co = coroutine.create(function()
      local running, is_main = coroutine.running()
      return running == co, is_main, coroutine.isyieldable(), coroutine.status(co), coroutine.isyieldable(co)
    end)
    return coroutine.isyieldable(co), coroutine.status(co), coroutine.resume(co)]],
  ["runs out of the C stack in good order"] = [[
    local function deeper(n)
      local ok, message = pcall(coroutine.wrap(function() return deeper(n + 1) end))
      return ok, message
    end
    local ok, message = deeper(1)
    return ok, type(message), (tostring(message):match "C stack overflow")]],
  ["serves as an iterator"] = [[
    local got = {}
    for a, b in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i, i * i) end end) do
      got[#got + 1] = a .. "=" .. b
    end
    return got]],
  ["is the same after its collection"] = [[
    for i = 1, 200 do
      local co = coroutine.wrap(function() coroutine.yield(i) end)
      assert(co() == i)
      if i % 50 == 0 then collectgarbage() end
    end
    return "done"]],
}

-- Writes values down so that two states can be compared: no addresses.
local SHOW <const> = [[
  local function show(value)
    if type(value) == "table" then
      local parts, n = {}, value.n or #value
      for i = 1, n do parts[i] = show(value[i]) end
      return "{" .. table.concat(parts, ",") .. "}"
    elseif type(value) == "string" then
      return ("%q"):format(value)
    end
    return (tostring(value):gsub("0x%x+", "0x"))
  end
]]

local function case_chunk(body)
  return SHOW .. "return (function(...) return show(table.pack(...)) end)((function()\n" .. body .. "\nend)())"
end

describe("coroutines", function()
  after_each(conversation.clean)

  for fact, body in pairs(CASES) do
    it(fact .. ", as Lua's own", function()
      local wanted = assert(load(case_chunk(body), "=case"))()
      local session = conversation.lines(([[
        return assert(load(%q, "=case"))()]]):format(case_chunk(body))):open()
      assert.equal(wanted, conversation.feed(session, { "\n" }))
    end)
  end

  it("cannot wait yet in a function that the core calls", function()
    local session = conversation.lines([[
      local running, is_main = coroutine.running()
      return table.concat({
        tostring(coroutine.isyieldable()), tostring(is_main), tostring(select(2, pcall(coroutine.yield)))}, ";")
    ]]):open()
    assert.equal("false;false;attempt to yield across a C-call boundary", conversation.feed(session, { "\n" }))
  end)
end)
