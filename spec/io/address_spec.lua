local io = require("parlance_spec").io

describe("address_parse", function()
  local good = {
    { "localhost:8888", "localhost", 8888 },
    { "127.0.0.1:0", "127.0.0.1", 0 },
    { "example.org:65535", "example.org", 65535 },
    { ":80", "", 80 },
    { "[::1]:8888", "::1", 8888 },
    { "[::]:0", "::", 0 },
    { "[fe80::1%eth0]:1", "fe80::1%eth0", 1 },
    { ("h"):rep(255) .. ":00080", ("h"):rep(255), 80 },
  }
  for _, case in ipairs(good) do
    it("reads " .. case[1]:sub(1, 40), function()
      assert.same({ host = case[2], port = case[3], kind = "tcp" }, io.address_parse(case[1]))
    end)
  end

  it("reads what kind of address it is", function()
    assert.same({ host = "h", port = 1, kind = "tcp" }, io.address_parse("tcp:h:1"))
    assert.same({ host = "h", port = 1, kind = "udp" }, io.address_parse("udp:h:1"))
    assert.same({ host = "::1", port = 0, kind = "udp" }, io.address_parse("udp:[::1]:0"))
    assert.same({ nil, "the port is missing" }, { io.address_parse("udp:1") })
  end)

  it("reads a Unix path as it stands", function()
    assert.same({ host = "/run/a:b.sock", port = 0, kind = "unix" }, io.address_parse("unix:/run/a:b.sock"))
    assert.same({ host = "here", port = 0, kind = "unix" }, io.address_parse("unix:here"))
    assert.equal(107, #io.address_parse("unix:" .. ("p"):rep(107)).host)
  end)

  local number = "the port is not a number from 0 to 65535"
  local bad = {
    { "", "the port is missing" },
    { "localhost", "the port is missing" },
    { "8888", "the port is missing" },
    { "localhost:", "the port is missing" },
    { ":", "the port is missing" },
    { "localhost:http", number },
    { "localhost:65536", number },
    { "localhost:99999999999999999999", number },
    { "localhost:-1", number },
    { "localhost:+1", number },
    { "localhost: 1", number },
    { "localhost:1 ", number },
    { "localhost:0x50", number },
    { "::1:80", "an IPv6 address needs brackets, as in [::1]:8888" },
    { "::1", "an IPv6 address needs brackets, as in [::1]:8888" },
    { "[::1]", "the port is missing" },
    { "[::1]80", "the port is missing" },
    { "[::1]:", "the port is missing" },
    { "[::1]:x", number },
    { "[::1:80", "the bracket is not closed" },
    { "[localhost]:80", "what stands in brackets is not an IPv6 address" },
    { "[]:80", "what stands in brackets is not an IPv6 address" },
    { "[127.0.0.1]:80", "what stands in brackets is not an IPv6 address" },
    { "[" .. ("1"):rep(300) .. "]:80", "what stands in brackets is not an IPv6 address" },
    { "[::1%" .. ("e"):rep(300) .. "]:80", "what stands in brackets is not an IPv6 address" },
    { ("h"):rep(256) .. ":80", "the host is too long" },
    { "unix:", "the path after unix: is empty" },
    { "unix:" .. ("p"):rep(108), "the path is longer than the 107 bytes that a Unix socket can have" },
  }
  for _, case in ipairs(bad) do
    it(("refuses %q: %s"):format(case[1]:sub(1, 40), case[2]), function()
      assert.same({ nil, case[2] }, { io.address_parse(case[1]) })
    end)
  end
end)

describe("address_numeric", function()
  for _, host in ipairs { "127.0.0.1", "255.255.255.255", "::1", "2001:db8::ff", "fe80::1%1" } do
    it("writes " .. host, function()
      assert.same({ host, 50312 }, { io.address_numeric(host, 50312) })
    end)
  end

  it("calls a Unix socket unix", function()
    local near, far = io.pair()
    assert.same({ "unix", 0 }, { io.local_address(near) })
    io.close(near)
    io.close(far)
  end)
end)

describe("address_format", function()
  it("joins host and port", function()
    assert.equal("127.0.0.1:8888", io.address_format("127.0.0.1", 8888))
    assert.equal("localhost:0", io.address_format("localhost", 0))
  end)

  it("puts brackets around an IPv6 host", function()
    assert.equal("[::1]:65535", io.address_format("::1", 65535))
  end)

  it("cuts a host off that is too long for the text", function()
    assert.equal(("h"):rep(119) .. ":65535", io.address_format(("h"):rep(300), 65535))
    assert.equal("[:" .. (":"):rep(118) .. "]:65535", io.address_format((":"):rep(300), 65535))
  end)
end)
