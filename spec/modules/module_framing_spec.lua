local rooms = require "parlance_spec"
local feed = rooms.framing.feed
local framing = rooms.framing.open()

local KINDS <const> = { "delimited", "fixed", "http", "length_line", "line", "netstring", "prefixed", "resp" }

-- The least that each constructor takes.
local LEAST <const> = { delimited = { delimiter = "\n" }, fixed = { size = 1 } }

-- The message of the error that framing[kind](options) must raise, without the place.
local function refusal(kind, options)
  local is_made, message = pcall(function() return framing[kind](options) end)
  assert.is_false(is_made)
  return (message:gsub("^[^:]+:%d+: ", ""))
end

describe("parlance.framing", function()
  describe("constructors", function()
    it("are all there is in the module", function()
      local names = {}
      for name in pairs(framing) do names[#names + 1] = name end
      table.sort(names)
      assert.are.same(KINDS, names)
    end)

    for _, kind in ipairs { "http", "length_line", "line", "netstring", "prefixed", "resp" } do
      it(kind .. " needs no options", function()
        local first = tostring(framing[kind] {})
        assert.are.equal(first, tostring(framing[kind]()))
        assert.are.equal(first, tostring(framing[kind](nil)))
      end)
    end

    it("do not change the table of options", function()
      local options = { format = "B", max = 5 }
      framing.prefixed(options)
      assert.are.same({ format = "B", max = 5 }, options)
    end)

    it("take a float that is a whole number", function()
      assert.are.equal("framing.line { max = 1000 }", tostring(framing.line { max = 1e3 }))
    end)

    it("find options that a table inherits", function()
      local options = setmetatable({}, { __index = { size = 3 } })
      assert.are.equal("framing.fixed { size = 3 }", tostring(framing.fixed(options)))
    end)
  end)

  describe("refusals", function()
    it("blame the line of the script", function()
      local chunk = assert(load("local framing = ...\n\nreturn framing.line { size = 1 }", "=script.lua"))
      local is_made, message = pcall(chunk, framing)
      assert.is_false(is_made)
      assert.are.equal('script.lua:3: framing.line has no option "size"', message)
    end)

    it("name what is not a table of options", function()
      local is_made, message = pcall(function() return framing.delimited "\0" end)
      assert.is_false(is_made)
      assert.truthy(message:find("bad argument #1 to 'delimited' (table expected, got string)", 1, true), message)
    end)

    for _, kind in ipairs(KINDS) do
      it("name an option that " .. kind .. " does not have", function()
        local options = { maximum = 1 }
        for name, value in pairs(LEAST[kind] or {}) do options[name] = value end
        assert.are.equal(("framing.%s has no option \"maximum\""):format(kind), refusal(kind, options))
      end)
    end

    for _, case in ipairs {
      { "line", { "x" }, "framing.line has no option 1" },
      { "line", { max = "12" }, 'framing.line: max must be an integer, not "12"' },
      { "line", { max = 1.5 }, "framing.line: max must be an integer, not 1.5" },
      { "line", { max = math.huge }, "framing.line: max must be an integer, not inf" },
      { "line", { max = false }, "framing.line: max must be an integer, not false" },
      { "line", { max = -1 }, "framing.line: max must be at least 0, not -1" },
      { "length_line", { max = -2 }, "framing.length_line: max must be at least 0, not -2" },
      { "netstring", { max = -3 }, "framing.netstring: max must be at least 0, not -3" },
      { "delimited", { delimiter = "x", max = -4 }, "framing.delimited: max must be at least 0, not -4" },
      { "delimited", {}, "framing.delimited needs the option delimiter" },
      { "delimited", { delimiter = 10 }, "framing.delimited: delimiter must be a string, not 10" },
      { "delimited", { delimiter = "" }, 'framing.delimited: delimiter must have 1 to 64 bytes, not 0: ""' },
      {
        "delimited", { delimiter = ("x"):rep(65) },
        'framing.delimited: delimiter must have 1 to 64 bytes, not 65: "' .. ("x"):rep(65) .. '"',
      },
      { "fixed", nil, "framing.fixed needs the option size" },
      { "fixed", { size = "four" }, 'framing.fixed: size must be an integer, not "four"' },
      { "fixed", { size = 0 }, "framing.fixed: size must be at least 1, not 0" },
      { "fixed", { size = 4, max = 4 }, 'framing.fixed has no option "max"' },
      { "http", { max_head = 0 }, "framing.http: max_head must be at least 1, not 0" },
      { "http", { max_head = 1 << 25 }, "framing.http: max_head must be at most 16777216, not 33554432" },
      { "http", { max_headers = -1 }, "framing.http: max_headers must be at least 0, not -1" },
      { "prefixed", { offset = -1 }, "framing.prefixed: offset must be at least 0, not -1" },
      { "prefixed", { offset = 1 << 31 }, "framing.prefixed: offset must be at most 2147483647, not 2147483648" },
      { "prefixed", { adjust = "4" }, 'framing.prefixed: adjust must be an integer, not "4"' },
      { "prefixed", { strip = -1 }, "framing.prefixed: strip must be at least 0, not -1" },
      { "resp", { max = -5 }, "framing.resp: max must be at least 0, not -5" },
      { "resp", { max_arguments = 0 }, "framing.resp: max_arguments must be at least 1, not 0" },
      {
        "resp", { max_arguments = 1048577 },
        "framing.resp: max_arguments must be at most 1048576, not 1048577",
      },
      { "resp", { reuse = 1 }, "framing.resp: reuse must be true or false, not 1" },
      { "resp", { replies = "yes" }, 'framing.resp: replies must be true or false, not "yes"' },
      {
        "resp", { replies = true, reuse = true },
        "framing.resp: reuse is for requests: it cannot stand with replies = true",
      },
      { "http", { responses = 1 }, "framing.http: responses must be true or false, not 1" },
      {
        "http", { responses = true, method = true },
        'framing.http: method must be a string such as "HEAD", not true',
      },
      { "http", { method = "HEAD" }, "framing.http: method is for responses = true: it says what they answer" },
    } do
      local kind, options, message = table.unpack(case, 1, 3)
      it("say " .. message:sub(1, 80), function() assert.are.equal(message, refusal(kind, options)) end)
    end

    it("show a format that is not one integer", function()
      local formats <const> = {
        "", "<", ">", "I0", "I17", "i99", "I4294967300", "I-4", "4", ">I4I4", "I4 ", " I4", "><I4", "!I4", "s4", "z",
        "f", "d", "n", "x", "b1", "j8", "\0I4", "I4\0", ">\0",
      }
      for _, format in ipairs(formats) do
        assert.are.equal(
          'framing.prefixed: format must be one integer option of string.pack, such as ">I4", not "'
            .. format:gsub("%z.*", "") .. '"',
          refusal("prefixed", { format = format })
        )
      end
      assert.truthy(refusal("prefixed", { format = 4 }):find("not 4", 1, true))
    end)
  end)

  describe("a framing", function()
    it("shows the call that made it", function()
      for text, value in pairs {
        ["framing.line {}"] = framing.line {},
        ["framing.line { max = 1024 }"] = framing.line { max = 1024 },
        ["framing.length_line { max = 0 }"] = framing.length_line { max = 0 },
        ["framing.netstring {}"] = framing.netstring {},
        ["framing.http { max_head = 16384, max_headers = 100 }"] = framing.http {},
        ["framing.http { max_head = 1, max_headers = 0, max = 7 }"] = framing.http {
          max = 7, max_head = 1, max_headers = 0,
        },
        ["framing.http { max_head = 16384, max_headers = 100, responses = true }"] = framing.http {
          responses = true, method = "GET",
        },
        ['framing.http { max_head = 16384, max_headers = 100, responses = true, method = "HEAD" }'] = framing.http {
          responses = true, method = "HEAD",
        },
        ["framing.resp { max_arguments = 1048576 }"] = framing.resp {},
        ["framing.resp { max_arguments = 2, replies = true, max = 9 }"] = framing.resp {
          replies = true, max_arguments = 2, max = 9,
        },
        ["framing.resp { max_arguments = 3, max = 9 }"] = framing.resp { max_arguments = 3, max = 9 },
        ["framing.resp { max_arguments = 1048576, reuse = true }"] = framing.resp { reuse = true },
        ["framing.resp { max_arguments = 1 }"] = framing.resp { max_arguments = 1, reuse = false },
        ["framing.fixed { size = 12 }"] = framing.fixed { size = 12 },
        ['framing.delimited { delimiter = "--", max = 9 }'] = framing.delimited { delimiter = "--", max = 9 },
        ['framing.delimited { delimiter = "\\013\\010\\000\\255\\034\\092" }'] = framing.delimited {
          delimiter = "\r\n\0\255\"\\",
        },
        ['framing.prefixed { format = ">I4", offset = 0, adjust = 0, strip = 4 }'] = framing.prefixed {},
        ['framing.prefixed { format = "<i2", offset = 3, adjust = -2, strip = 1, max = 7 }'] = framing.prefixed {
          format = "<h", offset = 3, adjust = -2, strip = 1, max = 7,
        },
      } do
        assert.are.equal(text, tostring(value))
      end
    end)

    it("is made again by what it shows", function()
      for _, value in ipairs {
        framing.delimited { delimiter = "\r\n\0001\"\\", max = 9 },
        framing.prefixed { format = "j", offset = 3, adjust = math.mininteger, strip = 0 },
      } do
        local again = load("local framing = ... return " .. tostring(value))(framing)
        assert.are.equal(tostring(value), tostring(again))
      end
    end)

    it("is a userdata of the type parlance.framing", function()
      local value = framing.line {}
      assert.are.equal("userdata", type(value))
      assert.are.equal("parlance.framing", getmetatable(value).__name)
    end)

    it("keeps its type when the module is opened again", function()
      local value = framing.line {}
      rooms.framing.open()
      assert.are.equal("a", feed(value, "a\n").payload)
    end)

    it("is told from other userdata", function()
      assert.has_error(function() feed(io.stdout, "a\n") end)
      assert.has_error(function() getmetatable(framing.line {}).__call(io.stdout, { incoming = "" }) end)
      assert.has_error(function() getmetatable(framing.line {}).__tostring {} end)
    end)
  end)

  describe("called as a function", function()
    it("answers true and the length, and sets the request", function()
      local t = { incoming = "one\r\ntwo\n" }
      assert.are.same({ true, 5 }, { framing.line {}(t) })
      assert.are.same({ incoming = "one\r\ntwo\n", request = "one" }, t)
    end)

    it("sets the list of arguments where that is the request", function()
      local t = { incoming = "*2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\r\n" }
      assert.are.same({ true, 19 }, { framing.resp {}(t) })
      assert.are.same({ "GET", "" }, t.request)
    end)

    it("makes a new list each time", function()
      local one, other = { incoming = "GET a\n" }, { incoming = "GET b\n" }
      framing.resp {}(one)
      framing.resp {}(other)
      assert.are.same({ "GET", "a" }, one.request)
      assert.are.same({ "GET", "b" }, other.request)
    end)

    describe("with reuse", function()
      local resp = framing.resp { reuse = true }

      local function list_of(bytes)
        local t = { incoming = bytes }
        assert.is_true((resp(t)))
        return t.request
      end

      it("uses a list again for as many arguments", function()
        local list = list_of "GET a\n"
        assert.are.same({ "GET", "a" }, list)
        assert.are.equal(list, list_of "*2\r\n$3\r\nDEL\r\n$0\r\n\r\n")
        assert.are.same({ "DEL", "" }, list)
      end)

      it("has another list for each number of arguments", function()
        for _, words in ipairs { "a b c d e f g h", "a", "a b c", "", "a b" } do
          local list, count = list_of(words .. "\n"), 0
          for word in words:gmatch "%a" do
            count = count + 1
            assert.are.equal(word, list[count])
          end
          assert.are.equal(count, #list)
          assert.is_nil(next(list, count > 0 and count or nil))
        end
      end)

      it("keeps no list of many arguments, or of large ones", function()
        for _, words in ipairs { ("a "):rep(9), "SET " .. ("x"):rep(4096) } do
          local list = setmetatable({ list_of(words .. "\n") }, { __mode = "v" })
          collectgarbage()
          assert.is_nil(list[1])
        end
      end)
    end)

    it("answers false and how many bytes there must be", function()
      local t = { incoming = "5\nhe" }
      assert.are.same({ false, 7 }, { framing.length_line {}(t) })
      assert.are.same({ incoming = "5\nhe" }, t)
    end)

    it("answers nil and why", function()
      local done, reason = framing.length_line {} { incoming = "05\n" }
      assert.is_nil(done)
      assert.are.equal("the length has a leading zero", reason)
    end)

    it("answers nil and that it is too large", function()
      assert.are.same({ nil, "too_large", "the length is larger than allowed: 5 bytes, and 4 are allowed" },
        { framing.netstring { max = 4 } { incoming = "5:" } })
      assert.are.same({ nil, "too_large", "the line is longer than allowed" },
        { framing.line { max = 4 } { incoming = "12345" } })
    end)

    it("stands where request_complete would", function()
      local protocol = { request_complete = framing.delimited { delimiter = "\0" } }
      protocol.__index = protocol
      local client = setmetatable({ incoming = "a\nb\0" }, protocol)
      assert.are.same({ true, 4 }, { client:request_complete() })
      assert.are.equal("a\nb", client.request)
      assert.is_nil(rawget(protocol, "request"))
    end)

    it("refuses what has no bytes", function()
      for _, case in ipairs {
        { {}, "framing.line: incoming must be a string, not nil" },
        { { incoming = 12 }, "framing.line: incoming must be a string, not 12" },
        { "a\n", "table expected, got string" },
      } do
        local is_done, message = pcall(framing.line {}, case[1])
        assert.is_false(is_done)
        assert.truthy(message:find(case[2], 1, true), message)
      end
    end)
  end)
end)
