local cjson = require "cjson"
local base = require("parlance_spec").base

-- What a call wrote.
local function written(f) return (base.capture(f)) end

-- The line of one event, without its time.
local function line(format, level, event, fields)
  base.log_configure("debug", format)
  local text = written(function() base.log(level, event, fields) end)
  local prefix <const> = format == "json" and '^{"time":"%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ",'
    or "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ "
  local _, start = text:find(prefix)
  assert.truthy(start, text)
  assert.equal("\n", text:sub(-1))
  assert.is_nil(text:sub(1, -2):find "[%c\127-\255]")
  return text:sub(start + 1, -2), text
end

-- Every byte, three times over, in an order that is not theirs.
local HOSTILE <const> = (function()
  local bytes = {}
  for i = 0, 767 do bytes[#bytes + 1] = string.char(i * 167 & 255) end
  return table.concat(bytes)
end)()

-- The bytes of a decoded value: JSON has only characters, so each byte stands as the one of its
-- number.
local function bytes_of(text)
  local bytes = {}
  for _, code in utf8.codes(text) do bytes[#bytes + 1] = string.char(code) end
  return table.concat(bytes)
end

describe("log", function()
  after_each(function() base.log_configure("info", "text") end)

  describe("as text", function()
    for _, case in ipairs {
      { "is the level and the event", {}, "info happened" },
      { "has fields in their order", { { "b", "1" }, { "a", "x" } }, "info happened b=1 a=x" },
      { "writes numbers bare", { { "i", -42 }, { "n", 0.5 }, { "m", math.mininteger } },
        "info happened i=-42 n=0.5 m=-9223372036854775808" },
      { "writes what is not a number as a word", { { "a", 1 / 0 }, { "b", -1 / 0 } }, "info happened a=inf b=-inf" },
      { "quotes what is empty or has a space", { { "a", "" }, { "b", "x y" } }, [[info happened a="" b="x y"]] },
      { "quotes what could be taken for a field", { { "a", "b=c" } }, [[info happened a="b=c"]] },
      { "escapes quotes and backslashes", { { "a", [["\]] } }, [[info happened a="\"\\"]] },
      { "escapes line endings, so that no line is forged", { { "a", "x\ny\r\tz" } }, [[info happened a="x\ny\r\tz"]] },
      { "escapes the rest as bytes", { { "a", "\0\27\127\200" } }, [[info happened a="\x00\x1b\x7f\xc8"]] },
      { "treats keys with the same care", { { "a b\n", "c" } }, [[info happened "a b\n"=c]] },
      { "writes hex with blanks", { { "a", "\0\255k", "hex" }, { "b", "", "hex" } },
        [[info happened a="00 ff 6b" b=""]] },
      { "cuts hex after 1024 bytes", { { "a", ("k"):rep(1100), "hex" } },
        'info happened a="' .. ("6b "):rep(1023) .. '6b"' },
    } do
      local fact, fields, wanted = table.unpack(case)
      it(fact, function() assert.equal(wanted, (line("text", "info", "happened", fields))) end)
    end

    it("is one line whatever the bytes are", function()
      local text = line("text", "warn", "e", { { "bytes", HOSTILE }, { HOSTILE:sub(2, 40):gsub("%z", "."), "x" } })
      assert.truthy(text:find(" bytes=", 1, true))
      assert.truthy(text:find("=x$"))
    end)

    it("that is cut ends as a line, with dots", function()
      for length = 8050, 8250 do
        local _, text = line("text", "info", "e", { { "a", ("x "):rep(length // 2) }, { "b", "last" } })
        assert.is_true(#text <= 8192)
        assert.truthy(text:find '%.%.%."\n$' or text:find 'x "\n$' or text:find "b=last\n$", text:sub(-30))
      end
    end)

    it("leaves out a field that does not fit", function()
      local text = line("text", "info", "e", { { "a", ("x"):rep(9000) }, { "b", "short" } })
      assert.equal("info e", text)
    end)
  end)

  describe("as JSON", function()
    it("is an object with the same fields", function()
      local _, text = line("json", "error", "happened", { { "a", "x" }, { "i", 42 }, { "n", 0.25 }, { "z", 1 / 0 } })
      local object = cjson.decode(text)
      assert.equal("error", object.level)
      assert.equal("happened", object.event)
      assert.same({ "x", 42, 0.25, "inf" }, { object.a, object.i, object.n, object.z })
    end)

    it("keeps every byte as the character of its number", function()
      local _, text = line("json", "info", "e", { { "bytes", HOSTILE }, { '"k\\\n', '"' } })
      local object = cjson.decode(text)
      assert.equal(HOSTILE, bytes_of(object.bytes))
      assert.equal('"', object['"k\\\n'])
    end)

    it("that is cut is valid wherever it is cut", function()
      for filler, width in pairs { x = 1, ['"'] = 2, ["\0"] = 6, ["\n"] = 2 } do
        for length = 7950 // width, 8200 // width + 1 do
          local _, text = line("json", "info", "e",
            { { "first", filler:rep(length) }, { "second", 123456 }, { "third", "3" }, { "fourth\n", 0.5 } })
          assert.is_true(#text <= 8192)
          local is_valid, object = pcall(cjson.decode, text)
          assert.is_true(is_valid, length .. ": " .. text:sub(-40))
          assert.equal("e", object.event)
          assert.is_true(object.second == nil or object.second == 123456)
        end
      end
    end)

    it("that is full of fields is valid", function()
      local fields = {}
      for i = 1, 2000 do fields[i] = { "key" .. i, i % 3 == 0 and i or i % 3 == 1 and "v" .. i or i / 7 } end
      for skip = 0, 40 do
        local object = cjson.decode((select(2, line("json", "info", ("e"):rep(skip), fields))))
        assert.equal("v1", object.key1)
        assert.is_nil(object.key2000)
      end
    end)
  end)

  describe("levels", function()
    it("under the one that is set are not written", function()
      local levels <const> = { "debug", "info", "warn", "error" }
      for least, name in ipairs(levels) do
        base.log_configure(name, "text")
        local text = written(function()
          for index, level in ipairs(levels) do assert.equal(index >= least, base.log(level, "e")) end
        end)
        assert.equal(#levels - least + 1, select(2, text:gsub("\n", "")))
      end
    end)
  end)

  describe("a limit", function()
    it("lets 20 lines of a second through and counts the rest", function()
      local limit = base.limit()
      local text = written(function()
        for _ = 1, 50 do base.log("info", "e", {}, limit, 5000) end
        base.log("info", "e", {}, limit, 5999)
      end)
      assert.equal(20, select(2, text:gsub("\n", "")))
      assert.is_nil(text:find "suppressed")
      text = written(function() base.log("info", "e", { { "a", "x" } }, limit, 6000) end)
      assert.truthy(text:find("info e suppressed_before=31 a=x\n", 1, true), text)
      text = written(function() base.log("info", "e", {}, limit, 6001) end)
      assert.is_nil(text:find "suppressed")
    end)

    it("counts only what would have been written", function()
      local limit = base.limit()
      written(function()
        for _ = 1, 50 do base.log("debug", "e", {}, limit, 5000) end
        assert.is_true(base.log("info", "e", {}, limit, 5000))
      end)
    end)

    it("is one's own", function()
      local one, other = base.limit(), base.limit()
      written(function()
        for _ = 1, 30 do base.log("info", "e", {}, one, 5000) end
        assert.is_true(base.log("info", "e", {}, other, 5000))
      end)
    end)
  end)
end)
