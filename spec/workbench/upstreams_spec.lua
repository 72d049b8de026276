-- Transcripts of scripts that connect to other servers: who plays these, and what their faults find.

local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local run = require "parlance.workbench.run"

local folder

before_each(function()
  folder = server.new_folder()
  simulator.log()
end)
after_each(function() server.remove_folder(folder) end)

-- A script that asks a store for each line. GET is the body of a function that has the connection as `store`.
local KV <const> = [[
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local Kv = { close_when_done = false, request_complete = framing.line { max = 100 }, response_timeout = 10 }
local function read(store)
  local head, why = store:read "l"
  if not head then return "ERR " .. why end
  local value, reason = store:read(tonumber(head:sub(2)))
  if not value then return "ERR " .. reason end
  local rest, cause = store:read "l"
  return rest and value or "ERR " .. cause
end
function Kv:make_response()
  local store <close>, why = net.connect("127.0.0.1:6379", { reuse = true })
  if not store then return "ERR " .. why .. "\n" end
  store:write("GET ", self.request, "\r\n")
  GET
end
return Kv
]]

local SOUND <const> = [[
  local value = read(store)
  store:release()
  return value .. "\n"]]

local GET <const> = [[
upstream store "127.0.0.1:6379"
> "k\n"
store< "GET k\r\n"
store> "$1\r\nv\r\n"
< "v\n"
> "kk\n"
store< "GET kk\r\n"
store> "$2\r\n" "vv\r\n"
< "vv\n"
]]

local function with_body(body) return (KV:gsub("GET\n", function() return body .. "\n" end)) end

local function try_script(source, text, options)
  local path = folder .. "/kv.lua"
  server.write_file(path, source)
  local transcript = assert(transcripts.read(text or GET, folder .. "/t.transcript"))
  local given = { modules = server.SOURCE .. "/lua" }
  for name, value in pairs(options or {}) do given[name] = value end
  return assert(run(path, given, transcript))
end

local function try(body, text, options) return try_script(with_body(body), text, options) end

local function first(body, text, options)
  return try(body, text, options).findings[1] or {}
end

describe("upstreams", function()
  it("are played as a transcript says, in every cut and with every fault", function()
    local outcome = try(SOUND)
    assert.same({}, outcome.findings)
    -- Two wholes, one byte by byte, 4 cuts, one in one piece, 12 times left and a whole behind that; upstreams: byte by
    -- byte, 14 cuts, one play with the connection of the one before, and then with a whole behind each 16 breaks, one
    -- refusal and 2 silences.
    assert.equal(2 + 1 + 4 + 1 + 13 + 1 + 14 + 2 + 2 * (16 + 1 + 2), outcome.plays)
    assert.same({}, outcome.tolerated)
  end)

  it("are asked at once for what a client has sent ahead: no time passes before that, in no cut", function()
    assert.same({}, try(SOUND:gsub("^", "store:set_timeout(1)"), [[
upstream store "127.0.0.1:6379"
> "k\n"
> "kk\n"
> "kkk\n"
store< "GET k\r\n"
store> "$1\r\nv\r\n"
store< "GET kk\r\n"
< "v\n"
store> "$2\r\nvv\r\n"
store< "GET kkk\r\n"
< "vv\n"
store> "$3\r\nvvv\r\n"
< "vvv\n"
]]).findings)
  end)

  it("are not connected to where no transcript has them", function()
    local fault = first(SOUND, '> "k\\n"\n< "v\\n"\n')
    assert.equal("raise", fault.kind)
    assert.matches("127.0.0.1:6379: a simulation has no network, and nobody plays this upstream", fault.raised)
  end)

  it("may fail to connect, each at its turn", function()
    local text = [[
upstream down "127.0.0.1:6379" refused
upstream far "127.0.0.1:6379" unreachable "no way"
upstream slow "127.0.0.1:6379" timeout
upstream unknown "127.0.0.1:6379" name
upstream store "127.0.0.1:6379"
> "a\n"
< "ERR connection refused\n"
> "a\n"
< "ERR no way\n"
> "a\n"
< "ERR timeout\n"
> "a\n"
< "ERR Domain name not found\n"
> "a\n"
store< "GET a\r\n"
store> "$1\r\n1\r\n"
< "1\n"
]]
    local patient = with_body(SOUND):gsub("response_timeout = 10", "response_timeout = 20")
    assert.same({}, try_script(patient, text).findings)
  end)

  it("get exactly what the transcript says", function()
    for text, expected in pairs {
      [GET:gsub("GET kk", "GET k")] = { "answer", 7, "store", "GET k\r\n", "GET kk\r\n" },
      [GET:gsub("store< \"GET k\\r\\n\"\n", "")] = { "answer", 3, "store", "", "GET k\r\n" },
      [GET .. "store< \"QUIT\""] = { "answer", 10, "store", "QUIT", "" },
      [GET .. "> \"x\\n\""] = { "answer", 10, "store", "", "GET x\r\n" },
      [GET .. "store< end"] = { "open", 10, "store" },
    } do
      local fault = first(SOUND, text)
      assert.same(expected, { fault.kind, fault.line, fault.upstream, fault.expected, fault.got })
    end
  end)

  it("answer when nothing else can run: behind tasks that wake each other, and timers of that instant", function()
    local outcome = try([[
      local order, queue = {}, parlance.queue()
      local function note(what) order[#order + 1] = what end
      local popper = parlance.spawn(function() for _ = 1, 2 do note(queue:pop()) end end)
      local pusher = parlance.spawn(function()
        for turn = 1, 2 do
          queue:push("pushed " .. turn)
          parlance.sleep(0)
          note("slept " .. turn)
        end
      end)
      note(store:read "l")
      pusher:wait()
      popper:wait()
      store:release()
      return table.concat(order, ", ") .. "\n"]], [[
upstream store "127.0.0.1:6379"
> "k\n"
store< "GET k\r\n"
store> "reply\r\n"
< "pushed 1, slept 1, pushed 2, slept 2, reply\n"
]])
    assert.same({}, outcome.findings)
  end)

  it("see the end of a connection", function()
    assert.is_nil(first('local value = read(store) store:close() return value .. "\\n"',
      (GET:gsub('< "v\\n"', 'store< end\n%0'):gsub("upstream.-\n", "%0"):gsub('"vv\\n"\n', "%0store< end\n"))).kind)
  end)

  it("end and break as the transcript says", function()
    for word, why in pairs { ["end"] = "closed", gone = "the connection was reset" } do
      local text = ('upstream store "127.0.0.1:6379"\n> "k\\n"\nstore< "GET k\\r\\n"\nstore> "$1"\nstore> %s\n')
        :format(word)
      local fault = first(SOUND, text .. '< "?"')
      assert.equal(("ERR %s\n"):format(why), fault.got)
      assert.is_nil(first(SOUND, ('%s< "ERR %s\\n"'):format(text, why)).kind)
    end
  end)

  it("of one address come in the order of the connections, and the last one serves all further", function()
    local text = [[
upstream one "127.0.0.1:6379"
upstream two "127.0.0.1:6379"
> "a\n"
one< "GET a\r\n"
one> "$1\r\n1\r\n"
< "1\n"
> "b\n"
two< "GET b\r\n"
two> "$1\r\n2\r\n"
< "2\n"
> "c\n"
two< "GET c\r\n"
two> "$1\r\n3\r\n"
< "3\n"
]]
    assert.is_nil(first('return read(store) .. "\\n"', text).kind)
  end)

  describe("find by their faults", function()
    it("an answer that depends on how an upstream's bytes are cut", function()
      local fault = first [[
        local all = store:read "any"
        return all:match "\r\n(.*)\r\n" .. "\n"]]
      assert.equal("upstream_cut", fault.how)
    end)

    it("an error that ends the request properly: a remark, and a fault if it is strict", function()
      local body = [[
        local head = store:read "l"
        local value = store:read(tonumber(head:sub(2)))
        store:read "l"
        store:release()
        return value .. "\n"]]
      local outcome = try(body)
      assert.same({}, outcome.findings)
      assert.same({ 0 }, { outcome.tolerated[1].breaks_at })
      assert.matches("kv.lua:%d+: attempt to index a nil value %(local 'head'%)", outcome.tolerated[1].detail)
      local fault = first(body, GET, { strict = true })
      assert.same({ "upstream", "raise", 0 }, { fault.how, fault.kind, fault.breaks_at })
    end)

    it("a connection that is used again after it was broken", function()
      local fault = try_script((with_body([[
        local value = read(store)
        Kv.is_broken = value:find "^ERR" ~= nil
        return value .. "\n"
      end
      function Kv:handle_close()
        if Kv.store and not Kv.is_broken then
          Kv.store:close()
          Kv.store = nil
        end]]):gsub("local store <close>, why = [^\n]*", [[
        Kv.store = Kv.store or net.connect("127.0.0.1:6379"):detach()
        local store, why = Kv.store]]))).findings[1]
      assert.same({ "upstream", "answer", true, 0 }, { fault.how, fault.kind, fault.is_after, fault.breaks_at })
    end)

    describe("a late reply in a connection that the script keeps,", function()
      -- Returns the source of a fixture; `drain` stands before it asks the store.
      local function source(name, drain)
        local text = server.read_file(("%s/spec/fixtures/%s.lua"):format(server.SOURCE, name))
        local changed, count = text:gsub("  loan.store:write", function(found) return (drain or "") .. found end)
        assert(count == 1)
        return changed
      end

      local TWO <const> = server.read_file(server.SOURCE .. "/spec/fixtures/transcripts/late_reply/two.transcript")
      -- The script reads away what has come before it asks.
      local DRAIN <const> = [[
  loan.store:set_timeout(0.001)
  if loan.store:read "any" and not loan.is_kept then return nil, "odd greeting" end
  loan.store:set_timeout(2)
]]

      local function late(name, text, drain)
        local found = try_script(source(name, drain), text).findings[1]
        return found and { found.how, found.kind, found.silent_line, found.is_after, found.is_late }
      end

      it("if it is the answer to the next request", function()
        assert.same({ "upstream", "answer", 4, true, true }, late("late_reply", TWO))
        assert.is_nil(late("own_pool", TWO))
      end)

      it("also if it comes after the next request was sent", function()
        assert.same({ "upstream", "answer", 8, true, true }, late("late_reply", TWO, DRAIN))
        assert.is_nil(late("own_pool", TWO, DRAIN))
      end)

      it("also if the transcript is fresh", function()
        assert.same({ "upstream", "answer", 5, true, true }, late("late_reply", "fresh\n" .. TWO))
        assert.is_nil(late("own_pool", "fresh\n" .. TWO))
      end)
    end)

    it("nothing, if a script says something else on a new connection than on a kept one", function()
      local source = with_body(SOUND):gsub("store:write", function(found)
        return 'if not store.reused then\nstore:write "AUTH\\r\\n"\nstore:read "l"\nend\n' .. found
      end)
      local text = GET:gsub('store< "GET k', 'store< "AUTH\\r\\n"\nstore> "+OK\\r\\n"\n%0', 1)
      assert.same({}, try_script(source, text).findings)
    end)

    it("a wait that nothing ends", function()
      local fault = first("Kv.response_timeout = 0 " .. SOUND .. " ", GET)
      assert.is_nil(fault.kind) -- The limit was read when the script was loaded.
      fault = try_script((with_body(SOUND):gsub("response_timeout = 10", "response_timeout = 0"))).findings[1]
      assert.same({ "upstream", "hang", 4 }, { fault.how, fault.kind, fault.silent_line })
    end)

    it("an error in a task beside", function()
      local fault = first([[
        local value = read(store)
        parlance.spawn(function() assert(not value:find "^ERR", "a task fails") end)
        store:release()
        return value .. "\n"]])
      assert.same({ "upstream", "raise" }, { fault.how, fault.kind })
      assert.matches("a task fails", fault.raised)
    end)
  end)

  describe("or without them: a finding is", function()
    it("an error in a task that a request has spawned, also long after the conversation", function()
      local fault = first('parlance.spawn(function() parlance.sleep(3) error "beside" end) ' .. SOUND)
      assert.same({ "whole", "raise" }, { fault.how, fault.kind })
      assert.matches("beside", fault.raised)
    end)

    it("a stream that only the collector closes", function()
      local fault = first('local other = net.connect "127.0.0.1:6379" other:detach() ' .. SOUND)
      assert.same({ "whole", "raise" }, { fault.how, fault.kind })
      assert.matches("warn stream_collected", fault.raised)
    end)

    it("a lock that only the collector releases", function()
      local fault = first("parlance.lock():acquire() " .. SOUND)
      assert.same({ "whole", "raise" }, { fault.how, fault.kind })
      assert.matches("warn lock_collected", fault.raised)
    end)

    it("such a lock also where a script has no stream", function()
      local fault = try_script([[
        local framing, parlance = require "parlance.framing", require "parlance"
        return {
          close_when_done = false,
          request_complete = framing.line { max = 100 },
          make_response = function() parlance.lock():acquire() return "done\n" end,
        }]], '> "a\\n"\n< "done\\n"\n').findings[1]
      assert.same({ "whole", "raise" }, { fault.how, fault.kind })
      assert.matches("warn lock_collected", fault.raised)
    end)

    it("a task that is left behind", function()
      local fault = first('parlance.spawn(function() parlance.sleep(11) end) ' .. SOUND)
      assert.same({ "whole", "left", 2 }, { fault.how, fault.kind, fault.count })
      assert.is_nil(first('parlance.spawn(function() parlance.sleep(9) end) ' .. SOUND).kind)
    end)
  end)
end)
