-- MULTI, EXEC, DISCARD, WATCH, UNWATCH and RESET. Between MULTI and EXEC, requests are in the client's `queue`. A
-- `client` is a record of clients.of().
local clients = require "redis.clients"
local memory = require "redis.memory"
local reply = require "redis.reply"
local store = require "redis.store"

local transactions = {}

local function finish(client)
  client.queue, client.is_faulty, client.needs_memory = nil, nil, nil
  store.unwatch(client)
end

function transactions.multi(_, _, self)
  local client = clients.of(self)
  if client.queue then return reply.error "ERR MULTI calls can not be nested" end
  client.queue = {}
  store.update_special(client)
  return reply.OK
end

function transactions.discard(_, _, self)
  local client = clients.of(self)
  if not client.queue then return reply.error "ERR DISCARD without MULTI" end
  finish(client)
  return reply.OK
end

--- Discards the transaction and returns the reply to an EXEC that cannot run.
function transactions.abort(client, fault)
  finish(client)
  local reason = fault:sub(2, -3):gsub("^ERR ", "")
  return reply.error("EXECABORT Transaction discarded because of: %s", reason)
end

--- Makes EXEC. `run` is the function that runs a request.
function transactions.exec_with(run)
  return function(_, _, self)
    local client = clients.of(self)
    local queue, is_faulty = client.queue, client.is_faulty
    if not queue then return reply.error "ERR EXEC without MULTI" end
    local is_spoiled, needs_memory = store.is_spoiled(client), client.needs_memory
    finish(client)
    if is_faulty then return reply.error "EXECABORT Transaction discarded because of previous errors." end
    if is_spoiled then return reply.NO_LIST end
    if needs_memory and memory.is_full(0) then return transactions.abort(client, reply.OUT_OF_MEMORY) end
    local pieces = { "*" .. #queue .. "\r\n" }
    for _, request in ipairs(queue) do
      store.select(client.database) -- a request before may have changed it
      pieces[#pieces + 1] = run(request, self)
    end
    return table.concat(pieces)
  end
end

function transactions.watch(request, count, self)
  local client = clients.of(self)
  if client.queue then return reply.error "ERR WATCH inside MULTI is not allowed" end
  store.select(client.database)
  for i = 2, count do store.watch(client, request[i]) end
  return reply.OK
end

function transactions.unwatch(_, _, self)
  store.unwatch(clients.of(self))
  return reply.OK
end

--- RESET: the connection becomes like a new one, but keeps its number.
function transactions.reset(_, _, self)
  local client = clients.of(self)
  finish(client)
  client.database, client.name, client.silence = 0, "", nil
  store.update_special(client)
  return "+RESET\r\n"
end

--- Removes all data of a connection that has ended.
function transactions.forget(self)
  if not store.databases.clients[self] then return end
  transactions.reset(nil, nil, self)
  clients.forget(self)
end

return transactions
