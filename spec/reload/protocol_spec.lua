local conversation = require "support.conversation"

-- Where lua/parlance/field_lint.lua is.
local SOURCE <const> = os.getenv "PARLANCE_SOURCE_DIR" or "."
local MODULES <const> = { modules = SOURCE .. "/lua" }

-- The least that is a protocol, with these fields.
local function protocol(fields)
  return ([[
    return {
      request_complete = function() return true end, make_response = function() end,
      %s
    }]]):format(fields)
end

-- Why a script is not valid; its path, where the reason has it, stands as "PATH".
local function refusal(text, options, beside)
  local script, reason, path = conversation.load(text, options, beside)
  assert.is_nil(script)
  assert.is_nil(reason:find("stack traceback", 1, true))
  local folder <const> = path:match "^(.*)/"
  reason = reason:gsub("%f[%w/]" .. path:gsub("%p", "%%%0"), "PATH")
  return (reason:gsub(folder:gsub("%p", "%%%0"), "FOLDER"))
end

describe("generation", function()
  after_each(conversation.clean)

  describe("refuses", function()
    for _, case in ipairs {
      { "a syntax error", "return {\n  a = = 1\n}", "PATH:2: unexpected symbol near '='" },
      { "an empty script", "", "PATH: the script returned nil, not a table (its protocol)" },
      { "one that returns something else", "return 5", "PATH: the script returned number, not a table (its protocol)" },
      { "one that raises", "\n\nerror 'on purpose'", "PATH:3: on purpose" },
      { "one that raises a table", "error {}", "PATH: table: 0x" },
      { "bytecode", "\27Lua", "PATH: attempt to load a binary chunk (mode is 't')" },
      { "a table without functions", "return {}", "PATH: the protocol lacks request_complete" },
      { "one without make_response", "return { request_complete = function() end }",
        "PATH: the protocol lacks make_response" },
      { "one without request_complete", "return { make_response = function() end, handle_connect = function() end }",
        "PATH: the protocol lacks request_complete" },
      { "a missing module", "return require 'no.such'", "PATH:1: module 'no.such' not found:\n"
        .. "\tno field package.preload['no.such']\n\tno file '" },
    } do
      local fact, text, wanted = table.unpack(case)
      it(fact, function()
        local reason = refusal(text)
        assert.equal(wanted, (wanted:find "0x$" or wanted:find "\n") and reason:sub(1, #wanted) or reason)
      end)
    end

    it("a file that is not there", function()
      local script, reason = require("parlance_spec").session.load "/no/such/script.lua"
      assert.is_nil(script)
      assert.equal("cannot open /no/such/script.lua: No such file or directory", reason)
    end)

    it("a module beside it that does not compile, with its file and line", function()
      assert.equal("PATH:1: error loading module 'helper' from file 'FOLDER/helper.lua': FOLDER/helper.lua:2: "
        .. "unexpected symbol near '='",
        refusal("return require 'helper'", nil, { ["helper.lua"] = "return {\n = }" }))
    end)

    it("a module beside it that raises, with its file and line", function()
      assert.equal("PATH: FOLDER/helper.lua:1: no",
        refusal("return require 'helper'", nil, { ["helper.lua"] = "error 'no'" }))
    end)

    for _, case in ipairs {
      { "request_complete = 1", "request_complete is number (1), not a function" },
      { "make_response = 'x'", "make_response is string (x), not a function" },
      { "make_response = framing", "make_response is userdata (framing.line {}), not a function" },
      { "handle_connect = true", "handle_connect is boolean (true), not a function" },
      { "handle_error = 5", "handle_error is number (5), not a function" },
      { "handle_close = ''", "handle_close is string (), not a function" },
      { "max_request = '10'", "max_request is string (10), not a whole number of bytes in range" },
      { "max_request = 0", "max_request is number (0), not a whole number of bytes in range" },
      { "max_request = 1.5", "max_request is number (1.5), not a whole number of bytes in range" },
      { "max_request = -1", "max_request is number (-1), not a whole number of bytes in range" },
      { "max_request = math.maxinteger",
        "max_request is number (9223372036854775807), not a whole number of bytes in range" },
      { "blocksize = 1 << 25", "blocksize is number (33554432), not a whole number of bytes in range" },
      { "blocksize = false", "blocksize is boolean (false), not a whole number of bytes in range" },
      { "request_timeout = -1", "request_timeout is number (-1), not a number of seconds" },
      { "idle_timeout = 0/0", "idle_timeout is number (" .. tostring(0 / 0) .. "), not a number of seconds" },
      { "write_timeout = math.huge", "write_timeout is number (inf), not a number of seconds" },
      { "write_timeout = '5'", "write_timeout is string (5), not a number of seconds" },
      { "close_when_done = 1", "close_when_done is number (1), not true or false" },
      { "listen = 8888", "listen is number (8888), not a string" },
      { "listen = 'a\\0b'", "listen holds a zero byte" },
      { "listen = ('x'):rep(256)", "listen is too long" },
      { "example = {}", nil },
      { "example = ('x'):rep(4096)", "example is too long" },
    } do
      local field, wanted = table.unpack(case, 1, 2)
      it(field, function()
        local reason = refusal("local framing = require 'parlance.framing'.line {}\nlocal P = {}\n"
          .. "P.request_complete, P.make_response = print, print\nP." .. field .. "\nreturn P")
        assert.truthy(reason:find("^PATH"), reason)
        if wanted then assert.truthy(reason:find(wanted, 1, true), reason) end
      end)
    end
  end)

  it("refuses a framing that was not called, and names it", function()
    for _, name in ipairs { "line", "delimited", "fixed", "length_line", "prefixed", "netstring", "http", "resp" } do
      assert.equal(("PATH: request_complete is framing.%s, which makes a framing when it is called"):format(name),
        refusal(('return { request_complete = require("parlance.framing").%s, make_response = print }'):format(name)))
    end
  end)

  it("suggests the field that may be meant by one that is missing", function()
    assert.equal("PATH: the protocol lacks make_response; is it make_respnse?",
      refusal("return { request_complete = print, make_respnse = print }", MODULES), MODULES)
    assert.equal("PATH: the protocol lacks request_complete; is it requestComplete?",
      refusal("return { requestComplete = print, make_response = print, x = 1 }", MODULES))
    assert.equal("PATH: the protocol lacks make_response",
      refusal("return { request_complete = print, make = print }", MODULES))
  end)

  describe("warns of fields that look misspelled:", function()
    -- What is logged when a protocol of these fields is loaded, each a misspelling and what was meant.
    local function warnings(fields)
      local found = {}
      local log = conversation.capture(function() conversation.script(protocol(fields), MODULES) end)
      for line in log:gmatch "[^\n]+" do
        found[#found + 1] = assert(line:match " warn misspelled service=protocol field=(.*)$", line)
      end
      return found
    end

    -- All fields that a protocol may have, as the definitions for the language server have them.
    local KNOWN <const> = {}
    for line in io.lines(SOURCE .. "/lua/parlance/meta/parlance.lua") do
      if line:find "^%-%-%-@class" then KNOWN.is_protocol = line == "---@class parlance.Protocol" end
      KNOWN[#KNOWN + 1] = KNOWN.is_protocol and line:match "^%-%-%-@field ([%w_]+)%?" or nil
    end

    it("none of those that the server knows is", function()
      local valid = {
        request_complete = "print", make_response = "print", handle_connect = "print", handle_error = "print",
        handle_close = "print", save = "print", restore = "print", close_when_done = "false", blocksize = "1",
        listen = "':1'", example = "'x'", max_request = "1", request_timeout = "1", idle_timeout = "1",
        write_timeout = "1", response_timeout = "1", settings = "{}", encode = "print", max_unsent = "1",
        max_tasks = "1", half_close = "false", datagram = "print", amplification = "1",
        handle_expect = "print, request_complete = require 'parlance.framing'.http()",
      }
      assert.equal(24, #KNOWN)
      for _, name in ipairs(KNOWN) do assert.same({}, warnings(name .. " = " .. valid[name])) end
    end)

    it("a letter that is missing, too many, wrong or swapped", function()
      for _, name in ipairs(KNOWN) do
        if #name >= 9 and name ~= "request_complete" and name ~= "make_response" then
          for by, pattern in pairs { ["%1"] = "^(..).", ["%0z"] = "^...", ["%1z"] = "^(..).", ["%2%1"] = "(.)(.)$" } do
            local wrong = name:gsub(pattern, by)
            assert.same({ ("%s meant=%s"):format(wrong, name) }, warnings(wrong .. " = 1"))
          end
        end
      end
    end)

    it("another style of writing", function()
      assert.same({ "closeWhenDone meant=close_when_done" }, warnings "closeWhenDone = false")
      assert.same({ "Listen meant=listen" }, warnings "Listen = ':80'")
      assert.same({ "block_size meant=blocksize" }, warnings "block_size = 5")
      assert.same({ "idle-timeout meant=idle_timeout" }, warnings "['idle-timeout'] = 5")
    end)

    it("the nearest of several, and each one", function()
      assert.same({ "close_when_don meant=close_when_done", "maxrequest meant=max_request" },
        warnings "cloze_when_don = 1, close_when_don = 1, maxrequest = 1, max_requests = 1")
      assert.same({ "handle_close1 meant=handle_close" }, warnings "handle_close2 = 1, handle_close1 = 1")
    end)

    it("but not where the right one is there, too, nor words that mean something else", function()
      assert.same({}, warnings "max_request = 5, max_requests = 7")
      assert.same({}, warnings [[
        timeout = 1, read_timeout = 2, handle_message = print, safe = 1, listener = 1, examples = {}, rest = 1, [1] = 1,
        [true] = 1, [""] = 1, a_name_of_a_field_that_is_much_longer_than_any_of_those_of_the_server = 1,
      ]])
      assert.same({}, warnings "['idle_timout\0'] = 1, ['idle_timeout'] = 1")
    end)

    it("not those of a table of a thousand fields and more", function()
      local script = "local P = { request_complete = print, make_response = print }\n"
        .. "for i = 1, 100000 do P['f' .. i] = i end return P"
      assert.equal("", (conversation.capture(function() conversation.script(script, MODULES) end)))
    end)
  end)

  describe("takes", function()
    local function handler(fields, options)
      return conversation.script(protocol(fields), options):handler()
    end

    it("the default limits", function()
      assert.same({
        max_request = 1048576, request_timeout = 30000, idle_timeout = 300000, write_timeout = 30000,
        wants_on_connect = false, wants_on_error = false, wants_on_close = false,
      }, handler "")
    end)

    it("the script's limits, in seconds and fractions, rounded up", function()
      local limits = handler "max_request = 1e3, request_timeout = 1.5, idle_timeout = 0.0001, write_timeout = 0"
      assert.same({ 1000, 1500, 1, 0 },
        { limits.max_request, limits.request_timeout, limits.idle_timeout, limits.write_timeout })
    end)

    it("the limits that were given before the script's", function()
      local limits = handler("max_request = 5, request_timeout = 5, idle_timeout = 5, write_timeout = 5",
        { max_request = 10, request_timeout = 20, idle_timeout = 0 })
      assert.same({ 10, 20, 0, 5000 },
        { limits.max_request, limits.request_timeout, limits.idle_timeout, limits.write_timeout })
    end)

    it("which functions there are", function()
      local all = handler "handle_connect = print, handle_error = print, handle_close = print"
      assert.same({ true, true, true }, { all.wants_on_connect, all.wants_on_error, all.wants_on_close })
    end)

    it("a framing as request_complete", function()
      assert.equal("netstring", conversation.script([[
        return { request_complete = require("parlance.framing").netstring {}, make_response = function() end }
      ]]):handler().framing)
    end)

    it("what a protocol inherits", function()
      local script = conversation.script [[
        local Base = {
          listen = ":1", max_request = 7,
          request_complete = function(self) return true end, make_response = function() return "base" end,
        }
        return setmetatable({}, { __index = Base })]]
      assert.equal(":1", script:listen())
      assert.equal(7, script:handler().max_request)
      assert.equal("base", conversation.feed(script:open(), { "x" }))
    end)

    it("the name of its file, its listen and its example with every byte", function()
      local script = conversation.script(protocol "listen = 'unix:/x', example = 'a\\0b\\n'")
      assert.same({ "protocol", "unix:/x", "a\0b\n" }, { script:name(), script:listen(), script:example() })
      script = conversation.script(protocol "")
      assert.same({ "", "" }, { script:listen(), script:example() })
    end)
  end)

  describe("the environment", function()
    it("is a script's own: globals do not leak into another", function()
      local text = [[
        local before = leaked
        leaked = "mine"
        string.leaked = "mine too"
        return {
          request_complete = function() return true end,
          make_response = function() return tostring(before) .. tostring(leaked) .. tostring(string.leaked) end,
        }]]
      local first = conversation.script(text)
      local second = conversation.script(text:gsub("string.leaked = \"mine too\"", ""), nil)
      assert.equal("nilminemine too", conversation.feed(first:open(), { "x" }))
      assert.equal("nilminenil", conversation.feed(second:open(), { "x" }))
    end)

    it("is shared by the script and the modules beside it, and by no other module", function()
      local script = conversation.script([[
        mine = "script's"
        local helper, extra = require "helper", require "extra"
        return {
          request_complete = function() return true end,
          make_response = function() return helper.seen .. tostring(extra) .. _G.theirs .. mine end,
        }]], { modules = conversation.folder { ["extra.lua"] = "return mine or _G.mine" } },
        { ["helper.lua"] = [[theirs = "helper's" return { seen = mine }]] })
      assert.equal("script'struehelper'sscript's", conversation.feed(script:open(), { "x" }))
    end)

    it("has the modules beside the script first", function()
      local script = conversation.script([[
        local dkjson = require "dkjson"
        return {
          request_complete = function() return true end,
          make_response = function() return dkjson.name end,
        }]], nil, { ["dkjson.lua"] = "return { name = 'the one beside it' }" })
      assert.equal("the one beside it", conversation.feed(script:open(), { "x" }))
    end)

    it("has then the modules that come with the server", function()
      local folder = conversation.folder { ["extra.lua"] = "return 'from the server'" }
      local script = conversation.script([[
        local extra = require "extra"
        return { request_complete = function() return true end, make_response = function() return extra end }
      ]], { modules = folder })
      assert.equal("from the server", conversation.feed(script:open(), { "x" }))
    end)

    for _, name in ipairs { "lpeg", "cjson" } do
      it("finds the C module " .. name, function()
        if not package.searchpath(name, package.cpath) then pending(name .. " is not installed") end
        local script = conversation.script(([[
          local module = require "%s"
          return {
            request_complete = function() return true end,
            make_response = function() return type(module) end,
          }]]):format(name))
        assert.equal("table", conversation.feed(script:open(), { "x" }))
      end)
    end
  end)
end)
