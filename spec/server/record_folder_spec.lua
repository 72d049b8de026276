-- --record: the folder of transcripts, its limits, and what happens when it cannot be written. record_spec.lua has what
-- a transcript says.

local lfs = require "lfs"
local process = require("parlance_spec").process
local recordings = require "support.recordings"
local server = require "support.server"

local LINES <const>, new_folder <const>, names_in <const>, transcripts <const>, steps <const> =
  recordings.LINES, recordings.new_folder, recordings.names_in, recordings.transcripts, recordings.steps

describe("the folder of transcripts", function()
  server.cleans_up()
  after_each(recordings.remove_folders)

  it("is written by a thread of its own: noise that takes long to write costs the loop little", function()
    local folder = new_folder()
    local running = server.start("protocols/length_sep_body.lua", { "--record", folder })
    local noise = {}
    for nth = 1, 400000 do noise[nth] = string.char((nth * nth * 31 + nth // 7) % 256) end
    local body = table.concat(noise)
    local before = running:cpu()
    for _ = 1, 5 do
      assert.is_true(running:connect():exchange_all(#body .. "\n" .. body) == body)
    end
    for _, text in ipairs { transcripts(folder, 5) } do assert.is_true(#text > #body) end
    local spent = running:cpu() - before -- of the first thread, where the kernel counts by threads
    if not server.is_sanitized then assert.is_true(spent < 0.15, spent) end
  end)

  it("gets no more than a thousand files from one run, which is logged once", function()
    local folder = new_folder()
    local running = server.start("protocols/upper.lua", { "--record", folder })
    for _ = 1, 1003 do
      local client = running:connect()
      assert.equal("A\n", client:exchange("a\n", 2))
      client:close()
    end
    running:stop()
    assert.equal(1000, #names_in(folder))
    assert.equal(1, running:count_in_log " record_full ")
    running:expect_end()
  end)

  it("does not get all that is said at once, but what fits into 64 MiB of memory", function()
    local folder = new_folder()
    local running = server.start(LINES:format "", { "--record", folder })
    local line = "nothing " .. ("0"):rep(800000) .. "\n"
    local clients = {}
    for nth = 1, 100 do
      local client = running:connect()
      clients[nth] = client
      client:send(line):send "a\n"
      assert.equal("A\n", client:receive(2))
    end
    for _, client in ipairs(clients) do client:close() end
    running:stop()
    local count = #names_in(folder)
    assert.is_true(count >= 80 and count <= 84, count .. " transcripts")
    assert.equal(100 - count,
      running:count_in_log "record_dropped [^\n]*" + (tonumber(running:log():match "suppressed_before=(%d+)") or 0))
    running:expect_end()
  end)

  it("keeps what another server has written, and does not follow links", function()
    local folder = new_folder()
    local now = os.time()
    for second = now, now + 30 do
      local base = folder .. os.date("!/script1-%Y%m%d-%H%M%S-", second)
      server.write_file(base .. "1.transcript", "mine")
      assert(lfs.link(folder .. "/elsewhere", base .. "2.transcript", true))
      local part = folder .. os.date("!/.script1-%Y%m%d-%H%M%S-3.transcript.part", second)
      assert(lfs.link(folder .. "/elsewhere", part, true))
    end
    local running = server.start(LINES:format "", { "--record", folder })
    running:connect():exchange_all "a\n"
    assert.equal(0, running:stop())
    running:expect_end()
    local made = {}
    for _, name in ipairs(names_in(folder)) do
      local number = name:match "^script1%-.*%-(%d+)%.transcript$"
      if number == "1" then assert.equal("mine", server.read_file(folder .. "/" .. name)) end
      if number and tonumber(number) > 2 then made[#made + 1] = number end
    end
    assert.same({ "4" }, made)
    assert.is_nil(lfs.attributes(folder .. "/elsewhere"))
  end)

  it("has a file for each conversation of each script", function()
    local folder = new_folder()
    local running = server.start({
      { "protocols/upper.lua", options = { "--record", folder } },
      { LINES:format "", options = { name = "two~words" } },
    })
    for nth = 1, 2 do
      local client = running:connect(nth)
      client:exchange("a\n", 2)
      client:close()
      running:wait_for_log("recorded file=%S+%-" .. nth .. "%.transcript")
    end
    local names = table.concat(names_in(folder), " ")
    assert.is_truthy(names:find "^upper%-%d+%-%d+%-1%.transcript two_words%-%d+%-%d+%-2%.transcript$", names)
  end)

  it("that went away costs transcripts, and no conversation", function()
    local folder = new_folder()
    local running = server.start(LINES:format "", { "--record", folder })
    assert(lfs.rmdir(folder))
    assert.equal("A\n", running:connect():exchange_all "a\n")
    running:wait_for_log 'error record_failed service=script1 [^\n]*detail="No such file or directory"'
    assert.equal("B\n", running:connect():exchange_all "b\n")
  end)

  it("that is full costs transcripts, and leaves no half of one", function()
    local folder, limited = new_folder(), new_folder() .. "/limited"
    server.write_file(limited, '#!/bin/sh\nulimit -f 100\nexec "$PARLANCE_BINARY" "$@"\n')
    assert.equal(0, assert(process.spawn { "chmod", "+x", limited }):wait(server.DEADLINE))
    local running = server.start(LINES:format "", { binary = limited, "--record", folder })
    local line = ("xy"):rep(100000) .. "\n"
    local client = running:connect()
    assert.equal(line:upper(), client:exchange(line, #line))
    client:close()
    running:wait_for_log 'error record_failed service=script1 [^\n]*detail="File too large"'
    assert.same({}, names_in(folder))
    assert.equal("A\n", running:connect():exchange_all "a\n")
    assert.equal('> "a\\n"\n< "A\\n"\n> end\n< end\n', steps(transcripts(folder, 1)))
  end)
end)

describe("a server that does not record", function()
  server.cleans_up()

  it("takes no other way through a conversation", function()
    local running = server.start(LINES:format "")
    assert.equal("A\nbye\n", running:connect():exchange_all "a\nbye\n")
    assert.equal(0, running:count_in_log " record")
  end)
end)
