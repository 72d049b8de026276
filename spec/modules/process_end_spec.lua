-- timeout 300
-- How programs that a script runs end: with what has made them, when they are killed, and with the server.

local line_protocol = require "support.line_protocol"
local server = require "support.server"

local SETUP <const> = [[
  process = require "parlance.process"
  function sh(text, options) return process.spawn({ "sh", "-c", text }, options) end
  kept = {} ]]

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

-- Whether the process has ended. One that its parent has not waited for counts if that is not the server.
local function is_gone(id, server_id)
  local status = read_file(("/proc/%s/status"):format(id))
  if not status then return true end
  local is_zombie, parent = status:find "State:%sZ", tonumber((status:match "PPid:%s(%d+)"))
  return is_zombie and parent ~= server_id or false
end

server.for_each_poller(function(poller)
  describe("parlance.process with " .. poller, function()
    local lines = line_protocol.serve(poller)
    local send, answer, ask = lines.send, lines.answer, lines.ask
    local function start(at_load, options) return lines.start(SETUP .. (at_load or ""), options) end

    local function wait_until_gone(id)
      server.wait_until("the end of " .. id, function() return is_gone(id, lines.running.process:pid()) end)
    end

    local function wait_until_closed(descriptors)
      server.wait_until("the descriptors to be as before", function()
        return lines.running:descriptors() <= descriptors
      end)
    end

    describe("a program", function()
      it("ends with its response", function()
        local client = start()
        send(client, "return sh('echo $$; exec sleep 100').stdout")
        local id = answer(client)
        assert.is_false(is_gone(id))
        client:reset()
        wait_until_gone(id)
      end)

      -- What a line answers with are the ids of programs.
      for name, line in pairs {
        ["is killed with its whole group"] = [[
          local child = sh 'sleep 100 & echo $!; wait'
          local id = child.stdout:read 'l'
          child:kill()
          child:wait()
          return id]],
        ["ends with its <close>"] = [[
          local id
          do
            local child <close> = sh 'echo $$; exec sleep 100'
            id = child.stdout:read 'l'
          end
          return id]],
        ["ends with the request that made it, and with it its group"] = [[
          return sh('sleep 100 & echo $$ $!; wait').stdout:read 'l']],
        ["leaves a group that is ended as well when it has ended before"] = [[
          local child = sh 'sleep 100 & echo $!'
          local id = child.stdout:read 'l'
          child:wait()
          return id]],
      } do
        it(name, function()
          local ids = ask(start(), line)
          assert.matches("^%d", ids)
          for id in ids:gmatch "%d+" do wait_until_gone(id) end
        end)
      end

      it("ends with the task that made it", function()
        local client = start()
        local id = ask(client, [[
          kept.task = parlance.spawn(function()
            local child = sh 'echo $$; exec sleep 100'
            kept.id = child.stdout:read 'l'
            child:wait()
          end)
          while not kept.id do parlance.sleep(0.005) end
          return kept.id]])
        assert.is_false(is_gone(id))
        assert.equal("true", ask(client, "return kept.task:cancel()"))
        wait_until_gone(id)
      end)

      it("leaves a group that is ended when its timeout is over", function()
        local client = start()
        assert.equal('"exit" 0 ""', ask(client, [[
          local child = sh('sleep 100 & exit 0', { timeout = 0.1 })
          local how, number = child:wait()
          return show(how, number, child.stdout:read 'a')]]))
      end)

      it("goes on while nothing refers to it, and keeps its pipes", function()
        local client = start()
        assert.equal("done", ask(client, [[
          local path = os.tmpname()
          sh('cat; sleep 0.3; echo done && echo done >' .. path, { stdin = false })
          local text
          repeat
            collectgarbage()
            parlance.sleep(0.01)
            local file <close> = io.open(path)
            text = file:read 'l'
          until text
          os.remove(path)
          return text]]))
      end)

      it("that ignores SIGTERM is killed two seconds later", function()
        local client = start()
        local began = server.now()
        local id = ask(client, [[
          local child <close> = sh 'trap "" TERM; echo $$; while :; do sleep 0.05; done'
          return child.stdout:read 'l']])
        assert.equal("2", ask(client, "return 1 + 1"))
        assert.is_false(is_gone(id))
        wait_until_gone(id)
        local took = server.now() - began
        assert.is_true(took > 1.9, took)
      end)

      it("ends when its request is cancelled, while the script waits for it", function()
        local client, other = start(), lines.running:connect()
        send(client, [[
          local child = sh 'echo $$; exec sleep 100'
          kept.id = child.stdout:read 'l'
          child:wait()]])
        local id = ask(other, "while not kept.id do parlance.sleep(0.005) end return kept.id")
        client:reset()
        wait_until_gone(id)
        assert.equal("2", ask(other, "return 1 + 1"))
      end)

      it("is not started when its task is cancelled before", function()
        local client = start()
        assert.equal('nil "cancelled" "cancelled" nil', ask(client, [[
          local path = os.tmpname()
          os.remove(path)
          local task = parlance.spawn(function() sh('touch ' .. path) end)
          parlance.spawn(function() task:cancel() end)
          local a, b, c = task:wait()
          parlance.sleep(0.05)
          return show(a, b, c, (io.open(path)))]]))
      end)

      it("leaves nothing behind, also a thousand of them", function()
        local client = start()
        assert.equal("1", ask(client, "return 1"))
        local descriptors, children = lines.running:descriptors(), lines.running:children()
        assert.equal("1000", ask(client, [[
          local count = 0
          for i = 1, 1000 do
            local child <close> = process.spawn { 'true' }
            if child:wait() == 'exit' then count = count + 1 end
          end
          return count]]))
        wait_until_closed(descriptors)
        assert.equal(children, lines.running:children())
      end)

      it("leaves no zombie and no descriptor where the script forgets it", function()
        local client = start()
        assert.equal("1", ask(client, "return 1"))
        local descriptors, children = lines.running:descriptors(), lines.running:children()
        send(client, [[
          for i = 1, 50 do
            local child = process.spawn({ 'true' }, { stdin = false })
            child.stdout:read 'a'
            child:wait()
          end
          kept.is_over = true
          parlance.sleep(1000)]])
        local other = lines.running:connect()
        ask(other, "while not kept.is_over do parlance.sleep(0.005) end return 1")
        other:close()
        wait_until_closed(descriptors)
        assert.equal(children, lines.running:children())
        client:reset()
      end)
    end)

    describe("a server that stops", function()
      it("lets a request wait for its program", function()
        local client = start()
        lines.running:expect_end()
        send(client, "kept.child = sh 'echo begun; sleep 0.3; echo done' kept.child.stdout:read 'l' " ..
          "parlance.log('warn', 'begun') return kept.child.stdout:read 'l'")
        lines.running:wait_for_log "begun"
        lines.running:terminate()
        assert.equal("done", answer(client))
        assert.equal(0, lines.running:wait())
      end)

      it("ends all programs, those that ignore SIGTERM two seconds later", function()
        local client = start()
        lines.running:expect_end()
        local said = ask(client, [[
          local ids = {}
          for _, text in ipairs { 'echo $$; exec sleep 100', 'trap "" TERM; echo $$; while :; do sleep 0.05; done' } do
            parlance.spawn(function()
              local child = sh(text)
              local id = child.stdout:read 'l'
              ids[#ids + 1] = id
              child:wait()
            end)
          end
          while #ids < 2 do parlance.sleep(0.005) end
          return table.concat(ids, ' ')]])
        client:close()
        assert.equal(0, lines.running:stop())
        local one, two = said:match "(%d+) (%d+)"
        assert.is_true(is_gone(one))
        assert.is_true(is_gone(two))
      end)

      it("takes its programs along when it is killed", function()
        local client = start()
        lines.running:expect_end()
        local id = ask(client, [[
          parlance.spawn(function()
            local child = sh 'echo $$; exec sleep 100'
            kept.id = child.stdout:read 'l'
            child:wait()
          end)
          while not kept.id do parlance.sleep(0.005) end
          return kept.id]])
        assert(lines.running.process:signal(9))
        lines.running:wait()
        server.wait_until("the end of the program", function() return is_gone(id) end)
      end)
    end)
  end)
end)
