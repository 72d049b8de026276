local conversation = require "support.conversation"

-- What a script answers whose body is this, with these files beside it.
local function answer(body, beside, options)
  local script = conversation.script(([[%s
    return {
      request_complete = function() return true end,
      make_response = function() return tostring(said) end,
    }]]):format(body), options, beside)
  local session <close> = script:open()
  return conversation.feed(session, { "x" })
end

describe("the globals of a script", function()
  after_each(conversation.clean)

  it("are Lua's, and _G is their table", function()
    assert.equal("true", answer [[said = _G.said == nil and _G._G == _G and _G.print == print and string.rep ~= nil]])
    assert.equal("yes", answer [[_G.said = "yes"]])
  end)

  it("are those of what load, loadfile and dofile run, unless an environment is given", function()
    assert.equal("1", answer [[load "said = 1" ()]])
    assert.equal("2", answer([[loadfile(package.searchpath("chunk", package.path))()]], { ["chunk.lua"] = "said = 2" }))
    assert.equal("3", answer([[local n = dofile(package.searchpath("chunk", package.path)) said = n]],
      { ["chunk.lua"] = "return 3" }))
    assert.equal("nil 4", answer [[
      local env = {}
      load("said = 4", "x", "t", env)()
      said = tostring(said) .. " " .. env.said]])
    assert.equal("true", answer [[local ok, why = load("said = = 1", "=x") said = ok == nil and why:find "^x:1:" == 1]])
    assert.equal("true", answer [[said = not pcall(dofile, "/no/such/file")]])
  end)

  describe("have a require", function()
    it("that runs a module beside the script once, with its name and path", function()
      assert.equal("helper helper.lua 1", answer([[
        local name, path = table.unpack((require "helper"))
        assert(require "helper" == require "helper")
        said = name .. " " .. path:match "[^/]+$" .. " " .. runs]],
        { ["helper.lua"] = "runs = (runs or 0) + 1 return { ... }" }))
    end)

    it("that gives true for a module that returns nothing, and what the module has set itself", function()
      assert.equal("true", answer([[said = require "helper"]], { ["helper.lua"] = "" }))
      assert.equal("set", answer([[said = require "helper"]], { ["helper.lua"] = "package.loaded.helper = 'set'" }))
    end)

    it("that tells the path of what it has just loaded", function()
      assert.equal("helper.lua", answer([[
        local _, path = require "helper"
        said = path:match "[^/]+$"]], { ["helper.lua"] = "" }))
    end)

    it("that leaves Lua's own modules and the server's alone", function()
      assert.equal("true", answer([[said = require "string" == string and require("parlance").version ~= nil]],
        { ["string.lua"] = "return 1", ["parlance.lua"] = "return 1" }))
    end)

    it("that looks where the script says", function()
      local folder = conversation.folder { ["elsewhere.lua"] = "return 'there'" }
      assert.equal("there", answer(([[
        package.path = %q .. '/?.lua;' .. package.path
        said = require 'elsewhere']]):format(folder)))
      -- and this stays with the script
      assert.equal("false", answer "said = pcall(require, 'elsewhere')")
    end)

    it("that shows all modules in package.loaded, and forgets one that is taken out", function()
      assert.equal("true 2", answer([[
        require "helper"
        local has_all = package.loaded.helper == 1 and package.loaded.string == string
        package.loaded.helper = nil
        require "helper"
        said = tostring(has_all) .. " " .. runs]], { ["helper.lua"] = "runs = (runs or 0) + 1 return runs" }))
    end)

    it("that runs binary code without globals", function()
      assert.equal("7", answer([[said = require "helper"]], { ["helper.lua"] = string.dump(function() return 7 end) }))
    end)

    it("that sees what a shared module makes global", function()
      local folder = conversation.folder { ["shared.lua"] = "made_global = 'yes'" }
      assert.equal("yes", answer([[require "shared" said = made_global]], nil, { modules = folder }))
    end)

    it("that passes an error of a module on, also a table", function()
      assert.equal("true", answer([[
        local ok, why = pcall(require, "helper")
        said = not ok and why.code == 5]], { ["helper.lua"] = "error { code = 5 }" }))
    end)

    it("that says where a module was looked for that is not there", function()
      local script, reason = conversation.load "\n\nrequire 'no.such'"
      assert.is_nil(script)
      assert.matches(":3: module 'no.such' not found:", reason)
    end)
  end)

  it("may have a first line for the shell", function()
    assert.equal("2", answer("#!/usr/bin/env parlance\nsaid = debug.getinfo(1, 'l').currentline"))
  end)
end)
