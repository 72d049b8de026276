std = "lua54"
max_line_length = 120
self = false -- a protocol's functions are methods, whether they use self or not

-- What busted puts into the globals of a spec.
files["spec"] = { std = "+busted" }

-- Type definitions for editors: functions without bodies.
files["lua/parlance/meta"] = { ignore = { "111", "112", "121", "122", "131", "2", "3", "561", "631" } }
