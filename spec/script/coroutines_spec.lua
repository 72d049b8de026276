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

  -- What each of these lines of Lua, a request each, returns.
  local function say(options, ...)
    local session = conversation.script([[
      local framing = require "parlance.framing"
      local shared, coroutine = require "parlance".shared, coroutine
      local P = { close_when_done = false, request_complete = framing.line { max = 2000 } }
      function forever() while true do end end
      function closing(f) return setmetatable({}, { __close = f }) end
      function P:make_response() return assert(load(self.request, "=request"))() .. ";" end
      function P:handle_error(reason) return reason .. ";" end
      return P]], options):open()
    local lines <const> = {}
    for i, line in ipairs { ... } do lines[i] = line:gsub("%s*\n%s*", " ") .. "\n" end
    local _, out = conversation.capture(function() return conversation.feed(session, lines) end)
    session:close()
    return out
  end

  it("cannot yield in a function that the core calls", function()
    assert.equal("false;false;coroutine.yield works only in a coroutine that the script has made itself;", say(nil, [[
        local _, is_main = coroutine.running()
        return table.concat({ tostring(coroutine.isyieldable()), tostring(is_main),
          tostring(select(2, pcall(coroutine.yield))) }, ";")]]))
  end)

  describe("that the watchdog has stopped", function()
    -- Makes shared.co, or shared.f, and has it stopped; that ends the conversation, and the script stays.
    local PROTOCOL <const> = [[
      local framing = require "parlance.framing"
      local shared = require "parlance".shared
      local P = { close_when_done = false, request_complete = framing.line { max = 2000 } }
      local function body()
        local guard <close> = setmetatable({}, { __close = function() shared.closed = true while true do end end })
        while true do end
      end
      function P:make_response()
        if self.request == "resume" then
          shared.co = coroutine.create(body)
          coroutine.resume(shared.co)
        elseif self.request == "wrap" then
          shared.f = coroutine.wrap(body)
          shared.f()
        elseif self.request == "close" then
          shared.co = coroutine.create(function()
            local guard <close> = setmetatable({}, { __close = function() while true do end end })
            local other <close> = setmetatable({}, { __close = function() while true do end end })
            coroutine.yield()
          end)
          coroutine.resume(shared.co)
          coroutine.close(shared.co)
        end
        return assert(load(self.request, "=request"))() .. ";"
      end
      function P:handle_error(reason) return reason .. ";" end
      return P]]

    local function converse(script, line)
      local session <close> = script:open()
      return (select(2, conversation.capture(function() return conversation.feed(session, { line .. "\n" }) end)))
    end

    local STOPPED <const> = "the coroutine was stopped, because its call took longer than --call-timeout"

    for fact, case in pairs {
      ["is not closed later"] = {
        "resume", "return select(2, coroutine.close(shared.co))", "cannot close: " .. STOPPED,
      },
      ["is not resumed later"] = {
        "resume", "return select(2, coroutine.resume(shared.co))", "cannot resume: " .. STOPPED,
      },
      ["is not called later, where it was wrapped"] = {
        "wrap", "return select(2, pcall(shared.f))", "cannot resume: " .. STOPPED,
      },
      ["while it was closed, is not closed again"] = {
        "close", "return tostring(coroutine.close(shared.co)) .. coroutine.status(shared.co)", "falsedead",
      },
      ["is dead"] = { "resume", "return coroutine.status(shared.co)", "dead" },
      ["has not closed its variables"] = { "resume", "return tostring(shared.closed)", "nil" },
      ["can be collected"] = { "resume", "shared.co = nil collectgarbage() return tostring(shared.closed)", "nil" },
    } do
      it(fact, function()
        local script = conversation.script("shared = require 'parlance'.shared " .. PROTOCOL, { call_timeout = 30 })
        assert.equal("script_overrun;", converse(script, case[1]))
        for _ = 1, 2 do assert.equal(case[3] .. ";", (converse(script, case[2]):gsub("request:1: ", ""))) end
      end)
    end
  end)

  describe("of the server's own", function()
    local OWN <const> = "the coroutine is the server's own"

    it("is not resumed, closed or wrapped into harm while it runs", function()
      assert.equal("cannot resume non-suspended coroutine;cannot close a running coroutine;running;", say(nil, [[
        local own = coroutine.running()
        return table.concat({ select(2, coroutine.resume(own)), select(2, pcall(coroutine.close, own)),
          coroutine.status(own) }, ";")]]))
      assert.equal(("cannot resume: %s;cannot close a normal coroutine;normal;"):format(OWN), say(nil, [[
        local own = coroutine.running()
        return coroutine.wrap(function() return table.concat({ select(2, coroutine.resume(own)),
          select(2, pcall(coroutine.close, own)), coroutine.status(own) }, ";") end)()]]))
    end)

    it("is refused in a later request, in a finalizer and in a later version", function()
      local script = conversation.script [[
        local framing = require "parlance.framing"
        local shared = require "parlance".shared
        local function use(own)
          return table.concat({ tostring(select(2, coroutine.resume(own))),
            tostring(select(2, pcall(coroutine.close, own))), coroutine.status(own),
            tostring(select(2, coroutine.resume(coroutine.create(coroutine.close), own))) }, ",")
        end
        shared.main = shared.main or coroutine.running()
        return {
          close_when_done = false, request_complete = framing.line {},
          make_response = function(self)
            if self.request == "keep" then
              shared.own = coroutine.running()
              return "kept"
            elseif self.request == "fail" then
              shared.own = coroutine.running()
              error "on purpose"
            elseif self.request == "finalize" then
              local got
              local function gc() got = use(coroutine.running()) .. "|" .. use(shared.own) end
              do setmetatable({}, { __gc = gc }) end
              collectgarbage()
              return got
            end
            return use(shared.own) .. "|" .. use(shared.main)
          end,
        }]]
      local function converse(line)
        local session <close> = script:open()
        return (select(2, conversation.capture(function() return conversation.feed(session, { line .. "\n" }) end)))
      end
      assert.equal("kept", converse "keep")
      for _ = 1, 2 do
        local out = converse "use"
        assert.truthy(out:find("cannot", 1, true), out)
        assert.is_nil(out:find("true", 1, true), out)
      end
      local out = converse "finalize"
      assert.truthy(out:find("^cannot resume", 1), out)
      converse "fail"
      out = converse "use"
      assert.truthy(out:find("cannot", 1, true), out)
      assert.is_nil(out:find("true", 1, true), out)
      assert.equal("kept", converse "keep")
    end)
  end)

  describe("that are closed one within the other", function()
    it("are refused when they are too many", function()
      local out = say({ call_timeout = 5000 }, [[
        local co
        for _ = 1, 20000 do
          local inner = co
          co = coroutine.create(function()
            local guard <close> = closing(function() if inner then assert(coroutine.close(inner)) end end)
            coroutine.yield()
          end)
          coroutine.resume(co)
        end
        return tostring(select(2, coroutine.close(co)))]])
      assert.truthy(out:find("cannot close: too many coroutines are closed one within the other", 1, true), out)
    end)

    it("may be a hundred", function()
      assert.equal("true;", say({ call_timeout = 5000 }, [[
        local co
        for _ = 1, 100 do
          local inner = co
          co = coroutine.create(function()
            local guard <close> = closing(function() if inner then assert(coroutine.close(inner)) end end)
            coroutine.yield()
          end)
          coroutine.resume(co)
        end
        return tostring(coroutine.close(co))]]))
    end)

    for fact, step in pairs {
      ["errors of wrapped ones"] = [[
        return coroutine.wrap(function() local guard <close> = closing(inner) error "x" end)]],
      ["closing values of loops"] = [[
        local co = coroutine.create(function()
          for _ in function() return 1 end, nil, nil, closing(inner) do coroutine.yield() end
        end)
        coroutine.resume(co)
        return function() coroutine.close(co) end]],
      ["resumes, protected calls and patterns between them"] = [[
        local co = coroutine.create(function() local guard <close> = closing(inner) coroutine.yield() end)
        coroutine.resume(co)
        return function()
          coroutine.wrap(function()
            pcall(string.gsub, "x", "x", function() table.sort({ 1, 2 }, function() coroutine.close(co) end) end)
          end)()
        end]],
    } do
      it("crash nothing by " .. fact, function()
        assert.equal("survived;", say({ call_timeout = 10000 }, ([[
          local function step(inner) %s end
          local f = function() end
          for _ = 1, 20000 do f = step(f) end
          pcall(f)
          return "survived"]]):format(step)))
      end)
    end
  end)
end)
