-- TLS for specs: certificates that the openssl command makes, and clients.
--
--     local made = tls.folder()
--     local pair = made:certificate("web", { names = { "DNS:web.example" } })
--     local client = tls.wrap(running:connect(), { server_name = "web.example" })
--     made:remove()

local process = require("parlance_spec").process
local server = require "support.server"
local ssl = require "ssl"

local tls = {}

--- Runs a program; raises an error with its output if it fails.
---@param words string[]
function tls.run(words, folder)
  local log = folder .. "/openssl.log"
  local child <close> = assert(process.spawn(words, { stdout = log, stderr = log }))
  local status = child:wait(server.DEADLINE)
  child:close()
  if status ~= 0 then error(table.concat(words, " ") .. ": " .. server.read_file(log), 2) end
end

---@class spec.Pair
---@field certificate string a file
---@field key string a file

---@alias spec.Kind "ec"|"rsa"|"weak"|"odd"

-- A weak key is too small for OpenSSL; no client asks for an odd one.
local KINDS <const> = {
  ec = { "ec", "ec_paramgen_curve:P-256" },
  rsa = { "rsa", "rsa_keygen_bits:2048" },
  weak = { "rsa", "rsa_keygen_bits:1024" },
  odd = { "ec", "ec_paramgen_curve:secp256k1" },
}

---@class spec.Folder
---@field path string
local Folder = {}
Folder.__index = Folder

--- Makes a key and a certificate of it.
---@param name string of the files
---@param options? { names?: string[], subject?: string, days?: integer, by?: spec.Pair, kind?: spec.Kind }
---@return spec.Pair
function Folder:certificate(name, options)
  options = options or {}
  local base = self.path .. "/" .. name
  local pair = { certificate = base .. ".pem", key = base .. ".key" }
  local key = KINDS[options.kind or "ec"]
  tls.run({ "openssl", "req", "-new", "-nodes", "-newkey", key[1], "-pkeyopt", key[2],
    "-subj", options.subject or "/CN=" .. name, "-keyout", pair.key, "-out", base .. ".csr" }, self.path)
  local names = table.concat(options.names or { "DNS:" .. name }, ",")
  server.write_file(base .. ".ext", "basicConstraints=CA:TRUE\nsubjectAltName=" .. names .. "\n")
  local words = { "openssl", "x509", "-req", "-in", base .. ".csr", "-out", pair.certificate,
    "-days", tostring(options.days or 30), "-extfile", base .. ".ext" }
  local by = options.by and { "-CA", options.by.certificate, "-CAkey", options.by.key, "-CAcreateserial" }
    or { "-signkey", pair.key }
  table.move(by, 1, #by, #words + 1, words)
  tls.run(words, self.path)
  return pair
end

function Folder:remove()
  server.remove_folder(self.path)
end

--- A folder for certificates.
---@return spec.Folder
function tls.folder()
  return setmetatable({ path = server.new_folder() }, Folder)
end

--- Begins TLS on the socket of a client.
---@param client spec.Client
---@param options? { server_name?: string, alpn?: string[], protocol?: string, pair?: spec.Pair, ca?: string }
---@return spec.Client? client, string? why
function tls.wrap(client, options)
  options = options or {}
  local pair = options.pair or {}
  local wrapped = assert(ssl.wrap(client.socket, {
    mode = "client", protocol = options.protocol or "any", verify = options.ca and "peer" or "none",
    cafile = options.ca, certificate = pair.certificate, key = pair.key, alpn = options.alpn,
  }))
  wrapped:settimeout(server.DEADLINE)
  if options.server_name then wrapped:sni(options.server_name) end
  client.plain, client.socket = client.socket, wrapped
  local ok, why = wrapped:dohandshake()
  if not ok then return nil, why end
  return client
end

--- Ends the sending side of the socket under TLS, without the word that nothing more comes.
---@param client spec.Client
function tls.truncate(client)
  client.plain:setfd(client.socket:getfd())
  client.plain:shutdown "send"
  client.plain:setfd(-1)
end

-- The sockets under those that serve() has returned, which would be collected else.
local under = setmetatable({}, { __mode = "k" })

--- Is the server of TLS on a socket that was accepted. Returns nil and a reason where the handshake fails.
---@param accepted table a socket of LuaSocket
---@param pair spec.Pair
---@param options? table more options of LuaSec
---@return table? wrapped, string? why
function tls.serve(accepted, pair, options)
  local settings = { mode = "server", protocol = "any", certificate = pair.certificate, key = pair.key }
  for name, value in pairs(options or {}) do settings[name] = value end
  local wrapped = assert(ssl.wrap(accepted, settings))
  wrapped:settimeout(server.DEADLINE, "t")
  under[wrapped] = accepted
  local ok, why = wrapped:dohandshake()
  if ok then return wrapped end
  wrapped:close()
  return nil, why
end

--- Ends the socket under what serve() has returned, without the word that nothing more comes.
function tls.cut(served)
  local plain = under[served]
  plain:setfd(served:getfd())
  plain:shutdown "both"
  plain:setfd(-1)
end

--- Says that nothing more comes from what serve() has returned, and resets the socket under it.
function tls.reset(served)
  local plain = under[served]
  plain:setfd(served:getfd())
  assert(plain:setoption("linger", { on = true, timeout = 0 }))
  plain:setfd(-1)
  served:close()
end

return tls
