-- timeout 300
-- A finalizer of the script's may run whenever Lua allocates, and do what it likes. Here one runs at every
-- allocation after which Lua may collect, and at the n-th of them it does something nasty, for every n, in every
-- path that touches a response, a file or a client. Whatever it does: nothing crashes, leaks or hangs, and what was
-- open when it was returned is sent.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

-- With these settings each step of the collector is a whole cycle, and the next step is due at once. An object that
-- marks itself for finalization again is then finalized in each of them. The conversation "arm WORD N" has `act[WORD]`
-- called by the N-th finalizer from then on; "runs" tells how many there were, and makes the collector ordinary.
local TRAP <const> = [[
local framing, parlance, files = require "parlance.framing", require "parlance", require "parlance.files"
local line = framing.line {}
local FOLDER <const> = "%s"
local runs, at, what, returned = 0, 0, nil, 0
held = { files = {}, lists = {}, clients = {} }
local act = {
  close = function()
    for _, file in pairs(held.files) do if io.type(file) == "file" then file:close() end end
    if held.root then held.root:close() end
  end,
  change = function()
    for _, list in pairs(held.lists) do
      for i = 1, 9 do
        local item = list[i]
        if type(item) == "table" then item.file, item.length, item.more = nil, 1 << 40, 1 end
        list[i] = i %% 3 == 0 and 7 or i %% 3 == 1 and print or nil
      end
      list.file, list.length = 5, nil
      setmetatable(list, { __index = error, __len = error })
    end
  end,
  swap = function()
    for _, list in pairs(held.lists) do
      for i = 1, 9 do list[i] = assert(io.open(FOLDER .. "/file")) end
    end
    for i, file in pairs(held.files) do if io.type(file) == "file" then file:seek("set", i) end end
  end,
  drop = function()
    for _, client in pairs(held.clients) do
      for key in pairs(client) do client[key] = nil end
      setmetatable(client, nil)
    end
    held = { files = {}, lists = {}, clients = {} }
  end,
  use = function()
    for _, client in pairs(held.clients) do
      local _ = client.client_address, client.host, client.server, client.eof, client.incoming
      line(client)
      client.incoming, client.request, client.blocksize = "x", 5, -1
    end
  end,
  raise = function() error "trap" end,
}
local Trap = {}
function Trap.__gc(object)
  if at == 0 then return end
  runs = runs + 1
  setmetatable(object, Trap)
  if runs == at then act[what]() end
end
local function command(text)
  if type(text) ~= "string" then return nil end
  local word, n = text:match "^arm (%%a+) (%%d+)$"
  if not word and text ~= "runs" then return nil end
  if word then
    runs, at, what, returned = 0, math.tointeger(n), word, 1 << 40
    setmetatable({}, Trap)
    collectgarbage("incremental", 1, 1000, 100)
    collectgarbage()
    return "armed"
  end
  at = 0
  collectgarbage("incremental", 200, 100, 13)
  held = { files = {}, lists = {}, clients = {} }
  return runs .. " " .. returned
end
local function open(name, ...)
  local file = assert(io.open(name:sub(1, 1) == "/" and name or FOLDER .. "/" .. name, ...))
  held.files[#held.files + 1] = file
  return file
end
local function of_root(name)
  held.root = assert(files.root(FOLDER))
  local about, file = held.root:open(name)
  if not about then error(file) end
  held.files[#held.files + 1] = file
  return file
end
local function give(list)
  held.lists[#held.lists + 1] = list
  return list
end
local function pieces(...)
  local list, n = { ... }, 0
  return function() n = n + 1 return list[n] end
end
]]

local ACTS <const> = { "close", "change", "swap", "drop", "use", "raise" }

local BIG <const> = ("b"):rep(40000)

-- name = { make_response's body, what it answers, whether a finalizer can spoil it }
local RESPONSES <const> = {
  ["a string"] = { [[return "abc"]], "abc" },
  ["a long string"] = { [[return ("b"):rep(40000)]], BIG },
  ["a file"] = { [[return open "file"]], "0123456789" },
  ["a file in a list"] = { [[return give { "<", open "file", ">" }]], "<0123456789>" },
  ["a part of a file"] = { [[return give { file = open "file", length = 4 }]], "0123" },
  ["a part in a list"] = { [[return give { "<", give { file = open "file", length = 4 }, ">" }]], "<0123>" },
  ["a file of parlance.files"] = { [[return of_root "file"]], "0123456789" },
  ["a part of one"] = { [[return give { "<", give { file = of_root "file", length = 4 } }]], "<0123" },
  ["one that is a stream"] = { [[local f = of_root "file" f:read(2) return give { f, "." }]], "23456789." },
  ["many files"] = { [[
    local list = give {}
    for i = 1, 7 do list[i] = i % 2 == 0 and open "file" or of_root "file" end
    list[8] = "."
    return list]], ("0123456789"):rep(7) .. "." },
  ["many streams"] = { [[
    local list = give {}
    for i = 1, 12 do list[i] = open "file" end
    return list]], ("0123456789"):rep(12) },
  ["a file that is read"] = { [[
    self.blocksize = 3
    return give { "<", open "/proc/self/statm", ">" }]], "^<[%d ]+\n>$" },
  ["functions"] = { [[return give { pieces("a", "", "b"), "-", pieces("c") }]], "ab-c" },
  ["one file of a wrapper that nobody has any more"] = { [[
    local wrapper = setmetatable({ file = open "file" }, { __gc = function(w) w.file:close() end })
    return give { "<", wrapper.file, ">" }]], "<0123456789>" },
  ["a closed file"] = { [[local f = open "file" f:close() return give { "<", f }]], "!" },
  ["a list that is none"] = { [[return give { "<", 5, open "file" }]], "!" },
  ["the same file twice"] = { [[local f = open "file" return give { "<", f, f }]], "!" },
  ["a folder"] = { [[return give { open "file", assert(io.open(FOLDER)) }]], "!" },
  ["what is known of the client"] = { [[
    local about = self.client_address.host .. self.host .. self.server.port
    return about .. tostring(self.eof) .. #self.incoming]], "^.+$" },
}

local function protocol(body, request_complete)
  local folder <const> = conversation.folder { file = "0123456789" }
  return conversation.script(TRAP:format(folder) .. ([[
    local protocol = { close_when_done = false, request_complete = %s }
    function protocol:make_response()
      held.clients[1] = self
      local answer = command(self.request)
      if answer then return answer end
      local response = (function() %s end)()
      returned = runs
      return response
    end
    function protocol:handle_error(reason, detail) held.clients[2] = self return "!" end
    function protocol:handle_close() held.clients[3] = self end
    return protocol]]):format(request_complete or "line", body))
end

local function ask(script, text)
  local session <close> = script:open()
  return (conversation.feed(session, { text .. "\n" }))
end

-- Whether it is the answer: all of it, or a beginning, or last words.
local function is_answer(out, wanted)
  if wanted:sub(1, 1) == "^" then return out:find(wanted) ~= nil end
  return out == wanted
end

local function is_part(out, wanted)
  return out:sub(-1) == "!" or is_answer(out, wanted) or wanted:sub(1, 1) == "^" or wanted:sub(1, #out) == out
end

-- Has `converse` done under each finalizer, for every act. What one does before the response is returned may spoil
-- it, and some acts make another of it; what one does later does not, if it is `safe`. Returns how many finalizers
-- there were at most, and how many of them behind the return.
local function torture(script, wanted, safe, converse)
  local most, behind = 0, 0
  for _, word in ipairs(ACTS) do
    local n = 0
    local runs
    repeat
      n = n + 1
      assert.equal("armed", ask(script, ("arm %s %d"):format(word, n)))
      local log, out = rooms.base.capture(converse)
      local total, returned = ask(script, "runs"):match "^(%d+) (%d+)$"
      runs, returned = tonumber(total), tonumber(returned)
      local about <const> = ("%s at %d, returned at %d: %q %s"):format(word, n, returned, out, log)
      if safe and n > returned then
        assert.is_true(is_answer(out, wanted), about)
      elseif word ~= "change" and word ~= "swap" and word ~= "use" then
        assert.is_true(is_part(out, wanted), about)
      end
      behind = math.max(behind, runs - returned)
    until runs < n
    most = math.max(most, runs)
    local _, again = rooms.base.capture(converse)
    assert.is_true(is_answer(again, wanted), again)
  end
  return most, behind
end

describe("a finalizer at every allocation", function()
  local descriptors

  conversation.frees_all_memory()
  before_each(function() descriptors = rooms.process.descriptors() end)

  after_each(function()
    assert.equal(descriptors, rooms.process.descriptors(), "descriptors that nobody closed")
  end)

  it("is one at every allocation", function()
    local script = protocol [[
      local before = runs
      for _ = 1, 100 do local _ = {} end
      return runs - before .. ""]]
    assert.equal("armed", ask(script, "arm raise 1000000"))
    assert.equal("100", ask(script, "count"))
    assert.is_true(tonumber((ask(script, "runs"):match "^%d+")) > 100)
  end)

  for name, case in pairs(RESPONSES) do
    it("does no harm to " .. name, function()
      local script = protocol(case[1])
      local most, behind = torture(script, case[2], name ~= "many streams" and case[2] ~= "!", function()
        local session <close> = script:open()
        return conversation.feed(session, { "x\n" })
      end)
      assert.is_true(most >= 5 and (behind >= 1 or not case[1]:find "open"), most .. " " .. behind)
    end)
  end

  -- name = { request_complete's body, make_response's body, the pieces, what they are answered }
  local words = {}
  for i = 1, 30 do words[i] = ("$%d\r\n%d\r\n"):format(#tostring(i), i) end
  local REQUESTS <const> = {
    ["a framing that is called"] = { "return line(self)", "return self.request", { "abc\n" }, "abc" },
    ["one that remembers"] = { "return line(self)", "return self.request",
      { ("a"):rep(100), ("b"):rep(100), "c\n" }, ("a"):rep(100) .. ("b"):rep(100) .. "c" },
    ["two that remember"] = { [[
      local ok, n, why = framing.delimited { delimiter = "!!" }(self)
      if ok then return ok, n, why end
      return line(self)]], "return self.request", { ("a"):rep(200), "!", "b\n" }, ("a"):rep(200) .. "!b" },
    ["the arguments of a Redis command"] = { "return framing.resp { reuse = true }(self)",
      "return table.concat(self.request, ',')", { "*2\r\n$1\r\na\r\n", "$1\r\nb\r\n", "'c' \"d\"\r\n" }, "a,bc,d" },
    ["many of them"] = { "return framing.resp {}(self)", "return #self.request .. self.request[30]",
      { "*30\r\n" .. table.concat(words) }, "3030" },
    ["a request of HTTP"] = { "return framing.http {}(self)", [[
      local request = self.request
      return request.method .. request.target .. request.headers.a .. request.body .. request.version]],
      { "POST /x HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" }, "POST/x1, 2abcde1.1" },
    ["a value"] = { "if #self.incoming < 4 then return false, 4 end return true, 4, { self.incoming:sub(2, 4) }",
      "return self.request[1] .. #self.incoming", { "ab", "cd" }, "bcd4" },
    ["a refusal"] = { "return nil, 'too_large', self.incoming", "return nil", { "abc" }, "!" },
    ["one of a framing"] = { "return framing.netstring { max = 3 }(self)", "return nil", { "4:" }, "!" },
    ["what is in a folder"] = { "return line(self)", [[
      held.root = assert(files.root(FOLDER))
      local names, about = assert(held.root:list "."), assert(held.root:stat "file")
      return names[1].name .. about.size]], { "x\n" }, "file10" },
    ["a response of HTTP"] = { "return framing.http {}(self)", [[
      local http = require "parlance.http"
      local served = http.serve(function()
        return 200, { ["X-A"] = { "1", "2" }, ["X-B"] = "c" }, { open "file", "." }
      end)
      return served.make_response(self)]], { "GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
      "^HTTP/1.1 200 OK.*X%-B: c\r\n.*0123456789.*$" },
  }

  for name, case in pairs(REQUESTS) do
    it("does no harm to " .. name, function()
      local script = protocol(case[2], ([[function(self)
        held.clients[1] = self
        local command = self.incoming:match "^arm [^\n]*\n" or self.incoming:match "^runs\n"
        if command then return true, #command, command:sub(1, -2) end
        %s
      end]]):format(case[1]))
      local most = torture(script, case[4], false, function()
        local session <close> = script:open()
        return conversation.feed(session, case[3])
      end)
      assert.is_true(most >= 5, most)
    end)
  end

  it("does no harm to first words and last ones", function()
    local folder <const> = conversation.folder { file = "0123456789" }
    local script = conversation.script(TRAP:format(folder) .. [[
      return {
        close_when_done = false,
        handle_connect = function(self)
          held.clients[1] = self
          self.mine = self.client_address.host
          return give { "<", open "file", ">" }
        end,
        request_complete = function(self)
          local command = self.incoming:match "^arm [^\n]*\n" or self.incoming:match "^runs\n"
          if command then return true, #command, command:sub(1, -2) end
          return nil, "too_large"
        end,
        make_response = function(self) return command(self.request) end,
        handle_error = function(self, reason, detail)
          held.clients[2] = self
          return give { file = open "file", length = 3 }
        end,
        handle_close = function(self, reason) held.clients[3] = self held.reason = self.host .. reason end,
      }]])
    local GREETING <const> = "<0123456789>"
    local function command(text)
      local session <close> = script:open()
      return conversation.feed(session, { text .. "\n" }):sub(#GREETING + 1)
    end
    for _, word in ipairs(ACTS) do
      local n = 0
      local runs
      repeat
        n = n + 1
        assert.equal("armed", command(("arm %s %d"):format(word, n)))
        rooms.base.capture(function()
          local session <close> = script:open()
          conversation.feed(session, { "x" })
        end)
        runs = tonumber((select(2, rooms.base.capture(function()
          local session <close> = script:open()
          return conversation.feed(session, { "runs\n" })
        end)):match "(%d+) %d+$"))
      until not runs or runs < n
      assert.is_true(n > 5, n)
      local session <close> = script:open()
      assert.equal(GREETING .. "012", (select(2, rooms.base.capture(function()
        return conversation.feed(session, { "x" })
      end))))
    end
  end)
end)
