-- Which handler does what, when a handler gets a successor while conversations live.
local conversation = require "support.conversation"
local rooms = require "parlance_spec"

local handlers

-- Handlers of these names, each with the same options, or with its own under its name.
local function cast(names, options)
  handlers = rooms.session.handlers()
  for _, name in ipairs(names) do handlers:add(name, options and options[name] or options) end
  return handlers
end

-- Runs f with the log captured, which has specs of its own.
local function quietly(f) return select(2, rooms.base.capture(f)) end

-- Everything until now is out, and nothing of it is looked at again.
local function settle(session)
  local out = conversation.output(session)
  return out, handlers:log()
end

describe("a handler's successor", function()
  after_each(function()
    if handlers then handlers:close() end
    handlers = nil
    conversation.clean()
  end)

  describe("takes over", function()
    it("the requests of which no byte was looked at, wherever the bytes are cut", function()
      for _, is_framed in ipairs { false, true } do
        local bytes <const> = is_framed and "one\ntwo\nthree\n" or "one.two.three."
        for cut = 0, #bytes do
          for _, is_bytewise in ipairs { false, true } do
            cast({ "old", "new" }, { framing = is_framed })
            local session <close> = handlers:open "old"
            local function feed(part)
              if not is_bytewise then return session:receive(part) end
              for byte in part:gmatch "." do session:receive(byte) end
            end
            feed(bytes:sub(1, cut))
            handlers:succeed("old", "new")
            feed(bytes:sub(cut + 1))
            local wanted = {}
            for _, start in ipairs { 1, 5, 9 } do
              wanted[#wanted + 1] = (start <= cut and "old" or "new") .. " answered;"
            end
            assert.equal(table.concat(wanted), (settle(session)), "cut behind " .. cut)
            assert.equal(3, session:requests())
          end
        end
      end
    end)

    it("at once when it is told to and nothing is in hand", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      assert.is_true(session:migrate())
      handlers:succeed("old", "new")
      assert.equal(1, handlers:sessions "old")
      assert.is_true(session:migrate())
      assert.equal("old migrates to new; old on_unused", handlers:log())
      assert.is_true(session:migrate())
      assert.equal("", handlers:log())
      session:receive "a."
      assert.equal("new asked a.; new answers a", handlers:log())
    end)

    it("a request that is pipelined behind the one in hand", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      session:receive "a"
      handlers:succeed("old", "new")
      assert.is_false(session:migrate())
      session:receive ".b.c"
      assert.equal("old asked a; old asked a.b.c; old answers a; old migrates to new; old on_unused; "
        .. "new asked b.c; new answers b; new asked c", handlers:log())
      session:receive "."
      assert.equal("new asked c.; new answers c", handlers:log())
    end)

    it("with another way to find the end of a request", function()
      for _, is_framed in ipairs { false, true } do
        cast({ "old", "new" }, { old = { framing = is_framed }, new = { framing = not is_framed } })
        local session <close> = handlers:open "old"
        local first, second = "one.\n", "two\nx."
        if is_framed then first, second = "one.x\n", "two\n." end
        session:receive(first:sub(1, 2))
        handlers:succeed("old", "new")
        session:receive(first:sub(3) .. second)
        local out, log = settle(session)
        -- What stands behind the request is cut by the new rules.
        assert.equal("old answered;new answered;", out:sub(1, 26))
        assert.truthy(log:find(is_framed and "new answers two\n" or "new answers ", 1, true), log)
        assert.is_nil(log:find("old on_unused.*old "), log)
      end
    end)

    it("with its own limits, which hold from then on", function()
      cast({ "old", "new" }, {
        old = { max_request = 3, idle_timeout = 1000, request_timeout = 50 },
        new = { max_request = 6, idle_timeout = 200, request_timeout = 70 },
      })
      local session = handlers:open("old", { now = 0 })
      assert.equal(1000, session:deadline())
      handlers:succeed("old", "new")
      session:migrate(100)
      assert.equal(200, session:deadline())
      session:receive("12345", 150)
      assert.equal(220, session:deadline())
      session:receive(".", 160)
      assert.equal("new answered;", (settle(session)))
      assert.equal(360, session:deadline())
    end)

    it("but leaves the request in hand the limits that it began with", function()
      cast({ "old", "new" }, {
        old = { max_request = 6, request_timeout = 50 }, new = { max_request = 3, request_timeout = 70 },
      })
      local session = handlers:open("old", { now = 0 })
      session:receive("1", 0)
      handlers:succeed("old", "new")
      session:receive("2345", 10)
      assert.equal(50, session:deadline())
      session:receive(".", 20)
      assert.equal("old answered;", (settle(session)))
      quietly(function() session:receive("1234", 30) end)
      assert.equal("too_large", session:reason())
    end)

    it("before on_connect, or never wants on_connect", function()
      cast({ "old", "new" }, { wants_on_connect = true })
      local session = handlers:open("old", { starts = false })
      handlers:succeed("old", "new")
      session:start()
      assert.equal("old migrates to new; old on_unused; new on_connect", handlers:log())
      session:receive "a."
      assert.equal("new on_connect;new answered;", (settle(session)))

      cast({ "old", "new" }, { old = { wants_on_connect = true }, new = {} })
      session = handlers:open("old", { starts = false })
      handlers:succeed("old", "new")
      assert.is_true(session:migrate())
      session:start():receive "a."
      assert.equal("new answered;", (settle(session)))
    end)

    it("a conversation that had on_connect, and has it once", function()
      cast({ "old", "new" }, { wants_on_connect = true })
      local session = handlers:open "old"
      handlers:succeed("old", "new")
      session:receive "a."
      assert.equal("old on_connect;new answered;", (settle(session)))
    end)

    it("also while what was said waits for the peer", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      session:receive "many.b.c." -- the high-water mark: b is not looked at
      handlers:succeed("old", "new")
      handlers:log()
      assert.is_true(session:migrate())
      assert.equal("old migrates to new; old on_unused", handlers:log())
      local out, log = settle(session)
      assert.equal("new answered;new answered;", out:sub(-26))
      assert.equal("new asked b.c.; new answers b; new asked c.; new answers c", log)
    end)

    it("what is left when the old one has had its share of time", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      session:receive_only "yield.b."
      handlers:succeed("old", "new")
      handlers:log()
      assert.is_true(session:migrate())
      assert.equal("old migrates to new; old on_unused", handlers:log())
      session:take(1) -- the next turn
      assert.equal("new asked b.; new answers b", handlers:log())
    end)

    it("and is shown all that is there, whatever the one before was content with", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      local long <const> = ("b"):rep(300)
      session:receive_only("yield." .. long .. ".")
      handlers:succeed("old", "new")
      handlers:log()
      session:take(1)
      assert.equal(("old migrates to new; old on_unused; new asked %s.; new answers %s"):format(long, long),
        handlers:log())
    end)

    it("a conversation that is drained, and calls its on_close", function()
      cast({ "old", "new" }, { wants_on_close = true })
      local session = handlers:open "old"
      handlers:succeed("old", "new")
      session:drain():close()
      assert.equal("old migrates to new; old on_unused; new on_close drained", handlers:log())
    end)
  end)

  describe("leaves to the one before", function()
    for _, piece in ipairs { "file", "held" } do
      it("a response of which a " .. piece .. " is still going out", function()
        cast({ "old", "new" }, { framing = true })
        local session = handlers:open "old"
        session:receive(piece .. "\nnext\n")
        handlers:succeed("old", "new")
        session:take(2)
        assert.is_false(session:migrate())
        assert.equal("old answers " .. piece, handlers:log())
        local out, log = settle(session)
        assert.equal(piece:sub(3) .. "new answered;", out)
        assert.equal("old releases; old migrates to new; old on_unused; new answers next", log)
      end)
    end

    it("a response of which a function is not at its end", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      session:receive_only "stream.next."
      handlers:succeed("old", "new")
      assert.equal("old asked stream.next.; old answers stream; old pulled", handlers:log())
      assert.is_false(session:migrate())
      local out, log = settle(session)
      assert.equal("piece;piece;new answered;", out)
      assert.equal("old pulled; old pulled; old releases; old migrates to new; old on_unused; "
        .. "new asked next.; new answers next", log)
    end)

    it("the last words, and the end behind them", function()
      cast({ "old", "new" }, { wants_on_error = true, wants_on_close = true })
      local session = handlers:open "old"
      session:receive "a"
      handlers:succeed("old", "new")
      quietly(function() session:receive "!" end)
      assert.equal("old on_error;", (conversation.output(session)))
      assert.is_true(session:migrate())
      session:close()
      assert.equal("old asked a; old asked a!; old on_error; old on_close malformed; old on_unused", handlers:log())
    end)

    it("what is left unfinished by the peer, which it asks once more", function()
      cast({ "old", "new" }, { wants_on_close = true })
      local session = handlers:open "old"
      session:receive "a"
      handlers:succeed("old", "new")
      session:finish()
      assert.equal("old answered;", (conversation.output(session)))
      session:close()
      assert.equal("old asked a; old asked a; old answers a; old migrates to new; old on_unused; "
        .. "new on_close peer_closed",
        handlers:log())
    end)

    it("a conversation that has ended, though its output is still going out", function()
      cast({ "old", "new" }, { wants_on_close = true })
      local session = handlers:open "old"
      session:receive "quit.b."
      handlers:succeed("old", "new")
      assert.is_true(session:migrate())
      assert.equal("old answered;", (conversation.output(session)))
      assert.is_true(session:finished())
      assert.equal(1, handlers:sessions "old")
      session:close()
      assert.equal("old asked quit.b.; old answers quit; old on_close done; old on_unused", handlers:log())
    end)

    it("a conversation that is aborted, held pieces and all", function()
      cast({ "old", "new" }, { wants_on_close = true })
      local session = handlers:open "old"
      session:receive "held."
      handlers:succeed("old", "new")
      session:abort "peer_reset"
      session:close()
      assert.equal("old asked held.; old answers held; old releases; old on_close peer_reset; old on_unused",
        handlers:log())
    end)
  end)

  describe("is told", function()
    it("the client that the conversation has, by the one that moves it", function()
      cast { "old", "new" }
      local session = handlers:open "old"
      session:receive "client."
      handlers:succeed("old", "new")
      session:receive "client."
      assert.equal("old client 1;new client 101;", (settle(session)))
    end)

    it("it unchanged by one that has no say in it", function()
      cast({ "old", "new" }, { leaves_client = true })
      local session = handlers:open "old"
      session:receive "client."
      handlers:succeed("old", "new")
      session:receive "client."
      assert.equal("old client 1;new client 1;", (settle(session)))
    end)

    it("the end of a conversation with a client, though it wants no on_close", function()
      cast({ "old", "new" }, { forgets = true })
      local session = handlers:open "old"
      session:receive "a."
      handlers:succeed("old", "new")
      session:migrate()
      handlers:log()
      session:close()
      assert.equal("new forgets 101", handlers:log())
    end)
  end)

  describe("may itself have one", function()
    it("before the boundary: the newest takes over, and no other hears of it", function()
      cast { "one", "two", "three" }
      local session = handlers:open "one"
      session:receive "a"
      handlers:succeed("one", "two")
      handlers:succeed("one", "three")
      session:receive ".b."
      assert.equal("one answered;three answered;", (settle(session)))
    end)

    it("that is found through it as well", function()
      cast { "one", "two", "three" }
      local session, other = handlers:open "one", handlers:open "two"
      handlers:succeed("one", "two")
      handlers:succeed("two", "three")
      session:receive "a."
      assert.equal("one migrates to three; one on_unused; three asked a.; three answers a", handlers:log())
      assert.equal(1, handlers:sessions "two")
      other:migrate()
      assert.equal("two migrates to three; two on_unused", handlers:log())
      assert.equal(2, handlers:sessions "three")
    end)

    it("one after the other", function()
      cast { "one", "two", "three" }
      local session = handlers:open "one"
      session:receive "client."
      handlers:succeed("one", "two")
      session:receive "client."
      handlers:succeed("two", "three")
      session:receive "client."
      assert.equal("one client 1;two client 101;three client 201;", (settle(session)))
    end)
  end)

  describe("a handler", function()
    it("counts the conversations that have it, and is told once that it is unused, after the last", function()
      cast { "old", "new" }
      local sessions = {}
      for i = 1, 4 do sessions[i] = handlers:open "old" end
      sessions[5] = handlers:open "new"
      assert.equal(4, handlers:sessions "old")
      sessions[1]:close()
      assert.equal(3, handlers:sessions "old")
      sessions[2]:receive "a"
      handlers:succeed("old", "new")
      handlers:log()
      sessions[3]:migrate()
      assert.same({ 2, 2 }, { handlers:sessions "old", handlers:sessions "new" })
      sessions[4]:close()
      assert.equal(1, handlers:sessions "old")
      assert.equal("old migrates to new", handlers:log())
      sessions[2]:receive "."
      assert.is_nil(handlers:sessions "old")
      assert.equal(3, handlers:sessions "new")
      assert.equal("old asked a.; old answers a; old migrates to new; old on_unused", handlers:log())
      for i = 2, 5 do sessions[i]:close() end
      assert.equal(0, handlers:sessions "new")
      assert.is_nil(handlers:log():find "on_unused")
    end)

    it("without a successor is not told that it is unused, however empty", function()
      cast { "old", "new" }
      handlers:open("old"):close()
      assert.equal("", handlers:log())
      assert.equal(0, handlers:sessions "old")
      handlers:succeed("old", "new")
      assert.equal("", handlers:log())
    end)
  end)
end)
