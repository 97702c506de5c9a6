-- What programs, servers and playbooks say, as a terminal, a report and a log get it.
local t = require "harness"
local fake = require "fake"
local fs = require "native.fs"
local program = require "program"

-- Clears the screen and writes a line of its own; turns the direction; a C1 control; marks
-- that cannot be seen; Markdown and HTML.
local EVIL = "\27[2J\27[1;1HFAKE\r\n12:00:00 done  FAKE\7\8 \u{202e}gnp.exe "
  .. "\u{9b}31m \u{200b}\u{2066} "
  .. "<script>x</script> [a](http://evil) `c` |"

local function plain(text, where)
  local at = text:find("[%z\1-\8\11-\31\127]")
  t.ok(not at, ("a control character in %s: %q"):format(where,
    text:sub(math.max((at or 1) - 40, 1), (at or 1) + 20)))
  for _, code in ipairs { 0x9b, 0x200b, 0x202e, 0x2066 } do
    t.ok(not text:find(utf8.char(code), 1, true), ("U+%04X in %s"):format(code, where))
  end
end

local function report_is_plain(text, where)
  plain(text, where)
  for _, markup in ipairs { "<script>", "[a](", " `c`" } do
    t.ok(not text:find(markup, 1, true), ("%s in %s"):format(markup, where))
  end
end

-- Each way on which a foreign text comes in: the body of a playbook's run.
local ways = {
  ["a program's last words"] = [[dr.step("S", function()
    process.run { "sh", "-c", 'printf %s "$TEXT" >&2; exit 3', env = { TEXT = EVIL } } end)]],
  ["a program's lines"] = [[dr.step("S", function()
    process.run { "printf", "%s", EVIL, read = true, on_line = function(line) dr.note(line) end } end)
    dr.fail "over"]],
  ["a server's response"] = [[dr.step("S", function() http.get(os.getenv "URL") end)]],
  ["an error"] = [[dr.step("S", function() error(EVIL) end)]],
  ["a failure"] = [[dr.step("S", function() dr.fail(EVIL) end)]],
  ["a note, a check and a measure"] = [[dr.note(EVIL) print(EVIL)
    dr.measure("x", { detail = EVIL }) dr.measure("rpo", { rows = 1, detail = EVIL })
    dr.check(EVIL, function() return false, EVIL end)]],
  ["the name of a step, and its result"] = [[dr.step("S " .. EVIL, function() return EVIL end)
    dr.step("T", { when = function() dr.skip(EVIL) end }, function() end)
    dr.step("U", { optional = true }, function() dr.fail(EVIL) end)
    dr.step("V", function() dr.wait_until(EVIL, { every = "10ms", timeout = "50ms" },
      function() return false, EVIL end) end)]],
  ["a question"] = [[dr.approve(EVIL)]],
}

local function workspace(body)
  return program.workspace { ["a.lua"] = ([[
local dr, process, http = require "drlua", require "process", require "http"
local EVIL = %q
return dr.playbook { title = "Title " .. EVIL, run = function(p)
  %s
end }]]):format(EVIL, body) }
end

for way, body in pairs(ways) do
  t.test("nothing raw reaches a terminal, a log or a report: " .. way, function()
    local server = fake.start { status = 500, body = EVIL }
    t.cleanup(function() server:close() end)
    local w = workspace(body)
    local options = { env = { URL = server.url } }
    for _, output in ipairs { "text", "json" } do
      local r = w.run({ "a.lua", "--trace", "--output", output }, options)
      t.ok(r.code == 1 or r.code == 4, r.out .. r.err)
      plain(r.out, output .. " on stdout")
      plain(r.err, output .. " on stderr")
      t.ok(not r.out:find("\n12:00:00 done", 1, true)
        and not r.err:find("\n12:00:00 done", 1, true), "a forged line")
      for verb, run in pairs { show = "last", report = "last", runs = "--trace" } do
        local seen = w.run { verb, run, "--output", output }
        t.equal(seen.code, 0, seen.err)
        plain(seen.out .. seen.err, verb .. " as " .. output)
        if verb == "report" and output == "text" then report_is_plain(seen.out, "the report") end
      end
    end
    for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/report.md") or {}) do
      report_is_plain(assert(fs.read(path)), "report.md")
    end
    plain(w.run({ "plan", "a.lua" }, options).out, "plan")
  end)
end

t.test("a run's JSON gives back what was said", function()
  local w = workspace [[dr.note(EVIL)]]
  local r = w.run { "a.lua", "--output", "json" }
  t.equal(r.code, 0, r.err)
  local found
  for _, e in ipairs(program.events(r.out)) do found = found or e.event == "note" and e.text end
  t.equal(found, EVIL)
end)

t.test("at a terminal the only escapes are the screen's own", function()
  local server = fake.start { status = 500, body = EVIL }
  t.cleanup(function() server:close() end)
  for way, answers in pairs { ["a program's last words"] = { { "failed: retry", "stop" } },
    ["a note, a check and a measure"] = {}, ["a question"] = { { "Type yes", "no" } },
    ["the name of a step, and its result"] = { { "failed: retry", "stop" } } } do
    local text = program.typed(workspace(ways[way]), { "a.lua" }, answers, { URL = server.url })
    t.contains(text, "FAKE")
    t.ok(not text:find("\27[2J", 1, true), "the screen was cleared")
    plain(text:gsub("\27%[%d*[JAm]", ""):gsub("\r", ""), way)
  end
end)
