-- run.proof: what is missing or changed is named, by whichever of the two notices it.
local t = require "harness"
local chain = require "run.chain"
local entries = require "run.store.sqlite"
local fs = require "native.fs"
local head = require "run.store.head"
local journal = require "run.journal"
local program = require "program"
local proof = require "run.proof"
local sqlite = require "native.sqlite"
local sys = require "native.sys"

-- Nothing here needs to survive a power cut.
if fs.stat "/dev/shm" then sys.setenv("TMPDIR", "/dev/shm") end

local COUNT = 6 -- entries of such a journal

-- A closed journal's path.
local function kept(count)
  local path = program.directory() .. "/journal.db"
  local j = journal.create(path)
  for i = 1, count or COUNT do j:add("note", "S", { n = i }) end
  j:close()
  return path
end

local function sql(path, text)
  local db = assert(sqlite.open(path))
  assert(db:exec(text))
  db:close()
end

local function looking(path, fn)
  local store = entries.open(path, { readonly = true })
  local result = table.pack(pcall(fn, store))
  store:close()
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

local function note(path, seq, hash)
  assert(head.create(path:match("^(.*)/") .. "/head", seq, hash))
end

local function hash_of(path, seq)
  return looking(path, function(store) return store:after(seq - 1)[1].hash end)
end

-- name -> what is done to a journal, the entry that is named, a part of the sentence, and
-- a part of what a glance says (nil: it does not see it).
local cases = {
  whole = { function() end },
  ["a note that lags"] = { function(path) note(path, 4, hash_of(path, 4)) end },
  ["a note from before the first entry"] = { function(path) note(path, 0, chain.START) end },
  ["no note"] = { function(path) fs.remove((path:gsub("journal.db$", "head"))) end, nil,
    "the file head next to it is missing", "is missing" },
  ["a note that cannot be read"] = { function(path)
    assert(fs.write((path:gsub("journal.db$", "head")), "x")) end, nil, "cannot be read",
    "cannot be read" },
  ["the end is lost"] = { function(path) sql(path, "DELETE FROM entries WHERE seq > 4") end, 5,
    "its newest entry is number 4, and the file head next to it notes 6: the last 2 are missing",
    "damaged or missing" },
  ["everything is lost"] = { function(path) sql(path, "DELETE FROM entries") end, 1,
    "the last 6 are missing", "damaged or missing" },
  ["everything, and the note says none"] = { function(path)
    sql(path, "DELETE FROM entries")
    note(path, 0, chain.START)
  end, nil, "it holds no entries" },
  ["a note of another journal"] = { function(path) note(path, 6, ("a"):rep(64)) end, 6,
    "entry 6 is not the one that the file head", "damaged or missing" },
  ["a note of an older state of another one"] = { function(path)
    note(path, 3, ("a"):rep(64)) end, 3, "entry 3 is not the one", "damaged or missing" },
  ["one is changed"] = { function(path)
    sql(path, "UPDATE entries SET data = '{\"n\":7}' WHERE seq = 3") end, 3,
    "entry 3 does not fit" },
  ["one is left out"] = { function(path) sql(path, "DELETE FROM entries WHERE seq = 2") end, 2,
    "entry 2 is missing" },
  ["one is changed and the end is lost"] = { function(path)
    sql(path, "UPDATE entries SET path = 'T' WHERE seq = 3; DELETE FROM entries WHERE seq > 4")
  end, 3, "entry 3 does not fit", "damaged or missing" },
}

t.test("each fault by its first entry and its sentence; what is whole has none", function()
  for name, case in pairs(cases) do
    local path = kept()
    case[1](path)
    local rows, fault = looking(path, proof.read)
    t.equal(type(rows), "table")
    t.equal(fault and fault.entry, case[2], name)
    t.equal(fault ~= nil, case[3] ~= nil, name)
    if fault then t.contains(fault.text, case[3]) end
  end
end)

t.test("a glance sees what is wrong with the end, and never what is not", function()
  for name, case in pairs(cases) do
    local path = kept()
    case[1](path)
    local said = looking(path, proof.glance)
    t.equal(said ~= nil, case[4] ~= nil, name)
    if said then t.contains(said, case[4]) end
  end
end)

t.test("a fault is refused: nothing is sent, and the sentence says what helps", function()
  for name, case in pairs(cases) do
    local path = kept()
    case[1](path)
    if case[3] then
      local e = t.raises("Nothing was sent", journal.open, path)
      t.equal({ e.kind, e.control, e.cause }, { "control", "journal", "damaged" }, name)
      for _, part in ipairs { case[3], path, "drlua verify" } do t.contains(e.message, part) end
    else
      journal.open(path):close()
    end
  end
end)

t.test("of format 1 a gap is seen, and that nothing is there", function()
  local rows = { { seq = 1 }, { seq = 2 }, { seq = 3 } }
  local function fault(list, meta)
    local store = { format = 1, marked = function() return nil, "missing" end,
      after = function() return list end, meta = function() return meta end }
    t.equal(proof.glance(store), nil)
    local read, found = proof.read(store)
    t.equal(read, list)
    return found
  end
  t.equal(fault(rows, "{}"), nil)
  t.equal(fault({ rows[1], rows[3] }, "{}"), { entry = 2, text = "entry 2 is missing" })
  t.equal(fault({ rows[2], rows[3] }, "{}").entry, 1)
  t.contains(fault({}, "{}").text, "it holds no entries")
  t.contains(fault(rows, nil).text, "it holds no entries")
end)

t.test("the note is read before the entries: one that comes meanwhile is no fault", function()
  local path = kept(2)
  local j = journal.open(path)
  t.cleanup(function() j:close() end)
  local _, fault = looking(path, function(store)
    for _, name in ipairs { "marked", "after" } do
      local read = store[name]
      store[name] = function(...)
        local found = read(...)
        j:add("note", "S", {})
        return found
      end
    end
    return proof.read(store)
  end)
  t.equal(fault, nil)
end)
