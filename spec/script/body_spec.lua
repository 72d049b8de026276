-- The body of a request as a stream, in simulated time: framing.http with stream_body.

local server = require "support.server"
local simulator = require "parlance.simulator"
local tree = require "support.tree"

-- The handlers of /name stand in `on`. Each returns what its response shows.
local SCRIPT <const> = [[
  local framing = require "parlance.framing"
  local parlance = require "parlance"
  local on = {}
  local Bodies = { close_when_done = false, request_complete = framing.http { stream_body = true%s } }
  local function shown(...)
    local words = table.pack(...)
    for i = 1, words.n do
      words[i] = type(words[i]) == "string" and ("%%q"):format(words[i]):gsub("\\\n", "\\n") or tostring(words[i])
    end
    return table.concat(words, " ")
  end
  function Bodies:make_response()
    local answer = on[self.request.target:sub(2)]
    if not answer then return "<" .. self.request.target .. ">" end
    local values = table.pack(answer(self.request.body, self, self.request))
    return values.n == 1 and type(values[1]) == "function" and values[1] or shown(table.unpack(values, 1, values.n))
  end
  local function closing()
    return setmetatable({}, { __close = function(_, why) parlance.log("info", tostring(why)) end })
  end
  function on.all(body) return body:read "a" end
  function on.some(body) return body:read(3) end
  function on.none() return "none" end
  %s
  return Bodies]]

local GO_ON <const> = "HTTP/1.1 100 Continue\r\n\r\n"

local function head(target, ...)
  return table.concat({ "PUT /" .. target .. " HTTP/1.1", "Host: a", ... }, "\r\n") .. "\r\n\r\n"
end

local function put(target, body) return head(target, "Content-Length: " .. #body) .. body end

local function chunks(...)
  local all = {}
  for _, data in ipairs { ... } do all[#all + 1] = ("%x\r\n%s\r\n"):format(#data, data) end
  return table.concat(all) .. "0\r\n\r\n"
end

local function put_chunks(target, ...) return head(target, "Transfer-Encoding: chunked") .. chunks(...) end

describe("self.request.body with stream_body", function()
  local folder, script, session

  local function load(code, options)
    folder:add("protocol.lua", SCRIPT:format(options or "", code or ""))
    return simulator.load(folder.path .. "/protocol.lua", { modules = server.SOURCE .. "/lua" })
  end

  local function start(code, options)
    script = assert(load(code, options))
    session = script:open()
    return session
  end

  before_each(function()
    folder = tree.new {}
    simulator.log()
  end)

  after_each(function()
    if script then script:close() end
    script = nil
    folder:remove()
  end)

  local function logged()
    local texts = {}
    for place, line in ipairs((simulator.log())) do texts[place] = line.text end
    return table.concat(texts, "\n")
  end

  -- What the session answers to these bytes, whole, byte by byte, and cut at each place.
  local function answers(bytes, code, options)
    local answer
    local function compare(pieces, how)
      local one = script:open()
      local text = {}
      for _, piece in ipairs(pieces) do
        one:receive(piece)
        text[#text + 1] = one:take()
      end
      local all = table.concat(text) .. (one:finished() and "<end>" or "")
      all = all:gsub(GO_ON, "", 1)
      answer = answer or all
      assert.equal(answer, all, how)
      one:close()
    end
    start(code, options)
    compare({ bytes }, "whole")
    local single = {}
    for i = 1, #bytes do single[i] = bytes:sub(i, i) end
    compare(single, "byte by byte")
    for cut = 1, #bytes - 1 do compare({ bytes:sub(1, cut), bytes:sub(cut + 1) }, "cut at " .. cut) end
    return answer
  end

  it("is there when the head is, and brings its bytes as they come", function()
    start [[function on.any(body, self)
      local all = {}
      for piece in body:lines "any" do
        all[#all + 1] = piece
        self:write("[", piece, "]")
      end
      return "end"
    end]]
    session:receive(head("any", "Content-Length: 5"))
    assert.equal("", session:take())
    session:receive "he"
    assert.equal("[he]", session:take())
    session:receive "lloPUT"
    assert.equal('[llo]"end"', session:take())
  end)

  describe("can be read", function()
    for _, case in ipairs {
      { "a line", "body:read()", '"one"' },
      { "a line with its end", "body:read 'L'", [["one\13\n"]] },
      { "so many bytes", "body:read(6)", [["one\13\nt"]] },
      { "bytes that stay", "body:peek(2), body:read(3)", '"on" "one"' },
      {
        "up to its end", "body:read 'a', body:read 'a', body:read 'l'",
        [["one\13\ntwo\nabc" "" nil "closed" "closed"]],
      },
      { "as frames", "body:read(framing.line()), body:read(framing.line()), body:read(3)", '"one" "two" "abc"' },
      { "in lines", "body:lines()(), #body:read 'a'", '"one" 7' },
      { "beyond its end not at all", "body:read(100), body:read(12)", 'nil "one\\13\\ntwo\\nabc"' },
    } do
      it(case[1] .. ", whatever way its bytes come", function()
        local code = ("function on.go(body) return %s end"):format(case[2])
        local data = "one\r\ntwo\nabc"
        assert.equal(case[3] .. "</next>", answers(put("go", data) .. head "next", code))
        local sees_end = case[2]:find "'a'" or case[2]:find "100"
        local rest = sees_end and "</next>" or "<end>"
        assert.equal(case[3] .. rest, answers(put_chunks("go", "one\r", "\ntwo\na", "bc") .. head "next", code))
      end)
    end
  end)

  it("ends with its length or its last chunk, and gives no byte of the next request", function()
    local two = put("all", "hello") .. put_chunks("all", "he", "llo") .. put("all", "") .. head "all" .. head "next"
    assert.equal('"hello""hello"""""</next>', answers(two))
  end)

  it("is at its end in a request without a body, and is one object", function()
    start [[function on.go(body, self, request)
      local names = {}
      for name in pairs(request) do names[#names + 1] = name end
      table.sort(names)
      return body == request.body, tostring(body), table.concat(names, ","), body:read "any"
    end]]
    local text = 'true "stream (the body of a request)" "body,headers,keep_alive,method,target,version" nil ' ..
      '"closed" "closed"'
    session:receive(head "go")
    assert.equal(text, session:take())
    session:receive(put("go", ""))
    assert.equal(text, session:take())
    session:receive(head("go", "Transfer-Encoding: chunked") .. "0\r\n\r\n")
    assert.equal(text, session:take())
  end)

  it("works in HTTP/1.0", function()
    start()
    session:receive "PUT /all HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert.equal("", session:take())
    session:receive "ab"
    assert.equal('"ab"', session:take())
  end)

  it("has no method that does more than read", function()
    start [[function on.go(body)
      local all = {}
      for _, name in ipairs { "write", "shutdown", "detach", "release" } do
        all[#all + 1] = select(2, pcall(body[name], body, "x"))
      end
      return table.concat(all, "; "), body.peer_address, body:set_timeout(1)
    end]]
    session:receive(put("go", "x"))
    local texts = {}
    for place, name in ipairs { "write", "shutdown", "detach", "release" } do
      texts[place] = "the body of a request can only be read: it has no " .. name
    end
    assert.equal(('"%s" nil'):format(table.concat(texts, "; ")), session:take())
  end)

  it("limits the head alone by max_request, and a body by max", function()
    start("Bodies.max_request = 100", ", max = 500")
    session:receive(put("all", ("x"):rep(500)))
    assert.equal(('"%s"'):format(("x"):rep(500)), session:take())
    session:receive(put("all", ("x"):rep(501)))
    assert.is_true(session:finished())
    assert.equal("too_large", session:reason())
  end)

  it("can be read by another task, and by one reader at a time", function()
    start [[function on.go(body)
      local task = parlance.spawn(function() return body:read(5) end)
      parlance.sleep(0)
      local _, why = pcall(body.read, body, 1)
      return why, task:wait()
    end]]
    session:receive(head("go", "Content-Length: 5") .. "he")
    session:receive "llo"
    assert.equal('"another task reads from the stream" true "hello"', session:take())
  end)

  describe("whose bytes are not all read", function()
    local LONG <const> = ("x"):rep(64 * 1024)

    it("is dropped behind the response, if its length is at most 64 KiB", function()
      start()
      for _, target in ipairs { "none", "some" } do
        local answer = target == "none" and '"none"' or '"xxx"'
        session:receive(put(target, LONG) .. head "next")
        assert.equal(answer .. "</next>", session:take())
        session:receive(head(target, "Content-Length: 9") .. "xxx")
        assert.equal(answer, session:take())
        session:receive "xx"
        session:receive("xxxx" .. head "next")
        assert.equal("</next>", session:take())
      end
    end)

    it("ends the connection, if it is longer", function()
      assert.equal('"none"<end>', answers(head("none", "Content-Length: 65537") .. "x"))
      start()
      session:receive(put("some", LONG .. "x") .. head "next")
      assert.equal('"xxx"', session:take())
      assert.same({ true, "done" }, { session:finished(), session:reason() })
    end)

    it("does not end the connection, if all its bytes were read, but not its end", function()
      start "function on.exact(body, self, request) return #body:read(tonumber(request.headers['content-length'])) end"
      session:receive(put("exact", LONG .. "x") .. head "next")
      assert.equal("65537</next>", session:take())
    end)

    it("ends the connection, if it is in chunks", function()
      for _, target in ipairs { "none", "some" } do
        local answer = target == "none" and '"none"' or '"xxx"'
        assert.equal(answer .. "<end>", answers(put_chunks(target, "xxx") .. head "next"))
      end
    end)

    it("must come within idle_timeout, and the peer may not stop sending before", function()
      start "Bodies.idle_timeout = 5"
      session:receive(head("none", "Content-Length: 9"))
      assert.equal('"none"', session:take())
      script:advance(4)
      session:receive "x"
      script:advance(1.5)
      assert.same({ true, "idle_timeout" }, { session:finished(), session:reason() })
      local other = script:open()
      other:receive(head("none", "Content-Length: 9"))
      other:receive_end()
      assert.equal('"none"', other:take())
      assert.same({ true, "peer_closed" }, { other:finished(), other:reason() })
    end)

    it("brings no more when its request is over", function()
      start [[
        local kept
        function on.keep(body) kept = body return body:read(1) end
        function on.look() return kept:read(1) end]]
      session:receive(head("keep", "Content-Length: 9") .. "ab")
      session:receive("cdefghi" .. head "look")
      assert.equal('"a""b"', session:take())
      session:receive(head "look")
      assert.equal('nil "the request ended before its body was read" "reset"', session:take())
    end)
  end)

  describe("that is broken", function()
    local BROKEN <const> = head("go", "Transfer-Encoding: chunked") .. "3\r\nabc\r\n3\r\nabcd"

    it("tells malformed behind what had come, and ends the connection with the response", function()
      assert.equal('"abc" "abc" nil "400 no CR LF behind the data of a chunk" "malformed"<end>',
        answers(BROKEN, "function on.go(body) return body:read(3), body:read(3), body:read 'any' end"))
      assert.matches("malformed .* no CR LF", logged())
    end)

    it("keeps what had come for a read that is told so", function()
      assert.equal('nil "abcabc"<end>',
        answers(BROKEN, "function on.go(body) return (body:read 'a'), body:read(6) end"))
    end)

    it("tells too_large", function()
      assert.equal('nil "413 the body is larger than allowed" "too_large"<end>',
        answers(put_chunks("go", "abc", "de"), "function on.go(body) return body:read 'a' end", ", max = 4"))
    end)

    it("has handle_error told malformed for an error of the script, which is the peer's fault", function()
      assert.equal("malformed 400 no CR LF behind the data of a chunk<end>", answers(BROKEN, [[
        function on.go(body) for _ in body:lines(1) do end end
        function Bodies:handle_error(reason, detail) return reason .. " " .. detail end]]))
      assert.not_matches("script_error", logged())
    end)

    it("tells reset when the peer stops sending within it", function()
      start "function on.go(body) return body:read 'a' end"
      session:receive(head("go", "Content-Length: 9") .. "x")
      session:receive_end()
      assert.equal('nil "the peer has stopped sending within the body" "reset"', session:take())
      assert.same({ true, "peer_closed" }, { session:finished(), session:reason() })
    end)

    it("ends the connection quietly when the script raises for that", function()
      start "function on.go(body) return assert(body:read 'a') end"
      session:receive(head("go", "Content-Length: 9") .. "x")
      session:receive_end()
      assert.same({ "", true, "peer_closed" }, { session:take(), session:finished(), session:reason() })
      assert.equal("", logged())
    end)
  end)

  describe("of a peer that is slow or gone", function()
    it("ends the request after idle_timeout, and each byte begins response_timeout anew", function()
      start [[
        Bodies.idle_timeout, Bodies.response_timeout = 3, 2
        function on.go(body, self)
          local trouble <close> = closing()
          return body:read "a"
        end]]
      session:receive(head("go", "Content-Length: 9"))
      for _ = 1, 4 do
        script:advance(2.9)
        session:receive "x"
      end
      script:advance(2.9)
      assert.is_false(session:finished())
      script:advance(0.2)
      assert.same({ "", true, "idle_timeout" }, { session:take(), session:finished(), session:reason() })
      assert.matches("cancelled", logged())
    end)

    it("cancels the request when the peer resets the connection", function()
      start [[function on.go(body)
        local trouble <close> = closing()
        return body:read "a"
      end]]
      session:receive(head("go", "Content-Length: 9"))
      session:vanish()
      assert.matches("cancelled", logged())
    end)

    it("tells reset to another task that reads, and to nobody that the body was whole", function()
      start [[function on.go(body)
        local task = parlance.spawn(function() parlance.log("info", tostring(select(3, body:read "a"))) end)
        parlance.sleep(9)
      end]]
      session:receive(head("go", "Content-Length: 9") .. "x")
      session:vanish()
      script:advance(0)
      assert.matches("reset", logged())
    end)

    it("ends a read at its own time-out, which loses nothing", function()
      start "function on.go(body) body:set_timeout(1) return listed and 1, body:read(3), body:read(2) end"
      session:receive(head("go", "Content-Length: 3") .. "ab")
      script:advance(1)
      assert.equal('nil nil "ab"', session:take())
    end)
  end)

  describe("that the peer waits to be told to send", function()
    local WAITS <const> = { "Content-Length: 2", "Expect: 100-continue" }

    it("is asked for when it is read first", function()
      start "function on.go(body) parlance.sleep(1) return body:read 'a' end"
      session:receive(head("go", table.unpack(WAITS)))
      assert.equal("", session:take())
      script:advance(1)
      assert.equal(GO_ON, session:take())
      session:receive "ab"
      assert.equal('"ab"', session:take())
    end)

    it("is not asked for when it is not read, and the connection ends", function()
      start()
      session:receive(head("none", table.unpack(WAITS)))
      assert.equal('"none"', session:take())
      assert.is_true(session:finished())
    end)

    it("is not asked for when it has begun to come, or the response has begun", function()
      start "function on.go(body, self) self:write '[' return body:read 'a' end"
      session:receive(head("all", table.unpack(WAITS)) .. "ab")
      assert.equal('"ab"', session:take())
      session:receive(head("go", table.unpack(WAITS)))
      assert.equal("[", session:take())
      session:receive "ab"
      assert.equal('"ab"', session:take())
    end)

    it("may be refused by handle_expect, where it is at its end", function()
      start [[function Bodies:handle_expect()
        if self.request.target == "/no" then return "no " .. tostring(self.request.body) end
      end]]
      session:receive(head("all", table.unpack(WAITS)))
      assert.equal(GO_ON, session:take())
      session:receive "ab"
      assert.equal('"ab"', session:take())
      session:receive(head("no", table.unpack(WAITS)))
      assert.equal("no stream (the body of a request)", session:take())
      assert.is_true(session:finished())
    end)
  end)

  describe("in a response", function()
    it("goes out as it comes, and another request follows", function()
      start "function Bodies:make_response() return { '<', self.request.body, '>' } end"
      session:receive(head("x", "Content-Length: 4") .. "a")
      assert.equal("<a", session:take())
      session:receive("bcd" .. put("x", "next"))
      assert.equal("bcd><next>", session:take())
    end)

    it("can be read by its functions, until the response was sent", function()
      start [[function on.go(body)
        return function()
          local piece = body:read "any"
          return piece and piece:upper()
        end
      end]]
      session:receive(head("go", "Transfer-Encoding: chunked") .. "3\r\nabc")
      assert.equal("ABC", session:take())
      session:receive("\r\n1\r\nd\r\n0\r\n\r\n" .. head "next")
      assert.equal("D</next>", session:take())
    end)

    it("cuts the response when it is broken", function()
      start "function Bodies:make_response() return { '<', self.request.body, '>' } end"
      session:receive(head("x", "Transfer-Encoding: chunked") .. "1\r\na\r\nx")
      assert.equal("<a", session:take())
      assert.same({ true, "malformed" }, { session:finished(), session:reason() })
    end)
  end)

  describe("and self:read", function()
    it("must not take its bytes", function()
      start [[
        function on.early(body, self) return select(2, pcall(self.read, self, 1)) end
        function on.behind(body, self) return body:read "a", self:read(3) end]]
      session:receive(put("early", "ab"))
      assert.equal('"self:read would take bytes of self.request.body: read that to its end first"', session:take())
      session:receive(put("behind", "ab") .. "raw" .. head "next")
      assert.equal('"ab" "raw"</next>', session:take())
    end)
  end)

  it("takes no harm from finalizers that use it, whenever they run", function()
    for _, act in ipairs {
      "body:close()", "self:close()", "pcall(body.read, body, 'any')", "self:send 'x'", "body = nil kept = nil",
    } do
      start(([[
        collectgarbage("incremental", 10, 1000)
        local kept
        local function litter(self, body)
          setmetatable({}, { __gc = function() %s end })
        end
        function on.go(body, self)
          kept = body
          for piece in body:lines(7) do
            for _ = 1, 3 do litter(self, body) end
            local garbage = {}
            for i = 1, 20 do garbage[i] = { piece .. i } end
          end
          return "done"
        end]]):format(act))
      for _ = 1, 3 do
        local one <close> = script:open()
        one:receive(head("go", "Transfer-Encoding: chunked"))
        for _ = 1, 20 do one:receive("32\r\n" .. ("x"):rep(50) .. "\r\n") end
        one:receive "0\r\n\r\n"
        one:take()
      end
      script:close()
      script = nil
    end
  end)

  it("goes on in the version that it began with, and the next request is the next version's", function()
    start "function on.go(body) return body:read 'a', 'old' end"
    session:receive(head("go", "Content-Length: 4") .. "a")
    session:receive "b"
    folder:add("protocol.lua", SCRIPT:format("", "function on.go(body) return body:read 'a', 'new' end"))
    assert.equal("reloaded", script:reload())
    session:receive("cd" .. put("go", "ab"))
    assert.equal('"abcd" "old""ab" "new"', session:take())
  end)

  it("is dropped across an edit", function()
    start()
    session:receive(head("none", "Content-Length: 4") .. "a")
    folder:add("protocol.lua", SCRIPT:format("", "function on.go(body) return body:read 'a', 'new' end"))
    assert.equal("reloaded", script:reload())
    session:receive("bcd" .. put("go", "ab"))
    assert.equal('"none""ab" "new"', session:take())
  end)

  it("is finished while the server stops, and then the connection ends", function()
    start()
    session:receive(head("all", "Content-Length: 4") .. "a")
    local other = script:open()
    other:receive(head("none", "Content-Length: 4") .. "a")
    session:drain()
    other:drain()
    session:receive "bcd"
    assert.same({ '"abcd"', true, "drained" }, { session:take(), session:finished(), session:reason() })
    assert.same({ '"none"', true, "drained" }, { other:take(), other:finished(), other:reason() })
  end)
end)
