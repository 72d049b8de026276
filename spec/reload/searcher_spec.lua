-- Modules in folders that package.path cannot name.
local conversation = require "support.conversation"
local tree = require "support.tree"

local lfs = require "lfs"
local process = require("parlance_spec").process

local BINARY <const> = assert(os.getenv "PARLANCE_BINARY", "run me through ctest")
local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")

describe("a folder with a letter that package.path has a meaning for:", function()
  local folder

  after_each(function()
    conversation.clean()
    folder:remove()
  end)

  local function make(name, files)
    local all = {}
    for path, text in pairs(files) do all[name .. "/" .. path] = text end
    folder = tree.new(all)
    return folder.path .. "/" .. name .. "/app.lua"
  end

  local PROTOCOL <const> = "return { close_when_done = false, request_complete = require('parlance.framing').line {}, "
    .. "make_response = function() return said end }"

  for _, name in ipairs { "a;b", "what?", ";", "?", "a;?.lua;b" } do
    it("modules beside the script are found in " .. name, function()
      local path = make(name, {
        ["app.lua"] = "said = require 'one' .. require 'two.three' .. require 'four' " .. PROTOCOL,
        ["one.lua"] = "local name, path = ... return name .. ' ' .. path:match '[^/]+/[^/]+$' .. '\\n'",
        ["two/three.lua"] = "return require 'one':upper()",
        ["four/init.lua"] = "return 'four\\n'",
      })
      local session <close> = conversation.open(path):open()
      local one = "one " .. name .. "/one.lua\n"
      assert.equal(one .. one:upper() .. "four\n", conversation.feed(session, { "\n" }))
    end)

    it("a module that is not there is told with the places in " .. name, function()
      local path = make(name, { ["app.lua"] = "require 'no.where'" })
      local loaded, why = require("parlance_spec").session.load(path)
      assert.is_nil(loaded)
      local beside = path:match "^(.*)/"
      assert.truthy(why:find(("\n\tno file '%s/no/where.lua'\n\tno file '%s/no/where/init.lua'"):format(beside, beside),
        1, true), why)
    end)

    it("the server finds its own modules in " .. name, function()
      folder = tree.new {
        ["app.lua"] = "return require('parlance.http').serve(function() return 200, nil, 'x' end)",
        [name .. "/build/release/none"] = "",
      }
      local root = folder.path .. "/" .. name
      assert(lfs.link(SOURCE .. "/lua", root .. "/lua", true))
      local copy = assert(process.spawn { "cp", BINARY, root .. "/build/release/parlance" })
      assert.equal(0, copy:wait(10))
      local child = assert(process.spawn({ root .. "/build/release/parlance", "check", folder.path .. "/app.lua" },
        { stdout = folder.path .. "/out", stderr = folder.path .. "/err", env = { LD_PRELOAD = "" } }))
      local status = child:wait(10)
      local file <close> = assert(io.open(folder.path .. "/err"))
      assert.equal("", file:read "a")
      assert.equal(0, status)
    end)
  end

  it("an edit of a module there is taken", function()
    local path = make("a;b", { ["app.lua"] = "said = require 'one' " .. PROTOCOL, ["one.lua"] = "return 'first\\n'" })
    local script = conversation.open(path)
    local session <close> = script:open()
    assert.equal("first\n", conversation.feed(session, { "\n" }))
    folder:add("a;b/one.lua", "return 'second\\n'")
    assert.equal("reloaded", script:reload(false, 1))
    assert.equal("second\n", conversation.feed(session, { "\n" }))
  end)
end)
