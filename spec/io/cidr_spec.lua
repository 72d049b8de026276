local io = require("parlance_spec").io

describe("cidr_list_has", function()
  local cases = {
    { "an IPv4 range", "10.0.0.0/8", { "10.0.0.0", "10.255.255.255" }, { "9.255.255.255", "11.0.0.0", "unix" } },
    { "a prefix within a byte", "192.0.2.128/26", { "192.0.2.128", "192.0.2.191" }, { "192.0.2.127", "192.0.2.192" } },
    { "one IPv4 address", "192.0.2.7", { "192.0.2.7" }, { "192.0.2.6", "192.0.2.8", "::192.0.2.7" } },
    { "one IPv6 address", "::1", { "::1" }, { "::2", "127.0.0.1", "0.0.0.1" } },
    { "an IPv6 range", "2001:db8::/33", { "2001:db8::", "2001:db8:7fff::1" }, { "2001:db8:8000::", "2001:db7::" } },
    { "IPv4 addresses that are written as IPv6, as peers", "127.0.0.0/8", { "::ffff:127.0.0.1" }, { "::127.0.0.1" } },
    { "IPv4 addresses that are written as IPv6, in the list", "::ffff:192.0.2.7,::ffff:10.0.0.0/104",
      { "192.0.2.7", "10.1.2.3", "::ffff:10.1.2.3" }, { "192.0.2.6", "11.0.0.0" } },
    { "all IPv4 addresses and nothing else", "0.0.0.0/0", { "1.2.3.4", "::ffff:1.2.3.4" }, { "::1", "unix" } },
    { "all IPv6 addresses and nothing else", "::/0", { "::1", "ff::" }, { "1.2.3.4", "::ffff:1.2.3.4", "unix" } },
    { "Unix sockets", "unix", { "unix" }, { "127.0.0.1", "::1" } },
    { "several ranges", "127.0.0.1,unix,::1/128,10.0.0.0/31", { "127.0.0.1", "unix", "::1", "10.0.0.1" },
      { "127.0.0.2", "::2", "10.0.0.2" } },
  }
  for _, case in ipairs(cases) do
    local fact, text, members, others = table.unpack(case)
    it("knows " .. fact, function()
      for i, result in ipairs(io.cidr_list(text, table.unpack(members))) do assert.is_true(result, members[i]) end
      for i, result in ipairs(io.cidr_list(text, table.unpack(others))) do assert.is_false(result, others[i]) end
    end)
  end
end)

describe("cidr_list_add", function()
  local address <const> = "not an IP address"
  local cases = {
    { "", "", address },
    { ",", "", address },
    { "127.0.0.1,", "", address },
    { "127.0.0.1,,::1", "", address },
    { "localhost", "localhost", address },
    { "Unix", "Unix", address },
    { "unix:/run/a", "unix:/run/a", address },
    { "127.0.0.1, ::1", " ::1", address },
    { "127.0.0", "127.0.0", address },
    { "127.0.0.01", "127.0.0.01", address },
    { "[::1]", "[::1]", address },
    { "fe80::1%eth0", "fe80::1%eth0", address },
    { "/8", "/8", address },
    { ("1"):rep(300), ("1"):rep(300), address },
    { "10.0.0.0/33", "10.0.0.0/33", "the prefix is not a number from 0 to 32" },
    { "10.0.0.0/", "10.0.0.0/", "the prefix is not a number from 0 to 32" },
    { "10.0.0.0/-1", "10.0.0.0/-1", "the prefix is not a number from 0 to 32" },
    { "10.0.0.0/8/8", "10.0.0.0/8/8", "the prefix is not a number from 0 to 32" },
    { "10.0.0.0/255.0.0.0", "10.0.0.0/255.0.0.0", "the prefix is not a number from 0 to 32" },
    { "unix,::/129", "::/129", "the prefix is not a number from 0 to 128" },
    { "10.0.0.1/8", "10.0.0.1/8", "the address has bits that its prefix leaves out" },
    { "::ffff:1.2.3.4/90", "::ffff:1.2.3.4/90", "the address has bits that its prefix leaves out" },
  }
  for _, case in ipairs(cases) do
    local text, fault, why = table.unpack(case)
    it(("refuses %q: %s"):format(text:sub(1, 40), why), function()
      assert.same({ nil, fault, why }, { io.cidr_list(text) })
    end)
  end
end)
