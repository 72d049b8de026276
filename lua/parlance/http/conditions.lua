-- Conditional requests and range requests (RFC 9110, 13 and 14).

local http = require "parlance.http"

local conditions = {}

-- Whether a list of entity tags, or "*", names this tag; nil: the representation has no tag. In a weak comparison,
-- W/"a" and "a" are the same. A malformed list names no tag.
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

--- Evaluates the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2. Returns the status that is sent
--- instead of the representation, 304 or 412; nil: the representation is sent.
---@param headers table<string, string> of the request
---@param etag? string with its quotes; nil: the representation has no tag
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

-- Whether If-Range allows a range: the client has a part of the representation already, and wants all of it if it
-- has changed. Only a strong validator counts (RFC 9110, 13.1.5 and 8.8.2.2): a tag that is not weak, or a date that
-- only one content had.
local function is_current(if_range, etag, mtime, is_date_strong)
  if not if_range then return true end
  if if_range:find '"' then return if_range == etag and etag:sub(1, 1) == '"' end
  return is_date_strong and http.parse_date(if_range) == mtime
end

--- Returns the first and the last byte of the range, counted from 0; nil: the whole is sent; false: the range has no
--- byte of the whole (416). A Range header with several ranges, or that is malformed, is ignored, as RFC 9110 allows.
---@param headers table<string, string> of the request
---@param size integer bytes of the whole
---@param etag string
---@param mtime integer
---@param is_date_strong boolean whether only one content had this mtime
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
