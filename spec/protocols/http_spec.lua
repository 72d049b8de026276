-- protocols/http.lua as browsers and worse meet it. What parlance.http and parlance.files promise is
-- told in their own specs.

local harness = require "parlance.harness"
local lfs = require "lfs"
local server = require "support.server"
local tree = require "support.tree"

-- Reads one response, of a client of the harness or of a server's; `method` tells whether there is a body.
local function read_response(client, method)
  local response = { headers = {} }
  local head = client:receive_until "\r\n\r\n"
  response.status = tonumber(head:match "^HTTP/1.1 (%d%d%d) ")
  for name, value in head:gmatch "\r\n([^:\r]+): ([^\r]*)" do response.headers[name:lower()] = value end
  local length = response.headers["content-length"]
  if method ~= "HEAD" and length then response.body = client:receive(tonumber(length)) end
  return response
end

-- The protocol for a server, which has the folder from nowhere else.
local function script_for(folder)
  return ([[
local getenv = os.getenv
os.getenv = function(name) return name == "PARLANCE_ROOT" and %q or getenv(name) end
return dofile %q
]]):format(folder, server.SOURCE .. "/protocols/http.lua")
end

local function ask(client, method, target, headers)
  local lines = { ("%s %s HTTP/1.1\r\nHost: localhost\r\n"):format(method, target) }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value .. "\r\n" end
  client:send(table.concat(lines) .. "\r\n")
  return read_response(client, method)
end

local NOW <const> = os.time() + 1000 -- so that the files of a test are older

local function date_of(time) return os.date("!%a, %d %b %Y %H:%M:%S GMT", time) end

local BIG <const> = ("0123456789abcdef"):rep(64 * 1024)

describe("protocols/http.lua", function()
  local outside, inside, client

  before_each(function()
    outside = tree.new { ["secret.txt"] = "secret" }
    inside = tree.new {
      ["a.txt"] = "hello\n", ["digits"] = "0123456789", ["big.bin"] = BIG, ["empty.html"] = "",
      ["sub/b.txt"] = "bye", ["sub/z/"] = "", ["sub/a/"] = "", ["site/index.html"] = "<p>index",
      ["sub/<b>&\"'.txt"] = "odd", ["sub/100%.txt"] = "percent", ["sub/in>"] = "../a.txt",
      ["sub/out>"] = outside.path .. "/secret.txt", ["out>"] = outside.path .. "/secret.txt",
      ["folder>"] = outside.path, ["sub/c\nd"] = "line", ["sub/\u{e4}"] = "umlaut",
    }
    assert(os.execute("mkfifo " .. inside.path .. "/fifo"))
  end)

  after_each(function()
    inside:remove()
    outside:remove()
  end)

  local function connect(time)
    return harness.open("protocols/http.lua", { environment = { PARLANCE_ROOT = inside.path }, time = time or NOW })
  end

  describe("in the harness", function()
    before_each(function() client = connect() end)

    local function get(target, headers) return ask(client, "GET", target, headers) end

    it("serves files, one after the other on one connection", function()
      local first = get "/a.txt"
      assert.are.same({ 200, "hello\n", "text/plain; charset=utf-8", "bytes" },
        { first.status, first.body, first.headers["content-type"], first.headers["accept-ranges"] })
      assert.are.equal("bye", get("/sub/b.txt").body)
      assert.are.equal("", get("/empty.html").body)
      assert.are.equal(BIG, get("/big.bin").body)
      assert.are.equal("hello\n", get("/%61.txt?x=y").body)
      assert.are.equal("hello\n", get("http://localhost/./a.txt").body)
      assert.are.equal("percent", get("/sub/100%25.txt").body)
      assert.are.equal("hello\n", get("/sub/in").body)
    end)

    it("notices that a file has changed since it was asked for last", function()
      local first, again = get "/a.txt", get "/a.txt"
      assert.are.same(first.headers.etag, again.headers.etag)
      server.write_file(inside.path .. "/a.txt", "goodbye\n")
      local changed = get "/a.txt"
      assert.are.same({ 200, "goodbye\n" }, { changed.status, changed.body })
      assert.are_not.equal(first.headers.etag, changed.headers.etag)
      assert.are.equal(200, get("/a.txt", { ["If-None-Match"] = first.headers.etag }).status)
      assert.are.equal(304, get("/a.txt", { ["If-None-Match"] = changed.headers.etag }).status)
      os.remove(inside.path .. "/a.txt")
      assert.are.equal(404, get("/a.txt").status)
      assert(lfs.mkdir(inside.path .. "/a.txt"))
      assert.are.equal(301, get("/a.txt").status)
      assert(lfs.rmdir(inside.path .. "/a.txt"))
      server.write_file(inside.path .. "/a.txt", "back\n")
      assert.are.equal("back\n", get("/a.txt").body)
    end)

    it("serves more targets than it keeps in mind", function()
      for number = 1, 1100 do client:send(("GET /digits?%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(number)) end
      for _ = 1, 1100 do assert.are.equal("0123456789", read_response(client).body) end
      assert.are.equal("0123456789", get("/" .. ("./"):rep(200) .. "digits").body)
    end)

    it("answers pipelined requests in order", function()
      local wanted = { "/a.txt", "/digits", "/nothing", "/big.bin", "/sub/b.txt" }
      for _, target in ipairs(wanted) do client:send("GET " .. target .. " HTTP/1.1\r\nHost: a\r\n\r\n") end
      local bodies = {}
      for place in ipairs(wanted) do bodies[place] = read_response(client).body end
      assert.are.same({ "hello\n", "0123456789", "404 Not Found\n", BIG, "bye" }, bodies)
    end)

    it("tells of a file without sending it", function()
      local full, head = get "/digits", ask(client, "HEAD", "/digits")
      assert.are.same(full.headers, head.headers)
      assert.are.equal("10", head.headers["content-length"])
      assert.are.equal("hello\n", get("/a.txt").body)
    end)

    it("closes when the client wants it to, and for HTTP/1.0", function()
      assert.are.equal("close", get("/a.txt", { Connection = "close" }).headers.connection)
      assert.is_true(client:closed())
      client = connect():send "GET /a.txt HTTP/1.0\r\n\r\n"
      assert.truthy(client:receive():find "\r\n\r\nhello\n$")
      assert.is_true(client:closed())
      client = connect():send "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
      assert.are.equal("keep-alive", read_response(client).headers.connection)
      assert.are.equal(200, get("/a.txt").status)
    end)

    it("lists a folder", function()
      local page = get "/sub/"
      assert.are.same({ 200, "text/html; charset=utf-8" }, { page.status, page.headers["content-type"] })
      local links = {}
      for link, name in page.body:gmatch '<a href="([^"]*)">(.-)</a>' do links[#links + 1] = link .. " " .. name end
      assert.are.same({
        "../ ../", "a/ a/", "z/ z/", "100%25.txt 100%.txt",
        "%3Cb%3E%26%22%27.txt &lt;b&gt;&amp;&quot;&#39;.txt", "b.txt b.txt", "c%0Ad c\nd", "in in", "%C3%A4 \u{e4}",
      }, links)
    end)

    it("lists the root without a way up", function()
      local page = get "/"
      assert.is_nil(page.body:find('href="../"', 1, true))
      assert.is_nil(page.body:find("out", 1, true))
      assert.is_nil(page.body:find("fifo", 1, true))
    end)

    it("serves every link of a listing", function()
      for link in get("/sub/").body:gmatch '<a href="([^"]*)">' do
        assert.are.equal(200, get("/sub/" .. (link == "../" and "./" or link)).status)
      end
    end)

    it("prefers an index", function()
      assert.are.same({ "<p>index", "text/html; charset=utf-8" },
        { get("/site/").body, get("/site/").headers["content-type"] })
    end)

    it("sends to the folder with a slash, and nowhere else", function()
      for target, location in pairs {
        ["/sub"] = "/sub/", ["/sub?a=b"] = "/sub/?a=b", ["/sub/a"] = "/sub/a/", ["//sub"] = "/sub/",
        ["/%73ub"] = "/sub/", ["/./sub"] = "/sub/",
      } do
        local response = get(target)
        assert.are.same({ 301, location }, { response.status, response.headers.location })
      end
    end)

    for target, status in pairs {
      ["/.."] = 403, ["/../secret.txt"] = 403, ["/sub/../../secret.txt"] = 403, ["/sub/../a.txt"] = 403,
      ["/%2e%2e/secret.txt"] = 403, ["/.%2E/secret.txt"] = 403, ["/..%2fsecret.txt"] = 400,
      ["/sub%2f..%2f..%2fsecret.txt"] = 400, ["/%2fetc/passwd"] = 400, ["//etc/passwd"] = 404,
      ["/a.txt%00"] = 400, ["/%00"] = 400, ["/%252e%252e/secret.txt"] = 404,
      ["/%c0%ae%c0%ae/secret.txt"] = 404, ["/%e0%80%ae%e0%80%ae/"] = 404, ["/..%5csecret.txt"] = 404,
      ["/..;/secret.txt"] = 404, ["/out"] = 404, ["/folder"] = 404,
      ["/folder/"] = 404, ["/folder/secret.txt"] = 404, ["/sub/out"] = 404, ["/fifo"] = 403,
      ["/nothing"] = 404, ["/a.txt/"] = 404, ["/a.txt/b"] = 404, ["/.../a.txt"] = 404,
      ["http://localhost/../secret.txt"] = 403, ["/" .. ("x"):rep(300)] = 404,
    } do
      it(("refuses %s"):format(target:sub(1, 40)), function()
        local response = get(target)
        assert.are.equal(status, response.status)
        assert.is_nil(response.body:find("secret", 1, true))
        assert.are.equal("hello\n", get("/a.txt").body)
      end)
    end

    it("answers nothing to those who know it already", function()
      local known = get("/a.txt").headers
      assert.truthy(known.etag)
      for _, headers in ipairs {
        { ["If-None-Match"] = known.etag }, { ["If-None-Match"] = 'W/' .. known.etag }, { ["If-None-Match"] = "*" },
        { ["If-Modified-Since"] = known["last-modified"] },
      } do
        local response = get("/a.txt", headers)
        assert.are.same({ 304, known.etag }, { response.status, response.headers.etag })
      end
      assert.are.equal(200, get("/a.txt", { ["If-None-Match"] = '"x"' }).status)
      assert.are.equal(412, get("/a.txt", { ["If-Match"] = '"x"' }).status)
    end)

    it("has other tags when the times are set back, so that no two files are made one", function()
      local path <const> = inside.path .. "/a.txt"
      local function write(text)
        server.write_file(path, text)
        assert(lfs.touch(path, 500000000, 500000000))
        harness.advance(10)
        return get "/a.txt"
      end
      local first, second = write "first\n", write "other\n"
      local tag <const>, date <const> = first.headers.etag, first.headers["last-modified"]
      assert.are.equal(date, second.headers["last-modified"])
      assert.are_not.equal(tag, second.headers.etag)
      assert.are.equal(200, get("/a.txt", { ["If-None-Match"] = tag }).status)
      assert.are.equal(412, get("/a.txt", { ["If-Match"] = tag }).status)
      assert.are.equal("other\n", get("/a.txt", { ["If-Range"] = tag, Range = "bytes=2-" }).body)
      assert.are.equal("other\n", get("/a.txt", { ["If-Range"] = date, Range = "bytes=2-" }).body)
      assert.are.equal("her\n", get("/a.txt", { ["If-Range"] = second.headers.etag, Range = "bytes=2-" }).body)
    end)

    it("has strong tags for small files also while the clock of the file system has not gone on", function()
      local path <const> = inside.path .. "/quick.txt"
      local second <const> = lfs.attributes(inside.path).modification
      harness.close()
      client = connect(second)
      local tags, passed = {}, 0
      for round = 1, 20 do
        local text <const> = ("content %02d"):format(round)
        server.write_file(path, text)
        -- As if no time had passed since the file was written.
        local now <const> = assert(io.popen("stat -c %.9Z " .. path)):read "n"
        harness.advance(math.max(now - second - passed, 0))
        passed = math.max(now - second, passed)
        local response <const> = get "/quick.txt"
        local tag <const> = response.headers.etag
        assert.are.equal(text, response.body)
        assert.truthy(tag:find '^"[%x.-]+"$', tag)
        assert.is_nil(tags[tag])
        tags[tag] = true
        assert.are.equal(text:sub(3), get("/quick.txt", { ["If-Range"] = tag, Range = "bytes=2-" }).body)
        assert.are.equal(304, get("/quick.txt", { ["If-None-Match"] = tag }).status)
        harness.advance(0.1)
        passed = passed + 0.1
        assert.are.equal(304, get("/quick.txt", { ["If-None-Match"] = tag }).status)
      end
    end)

    it("takes a date for a range only if no other content can have had it", function()
      local path <const> = inside.path .. "/new.txt"
      local function ranged(date) return get("/new.txt", { ["If-Range"] = date, Range = "bytes=2-" }).status end
      server.write_file(path, "content")
      local time <const> = lfs.attributes(path).modification
      harness.close()
      client = connect(time) -- its second is not over
      local date <const> = get("/new.txt").headers["last-modified"]
      assert.are.equal(200, ranged(date))
      harness.advance(100)
      assert.are.equal(200, ranged(date)) -- somebody has it from then
      harness.close()
      client = connect(time + 100) -- nobody has
      assert.are.equal(206, ranged(date))
      assert.are.equal(200, ranged(date_of(time - 1)))
      assert.are.equal(200, ranged(date_of(time + 1)))
    end)

    it("has no date that is later than the response's, and none that HTTP cannot write", function()
      local path <const> = inside.path .. "/a.txt"
      assert(lfs.touch(path, NOW + 100000))
      local response = get "/a.txt"
      assert.are.equal(response.headers.date, response.headers["last-modified"])
      if lfs.touch(path, 300000000000) and lfs.attributes(path).modification == 300000000000 then
        response = get "/a.txt"
        assert.are.same({ 200, response.headers.date and nil }, { response.status, response.headers["last-modified"] })
        assert.are.equal(200, get("/").status)
      end
    end)

    it("has another tag for another content", function()
      local before = get("/a.txt").headers.etag
      inside:add("a.txt", "HELLO\n")
      assert.are_not.equal(before, get("/a.txt").headers.etag)
    end)

    it("serves ranges", function()
      for range, expected in pairs {
        ["bytes=2-4"] = { 206, "234", "bytes 2-4/10" }, ["bytes=7-"] = { 206, "789", "bytes 7-9/10" },
        ["bytes=-2"] = { 206, "89", "bytes 8-9/10" }, ["bytes=0-99"] = { 206, "0123456789", "bytes 0-9/10" },
        ["bytes=4-2"] = { 200, "0123456789" }, ["bytes=0-1,3-4"] = { 200, "0123456789" },
        ["bytes=10-"] = { 416, "416 Range Not Satisfiable\n", "bytes */10" },
      } do
        local response = get("/digits", { Range = range })
        assert.are.same(expected, { response.status, response.body, response.headers["content-range"] })
      end
      assert.are.equal(BIG:sub(100001, 900000), get("/big.bin", { Range = "bytes=100000-899999" }).body)
      assert.are.equal(200, get("/digits", { Range = "bytes=1-2", ["If-Range"] = '"x"' }).status)
      assert.are.equal(200, ask(client, "HEAD", "/digits", { Range = "bytes=1-2" }).status)
    end)

    it("holds the conditions of listings, too", function()
      assert.are.equal(412, get("/sub/", { ["If-Match"] = '"foo"' }).status)
      assert.are.equal(304, get("/sub/", { ["If-None-Match"] = "*" }).status)
      for _, headers in ipairs {
        { ["If-Match"] = "*" }, { ["If-None-Match"] = '"foo"' }, { ["If-Modified-Since"] = date_of(NOW) },
      } do
        assert.are.equal(200, get("/sub/", headers).status)
      end
      assert.are.equal(404, get("/nothing/", { ["If-None-Match"] = "*" }).status)
    end)

    it("lists a folder only if it has no index, and none that cannot be served", function()
      inside:add("links/", "")
      for target, status in pairs {
        ["../a.txt"] = 200, ["/etc/hostname"] = 403, ["../../x"] = 403, ["nothing"] = 403, ["index.html"] = 403,
        ["../sub"] = 200, ["../fifo"] = 403,
      } do
        os.remove(inside.path .. "/links/index.html")
        assert(lfs.link(target, inside.path .. "/links/index.html", true))
        local response = get "/links/"
        assert.are.same({ target, status }, { target, response.status })
        assert.is_nil(status == 403 and response.body:find("<", 1, true) or nil)
      end
      os.remove(inside.path .. "/links/index.html")
      assert(lfs.mkdir(inside.path .. "/links/index.html"))
      assert.truthy(get("/links/").body:find('href="index.html/"', 1, true))
      assert.are.equal(404, get("/a.txt/").status)
    end)

    it("refuses what may not be read", function()
      inside:add("locked/index.html", "<p>index")
      inside:add("locked/secret", "secret")
      local path <const> = inside.path .. "/locked"
      local function may(mode, what) assert(os.execute(("chmod %s %s"):format(mode, what))) end
      may("000", path .. "/index.html")
      local readable = io.open(path .. "/index.html")
      if readable then readable:close() return end -- this is root
      assert.are.equal(403, get("/locked/").status)
      assert.are.equal(403, get("/locked/index.html").status)
      may("644", path .. "/index.html")
      may("311", path)
      assert.are.equal("<p>index", get("/locked/").body) -- it need not be listed
      os.remove(path .. "/index.html")
      assert.are.equal(403, get("/locked/").status)
      may("755", path)
    end)

    it("says that it does not list all of a folder", function()
      for number = 1, 10001 do inside:add(("many/%05d"):format(number), "") end
      local page = get("/many/").body
      assert.are.equal(10001, select(2, page:gsub("<a ", ""))) -- with the way up
      assert.truthy(page:find("and more: 10000 entries are listed at most", 1, true))
      os.remove(inside.path .. "/many/00001")
      assert.is_nil(get("/many/").body:find("and more", 1, true))
    end)

    it("refuses a body before it is sent", function()
      for _, method in ipairs { "PUT", "POST", "DELETE", "BREW" } do
        for _, body in ipairs { "", "hi" } do
          local uploader = connect()
          uploader:send(method .. " /a.txt HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n")
          uploader:send("Content-Length: 2\r\n\r\n" .. body)
          local response = read_response(uploader)
          assert.are.same({ method == "BREW" and 501 or 405, "close" }, { response.status,
            response.headers.connection })
          assert.is_true(uploader:closed())
        end
      end
      client:send "GET /a.txt HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
      assert.are.equal("HTTP/1.1 100 Continue\r\n\r\n", client:receive())
      assert.are.equal("hello\n", read_response(client:send "hi").body)
    end)

    it("answers a HEAD that it cannot understand without a body", function()
      for bytes, status in pairs {
        ["HEAD / HTTP/1.1\r\n\r\n"] = 400, ["HEAD / HTTP/2.0\r\n"] = 505, ["HEAD /" .. ("a"):rep(20000)] = 414,
        ["HEAD / HTTP/1.1\r\nHost: a\r\nX: " .. ("a"):rep(20000)] = 431,
        ["HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"] = 413,
      } do
        local asker = connect():send(bytes)
        assert.are.equal(status, read_response(asker, "HEAD").status)
        assert.are.equal("", asker:receive())
        assert.is_true(asker:closed())
      end
      local slow = connect():send "HEAD / HT"
      harness.advance(30)
      assert.are.equal(408, read_response(slow, "HEAD").status)
      assert.are.equal("", slow:receive())
    end)

    it("only reads", function()
      for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH" } do
        local response = ask(client, method, "/a.txt")
        assert.are.same({ 405, "GET, HEAD" }, { response.status, response.headers.allow })
      end
      assert.are.equal(501, ask(client, "BREW", "/a.txt").status)
    end)

    it("takes the body of what it refuses, also in chunks", function()
      client:send "PUT /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      assert.are.equal(405, read_response(client).status)
      assert.are.equal(200, get("/a.txt").status)
    end)

    for bytes, status in pairs {
      ["GET / HTTP/1.1\r\n\r\n"] = 400, ["GET / HTTP/2.0\r\n\r\n"] = 505, ["\22\3\1"] = 400,
      ["GET /" .. ("a"):rep(20000)] = 414, ["GET / HTTP/1.1\r\nHost: a\r\nX: " .. ("a"):rep(20000)] = 431,
      ["GET / HTTP/1.1\r\n" .. ("A: b\r\n"):rep(101) .. "\r\n"] = 431,
      ["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"] = 413,
      ["PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"] = 413,
      ["PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"] = 400,
      ["PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"] = 501,
      ["PUT / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n"] = 417,
      ["CONNECT localhost HTTP/1.1\r\nHost: localhost\r\n\r\n"] = 400,
      ["GET /..\\secret.txt HTTP/1.1\r\nHost: a\r\n\r\n"] = 400,
      ["GET /% HTTP/1.1\r\nHost: a\r\n\r\n"] = 400, ["GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"] = 400,
      ["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"] = 400,
    } do
      it(("answers %s with %d and closes"):format((bytes:sub(1, 60):gsub("%c", ".")), status), function()
        client:send(bytes)
        local response = read_response(client)
        assert.are.same({ status, "close" }, { response.status, response.headers.connection })
        assert.is_true(client:closed())
      end)
    end

    it("goes on when it is edited, and loses nothing by that", function()
      assert.equal("hello\n", ask(client, "GET", "/a.txt").body)
      harness.reload()
      assert.equal("hello\n", ask(client, "GET", "/a.txt").body)
      assert.same({}, harness.log "state_lost")
    end)

    it("knows more targets than it remembers, and forgets none wrongly", function()
      for round = 1, 2 do
        for i = 1, 1100 do
          local path = i % 100 == 0 and "/a.txt" or i % 100 == 50 and "/%zz" or "/none" .. i
          local wanted = path == "/a.txt" and 200 or path == "/%zz" and 400 or 404
          assert.equal(wanted, ask(client, "GET", path .. "?" .. round .. "." .. i).status)
          if wanted == 400 then client = connect() end
        end
      end
    end)

    it("does not care how a request is cut", function()
      for _, pieces in ipairs(harness.cuts "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n") do
        assert.are.equal("hello\n", read_response(client:send_pieces(pieces)).body)
      end
    end)

    it("says goodbye to those who do not finish, and nothing to those who do not begin", function()
      local slow = connect():send "GET / HT"
      harness.advance(30)
      assert.are.equal(408, read_response(slow).status)
      assert.are.same({ true, "request_timeout" }, { slow:closed(), (slow:reason()) })
      harness.advance(270)
      assert.are.equal("", client:receive())
      assert.are.equal("idle_timeout", client:reason())
    end)
  end)

  server.for_each_poller(function(poller)
    local started

    before_each(function()
      started = server.start(script_for(inside.path), { poller = poller })
      client = started:connect()
    end)

    local function get(target, headers) return ask(client, "GET", target, headers) end

    it("serves files, whole and in part, one after the other", function()
      assert.are.equal("hello\n", get("/a.txt").body)
      assert.are.equal(BIG, get("/big.bin").body)
      assert.are.equal(BIG:sub(100001, 900000), get("/big.bin", { Range = "bytes=100000-899999" }).body)
      assert.are.equal(404, get("/nothing").status)
      assert.are.equal("bye", get("/sub/b.txt").body)
    end)

    it("answers pipelined requests in order", function()
      for _, target in ipairs { "/a.txt", "/big.bin", "/digits" } do
        client:send("GET " .. target .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      end
      for _, body in ipairs { "hello\n", BIG, "0123456789" } do assert.are.equal(body, read_response(client).body) end
    end)

    it("closes when a client is through, or cannot be understood", function()
      client:send "GET /a.txt HTTP/1.0\r\n\r\n"
      assert.truthy(client:receive_all():find "\r\n\r\nhello\n$")
      assert.truthy(started:connect():send("\22\3\1"):receive_all():find "^HTTP/1.1 400 ")
    end)

    it("says that it is busy when no descriptor is left", function()
      local hoarding = ([[
        local kept, protocol = {}, (function() %s end)()
        local respond = protocol.make_response
        function protocol.make_response(self)
          if self.request.target == "/hoard" then
            local file
            repeat
              file = io.open "/dev/null"
              kept[#kept + 1] = file
            until not file
          end
          return respond(self)
        end
        return protocol]]):format(script_for(inside.path))
      client = server.start(hoarding, { poller = poller, rlimit_nofile = 64 }):connect()
      assert.are.equal(200, get("/a.txt").status)
      for _, target in ipairs { "/hoard", "/a.txt", "/site/", "/sub/" } do
        local response = get(target)
        assert.are.same({ target, 503, "1" }, { target, response.status, response.headers["retry-after"] })
      end
    end)

    it("keeps no descriptor", function()
      get "/a.txt"
      local before = started:descriptors()
      for _ = 1, 10 do
        for _, target in ipairs { "/a.txt", "/", "/sub/", "/site/", "/out", "/fifo", "/a.txt/", "/big.bin" } do
          get(target)
          get(target, { Range = "bytes=1-2" })
          get(target, { ["If-None-Match"] = "*" })
          ask(client, "HEAD", target)
        end
      end
      -- The last file may be closed a moment after its last byte has come.
      server.wait_until("the files to be closed", function() return started:descriptors() <= before end)
    end)
  end)

  describe("with curl", function()
    server.cleans_up()

    it("is content", function()
      local folder <close> = setmetatable({ tree = tree.new { a = "one", b = "two" } },
        { __close = function(self) self.tree:remove() end })
      local started = server.start(script_for(folder.tree.path))
      local url = ("http://%s:%d"):format(started.addresses[1].host, started.addresses[1].port)
      local function curl(arguments)
        -- Without what a build with the sanitizers has in LD_PRELOAD: curl does not get on with it.
        local command = "LD_PRELOAD= curl --silent --show-error --max-time 20 " .. arguments .. " 2>&1"
        local pipe <close> = assert(io.popen(command))
        return pipe:read "a"
      end
      assert.are.equal("one 1two 0", curl(("-w ' %%{num_connects}' %s/a %s/b"):format(url, url)))
      assert.are.equal("ne", curl("-r 1- " .. url .. "/a"))
      assert.are.equal("one", curl("--http1.0 " .. url .. "/a"))
      assert.truthy(curl("-I " .. url .. "/a"):find "^HTTP/1.1 200 OK\r\n")
      local upload = "-o /dev/null -w '%{http_code}' -T "
      assert.are.equal("405", curl(upload .. folder.tree.path .. "/a " .. url))
      assert.are.equal("405", curl(upload .. "- " .. url .. "/c <" .. folder.tree.path .. "/a"))
    end)
  end)
end)
