-- timeout 300
-- What happens when memory runs out: every scenario is run again and again, and each time another
-- allocation of the core fails, from the first to the last; alone, with the next one, and with all
-- that follow. (A Lua state that is refused collects its garbage and asks once more, so it takes two
-- in a row to make a script feel it.) In a build with a pool (core/script/pool.h) most small blocks need no allocation;
-- the sanitizer builds have none.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local IN_A_ROW <const> = { 1, 2, 1 << 30 }
local LEAST <const> = rooms.script.pool_churn(1, 1) and 1 or 3

-- How an ended conversation may have ended because of it. A script that runs out of memory inside
-- a pcall, or that is stopped by its own assertion, ends as script_error.
local REASONS <const> = { none = true, out_of_memory = true, done = true, peer_closed = true, stopped = true }

-- Runs play(open) with the n-th allocation failing until none fails any more. play returns what the
-- conversation said, which must be a beginning of `wanted`, and why it ended.
local function torture(script, wanted, play)
  for _, count in ipairs(IN_A_ROW) do
    local n = 0
    repeat
      n = n + 1
      local log, out, reason, last = rooms.base.capture(function()
        rooms.session.fail_allocations(n, count)
        local session <close> = script:open { now = n * 1000 } -- a second has only so many lines
        local said, why = "", "none"
        if session then said, why = play(session) end
        local asked_for = rooms.session.allocations()
        return said, why, asked_for
      end)
      rooms.session.fail_allocations()
      assert.equal(wanted:sub(1, #out), out, "at allocation " .. n)
      assert.is_true(REASONS[reason] or false, n .. ", " .. count .. ": " .. reason .. "\n" .. log)
      if reason == "out_of_memory" then assert.truthy(log:find("out_of_memory", 1, true), log) end
      -- Whatever happened, the next conversation is served as if nothing had.
      if n % 7 == 0 then
        local session <close> = script:open()
        local again = play(session)
        assert.equal(wanted, again)
      end
    until n > last
    assert.is_true(n > LEAST, n)
  end
end

local function converse(pieces)
  return function(session)
    return conversation.feed(session, pieces, true), session:reason()
  end
end

describe("a failing allocation", function()
  conversation.frees_all_memory()

  it("costs at most its conversation", function()
    local script = conversation.lines [[return self.request:upper() .. "\n"]]
    torture(script, "ONE\nTWO\nTHREE\n", converse { "one\ntw", "o\nthr", "ee\n" })
  end)

  it("leaves no self.incoming of one request to the next", function()
    local script = conversation.lines [[return self.incoming:gsub("\n", "+") .. self.incoming:gsub("\n", "-") .. ";"]]
    torture(script, "one+twone-tw;two+two-;", converse { "one\ntw", "o\n" })
  end)

  it("costs at most its conversation where a body is a stream, and no body looks whole that is not", function()
    local script = conversation.script [[
      local framing = require "parlance.framing"
      local P = { close_when_done = false, request_complete = framing.http { stream_body = true } }
      function P:make_response()
        local all, piece, _, code = {}, nil, nil, nil
        repeat
          piece, _, code = self.request.body:read "any"
          all[#all + 1] = piece
        until not piece
        if code == "closed" then return table.concat(all) .. ";" end
        self.close_when_done = true
      end
      return P]]
    local head <const> = "PUT / HTTP/1.1\r\nHost: a\r\n"
    torture(script, "hello;" .. ("x"):rep(9000) .. "y;;", converse {
      head .. "Content-Length: 5\r\n\r\nhe", "llo" .. head .. "Transfer-Encoding: chunked\r\n\r\n2328\r\n",
      ("x"):rep(9000), "\r\n1\r\ny\r\n0\r\n\r", "\n" .. head .. "\r\n",
    })
  end)

  it("does not lose a piece of a response", function()
    local folder = conversation.folder { file = ("f"):rep(100) }
    -- The long string is made beforehand: a buffer of lauxlib's leaks when there is no memory to call
    -- its __close and its __gc.
    local script = conversation.lines(([[
      local n = 0
      return {
        "a", self.long, "b", assert(io.open "%s/file"), "c",
        function() n = n + 1 return n < 4 and n .. ";" or nil end, io.open "/proc/self/comm", "e",
      }]]):format(folder), [[Lines.long = ("h"):rep(40000)]])
    local comm <close> = assert(io.open "/proc/self/comm")
    local wanted <const> = "a" .. ("h"):rep(40000) .. "b" .. ("f"):rep(100) .. "c1;2;3;" .. comm:read "a" .. "e"
    torture(script, wanted, converse { "x\n" })
  end)

  it("does not lose a file of parlance.files", function()
    local folder = conversation.folder { file = ("f"):rep(100) }
    local script = conversation.lines([[
      local about, f = self.root:open("file", self.about)
      self.about = about
      return { "a", { file = f, length = 100 }, "b" } ]],
      ([[Lines.root = assert(require "parlance.files".root %q)]]):format(folder))
    torture(script, ("a" .. ("f"):rep(100) .. "b"):rep(2), converse { "x\n", "y\n" })
  end)

  it("does not lose a file that is the whole response, a part of one, or one of many", function()
    local folder = conversation.folder { file = ("f"):rep(100) }
    local file <const> = ("f"):rep(100)
    local count <const> = rooms.process.descriptors
    for body, wanted in pairs {
      [ [[return io.open(FILE)]] ] = file,
      [ [[return { file = io.open(FILE), length = 7 }]] ] = file:sub(1, 7),
      [ [[return select(2, self.root:open "file")]] ] = file,
      [ [[return { file = select(2, self.root:open "file"), length = 7 }]] ] = file:sub(1, 7),
      [ [[local n = 0 return function() n = n + 1 return n < 3 and "a" or nil end]] ] = "aa",
      [ [[
        local list = {}
        for i = 1, 6 do list[i] = assert(io.open(FILE)) end
        list[7] = select(2, self.root:open "file")
        return list]] ] = file:rep(7),
    } do
      local before = count()
      local script = conversation.lines(body:gsub("FILE", ("%q"):format(folder .. "/file")),
        ([[Lines.root = assert(require "parlance.files".root %q)]]):format(folder))
      torture(script, wanted, converse { "x\n" })
      script:close()
      assert.equal(before, count())
    end
  end)

  it("closes a file that is sent no further, also one of parlance.files that was read from", function()
    local folder = conversation.folder { file = ("f"):rep(100) }
    local script = conversation.lines([[
      local file = select(2, assert(self.root:open "file"))
      file:seek("set", 10)
      return file]], ([[Lines.root = assert(require "parlance.files".root %q)
      collectgarbage "stop"]]):format(folder))
    local before = rooms.process.descriptors()
    local session <close> = script:open()
    session:receive "x\n"
    assert.equal(7, #session:take(7))
    assert.equal(before + 1, rooms.process.descriptors())
    rooms.session.fail_allocations(1, 1 << 30)
    session:close()
    rooms.session.fail_allocations()
    assert.equal(before, rooms.process.descriptors())
  end)

  it("leaves no file open of a response that was returned, though the collector does not run", function()
    local folder = conversation.folder { file = ("f"):rep(100) }
    local script = conversation.lines([[
      if self.request == "send" then
        Lines.is_given = true
        return Lines.kept
      elseif self.request == "open" then
        local list = {}
        for i = 1, 6 do list[i] = assert(io.open(Lines.file)) end
        for i = 7, 8 do list[i] = select(2, assert(self.root:open "file")) end
        list[9] = { file = select(2, assert(self.root:open "file")), length = 7 }
        Lines.kept, Lines.is_given = list, false
        return "opened"
      end
      local open = 0
      for i = 1, 9 do
        local file = i < 9 and Lines.kept[i] or Lines.kept[9].file
        if io.type(file) == "file" then
          file:close()
          open = open + 1
        end
      end
      return ("%s %d"):format(Lines.is_given, open)]], ([[
      Lines.root = assert(require "parlance.files".root %q)
      Lines.file, Lines.is_given = %q, false
      collectgarbage "stop"]]):format(folder, folder .. "/file"))
    local function ask(text)
      local session <close> = script:open()
      return (conversation.feed(session, { text .. "\n" }))
    end
    local before = rooms.process.descriptors()
    local given = 0
    for _, count in ipairs(IN_A_ROW) do
      local n, last = 0, nil
      repeat
        n = n + 1
        assert.equal("opened", ask "open")
        rooms.base.capture(function()
          local session <close> = script:open { now = n * 1000 }
          rooms.session.fail_allocations(n, count)
          conversation.feed(session, { "send\n" })
          last = rooms.session.allocations()
          rooms.session.fail_allocations()
        end)
        local is_given, open = ask("how many"):match "^(%a+) (%d+)$"
        assert.equal(is_given == "true" and "0" or "9", open, "at allocation " .. n)
        assert.equal(before, rooms.process.descriptors(), "at allocation " .. n)
        if is_given == "true" then given = given + 1 end
      until n > last
    end
    assert.is_true(given > 20, given)
  end)

  it("does not lose what a framing that is called remembers", function()
    local script = conversation.script [[
      local framing = require "parlance.framing"
      local line, other = framing.line {}, framing.delimited { delimiter = "!!" }
      return {
        close_when_done = false,
        request_complete = function(self)
          local ok, n, why = other(self)
          if ok then return ok, n, why end
          ok, n, why = line(self)
          return ok, n, ok and self.request .. ";" or why
        end,
        make_response = function(self) return self.request .. self.client_address.host end,
      }]]
    local part <const> = ("x"):rep(100)
    torture(script, part:rep(3) .. ";192.0.2.1", converse { part, part, part, "\n" })
  end)

  it("neither tells a peer twice to go on nor forgets it", function()
    local EXPECTS <const> = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    local GO_ON <const> = "HTTP/1.1 100 Continue\r\n\r\n"
    for _, case in ipairs {
      { "", GO_ON .. "[hi]", { EXPECTS, "hi" } }, { "return nil", GO_ON .. "[hi]", { EXPECTS, "hi" } },
      { "return 'no'", "no", { EXPECTS } }, { "return 'no'", "no", { EXPECTS .. "hi" } },
    } do
      local script = conversation.script(([[
        local framing = require "parlance.framing"
        return {
          close_when_done = false, request_complete = framing.http(), handle_expect = %s,
          make_response = function(self) return { "[", self.request.body, "]" } end,
        }]]):format(case[1] == "" and "nil" or "function() " .. case[1] .. " end"))
      torture(script, case[2], converse(case[3]))
    end
  end)

  it("in a request that grows ends it", function()
    local script = conversation.script [[
      local framing = require "parlance.framing"
      return {
        request_complete = framing.netstring {},
        make_response = function(self) return #self.request .. "" end,
      }]]
    local body <const> = ("x"):rep(1000)
    torture(script, "8000", converse { "8000:", body, body, body, body, body, body, body, body, "," })
  end)

  it("is no reason to forget the last words or the end", function()
    local script = conversation.script [[
      local closed = {}
      return {
        close_when_done = false,
        handle_connect = function(self) self.mine = self.host return "hi " end,
        request_complete = function(self)
          if self.incoming:find "!" then return nil, "shouting" end
          return false
        end,
        make_response = function() end,
        handle_error = function(_, reason) return reason end,
        handle_close = function(_, reason) closed[#closed + 1] = reason end,
      }]]
    for _, count in ipairs(IN_A_ROW) do
      local n = 0
      repeat
        n = n + 1
        local _, reason, last = rooms.base.capture(function()
          rooms.session.fail_allocations(n, count)
          local session = script:open()
          if not session then return "none", rooms.session.allocations() end
          session:receive("abc"):receive("!")
          local out = conversation.output(session)
          local why = session:reason()
          session:close()
          local allocations = rooms.session.allocations()
          rooms.session.fail_allocations()
          local said <const> = {
            ["hi malformed"] = true, ["hi out_of_memory"] = true, ["out_of_memory"] = true, ["hi "] = true, [""] = true,
          }
          assert.is_true(said[out] or false, out)
          return why, allocations
        end)
        assert.is_true(reason == "none" or reason == "malformed" or reason == "out_of_memory", reason)
      until n > last
    end
  end)

  it("while a script is loaded is a refusal or nothing", function()
    local folder = conversation.folder {
      ["p.lua"] = [[
        local framing = require "parlance.framing"
        local helper = require "helper"
        return {
          listen = "localhost:1", example = "x\n",
          request_complete = framing.line {}, make_response = helper.answer,
        }]],
      ["helper.lua"] = [[return { answer = function(self) return self.request end }]],
    }
    for _, count in ipairs { 2, 1 << 30 } do
      local n = 0
      repeat
        n = n + 1
        rooms.session.fail_allocations(n, count)
        local script, reason = rooms.session.load(folder .. "/p.lua")
        local last = rooms.session.allocations()
        rooms.session.fail_allocations()
        if script then
          local session <close> = script:open()
          assert.equal("abc", conversation.feed(session, { "abc\n" }))
          script:close()
        else
          assert.truthy(reason:find("not enough memory", 1, true), reason)
        end
      until n > last
    end
  end)
end)
