-- A journal on a bad disk: every byte of a journal and of its write-ahead log is damaged
-- once, both are cut at every page. It is refused, or nothing of it was lost.
local t = require "harness"
local control = require "run.control"
local errors = require "errors"
local fs = require "native.fs"
local journal = require "run.journal"
local sys = require "native.sys"

-- Nothing here needs to survive a power cut.
if fs.stat "/dev/shm" then sys.setenv("TMPDIR", "/dev/shm") end

-- Under the sanitizers only every n-th byte.
local STRIDE = sys.exe():find("/asan/", 1, true) and 53 or 1

local NAMES = { "journal.db", "journal.db-wal", "head" }

local function directory()
  local path = assert(fs.tempdir "drlua-test-")
  t.cleanup(function() fs.remove_tree(path) end)
  return path
end

local function snapshot(path)
  local files = {}
  for _, name in ipairs(NAMES) do files[name] = fs.read(path .. "/" .. name) end
  return files
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function restore(path, files)
  for _, name in ipairs(NAMES) do
    if files[name] then
      write(path .. "/" .. name, files[name])
    else
      fs.remove(path .. "/" .. name)
    end
  end
  fs.remove(path .. "/journal.db-shm")
end

local function fill(j, from, to, together)
  for i = from, to, together do
    j:together(function()
      for n = i, math.min(to, i + together - 1) do j:add("step_succeeded", "S" .. n, { n = n }) end
    end)
  end
end

-- A journal of 200 entries. where: "log" (all of it in the write-ahead log), "database",
-- or "both".
local function journal_of(where)
  local path = directory()
  local j = journal.create(path .. "/journal.db")
  j:together(function()
    j:own { pid = 1, host = "h", start_time = "1" }
    j:meta("run", { id = "x", title = "Damage" })
    j:meta("status", "running")
    j:keep_source("/a.lua", ("return 1 -- a playbook\n"):rep(20))
  end)
  if where == "both" then
    fill(j, 1, 100, 100)
    j:close()
    j = journal.open(path .. "/journal.db")
    fill(j, 101, 196, 48)
  else
    fill(j, 1, 196, 98)
  end
  local newest, files = j.newest, snapshot(path)
  j:close()
  if where == "database" then files = snapshot(path) end
  return path, files, newest
end

-- Opens it for writing: "refused" or "whole"; anything else fails the test.
local function look(path, newest, what)
  local ok, j = pcall(journal.open, path .. "/journal.db")
  if ok then
    t.equal({ j.newest.seq, j.newest.hash }, { newest.seq, newest.hash }, what)
    j:close()
    return "whole"
  end
  local e = errors.from(j)
  if control.of(e) ~= "journal" or not e.message:find("cannot be used", 1, true) then
    error(what .. ": " .. tostring(e), 0)
  end
  return "refused"
end

local function count(counts, outcome) counts[outcome] = (counts[outcome] or 0) + 1 end

for _, where in ipairs { "database", "log", "both" } do
  t.test(("every byte damaged once, the entries in %s: refused, or whole"):format(where), function()
    local path, files, newest = journal_of(where)
    t.equal(newest.seq, 200)
    local counts, stride = {}, where == "both" and 7 * STRIDE or STRIDE
    restore(path, files)
    for _, name in ipairs(NAMES) do
      local text = files[name] or ""
      for at = 0, #text - 1, stride do
        local byte = text:byte(at + 1)
        assert(fs.overwrite(path .. "/" .. name, at, string.char(byte ~ (1 << at % 8))))
        local outcome = look(path, newest, ("byte %d of %s"):format(at, name))
        count(counts, outcome)
        if outcome == "whole" then
          restore(path, files)
        else
          assert(fs.overwrite(path .. "/" .. name, at, string.char(byte)))
        end
      end
    end
    t.equal(look(path, newest, "in the end"), "whole")
    t.ok(counts.refused > 0 and counts.whole > 0)
    print(("# %s: %d refused, %d harmless"):format(where, counts.refused, counts.whole))
  end)

  t.test(("cut at every page, the entries in %s: refused, or whole"):format(where), function()
    local path, files, newest = journal_of(where)
    local refused = 0
    for _, name in ipairs { "journal.db", "journal.db-wal" } do
      local text = files[name] or ""
      local size = name == "journal.db" and 4096 or 4120
      local first = name == "journal.db" and 0 or 32
      local cuts = { 0, first }
      for at = first, #text - 1, size do
        for _, cut in ipairs { at, at + 1, at + size // 2, at + size - 1 } do
          table.insert(cuts, cut)
        end
      end
      for _, cut in ipairs(#text > 0 and cuts or {}) do
        restore(path, files)
        write(path .. "/" .. name, text:sub(1, cut))
        if look(path, newest, ("%s cut at %d"):format(name, cut)) == "refused" then
          refused = refused + 1
        end
      end
    end
    t.ok(refused > 5, "refused: " .. refused)
  end)
end

t.test("the log of another moment, or of another journal, is not taken for its own", function()
  local path, files, newest = journal_of "both"
  local _, others = journal_of "both"
  local _, all = journal_of "log"
  for what, mixed in pairs {
    ["another's log"] = { ["journal.db"] = files["journal.db"],
      ["journal.db-wal"] = others["journal.db-wal"],
      head = files.head },
    ["another's database"] = { ["journal.db"] = others["journal.db"],
      ["journal.db-wal"] = files["journal.db-wal"],
      head = files.head },
    ["another's head"] = { ["journal.db"] = files["journal.db"],
      ["journal.db-wal"] = files["journal.db-wal"],
      head = all.head },
    ["no log"] = { ["journal.db"] = files["journal.db"], head = files.head },
    ["no head"] = { ["journal.db"] = files["journal.db"],
      ["journal.db-wal"] = files["journal.db-wal"] },
  } do
    restore(path, mixed)
    t.equal(look(path, newest, what), "refused", what)
  end
end)
