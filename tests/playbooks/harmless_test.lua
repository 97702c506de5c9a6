-- Plan and check of every playbook that has a rehearsal, in its world, before and after
-- the disaster: no call that changes anything, no row changed, no program started but
-- those that are declared to read.
local fs = require "native.fs"
local program = require "program"
local stage = require "cli.stage"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

-- Programs that a playbook declares to read only, as they may be called.
local READING = { ["test -n whole"] = true }

local DIGEST = [[
select string_agg(format('%I.%I ', schemaname, tablename) || md5(query_to_xml(format('select * from %I.%I t order by t',
  schemaname, tablename), true, true, '')::text), ' ' order by schemaname, tablename)
from pg_tables where schemaname not in ('pg_catalog', 'information_schema')]]

-- What stands in the tables of every database that can be asked.
local function rows(s)
  local found = {}
  for _, regions in pairs(s.sim:inspect().rds or {}) do
    for region, kept in pairs(regions) do
      for id in pairs(s.sim.dead_regions[region] and {} or kept.instances or {}) do
        local dbname = s.sim:instance(id, { region = region }).shape.DBName
        found[region .. " " .. id] = s.sim:sql(id, DIGEST,
          { region = region, dbname = dbname }).rows[1][1]
      end
    end
  end
  return found
end

-- The world at rest: no writer writes, every replica has what its source has.
local function at_rest(s)
  for _, writer in pairs(s.sim.writers) do writer:stop() end
  local now = rows(s)
  repeat
    local before = now
    task.sleep(0.2)
    now = rows(s)
  until t.show(before) == t.show(now)
end

-- A directory of programs that write down how they are called, then do their work.
local function watched(directory, names)
  local bin, log = directory .. "/bin", directory .. "/started"
  assert(fs.mkdir(bin, 448))
  for _, name in ipairs(names) do
    assert(fs.write(bin .. "/" .. name,
      ('#!/bin/sh\necho "%s $*" >> %s\nPATH=${PATH#*:}\nexec env %s "$@"\n'):format(
      name, log, name), { mode = 448 }))
  end
  return bin .. ":" .. sys.getenv("PATH"), function()
    local list = {}
    for line in (fs.read(log) or ""):gmatch("[^\n]+") do table.insert(list, line) end
    return list
  end
end

local function try(s, path, verb, search)
  local arguments = s:arguments(path, {})
  arguments[1] = verb
  table.remove(arguments, 3) -- --yes
  local before = rows(s)
  local asked = #s.sim.calls:list()
  local run = s:play(arguments, { quiet = true, env = { PATH = search } })
  t.ok(run.code == 0 or verb == "check" and run.code == 3,
    ("%s: exit %s: %s"):format(verb, run.code, run.out))
  for _, call in ipairs(s.sim.calls:list()) do
    t.ok(not call.mutating, ("%s sent %s.%s"):format(verb, call.service, tostring(call.operation)))
  end
  t.ok(#s.sim.calls:list() > asked, verb .. " made reads")
  t.equal(rows(s), before, "rows after " .. verb)
end

for _, path in ipairs(assert(fs.glob("playbooks/*.lua"))) do
  local rehearsal = path:gsub("^playbooks/", "playbooks/rehearsals/")
  if fs.stat(rehearsal) then
    t.test(path .. ": plan and check change nothing", function()
      local directory = program.directory()
      local search, started = watched(directory,
        { "test", "kubectl", "helm", "velero", "terraform", "psql", "pg_dump",
        "pg_restore", "gpg", "aws", "sh" })
      assert(fs.mkdir(directory .. "/runs", 448))
      local s = stage.set(stage.read(rehearsal),
        { seed = 1, state = directory, log = function() end })
      t.cleanup(function() s:strike() end)
      at_rest(s)
      s.sim.calls:clear()
      for _, verb in ipairs { "plan", "check" } do try(s, path, verb, search) end
      s:begin_disasters()
      for _, verb in ipairs { "plan", "check" } do try(s, path, verb, search) end
      for _, line in ipairs(started()) do t.ok(READING[line], "a program was started: " .. line) end
      t.equal(fs.list(directory .. "/runs"), {}, "runs on record")
    end)
  end
end
