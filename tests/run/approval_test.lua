-- run.approval: who must agree, what they are shown, and what counts as one person.
local approval = require "run.approval"
local control = require "run.control"
local dr = require "drlua"
local errors = require "errors"
local facts = require "run.facts"
local fs = require "native.fs"
local journal = require "run.journal"
local program = require "program"
local secrets = require "run.secrets"
local session = require "run.session"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

local function keep(directory)
  local path = directory .. "/journal.db"
  local j = fs.stat(path) and journal.open(path) or journal.create(path)
  j:meta("run", { id = "x", title = "Test", path = "a.lua", started = 0, user = "root",
    host = "h" })
  return j
end

-- A run of one step that asks for approval; fields: of the session. Returns true or the
-- error, the facts of its journal, and the events.
local function run(directory, options, fields)
  local j, events = keep(directory), {}
  local made = { id = "x", nonce = "n", journal = j, secrets = secrets.new(),
    playbook = { title = "Test" },
    params = { replica = "shop-dr" }, user = "ann", host = "h",
    out = function(e) table.insert(events, e) end }
  for k, v in pairs(fields or {}) do made[k] = v end
  made.history = require("run.history").read(j)
  local s = session.new(made)
  s.approvals_seen = { approved = s.history.last, refused = s.history.last }
  local effects = 0
  local ok, e = s:execute(function()
    dr.step("Burn", options, function() effects = effects + 1 end)
  end)
  local found = facts.read(j)
  j:close()
  return ok or e, found, events, effects
end

local function give(directory, by, account, answer)
  local j = keep(directory)
  approval.give(j, "Burn", { by = by, account = account, host = "h" }, answer)
  j:close()
end

local function text_of(events)
  for _, e in ipairs(events) do
    if e.event == "approval_needed" then return e.text end
  end
end

-- A person at the terminal who says these words, one a question.
local function person(words)
  return { ask_approval = function()
    task.sleep(0.01)
    return table.remove(words, 1)
  end, forget = function() end, wait_for_others = function() end }
end

t.test("the text is found out when it is asked for, in every form of approve", function()
  local n = 0
  local function now(p)
    n = n + 1
    return ("%s lags %d s"):format(p.replica, n)
  end
  for _, wish in ipairs { now, { text = now }, { text = now, people = 2 } } do
    n = 0
    local directory = program.directory()
    local options = { risk = "irreversible", approve = wish }
    local e, found, events = run(directory, options)
    t.equal(control.of(e), "pause")
    t.equal(e.reason, "approval")
    t.equal(text_of(events), "shop-dr lags 1 s")
    t.equal(found.asked.Burn.text, "shop-dr lags 1 s")
    -- Asked again, it is found out again.
    local _, _, again = run(directory, options)
    t.equal(text_of(again), "shop-dr lags 2 s")
  end
end)

t.test("what was shown is kept with the approval", function()
  local directory, lag = program.directory(), 0
  local options = { approve = function()
    lag = lag + 10
    return "lag " .. lag
  end }
  run(directory, options)
  run(directory, options)
  give(directory, "bob", "bob")
  local ok, found, _, effects = run(directory, options)
  t.equal(ok, true)
  t.equal(effects, 1)
  t.equal(found.accepted.Burn, { step = "Burn", by = { "bob" }, text = "lag 20" })
  local _, at_once = run(program.directory(), options, { assume_yes = true })
  t.equal(at_once.accepted.Burn.text, "lag 40")
end)

t.test("a function that fails: the approval says that, and why, and is still asked for", function()
  for _, case in ipairs { { function() error("the region is silent") end, "the region is silent" },
    { function() errors.raise { kind = "timeout", message = "no answer" } end, "no answer" },
    { function() end, "returned nil, not a text" },
    { function() return "  " end, "returned nothing, not a text" },
    { function() return { 1 } end, "returned table, not a text" },
    { function() return nil .. "" end, "attempt to concatenate a nil value" } } do
    local e, _, events = run(program.directory(), { approve = case[1] })
    t.equal(control.of(e), "pause")
    t.contains(text_of(events),
      "step \"Burn\" cannot be taken back; how things stand now could not be found out: ")
    t.contains(text_of(events), case[2])
  end
end)

t.test("a function may only read", function()
  local gate = require "run.gate"
  gate.install()
  t.cleanup(function() require("effect").install(nil) end)
  local happened
  local _, _, events = run(program.directory(), { approve = function()
    require("effect").perform({ kind = "process", what = "run rm" }, function() happened = true end)
    return "done"
  end })
  t.equal(happened, nil)
  t.contains(text_of(events), "could not be found out: ")
  t.contains(text_of(events), "run rm changes something")
end)

t.test("a pause or an interrupt inside the function is not swallowed", function()
  local e = run(program.directory(),
    { approve = function() control.raise("interrupt", "interrupted") end })
  t.equal(control.of(e), "interrupt")
end)

t.test("one account is one person, whatever names it gives", function()
  local cases = {
    { { { "ann", "ann" }, { "bob", "ann" } }, 0 }, -- two names, one account
    { { { "ann", "ann" }, { "ann", "ann" } }, 0 },
    { { { "ann", "ann" } }, 0 },
    { { { "ann", "ann" }, { "bob", "bob" } }, 1 },
    { { { "boss", "ann" }, { "boss", "bob" } }, 1 },
  }
  for i, case in ipairs(cases) do
    local directory = program.directory()
    local options = { approve = { people = 2 } }
    run(directory, options)
    for _, given in ipairs(case[1]) do give(directory, given[1], given[2]) end
    local e, _, _, effects = run(directory, options)
    t.equal(effects, case[2], "case " .. i)
    t.equal(control.of(e), case[2] == 0 and "pause" or nil)
  end
end)

t.test("--yes is one person, by all ways", function()
  local options = { approve = { people = 2 } }
  local directory = program.directory()
  local e, _, _, effects = run(directory, options, { assume_yes = true })
  t.equal(control.of(e), "pause")
  t.contains(e.message, "1 of 2 people have agreed")
  t.equal(effects, 0)
  -- Nor --yes again, nor the same account by another way.
  e = run(directory, options, { assume_yes = true })
  t.equal(control.of(e), "pause")
  give(directory, "somebody else", "ann")
  e = run(directory, options, { assume_yes = true })
  t.equal(control.of(e), "pause")
  give(directory, "bob", "bob")
  local ok, found, _, done = run(directory, options, { assume_yes = true })
  t.equal(ok, true)
  t.equal(done, 1)
  t.equal(#found.accepted.Burn.by, 3)
  -- At a terminal it waits for the other one, and does not ask its own person twice.
  directory = program.directory()
  local other = task.spawn(function()
    while not fs.stat(directory .. "/journal.db") do task.sleep(0.01) end
    task.sleep(0.1)
    give(directory, "bob", "bob")
  end)
  local words = { "yes" }
  ok = run(directory, options, { assume_yes = true, operator = person(words) })
  other:wait()
  t.equal(ok, true)
  t.equal(words, { "yes" })
  -- One is enough where one is asked for.
  t.equal((run(program.directory(), { approve = true }, { assume_yes = true })), true)
end)

t.test("a rehearsal has nobody else to ask", function()
  sys.setenv("DRLUA_REHEARSAL", "1")
  t.cleanup(function() sys.setenv("DRLUA_REHEARSAL", nil) end)
  t.equal((run(program.directory(), { approve = { people = 2 } }, { assume_yes = true })), true)
end)

t.test("approvals of a journal from before accounts were kept count by their names", function()
  local directory = program.directory()
  local options = { approve = { people = 2 } }
  run(directory, options)
  local j = keep(directory)
  for _, name in ipairs { "ann", "ann", "bob" } do
    j:add("approved", "Burn", { by = name, host = "h" })
  end
  j:close()
  t.equal((run(directory, options)), true)
end)

t.test("a refusal by anybody fails the run", function()
  local options = { approve = true }
  local e = run(program.directory(), options, { operator = person { "no" } })
  t.equal(control.of(e), "refused")
  t.contains(e.message, "was refused by ann")
  local directory = program.directory()
  local other = task.spawn(function()
    task.sleep(0.1)
    give(directory, "bob", "bob", "no")
  end)
  e = run(directory, options, { operator = person {} })
  other:wait()
  t.contains(e.message, "was refused by bob")
end)

t.test("what approve may be", function()
  for _, case in ipairs { { 5, "approve is true, a text, a function" },
    { { text = 5 }, "approve.text is a text" }, { { people = 0 }, "approve.people is the number" },
    { { people = "2" }, "approve.people is the number" },
    { { deadline = "soon" }, "approve.deadline: " },
    { { txt = "x" }, "unknown field txt of approve; did you mean" } } do
    local e = t.raises(nil, approval.wanted, "Burn", { approve = case[1] })
    t.contains(e.message, case[2])
    t.equal(e.kind, "misuse")
  end
  t.equal(approval.wanted("Burn", { approve = false, risk = "irreversible" }), nil)
end)

t.test("approved elsewhere: how things stand as the step begins is noted, once", function()
  local directory, lag = program.directory(), 0
  local options = { approve = function()
    lag = lag + 10
    return "lag " .. lag
  end }
  run(directory, options)
  give(directory, "bob", "bob")
  local ok, found = run(directory, options)
  t.equal(ok, true)
  t.equal(found.notes[1].text, "as the approved step begins: lag 20")
  t.equal(found.accepted.Burn.text, "lag 10")
end)

t.test("the question names who has agreed so far", function()
  local directory, options = program.directory(), { approve = { people = 3 } }
  run(directory, options)
  give(directory, "bob", "bob")
  give(directory, "eve", "eve")
  local _, _, events = run(directory, options)
  for _, e in ipairs(events) do
    if e.event == "approval_needed" then t.equal({ e.given, e.by }, { 2, { "bob", "eve" } }) end
  end
end)
