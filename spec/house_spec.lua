-- release only
-- The floors of the house (docs/architecture.md): which room of core/ may include what. The text of
-- the source is checked first, then that the build itself refuses what the text may not say.

local json = require "dkjson" -- which busted needs too
local lfs = require "lfs"

local SOURCE <const> = assert(os.getenv "PARLANCE_SOURCE_DIR", "run me through ctest")
local BUILD <const> = assert(os.getenv "PARLANCE_BUILD_DIR", "run me through ctest")

-- A room and the rooms under it. Every folder in core/ is a room, and stands here.
local FLOORS <const> = {
  base = {},
  framing = { "base" },
  session = { "base", "framing" },
  script = { "base", "framing", "session" },
  modules = { "base", "framing", "session", "script" },
  reload = { "base", "script" },
  simulator = { "base", "framing", "session", "script", "modules", "reload" },
  io = { "base" },
  watch = { "base" },
  server = { "base", "framing", "io", "session", "watch" },
  cli = { "base", "script", "modules", "reload", "simulator", "io", "server" },
}

-- The headers that other rooms may include; a room that is not here shows all of them.
local DOORS <const> = {
  framing = { "framing.h", "http.h", "http_body.h", "proxy.h", "resp.h", "resp_reply.h" },
  session = {
    "body.h", "datagram.h", "handler.h", "push.h", "reason.h", "session.h", "session_list.h", "steps.h", "tunnel.h",
  },
  script = { "script.h" },
  modules = { "modules.h" },
  reload = { "reload.h", "searcher.h" },
  simulator = { "program.h" },
  io = {
    "address.h", "child.h", "cidr.h", "datagram_socket.h", "network.h", "notify_socket.h", "passed_sockets.h",
    "poller.h", "processes.h", "resolver.h", "signals.h", "socket.h", "splice.h", "tls_context.h", "transport.h",
  },
  watch = { "watcher.h" },
  server = { "server.h" },
  cli = {},
}

-- What the two rooms that are built into a Lua state may include of script/ besides.
local INNER_DOORS <const> = {
  modules = {
    "ban.h", "body.h", "client.h", "datagrams.h", "file_value.h", "finalizers.h", "framing_value.h", "kept.h",
    "replaced.h", "script_internal.h", "stream_tap.h", "stream_value.h", "subprocess.h", "task.h",
  },
  reload = {
    "ban.h", "client.h", "file_value.h", "gate.h", "generation.h", "memory.h", "module_names.h",
    "script_internal.h", "serve.h", "settings.h", "sorted_keys.h", "task_handle.h", "watchdog.h",
  },
}

-- System headers (Lua patterns) that belong to one room.
local OWNED <const> = {
  {
    room = "script",
    too = { "modules", "reload", "simulator" },
    headers = { "lua%.h", "lauxlib%.h", "lualib%.h", "luaconf%.h", "lua.*/.*%.h" },
  },
  {
    room = "io",
    headers = {
      "sys/socket%.h", "sys/un%.h", "sys/epoll%.h", "sys/select%.h", "sys/poll%.h", "poll%.h",
      "sys/sendfile%.h", "netinet/.*", "arpa/.*", "net/.*", "netdb%.h", "ares.*%.h", "openssl/.*",
    },
  },
  { room = "watch", headers = { "sys/inotify%.h" } },
}

-- What only cli/ may so much as mention.
local CLI_WORDS <const> = { "argv", "getenv", "secure_getenv", "environ" }

local function is_among(names, wanted)
  for _, name in ipairs(names or {}) do
    if name == wanted then return true end
  end
  return false
end

local function is_under(room, floor) return is_among(FLOORS[room], floor) end

-- C source with its comments blanked, and its literals too if asked; every line stays in its place.
local function blanked(text, literals_too)
  local out, at = {}, 1
  while true do
    local start = text:find("[\"'/]", at)
    if not start then break end
    out[#out + 1] = text:sub(at, start - 1)
    local two = text:sub(start, start + 1)
    local stop
    if two == "/*" then
      stop = select(2, text:find("*/", start + 2, true)) or #text
      out[#out + 1] = " " .. text:sub(start, stop):gsub("[^\n]+", "")
    elseif two == "//" then
      stop = (text:find("\n", start, true) or #text + 1) - 1
    elseif two:sub(1, 1) == "/" then
      stop = start
      out[#out + 1] = "/"
    else
      local quote = two:sub(1, 1)
      stop = start + 1
      while stop <= #text and not text:find("^[" .. quote .. "\n]", stop) do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
      out[#out + 1] = literals_too and text:sub(start, stop):gsub("[^\n]+", quote .. quote)
        or text:sub(start, stop)
    end
    at = stop + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

-- Why `room` may not say this include, or nil.
local function include_fault(room, form, header)
  if header:find("..", 1, true) then return "may not include by a relative path: " .. header end
  if form == "<" then
    for _, owned in ipairs(OWNED) do
      for _, pattern in ipairs(owned.headers) do
        if room ~= owned.room and not is_among(owned.too, room) and header:find("^" .. pattern .. "$") then
          return ("may not include <%s>, which is for %s/"):format(header, owned.room)
        end
      end
    end
    return nil
  end
  local floor = header:match("^([%w_]+)/")
  if not floor or not FLOORS[floor] then return "includes " .. header .. ", which names no room" end
  if floor == room then return nil end
  if not is_under(room, floor) then return "may not include " .. header end
  local file = header:match "[^/]+$"
  local is_open = not DOORS[floor] or is_among(DOORS[floor], file)
  if not is_open and not (floor == "script" and is_among(INNER_DOORS[room], file)) then
    return ("may not include %s, which is private to %s/"):format(header, floor)
  end
  return nil
end

-- Takes { ["core/io/poller.c"] = text, ... }; returns the sorted faults, "file:line: room/ may not ...".
local function faults_of(files)
  local faults = {}
  for path, text in pairs(files) do
    local room = path:match("^core/([^/]+)/")
    local function fault(line, what)
      faults[#faults + 1] = ("%s:%d: %s/ %s"):format(path, line, room, what)
    end
    if not FLOORS[room] then
      fault(1, "is a room that has no floor: give it one in spec/house_spec.lua")
    else
      local line = 0
      for code in (blanked(text) .. "\n"):gmatch("(.-)\n") do
        line = line + 1
        local rest = code:match("^%s*#%s*include[_%w]*%s*(.*)")
        if rest then
          local form, header = rest:match('^([<"])([^>"]+)[>"]')
          local why = not form and "includes through a macro: " .. rest or include_fault(room, form, header)
          if why then fault(line, why) end
        end
      end
      line = 0
      for code in (blanked(text, true) .. "\n"):gmatch("(.-)\n") do
        line = line + 1
        for _, word in ipairs(room == "cli" and {} or CLI_WORDS) do
          if code:find("%f[%w_]" .. word .. "%f[^%w_]") then
            fault(line, "may not mention " .. word .. ", which is for cli/")
          end
        end
      end
    end
  end
  table.sort(faults)
  return faults
end

-- What includes what, as { [from] = { [to] = true } }: name(path) is the node that a file belongs to,
-- such as "io/poller" for "io/poller.c" and "io/poller.h".
local function graph_of(files, name)
  local graph = {}
  for path, text in pairs(files) do
    local from = name(path:match "^core/(.*)$")
    graph[from] = graph[from] or {}
    for header in blanked(text):gmatch '#%s*include%s*"([^"]+)"' do
      local to = name(header)
      if to ~= from then graph[from][to] = true end
    end
  end
  return graph
end

local function room_of(path) return path:match "^[^/]+" end
local function stem_of(path) return path:match "^(.*)%.[ch]$" end

local function sorted_keys(set)
  local keys = {}
  for key in pairs(set) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function reach_in(graph, from, reached)
  reached = reached or {}
  for to in pairs(graph[from] or {}) do
    if not reached[to] then
      reached[to] = true
      reach_in(graph, to, reached)
    end
  end
  return reached
end

-- The circles of a graph: sorted lists of the nodes that all reach each other, in order.
local function circles_of(graph)
  local circles, reached, placed = {}, {}, {}
  for node in pairs(graph) do reached[node] = reach_in(graph, node) end
  for _, node in ipairs(sorted_keys(graph)) do
    if reached[node][node] and not placed[node] then
      local circle = {}
      for _, other in ipairs(sorted_keys(reached[node])) do
        if reached[other] and reached[other][node] then
          circle[#circle + 1] = other
          placed[other] = true
        end
      end
      circles[#circles + 1] = circle
    end
  end
  return circles
end

-- Files that must not be in one circle: each is to be understood without the other.
local APART <const> = {
  { "script/generation", "script/script" },
  { "script/script_internal", "script/settings" },
  { "script/script_internal", "script/every" },
  { "script/script", "script/settings" },
  { "script/script", "script/every" },
  { "script/task", "script/owned" },
  { "script/task", "script/within" },
  { "reload/protocol", "reload/field_lint" },
  { "server/connection", "server/listener" },
  { "server/loop", "server/preflight" },
  { "server/reloads", "server/server" },
}

-- The sorted pairs of `apart` that are in one circle of a graph of files.
local function pairs_in_circles(graph, apart)
  local found = {}
  for _, pair in ipairs(apart) do
    if reach_in(graph, pair[1])[pair[2]] and reach_in(graph, pair[2])[pair[1]] then
      found[#found + 1] = table.concat(pair, " and ")
    end
  end
  return found
end

-- The picture of the house: of each room, how large it is, what it includes, which of its headers
-- other rooms include, and the circles of its files.
local function picture_of(files)
  local rooms, stems = graph_of(files, room_of), graph_of(files, stem_of)
  local lines, doors, sizes = {}, {}, {}
  for path, text in pairs(files) do
    local room = room_of(path:match "^core/(.*)$")
    sizes[room] = (sizes[room] or 0) + select(2, text:gsub("\n", ""))
    for header in blanked(text):gmatch '#%s*include%s*"([^"]+)"' do
      local other = room_of(header)
      doors[other] = doors[other] or {}
      if other ~= room then doors[other][header:match "[^/]+$"] = true end
    end
  end
  for _, room in ipairs(sorted_keys(rooms)) do
    local under = table.concat(sorted_keys(rooms[room]), ", ")
    lines[#lines + 1] = ("%s/ (%d lines) includes %s"):format(room, sizes[room], under)
    lines[#lines + 1] = "  other rooms include " .. table.concat(sorted_keys(doors[room] or {}), " ")
    for _, circle in ipairs(circles_of(stems)) do
      if room_of(circle[1]) == room then lines[#lines + 1] = "  circle: " .. table.concat(circle, " ") end
    end
  end
  return table.concat(lines, "\n")
end

-- Every C file under a folder of the source, as { path = text }.
local function read_tree(folder, files)
  files = files or {}
  for name in lfs.dir(SOURCE .. "/" .. folder) do
    local path = folder .. "/" .. name
    if name:sub(1, 1) ~= "." then
      if lfs.attributes(SOURCE .. "/" .. path, "mode") == "directory" then
        read_tree(path, files)
      elseif name:find("%.[ch]$") and path:find("^core/[^/]+/") then
        local file <close> = assert(io.open(SOURCE .. "/" .. path, "rb"))
        files[path] = file:read "a"
      end
    end
  end
  return files
end

describe("the floors of core/", function()
  it("are kept by every include", function()
    local files = read_tree "core"
    assert.is_not_nil(next(files))
    assert.equal("", table.concat(faults_of(files), "\n"))
    if os.getenv "PARLANCE_HOUSE" then print(picture_of(files)) end
  end)

  it("have no circle, neither where they are declared nor where they are used", function()
    local declared = {}
    for room, under in pairs(FLOORS) do
      declared[room] = {}
      for _, floor in ipairs(under) do declared[room][floor] = true end
    end
    assert.same({}, circles_of(declared))
    assert.same({}, circles_of(graph_of(read_tree "core", room_of)))
  end)

  it("keep files apart that are to be understood one by one", function()
    local files = read_tree "core"
    for _, pair in ipairs(APART) do
      for _, stem in ipairs(pair) do
        assert.is_truthy(files["core/" .. stem .. ".h"], "core/" .. stem .. ".h is not there")
      end
    end
    assert.same({}, pairs_in_circles(graph_of(files, stem_of), APART))
  end)

  it("are seen to have circles", function()
    local files = {
      ["core/io/a.c"] = '#include "io/a.h"\n#include "io/b.h"',
      ["core/io/a.h"] = "",
      ["core/io/b.c"] = '#include "io/b.h"\n#include "io/c.h"',
      ["core/io/b.h"] = "",
      ["core/io/c.h"] = '#include "io/a.h"',
      ["core/io/d.c"] = '// #include "io/e.h"\n#include "io/a.h"',
      ["core/io/e.h"] = '#include "io/d.h"',
    }
    local stems = graph_of(files, stem_of)
    assert.same({ { "io/a", "io/b", "io/c" } }, circles_of(stems))
    assert.same({ "io/a and io/c" }, pairs_in_circles(stems, { { "io/a", "io/c" }, { "io/d", "io/e" } }))
    assert.same({}, circles_of(graph_of(files, room_of)))
    files["core/base/x.h"] = '#include "io/a.h"'
    files["core/io/a.h"] = '#include "base/x.h"'
    assert.same({ { "base", "io" } }, circles_of(graph_of(files, room_of)))
  end)

  -- What the check says about one line of one room.
  local planted = {
    { "base", '#include "framing/framing.h"', "may not include framing/framing.h" },
    { "base", "#include <lua.h>", "may not include <lua.h>, which is for script/" },
    { "script", '#include "modules/modules.h"', "may not include modules/modules.h" },
    { "script", '#include "reload/reload.h"', "may not include reload/reload.h" },
    { "modules", '#include "reload/reload.h"', "may not include reload/reload.h" },
    { "reload", '#include "modules/modules.h"', "may not include modules/modules.h" },
    { "modules", '#include "script/serve.h"', "may not include script/serve.h, which is private to script/" },
    { "cli", '#include "script/gate.h"', "may not include script/gate.h, which is private to script/" },
    { "cli", '#include "server/loop.h"', "may not include server/loop.h, which is private to server/" },
    { "framing", '#include "session/session.h"', "may not include session/session.h" },
    { "session", '#include "io/poller.h"', "may not include io/poller.h" },
    { "session", '  #  include"io/poller.h"', "may not include io/poller.h" },
    { "session", '/* a */ #include "io/poller.h" // b', "may not include io/poller.h" },
    { "session", '#include "script/script.h"', "may not include script/script.h" },
    { "session", "#include <sys/socket.h>", "may not include <sys/socket.h>, which is for io/" },
    { "script", '#include "io/poller.h"', "may not include io/poller.h" },
    { "script", '#include "server/server.h"', "may not include server/server.h" },
    { "watch", '#include "io/poller.h"', "may not include io/poller.h" },
    { "io", '#include "session/session.h"', "may not include session/session.h" },
    { "io", "#include <lua5.4/lauxlib.h>", "may not include <lua5.4/lauxlib.h>, which is for script/" },
    { "server", '#include "framing/decoders.h"',
      "may not include framing/decoders.h, which is private to framing/" },
    { "server", '#include "script/script.h"', "may not include script/script.h" },
    { "server", "#include <netinet/in.h>", "may not include <netinet/in.h>, which is for io/" },
    { "io", "#include <sys/inotify.h>", "may not include <sys/inotify.h>, which is for watch/" },
    { "server", "#include <sys/epoll.h>", "may not include <sys/epoll.h>, which is for io/" },
    { "cli", "#include <ares.h>", "may not include <ares.h>, which is for io/" },
    { "cli", "#include <lualib.h>", "may not include <lualib.h>, which is for script/" },
    { "cli", '#include "../io/poller.h"', "may not include by a relative path: ../io/poller.h" },
    { "io", '#include "poller.h"', "includes poller.h, which names no room" },
    { "io", "#include POLLER_HEADER", "includes through a macro: POLLER_HEADER" },
    { "io", "#include_next <lua.h>", "may not include <lua.h>, which is for script/" },
    { "io", 'const char *path = getenv("HOME");', "may not mention getenv, which is for cli/" },
    { "script", "extern char **environ;", "may not mention environ, which is for cli/" },
    { "base", "int f(char **argv) { return !argv; }", "may not mention argv, which is for cli/" },
    { "attic", "int x;", "is a room that has no floor: give it one in spec/house_spec.lua" },
  }
  for _, case in ipairs(planted) do
    local room, text, what = table.unpack(case)
    it(("are broken by %s in %s/"):format(text, room), function()
      local path = ("core/%s/planted.c"):format(room)
      local line = FLOORS[room] and 3 or 1
      assert.same({ ("%s:%d: %s/ %s"):format(path, line, room, what) },
        faults_of { [path] = "/* a\n * b */\n" .. text .. "\n" })
    end)
  end

  it("are kept by what only looks like a breach", function()
    assert.same({}, faults_of {
      ["core/session/session.c"] = [[
        #include "base/status.h"
        #include "session/session.h"
        #include <string.h>
        /* #include "io/poller.h"
           getenv */
        // #include <lua.h>
        const char *a = "argv \" environ", b = '"', *c = "getenv"; /* ' */
        int environment, my_argv, getenvy = 4 / 2;
      ]],
      ["core/script/gate.c"] = '#include <lua.h>\n#include "session/handler.h"\n',
      ["core/io/socket.c"] = "#include <sys/socket.h>\n#include <netinet/tcp.h>\n#include <ares.h>\n",
      ["core/cli/main.c"] = '#include "script/script.h"\nint main(int argc, char **argv) { return 0; }\n',
    })
  end)
end)

describe("the build", function()
  -- How each room is compiled: the command of one of its files, without the file.
  local commands = {}
  do
    local file <close> = assert(io.open(BUILD .. "/compile_commands.json", "rb"))
    for _, entry in ipairs(json.decode(file:read "a")) do
      local room = entry.file:sub(#SOURCE + 1):match("^/core/([^/]+)/")
      if room then commands[room] = entry.command:gsub("%s+%-o%s.*$", "") end
    end
  end

  -- Whether a file of `room` that holds nothing but this include compiles.
  local function compiles(room, include)
    return (os.execute(("echo '#include %s' | %s -fsyntax-only -x c - 2>/dev/null"):format(include, commands[room])))
      == true
  end

  -- Every room that `room` is linked with, through others too.
  local function reach(room, reached)
    reached = reached or { [room] = true }
    for _, floor in ipairs(FLOORS[room]) do
      if not reached[floor] then
        reached[floor] = true
        reach(floor, reached)
      end
    end
    return reached
  end

  -- Whether a file of `room` can include any header of `floor`: one that needs more than its own
  -- room, such as Lua, is not for everyone who may see the room.
  local function can_see(room, floor)
    for path in pairs(read_tree("core/" .. floor)) do
      local header = path:match "^core/(.*%.h)$"
      if header and compiles(room, '"' .. header .. '"') then return true, header end
    end
    return false, floor .. "/"
  end

  for room in pairs(FLOORS) do
    it("lets " .. room .. "/ see the rooms under it, and no others", function()
      assert.is_string(commands[room], "CMake builds nothing of core/" .. room)
      local reached = reach(room)
      for floor in pairs(FLOORS) do
        if floor == room or is_under(room, floor) then
          assert(floor == "cli" or can_see(room, floor), room .. "/ cannot include " .. floor .. "/")
        elseif not reached[floor] then
          local seen, header = can_see(room, floor)
          assert(not seen, room .. "/ can include " .. header)
        end
      end
    end)

    if not is_among({ "script", "modules", "reload", "simulator", "cli" }, room) then
      it("lets no file of " .. room .. "/ see Lua", function()
        assert.is_string(commands[room], "CMake builds nothing of core/" .. room)
        assert.is_false(compiles(room, "<lua.h>"))
      end)
    end
  end

  it("refuses io/poller.h to session/, and gives it base/status.h", function()
    assert.is_string(commands.session, "CMake builds nothing of core/session")
    assert.is_false(compiles("session", '"io/poller.h"'))
    assert.is_true(compiles("session", '"base/status.h"'))
  end)
end)
