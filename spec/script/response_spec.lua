-- What make_response returns, and what it must not.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"
local server = require "support.server"

local function say(body, step)
  local session <close> = conversation.lines(body):open()
  local log, out = rooms.base.capture(function()
    session:receive "\n"
    return (conversation.output(session, step))
  end)
  return out, session:reason(), log
end

describe("response", function()
  after_each(conversation.clean)

  for value, message in pairs {
    ["5"] = "make_response returned a number %(5%)",
    ["true"] = "make_response returned a boolean %(true%)",
    ["false"] = "make_response returned a boolean %(false%)",
    ["coroutine.create(print)"] = "make_response returned a thread %(",
    ["{ 'a', 5 }"] = "item 2 is a number %(5%)",
    ["{ 'a', false, 'b' }"] = "item 2 is a boolean %(false%)",
    ["{ {} }"] = "item 1 is a table %(",
    ["{ a = 1 }"] = "without list items",
    ["{ file = 5, length = 1 }"] = "make_response returned a table %(",
    ["{ file = io.open '/dev/null', length = -1 }"] = "make_response returned a table %(",
    ["{ file = io.open '/dev/null', length = 1 }"] = "make_response returned a part of a file that is no regular one",
    ["{ 'a', { file = io.open '/dev/null', length = 1 } }"] = "item 2 is a part of a file that is no regular one",
    ["{ { file = io.open '/etc/passwd', length = 1, more = 1 } }"] = "item 1 is a table %(",
    ["{ { file = io.open '/etc/passwd', [1] = 1 } }"] = "item 1 is a table %(",
    ["(function() local f = io.open '/dev/null' f:close() return f end)()"] = "make_response returned a closed file",
    ["(function() local f = io.open '/dev/null' f:close() return { 'a', f } end)()"] = "item 2 is a closed file",
    ["setmetatable({}, { __tostring = function() return 'itself' end }), nil"] = false,
    ["{ 'x', setmetatable({}, { __tostring = function() return 'itself' end }) }"] = "item 2 is a table %(itself%)",
  } do
    it(message and "refuses " .. value or "takes " .. value, function()
      local out, reason, log = say("return " .. value)
      assert.equal("", out)
      assert.equal(message and "script_error" or "none", reason)
      if message then assert.truthy(log:find(message), log) end
    end)
  end

  it("may be raised about by what it wanted to show", function()
    local out, reason = say "return { setmetatable({}, { __tostring = function() error 'x' end }) }"
    assert.same({ "", "script_error" }, { out, reason })
  end)

  it("has every byte", function()
    local every = {}
    for byte = 0, 255 do every[#every + 1] = string.char(byte) end
    every = table.concat(every)
    assert.equal(every, say(("return %q"):format(every)))
    assert.equal(every .. every:rep(200), say(("local s = %q return { s, s:rep(200) }"):format(every), 1000))
  end)

  it("may have the same strings and functions again and again", function()
    assert.equal(("xy"):rep(3) .. ("z"):rep(80000), say [[
      local n = 0
      local function f() n = n + 1 return n < 3 and "xy" or nil end
      local z = ("z"):rep(40000)
      return { "xy", f, f, z, z } ]])
  end)

  it("may be one file, one function or one part of a file, without a list around it", function()
    local folder <const> = conversation.folder { file = "0123456789" }
    for body, wanted in pairs {
      ["return io.open 'FOLDER/file'"] = "0123456789",
      ["local f = io.open 'FOLDER/file' f:read(2) return f"] = "23456789",
      ["return { file = io.open 'FOLDER/file', length = 4 }"] = "0123",
      ["local f = io.open 'FOLDER/file' f:read(2) return { length = 4, file = f }"] = "2345",
      ["local n = 0 return function() n = n + 1 return n < 4 and '' .. n or nil end"] = "123",
      ["return coroutine.wrap(function() coroutine.yield 'a' coroutine.yield 'b' end)"] = "ab",
      ["return select(2, require 'parlance.files'.root 'FOLDER':open 'file')"] = "0123456789",
      ["return { file = select(2, require 'parlance.files'.root 'FOLDER':open 'file'), length = 3 }"] = "012",
      ["return {}"] = "",
    } do
      local out, reason, log = say((body:gsub("FOLDER", folder)))
      assert.same({ wanted, "none" }, { out, reason }, log)
    end
  end)

  it("may be one item in handle_connect and in handle_error, too", function()
    local folder <const> = conversation.folder { file = "hello\n" }
    local session <close> = conversation.script((([[
      return {
        handle_connect = function() return io.open "FOLDER/file" end,
        request_complete = function() return nil, "no" end,
        make_response = function() end,
        handle_error = function()
          return { file = io.open "FOLDER/file", length = 4 }
        end,
      }]]):gsub("FOLDER", folder))):open()
    assert.equal("hello\nhell", conversation.feed(session, { "x" }))
  end)

  it("is taken from a list as the list is, without its metatable", function()
    assert.equal("ab", say [[
      return setmetatable({ "a", "b" }, { __index = function() error "x" end, __len = function() return 9 end }) ]])
    local folder <const> = conversation.folder { file = "0123456789" }
    assert.equal("<01>", say(([[
      local part = setmetatable({ file = io.open "FOLDER/file", length = 2 }, { __index = error, __pairs = error })
      return { "<", part, ">" } ]]):gsub("FOLDER", folder)))
  end)

  it("may have more files than are kept room for", function()
    local folder <const> = conversation.folder { file = "0123456789" }
    assert.equal(("0123456789-"):rep(40), say(([[
      local list = {}
      for i = 1, 80, 2 do list[i], list[i + 1] = io.open "FOLDER/file", "-" end
      return list ]]):gsub("FOLDER", folder)))
  end)

  describe("a function", function()
    it("is called until it returns nil", function()
      assert.equal("12", say [[ local n = 0 return { function() n = n + 1 return n < 3 and "" .. n or nil end } ]])
    end)

    it("may have nothing to say for a while", function()
      assert.equal("end", say [[
        local n = 0
        return { function() n = n + 1 if n > 900 then return n == 901 and "end" or nil end return "" end } ]])
    end)

    it("that never has anything to say is an error", function()
      local out, reason, log = say [[ return { "a", function() return "" end } ]]
      assert.same({ "a", "script_error" }, { out, reason })
      assert.truthy(log:find("1000 times in a row", 1, true), log)
    end)

    for value, shown in pairs {
      ["5"] = "number %(5%)", ["false"] = "boolean %(false%)", ["{}"] = "table %(", ["print"] = "function %(",
    } do
      it("must not return " .. value, function()
        local out, reason, log = say(("return { 'a', function() return %s end, 'b' }"):format(value))
        assert.same({ "a", "script_error" }, { out, reason })
        assert.truthy(log:find("a function of the response returned " .. shown), log)
      end)
    end

    it("that raises ends the response where it is", function()
      local out, reason = say [[
        local n = 0
        return { "a", function() n = n + 1 if n == 3 then error "x" end return n .. "" end, "b" } ]]
      assert.same({ "a12", "script_error" }, { out, reason })
    end)
  end)

  describe("a file", function()
    local function with_file(text, body)
      local folder <const> = conversation.folder { file = text }
      return (body:gsub("FILE", folder .. "/file"))
    end

    it("goes out from where it stands", function()
      assert.equal("cdef", say(with_file("abcdef", [[
        local f = io.open "FILE" f:read(2) return { f } ]])))
    end)

    it("has what the script has written to it", function()
      assert.equal("new", say(with_file("", [[
        local f = io.open("FILE", "w+") f:write "new" f:seek "set" return { f } ]])))
    end)

    it("at its end is nothing", function()
      assert.equal("ab", say(with_file("xx", [[
        local f = io.open "FILE" f:seek "end" return { "a", f, "b" } ]])))
    end)

    it("is closed afterwards, and when it is not sent", function()
      local script = conversation.lines(with_file(("x"):rep(100), [[
        local shared = require "parlance".shared
        if self.request == "closed" then
          local state = io.type(shared.file)
          shared.file = nil
          return state
        end
        shared.file = io.open(self.request)
        return { "<", shared.file, ">" } ]]))
      for _, name in ipairs { "/proc/self/comm", "/proc/self/exe" } do
        local session, other = script:open(), script:open()
        session:receive(name .. "\n")
        if name:find "exe" then session:abort "peer_reset" else conversation.output(session) end
        assert.equal("closed file", conversation.feed(other, { "closed\n" }))
      end
    end)

    describe("of parlance.files", function()
      local PARTS <const> = [[
        local root = require "parlance.files".root "FOLDER"
        local about, f = root:open "file"
      ]]

      local function parts(body, step)
        local folder <const> = conversation.folder { file = "0123456789" }
        return say((PARTS .. body):gsub("FOLDER", folder), step)
      end

      it("goes out whole, or a part of it", function()
        assert.equal("<0123456789>", parts [[ return { "<", f, ">" } ]])
        assert.equal("<0123456789>", parts [[ return { "<", { file = f, length = about.size }, ">" } ]])
        assert.equal("<01>", parts [[ return { "<", { file = f, length = 2 }, ">" } ]])
        assert.equal("<>", parts [[ return { "<", { file = f, length = 0 }, ">" } ]])
        assert.equal("<23>", parts [[ f:seek("set", 2) return { "<", { file = f, length = 2 }, ">" } ]])
        assert.equal("<1234>", parts [[ f:read(1) return { "<", { file = f, length = 4 }, ">" } ]])
      end)

      it("has as many bytes as it has when it is returned", function()
        assert.equal("0123456789+", parts [[
          local more <close> = io.open("FOLDER/file", "a")
          more:write "+" more:flush()
          return { { file = f, length = 11 } } ]])
        local out, reason, log = parts [[ return { "<", { file = f, length = 11 } } ]]
        assert.same({ "", "script_error" }, { out, reason })
        assert.truthy(log:find("item 2 is 11 bytes of a file that has 10 left", 1, true), log)
      end)

      it("is the core's from when it is returned", function()
        for _, item in ipairs { "f", "{ file = f, length = 10 }" } do
          local out, reason, log = parts(([[
            return { function() if f then f:close() f = nil return "a" end end, %s } ]]):format(item))
          assert.same({ "", "script_error" }, { out, reason })
          assert.truthy(log:find("attempt to use a closed file", 1, true), log)
          out, reason, log = parts(("return { %s, '-', %s }"):format(item, item))
          assert.same({ "", "script_error" }, { out, reason })
          assert.truthy(log:find("items 1 and 3 are the same file", 1, true), log)
        end
      end)

      it("cannot be returned once it is closed", function()
        for _, close in ipairs { "f:close()", "io.close(f)", "do local g <close> = f end" } do
          local _, reason, log = parts(close .. " return { { file = f, length = 1 } }")
          assert.equal("script_error", reason)
          assert.truthy(log:find("item 1 is a table (", 1, true), log)
        end
      end)

      it("is closed afterwards, and when it is not sent", function()
        local folder <const> = conversation.folder { file = "0123456789" }
        local script = conversation.lines([[
          local _, f = self.root:open "file"
          return { "<", { file = f, length = 10 }, ">" } ]],
          ([[Lines.root = assert(require "parlance.files".root %q)]]):format(folder))
        local count <const> = rooms.process.descriptors
        local before <const> = count()
        for _ = 1, 3 do
          local session <close> = script:open()
          local other <close> = script:open()
          session:receive "\n"
          other:receive "\n"
          assert.equal(before + 2, count())
          assert.equal("<0123456789>", conversation.output(session))
          assert.equal(before + 1, count())
          other:abort "peer_reset"
          assert.equal(before, count())
        end
      end)
    end)

    it("that is none on the disk is read piece by piece", function()
      local comm <close> = assert(io.open "/proc/self/comm")
      assert.equal("<" .. comm:read "a" .. ">", say [[ return { "<", io.open "/proc/self/comm", ">" } ]])
      local count <const> = rooms.process.descriptors
      local before <const> = count()
      assert.equal(("0123456789"):rep(1000), say([[
        self.blocksize = 7
        return { io.popen "for i in $(seq 1000); do printf 0123456789; done" } ]], 333))
      -- A thread closes the pipe.
      server.wait_until("the end of the program", function() return count() == before end)
    end)

    it("that cannot be read is an error of the file, which is named", function()
      local out, reason, log = say [[ return { "a", io.open "/proc/self/mem", "b" } ]]
      assert.same({ "a", "file_error" }, { out, reason })
      assert.truthy(log:find("a file of the response cannot be read: /proc/%d+/mem: Input/output error"), log)
      out, reason, log = say [[ return { "a", io.open "/tmp" } ]]
      assert.same({ "", "file_error" }, { out, reason })
      assert.truthy(log:find("item 2 of the response is a file that is a folder: /tmp", 1, true), log)
      local path <const> = conversation.folder { file = "x" } .. "/file"
      for _, mode in ipairs { "w", "a" } do
        out, reason, log = say(("return { io.open(%q, %q) }"):format(path, mode))
        assert.same({ "", "file_error" }, { out, reason })
        assert.truthy(log:find("item 1 of the response is a file that was not opened for reading: /", 1, true), log)
      end
      out, reason, log = say(("return io.open(%q, 'a')"):format(path))
      assert.same({ "", "file_error" }, { out, reason })
      assert.truthy(log:find('detail="the response is a file that was not opened for reading: ' .. path, 1, true), log)
    end)

    it("that is refused is closed, with those before it", function()
      local count <const> = rooms.process.descriptors
      local script = conversation.lines [[
        local root = require "parlance.files".root "/etc"
        local _, f = root:open "passwd"
        root:close()
        return { "a", io.open "/etc/passwd", f, io.open "/proc/self/comm", io.open "/tmp" } ]]
      local before <const> = count()
      for _ = 1, 20 do
        local session <close> = script:open()
        rooms.base.capture(function() session:receive "\n" end)
        assert.equal("file_error", session:reason())
      end
      script:close()
      assert.equal(before, count())
    end)

    it("belongs to the core from when it is returned: the script has a closed one", function()
      local out, reason, log = say [[
        local f = io.open "/proc/self/comm"
        return { function() if f then f:close() f = nil return "a" end end, f } ]]
      assert.same({ "", "script_error" }, { out, reason })
      assert.truthy(log:find("attempt to use a closed file", 1, true), log)
    end)

    it("cannot be returned twice, in one list or in two responses", function()
      local out, reason, log = say [[
        local f = io.open "/proc/self/comm"
        return { f, "-", f } ]]
      assert.same({ "", "script_error" }, { out, reason })
      assert.truthy(log:find("are the same file", 1, true), log)
      out, reason, log = say [[
        local shared = require "parlance".shared
        shared.file = shared.file or io.open "/proc/self/comm"
        if shared.used then return { shared.file } end
        shared.used = { shared.file }
        return { function() shared.again = not shared.again return shared.again and "a" or nil end, shared.file,
                 function() return shared.file:read() end } ]]
      assert.equal("script_error", reason)
      assert.truthy(log:find("attempt to use a closed file", 1, true), log)
      assert.equal("a", out:sub(1, 1))
    end)
  end)
end)
