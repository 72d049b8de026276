-- TLS in transcripts: clients that begin with it, and STARTTLS as a step; and what a proxy has told.

local run = require "parlance.workbench.run"
local server = require "support.server"
local simulator = require "parlance.simulator"
local transcripts = require "parlance.workbench.transcript"
local variants = require "parlance.workbench.variants"

local MAIL <const> = [[
local framing = require "parlance.framing"
local parlance = require "parlance"
local function shown(tls)
  if not tls then return "nothing" end
  local peer = tls.peer or {}
  return table.concat({ tls.version, tls.server_name or "-", tls.alpn or "-", peer.subject or "-",
    peer.issuer or "-", peer.fingerprint or "-", table.concat(peer.names or {}, ",") }, " ")
end
local does = {
  STARTTLS = function(self) self:start_tls() return "220 go\n" end,
  SLOW = function(self) parlance.sleep(1) self:start_tls() parlance.sleep(1) return "220 go\n" end,
  QUIET = function(self) parlance.sleep(1) self:start_tls() end,
  FORGETS = function() return "220 go\n" end,
  SHOW = function(self) return self.transport .. " " .. shown(self.tls) .. "\n" end,
  PLAIN = function(self) local more = self:read "l" or "" self:start_tls() return more .. "\n" end,
}
return {
  close_when_done = false,
  request_complete = framing.line {},
  make_response = function(self) return (does[self.request] or function() return self.request .. "?\n" end)(self) end,
}
]]

local folder

before_each(function()
  folder = server.new_folder()
  simulator.log()
end)
after_each(function() server.remove_folder(folder) end)

local function read(text)
  return assert(transcripts.read(text, folder .. "/t.transcript"))
end

local function try(text, source)
  local path = folder .. "/mail.lua"
  server.write_file(path, source or MAIL)
  return assert(run(path, { modules = server.SOURCE .. "/lua" }, read(text)))
end

local function assert_holds(text, source)
  local outcome = try(text, source)
  assert.same({}, outcome.findings)
  return outcome
end

local SHOWN <const> = '> tls version "TLSv1.2" cipher "C" server_name "mail.example" alpn "mail" subject "CN=ann" '
  .. 'issuer "CN=ca" fingerprint "00ff" name "ann.example" name "ann@example.org"\n'

describe("> tls", function()
  it("as the first step of a client: it connects so", function()
    assert_holds('> tls\n> "SHOW\\n"\n< "tls TLSv1.3 - - - - - \\n"\n')
    assert_holds(SHOWN .. '> "SHOW\\n"\n< "tls TLSv1.2 mail.example mail CN=ann CN=ca 00ff "\n'
      .. '< "ann.example,ann@example.org\\n"\n')
    assert_holds [[
ann> tls server_name "one"
ann> "SHOW\n"
ann< "tls TLSv1.3 one - - - - \n"
bob> "SHOW\n"
bob< "tcp nothing\n"
]]
  end)

  it("later: it begins TLS behind the response that has said so", function()
    for _, request in ipairs { "STARTTLS", "SLOW" } do
      assert_holds(([[
> "SHOW\n"
< "tcp nothing\n"
> "%s\n"
< "220 go\n"
> tls alpn "mail"
> "SHOW\nSHOW\n"
< "tls TLSv1.3 - mail - - - \ntls TLSv1.3 - mail - - - \n"
> end
< end
]]):format(request))
    end
    assert_holds('> "QUIET\\n"\n> tls\n> "SHOW\\n"\n< "tls TLSv1.3 - - - - - \\n"\n')
  end)

  it("fails where the script does not begin TLS", function()
    for _, text in ipairs {
      '> "FORGETS\\n"\n< "220 go\\n"\n> tls\n> "SHOW\\n"\n',
      '> tls\n> "FORGETS\\n"\n< "220 go\\n"\nann> "SHOW\\n"\nann< "tcp nothing\\n"\nann> tls\n',
    } do
      local found = try(text).findings[1]
      assert.equal("plain", found.kind)
      assert.equal("whole", found.how)
    end
  end)

  it("plays bytes that are not secure behind the request: whole, byte by byte and cut at each byte", function()
    local with = assert_holds '> "STARTTLS\\n"\n< "220 go\\n"\n> tls\n> "SHOW\\n"\n< ~".*"\n'
    local without = assert_holds '> "STARTTLX\\n"\n< "STARTTLX?\\n"\n> "SHOW\\n"\n< ~".*"\n'
    assert.is_true(with.plays >= without.plays + 10, with.plays .. " " .. without.plays)
    assert_holds '> "PLAIN\\n"\n> "x\\n"\n< "x\\n"\n> tls\n> "SHOW\\n"\n< ~".*"\n'
  end)

  it("finds a script that takes all that has come for one request", function()
    local source = [[
return {
  close_when_done = false,
  request_complete = function(self)
    local at = self.incoming:find "\n"
    return at ~= nil, self.incoming:find "^STARTTLS\n" and #self.incoming or at
  end,
  make_response = function(self)
    if self.incoming:find "^STARTTLS" then self:start_tls() end
    return "ok\n"
  end,
}
]]
    local found = try('> "STARTTLS\\n"\n< "ok\\n"\n> tls\n> "SHOW\\n"\n< "ok\\n"\n', source).findings[1]
    assert.equal("injected", found.kind)
    assert.equal("injected", found.how)
  end)

  it("stays where it is when requests are sent at once", function()
    local text = '> "a\\n"\n< "a?\\n"\n> "STARTTLS\\n"\n< "220 go\\n"\n> tls\n> "SHOW\\n"\n< ~".*"\n'
    local transcript = read(text)
    local kinds = {}
    for place, step in ipairs(variants.pipelined(transcript).steps) do kinds[place] = step.kind end
    assert.same({ "send", "expect", "tls", "send", "expect" }, kinds)
    assert_holds(text)
  end)

  it("is written as it is read", function()
    local text = SHOWN .. '> "a"\nann> "b"\nann> tls\n'
    assert.equal(text, transcripts.write(read(text)))
  end)

  it("is refused when it makes no sense", function()
    for text, why in pairs {
      ['> tls color "red"\n'] = 'tls has no "color": it has version, cipher, server_name, alpn, subject',
      ["> tls alpn\n"] = 'alpn needs a text: alpn "..."',
      ['> tls alpn ""\n'] = "alpn needs a text without a zero byte",
      ['> tls alpn "a" alpn "b"\n'] = "alpn stands twice",
      ['> tls alpn "a" ~"b"\n'] = "makes no sense behind tls",
      ['> tls\n> tls\n'] = "the client has begun TLS in line 1",
      ['> end\n> tls\n'] = "the client has stopped sending in line 1",
      ['upstream up "a:1"\n> "x"\nup> tls\n'] = "an upstream does not begin TLS",
    } do
      local transcript, failure = transcripts.read(text, "t")
      assert.is_nil(transcript)
      assert.is_truthy(failure:find(why, 1, true), failure)
    end
  end)
end)

describe("proxy at the top of a transcript", function()
  local TOLD <const> = [[
return {
  close_when_done = false,
  request_complete = require("parlance.framing").line {},
  make_response = function(self)
    local p = self.proxy
    local s = p and p.ssl
    return ("%s %s %s|%s %s %s %s %s %s %s\n"):format(p and p.authority, p and p.alpn, p and p.unique_id,
      s and s.version, s and s.cipher, s and s.common_name, s and s.signature, s and s.key,
      s and s.has_certificate, s and s.verified)
  end,
}
]]
  local WHOLE <const> = 'proxy authority "a#b" alpn "h2" unique_id "7" version "TLSv1.3" cipher "C" common_name "ann" '
    .. 'signature "S" key "K" has_certificate "true" verified "false"\n'

  it("is what the script finds in self.proxy", function()
    assert_holds(WHOLE .. '> "x\\n"\n< "a#b h2 7|TLSv1.3 C ann S K true false\\n"\n', TOLD)
    assert_holds('proxy alpn "h2"  # no more\n> "x\\n"\n< "nil h2 nil|nil nil nil nil nil nil nil\\n"\n', TOLD)
    assert_holds('> "x\\n"\n< "nil nil nil|nil nil nil nil nil nil nil\\n"\n', TOLD)
  end)

  it("is written as it is read", function()
    local text = WHOLE .. '> "a"\n'
    assert.equal(text, transcripts.write(read(text)))
  end)

  it("is the same for transcripts that are played together", function()
    local one, same, other = read(WHOLE .. '> "a"\n'), read(WHOLE .. '> "b"\n'), read '> "c"\n'
    assert.is_true(variants.are_compatible(one, same))
    assert.is_false(variants.are_compatible(one, other))
  end)

  it("is refused when it makes no sense", function()
    for text, why in pairs {
      ['proxy verified "yes"\n> "x"\n'] = 'verified is "true" or "false"',
      ['proxy alpn "a"\nproxy alpn "a"\n'] = "proxy stands twice",
      ['proxy color "a"\n'] = 'proxy has no "color": it has authority, alpn',
      ['> "x"\nproxy alpn "a"\n'] = "proxy must stand before the first step",
      ['udp\n> tls\n'] = "datagrams have no TLS",
    } do
      local transcript, failure = transcripts.read(text, "t")
      assert.is_nil(transcript)
      assert.is_truthy(failure:find(why, 1, true), failure)
    end
  end)
end)
