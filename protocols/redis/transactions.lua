-- MULTI, EXEC, DISCARD, WATCH and UNWATCH. Between MULTI and EXEC, requests are kept in the client's
-- `queue`; a `client` is what connection.client_of() knows.
local connection = require "redis.connection"
local reply = require "redis.reply"
local store = require "redis.store"

local transactions = {}

local function unwatch(client)
  for watchers, keys in pairs(client.watched or {}) do
    for key in pairs(keys) do
      watchers[key][client] = nil
      if next(watchers[key]) == nil then watchers[key] = nil end
      store.databases.watches = store.databases.watches - 1
    end
  end
  client.watched, client.is_spoiled = nil, nil
end

local function finish(client)
  client.queue, client.is_faulty = nil, nil
  unwatch(client)
end

function transactions.multi(_, _, self)
  local client = connection.client_of(self)
  if client.queue then return reply.error "ERR MULTI calls can not be nested" end
  client.queue = {}
  return reply.OK
end

function transactions.discard(_, _, self)
  local client = connection.client_of(self)
  if not client.queue then return reply.error "ERR DISCARD without MULTI" end
  finish(client)
  return reply.OK
end

--- Makes EXEC from the function that runs a request.
function transactions.exec_with(run)
  return function(_, _, self)
    local client = connection.client_of(self)
    local queue, is_faulty, is_spoiled = client.queue, client.is_faulty, client.is_spoiled
    if not queue then return reply.error "ERR EXEC without MULTI" end
    finish(client)
    if is_faulty then return reply.error "EXECABORT Transaction discarded because of previous errors." end
    if is_spoiled then return reply.NO_LIST end
    local pieces = { "*" .. #queue .. "\r\n" }
    for _, request in ipairs(queue) do
      store.select(client.database) -- which a request before may have changed
      pieces[#pieces + 1] = run(request, self)
    end
    return table.concat(pieces)
  end
end

function transactions.watch(request, count, self)
  local client = connection.client_of(self)
  if client.queue then return reply.error "ERR WATCH inside MULTI is not allowed" end
  local watchers = store.database.watchers
  client.watched = client.watched or {}
  client.watched[watchers] = client.watched[watchers] or {}
  for i = 2, count do
    local key = request[i]
    watchers[key] = watchers[key] or {}
    if not watchers[key][client] then
      watchers[key][client] = true
      client.watched[watchers][key] = true
      store.databases.watches = store.databases.watches + 1
    end
  end
  return reply.OK
end

function transactions.unwatch(_, _, self)
  unwatch(connection.client_of(self))
  return reply.OK
end

local function spoil(watchers)
  for client in pairs(watchers or {}) do client.is_spoiled = true end
end

--- A command that writes has been run: those who watch its keys are not to execute. Without keys of
--- its own it is FLUSHALL or FLUSHDB, which concern everyone.
function transactions.touch(command, request, count)
  if command.first == 0 then
    for index = 0, store.DATABASES - 1 do
      for _, watchers in pairs(store.databases[index].watchers) do spoil(watchers) end
    end
    return
  end
  -- The places of keys count from 0, which is the command's name.
  local last = command.last < 0 and count + command.last or command.last
  for i = command.first, last, command.step do spoil(store.database.watchers[request[i + 1]]) end
end

--- The connection is as it was when it was new.
function transactions.reset(_, _, self)
  transactions.forget(self)
  return "+RESET\r\n"
end

function transactions.forget(self)
  local client = store.clients[self]
  if client then finish(client) end
  store.clients[self] = nil
end

return transactions
