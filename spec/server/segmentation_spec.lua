-- A request is what the protocol says, however the network has cut it.

local server = require "support.server"

local LENGTH_LINE <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  request_complete = framing.length_line {},
  make_response = function(self) return self.request end,
}
]]

local SERVICES <const> = {
  { "length_sep_body.lua", "protocols/length_sep_body.lua" },
  { "framing.length_line", LENGTH_LINE },
}

server.for_each_poller(function(poller)
  for _, service in ipairs(SERVICES) do
    local name, script = table.unpack(service)

    describe(name, function()
      local running

      before_each(function()
        running = server.start(script, { poller = poller, turns = true, "--max-request", 1000 })
      end)

      it("answers one request in one segment", function()
        assert.equal("hello", running:connect():exchange("5\nhello", 5))
      end)

      it("answers two requests in one segment", function()
        assert.equal("onethree", running:connect():exchange("3\none5\nthree", 8))
      end)

      it("answers a request in as many segments as it has bytes", function()
        local client = running:connect():send_bytes "12\nhello, world"
        assert.equal("hello, world", client:receive(12))
      end)

      it("answers two requests byte by byte, each as soon as it is there", function()
        local client = running:connect():send_bytes "3\none"
        assert.equal("one", client:receive(3))
        client:send_bytes "0\n2\n\0\n"
        assert.equal("\0\n", client:receive(2))
      end)

      it("answers two requests in two segments, wherever they are cut", function()
        local bytes <const> = "3\none5\nthree"
        for cut = 1, #bytes - 1 do
          local client = running:connect():send_pieces { bytes:sub(1, cut), bytes:sub(cut + 1) }
          assert.equal("onethree", client:receive(8))
          client:close()
        end
      end)

      it("keeps apart what two connections send in turns", function()
        local first, second = running:connect(), running:connect()
        for place = 1, 7 do
          first:send_pieces { ("5\nhello"):sub(place, place) }
          second:send_pieces { ("5\nworld"):sub(place, place) }
        end
        assert.equal("hello", first:receive(5))
        assert.equal("world", second:receive(5))
      end)

      it("does not answer a body that is shorter than its length", function()
        local client = running:connect()
        assert.equal("", client:exchange_all "10\nshort")
        running:wait_for_log "closed service=%S+ [^\n]*reason=peer_closed requests=0\n"
      end)

      it("answers what came before a body that is too short", function()
        assert.equal("one", running:connect():exchange_all "3\none10\nshort")
      end)

      it("takes what is behind the body for the next request", function()
        local client = running:connect()
        assert.equal("hel", client:exchange_all "3\nhello")
        running:wait_for_log " malformed service=%S+ [^\n]*text=lo "
      end)

      it("takes a request of just max_request bytes", function()
        local body = ("x"):rep(996)
        assert.equal(body, running:connect():exchange_all("996\n" .. body))
      end)

      it("refuses a request that says that it is longer, before any of its body", function()
        local client = running:connect()
        client:send "997\n"
        assert.equal("", client:receive_all())
        running:wait_for_log " too_large service=%S+ [^\n]*buffered=4 "
      end)

      for _, case in ipairs {
        { "negative", "-5\nhello" },
        { "signed", "+5\nhello" },
        { "hexadecimal", "0x5\nhello" },
        { "a hexadecimal digit", "a\nhellohello" },
        { "a float", "5.0\nhello" },
        { "an exponent", "1e1\nhellohello" },
        { "padded with a blank in front", " 5\nhello" },
        { "padded with a blank behind", "5 \nhello" },
        { "padded with a zero", "05\nhello" },
        { "ended by a carriage return too", "5\r\nhello" },
        { "empty", "\nhello" },
        { "a word", "five\nhello" },
        { "infinite", "inf\nhello" },
        { "holding a NUL", "5\0\nhello" },
        { "one over the largest integer", "9223372036854775808\nhello" },
        { "one that wraps around to 5", "18446744073709551621\nhello" },
        { "endless", ("9"):rep(999) },
      } do
        local fact, bytes = table.unpack(case)
        it("finds a length malformed that is " .. fact .. ", whole and byte by byte", function()
          assert.equal("ok", running:connect():exchange_all("2\nok" .. bytes))
          assert.equal("", (running:connect():send_pieces({ bytes:sub(1, 1) }):exchange_all(bytes:sub(2, 40))))
          server.wait_until("both to end", function()
            return running:count_in_log "closed service=%S+ [^\n]*reason=malformed" == 2
          end)
        end)
      end

      for _, length in ipairs { "9223372036854775807", "9223372036854775800", "99999999999999999" } do
        it("refuses " .. length .. ", which no memory holds", function()
          local client = running:connect()
          client:send(length .. "\n")
          assert.equal("", client:receive_all())
          running:wait_for_log "closed service=%S+ [^\n]*reason=%l+"
          assert.is_nil(running:log():find "reason=script")
          assert.equal("ok", running:connect():exchange("2\nok", 2))
        end)
      end
    end)
  end
end)
