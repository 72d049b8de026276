-- The formats in which `parlance check` reports. writers[format](write, report) returns a writer. `write` writes a
-- text; `report` is the module report.lua. A writer has these functions:
--
--   script(script, loaded)       a script is valid
--   transcript(transcript, run)  a transcript was played
--   unchecked(why)               something could not be checked; standard error says so, too
--   finish()                     everything was checked

local writers = {}

-- ---- text ---------------------------------------------------------------------------------------

local function write_lines(write, lines)
  for _, line in ipairs(lines) do write(line .. "\n") end
end

function writers.text(write, report)
  local writer = {}

  function writer.script(script, loaded)
    write(script.path .. ": valid\n")
    write_lines(write, report.remarks(loaded))
  end

  function writer.transcript(transcript, run)
    if #run.findings == 0 then write(report.success(run, transcript) .. "\n") end
    for _, fault in ipairs(run.findings) do
      write(report.headline(fault, transcript) .. "\n")
      write_lines(write, report.details(fault, transcript))
    end
    write_lines(write, report.remarks(run))
  end

  function writer.unchecked() end

  function writer.finish() end

  return writer
end

-- ---- only faults, for the log of a server -------------------------------------------------------

function writers.faults(write, report)
  local writer = writers.text(write, report)
  local write_transcript = writer.transcript

  function writer.script() end

  function writer.unchecked(why)
    write(why .. "\n")
  end

  function writer.transcript(transcript, run)
    if #run.findings > 0 then write_transcript(transcript, run) end
  end

  return writer
end

-- ---- TAP, version 13 (testanything.org) ---------------------------------------------------------

function writers.tap(write, report)
  local writer, count = {}, 0
  write "TAP version 13\n"

  local function point(is_well, name)
    count = count + 1
    name = name:gsub("%c", " "):gsub("#", "\\#")
    write(("%s %d - %s\n"):format(is_well and "ok" or "not ok", count, name))
  end

  -- A path may contain a line feed, and the text after it would be no comment.
  local function comment(lines)
    for _, line in ipairs(lines) do write("# " .. line:gsub("%c", " ") .. "\n") end
  end

  function writer.script(script, loaded)
    point(true, script.path .. " is valid")
    comment(report.remarks(loaded))
  end

  function writer.transcript(transcript, run)
    point(#run.findings == 0, transcript.path .. " holds")
    for _, fault in ipairs(run.findings) do
      comment { report.headline(fault, transcript) }
      comment(report.details(fault, transcript))
    end
    comment(report.remarks(run))
  end

  function writer.unchecked(why)
    point(false, why)
  end

  function writer.finish()
    write(("1..%d\n"):format(count))
  end

  return writer
end

-- ---- JSON ---------------------------------------------------------------------------------------

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

-- A byte over 127 is written as the character of this number, as in the log.
local function quote(text)
  return '"' .. text:gsub('[%c"\\\x7f-\xff]', function(byte)
    return ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
  end) .. '"'
end

local function encode(value)
  if type(value) == "string" then return quote(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  if value.is_list then
    for i, item in ipairs(value) do parts[i] = encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, member in pairs(value) do parts[#parts + 1] = quote(name) .. ":" .. encode(member) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local function list(items)
  local copy = { is_list = true }
  return table.move(items or {}, 1, #(items or {}), 1, copy)
end

function writers.json(write, report)
  local writer, scripts, unchecked = {}, list(), list()

  function writer.script(script, loaded)
    scripts[#scripts + 1] = {
      script = script.path,
      remarks = list(report.remarks(loaded)),
      transcripts = list(),
    }
  end

  function writer.transcript(transcript, run)
    local findings = list()
    for i, fault in ipairs(run.findings) do
      findings[i] = {
        kind = fault.kind, way = fault.how, path = transcript.path, line = fault.line,
        message = report.headline(fault, transcript), details = list(report.details(fault, transcript)),
        cuts = fault.cuts and list(fault.cuts), gone = fault.gone, expected = fault.expected, got = fault.got,
        raised = fault.raised, reason = fault.reason, seed = fault.seed,
      }
    end
    local all = scripts[#scripts].transcripts
    all[#all + 1] = {
      path = transcript.path, plays = run.plays, findings = findings, remarks = list(report.remarks(run)),
    }
  end

  function writer.unchecked(why)
    unchecked[#unchecked + 1] = why
  end

  function writer.finish()
    write(encode { scripts = scripts, unchecked = unchecked } .. "\n")
  end

  return writer
end

return writers
