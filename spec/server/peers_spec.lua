local server = require("parlance_spec").server

describe("peers", function()
  local peers
  before_each(function() peers = server.peers() end)

  local function status(...) return (select(2, peers:add(...))) end

  it("counts the connections of a peer up to the most", function()
    assert.is_true(peers:add("192.0.2.1", 2))
    assert.is_true(peers:add("192.0.2.1", 2))
    assert.equal("full", status("192.0.2.1", 2))
    assert.is_true(peers:add("192.0.2.2", 2))
    peers:remove "192.0.2.1"
    assert.is_true(peers:add("192.0.2.1", 2))
    assert.equal("full", status("192.0.2.1", 2))
  end)

  it("counts all addresses of a /64 together", function()
    assert.is_true(peers:add("2001:db8:1:2::1", 1))
    assert.equal("full", status("2001:db8:1:2:ffff:ffff:ffff:ffff", 1))
    assert.is_true(peers:add("2001:db8:1:3::1", 1))
    peers:remove "2001:db8:1:2:3::"
    assert.is_true(peers:add("2001:db8:1:2::1", 1))
  end)

  it("counts an IPv4 address that is written as IPv6 as that IPv4 address", function()
    assert.is_true(peers:add("::ffff:192.0.2.1", 1))
    assert.equal("full", status("192.0.2.1", 1))
    assert.is_true(peers:add("::1", 1))
  end)

  it("does not count Unix peers", function()
    for _ = 1, 10 do assert.is_true(peers:add("unix", 1)) end
    peers:remove "unix"
    assert.equal(0, peers:size())
  end)

  it("remembers only peers that have a connection", function()
    for round = 0, 9 do
      for i = 0, 999 do assert.is_true(peers:add(("10.%d.%d.%d"):format(round, i // 256, i % 256), 1)) end
      for i = 0, 999 do peers:remove(("10.%d.%d.%d"):format(round, i // 256, i % 256)) end
    end
    local used, places = peers:size()
    assert.same({ 0, 2048 }, { used, places })
  end)

  it("counts right whatever comes and goes", function()
    local counts, present = {}, {}
    math.randomseed(os.time())
    for _ = 1, 20000 do
      local i = math.random(200)
      local host = i <= 100 and ("10.0.0.%d"):format(i) or ("2001:db8:0:%x::%x"):format(i, math.random(0xffff))
      local key = i
      if math.random() < 0.5 then
        local is_full = (counts[key] or 0) >= 3
        assert.equal(not is_full, peers:add(host, 3) == true)
        if not is_full then
          counts[key] = (counts[key] or 0) + 1
          present[#present + 1] = { key, host }
        end
      elseif #present > 0 then
        local entry = table.remove(present, math.random(#present))
        peers:remove(entry[2])
        counts[entry[1]] = counts[entry[1]] - 1
      end
    end
    local used = 0
    for _, count in pairs(counts) do used = used + (count > 0 and 1 or 0) end
    assert.equal(used, (peers:size()))
    for _, entry in ipairs(present) do peers:remove(entry[2]) end
    assert.equal(0, (peers:size()))
  end)
end)
