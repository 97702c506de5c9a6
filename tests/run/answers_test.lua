-- run.answers: which call in doubt each --settle means, and what it makes of that call.
local t = require "harness"
local answers = require "run.answers"
local dr = require "drlua"
local live = require "live"

local test = live.test

-- A run that failed with three calls in doubt: "a", "b" and "c", the last two in steps of
-- the same name.
local function in_doubt(start, w)
  local function sends(step, name, after)
    return function()
      dr.step(step, function()
        dr.sleep(after)
        w:change(name)
      end)
    end
  end
  local run = start(function()
    dr.parallel { sends("Pay", "a", 1),
      function() dr.step("Here", sends("Wire", "b", 2)) end,
      function() dr.step("There", sends("Wire", "c", 3)) end }
  end)
  t.equal(run:begin().outcome, "failed")
  return run
end

local function lost() return live.world { a = { "lost" }, b = { "lost" }, c = { "lost" } } end

local function keys_of(history)
  local keys = {}
  for i, doubt in ipairs(history:doubts()) do keys[i] = doubt.call.key end
  return keys
end

test("a call is named by its key, its step's path or name", function(start)
  local one = start(function()
    dr.step("Outer", function()
      dr.step("Pay", function() live.world { a = { "lost" } }:change "a" end)
    end)
  end)
  one:begin()
  local history = one:history()
  local key = keys_of(history)[1]
  for _, name in ipairs { key, "Outer/Pay", "Pay" } do
    for _, word in ipairs { "done", "again" } do
      t.equal(answers.read(history, { name .. "=" .. word }, "r"), { [key] = word }, name)
    end
  end
  t.equal(answers.read(history, { "again" }, "r"), { [key] = "again" })
  t.equal(answers.read(history, nil, "r"), {})
end)

test("what answers no call, or more than one, is refused, and the calls are named",
  function(start)
  local run = in_doubt(start, lost())
  local history = run:history()
  local keys = keys_of(history)
  t.equal(#keys, 3)
  for word, why in pairs {
    ["Pay=maybe"] = "it is CALL=done or CALL=again", ["Pay"] = "it is CALL=done or CALL=again",
    [""] = "it is CALL=done or CALL=again", ["Pay="] = "it is CALL=done or CALL=again",
    ["done"] = "does not name one call in doubt", ["Wire=done"] = "does not name one call in doubt",
    ["Here=done"] = "does not name one call in doubt",
    ["=done"] = "does not name one call in doubt",
    ["Fly=again"] = "does not name one call in doubt",
  } do
    local e = t.raises(nil, answers.read, history, { word }, "r7")
    t.equal(e.kind, "usage", word)
    t.contains(e.message, "--settle " .. word)
    t.contains(e.message, why)
    for i, key in ipairs(keys) do
      t.contains(e.message, ("'%s' (%s)"):format(key, ({ "a", "b", "c" })[i]))
    end
  end
  t.equal(answers.read(history, { "Pay=done", keys[3] .. "=again" }, "r7"),
    { [keys[1]] = "done", [keys[3]] = "again" })
end)

test("where no call is in doubt a bare word answers nothing, and a name is refused",
  function(start)
  local run = start(function() dr.step("S", function() dr.fail "x" end) end)
  run:begin()
  t.equal(answers.read(run:history(), { "done" }, "r"), {})
  t.contains(t.raises(nil, answers.read, run:history(), { "S=done" }, "r7").message,
    "run r7 has no call in doubt")
end)

test("done: not sent again; again: sent again under its token; each for its own call",
  function(start)
  for _, case in ipairs {
    { "done", "done", "done", { "a", "b", "c" } },
    { "again", "done", "again", { "a", "b", "c", "a", "c" } },
    { "done", "again", "done", { "a", "b", "c", "b" } },
  } do
    local w = lost()
    local run = in_doubt(start, w)
    local words = {}
    for i, key in ipairs(keys_of(run:history())) do words[i] = key .. "=" .. case[i] end
    t.equal(run:resume({ settle = words }).outcome, "succeeded")
    t.equal(w.sent, case[4])
    for i = 4, #w.sent do
      t.equal(w.tokens[i], w.tokens[("abc"):find(w.sent[i])], "the same call again")
    end
    t.equal(keys_of(run:history()), {})
  end
end)

test("a refused word leaves the run as it was: nothing is written or sent", function(start)
  local w = lost()
  local run = in_doubt(start, w)
  local entries, sent = #run:entries(), #w.sent
  t.raises("does not name one call", run.resume, run, { settle = { "Wire=done" } })
  t.equal({ #run:entries(), #w.sent, run:status() }, { entries, sent, "failed" })
end)
