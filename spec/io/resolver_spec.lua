local spec = require "parlance_spec"
local socket = require "socket"
local io = spec.io

-- A name in the form of the DNS: each label behind its length.
local function encode(labels)
  local parts = {}
  for place, label in ipairs(labels) do parts[place] = string.pack("s1", label) end
  return table.concat(parts) .. "\0"
end

-- "www.example.org" in labels.
local function split(name)
  local labels = {}
  for label in name:gmatch "[^.]+" do labels[#labels + 1] = label end
  return labels
end

-- The answer to a query that was asked with one question: its name is `labels`, or there is none.
local function reply(query, labels)
  local id, _, questions = string.unpack(">I2I2I2", query)
  assert(questions == 1)
  local place = 13
  while query:byte(place) ~= 0 do place = place + query:byte(place) + 1 end
  local question = query:sub(13, place + 4)
  if not labels then return string.pack(">I2I2I2I2I2I2", id, 0x8183, 1, 0, 0, 0) .. question end
  return string.pack(">I2I2I2I2I2I2", id, 0x8180, 1, 1, 0, 0) .. question
    .. string.pack(">I2I2I2I4s2", 0xc00c, 12, 1, 60, encode(labels))
end

describe("resolver", function()
  local server, address, before

  before_each(function()
    before = spec.process.descriptors()
    server = assert(socket.udp())
    assert(server:setsockname("127.0.0.1", 0))
    server:settimeout(0)
    local _, port = server:getsockname()
    address = "127.0.0.1:" .. port
  end)

  after_each(function()
    server:close()
    assert.equal(before, spec.process.descriptors())
  end)

  -- Turns the loop, and answers what has been asked, until done() or the time is up.
  local function run(resolver, done, answer)
    local deadline = spec.process.now() + 10
    repeat
      assert(resolver:turn(5))
      local query, host, port = server:receivefrom()
      while query do
        if answer then
          local bytes = answer(query)
          if bytes then server:sendto(bytes, host, port) end
        end
        query, host, port = server:receivefrom()
      end
    until done() or spec.process.now() > deadline
    assert.is_true(done())
  end

  -- Runs until these look-ups have been answered.
  local function run_for(resolver, lookups, answer)
    run(resolver, function()
      for _, lookup in ipairs(lookups) do
        if lookup:name() == nil then return false end
      end
      return true
    end, answer)
  end

  local function name_of(labels, peer)
    local resolver <close> = assert(io.resolver("epoll", address))
    local lookup = assert(resolver:lookup(peer or "192.0.2.1"))
    run_for(resolver, { lookup }, function(query) return reply(query, labels) end)
    assert.equal(1, lookup:calls())
    return lookup:name()
  end

  for _, poller in ipairs { "epoll", "select" } do
    it("finds the names of IPv4 and IPv6 peers with " .. poller, function()
      local resolver <close> = assert(io.resolver(poller, address))
      local lookups = { resolver:lookup("192.0.2.1"), resolver:lookup("2001:db8::1") }
      assert.is_nil(lookups[1]:name())
      run_for(resolver, lookups, function(query)
        local is_ipv6 = query:find("\3ip6\4arpa", 1, true)
        return reply(query, split(is_ipv6 and "six.example.org" or "four.example.org"))
      end)
      assert.equal("four.example.org", lookups[1]:name())
      assert.equal("six.example.org", lookups[2]:name())
    end)
  end

  it("asks for the peer's own address", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local asked
    run_for(resolver, { resolver:lookup("192.0.2.7") }, function(query)
      asked = query
      return reply(query, { "x" })
    end)
    assert.is_truthy(asked:find(encode(split "7.2.0.192.in-addr.arpa") .. "\0\12\0\1", 1, true))
  end)

  it("finds no name where there is none", function()
    assert.is_false(name_of(nil))
  end)

  it("has no name for a Unix peer, at once", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    assert.is_false(resolver:lookup("unix"):name())
  end)

  it("takes any name that a host can have", function()
    for _, name in ipairs {
      "a", "localhost", "Host-1.EXAMPLE.org", "1.2.3.4.dynamic.example", "_service.example", "x.xn--p1ai", "3com.1a",
    } do
      assert.equal(name, name_of(split(name)))
    end
    local long = { ("a"):rep(63), ("b"):rep(63), ("c"):rep(63), ("d"):rep(61) }
    assert.equal(table.concat(long, "."), name_of(long))
  end)

  local hostile = {
    { "an escape sequence", { "\27[2J", "example" } },
    { "a line feed", { "a\nlevel=error", "example" } },
    { "a NUL", { "trusted.example\0", "evil" } },
    { "a dot within a label", { "a.b", "example" } },
    { "a blank", { "a b", "example" } },
    { "a slash", { "../../etc", "example" } },
    { "a colon", { "::1" } },
    { "bytes that are no ASCII", { "\xc3\xa9", "example" } },
    { "what passes for an address", { "127", "0", "0", "1" } },
    { "what passes for an address in hexadecimal", { "0x7f000001" } },
    { "a number", { "2130706433" } },
    { "the root", {} },
  }
  for _, case in ipairs(hostile) do
    it("takes a name with " .. case[1] .. " for none", function()
      assert.is_false(name_of(case[2]))
    end)
  end

  it("takes nonsense for no name", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local lookup = assert(resolver:lookup("192.0.2.1"))
    run_for(resolver, { lookup }, function(query)
      return reply(query, { "name" }):sub(1, -8) .. ("\xff"):rep(40)
    end)
    assert.is_false(lookup:name())
  end)

  it("ignores an answer with another number, and asks again", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local lookup = assert(resolver:lookup("192.0.2.1"))
    local count = 0
    run_for(resolver, { lookup }, function(query)
      count = count + 1
      if count > 1 then return reply(query, { "right" }) end
      local id = string.unpack(">I2", query)
      return string.pack(">I2", id ~ 1) .. reply(query, { "wrong" }):sub(3)
    end)
    assert.equal("right", lookup:name())
  end)

  it("gives up within 5 s on a silent server, and on a socket that the poller cannot hold", function()
    local silent <close> = assert(io.resolver("epoll", address))
    local unheard <close> = assert(io.resolver("select", address))
    local fillers = {}
    finally(function()
      for _, fd in ipairs(fillers) do io.close(fd) end
    end)
    repeat
      fillers[#fillers + 1] = assert(io.duplicate(0, 0))
    until fillers[#fillers] >= 1024
    local start = spec.process.now()
    local lookups = { silent:lookup("192.0.2.1"), unheard:lookup("192.0.2.2") }
    repeat
      assert(silent:turn(5))
      assert(unheard:turn(5))
    until lookups[1]:name() == false and lookups[2]:name() == false or spec.process.now() - start > 6
    assert.is_true(spec.process.now() - start < 5.5)
    assert.same({ 1, 1 }, { lookups[1]:calls(), lookups[2]:calls() })
    for _, fd in ipairs(fillers) do io.close(fd) end
    fillers = {}
    local again = unheard:lookup("192.0.2.3")
    run_for(unheard, { again }, function(query) return reply(query, { "heard" }) end)
    assert.equal("heard", again:name())
  end)

  it("gives up at once when nobody listens there", function()
    local other = assert(socket.udp())
    assert(other:setsockname("127.0.0.1", 0))
    local _, port = other:getsockname()
    other:close()
    local resolver <close> = assert(io.resolver("epoll", "127.0.0.1:" .. port))
    local lookup = assert(resolver:lookup("192.0.2.1"))
    local start = spec.process.now()
    run_for(resolver, { lookup })
    assert.is_false(lookup:name())
    assert.is_true(spec.process.now() - start < 1)
  end)

  it("does not call for what was cancelled", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local first, second = resolver:lookup("192.0.2.1"), resolver:lookup("192.0.2.2")
    first:cancel()
    run_for(resolver, { second }, function(query) return reply(query, { "name" }) end)
    assert.equal(0, first:calls())
  end)

  it("lets a callback cancel other look-ups", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local lookups = {}
    for place = 1, 20 do lookups[place] = assert(resolver:lookup("192.0.2." .. place)) end
    for place = 1, 20 do lookups[place]:cancels(lookups[place % 20 + 1]) end
    local queries = 0
    local function calls()
      local sum = 0
      for _, lookup in ipairs(lookups) do sum = sum + lookup:calls() end
      return sum
    end
    run(resolver, function() return queries == 20 and calls() >= 10 end, function(query)
      queries = queries + 1
      return reply(query, { "name" })
    end)
    -- Each answer ends the next look-up; whichever comes first, no two neighbours are answered
    -- unless the later one was the first.
    for place, lookup in ipairs(lookups) do
      assert.is_true(lookup:calls() <= 1)
      local previous = lookups[(place - 2) % 20 + 1]
      assert.is_true(lookup:calls() == 1 or previous:calls() == 1)
    end
  end)

  it("calls nobody when it is destroyed", function()
    local resolver = assert(io.resolver("epoll", address))
    local lookups = {}
    for place = 1, 20 do lookups[place] = assert(resolver:lookup("192.0.2." .. place)) end
    assert(resolver:turn(0))
    lookups[3]:cancel()
    resolver:close()
    for _, lookup in ipairs(lookups) do assert.equal(0, lookup:calls()) end
  end)

  it("takes no more look-ups at once than it can number", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    for place = 1, 4096 do
      assert(resolver:lookup(("198.18.%d.%d"):format(place // 256, place % 256)))
    end
    assert.equal("full", select(2, resolver:lookup("192.0.2.1")))
  end)

  it("keeps no socket when there is nothing to ask", function()
    local resolver <close> = assert(io.resolver("epoll", address))
    local idle = spec.process.descriptors()
    for round = 1, 20 do
      local lookup = assert(resolver:lookup("192.0.2." .. round))
      run_for(resolver, { lookup }, function(query) return reply(query, { "name" }) end)
    end
    assert(resolver:turn(0))
    assert.is_true(spec.process.descriptors() <= idle + 1)
  end)

  it("refuses a name server that is none", function()
    assert.same({ nil, "error", "EINVAL" }, { io.resolver("epoll", "nonsense") })
  end)
end)
