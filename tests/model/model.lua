--- A model of what a run promises: plain Lua that states the rules, and nothing else.
--
-- It goes through a history (generate.lua) as the engine should, and says what each
-- session ends with, what the world was sent and under which tokens, what the playbook
-- saw, what is undone and what is left to do by hand. histories.lua holds the engine
-- against it. The record is changed by `write` alone, so that it is what a killed process
-- leaves. Tokens are names here: equal names stand for equal tokens.
local model = {}
model.__index = model

local DEAD = {}

-- The entries of the journal that change what a run does next.
local apply = {}

function model.new(history, world)
  return setmetatable({ history = history, world = world, steps = {}, placed = {}, seq = 0,
    readings = 0, seen = {}, asked = {}, chosen = {} }, model)
end

local function record_of(self, path)
  self.steps[path] = self.steps[path] or { path = path, attempts = 0, generation = 0, calls = {},
    sent = {}, reads = {} }
  return self.steps[path]
end

-- Writes one entry, unless the process dies before it; it may die after it.
local function write(self, kind, path, data)
  local death = self.death
  if death and death.left == 0 then error(DEAD, 0) end
  self.seq = self.seq + 1
  apply[kind](self, record_of(self, path), data or {})
  if death then
    death.left = death.left - 1
    if death.left == 0 and death.moment == "after" then error(DEAD, 0) end
  end
end

local function parents(self, path)
  return function()
    repeat path = path and path:match("^(.*)/[^/]*$") until not path or self.steps[path]
    return path and self.steps[path]
  end
end

local function place(self, r)
  if r.placed then return end
  r.placed = true
  table.insert(self.placed, r.path)
  local outer = parents(self, r.path)()
  if outer then outer.has_steps = true end
end

function apply.started(self, r, data)
  place(self, r)
  if r.status ~= "started" then r.newest = self.seq end
  r.attempts, r.status, r.node = data.attempt, "started", data.node
end

function apply.succeeded(self, r, data)
  r.status, r.result, r.newest = "succeeded", data.result, self.seq
end

function apply.failed(self, r, data)
  r.status, r.why, r.newest = "failed", data.why, self.seq
end

function apply.skipped(self, r, data)
  place(self, r)
  r.status, r.result, r.unfinished = "skipped", data.result, data.unfinished
  r.newest, r.node = self.seq, data.node
end

local function keep_reads(self, r, reads)
  for _, one in ipairs(reads or {}) do
    self.readings = self.readings + 1
    r.reads[one.key] = { value = one.value, attempt = r.attempts, seq = self.seq,
      number = self.readings }
  end
end

-- The values of the reads that a step kept, in the order they were made.
local function kept(r)
  local list, values = {}, {}
  for _, one in pairs(r.reads) do table.insert(list, one) end
  table.sort(list, function(a, b) return a.number < b.number end)
  for i, one in ipairs(list) do values[i] = one.value end
  return table.concat(values, ",")
end

function apply.intent(self, r, call)
  if r.calls[call.key] ~= call then table.insert(r.sent, call) end
  r.calls[call.key], call.result, call.attempt, r.newest = call, nil, r.attempts, self.seq
  r.changed = r.changed or self.seq
  for outer in parents(self, r.path) do outer.changed = outer.changed or self.seq end
  keep_reads(self, r, call.early)
end

function apply.result(self, r, data)
  local call = r.calls[data.key]
  call.result, call.attempt, r.newest = data, r.attempts, self.seq
end

function apply.reads(self, r, data) keep_reads(self, r, data) end

-- Rule 1: only the operator's word begins a new generation of calls.
function apply.again(_, r, data)
  r.status, r.generation, r.calls, r.reads, r.changed = "again", r.generation + 1, {}, {}, nil
  if data.undone then r.sent = {} end
end
function apply.retry(_, r) r.status = "again" end
function apply.skip(_, r) r.passed_over = true end
function apply.rollback_ended() end

-- What the playbook is told.
local function see(self, ...)
  if not self.rewinding then table.insert(self.seen, table.concat({ ... }, " ")) end
end

local function fail(why) error({ failure = why }, 0) end
local function control(word, fields)
  fields = fields or {}
  fields.control = word
  error(fields, 0)
end

local WEIGHT = { stop = 1, pause = 2, rewound = 4, diverged = 4 }
local function weight(e) return e.control and WEIGHT[e.control] or 3 end

-- Answers and choices of the operator: drawn beforehand, by whom and how often asked.
local function nth(list, counts, name)
  counts[name] = (counts[name] or 0) + 1
  return list and list[counts[name]]
end

--- What the operator answers when asked for the n-th time about this call: "done",
-- "again", or nil for no answer. `word` may be "truth": what really happened.
function model.answer(history, world, call, n)
  local word = (history.answers[call.id] or {})[n]
  if word == "none" then return nil end
  if word ~= "truth" then return word end
  return world.effects[call.id] and "done" or "again"
end

-- A call ---------------------------------------------------------------------------

local SORTS = {
  token = { name = "aws:token" }, rule = { name = "aws:rule", looked_for = true },
  goal = { name = "sql" },
  repeatable = { name = "process", again = true }, message = { name = "aws:message", again = true },
  none = { name = "http" },
}

-- Whether a rule sees the effect of a call: "stands", "absent", or nil where none can
-- tell. What had the name before was not made by the call.
local function look(self, call)
  if not SORTS[call.sort].looked_for then return nil end
  local ours = self.world:stands(call.id) and (call.result and call.result.answer or not call.there)
  return ours and "stands" or "absent"
end

local settle

-- Rule 3: what is in doubt is settled before the step changes anything else. The playbook
-- has dealt with the failure, so a plain refusal ends the matter.
local function settle_pending(self, st)
  while st and st.pending do
    local call = st.pending
    st.pending = nil
    if not call.result then
      local ok, e = pcall(settle, self, st, call)
      if not ok and (e == DEAD or e.control or not call.result) then error(e, 0) end
    end
  end
end

local function settle_around(self, st)
  settle_pending(self, st)
  if st.outer then settle_around(self, st.outer) end
end

local function answered(self, st, call, answer)
  write(self, "result", st.path, { key = call.key, answer = answer })
  return answer
end

local function refused(self, st, call, why, doubtful)
  write(self, "result", st.path, { key = call.key, why = why, doubtful = doubtful })
  fail(why)
end

-- The call leaves, its intent on record. unsure: an earlier sending may have taken effect.
local function send(self, st, call, unsure)
  settle_around(self, st)
  if call.there == nil then call.there = self.world:stands(call.id) end
  call.early, st.early = st.early, {}
  write(self, "intent", st.path, call)
  local what, answer = self.world:send(call, call.token)
  if what == "hang" and not st.node.timeout then what = "lost" end
  if what == "hang" then error({ failure = "timeout", late = true }, 0) end
  if self.yield then self.yield() end
  if what == "ok" then return answered(self, st, call, answer) end
  if what == "refused" then refused(self, st, call, "refused", unsure) end
  -- Doubtful. On the spot only a rule looks; what does no harm is an error like others.
  local verdict = look(self, call)
  if verdict == "stands" then return answered(self, st, call, call.id) end
  if verdict == "absent" then refused(self, st, call, "doubt") end
  if SORTS[call.sort].again then refused(self, st, call, "doubt", true) end
  st.pending = call
  fail "doubt"
end

local function ask(self, st, call)
  local word = self.given[call.id]
  self.given[call.id] = nil
  if word then return word end
  self.asked[call.id] = (self.asked[call.id] or 0) + 1
  if not self.operator then control("pause", { call = call.id, path = st.path }) end
  return model.answer(self.history, self.world, call, self.asked[call.id]) or "done"
end

-- A call in doubt: what it is answered, or it is sent again under its token.
function settle(self, st, call)
  local verdict = look(self, call)
  if verdict == "stands" then return answered(self, st, call, call.id) end
  if verdict == "absent" then return send(self, st, call) end
  if call.sort == "token" or SORTS[call.sort].again then return send(self, st, call, true) end
  if st.node.goal and st.node.waits then
    if self.world:reached(st.node.goal) then return answered(self, st, call, "settled") end
  elseif ask(self, st, call) == "done" then
    return answered(self, st, call, "settled")
  end
  return send(self, st, call)
end

-- What a call is made from: nothing, or all that the step was told so far.
local function input_of(st, item) return item.depends and table.concat(st.told, ",") or "" end

local function new_call(st, item, key, redo)
  local token = ("%s %d %s %d"):format(st.path, st.r.generation, key, redo)
  return { id = item.id, sort = item.sort, key = key, token = token, redo = redo,
    input = input_of(st, item) }
end

-- The step comes to a call with another input than is on record. An attempt that
-- continues is stopped; a new one makes another call, the former one being settled first.
local function make_changed(self, st, item, key, call)
  if call.attempt == st.attempt then control "diverged" end
  if not call.result and not SORTS[call.sort].again then
    local verdict = look(self, call)
    verdict = verdict or ask(self, st, call) == "done" and "stands" or "absent"
    if verdict == "stands" then answered(self, st, call, "settled") end
    if verdict == "absent" then write(self, "result", st.path, { key = key, why = "absent" }) end
  end
  return send(self, st, new_call(st, item, key, call.redo + 1))
end

-- Rules 1 and 2, for every way on which a step comes to a call.
local function make_call(self, st, item)
  local name = SORTS[item.sort].name
  st.counts[name] = (st.counts[name] or 0) + 1
  local key = name .. "#" .. st.counts[name]
  local call = st.r.calls[key]
  if self.rewinding and not (call and call.result) then control "rewound" end
  if not call then return send(self, st, new_call(st, item, key, 0)) end
  local result = call.result
  if not self.rewinding and call.input ~= input_of(st, item) then
    return make_changed(self, st, item, key, call)
  end
  if not result then
    st.pending = st.pending ~= call and st.pending or nil
    settle_around(self, st)
    return settle(self, st, call)
  end
  local same_attempt = call.attempt == st.attempt
  if same_attempt or self.rewinding then
    if result.why then fail(result.why) end
    return result.answer
  end
  if result.why then return send(self, st, call, result.doubtful) end
  if look(self, call) ~= "absent" then return result.answer end
  return send(self, st, new_call(st, item, key, call.redo + 1))
end

-- A read: what was seen before the step's first change stays what it was. What comes
-- after it is on record only where steps begin inside, which may depend on it.
local function make_read(self, st, item)
  local key, r = item.name, st.r
  local one = r.reads[key]
  local holds = one and (one.attempt == st.attempt or one.seq <= (r.changed or 0))
  if holds or one and self.rewinding then return one.value end
  if self.rewinding then control "rewound" end
  local read = { key = key, value = self.world.version }
  if r.has_steps then
    write(self, "reads", st.path, { read })
  else
    table.insert(r.changed and st.later or st.early, read)
  end
  return read.value
end

-- A step ---------------------------------------------------------------------------

local run_nodes, run_step

local function call_in(self, st, item)
  local ok, answer = pcall(make_call, self, st, item)
  if not ok and (answer == DEAD or answer.control or answer.late) then error(answer, 0) end
  see(self, st.shown, item.id, ok and answer or "! " .. answer.failure)
  if not ok and not item.caught then error(answer, 0) end
  return ok and answer or "?"
end

local function body(self, st)
  local told = {}
  st.told = told
  if st.node.before then st.node.before() end
  for _, item in ipairs(st.node.items) do
    local value
    if item.kind == "call" then
      value = call_in(self, st, item)
    elseif item.kind == "read" then
      value = make_read(self, st, item)
      see(self, st.shown, item.name, value)
    elseif item.kind == "skip" then
      control("skip", { st = st })
    else
      value = run_step(self, { path = st.path .. "/", step = st }, item)
    end
    table.insert(told, tostring(value))
  end
  return table.concat(told, ",")
end

local function attempt(self, st)
  st.counts, st.pending, st.early, st.later = {}, nil, {}, {}
  local result = body(self, st)
  if st.node.goal and st.node.waits then
    if not self.world:reached(st.node.goal) then fail "no goal" end
    result = "reached"
  end
  if not (st.node.goal and st.node.waits) then settle_pending(self, st) end
  return result
end

-- What the goal shows to be done is no longer in doubt.
local function reached(self, st)
  for _, call in ipairs(st.r.sent) do
    if not call.result and st.r.calls[call.key] == call then answered(self, st, call, "settled") end
  end
end

local function open(self, st)
  local r = st.r
  if st.outer and #st.outer.early + #st.outer.later > 0 then
    local reads, later = st.outer.early, st.outer.later
    table.move(later, 1, #later, #reads + 1, reads)
    st.outer.early, st.outer.later = {}, {}
    write(self, "reads", st.outer.path, reads)
  end
  st.attempt = r.status == "started" and r.attempts or r.attempts + 1
  write(self, "started", st.path, { attempt = st.attempt, node = st.node })
end

-- The attempts that the step's retries allow. Returns its result, or raises.
local function attempts(self, st)
  open(self, st)
  if st.node.goal and self.world:reached(st.node.goal) then
    reached(self, st)
    write(self, "skipped", st.path, { result = "reached", node = st.node })
    return "reached", true
  end
  for n = 0, st.node.retries or 0 do
    if n > 0 then open(self, st) end
    local ok, result = pcall(attempt, self, st)
    if ok and st.node.goal and st.node.waits then reached(self, st) end
    if ok then return result end
    if result == DEAD or result.control then error(result, 0) end
    write(self, "failed", st.path, { why = result.failure })
    if n == (st.node.retries or 0) then error(result, 0) end
  end
end

local function undo_path(r)
  local suffix = r.generation > 0 and "#" .. r.generation + 1 or ""
  return "Undo: " .. r.path:gsub("/", "%%2F") .. suffix
end

-- Rule 6: undo functions get what the step handed back, or nil and the reads it kept.
local function undo_step(self, r)
  local finished = r.status == "succeeded" or r.status == "skipped" and not r.unfinished
  local told = finished and tostring(r.result) or "nil"
  if not finished then told = told .. " [" .. kept(r) .. "]" end
  local shown = "Undo: " .. r.path
  local function before() see(self, shown, "undoes", told) end
  local node = { items = r.node.undo, shown = shown, before = before }
  return run_step(self, { path = "" }, node, undo_path(r))
end

local function choose(self, ctx, st)
  if st.node.optional then return "pass" end
  if not self.operator or ctx.group then return "stop" end
  local choice = nth(self.history.choices[st.path], self.chosen, st.path) or "stop"
  if choice == "undo" and st.node.undo then
    undo_step(self, st.r)
    write(self, "again", st.path, { undone = true })
  end
  -- The operator stops the run: nothing more is done, and nothing is tried again.
  if choice == "stop" or choice == "undo" then control "stop" end
  return choice
end

local function halt(self, ctx)
  if ctx.group and ctx.group.failure and not self.rewinding then control "stop" end
end

local function ended(r)
  return r and (r.status == "succeeded" or r.status == "skipped" or r.status == "failed"
    and r.node.optional)
end

local function replay(self, ctx, node, r)
  if not r.placed then control "rewound" end
  self.met[r.path] = true
  local st = { node = node, path = r.path, shown = r.path, r = r, outer = ctx.step,
    attempt = r.attempts, counts = {} }
  if r.has_steps then pcall(body, self, st) end
  if ended(r) then return r.status ~= "failed" and r.result or nil end
  if r.status == "failed" then fail(r.why) end
  control "rewound"
end

function run_step(self, ctx, node, path)
  halt(self, ctx)
  path = path or ctx.path .. node.name
  local r = record_of(self, path)
  if self.rewinding then return replay(self, ctx, node, r) end
  if ended(r) then return r.status ~= "failed" and r.result or nil end
  if ctx.step then settle_around(self, ctx.step) end
  if r.passed_over then
    write(self, "skipped", path, { unfinished = r.placed, node = node })
    return nil
  end
  local st = { node = node, path = path, shown = node.shown or path, r = r, outer = ctx.step }
  while true do
    local ok, result, skipped = pcall(attempts, self, st)
    if ok then
      if not skipped then write(self, "succeeded", path, { result = result }) end
      return result
    end
    if result.control == "skip" and result.st == st then
      settle_pending(self, st)
      write(self, "skipped", path, { node = node })
      return nil
    end
    if result == DEAD or result.control then error(result, 0) end
    local choice = choose(self, ctx, st)
    if choice == "pass" then return nil end
    if choice == "skip" then
      write(self, "skipped", path, { unfinished = true, node = node })
      return nil
    end
    if choice ~= "retry" then error(result, 0) end
  end
end

-- Branches take turns: each runs until it has sent something.
local function run_parallel(self, ctx, node, name)
  local group, branches = {}, {}
  for i, nodes in ipairs(node.branches) do
    branches[i] = coroutine.create(function()
      local inner = { path = ("%s%s.%d/"):format(ctx.path, name, i), group = group }
      local ok, e = pcall(run_nodes, self, inner, nodes)
      if ok then return end
      if e == DEAD then error(e, 0) end
      if not group.failure or weight(e) > weight(group.failure) then group.failure = e end
    end)
  end
  self.yield = coroutine.yield
  while #branches > 0 do
    local branch = table.remove(branches, 1)
    local ok, e = coroutine.resume(branch)
    if not ok then
      self.yield = nil
      error(e, 0)
    end
    if coroutine.status(branch) ~= "dead" then table.insert(branches, branch) end
  end
  self.yield = nil
  if group.failure then error(group.failure, 0) end
end

function run_nodes(self, ctx, nodes)
  local parallels = 0
  for _, node in ipairs(nodes) do
    if node.kind == "parallel" then
      parallels = parallels + 1
      run_parallel(self, ctx, node, parallels == 1 and "parallel" or "parallel#" .. parallels)
    else
      run_step(self, ctx, node)
    end
  end
end

-- Rollback -------------------------------------------------------------------------

-- The calls of a step that may stand: answered, or in doubt. Messages need no undo.
local function standing(r)
  local list = {}
  for _, call in ipairs(r.sent) do
    local failed = call.result and call.result.why and not call.result.doubtful
    if call.sort ~= "message" and not failed then table.insert(list, call) end
  end
  return list
end

local function changed_steps(self)
  local changed = {}
  for path, r in pairs(self.steps) do
    if not path:find("^Undo: ") and #standing(r) > 0 then
      changed[path] = r
      for outer in parents(self, path) do changed[outer.path] = outer end
    end
  end
  return changed
end

local function can_be_undone(self, r)
  local finished = r.status == "succeeded" or r.status == "skipped" and not r.unfinished
  return self.met[r.path] and r.node.undo and (finished or r.node.partial)
end

local function left_by_hand(self, undone)
  local left = {}
  for path, r in pairs(self.steps) do
    local covered = undone[path] or path:find("^Undo: ") or not r.placed or r.node.undo == false
    for outer in parents(self, path) do covered = covered or undone[outer.path] end
    for _, call in ipairs(covered and {} or standing(r)) do
      table.insert(left, path .. " " .. call.id)
    end
  end
  table.sort(left)
  return left
end

-- Undo functions are the playbook's: they are found on its way to the end of what was
-- done, every call and read that is on record handed back.
local function rewind(self)
  self.rewinding, self.met = true, {}
  local ok, e = pcall(run_nodes, self, { path = "" }, self.history.program)
  self.rewinding = nil
  if not ok and not (type(e) == "table" and (e.control or e.failure)) then error(e, 0) end
end

local function rollback(self)
  local list, undone = {}, {}
  rewind(self)
  for _, r in pairs(changed_steps(self)) do
    if can_be_undone(self, r) then table.insert(list, r) end
  end
  table.sort(list, function(a, b) return a.newest > b.newest end)
  for _, r in ipairs(list) do
    undo_step(self, r)
    undone[r.path] = true
  end
  self.left = left_by_hand(self, undone)
  write(self, "rollback_ended", "", {})
  return #self.left > 0 and "partly rolled back" or "rolled back"
end

--- One session. how: { operator (at a terminal), given (answers by call id), from and skip
-- (a step's path), rollback, death (= { left = number of entries that it still writes, moment }) }.
-- Returns "succeeded" "failed" "paused" "rolled back" "partly rolled back" or "killed",
-- and of a pause the call that is asked for.
function model:session(how)
  self.operator, self.given, self.death, self.yield = how.operator, how.given or {}, how.death, nil
  local ok, e = pcall(function()
    if how.skip then write(self, "skip", how.skip) end
    if how.from then self:again(how.from) end
    if how.rollback then return rollback(self) end
    run_nodes(self, { path = "" }, self.history.program)
    return "succeeded"
  end)
  if ok then return e end
  if e == DEAD then return "killed" end
  if type(e) ~= "table" then error(e, 0) end
  if e.control == "pause" then return "paused", e.call end
  return "failed", e.failure or e.control
end

--- The operator has a step done again, and all that began after it.
function model:again(path)
  local found
  for _, one in ipairs(table.move(self.placed, 1, #self.placed, 1, {})) do
    found = found or one == path
    if found then write(self, "again", one) end
  end
  for outer in parents(self, path) do write(self, "retry", outer.path) end
end

return model
