-- What a client knows already and what part of the rest it wants (RFC 9110, 13 and 14).

local http = require "parlance.http"

local conditions = {}

-- Whether a list of entity tags, or "*", names this one, which is nil for what has none. Weakly, W/"a" and "a" are
-- the same. A list that is malformed names nothing.
local function names_tag(list, etag, weakly)
  if list:match "^[ \t]*%*[ \t]*$" then return true end
  local own_weak, own = (etag or ""):match '^(W?/?)(".*")$'
  local is_named, at = false, list:match "^[ \t,]*()"
  while at <= #list do
    local weak, tag, stop = list:match('^(W?/?)("[^"%c ]*")[ \t]*()', at)
    if not tag or weak ~= "" and weak ~= "W/" then return false end
    if tag == own and (weakly or weak == "" and own_weak == "") then is_named = true end
    if stop <= #list and list:sub(stop, stop) ~= "," then return false end
    at = list:match("^[ \t,]*()", stop)
  end
  return is_named
end

--- The status to answer with instead of the representation, 304 or 412; nil to go on. In the order
--- of RFC 9110, 13.2.2, for GET and HEAD.
---@param headers table<string, string> of the request
---@param etag? string with its quotes; nil: it has none, but it is there
---@param mtime? integer seconds since 1970
---@return 304|412|nil status
function conditions.check(headers, etag, mtime)
  local match, none_match = headers["if-match"], headers["if-none-match"]
  local modified, unmodified = headers["if-modified-since"], headers["if-unmodified-since"]
  if match then
    if not names_tag(match, etag, false) then return 412 end
  elseif unmodified and mtime then
    local since = http.parse_date(unmodified)
    if since and mtime > since then return 412 end
  end
  if none_match then
    if names_tag(none_match, etag, true) then return 304 end
  elseif modified and mtime then
    local since = http.parse_date(modified)
    if since and mtime <= since then return 304 end
  end
  return nil
end

-- A range belongs to what the client has a part of already; if that has changed it wants it all. Only a strong
-- validator can tell (RFC 9110, 13.1.5 and 8.8.2.2): one tag that is not weak, or a date that is good enough.
local function is_current(if_range, etag, mtime, is_date_strong)
  if not if_range then return true end
  if if_range:find '"' then return if_range == etag and etag:sub(1, 1) == '"' end
  return is_date_strong and http.parse_date(if_range) == mtime
end

--- The first and the last byte that are asked for, counted from 0; nil for all of them; false if
--- there are none of the bytes that are asked for (416). More than one range, and what is not
--- understood, is left aside, as it may be.
---@param headers table<string, string> of the request
---@param size integer bytes of the whole
---@param etag string
---@param mtime integer
---@param is_date_strong boolean whether no two contents have had this mtime, as far as anybody was told of it
---@return integer|false|nil first
---@return integer? last
function conditions.range(headers, size, etag, mtime, is_date_strong)
  local first, last = (headers.range or ""):match "^[Bb][Yy][Tt][Ee][Ss]=(%d*)%-(%d*)$"
  if not first or first == "" and last == "" then return nil end
  if not is_current(headers["if-range"], etag, mtime, is_date_strong) then return nil end
  if first == "" then
    local count = math.min(tonumber(last), size)
    if count == 0 then return false end
    return size - count, size - 1
  end
  first, last = tonumber(first), tonumber(last) or math.huge
  if first > last then return nil end
  if first >= size then return false end
  return first, math.min(last, size - 1)
end

return conditions
