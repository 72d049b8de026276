-- luacheck: read globals core
-- An HAProxy service with the protocol of length_sep_body.

core.register_service("length_sep_body", "tcp", function(applet)
  while true do
    local line = applet:getline()
    if not line or #line == 0 then return end
    local body = applet:receive(tonumber(line))
    if not body then return end
    applet:send(body)
  end
end)
