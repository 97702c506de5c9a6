-- Journals of every released format: shown, approved, resumed to their end.
local t = require "harness"
local golden = require "golden"
local journal = require "run.journal"
local fs = require "native.fs"

-- name -> its state, the lines of the world by then, what is typed, with the code of each,
-- and the lines that the world has got by the end.
local runs = {
  failed = { status = "failed", before = 2, typed = { { 0, "resume", "last" } },
    after = { "opaque after" } },
  killed = { status = "stopped", before = 2, typed = { { 0, "resume", "last" } },
    after = { "opaque after" } },
  paused = { status = "paused", before = 1, after = { "opaque promote" },
    typed = { { 4, "resume", "last" }, { 0, "approve", "last", "Promote" },
      { 0, "resume", "last" } } },
  parallel = { status = "stopped", before = 3, after = { "opaque after" },
    typed = { { 4, "resume", "last" },
      { 0, "resume", "last", "--settle", "parallel.1/Left again/process=done" } } },
}

local function lines_of(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do table.insert(list, line) end
  return list
end

local function events(w)
  local j = journal.open(w.path .. "/journal.db", { readonly = true })
  local list = j:events()
  j:close()
  return list
end

for _, format in ipairs(golden.formats) do
  for name, run in pairs(runs) do
    t.test(("%s, %s: shown, resumed, nothing done "
      .. "twice, a whole chain in the end"):format(format, name), function()
      local w = golden.workspace(format, name)
      t.contains(w.run({ "runs" }).out, run.status)
      local r = w.run { "show", "last" }
      t.equal(r.code, 0, r.err)
      t.equal(r.err, "")
      t.contains(w.run({ "report", "last" }).out, "# Golden: " .. name)
      local kept, world = events(w), lines_of(fs.read(w.world))
      t.equal(#world, run.before)
      for _, typed in ipairs(run.typed) do
        r = w.run({ table.unpack(typed, 2) }, { env = { GO = "1" } })
        t.equal(r.code, typed[1], r.out .. r.err)
      end
      t.equal(table.move(run.after, 1, #run.after, #world + 1, world), lines_of(fs.read(w.world)))
      r = w.run { "verify", "last" }
      t.equal(r.code, 0, r.out .. r.err)
      for i, event in ipairs(events(w)) do
        if not kept[i] then break end
        event.seq = kept[i].seq
        t.equal(event, kept[i])
      end
    end)
  end

  t.test(format .. ": who approves leaves the journal in its "
    .. "format; its next owner does not", function()
    local w = golden.workspace(format, "paused")
    t.equal(w.run({ "approve", "last", "Promote" }).code, 0)
    t.equal(fs.stat(w.path .. "/head"), nil)
    local r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    t.ok(fs.stat(w.path .. "/head"))
    t.equal(w.run({ "verify", "last" }).code, 0)
  end)

  t.test(format .. ": stopped in the middle of the change of format, or two at once", function()
    local w = golden.workspace(format, "paused")
    local path = w.path .. "/journal.db"
    local before = events(w)
    local function open()
      local j = journal.open(path)
      t.cleanup(function() j:close() end)
      return j
    end
    local who = { pid = 1, host = "h" }
    local a, b, c = open(), open(), open()
    a.store:before_upgrade()
    t.equal(events(w), before)
    t.raises("given up", function()
      a:together(function()
        a:own(who)
        a:add("note", "", {})
        error("given up")
      end)
    end)
    t.equal(events(w), before)
    a:own(who)
    t.equal(t.raises("another process worked on the run", b.own, b, who).kind, "locked")
    t.raises("to a newer format in the meantime", c.add, c, "approved", "Promote", {})
    t.equal(#a:events(), #before)
    t.equal(open():proof().fault, nil)
  end)

  t.test(format .. ": a journal whose write-ahead log is missing is not called new", function()
    local w = golden.workspace(format, "killed")
    local j = journal.open(w.path .. "/journal.db")
    j:close()
    local empty = require("native.sqlite").open(w.path .. "/journal.db")
    assert(empty:exec("DELETE FROM events; DELETE FROM meta; DELETE FROM sources"))
    empty:close()
    for _, verb in ipairs { "resume", "show" } do
      local r = w.run { verb, "last" }
      t.equal(r.code, 2)
      t.contains(r.err, "journal.db-wal")
      t.ok(not r.err:find("start a new", 1, true) and not r.err:find("traceback", 1, true), r.err)
    end
  end)
end
