-- The datagrams of each peer in a second.

local server = require("parlance_spec").server

describe("peer rates", function()
  it("allow so many datagrams of a peer, and more in the next second", function()
    local rates = server.peer_rates(2)
    assert.is_true(rates:allows("192.0.2.1", 5000))
    assert.is_true(rates:allows("192.0.2.1", 5999))
    assert.is_false(rates:allows("192.0.2.1", 5999))
    assert.is_true(rates:allows("192.0.2.2", 5999))
    assert.is_true(rates:allows("192.0.2.1", 6000))
  end)

  it("take all addresses of a /64 together, and an IPv4 address however it is written", function()
    local rates = server.peer_rates(1)
    assert.is_true(rates:allows("2001:db8:1:2::1", 0))
    assert.is_false(rates:allows("2001:db8:1:2:ffff::", 0))
    assert.is_true(rates:allows("2001:db8:1:3::1", 0))
    assert.is_true(rates:allows("192.0.2.1", 0))
    assert.is_false(rates:allows("::ffff:192.0.2.1", 0))
  end)

  it("take no IPv6 network for an IPv4 address", function()
    local rates = server.peer_rates(1)
    assert.is_true(rates:allows("2001:db8::1", 0))
    assert.is_true(rates:allows("184.13.1.32", 0)) -- the bytes of 2001:db8, from the last to the first
    assert.is_true(rates:allows("32.1.13.184", 0)) -- from the first to the last
  end)

  it("refuse no peer that is under the limit, though there are more peers than they have room for", function()
    local rates = server.peer_rates(1)
    for i = 0, 9999 do
      assert.is_true(rates:allows(("10.0.%d.%d"):format(i // 256, i % 256), 0))
    end
  end)
end)
