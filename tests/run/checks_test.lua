-- run.checks: dr.check, its verdicts, and what is on record of one after a resume.
local t = require "harness"
local dr = require "drlua"
local facts = require "run.facts"
local live = require "live"
local value = require "run.value"

local test = live.test

-- What the journal has of the checks: { name, outcome, detail } each.
local function recorded(run)
  local list = {}
  for _, event in ipairs(run:entries()) do
    if event.kind == "check" then
      local data = value.decode(event.data)
      table.insert(list, { data.name, data.outcome, data.detail or "" })
    end
  end
  return list
end

test("the verdict, by what the function ends with", function(start)
  for _, case in ipairs {
    { function() end, "passed", "" },
    { function() return true end, "passed", "" },
    { function() return "3 rows" end, "passed", "3 rows" },
    { function() return 7 end, "passed", "" },
    { function() return nil end, "failed", "it does not hold" },
    { function() return false end, "failed", "it does not hold" },
    { function() return false, "2 rows are missing" end, "failed", "2 rows are missing" },
    { function() return nil, 12 end, "failed", "12" },
    { function() dr.fail "cannot be read" end, "failed", "cannot be read" },
    { function() dr.skip "no replica" end, "skipped", "no replica" },
  } do
    local after
    local run = start(function()
      dr.check("Sound", case[1])
      after = true
    end)
    local result = run:begin()
    t.equal(recorded(run), { { "Sound", case[2], case[3] } })
    t.equal(result.outcome, case[2] == "failed" and "failed" or "succeeded")
    t.equal(after, case[2] ~= "failed" or nil, "what follows a failed check")
    if case[2] == "failed" then
      t.contains(result.message, ('check "Sound" failed: %s'):format(case[3]))
    end
  end
end)

test("passed: true; skipped: nil; the same on a resume, without asking again", function(start)
  local asked, got, broken = {}, nil, true
  local function ask(name, fn)
    return dr.check(name, function()
      table.insert(asked, name)
      return fn()
    end)
  end
  local run = start(function()
    got = { ask("A", function() return true end) == true,
      ask("B", function() dr.skip "x" end) == nil, ask("A", function() return true end) == true,
      dr.step("S", function() return ask("A", function() end) end) }
    if broken then dr.fail "later" end
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal({ asked, got }, { { "A", "B", "A", "A" }, { true, true, true, true } })
  broken, got = false, nil
  t.equal(run:resume().outcome, "succeeded")
  t.equal({ #asked, got }, { 4, { true, true, true, true } })
  t.equal(#recorded(run), 4)
end)

test("a failed check is asked again by a resume, and its new verdict takes its place",
  function(start)
  local answers = { false, false, true }
  local run = start(function()
    dr.check("Sound", function() return table.remove(answers, 1), "not yet" end)
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal(run:resume().outcome, "failed")
  t.equal(run:resume().outcome, "succeeded")
  local j = run.state:open_run(run.id, { readonly = true })
  local found = facts.read(j)
  j:close()
  t.equal({ #found.checks, found.checks[1].outcome }, { 1, "passed" })
end)

test("a rollback's replay takes the verdicts on record, failed ones too", function(start)
  for _, verdict in ipairs { true, false } do
    local w, asked, undone = live.world(), 0, {}
    local run = start(function()
      dr.step("A", { undo = function() table.insert(undone, "A") end },
        function() w:change "a" end)
      dr.try(dr.check, "Sound", function()
        asked = asked + 1
        return verdict
      end)
      dr.step("B", { undo = function() table.insert(undone, "B") end },
        function() w:change "b" end)
    end)
    t.equal(run:begin().outcome, "succeeded")
    t.equal(run:rollback().outcome, "rolled back")
    t.equal({ asked, undone }, { 1, { "B", "A" } })
  end
end)

test("a check in a step counts as the step's: its risk, and its end", function(start)
  local w, asked = live.world(), 0
  local run = start(function()
    dr.step("Look", { risk = "read" }, function()
      dr.check("Reads", function() return w:read() == 1 end)
    end)
    dr.step("S", { risk = "read", retries = 1 }, function()
      dr.check("Changes", function()
        asked = asked + 1
        w:change "a"
      end)
    end)
  end)
  local result = run:begin()
  t.equal({ result.outcome, w.sent, asked }, { "failed", {}, 2 })
  t.contains(result.message, 'step "S" has risk = "read", and a changes something')
end)
