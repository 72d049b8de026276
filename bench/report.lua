-- Prints the figures as a table, and writes them into docs/performance.md with a plot.

local measure = require "measure"

local report = {}

local function ratio_of(result) return result.ours / result.theirs end

-- A row may have `most`, the goal for our own figure. Else its goal is for the ratio.
local function meets(result)
  local most = result.row.most
  if most then return ("ours <= %d"):format(most) .. (result.ours <= most and " met" or " MISSED") end
  if not result.goal then return "" end
  local ratio = ratio_of(result)
  local met = result.row.low and ratio <= result.goal or not result.row.low and ratio >= result.goal
  return (result.row.low and "<= " or ">= ") .. ("%.2f"):format(result.goal) .. (met and " met" or " MISSED")
end

local function number(value)
  if value >= 1000 then return ("%.0f"):format(value) end
  return ("%.2f"):format(value)
end

local function cells(result)
  local rates = result.ours_rate and (number(result.ours_rate) .. " / " .. number(result.theirs_rate)) or ""
  return {
    result.row[1], result.other, number(result.ours), number(result.theirs), result.row[2],
    ("%.2f"):format(ratio_of(result)), meets(result), rates,
  }
end

local HEAD <const> = { "work", "against", "ours", "theirs", "unit", "ratio", "goal", "requests/s" }

-- The width of each column whose texts are not known before.
local WIDTHS <const> = { 0, 0, 10, 10, 0, 6, 14, 0 }

---Prints the head of a table, and returns a function that prints a result as a row at once. `planned` is the list of
---all { row =, other = } that are measured.
function report.table(planned)
  local widths = {}
  for i, name in ipairs(HEAD) do widths[i] = math.max(#name, WIDTHS[i]) end
  for _, each in ipairs(planned) do
    for i, text in pairs { [1] = each.row[1], [2] = each.other, [5] = each.row[2] } do
      widths[i] = math.max(widths[i], #text)
    end
  end
  local function line(texts)
    local padded = {}
    for i, text in ipairs(texts) do padded[i] = text .. (" "):rep(widths[i] - #text) end
    io.write((table.concat(padded, "  "):gsub("%s+$", "")), "\n")
    io.flush()
  end
  line(HEAD)
  return function(result) line(cells(result)) end
end

local function machine()
  local cpu = measure.output("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2"):gsub("^%s+", "")
  return ("%s, %s cores, Linux %s, %s"):format(cpu, measure.output("nproc"),
    measure.output("uname -r"), measure.output(". /etc/os-release; echo $PRETTY_NAME"))
end

local function figures(results, runs)
  local lines = {
    ("Medians of %d interleaved runs on %s; server on one core, client on the other."):format(runs, machine()),
    "",
    "| " .. table.concat(HEAD, " | ") .. " |",
    "|" .. ("---|"):rep(#HEAD),
  }
  for _, result in ipairs(results) do
    lines[#lines + 1] = "| " .. table.concat(cells(result), " | ") .. " |"
  end
  lines[#lines + 1] = "\n![Ratios of our server to its peers](performance.svg)"
  return table.concat(lines, "\n")
end

-- Replaces the title of the file, which gnuplot sets to its own name.
local function set_title(path)
  local file = io.open(path)
  if not file then return false end
  local text = file:read("a"):gsub("<title>Gnuplot</title>", "<title>Cost of ours over the peer's</title>", 1)
  file:close()
  file = assert(io.open(path, "w"))
  file:write(text)
  return file:close()
end

---Plots a bar for each peer: our cost divided by the peer's (for rates, the peer's rate divided by ours).
local function plot(results, root)
  local data = os.tmpname()
  local file = assert(io.open(data, "w"))
  for _, result in ipairs(results) do
    local cost = result.row.low and ratio_of(result) or 1 / ratio_of(result)
    file:write(('"%s: %s"\t%.3f\n'):format(result.row[1], result.other, cost))
  end
  file:close()
  local script = ([[
set terminal svg noenhanced size 900,%d font "sans,11" background "white"
set output "%s/docs/performance.svg"
set datafile separator "\t"
set title "Cost of ours over the peer's (less is better; 1 is the same)"
set style fill solid 0.7
set yrange [%d.5:-0.5]
set xrange [0:2.5]
set xtics 0.25
set grid xtics
set arrow from 1,graph 0 to 1,graph 1 nohead lw 2
set lmargin 62
unset key
plot "%s" using ($2/2):0:($2/2):(0.35):ytic(1) with boxxyerror lc rgb "#4477aa" title "cost of ours over the peer's"
]]):format(60 + 26 * #results, root, #results - 1, data)
  local pipe = assert(io.popen("gnuplot", "w"))
  pipe:write(script)
  local ok = pipe:close()
  os.remove(data)
  return ok and set_title(root .. "/docs/performance.svg")
end

local BEGIN <const>, END <const> = "<!-- figures: written by bench/run -o -->", "<!-- end of figures -->"

---Puts the figures between the marks of docs/performance.md; the rest of the page is written by hand.
function report.write(results, root, runs)
  local path = root .. "/docs/performance.md"
  local file = assert(io.open(path))
  local page = file:read("a")
  file:close()
  local first, last = page:find(BEGIN, 1, true), page:find(END, 1, true)
  assert(first and last, path .. " has no marks for the figures")
  page = page:sub(1, first + #BEGIN - 1) .. "\n\n" .. figures(results, runs) .. "\n\n" .. page:sub(last)
  file = assert(io.open(path, "w"))
  file:write(page)
  file:close()
  if not measure.has("gnuplot") or not plot(results, root) then
    io.stderr:write("no plot: apt-get install gnuplot-nox\n")
  end
end

return report
