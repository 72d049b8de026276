-- Responses that are files with nothing to read for now: FIFOs and the output of programs.

local lfs = require "lfs"
local process = require "parlance_spec".process
local server = require "support.server"

server.for_each_poller(function(poller)
  local running, path, before

  -- Whether all that was opened has been closed, apart from the clients' own connections.
  local function closes_all()
    running:turn()
    server.wait_until("the files to be closed", function() return running:descriptors() <= before end)
  end

  describe("a file that has nothing to read for now", function()
    local PIPES <const> = [[
      local framing = require "parlance.framing"
      return {
        close_when_done = false,
        request_complete = framing.line { max = 1000 },
        make_response = function(self)
          local what, rest = self.request:match "^(%%a+) ?(.*)$"
          if what == "open" then return { "<", assert(io.open(rest, "rb")), ">" } end
          if what == "after" then
            local file = assert(io.open(rest, "rb"))
            return { file:read "L" :upper(), file, ">" }
          end
          if what == "run" then return { "<", assert(io.popen(rest)), ">" } end
          return "hello"
        end,
        handle_error = function(_, reason) return "!" .. reason end,
        %s
      }
    ]]

    -- How long the others may wait, in seconds, though programs and writers take their time.
    local AT_ONCE <const> = 5

    local fifo, client

    local function start_pipes(more)
      running = server.start(PIPES:format(more or ""), { poller = poller, turns = true })
      running:turn()
      before = running:descriptors()
      client = running:connect()
    end

    -- A FIFO that the spec has open, so that nobody waits for it to be opened.
    local function open_fifo()
      path = running.folder .. "/fifo"
      assert(os.execute("mkfifo " .. path))
      fifo = assert(io.open(path, "r+"))
      fifo:setvbuf "no"
    end

    after_each(function()
      if fifo then fifo:close() end
      fifo = nil
    end)

    local function others_are_served()
      local other = running:connect()
      local since = process.now()
      for _ = 1, 5 do assert.equal("hello", other:exchange("hello\n", 5)) end
      assert.is_true(process.now() - since < AT_ONCE)
      other:close()
    end

    -- The programs that the server has started and not yet waited for, dead or alive.
    local function children()
      local list = {}
      for task in lfs.dir(("/proc/%d/task"):format(running.process:pid())) do
        local file = io.open(("/proc/%d/task/%s/children"):format(running.process:pid(), task))
        for pid in (file and file:read "a" or ""):gmatch "%d+" do list[#list + 1] = pid end
        if file then file:close() end
      end
      return list
    end

    local function has_no_children()
      server.wait_until("the programs to be waited for", function() return #children() == 0 end)
    end

    it("keeps nobody else waiting, and goes on when it has something: a FIFO", function()
      start_pipes()
      open_fifo()
      assert.equal("<", client:exchange(("open %s\n"):format(path), 1))
      assert.is_true(client:is_quiet(0.3))
      others_are_served()
      for _, text in ipairs { "one", "two", ("x"):rep(5000) } do
        fifo:write(text)
        assert.equal(text, client:receive(#text))
        others_are_served()
      end
      fifo:close()
      fifo = nil
      assert.equal(">", client:receive(1))
      assert.equal("hello", client:exchange("hello\n", 5))
      client:close()
      closes_all()
    end)

    it("gives what the script has read ahead, and does not wait for more", function()
      start_pipes()
      open_fifo()
      fifo:write "first\nsecond\nthi"
      assert.equal("FIRST\nsecond\nthi", client:exchange(("after %s\n"):format(path), 16))
      others_are_served()
      fifo:write "rd"
      fifo:close()
      fifo = nil
      assert.equal("rd>", client:receive(3))
    end)

    it("does not count as a peer that takes nothing", function()
      start_pipes "write_timeout = 0.2,"
      open_fifo()
      client:send(("open %s\n"):format(path))
      assert.equal("<", client:receive(1))
      assert.is_true(client:is_quiet(0.8))
      fifo:write "late"
      assert.equal("late", client:receive(4))
    end)

    it("ends the connection after idle_timeout as file_error, without last words", function()
      start_pipes "idle_timeout = 0.4,"
      open_fifo()
      client:send(("open %s\n"):format(path))
      assert.equal("<", client:receive(1))
      fifo:write "some"
      assert.equal("some", client:receive(4))
      assert.equal("", client:receive_all())
      running:wait_for_log "file_error service=script1 [^\n]*had nothing to read within idle_timeout"
      client:close()
      closes_all()
    end)

    it("is closed when the peer breaks off, and its program is not waited for", function()
      start_pipes()
      assert.equal("<", client:exchange("run exec sleep 30\n", 1))
      others_are_served()
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      closes_all()
      others_are_served()
      local programs = children()
      assert.equal(1, #programs)
      assert(os.execute("kill " .. programs[1]))
      has_no_children()
    end)

    it("is closed when the peer breaks off, which its program is told", function()
      start_pipes()
      assert.equal("<y\n", client:exchange("run exec yes\n", 3))
      client:reset()
      running:wait_for_log "closed service=script1 [^\n]*reason=peer_reset "
      has_no_children()
      closes_all()
    end)

    it("is over when its program has closed it, though the program goes on", function()
      start_pipes()
      assert.equal("<hi>", client:exchange("run printf hi; exec sleep 30 >/dev/null\n", 4))
      others_are_served()
      local programs = children()
      assert.equal(1, #programs)
      assert.equal("hello", client:exchange("hello\n", 5))
      client:close()
      closes_all()
      assert.equal(0, running:stop(AT_ONCE))
      running:expect_end()
      assert(os.execute("kill " .. programs[1]))
    end)

    it("is not waited for when nobody has it any more, or the server stops: a program", function()
      running = server.start([[
        local framing = require "parlance.framing"
        return {
          close_when_done = false,
          request_complete = framing.line {},
          make_response = function(self)
            if self.request == "drop" then
              assert(io.popen "exec sleep 30")
              collectgarbage()
              collectgarbage()
            elseif self.request == "keep" then
              kept = assert(io.popen "exec sleep 30")
            else
              local program = assert(io.popen "exit 7")
              return table.concat({ tostring(select(3, program:close())), io.type(program) }, " ")
            end
            return "hello"
          end,
        }
      ]], { poller = poller })
      client = running:connect()
      local since = process.now()
      for _, text in ipairs { "drop\n", "keep\n" } do assert.equal("hello", client:exchange(text, 5)) end
      assert.equal("7 closed file", client:exchange("close\n", 13))
      assert.equal(2, #children())
      local programs = children()
      client:close()
      assert.equal(0, running:stop(AT_ONCE))
      running:expect_end()
      assert.is_true(process.now() - since < 2 * AT_ONCE)
      assert(os.execute("kill " .. table.concat(programs, " ")))
    end)

    it("leaves no program behind that has ended", function()
      start_pipes()
      for _ = 1, 20 do assert.equal("<hi>", client:exchange("run printf hi\n", 4)) end
      has_no_children()
    end)
  end)
end)
