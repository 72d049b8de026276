-- Transcripts of scripts that speak TLS with other servers: what they say of it, and how its faults are played.

local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local run = require "parlance.workbench.run"

local folder

before_each(function()
  folder = server.new_folder()
  simulator.log()
end)
after_each(function() server.remove_folder(folder) end)

local HEAD <const> = [[
local framing = require "parlance.framing"
local net = require "parlance.net"
local parlance = require "parlance"
local Ask = { close_when_done = false, request_complete = framing.line { max = 100 }, response_timeout = 30 }
function Ask:make_response()
]]

-- Asks with TLS from the beginning.
local SECURE <const> = HEAD .. [[
  local store <close>, why, code = net.connect("store.example:6380", { tls = { alpn = "kv,x" }, reuse = true })
  if not store then return code .. ": " .. why .. "\n" end
  store:write("GET ", self.request, "\n")
  local line, trouble = store:read()
  if not line then return trouble .. "\n" end
  store:release()
  return line .. "\n"
end
return Ask
]]

-- Asks behind STARTTLS.
local MAIL <const> = HEAD .. [[
  local mail <close>, why = net.connect "mail.example:25"
  if not mail then return why .. "\n" end
  mail:write "STARTTLS\n"
  local line, trouble = mail:read()
  if not line then return trouble .. "\n" end
  local ok, reason, code = mail:start_tls()
  if not ok then return code .. ": " .. reason .. "\n" end
  mail:write("MAIL ", self.request, "\n")
  line, trouble = mail:read()
  return (line or trouble) .. " " .. mail.tls.version .. "\n"
end
return Ask
]]

local function try(source, text, options)
  local path = folder .. "/ask.lua"
  server.write_file(path, source)
  local transcript = assert(transcripts.read(text, folder .. "/t.transcript"))
  local given = { modules = server.SOURCE .. "/lua" }
  for name, value in pairs(options or {}) do given[name] = value end
  return assert(run(path, given, transcript))
end

local function first(source, text) return try(source, text).findings[1] or {} end

local STORE <const> = [[
upstream store "store.example:6380" tls
> "k\n"
store< "GET k\n"
store> "v\n"
< "v\n"
> "kk\n"
store< "GET kk\n"
store> "vv\n"
< "vv\n"
]]

local LETTER <const> = [[
upstream mail "mail.example:25"
> "hello\n"
mail< "STARTTLS\n"
mail> "220 go\n"
mail< tls
mail< "MAIL hello\n"
mail> "250 well\n"
< "250 well TLSv1.3\n"
]]

describe("a transcript of TLS with an upstream", function()
  it("holds, with all the faults of upstreams", function()
    assert.same({}, try(SECURE, STORE).findings)
    assert.same({}, try(SECURE, (STORE:gsub(" tls", ""))).findings) -- need not be said
    assert.same({}, try(MAIL, LETTER).findings)
  end)

  it("says that a certificate is refused, or that the handshake fails", function()
    for code, why in pairs { certificate = "certificate: the certificate is refused: self-signed certificate",
      handshake = "handshake: TLS: the peer has closed the connection",
      ['certificate "expired"'] = "certificate: expired", timeout = "timeout: timeout" } do
      local text = ('upstream store "store.example:6380" %s\n> "k\\n"\n< "%s\\n"\n'):format(code, why)
      assert.same({}, try(SECURE, text).findings)
    end
    local text = LETTER:gsub("mail< tls.*", 'mail< tls certificate "expired"\n< "certificate: expired\\n"\n')
    assert.same({}, try(MAIL, text).findings)
    text = LETTER:gsub("mail< tls.*", 'mail< tls handshake "no way"\n< "handshake: no way\\n"\n')
    assert.same({}, try(MAIL, text).findings)
  end)

  it("does not hold for a script that connects without", function()
    local found = first(SECURE:gsub("tls = {.-},", ""), STORE)
    assert.equal("raise", found.kind)
    assert.matches("has TLS, and the script connects without", found.raised)
  end)

  it("does not hold for a script that does not begin TLS, or says something before", function()
    local found = first(MAIL:gsub("mail:start_tls%(%)", "true"):gsub("mail.tls.version", "'none'"), LETTER)
    assert.equal("answer", found.kind)
    found = first(MAIL:gsub("local ok.-\n", "do return 'bye\\n' end %0"), LETTER)
    assert.equal("no_tls", found.kind)
    assert.equal(5, found.line)
    found = first(MAIL:gsub("local ok", 'mail:write "AUTH" %0'), LETTER)
    assert.equal("answer", found.kind)
    assert.equal("AUTH", found.got)
  end)

  it("fails where plain bytes come before the handshake", function()
    local short = MAIL:gsub('return code .. ": " .. reason', "return code")
    for _, evil in ipairs { "220 go\\nEVIL\\n", '220 go\\n"\nmail> "E' } do
      local text = LETTER:gsub("220 go\\n", evil):gsub("mail< tls.*", '< "handshake\\n"\n')
      assert.same({}, try(short, text).findings) -- also cut at each byte
    end
  end)

  it("is played with each certificate refused", function()
    local careless = SECURE:gsub('return code .. ": " .. why .. "\\n"', 'assert(code ~= "certificate") return "x\\n"')
    local result = try(careless, STORE, { strict = true })
    assert.equal("upstream", result.findings[1].how)
    assert.equal(1, result.findings[1].distrusted)
    careless = MAIL:gsub('return code .. ": " .. reason .. "\\n"', 'assert(code ~= "certificate") return "x\\n"')
    result = try(careless, LETTER, { strict = true })
    assert.equal(1, result.findings[1].distrusted)
  end)

  it("is written as it was read", function()
    for _, text in ipairs { STORE, LETTER, (LETTER:gsub("< tls", '< tls certificate "expired"')) } do
      assert.equal(text, transcripts.write(assert(transcripts.read(text, "t"))))
    end
  end)

  it("is refused where it makes no sense", function()
    for line, complaint in pairs {
      ['upstream a "b:1" tls refused'] = "tls is the last word of an upstream",
      ['upstream a "b:1" gone'] = '"gone" is no way to fail',
      ['upstream a "b:1"\na< tls refused'] = '"refused" is no way for TLS to fail',
      ['upstream a "b:1"\na> tls'] = "an upstream does not begin TLS",
      ["< tls"] = "the server does not begin TLS",
    } do
      local _, why = transcripts.read(line .. '\n> "x"\n', "t")
      assert.matches(complaint, why, 1, true)
    end
  end)
end)

describe("harness.upstream", function()
  local harness = require "parlance.harness"

  before_each(function() server.write_file(folder .. "/ask.lua", SECURE) end)

  it("has TLS, or refuses it", function()
    local store = harness.upstream("store.example:6380", { tls = true })
    local client = harness.open(folder .. "/ask.lua")
    client:send "k\n"
    store:expect("GET k\n"):send "v\n"
    client:expect "v\n"
    harness.close()
    harness.upstream("store.example:6380", { failure = "certificate", why = "expired" })
    client = harness.open(folder .. "/ask.lua")
    client:send "k\n"
    client:expect "certificate: expired\n"
    harness.close()
    assert.error_matches(function() harness.upstream("a:1", { failure = "gone" }) end, '"gone" is no way to fail')
  end)

  it("begins TLS behind plain bytes, or lets it fail", function()
    server.write_file(folder .. "/mail.lua", MAIL)
    local mail = harness.upstream "mail.example:25"
    local client = harness.open(folder .. "/mail.lua")
    client:send "a\n"
    mail:expect("STARTTLS\n"):send("220\n"):start_tls():expect("MAIL a\n"):send "250\n"
    client:expect "250 TLSv1.3\n"
    client:send "b\n"
    mail:expect("STARTTLS\n"):send("220\n"):start_tls("certificate", "expired")
    client:expect "certificate: expired\n"
    client:send "c\n"
    mail:expect "STARTTLS\n"
    assert.matches("the script does not begin TLS", select(2, pcall(mail.start_tls, mail)))
    harness.close()
  end)
end)
