-- Names that a module of the server does not have: nil, and an error that tells which there are.
local conversation = require "support.conversation"

local FRAMINGS <const> = "It has delimited, fixed, http, length_line, line, netstring, prefixed, resp"
local COMPLETE <const> = "return { request_complete = require('parlance.framing').line {}, make_response = print }"

local function refusal(text)
  local script, why = conversation.load(text, { modules = os.getenv "PARLANCE_SOURCE_DIR" .. "/lua" })
  assert.is_nil(script)
  return (why:gsub("^.-protocol%.lua", "PATH"))
end

local function answer(body)
  local session <close> = conversation.lines(body):open()
  local said
  local log = conversation.capture(function() said = conversation.feed(session, { "\n" }) end)
  return said, log
end

describe("a module of the server", function()
  after_each(conversation.clean)

  it("has nil for a name that it lacks, so that a script can test for it", function()
    conversation.script("local framing = require 'parlance.framing'\n"
      .. "assert(framing.either == nil and require('parlance').none == nil)\n" .. COMPLETE)
  end)

  it("has no further names for pairs", function()
    conversation.script("for name, value in pairs(require 'parlance.framing') do assert(value, name) end " .. COMPLETE)
  end)

  it("may be given further names by a script", function()
    conversation.script("local p = require 'parlance' p.mine = 5 assert(p.mine == 5) " .. COMPLETE)
  end)

  for text, wanted in pairs {
    ["local f = require 'parlance.framing' return { request_complete = f.lines {}, make_response = print }"] =
      "PATH:1: attempt to call a nil value (field 'lines'): parlance.framing has no 'lines'; did you mean 'line'? "
        .. FRAMINGS,
    ["local lines = require 'parlance.framing'.lines return { request_complete = lines {}, make_response = print }"] =
      "PATH:1: attempt to call a nil value (local 'lines'): parlance.framing has no 'lines'; did you mean 'line'? "
        .. FRAMINGS,
    ["local f = require 'parlance.framing' return { request_complete = f.websocket {} }"] =
      "PATH:1: attempt to call a nil value (field 'websocket'): parlance.framing has no 'websocket'. " .. FRAMINGS,
    ["local f = require 'parlance.framing' return { request_complete = f.lines, make_response = print }"] =
      "PATH: the protocol lacks request_complete (parlance.framing has no 'lines'; did you mean 'line'? "
        .. FRAMINGS .. ")",
    ["require('parlance.files').roots '.'"] =
      "PATH:1: attempt to call a nil value (field 'roots'): parlance.files has no 'roots'; did you mean 'root'? "
        .. "It has root",
    ["return require('parlance.http').server(print)"] =
      "PATH:1: attempt to call a nil value (field 'server'): parlance.http has no 'server'; did you mean 'serve'? "
        .. "It has ",
    ["require('parlance').logs 'x'"] =
      "PATH:1: attempt to call a nil value (field 'logs'): parlance has no 'logs'; did you mean 'log'? It has ",
  } do
    it("explains: " .. text, function()
      local why = refusal(text)
      assert.equal(wanted, why:sub(1, #wanted))
    end)
  end

  it("is not blamed for a nil of another name", function()
    assert.equal("PATH:1: attempt to call a nil value (global 'other')",
      refusal "local _ = require('parlance.framing').lines other()")
    assert.equal("PATH: the protocol lacks request_complete", refusal "return { make_response = print }")
  end)

  it("explains an error while it serves, too", function()
    local said, log = answer [[ return framing.lin {} ]]
    assert.equal("", said)
    assert.truthy(log:find("parlance.framing has no 'lin'; did you mean 'line'?", 1, true), log)
  end)
end)
