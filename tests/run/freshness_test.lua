-- run.freshness: the last check and the last rehearsal that count, and what is said of them.
local t = require "harness"
local freshness = require "run.freshness"
local fs = require "native.fs"
local program = require "program"
local store = require "run.store"
local sys = require "native.sys"

-- Nothing here needs to survive a power cut.
if fs.stat "/dev/shm" then sys.setenv("TMPDIR", "/dev/shm") end

-- A store, and a function that writes a file of its workspace and returns its path.
local function world()
  local directory = program.directory()
  local function write(name, text)
    assert(fs.write(directory .. "/" .. name, text))
    return fs.realpath(directory .. "/" .. name)
  end
  return store.open(directory .. "/state"), write, directory
end

local function loaded(path, environment, more)
  local sources = { [path] = fs.read(path) }
  for _, other in ipairs(more or {}) do sources[other] = fs.read(other) end
  return { path = path, environment_name = environment, sources = sources }
end

-- A run in the store. fields: path, rehearsal (default "1"), verdicts (lists of booleans,
-- one for each time it was judged), sources.
local function run(kept, fields)
  local id = kept:new_run()
  local j = kept:create(id)
  j:meta("run", { id = id, absolute_path = fields.path,
    rehearsal = fields.rehearsal == nil and "1" or fields.rehearsal or nil })
  j:keep_source(fields.path, fields.source or fs.read(fields.path))
  for i, verdict in ipairs(fields.verdicts or {}) do
    local expectations = {}
    for n, passed in ipairs(verdict) do expectations[n] = { name = "e" .. n, passed = passed } end
    j:add("rehearsal", "", { expectations = expectations, seed = i }, 1000 + i)
  end
  j:close()
  return id
end

t.test("a check is found by its playbook and environment, under any name of the file", function()
  local kept, write, directory = world()
  local a, b = write("a.lua", "return 1"), write("b.lua", "return 2")
  fs.mkdir(directory .. "/other", 448)
  local namesake = write("other/a.lua", "return 3")
  freshness.keep_check(kept, loaded(a), { ready = true, at = 100, by = "dora" })
  freshness.keep_check(kept, loaded(a, "prod"), { ready = false, at = 200,
    failed = { "Enough" } })
  assert(fs.symlink(a, directory .. "/link.lua"))
  t.equal(freshness.check(kept, a), { at = 100, ready = true, failed = {} })
  t.equal(freshness.check(kept, directory .. "/other/../a.lua"),
    { at = 100, ready = true, failed = {} })
  t.equal(freshness.check(kept, a, "prod"), { at = 200, ready = false, failed = { "Enough" } })
  for _, none in ipairs { { a, "test" }, { b }, { namesake }, { directory .. "/none.lua" } } do
    t.equal(freshness.check(kept, none[1], none[2]), nil)
  end
  freshness.keep_check(kept, loaded(a), { ready = false, at = 300, failed = {} })
  t.equal(freshness.check(kept, a), { at = 300, ready = false, failed = {} })
end)

t.test("edited since: the first file that is another one now, or is gone", function()
  local kept, write = world()
  local a, b, c = write("a.lua", "A"), write("b.lua", "B"), write("c.lua", "C")
  freshness.keep_check(kept, loaded(b, nil, { c, a }), { ready = true, at = 1 })
  local function edited() return freshness.check(kept, b).edited end
  t.equal(edited(), nil)
  write("c.lua", "C2")
  t.equal(edited(), c)
  fs.remove(a)
  t.equal(edited(), a)
  write("a.lua", "A")
  t.equal(edited(), c)
  write("c.lua", "C")
  t.equal(edited(), nil)
end)

t.test("a record that says nothing counts as no check", function()
  local kept, write = world()
  local path = write("a.lua", "A")
  local name
  local spy = { put = function(_, key) name = key end }
  freshness.keep_check(spy, loaded(path), { ready = true, at = 1 })
  for _, text in ipairs { "", "{", "7", '"x"', "[]", "{}", '{"at":"now"}', "\0\255" } do
    kept:put(name, text)
    t.equal(freshness.check(kept, path), nil, text)
  end
  kept:put(name, '{"at":5,"ready":true}')
  t.equal(freshness.check(kept, path), { at = 5, ready = true, failed = {} })
end)

t.test("the last rehearsal: of this playbook, that came to a verdict, and passed whole", function()
  local kept, write = world()
  local a, b = write("a.lua", "A"), write("b.lua", "B")
  t.equal(freshness.rehearsal(kept, a), nil)
  local passed = run(kept, { path = a, verdicts = { { true, true } } })
  local failed = run(kept, { path = a, verdicts = { { true, true }, { true, false } } })
  run(kept, { path = a })
  run(kept, { path = a, rehearsal = false, verdicts = { { true } } })
  local other = run(kept, { path = b, verdicts = { { true } }, source = "B before" })
  local broken = run(kept, { path = a, verdicts = { { true } } })
  assert(fs.write(kept:run(broken) .. "/journal.db", ("no journal "):rep(100)))
  local found = freshness.rehearsal(kept, a)
  t.equal({ found.run, found.passed, found.at, found.edited, found.verdict.seed },
    { failed, false, 1002.0, nil, 2 })
  found = freshness.rehearsal(kept, a, true)
  t.equal({ found.run, found.passed, found.at }, { passed, true, 1001.0 })
  found = freshness.rehearsal(kept, b)
  t.equal({ found.run, found.passed, found.edited }, { other, true, b })
  -- All at once, they are the same.
  local all = freshness.rehearsals(kept)
  t.equal({ all[a].run, all[b].run, all[a].passed, all[b].passed }, { failed, other, false, true })
end)

t.test("a store whose runs cannot be listed has no rehearsals", function()
  local path = program.directory()
  assert(fs.symlink("runs", path .. "/runs"))
  t.equal(freshness.rehearsal(store.look(path), "/a.lua"), nil)
end)

local DAY = 86400

t.test("as one line", function()
  local function checked(age, ready, more)
    local one = { at = 10 * DAY * 365 - age, ready = ready, failed = {} }
    for k, v in pairs(more or {}) do one[k] = v end
    return one
  end
  local function played(age, passed, more)
    local one = checked(age, nil, more)
    one.passed = passed
    return one
  end
  for _, case in ipairs {
    { nil, nil, "Never checked here; never rehearsed here." },
    { checked(0, true), nil, "Last checked just now: ready; never rehearsed here." },
    { checked(119, true), nil, "Last checked just now: ready; never rehearsed here." },
    { checked(120, true), nil, "Last checked 2 minutes ago: ready; never rehearsed here." },
    { checked(2 * 3600 - 1, true), nil,
      "Last checked 119 minutes ago: ready; never rehearsed here." },
    { checked(2 * DAY - 1, true), nil, "Last checked 47 hours ago: ready; never rehearsed here." },
    { checked(43 * DAY + 5, true, { edited = "/p/x.lua" }), played(2 * DAY, true),
      "Last checked 43 days ago: ready, edited since (x.lua); last rehearsed 2 days ago: passed." },
    { checked(1.5, false, { failed = { "A", "B" } }), played(7200.25, false,
      { edited = "/p/y.lua" }), "Last checked just now: not ready (A; B); "
      .. "last rehearsed 2 hours ago: failed, edited since (y.lua)." },
    { checked(0, false), nil, "Last checked just now: not ready; never rehearsed here." },
    -- A clock that was set back meanwhile.
    { checked(-DAY, true), nil, "Last checked just now: ready; never rehearsed here." },
  } do
    t.equal(freshness.line(case[1], case[2], 10 * DAY * 365), case[3])
  end
end)

t.test("as data: what is known, and nothing of what is not", function()
  t.equal(freshness.data(nil, nil), {})
  local check = { at = 1, ready = false, failed = { "A" }, edited = "/x", secret = "no" }
  local rehearsal = { at = 2, passed = true, run = "r", verdict = { a = 1 }, path = "/p" }
  t.equal(freshness.data(check, rehearsal), {
    checked = { at = 1, ready = false, failed = { "A" }, edited = "/x" },
    rehearsed = { at = 2, passed = true, run = "r" } })
end)
