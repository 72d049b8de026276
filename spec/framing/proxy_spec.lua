local proxy = require("parlance_spec").framing.proxy

local SIGNATURE <const> = "\r\n\r\n\0\r\nQUIT\n"
local PROXY <const>, LOCAL <const> = 0x21, 0x20
local TCP4 <const>, UDP4 <const>, TCP6 <const>, UDP6 <const> = 0x11, 0x12, 0x21, 0x22
local UNIX <const>, UNIX_DATAGRAM <const> = 0x31, 0x32
local IPV4_ENDS <const> = "\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"

local function binary(command, family, rest)
  return SIGNATURE .. string.pack(">BBs2", command, family, rest)
end

local function record(type, value) return string.pack(">Bs2", type, value) end

-- A header of TCP over IPv4 with these records.
local function with_records(records) return binary(PROXY, TCP4, IPV4_ENDS .. records) end

local function ssl(client, verify, records)
  return record(0x20, string.pack(">BI4", client, verify) .. (records or ""))
end

-- The text of an answer, to compare two of them.
local function text_of(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local names, fields = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do fields[#fields + 1] = name .. "=" .. text_of(value[name]) end
  return "{" .. table.concat(fields, " ") .. "}"
end

-- The answer for all the bytes. Fails unless the bytes up to each cut have the same answer or are
-- partial, and a partial answer keeps its promise.
local function feed(bytes)
  local whole = proxy(bytes)
  local wanted = 0
  for cut = 0, #bytes do
    local part = proxy(bytes:sub(1, cut))
    if part.answer == "partial" then
      assert.is_true(part.length > cut)
      if part.length > wanted then wanted = part.length end
    else
      assert.is_true(cut >= wanted, "answered too early")
      assert.equal(text_of(whole), text_of(part))
    end
  end
  return whole
end

local function ipv4(text) return (text:gsub("(%d+)%.?", function(number) return string.char(number) end)) end

local function ends(source, from, destination, to)
  return { { ip = source, port = from }, { ip = destination, port = to } }
end

describe("proxy_decode", function()
  describe("reads of version 1", function()
    local zeros = ("\0"):rep(15)
    for _, case in ipairs {
      { "TCP4 192.168.0.1 192.168.0.11 56324 443", "ipv4",
        ends(ipv4 "192.168.0.1", 56324, ipv4 "192.168.0.11", 443) },
      { "TCP4 0.0.0.0 255.255.255.255 0 65535", "ipv4", ends("\0\0\0\0", 0, "\xff\xff\xff\xff", 65535) },
      { "TCP6 ::1 2001:db8::ff 1 2", "ipv6",
        ends(zeros .. "\1", 1, "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\xff", 2) },
      { "TCP6 :: 1:2:3:4:5:6:7:ABCD 1 2", "ipv6",
        ends(zeros .. "\0", 1, "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\xab\xcd", 2) },
      { "TCP6 1:: 1:2:3:4:5:6:7:: 1 2", "ipv6",
        ends("\0\1" .. ("\0"):rep(14), 1, "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\0", 2) },
      { "TCP6 ::ffff:192.0.2.1 1:2:3:4:5:6:1.2.3.4 1 2", "ipv6",
        ends(("\0"):rep(10) .. "\xff\xff\xc0\0\2\1", 1, "\0\1\0\2\0\3\0\4\0\5\0\6\1\2\3\4", 2) },
      { "TCP6 " .. ("ffff:"):rep(7) .. "ffff " .. ("ffff:"):rep(7) .. "ffff 65535 65535", "ipv6",
        ends(("\xff"):rep(16), 65535, ("\xff"):rep(16), 65535) },
    } do
      local line, family, both = table.unpack(case)
      it(line:sub(1, 60), function()
        local bytes = "PROXY " .. line .. "\r\n"
        local answer = feed(bytes .. "GET / HTTP/1.1\r\n")
        assert.same({ answer = "complete", length = #bytes, family = family, source = both[1], destination = both[2] },
          answer)
      end)
    end

    for _, rest in ipairs {
      "", " ", " ffff:f...f:ffff ffff:f...f:ffff 65535 65535", " \n\r \0\xff", (" "):rep(107 - 15),
    } do
      it(("UNKNOWN, and ignores %q"):format(rest), function()
        local bytes = "PROXY UNKNOWN" .. rest .. "\r\n"
        assert.same({ answer = "complete", length = #bytes, family = "none" }, feed(bytes .. "x\r\n"))
      end)
    end
  end)

  describe("refuses of version 1", function()
    local words <const> = "it begins as no header of the PROXY protocol does"
    local fields <const> = "the line has not two addresses and two ports"
    local ending <const> = "the line does not end with CR LF"
    local long <const> = "the line does not end within 107 bytes"
    for _, case in ipairs {
      { "GET / HTTP/1.1\r\n", words },
      { "\x16\x03\x01\x02\0", words },
      { "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", words },
      { "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", words },
      { "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", words },
      { "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", words },
      { "PROXY UNKNOWNS\r\n", words },
      { "PROXY\r\n", words },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", ending },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx\r\n", ending },
      { "PROXY UNKNOWN" .. (" "):rep(107 - 14) .. "\r\n", long },
      { "PROXY UNKNOWN " .. ("\n"):rep(200), long },
      { "PROXY TCP6 " .. (":"):rep(200), long },
      { "PROXY TCP4 \r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", fields },
      { "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", fields },
      { "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", fields },
      { "PROXY TCP4 ::1 ::1 1 2\r\n", fields },
      { "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", fields },
      { "PROXY TCP6 1::2::3 ::1 1 2\r\n", fields },
      { "PROXY TCP6 : ::1 1 2\r\n", fields },
      { "PROXY TCP6 ::: ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2 ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2:3:4:5:6:7:8: ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2\r\n", fields },
      { "PROXY TCP6 1:2:3:4:5:6:7:1.2.3.4 ::1 1 2\r\n", fields },
      { "PROXY TCP6 ::1.2.3.4:1 ::1 1 2\r\n", fields },
      { "PROXY TCP6 ::12345 ::1 1 2\r\n", fields },
      { "PROXY TCP6 ::g ::1 1 2\r\n", fields },
      { "PROXY TCP6 fe80::1%1 ::1 1 2\r\n", fields },
    } do
      local bytes, why = table.unpack(case)
      it(("%q: %s"):format(bytes:sub(1, 50), why), function()
        assert.same({ answer = "malformed", why = why, length = 0, family = "none" }, feed(bytes))
      end)
    end
  end)

  describe("reads of version 2", function()
    local v6 <const> = ("\x20"):rep(16) .. ("\x30"):rep(16) .. "\0\1\xff\xff"
    local function path(text) return text .. ("\0"):rep(108 - #text) end
    for _, case in ipairs {
      { "TCP over IPv4", TCP4, IPV4_ENDS, "ipv4", ends("\xc0\0\2\1", 56324, "\xc6\x33\x64\7", 443) },
      { "UDP over IPv4", UDP4, IPV4_ENDS, "ipv4", ends("\xc0\0\2\1", 56324, "\xc6\x33\x64\7", 443) },
      { "TCP over IPv6", TCP6, v6, "ipv6", ends(("\x20"):rep(16), 1, ("\x30"):rep(16), 65535) },
      { "UDP over IPv6", UDP6, v6, "ipv6", ends(("\x20"):rep(16), 1, ("\x30"):rep(16), 65535) },
      { "a Unix stream", UNIX, path "" .. path "/run/a.sock", "unix", { { path = "" }, { path = "/run/a.sock" } } },
      { "a Unix datagram", UNIX_DATAGRAM, path(("p"):rep(108)) .. path "b", "unix",
        { { path = ("p"):rep(108) }, { path = "b" } } },
    } do
      local fact, kind, both, family, expected = table.unpack(case)
      it(fact, function()
        local bytes = binary(PROXY, kind, both .. record(0x02, "example.org"))
        local answer = feed(bytes .. "next")
        assert.same({ answer = "complete", length = #bytes, family = family, source = expected[1],
          destination = expected[2], authority = "example.org" }, answer)
      end)
    end

    for _, case in ipairs {
      { "LOCAL without bytes", binary(LOCAL, 0, "") },
      { "LOCAL, and ignores its family and its bytes", binary(LOCAL, 0xff, "any bytes") },
      { "LOCAL, and ignores addresses", binary(LOCAL, TCP4, IPV4_ENDS .. record(2, "a")) },
      { "an unspecified family, and ignores its bytes", binary(PROXY, 0, "any bytes") },
      { "an unspecified transport", binary(PROXY, 0x10, "") },
      { "an unspecified family of a stream", binary(PROXY, 0x01, "") },
    } do
      local fact, bytes = table.unpack(case)
      it(fact, function()
        assert.same({ answer = "complete", length = #bytes, family = "none" }, feed(bytes .. "next"))
      end)
    end

    it("all records that are known, and leaves out others", function()
      local answer = feed(with_records(record(0x01, "h2") .. record(0x04, "padding") .. record(0x02, "example.org")
        .. record(0xea, "\1vpce") .. record(0x05, ("u"):rep(128)) .. record(0x30, "blue") .. record(0x04, "")))
      assert.equal("complete", answer.answer)
      assert.same({ "h2", "example.org", ("u"):rep(128) }, { answer.alpn, answer.authority, answer.unique_id })
    end)

    it("an empty record", function()
      assert.equal("", feed(with_records(record(0x02, ""))).authority)
    end)

    it("what the proxy knows of TLS", function()
      local records = record(0x21, "TLSv1.3") .. record(0x23, "TLS_AES_256_GCM_SHA384") .. record(0x22, "client")
        .. record(0x24, "RSA-SHA256") .. record(0x25, "RSA2048") .. record(0x29, "other")
      local expected = { version = "TLSv1.3", cipher = "TLS_AES_256_GCM_SHA384", common_name = "client",
        signature = "RSA-SHA256", key = "RSA2048", has_certificate = true, is_verified = true }
      assert.same(expected, feed(with_records(ssl(7, 0, records))).ssl)
    end)

    for _, case in ipairs {
      { "a client without a certificate is not verified", 1, 0, false, false },
      { "a certificate that was refused is not verified", 3, 19, true, false },
      { "a certificate of this connection is verified", 3, 0, true, true },
      { "a certificate of the session is verified", 5, 0, true, true },
    } do
      local fact, client, verify, has_certificate, is_verified = table.unpack(case)
      it("that " .. fact, function()
        assert.same({ has_certificate = has_certificate, is_verified = is_verified },
          feed(with_records(ssl(client, verify))).ssl)
      end)
    end

    it("that a client does not speak TLS", function()
      assert.equal(nil, feed(with_records(ssl(6, 0, record(0x21, "TLSv1.3")))).ssl)
    end)

    it("a checksum that is right, wherever it stands", function()
      -- CRC-32C, bit by bit.
      local function sum(bytes)
        local crc = 0xffffffff
        for i = 1, #bytes do
          crc = crc ~ bytes:byte(i)
          for _ = 1, 8 do crc = crc & 1 == 1 and crc >> 1 ~ 0x82f63b78 or crc >> 1 end
        end
        return crc ~ 0xffffffff
      end
      assert.equal(0xe3069283, sum "123456789")
      for _, others in ipairs { { "", "" }, { record(2, "a"), "" }, { "", record(2, "a") } } do
        local function make(crc) return with_records(others[1] .. record(3, string.pack(">I4", crc)) .. others[2]) end
        local right = sum(make(0))
        assert.equal("complete", feed(make(right) .. "next").answer)
        assert.equal("the checksum is wrong", feed(make(right ~ 0x100)).why)
      end
    end)

    it("a header of 4096 bytes", function()
      local answer = proxy(with_records(record(0x04, ("x"):rep(4096 - 16 - 12 - 3))))
      assert.same({ "complete", 4096 }, { answer.answer, answer.length })
    end)
  end)

  describe("refuses of version 2", function()
    local fixed <const> = SIGNATURE .. "\x21\x11"
    local longer <const> = "a record is longer than the bytes that are left"
    for _, case in ipairs {
      { "a byte of the signature", "\r\n\r\n\0\r\nQUIX", "it begins as no header of the PROXY protocol does" },
      { "version 1", SIGNATURE .. "\x11", "the version or the command is unknown" },
      { "version 3", SIGNATURE .. "\x31", "the version or the command is unknown" },
      { "an unknown command", SIGNATURE .. "\x22", "the version or the command is unknown" },
      { "an unknown family", SIGNATURE .. "\x21\x41", "the address family is unknown" },
      { "an unknown transport", SIGNATURE .. "\x21\x13", "the address family is unknown" },
      { "a header of 4097 bytes", fixed .. string.pack(">I2", 4081), "the header is longer than 4096 bytes" },
      { "IPv4 addresses that are cut", fixed .. "\0\x0b", "the header is too short for its addresses" },
      { "IPv6 addresses that are cut", SIGNATURE .. "\x21\x21\0\x23", "the header is too short for its addresses" },
      { "Unix addresses that are cut", SIGNATURE .. "\x21\x31\0\xd7", "the header is too short for its addresses" },
      { "the head of a record that is cut", with_records "\2\0", longer },
      { "a value that is cut", with_records "\2\0\2x", longer },
      { "a record that occurs twice", with_records(record(2, "a") .. record(2, "")), "a record occurs twice" },
      { "a checksum of three bytes", with_records(record(3, "abc")), "the checksum has not four bytes" },
      { "a wrong checksum", with_records(record(3, "abcd")), "the checksum is wrong" },
      { "a unique id of 129 bytes", with_records(record(5, ("u"):rep(129))), "the unique id is longer than 128 bytes" },
      { "a short record of TLS", with_records(record(0x20, "\1\0\0\0")), "the record of TLS is too short" },
      { "a record within that of TLS that is cut", with_records(ssl(1, 0, "\x21\0\1")), longer },
      { "a record within that of TLS that occurs twice", with_records(ssl(1, 0, record(0x21, "") .. record(0x21, ""))),
        "a record occurs twice" },
    } do
      local fact, bytes, why = table.unpack(case)
      it(fact, function()
        assert.same({ answer = "malformed", why = why, length = 0, family = "none" }, feed(bytes .. "next"))
      end)
    end
  end)

  describe("waits for", function()
    for _, case in ipairs {
      { "the first byte", "", 1 },
      { "the next byte of a line", "PROXY TCP4 1", 13 },
      { "the line feed", "PROXY UNKNOWN\r", 15 },
      { "the next byte of the fixed part", SIGNATURE, 13 },
      { "all bytes that the fixed part declares", SIGNATURE .. "\x21\x11\x01\x00", 16 + 256 },
    } do
      local fact, bytes, length = table.unpack(case)
      it(fact, function()
        assert.same({ answer = "partial", length = length, family = "none" }, feed(bytes))
      end)
    end
  end)
end)
