-- run.replay: what a resume and a rollback get of the steps on record.
local t = require "harness"
local dr = require "drlua"
local live = require "live"

local test = live.test

test("an ended step hands its end back, whatever it was, and does nothing", function(start)
  for what, case in pairs {
    values = { {}, function() return 1, nil, { x = "y" } end, { 1, nil, { x = "y" }, n = 3 } },
    nothing = { {}, function() end, { n = 0 } },
    done = { { done = function() return true, "there" end }, nil, { "there", n = 1 } },
    condition = { { when = false }, nil, { n = 0 } },
    skipped = { {}, function() dr.skip "no need" end, { n = 0 } },
  } do
    local runs, got, broken = 0, nil, true
    local run = start(function()
      got = table.pack(dr.step("S", case[1], function()
        runs = runs + 1
        return case[2]()
      end))
      if broken then dr.fail "later" end
    end)
    t.equal(run:begin().outcome, "failed")
    t.equal(got, case[3], what)
    broken, got = false, nil
    t.equal(run:resume().outcome, "succeeded")
    t.equal({ got, runs }, { case[3], case[2] and 1 or 0 }, what .. " again")
  end
end)

test("an optional step that failed hands back nil and its error, and is not tried again",
  function(start)
  local runs, got, broken = 0, nil, true
  local run = start(function()
    local value, e = dr.step("S", { optional = true }, function()
      runs = runs + 1
      dr.fail "no zone"
    end)
    got = { value == nil, e.kind, e.message }
    if broken then dr.fail "later" end
  end)
  run:begin()
  local first = got
  broken, got = false, nil
  t.equal(run:resume().outcome, "succeeded")
  t.equal({ first, got, runs }, { { true, "failed", "no zone" }, { true, "failed", "no zone" }, 1 })
end)

test("a secret that a step handed back is itself again", function(start)
  local got, broken = nil, true
  local run = start(function()
    got = dr.step("Draw", function() return { password = dr.secret "hunter2-hunter2" } end)
    if broken then dr.fail "later" end
  end)
  run:begin()
  for _, event in ipairs(run:entries()) do
    t.ok(not tostring(event.data):find("hunter2", 1, true), "in the journal: " .. event.kind)
  end
  t.equal(got, { password = "hunter2-hunter2" })
  broken, got = false, nil
  t.equal(run:resume().outcome, "succeeded")
  t.equal(got, { password = "hunter2-hunter2" })
end)

test("an edited playbook: another step, one put in, and two changed places are refused",
  function(start)
  for what, edited in pairs { another = { "A", "X" }, put_in = { "X", "A", "B" },
    places = { "B", "A" } } do
    for _, inside in ipairs { false, true } do
      local w, names, broken = live.world(), { "A", "B" }, true
      local run = start(function()
        local function all()
          for _, name in ipairs(names) do dr.step(name, function() w:change(name) end) end
          if broken then dr.fail "later" end
        end
        if inside then dr.step("Outer", all) else all() end
      end)
      run:begin()
      names, broken = edited, false
      local result = run:resume()
      t.equal({ result.outcome, w.sent }, { "failed", { "A", "B" } }, what)
      t.contains(result.message, "the playbook has changed since the run began")
      t.contains(result.message, "--accept-changes")
      local accepted = run:resume { accept_changes = true }
      t.equal(accepted.outcome, "succeeded", what)
      t.equal(#w.sent, what == "places" and 2 or 3, what)
    end
  end
end)

test("steps not on record are asked about once in each scope, not once a step", function(start)
  local asked, names, broken = 0, { "A", "B" }, true
  local run = start(function()
    for _, name in ipairs(names) do dr.step(name, function() end) end
    if broken then dr.fail "later" end
  end)
  run:begin()
  names, broken = { "X", "Y", "Z" }, false
  t.equal(run:resume({ accept_changes = true, operator = { confirm = function()
    asked = asked + 1
    return "yes"
  end } }).outcome, "succeeded")
  t.equal(asked, 1)
end)

test("a rollback's replay goes no further than what was done, and does none of it",
  function(start)
  for what, last in pairs { failed = function() dr.fail "no" end, none = false } do
    local w, log, ran, beyond = live.world(), {}, 0, 0
    local run = start(function()
      local got = dr.step("A", { undo = function(r) table.insert(log, r) end }, function()
        ran = ran + 1
        return w:change "a"
      end)
      t.equal(got, "a 1")
      dr.step("Outer", function()
        ran = ran + 1
        dr.step("In", { undo = function(r) table.insert(log, r) end },
          function() return w:change "b" end)
        if last then dr.step("Last", last) end
      end)
      if not last then dr.fail "between" end
      beyond = beyond + 1
    end)
    t.equal(run:begin().outcome, "failed")
    local before = ran
    t.equal(run:rollback().outcome, "rolled back", what)
    t.equal({ log, w.sent, beyond }, { { "b 1", "a 1" }, { "a", "b" }, 0 }, what)
    t.equal(ran - before, 1, "only the step with steps inside is gone through")
  end
end)
