-- `parlance --help SCRIPT`: what a script says of itself, without serving it.
local server = require "support.server"

local folder

before_each(function() folder = server.new_folder() end)
after_each(function() server.remove_folder(folder) end)

local function write(text)
  server.write_file(folder .. "/greet.lua", text)
  return folder .. "/greet.lua"
end

local FUNCTIONS <const> = "request_complete = require('parlance.framing').line {}, make_response = print"

describe("--help with a script", function()
  it("prints its address, example, settings and limits", function()
    local path = write("print 'loading' return { listen = ':7000', example = 'it\\'s 5%\\n', max_request = 2048, "
      .. "idle_timeout = 0, write_timeout = 0.5, "
      .. "settings = { zone = 'the zone', greeting = 'the word that it begins with' }, " .. FUNCTIONS .. "}")
    local status, said, complaint = server.run { "--set", "greeting=Hello\n", "--help", path }
    assert.equal(0, status)
    assert.equal("loading\n", complaint)
    assert.equal(([[
greet (%s)
  listens on  :7000
  example     printf 'it\047s 5%%%%\n'

Settings, as in --set NAME=VALUE:
  greeting  the word that it begins with [given: Hello\x0a]
  zone      the zone

Limits that hold where no option says otherwise:
  --max-request      2048 bytes
  --max-unsent       1048576 bytes
  --request-timeout  30 s
  --idle-timeout     none
  --write-timeout    0.5 s
  --response-timeout 60 s
]]):format(path), said)
  end)

  it("tells that there are no settings", function()
    local status, said = server.run { "-h", write("return { " .. FUNCTIONS .. "}") }
    assert.equal(0, status)
    assert.truthy(said:find("\nIt documents no settings.\n", 1, true), said)
    assert.truthy(said:find("listens on  localhost:8888\n", 1, true), said)
    assert.is_nil(said:find("example", 1, true), said)
  end)

  it("describes each of several", function()
    local path = write("return { " .. FUNCTIONS .. "}")
    local _, said = server.run { "--help", path, server.SOURCE .. "/protocols/http.lua" }
    assert.truthy(said:find("greet (", 1, true))
    assert.truthy(said:find("\n\nhttp (", 1, true))
    assert.truthy(said:find("\n  root  the folder that is served", 1, true))
  end)

  it("tells what is wrong with one that does not load, and ends with 2", function()
    local path = write "return { settings = 5 }"
    local status, said, complaint = server.run { "--help", path }
    assert.equal(2, status)
    assert.equal("", said)
    assert.equal(("parlance: %s: the protocol lacks request_complete\n"):format(path), complaint)
  end)
end)
