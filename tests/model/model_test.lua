-- The engine and the model of its rules (model.lua) on random histories: kills at every
-- kind of write, lost and late answers, retries, resumes, rollbacks, operators.
--
-- A failing seed is played again by `drlua script tests/model/run.lua SEED`.
local t = require "harness"
local generate = require "model.generate"
local histories = require "model.histories"
local model = require "model.model"
local sys = require "native.sys"
local world = require "model.world"

local HISTORIES = tonumber(sys.getenv("DRLUA_HISTORIES") or "2000")

t.test(("%d random histories: the engine does what the model says"):format(HISTORIES), function()
  for seed = 1, HISTORIES do
    local history = generate.history(seed)
    local ok, e = histories.play(history)
    t.ok(ok, ok or ("seed %d: %s\n%s"):format(seed, tostring(e), generate.text(history)))
  end
end)

-- The comparison must be able to fail: engines that break a rule are found out.
local function found_out(break_rule)
  for seed = 1, 500 do
    local history = generate.history(seed)
    local restore = break_rule()
    local ok, e = pcall(histories.play, history)
    restore()
    if not ok or not e then return true end
  end
  return false
end

t.test("an engine that breaks a rule is found out", function()
  local calls, settle, undo = require "run.calls", require "run.settle", require "run.undo"
  local function instead(module, name, fn)
    return function()
      local former = module[name]
      module[name] = function(...) return fn(former, ...) end
      return function() module[name] = former end
    end
  end
  local broken = {
    ["never asks"] = instead(settle, "decide", function() return "again", nil, "guessed" end),
    ["never looks"] = instead(settle, "look", function() return nil end),
    ["takes a failure for an answer"] = instead(settle, "doubtful", function() return false end),
    ["leaves what was caught"] = instead(calls, "settle_pending", function() end),
    ["undoes nothing"] = instead(undo, "met", function() end),
  }
  for what, break_rule in pairs(broken) do
    t.ok(found_out(break_rule), "an engine that " .. what .. " passes for a right one")
  end
end)

t.test("the same seed is the same history", function()
  t.equal(generate.text(generate.history(77)), generate.text(generate.history(77)))
  t.ok(generate.text(generate.history(77)) ~= generate.text(generate.history(78)))
end)

-- What the model promises of every history, without the engine: an effect that took place
-- twice was allowed to, by the author's word or the operator's.
t.test("the model itself: no second effect but by somebody's word", function()
  for seed = 1, 2000 do
    local history = generate.history(seed)
    local w = world.new(history.outcomes)
    local m = model.new(history, w)
    local sorts = {}
    local function note(nodes)
      for _, node in ipairs(nodes) do
        -- With another input it is another call.
        if node.sort then sorts[node.id] = node.depends and "message" or node.sort end
        for _, inner in ipairs { node.items or {}, node.undo or {} } do note(inner) end
        for _, branch in ipairs(node.branches or {}) do note(branch) end
      end
    end
    note(history.program)
    -- Unattended: nobody answers.
    for _ = 1, 4 do m:session { given = {} } end
    for id, n in pairs(w.effects) do
      -- A goal that is not reached says "again", though another call of it may be missing.
      local allowed = sorts[id] == "repeatable" or sorts[id] == "message" or sorts[id] == "goal"
      t.ok(n == 1 or allowed, ("seed %d: %s (%s) took effect %d times"):format(seed, id, sorts[id],
        n))
    end
  end
end)
