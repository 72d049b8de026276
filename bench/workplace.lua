-- Where the benchmarks work: the project's root, a temporary folder, and the programs built for them.

local workplace = {
  root = os.getenv "PARLANCE_BENCH_ROOT",
  folder = os.getenv "PARLANCE_BENCH_FOLDER", -- removed at the end
}

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("\n$", ""))
end

function workplace.shell(command)
  assert(os.execute(command), "failed: " .. command)
end

---Starts bench/PROGRAM again with the two folders in its environment, and exits with its status. Returns at once in
---the process that has them.
function workplace.enter(here, program, arguments)
  if workplace.root then return end
  local root = output("cd '" .. here .. "/..' && pwd -P")
  local folder = output "mktemp -d"
  local quoted = {}
  for i = 1, #arguments do quoted[i] = "'" .. arguments[i]:gsub("'", "'\\''") .. "'" end
  local ok, _, status = os.execute(("PARLANCE_BENCH_ROOT='%s' PARLANCE_BENCH_FOLDER='%s' '%s/bench/%s' %s")
    :format(root, folder, root, program, table.concat(quoted, " ")))
  os.execute("rm -rf '" .. folder .. "'")
  os.exit(ok or status)
end

---Makes the certificate of the servers with TLS, and its key.
function workplace.make_certificate()
  workplace.shell(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 "
    .. "-keyout %s/key.pem -out %s/certificate.pem 2>/dev/null"):format(workplace.folder, workplace.folder))
end

---Builds our release binary, the load generators and the minimal servers in C.
function workplace.build()
  local root, folder = workplace.root, workplace.folder
  workplace.shell(
    ("cd '%s' && cmake --preset release >/dev/null && cmake --build --preset release --target parlance >/dev/null")
    :format(root))
  for source, program in pairs { ["load.c"] = "load", ["broadcast.c"] = "broadcast",
    ["tunnel.c"] = "tunnel", ["handshakes.c"] = "handshakes", ["peers/floor.c"] = "floor",
    ["peers/udp.c"] = "udp" } do
    workplace.shell(("cc -O2 -std=c17 -D_GNU_SOURCE -o %s/%s %s/bench/%s%s")
      :format(folder, program, root, source, program == "handshakes" and " -lssl -lcrypto" or ""))
  end
end

return workplace
