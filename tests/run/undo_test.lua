-- run.undo: a rollback undoes what a run changed, newest first, and names what it leaves.
local t = require "harness"
local dr = require "drlua"
local live = require "live"

local test = live.test

-- A step that changes something; its undo notes its name and what it is handed.
local function changing(w, log, name, options, more)
  local all = { undo = function(...) table.insert(log, { name, ... }) end }
  for k, v in pairs(options or {}) do all[k] = v end
  return dr.step(name, all, function()
    local answer = w:change(name)
    if more then more() end
    return answer
  end)
end

local function names_of(log)
  local names = {}
  for i, entry in ipairs(log) do names[i] = entry[1] end
  return names
end

test("newest first, with what each step handed back; nothing is sent again", function(start)
  local w, log = live.world(), {}
  local run = start(function()
    for _, name in ipairs { "A", "B", "C" } do changing(w, log, name) end
  end)
  run:begin()
  t.equal(run:rollback().outcome, "rolled back")
  t.equal(log, { { "C", "C 1" }, { "B", "B 1" }, { "A", "A 1" } })
  t.equal(w.sent, { "A", "B", "C" })
end)

test("a step that changed nothing, and one whose changes were refused, are not undone",
  function(start)
  local w, log = live.world { A = { "refused" } }, {}
  local run = start(function()
    changing(w, log, "A", { optional = true })
    dr.step("Read", { undo = function() table.insert(log, { "Read" }) end },
      function() w:read() end)
    changing(w, log, "B")
  end)
  run:begin()
  t.equal(run:rollback().outcome, "rolled back")
  t.equal(names_of(log), { "B" })
end)

test("nested steps, branches and a failure between steps", function(start)
  local w, log = live.world(), {}
  local run = start(function()
    dr.step("Outer", { undo = function() table.insert(log, { "Outer" }) end }, function()
      changing(w, log, "Inner")
    end)
    dr.parallel {
      function() changing(w, log, "P1") end,
      function() changing(w, log, "P2") end,
    }
    dr.fail "between steps"
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal(run:rollback().outcome, "rolled back")
  t.equal(names_of(log), { "P2", "P1", "Outer", "Inner" })
end)

test("an undo inside is found past reads, waits and clocks of the step around it", function(start)
  local w, log = live.world(), {}
  local run = start(function()
    dr.step("Outer", function()
      w:read()
      w:change "a"
      w:read() -- after the first change, and before a step inside
      dr.now()
      dr.wait_until("it is so", function() return true end)
      changing(w, log, "Inner")
    end)
  end)
  run:begin()
  local reads = w.reads
  local result = run:rollback()
  t.equal(names_of(log), { "Inner" })
  t.equal(result.outcome, "partly rolled back")
  t.equal(w.reads, reads, "nothing is read in the replay")
end)

test("a failed step is undone where its undo says it can, with nil and the kept reads",
  function(start)
  for _, partial in ipairs { false, true } do
    local w, log = live.world(), {}
    local run = start(function()
      local function undo(result, reads) table.insert(log, { result, reads and reads[1] }) end
      dr.step("S", { undo = { undo, partial = partial } }, function()
        local before = w:read()
        w:change "a"
        dr.fail("after " .. before)
      end)
    end)
    run:begin()
    local result = run:rollback()
    t.equal(result.outcome, partial and "rolled back" or "partly rolled back")
    t.equal(#log, partial and 1 or 0)
    if partial then t.equal({ log[1][1], log[1][2] }, { nil, 1 }) end
    if not partial then t.contains(result.message, 'a (step "S")') end
  end
end)

test("a step that failed and was passed over is undone only by such an undo", function(start)
  for _, partial in ipairs { false, true } do
    local w, log = live.world(), {}
    local run = start(function()
      changing(w, log, "S", { partial = partial or nil }, function() dr.fail "half" end)
    end)
    run:begin()
    t.equal(run:resume { skip = "S", because = "done by hand" }.outcome, "succeeded")
    t.equal(run:rollback().outcome, partial and "rolled back" or "partly rolled back")
    t.equal(names_of(log), partial and { "S" } or {})
  end
end)

test("what is left is named: no undo; not where undo = false, nor a message", function(start)
  local w, log = live.world(), {}
  local run = start(function()
    changing(w, log, "A")
    dr.step("B", function() w:change "b" end)
    dr.step("C", { undo = false }, function() w:change "c" end)
    dr.step("D", function()
      w:change("d", { kind = "aws", service = "sns", operation = "Publish" })
    end)
  end)
  run:begin()
  local result = run:rollback()
  t.equal({ result.outcome, result.code }, { "partly rolled back", 1 })
  t.contains(result.message, '1 call is left to undo by hand: b (step "B")')
  t.equal(names_of(log), { "A" })
end)

test("an undo that fails stops the rollback; resume continues it, never the run", function(start)
  local w, log, broken = live.world(), {}, true
  local run = start(function()
    changing(w, log, "A")
    changing(w, log, "B", { undo = function()
      if broken then dr.fail "not now" end
      table.insert(log, { "B" })
    end })
    changing(w, log, "C")
    dr.fail "the end"
  end)
  run:begin()
  t.equal(run:rollback().outcome, "failed")
  t.equal(run:status(), "rolling back")
  t.equal(names_of(log), { "C" })
  broken = false
  t.equal(run:resume().outcome, "rolled back")
  t.equal(names_of(log), { "C", "B", "A" })
  t.equal(w.sent, { "A", "B", "C" })
end)

test("killed at every write, a rollback comes to the same end", function(start)
  for write = 1, 12 do
    for _, moment in ipairs { "before", "after" } do
      local w = live.world()
      local run = start(function()
        for _, name in ipairs { "A", "B" } do
          dr.step(name, { undo = function() w:change("undo " .. name, { repeatable = true }) end },
            function() w:change(name) end)
        end
      end)
      run:begin()
      run:rollback { kill = { moment = moment, write = write } }
      if run:status() == "rolling back" then run:resume() end
      t.equal(run:status(), "rolled back")
      t.equal({ w.sent[1], w.sent[2], w.sent[3] }, { "A", "B", "undo B" })
      t.equal(w.sent[#w.sent], "undo A")
    end
  end
end)

test("an undo at the terminal: the step's calls are new ones when it is done again", function(start)
  local w, log, failed = live.world(), {}, false
  local run = start(function()
    changing(w, log, "S", { partial = true }, function()
      if failed then return end
      failed = true
      dr.fail "half"
    end)
    changing(w, log, "T")
  end)
  local operator = { ask_failure = function() return "undo" end, stop = function()
    dr.skip "stopped" -- ends the step, as a stop does
  end, forget = function() end }
  run:begin { operator = operator }
  t.equal(names_of(log), { "S" })
  local result = run:resume()
  t.equal(result.outcome, "succeeded", result.message)
end)

test("done again with --from, each generation is undone once", function(start)
  local w, log = live.world(), {}
  local run = start(function()
    changing(w, log, "A")
    changing(w, log, "B")
    dr.fail "the end"
  end)
  run:begin()
  run:resume { from = "B" }
  t.equal(w.sent, { "A", "B", "B" })
  t.equal(run:rollback().outcome, "rolled back")
  t.equal(names_of(log), { "B", "A" })
end)

test("a call in doubt may stand: it is undone, or named with its doubt", function(start)
  for _, partial in ipairs { false, true } do
    local w, log = live.world { S = { "lost" } }, {}
    local run = start(function() changing(w, log, "S", { partial = partial or nil }) end)
    run:begin()
    local result = run:rollback()
    t.equal(result.outcome, partial and "rolled back" or "partly rolled back")
    t.equal(#log, partial and 1 or 0)
    if not partial then
      t.contains(table.concat(run:told "note", "\n"), "which may or may not have taken effect")
    end
  end
end)

test("an undo that the operator skips undoes nothing", function(start)
  local w = live.world()
  local run = start(function()
    dr.step("S", { undo = function() dr.fail "stuck" end }, function() w:change("S") end)
    dr.fail "the end"
  end)
  run:begin()
  local operator = { ask_failure = function() return "skip", "by hand" end }
  t.equal(run:rollback({ operator = operator }).outcome, "partly rolled back")
end)

test("an undo at once that the operator skips leaves what the step did on record", function(start)
  local w = live.world()
  local run = start(function()
    dr.step("S", { undo = function() dr.fail "stuck" end, partial = true }, function()
      w:change("S")
      if #w.sent == 1 then dr.fail "half way" end
    end)
  end)
  local answers = { "undo", "skip" }
  local operator = { ask_failure = function() return table.remove(answers, 1), "by hand" end,
    stop = function() end }
  run:begin { operator = operator }
  t.equal(run:rollback({ operator = { ask_failure = function() return "skip", "x" end } }).outcome,
    "partly rolled back")
  t.equal(w.sent, { "S" })
end)
