-- drlua verify: a whole journal, one that was changed, cut, copied without its log, an old one.
local t = require "harness"
local fs = require "native.fs"
local journal = require "run.journal"
local program = require "program"
local sqlite = require "native.sqlite"

local STEPS = program.playbook [[
    dr.step("One", function() probe.opaque("one") return "first" end)
    dr.step("Two", function() if not os.getenv("GO") then dr.fail("not yet") end end)]]

local function failed()
  local w = program.workspace { ["a.lua"] = STEPS }
  t.equal(w.run({ "a.lua" }).code, 1)
  w.id = fs.list(w.env.DRLUA_STATE .. "/runs")[1]
  w.path = ("%s/runs/%s/"):format(w.env.DRLUA_STATE, w.id)
  return w
end

local function alter(w, sql)
  local db = assert(sqlite.open(w.path .. "journal.db"))
  assert(db:exec(sql))
  db:close()
end

t.test("a whole journal: its number of entries and the newest hash, code 0", function()
  local w = failed()
  local j = journal.open(w.path .. "journal.db", { readonly = true })
  local proof = j:proof()
  j:close()
  local r = w.run { "verify", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(r.out,
    ("run %s: %d entries, whole. The newest is %s\n"):format(w.id, proof.entries, proof.hash))
  r = w.run { "verify", w.id, "--output", "json" }
  t.equal(program.events(r.out)[1],
    { run = w.id, ok = true, entries = proof.entries, hash = proof.hash })
  t.equal(w.run({ "resume", "last" }, { env = { GO = "1" } }).code, 0)
  t.equal(w.run({ "verify", "last" }).code, 0)
end)

t.test("usage: --help, no run, a run that is not there", function()
  local w = failed()
  local r = w.run { "verify", "--help" }
  t.equal(r.code, 0)
  t.contains(r.out, "drlua verify RUN")
  t.equal(w.run({ "verify" }).code, 2)
  t.equal(w.run({ "verify", "nope" }).code, 2)
  t.contains(w.run({ "help" }).out, "drlua verify RUN")
end)

-- What may have happened to a journal, the number of the first entry that does not fit (nil:
-- none can be named), and a word of the sentence.
local damages = {
  { "a changed result",
    "UPDATE entries SET data = replace(data, 'first', 'other') WHERE kind = 'step_succeeded'",
    11, "entry 11 does not fit" },
  { "a changed time", "UPDATE entries SET time = time + 1 WHERE seq = 8", 8,
    "entry 8 does not fit" },
  { "a changed epoch", "UPDATE entries SET epoch = 2 WHERE seq = 8", 8, "entry 8 does not fit" },
  { "another kind", "UPDATE entries SET kind = 'step_skipped' WHERE seq = 14", 14,
    "entry 14 does not fit" },
  { "a changed value of the head",
    "UPDATE entries SET data = '\"succeeded\"' WHERE path = 'status'", 3,
    "entry 3 does not fit" },
  { "a changed source",
    "UPDATE entries SET data = replace(data, 'first', 'other') WHERE kind = 'source'", 6,
    "entry 6 does not fit" },
  { "an entry left out", "DELETE FROM entries WHERE seq = 9", 9, "entry 9 is missing" },
  { "the end left out", "DELETE FROM entries WHERE seq > 12", 13, "are missing" },
  { "an entry put behind",
    "INSERT INTO entries SELECT seq + 1, epoch, time, kind, path, data, hash FROM entries "
    .. "ORDER BY seq DESC LIMIT 1", 16, "entry 16 does not fit" },
  { "everything left out", "DELETE FROM entries", 1, "are missing" },
  { "no table", "DROP TABLE entries", nil, "its tables are of another" },
  { "an older number of the format", "PRAGMA user_version=1", nil, "its tables are of another" },
  { "a newer number of the format", "PRAGMA user_version=9", nil, "format 9" },
}

t.test("a damaged journal: the first entry that does not fit, code "
  .. "1, nothing sent; still shown", function()
  for _, one in ipairs(damages) do
    local w = failed()
    alter(w, one[2])
    local r = w.run { "verify", "last", "--output", "json" }
    local said = program.events(r.out)[1]
    t.equal(r.code, 1, one[1] .. r.out .. r.err)
    t.equal(said.ok, false)
    t.equal(said.entry, one[3], one[1])
    t.contains(said.error, one[4])
    t.equal(r.err, "")
    r = w.run({ "resume", "last" }, { env = { GO = "1" } })
    t.equal(r.code, 2, one[1] .. r.out .. r.err)
    t.contains(r.err, one[4])
    t.equal(w.effects(), { "opaque one" }, one[1])
    for _, verb in ipairs { "show", "report" } do
      r = w.run { verb, "last" }
      t.ok(r.code == 0 or r.code == 2, one[1])
      t.contains(r.err, one[4])
      if one[3] and one[3] > 1 then t.equal(r.code, 0, one[1] .. r.err) end
      t.ok(not r.err:find("traceback", 1, true), r.err)
    end
    t.equal(w.run({ "runs" }).code, 0)
    t.equal(w.run({ "approve", "last", "One" }).code, 2)
  end
end)

t.test("pages that cannot be read: what is on the others is shown, with a warning", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    for i = 1, 60 do dr.step("Step " .. i, function() return ("x"):rep(500) end) end
    dr.step("End", function() dr.fail("no") end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local path = ("%s/runs/%s/journal.db"):format(w.env.DRLUA_STATE,
    fs.list(w.env.DRLUA_STATE .. "/runs")[1])
  local size = fs.stat(path).size
  for _, page in ipairs { size // 4096 // 2, size // 4096 - 2 } do
    assert(fs.overwrite(path, page * 4096, ("\xff"):rep(4096)))
  end
  local r = w.run { "verify", "last" }
  t.equal(r.code, 1)
  t.contains(r.out, "it is damaged")
  local kept = fs.read((path:gsub("journal.db$", "report.md")))
  for _, verb in ipairs { "show", "report" } do
    r = w.run { verb, "last" }
    t.equal(r.code, 0, r.err)
    t.contains(r.err, "drlua: warning: the journal of run ")
    t.contains(r.out, "Step 1")
    t.contains(r.out, "Step 60")
    t.ok(not r.out:find("drlua resume", 1, true), r.out)
  end
  t.equal(fs.read((path:gsub("journal.db$", "report.md"))), kept)
  r = w.run { "resume", "last" }
  t.equal(r.code, 2)
  t.contains(r.err, "it is damaged")
end)

t.test("a journal of the older format is not proved, and says when its chain begins", function()
  local w = program.workspace {}
  local path = w.env.DRLUA_STATE .. "/runs/old"
  assert(os.execute(("mkdir -p '%s'"):format(path)))
  local text = assert(fs.read("tests/golden/format1/failed.sql"))
  local db = assert(sqlite.open(path .. "/journal.db"))
  assert(db:exec(text))
  db:close()
  local r = w.run { "verify", "old" }
  t.equal(r.code, 1)
  t.contains(r.out, "written by an older drlua, without hashes")
end)
