-- run.escalation: a step over its budget is reported once, and people are told before the end.
local t = require "harness"
local dr = require "drlua"
local live = require "live"
local task = require "task"

local test = live.test

-- How many overruns the journal has, and those that the outputs were told.
local function overruns(run)
  local n, told = 0, {}
  for _, event in ipairs(run:entries()) do n = n + (event.kind == "overrun" and 1 or 0) end
  for _, e in ipairs(run.events) do
    if e.overrun then table.insert(told, e.text) end
  end
  return n, told
end

test("over its budget, in one attempt or several: reported once, handed over once",
  function(start)
  for what, case in pairs {
    ["within"] = { "30s", 0, 0 }, ["one attempt"] = { "5m", 0, 1 },
    ["attempts together"] = { "40s", 2, 1 },
  } do
    local told, n = {}, 0
    local run = start(function()
      dr.step("Slow", { budget = "1m", retries = { times = case[2], every = "1s" } }, function()
        n = n + 1
        dr.sleep(case[1])
        if n <= case[2] then dr.fail "not yet" end
      end)
    end, { escalate = function(_, about) table.insert(told, about) end })
    t.equal(run:begin().outcome, "succeeded", what)
    local count, texts = overruns(run)
    t.equal({ count, #texts, #told }, { case[3], case[3], case[3] }, what)
    if case[3] == 1 then
      local text = 'step "Slow" is over its budget of 1m'
      t.equal({ told[1].step, told[1].budget, told[1].text, texts[1] }, { "Slow", 60, text, text })
      t.ok(told[1].elapsed >= 60 and told[1].elapsed < 70, "elapsed: " .. told[1].elapsed)
    end
  end
end)

test("without an escalation it is reported all the same", function(start)
  local run = start(function()
    dr.step("Slow", { budget = "1m" }, function() dr.sleep "5m" end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal(overruns(run), 1)
end)

test("the run's end waits for it, succeeded or failed; it is a step on record", function(start)
  for _, fails in ipairs { false, true } do
    local w, ended = live.world(), nil
    local run = start(function()
      dr.step("A/B", { budget = "1m" }, function()
        dr.sleep "61s"
        if fails then dr.fail "no" end
      end)
    end, { escalate = function()
      w:change "page"
      task.sleep(100)
      ended = true
    end })
    t.equal(run:begin().outcome, fails and "failed" or "succeeded")
    t.equal({ w.sent, ended }, { { "page" }, true })
    local found = {}
    for path, record in pairs(run:history().steps) do
      if path:find("^escalation/") then
        table.insert(found, record.name .. ": " .. record.status)
      end
    end
    t.equal(found, { "Escalate: A/B: succeeded" })
  end
end)

test("one that fails or hangs costs the run nothing but its own five minutes", function(start)
  for _, hangs in ipairs { false, true } do
    local from, till
    local run = start(function()
      dr.step("Slow", { budget = "1m" }, function() dr.sleep "61s" end)
    end, { escalate = function()
      from = dr.now()
      if hangs then task.sleep(86400) end
      dr.fail "the pager is down"
    end })
    local result = run:begin()
    till = run.session:now()
    t.equal(result.outcome, "succeeded")
    t.ok(till - from < 310, "it was given up")
    t.equal(#result.left.optional_failed, 1)
    t.contains(result.left.optional_failed[1].reason,
      hangs and "timeout of 5m" or "the pager is down")
  end
end)

test("a run that is being stopped does not wait for it", function(start)
  local ended, session = false, nil
  local run = start(function()
    dr.step("Slow", { budget = "1m" }, function() task.sleep(3600) end)
  end, { escalate = function()
    session:interrupt()
    task.sleep(200)
    ended = true
  end })
  local result = run:begin { on_session = function(s) session = s end }
  t.equal({ result.outcome, ended }, { "interrupted", false })
end)
