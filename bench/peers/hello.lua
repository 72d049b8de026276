-- Says hello over HTTP.

local http = require "parlance.http"

return http.serve(function()
  return 200, { ["Content-Type"] = "text/plain" }, "hello\n"
end)
