-- Responses that are files and functions: what goes out, how lazily, and what is left open.

local server = require "support.server"

-- The request is a line: what to open, where it is to begin.
local FILES <const> = [[
local framing = require "parlance.framing"
return {
  close_when_done = false,
  blocksize = %d,
  request_complete = framing.line { max = 1000 },
  make_response = function(self)
    local path, offset = self.request:match "^(%%S+) (%%d+)$"
    local file = assert(io.open(path, "rb"))
    if offset ~= "0" then file:seek("set", tonumber(offset)) end
    return { file, "." }
  end,
  handle_error = function(_, reason) return "!" .. reason end,
}
]]

local MiB <const> = 1024 * 1024

-- Bytes that are different everywhere: eight digits, the place where they stand.
local function write_counted(path, size)
  local file <close> = assert(io.open(path, "wb"))
  for place = 0, size - 8, 8 do file:write(("%08x"):format(place)) end
end

-- A file of zeroes that takes no room, with a mark in some places.
local function write_sparse(path, size, marks)
  local file <close> = assert(io.open(path, "wb"))
  for _, place in ipairs(marks) do
    file:seek("set", place)
    file:write(("[%d]"):format(place))
  end
  file:seek("set", size - 1)
  file:write "\0"
end

server.for_each_poller(function(poller)
  local running, path, before

  local function start(blocksize)
    running = server.start(FILES:format(blocksize or 65536), { poller = poller, turns = true })
    path = running.folder .. "/file"
    running:turn()
    before = running:descriptors()
  end

  -- Whether all that was opened has been closed, apart from the clients' own connections.
  local function closes_all()
    running:turn()
    server.wait_until("the files to be closed", function() return running:descriptors() <= before end)
  end

  describe("a regular file", function()
    it("goes out whole and is closed", function()
      start()
      write_counted(path, 100000)
      local client = running:connect()
      assert.equal(server.read_file(path) .. ".", client:exchange(path .. " 0\n", 100001))
      client:close()
      closes_all()
    end)

    it("goes out from its current offset", function()
      start()
      write_counted(path, 1000)
      assert.equal(server.read_file(path):sub(778) .. ".", running:connect():exchange(path .. " 777\n", 224))
    end)

    it("goes out from where the script has read to", function()
      running = server.start([[
        return {
          request_complete = function() return true end,
          make_response = function(self)
            local file = assert(io.open(self.incoming))
            return { file:read(8):upper(), file }
          end,
        }
      ]], { poller = poller })
      path = running.folder .. "/file"
      write_counted(path, 800)
      assert.equal(server.read_file(path), running:connect():exchange_all(path))
    end)

    it("includes what the script has just written to it", function()
      running = server.start([[
        return {
          request_complete = function() return true end,
          make_response = function()
            local file = io.tmpfile()
            file:write "hello, world"
            file:seek("set", 7)
            return { file }
          end,
        }
      ]], { poller = poller })
      assert.equal("world", running:connect():exchange_all "x")
    end)

    it("may be empty, or be at its end", function()
      start()
      write_counted(path, 0)
      local client = running:connect()
      assert.equal(".", client:exchange(path .. " 0\n", 1))
      write_counted(path, 800)
      assert.equal(".", client:exchange(path .. " 800\n", 1))
      assert.equal(".", client:exchange(path .. " 900\n", 1))
      client:close()
      closes_all()
    end)

    it("goes out as often as it is asked for, in order", function()
      start()
      write_counted(path, 80000)
      local whole = server.read_file(path)
      local request = path .. " 0\n"
      local client = running:connect()
      assert.equal((whole .. "."):rep(10), client:exchange(request:rep(10), 800010))
      client:close()
      closes_all()
    end)

    it("of 64 MiB arrives complete while the server's memory stays flat", function()
      start()
      local size <const>, marks <const> = 64 * MiB, { 0, 12345, 33 * MiB, 64 * MiB - 100 }
      write_sparse(path, size, marks)
      local client = running:connect()
      client:send(path .. " 0\n")
      local memory = running:memory()
      local place, highest, seen = 0, 0, {}
      while place < size do
        local bytes = client:receive(math.min(MiB, size - place))
        for at, mark in bytes:gmatch "()%[(%d+)%]" do seen[#seen + 1] = { place + at - 1, tonumber(mark) } end
        place = place + #bytes
        highest = math.max(highest, running:memory())
      end
      assert.equal(".", client:receive(1))
      for nth, mark in ipairs(marks) do assert.same({ mark, mark }, seen[nth]) end
      assert.equal(#marks, #seen)
      assert.is_true(highest - memory < 4096, ("grew by %d KiB"):format(highest - memory))
      client:close()
      closes_all()
    end)

    it("is closed when the peer breaks off", function()
      start()
      write_sparse(path, 64 * MiB, {})
      local client = running:connect()
      client:send(path .. " 0\n")
      client:receive(10)
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      closes_all()
    end)

    it("that shrinks while it is sent ends the connection as file_error", function()
      start()
      write_sparse(path, 64 * MiB, {})
      local client = running:connect()
      client:send(path .. " 0\n")
      client:receive(10)
      write_counted(path, 8)
      local rest, how = client:receive_rest()
      assert.equal("closed", how)
      assert.is_true(#rest < 64 * MiB)
      assert.is_nil(rest:find("!", 1, true)) -- no last words in the middle of a response
      running:wait_for_log " file_error service=script1 "
      client:close()
      closes_all()
    end)

    it("that grows while it is sent goes out as long as it was", function()
      start()
      write_sparse(path, 64 * MiB, {})
      local client = running:connect()
      client:send(path .. " 0\n")
      client:receive(10)
      local file <close> = assert(io.open(path, "ab"))
      file:write(("more"):rep(1000))
      file:flush()
      client.socket:settimeout(nil)
      for _ = 1, 63 do client:receive(MiB) end
      assert.equal(("\0"):rep(MiB - 10) .. ".", client:receive(MiB - 9))
      assert.equal(".", client:exchange("/dev/null 0\n", 1))
    end)
  end)

  describe("a file that the script keeps for itself", function()
    -- "send" answers with the one file that the module holds, and "close" closes it; "fill" opens
    -- another one so often that whatever descriptor has become free is this one's.
    local KEEPER <const> = [[
      local framing = require "parlance.framing"
      local kept, others = nil, {}
      return {
        close_when_done = false,
        request_complete = framing.line { max = 1000 },
        make_response = function(self)
          local what, path = self.request:match "^(%S+) ?(.*)$"
          if what == "keep" then
            kept = assert(io.open(path, "rb"))
            return "kept\n"
          elseif what == "close" then
            kept:close()
            return "closed\n"
          elseif what == "fill" then
            for place = 1, 20 do others[place] = assert(io.open(path, "rb")) end
            return "filled\n"
          end
          return { kept, "." }
        end,
        handle_error = function(_, reason) return "!" .. reason end,
      }
    ]]

    local SIZE <const> = 16 * MiB -- more than the kernel holds for a peer that does not read

    local first, head, own, other

    -- The first client is in the middle of the file, and the other files are full of something else.
    before_each(function()
      running = server.start(KEEPER, { poller = poller, turns = true })
      own, other = running.folder .. "/own", running.folder .. "/other"
      write_sparse(own, SIZE, { 0, SIZE // 2, SIZE - 100 })
      server.write_file(other, ("wrong"):rep(SIZE // 5 + 1))
      running:turn()
      first = running:connect()
      assert.equal("kept\n", first:exchange(("keep %s\n"):format(own), 5))
      head = first:exchange("send\n", 1000)
    end)

    local function first_gets_its_file()
      local rest = first:receive(SIZE - #head + 1)
      assert.is_true(server.read_file(own) .. "." == head .. rest, "other bytes than the file's")
    end

    it("is a script_error when it is returned again while it is being sent", function()
      assert.equal("!script_error", running:connect():exchange("send\n", 13))
      running:connect():exchange(("fill %s\n"):format(other), 7)
      first_gets_its_file()
      assert.equal(1, running:count_in_log " script_error service=script1 ")
    end)

    it("is a script_error when it is returned again after it was sent", function()
      first_gets_its_file()
      running:connect():exchange(("fill %s\n"):format(other), 7)
      assert.equal("!script_error", running:connect():exchange("send\n", 13))
    end)

    it("cannot be closed while it is being sent", function()
      assert.equal("!script_error", running:connect():exchange_all "close\n")
      running:connect():exchange(("fill %s\n"):format(other), 7)
      assert.equal("!script_error", running:connect():exchange("send\n", 13))
      first_gets_its_file()
    end)
  end)

  -- What is wrong with each of these is found out late, with open files before it and behind.
  describe("a response that is refused", function()
    -- The collector does not run, so that it closes nothing.
    local REFUSED <const> = [[
      local framing, files = require "parlance.framing", require "parlance.files"
      collectgarbage "stop"
      return {
        close_when_done = false,
        request_complete = framing.line { max = 1000 },
        make_response = function(self)
          local folder_name = self.request
          local root = assert(files.root(folder_name))
          local function a_file() return (assert(io.open(folder_name .. "/file"))) end
          local function of_root() return (select(2, assert(root:open "file"))) end
          local function folder() return (assert(io.open(folder_name))) end
          local function pipe() return (assert(io.popen "echo hello")) end
          local function written() return (assert(io.open(folder_name .. "/written", "w"))) end
          local list = { %s }
          root:close()
          if #list == 1 and list.alone then return list[1] end
          return list
        end,
        handle_error = function(_, reason) return "!" .. reason end,
      }
    ]]

    for name, case in pairs {
      ["has something else in it"] = { "script_error", "a_file(), of_root(), pipe(), 'x', 5, a_file(), of_root()" },
      ["has many files and a number"] = { "script_error",
        "a_file(), a_file(), a_file(), a_file(), a_file(), a_file(), of_root(), 5" },
      ["has parts and a number"] = { "script_error",
        "{ file = a_file(), length = 1 }, { file = of_root(), length = 1 }, 5, { file = a_file(), length = 2 }" },
      ["has a part that is too long"] = { "script_error", "a_file(), { file = a_file(), length = 1000 }, of_root()" },
      ["has one of parlance.files that is too long"] = { "script_error",
        "a_file(), { file = of_root(), length = 1000 }, of_root()" },
      ["has a part of a pipe"] = { "script_error", "of_root(), { file = pipe(), length = 1 }, a_file()" },
      ["has parts that are written wrongly"] = { "script_error",
        "{ file = a_file(), length = '1' }, { a_file(), 10 }, { file = a_file() }" },
      ["is such a part"] = { "script_error", "alone = true, { file = a_file(), length = 'all' }" },
      ["has a file twice"] = { "script_error",
        "(function() local f = a_file() return f, f, of_root(), a_file() end)()" },
      ["has a closed file"] = { "script_error",
        "a_file(), (function() local f = a_file() f:close() return f, of_root(), a_file() end)()" },
      ["has standard output"] = { "file_error", "a_file(), io.stderr, of_root(), a_file()" },
      ["has a folder"] = { "file_error", "a_file(), of_root(), folder(), pipe(), of_root(), a_file()" },
      ["is a folder"] = { "file_error", "alone = true, folder()" },
      ["has a file that is only written"] = { "file_error", "a_file(), written(), a_file()" },
    } do
      it("leaves no file open that stands in it: it " .. name, function()
        local reason, items = table.unpack(case)
        running = server.start(REFUSED:format(items), { poller = poller, turns = true })
        server.write_file(running.folder .. "/file", ("x"):rep(100))
        running:turn()
        before = running:descriptors()
        for _ = 1, 3 do
          local client = running:connect()
          assert.equal("!" .. reason, client:exchange_all(running.folder .. "\n"))
          client:close()
        end
        closes_all()
      end)
    end
  end)

  describe("any other file", function()
    for _, blocksize in ipairs { 10, 65536 } do
      it(("is read in blocks of %d: a file of /proc"):format(blocksize), function()
        start(blocksize)
        local expected = server.read_file "/proc/cpuinfo":gsub("cpu MHz[^\n]*", "")
        local client = running:connect()
        client:send("/proc/cpuinfo 0\n/dev/null 0\n")
        client:half_close()
        local answer = client:receive_all():gsub("cpu MHz[^\n]*", "")
        assert.equal(expected .. "..", answer)
        client:close()
        closes_all()
      end)
    end

    it("is read in blocks and closed: a pipe", function()
      running = server.start([[
        local framing = require "parlance.framing"
        return {
          close_when_done = false,
          blocksize = 1000,
          request_complete = framing.line { max = 1000 },
          make_response = function() return { assert(io.popen "seq 1 20000"), "." } end,
        }
      ]], { poller = poller, turns = true })
      running:turn()
      before = running:descriptors()
      local client = running:connect()
      local expected = {}
      for number = 1, 20000 do expected[number] = number .. "\n" end
      local all = table.concat(expected) .. "."
      assert.equal(all .. all, client:exchange("\n\n", 2 * #all))
      client:close()
      closes_all()
    end)

    it("that cannot be read ends the connection as file_error, with last words", function()
      start()
      local answer = running:connect():exchange_all "/proc/self 0\n"
      assert.is_truthy(answer == "" or answer == "!file_error")
      running:wait_for_log " file_error service=script1 "
      closes_all()
    end)
  end)

  describe("a function", function()
    -- What the kernel holds of pieces of 100,000 bytes for a peer that does not read, on both sides, at most.
    local function held()
      local bytes = 0
      for _, name in ipairs { "tcp_rmem", "tcp_wmem" } do
        local file <close> = assert(io.open("/proc/sys/net/ipv4/" .. name))
        bytes = bytes + tonumber(file:read("a"):match "(%d+)%s*$")
      end
      return bytes // 100000 + 10
    end

    local ENDLESS <const> = [[
      io.stdout:setvbuf "no"
      return {
        request_complete = function() return true end,
        make_response = function()
          return { function()
            print "pulled"
            return ("x"):rep(100000)
          end }
        end,
      }
    ]]

    -- How often the function was called, when it is not called any more.
    local function settled_count()
      local count, last
      repeat
        last = count
        for _ = 1, 20 do running:turn() end
        count = select(2, running:output():gsub("pulled\n", ""))
      until count == last
      return count
    end

    it("is called no more while the peer does not read, and goes on when it does", function()
      running = server.start(ENDLESS, { poller = poller, turns = true })
      local client = running:connect()
      client:send "x"
      client:receive(1)
      local stalled = settled_count()
      assert.is_true(stalled < held(), stalled .. " pieces")
      client:receive(30000000)
      running:turn()
      local later = settled_count()
      assert.is_true(later >= 300)
      assert.is_true(later < 300 + held(), later .. " pieces")
    end)

    it("is called no more when the peer is gone", function()
      running = server.start(ENDLESS, { poller = poller, turns = true })
      local client = running:connect()
      client:send "x"
      client:receive(1)
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      local count = settled_count()
      assert.equal(count, settled_count())
    end)
  end)
end)
