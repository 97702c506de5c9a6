--- Random histories: a playbook, what becomes of each sending in the world, and what
-- operators and accidents do between and in the sessions. The same seed gives the same
-- history.
--
--   program   list of steps { kind = "step", name, items, retries, optional, undo, partial,
--             timeout, goal (ids of its calls), waits } and { kind = "parallel", branches };
--             items are calls { kind = "call", id, sort, caught, depends (its input is
--             what the step was told before) }, reads { kind = "read", name }, steps, and
--             { kind = "skip" }, which ends its step as skipped
--   outcomes  call id -> list of outcomes (world.lua)
--   answers   call id -> list of what the operator answers: "done" "again" "truth" "none"
--   choices   path of a step -> list of choices after its failures
--   sessions  list of { verb, kill, operator, answers, lose, from, skip }
local generate = {}

-- A generator of our own, so that nothing else that draws numbers changes a history.
local function dice(seed)
  local state = seed * 2 + 1
  local function roll(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
  for _ = 1, 3 do roll(2) end
  return {
    roll = roll,
    chance = function(percent) return roll(100) <= percent end,
    pick = function(list) return list[roll(#list)] end,
  }
end

local SORTS = { "token", "token", "rule", "rule", "repeatable", "none", "none", "message" }
local OUTCOMES = { "ok", "ok", "refused", "lost+", "lost-", "late+", "late-", "hang+", "hang-" }

local function new_call(d, made, sort)
  made.calls = made.calls + 1
  local call = { kind = "call", id = ("c%d"):format(made.calls), sort = sort or d.pick(SORTS),
    caught = d.chance(25) or nil, depends = d.chance(40) or nil }
  local outcomes, answers = {}, {}
  while d.chance(45) and #outcomes < 4 do table.insert(outcomes, d.pick(OUTCOMES)) end
  for i = 1, 4 do answers[i] = d.pick { "truth", "truth", "done", "again", "none" } end
  made.history.outcomes[call.id], made.history.answers[call.id] = outcomes, answers
  return call
end

local function undo_of(d, made)
  if d.chance(40) then return nil end
  if d.chance(10) then return false end
  local items = {}
  for i = 1, d.roll(3) - 1 do items[i] = new_call(d, made) end
  return items
end

local new_step

local function goal_of(step)
  local ids = {}
  for _, item in ipairs(step.items) do
    if item.kind == "call" then table.insert(ids, item.id) end
  end
  return #ids > 0 and ids or nil
end

local function new_items(d, made, depth, sort)
  local items, nested = {}, false
  for i = 1, d.roll(4) - 1 do
    if d.chance(25) then
      items[i] = { kind = "read", name = "r" .. i }
    elseif depth < 2 and not sort and d.chance(15) then
      items[i], nested = new_step(d, made, depth + 1), true
    else
      items[i] = new_call(d, made, sort)
    end
  end
  if not sort and d.chance(5) then table.insert(items, { kind = "skip" }) end
  return items, nested
end

function new_step(d, made, depth, in_parallel)
  made.steps = made.steps + 1
  local step = { kind = "step", name = ("S%d"):format(made.steps), optional = d.chance(10) or nil }
  local with_goal = not in_parallel and d.chance(15)
  local nested
  step.items, nested = new_items(d, made, depth, with_goal and "goal" or nil)
  step.goal = with_goal and goal_of(step) or nil
  step.waits = step.goal and d.chance(70) or nil
  step.retries = d.chance(40) and d.roll(2) or nil
  step.undo = undo_of(d, made)
  step.partial = step.undo and d.chance(40) or nil
  step.timeout = not nested and not in_parallel and depth == 1 and d.chance(30) or nil
  return step
end

local function new_parallel(d, made)
  local node = { kind = "parallel", branches = {} }
  for i = 1, d.roll(2) + 1 do
    node.branches[i] = {}
    for k = 1, d.roll(2) do node.branches[i][k] = new_step(d, made, 2, true) end
  end
  return node
end

local CHOICES = { "retry", "retry", "retry", "skip", "undo", "stop" }

--- What the engine calls the n-th dr.parallel of a scope.
function generate.parallel_name(n) return n == 1 and "parallel" or "parallel#" .. n end

local function each_step(nodes, prefix, fn)
  local parallels = 0
  for _, node in ipairs(nodes) do
    if node.kind == "parallel" then
      parallels = parallels + 1
      local name = generate.parallel_name(parallels)
      for i, branch in ipairs(node.branches) do
        each_step(branch, ("%s%s.%d/"):format(prefix, name, i), fn)
      end
    elseif node.kind == "step" then
      fn(prefix .. node.name, node)
      each_step(node.items, prefix .. node.name .. "/", fn)
    end
  end
end

local function new_session(d, made)
  local session = { verb = d.chance(75) and "resume" or "rollback", answers = d.chance(80),
    operator = d.chance(20) }
  if d.chance(45) then
    session.kill = { moment = d.pick { "before", "after" }, write = d.roll(16) }
  end
  if d.chance(15) and made.calls > 0 then session.lose = "c" .. d.roll(made.calls) end
  if d.chance(12) then session.from = d.roll(made.steps) end
  if d.chance(8) then session.skip = d.roll(made.steps) end
  return session
end

--- The history of a seed.
function generate.history(seed)
  local d = dice(seed)
  local history = { seed = seed, program = {}, outcomes = {}, answers = {}, choices = {},
    sessions = {} }
  local made = { calls = 0, steps = 0, history = history }
  for i = 1, d.roll(3) do
    history.program[i] = d.chance(20) and new_parallel(d, made) or new_step(d, made, 1)
  end
  each_step(history.program, "", function(path)
    history.choices[path] = {}
    for i = 1, 4 do history.choices[path][i] = d.pick(CHOICES) end
  end)
  for i = 1, d.roll(7) do history.sessions[i] = new_session(d, made) end
  return history
end

-- As text ---------------------------------------------------------------------------

local lines_of

local function line_of(node, indent, history)
  local words = { indent .. node.kind, node.id or node.name or "", node.sort }
  for _, key in ipairs { "optional", "partial", "retries", "timeout", "waits", "caught",
    "depends" } do
    if node[key] then table.insert(words, ("%s=%s"):format(key, tostring(node[key]))) end
  end
  if node.goal then table.insert(words, ("goal={%s}"):format(table.concat(node.goal, ","))) end
  for _, key in ipairs { "outcomes", "answers" } do
    local list = node.id and history[key][node.id] or {}
    if #list > 0 then table.insert(words, ("%s={%s}"):format(key, table.concat(list, ","))) end
  end
  if node.undo == false then table.insert(words, "undo=false") end
  return table.concat(words, " ")
end

function lines_of(nodes, indent, history, lines)
  for _, node in ipairs(nodes) do
    table.insert(lines, line_of(node, indent, history))
    lines_of(node.items or {}, indent .. "  ", history, lines)
    for i, branch in ipairs(node.branches or {}) do
      table.insert(lines, ("%s  branch %d"):format(indent, i))
      lines_of(branch, indent .. "    ", history, lines)
    end
    if node.undo then
      table.insert(lines, indent .. "  undo")
      lines_of(node.undo, indent .. "    ", history, lines)
    end
  end
end

--- A history as lines of text.
function generate.text(history)
  local lines = {}
  lines_of(history.program, "  ", history, lines)
  for path, list in pairs(history.choices) do
    if #list > 0 then
      table.insert(lines, ("  choices at %s: %s"):format(path, table.concat(list, ",")))
    end
  end
  for i, plan in ipairs(history.sessions) do
    local words = { ("  session %d %s"):format(i, plan.verb) }
    if plan.kill then
      table.insert(words, ("kill %s %d"):format(plan.kill.moment, plan.kill.write))
    end
    for _, key in ipairs { "answers", "operator", "lose", "from", "skip" } do
      if plan[key] then table.insert(words, ("%s=%s"):format(key, tostring(plan[key]))) end
    end
    table.insert(lines, table.concat(words, " "))
  end
  return table.concat(lines, "\n")
end

-- Smaller histories ------------------------------------------------------------------

local function without(list, i)
  local copy = table.move(list, 1, #list, 1, {})
  table.remove(copy, i)
  return copy
end

local function with(t, key, value)
  local copy = {}
  for k, v in pairs(t) do copy[k] = v end
  copy[key] = value
  return copy
end

local smaller_nodes

-- Calls found(copy) for every node that is a little less than this one.
local function smaller_node(node, found)
  for _, key in ipairs { "optional", "partial", "retries", "timeout", "undo", "goal", "caught",
    "depends" } do
    local copy = with(node, key, nil)
    copy.partial = copy.undo and copy.partial or nil
    if node[key] ~= nil then found(copy) end
  end
  for _, key in ipairs { "undo", "items" } do
    if node[key] then
      smaller_nodes(node[key], function(list) found(with(node, key, list)) end)
    end
  end
  for i, branch in ipairs(node.branches or {}) do
    if #node.branches > 1 then found(with(node, "branches", without(node.branches, i))) end
    smaller_nodes(branch, function(list)
      found(with(node, "branches", with(node.branches, i, list)))
    end)
  end
end

function smaller_nodes(nodes, found)
  for i in ipairs(nodes) do found(without(nodes, i)) end
  for i, node in ipairs(nodes) do
    smaller_node(node, function(copy) found(with(nodes, i, copy)) end)
  end
end

local function smaller_lists(history, name, found)
  for key, list in pairs(history[name]) do
    if #list > 0 then
      found(with(history, name, with(history[name], key, {})))
      for i in ipairs(list) do
        found(with(history, name, with(history[name], key, without(list, i))))
      end
    end
  end
end

--- Calls found(copy) for every history that is a little smaller than this one.
function generate.smaller(history, found)
  for i in ipairs(history.sessions) do
    found(with(history, "sessions", without(history.sessions, i)))
  end
  smaller_nodes(history.program, function(nodes) found(with(history, "program", nodes)) end)
  for i, session in ipairs(history.sessions) do
    for _, key in ipairs { "kill", "operator", "lose", "from", "skip" } do
      if session[key] then
        found(with(history, "sessions", with(history.sessions, i, with(session, key, nil))))
      end
    end
  end
  smaller_lists(history, "outcomes", found)
  smaller_lists(history, "answers", found)
  smaller_lists(history, "choices", found)
end

return generate
