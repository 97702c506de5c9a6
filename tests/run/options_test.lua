-- run.options: the options of a step, refused where they are wrong, else in plain form.
local t = require "harness"
local dr = require "drlua"
local live = require "live"
local options_of = require "run.options"

local function nothing() end

local function check(options) return options_of.check("S", options, nothing) end

t.test("what is wrong is refused with the step's name and what it should be", function()
  for _, case in ipairs {
    { { budgte = "1m" }, "unknown option budgte.*budget" },
    { { [1] = "x" }, "unknown option 1 " },
    { { done = true }, "option done is a function, not a boolean" },
    { { goal = "x" }, "option goal is a function, not a string" },
    { { optional = "yes" }, "option optional is a boolean, not a string" },
    { { repeatable = 1 }, "option repeatable is a boolean, not a number" },
    { { fresh_calls = 1 }, "option fresh_calls is a boolean, not a number" },
    { { partial = 1 }, "option partial is a boolean, not a number" },
    { { risk = "high" }, 'risk is "read", "reversible" or "irreversible", not high' },
    { { risk = false }, "risk is .*, not false" },
    { { budget = "soon" }, 'option budget: "soon" is no duration' },
    { { timeout = -1 }, "option timeout: %-1 is no duration" },
    { { within = {}, goal = nothing }, "option within: a table is no duration" },
    { { within = "1m" }, "option within belongs to `goal`; there is none" },
    { { goal = nothing, done = nothing }, "takes `goal` or `done`, not both" },
    { { retries = -1 }, "option retries is a number, or" },
    { { retries = 1.5 }, "option retries is a number, or" },
    { { retries = "3" }, "option retries is a number, or" },
    { { retries = { every = "1s" } }, "option retries is a number, or" },
    { { retries = { times = 2, every = "x" } }, "option every: " },
    { { retries = { times = -2 } }, "option retries is a number, or" },
    { { undo = "x" }, "option undo is a function.*not a string" },
    { { undo = { "x", partial = true } }, "option undo is a function.*not a string" },
    { { partial = true }, "option partial says what `undo` can do; there is no undo" },
    { { partial = true, undo = false }, "there is no undo" },
    { { undo = { partial = true } }, "there is no undo" },
    { { approve = 1 }, "approve is true, a text" },
  } do
    local e = t.raises(case[2], check, case[1])
    t.equal(e.kind, "misuse")
    t.contains(e.message, 'step "S"')
  end
end)

t.test("name, options and function are what they must be", function()
  for _, case in ipairs {
    { "a step needs a name", "", {}, nothing }, { "a step needs a name", nil, {}, nothing },
    { "its options are a table, not a string", "S", "x", nothing },
    { "its last argument is the function to run, not a nil", "S", {} },
  } do
    t.equal(t.raises(case[1], options_of.check, case[2], case[3], case[4]).kind, "misuse")
  end
end)

t.test("plain form: seconds, counts, one shape of undo; the playbook's table stays", function()
  local given = { budget = "1m", timeout = "2h", goal = nothing, within = 90,
    retries = { times = 3, every = "30s" }, undo = { nothing, partial = true } }
  local plain = check(given)
  t.equal({ plain.budget, plain.timeout, plain.within, plain.retries, plain.partial },
    { 60, 7200, 90, { times = 3, every = 30 }, true })
  t.equal(plain.undo, nothing)
  t.equal({ given.budget, given.undo[1], given.partial }, { "1m", nothing, nil })
  t.equal(check({}).retries, { times = 0 })
  t.equal(check({ retries = 2 }).retries, { times = 2 })
  t.equal(check({ undo = { nothing } }).partial, nil)
  t.equal(check({ undo = false }).undo, false)
  t.equal(check({ risk = "irreversible" }).approve, { people = 1 })
  t.equal(check({ risk = "irreversible", approve = false }).approve, nil)
end)

t.test("what is shown of them can be written down, and says whether there is an undo", function()
  for _, case in ipairs { { { undo = nothing }, true }, { { undo = false }, false },
    { {}, nil } } do
    t.equal(options_of.shown(check(case[1])).undo, case[2])
  end
  t.equal(options_of.shown(check { budget = "1m", risk = "irreversible", optional = true,
    done = nothing, when = nothing, undo = { nothing, partial = true } }),
    { budget = 60, risk = "irreversible", optional = true, approve = true, undo = true,
    partial = true })
end)

live.test("a step with a wrong option does nothing, whatever it is in", function(start)
  for what, around in pairs { run = function(fn) fn() end,
    step = function(fn) dr.step("Outer", { retries = 2, optional = true }, fn) end,
    branch = function(fn) dr.parallel { fn } end,
  } do
    local w = live.world()
    local run = start(function()
      around(function() dr.step("S", { retires = 1 }, function() w:change "a" end) end)
    end)
    local result = run:begin()
    t.equal({ w.sent, run:history().steps.S }, { {}, nil }, what)
    if what ~= "step" then t.contains(result.message, "did you mean retries") end
  end
end)
