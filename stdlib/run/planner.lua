--- A session that changes nothing: `drlua plan` runs a playbook's `run` in it.
--
-- Its gate lets reads through and answers every other effect with an unknown value,
-- which flows on. Steps are written down in order instead of journaled; what a step
-- would change, read and wait for is collected while its function runs. A failure
-- inside a step ends that step's part only: what it would have handed back is unknown.
--
-- Whether a run would stop there as well is said by values: a step that did nothing with an
-- unknown value, and read nothing that a stopped change may alter (stopped.lua), would.
local approval = require "run.approval"
local control = require "run.control"
local errors = require "errors"
local gate = require "run.gate"
local history = require "run.history"
local lift = require "run.lift"
local limits = require "run.limits"
local outline = require "run.outline"
local scope = require "run.scope"
local session = require "run.session"
local step = require "run.step"
local stopped = require "run.stopped"
local unknown = require "unknown"
local value = require "run.value"

local planner = setmetatable({}, { __index = session })
planner.__index = planner

-- A step as it is written down.
local function record(name, path, options)
  return { name = name, path = path, options = options, changes = {}, reads = {}, waits = {},
    planes = {},
    order = {} }
end

--- Makes a planning session; fields as of session.new, without journal.
function planner.new(fields)
  local self = setmetatable(session.new(fields), planner)
  self.steps, self.tree, self.changes = {}, { items = {}, groups = {} }, stopped.new()
  self.outside = record("(outside of steps)", "", {})
  return self
end

-- A loop that ends when a response says so never ends over unknown ones.
local MOST_EFFECTS, MOST_TOUCHES, MOST_SHOWN = 2000, 100000, 3

local function endless(what)
  control.raise("endless", what .. ", again and again: only what the run will know ends this loop")
end

local function count_unanswered(planned, e)
  planned.unanswered = (planned.unanswered or 0) + 1
  if planned.unanswered > MOST_EFFECTS then endless(tostring(e.what or gate.name(e))) end
end

-- What is done with an unknown value is held against the steps around. left: it became a
-- plain value, which may lead to anything from here on.
unknown.watch(function(left)
  local here = scope.current()
  local self = here and here.session
  if not self or not self.outside then return end
  self.touches = (self.touches or 0) + 1
  if self.touches > MOST_TOUCHES then endless("an unknown value is looked at") end
  local s = here
  while s do
    if s.step then s.step.touched, s.step.left = true, s.step.left or left end
    s = s.parent
  end
  if not here:innermost_step() then
    self.outside.touched, self.outside.left = true, self.outside.left or left
    self.loose = self.loose or left
  end
end)

-- Runs fn; its values packed, and whether an unknown value may have led to them.
local function observe(planned, fn)
  local touched, stale = planned.touched, planned.stale
  planned.touched, planned.stale = nil, nil
  local result = table.pack(fn())
  local doubtful = planned.touched or planned.stale
  planned.touched, planned.stale = touched or planned.touched, stale or planned.stale
  return result, doubtful
end

--- Runs fn with Lua's functions lifted over unknown values.
function planner:execute(fn)
  return lift.during(session.execute, self, fn)
end

-- The names in an input that say what it is about, as "DBInstanceIdentifier=app-dr".
local function resource_of(input)
  if type(input) ~= "table" or unknown.is(input) then return nil end
  local found = {}
  for key, v in pairs(input) do
    if stopped.names_something(key) and (type(v) == "string" or unknown.is(v)) then
      table.insert(found, ("%s=%s"):format(key, tostring(v)))
    end
  end
  table.sort(found)
  return #found > 0 and table.concat(found, " ") or nil
end

local function row_of(e)
  local row = gate.describe(e)
  row.resource = resource_of(e.input)
  row.what = e.what ~= nil and tostring(e.what) or nil
  return row
end

local function plain(v, depth)
  if unknown.is(v) then return tostring(v) end
  if type(v) ~= "table" or depth > 6 then return type(v) == "table" and "..." or v end
  local copy = {}
  for k, item in pairs(v) do copy[tostring(k)] = plain(item, depth + 1) end
  return copy
end

-- Notes an action for the IAM policy: service, operation, region, and its resources.
local function act(self, e)
  if e.kind ~= "aws" then return end
  self.actions = self.actions or {}
  table.insert(self.actions, { service = e.service, operation = e.operation, region = e.region,
    input = plain(e.input, 0) })
end

local function note_read(planned, e)
  local name = gate.name(e) .. "@" .. (e.region or "")
  if planned.reads[name] then return end
  planned.reads[name] = row_of(e)
  table.insert(planned.reads, planned.reads[name])
end

-- The same change many times in a row is a loop over what is unknown.
local function note_change(planned, e)
  local row, last = row_of(e), planned.changes[#planned.changes]
  local again = last and last.what == row.what and last.name == row.name
    and last.resource == row.resource
  planned.repeated = again and (planned.repeated or 1) + 1 or 1
  if planned.repeated <= MOST_SHOWN then table.insert(planned.changes, row) end
end

-- A read is made, unless it asks for what only the run will know.
local function read_through(self, planned, e, fn)
  note_read(planned, e)
  act(self, e)
  if e.undecided or unknown.within(e.input) then
    unknown.touch()
    count_unanswered(planned, e)
    return unknown.new(gate.name(e))
  end
  local relation = self.changes:relation(e)
  if relation == "same" then
    count_unanswered(planned, e)
    return unknown.new(gate.name(e))
  end
  local result = table.pack(xpcall(fn, control.handler))
  if relation then planned.stale = true end
  if result[1] then return table.unpack(result, 2, result.n) end
  if relation == "named" and stopped.may_pass(e,
    result[2]) then return unknown.new(gate.name(e)) end
  error(result[2], 0)
end

-- In a preview, reads outside of steps have been made by the run already.
local function seen_before(self, here, e)
  if not self.target or not e.read or here:innermost_step() or here:in_probe() then return nil end
  return gate.seen(self, here, e)
end

--- The gate of plan and check.
function planner:gate(here, e, fn)
  if self.stopping then control.raise("interrupt", "interrupted") end
  gate.guard_arguments(self, e)
  local planned = here:innermost_step() or self.outside
  if not planned.planes then planned = self.outside end -- a check under `drlua check`
  local seen = seen_before(self, here, e)
  if seen and seen.values then return value.unpack(self.secrets:reveal(seen.values)) end
  outline.add_plane(planned, e)
  if e.wait then
    act(self, e) -- not waited for, but a run asks it
    count_unanswered(planned, e)
    table.insert(planned.waits, tostring(e.what or gate.name(e)))
    return unknown.new(gate.name(e))
  end
  if e.read then return read_through(self, planned, e, fn) end
  gate.keep_promise(planned.options, planned.name, e)
  act(self, e)
  limits.plan(self, planned, e)
  count_unanswered(planned, e)
  if e.rehearse then e.rehearse() end
  note_change(planned, e)
  self.changes:add(e)
  self.stopped = true
  if e.check and not e.undecided and not unknown.within(e.input) then e.check() end
  return unknown.new(gate.name(e))
end

-- A probe of a planned step: what it does is held against that step.
local function ask(self, planned, here, what, fn)
  local probe = scope.new(self, "probe", planned.path .. "/" .. what, here)
  probe.step = planned
  return observe(planned, function() return probe:call(fn, control.handler) end)
end

-- An answer that depends on what only the run will know may be the other one then; so may
-- a plain value, when unknown ones were compared since the step before (self.loose).
local function condition(self, planned, here)
  local when, doubtful = planned.options.when, self.loose
  if when == nil then return true end
  if type(when) == "function" then
    local result
    result, doubtful = ask(self, planned, here, "when", when)
    when, doubtful = not result[1] or result[2], doubtful or not result[1]
  end
  planned.uncertain = (doubtful or unknown.is(when)) and true or nil
  return when or planned.uncertain
end

local function already(self, planned, here)
  local done = planned.options.done or planned.options.goal
  if not done then return false end
  local result, doubtful = ask(self, planned, here, "done", done)
  if not result[1] or not result[2] or doubtful or unknown.is(result[2]) then return false end
  planned.already = true
  if result[2] == true and not planned.options.goal then return true, table.unpack(result, 3,
    result.n) end
  return true, table.unpack(result, 2, result.n)
end

-- Whether an unknown value may have led to what a step has come to.
local function is_doubtful(self, planned)
  return planned.touched or planned.stale or self.outside.left or self.left
end

-- A mistake in the playbook, unless an unknown value, or something that only a run does,
-- may have led to it.
local function is_bug(self, e)
  return e.kind == "misuse" or (e.kind == "lua" and not self.stopped)
end

local function sentence(e)
  return (e.where or e.at) and ("%s (%s)"):format(e.message, e.where or e.at) or e.message
end

local DEPENDS = "what follows in this step depends on values that only the run will know"

local function failed(self, planned, e)
  if control.of(e) == "skip" then
    planned.skipped = e.message
    return
  end
  if control.of(e) == "endless" then
    planned.stop, planned.unsure, self.touches = e.message, true, nil
    return
  end
  if control.passes(e) then error(e, 0) end
  if is_bug(self, e) then
    e.step = e.step or planned.name
    error(e, 0)
  end
  planned.unsure = is_doubtful(self, planned) and true or nil
  -- A function of Lua's own that was handed something unknown.
  if e.kind == "lua" and e.message:find("unknown", 1, true) then
    planned.notes = planned.notes or {}
    return table.insert(planned.notes, DEPENDS)
  end
  planned.stop = sentence(e)
end

--- A failure that the playbook declares: true where an unknown value may have led to it.
-- It is taken down as one that may stop the step, and what follows is looked at as well.
function planner:may_fail(text, where)
  local here = scope.current()
  local planned = here:innermost_step() or self.outside
  if not planned.planes or not is_doubtful(self, planned) then return false end
  unknown.touch()
  planned.stop = planned.stop or (where and ("%s (%s)"):format(text, where) or text)
  planned.unsure = true
  return true
end

-- The values of a step that came to its end. Plain ones that were made of unknown ones may
-- lead to anything.
local function succeeded(self, planned, ...)
  if planned.left and select("#", ...) > 0 and not unknown.is((...)) then self.left = true end
  return ...
end

-- In a preview only the step in question is looked into: one that the run has ended
-- hands back what it had, any other something unknown. True and the values, or false.
local function beside_target(self, path, name)
  if not self.target or path == self.target or self.target:sub(1, #path + 1) == path
    .. "/" then return false end
  local past = self.history.steps[path]
  if past and (past.status == "succeeded" or past.status == "skipped") then
    local data = history.results(past)
    return true, value.unpack(self.secrets:reveal(data.values))
  end
  return true, unknown.new("the result of step " .. name)
end

-- account_of(region), which the command line may give, says whose account it is.
local function change_of(self, row)
  local text = row.what or row.name
  local account = row.account or (row.kind == "aws" and self.account_of
    and self.account_of(row.region)) or nil
  return account and ("%s, account %s"):format(text, account) or text
end

--- What the step at `path` would change, as sentences. The session has the run's
-- history, and a freshly loaded playbook: nothing of the run itself is touched.
function planner:look_at(path)
  self.target = path
  self:execute(self.playbook.run)
  local changes = {}
  for _, planned in ipairs(self.steps) do
    for _, row in ipairs(planned.changes) do table.insert(changes, change_of(self, row)) end
  end
  return changes
end

-- What people would be asked at this moment, or nil.
local function asked(self, planned, sc)
  local wish = planned.options.approve
  if not wish or self.target then return nil end
  local text = approval.text(self, { name = planned.name, path = planned.path, here = sc }, wish)
  return { text = tostring(text), people = wish.people }
end

--- A step, written down.
function planner:step(name, options, fn)
  local here = scope.current()
  local checked = step.options(name, options, fn)
  local path = here:step_path(name)
  local beside = table.pack(beside_target(self, path, name))
  if beside[1] then return table.unpack(beside, 2, beside.n) end
  local planned = record(name, path, checked)
  for _, length in ipairs { "budget", "timeout", "within" } do
    if unknown.is(checked[length]) then checked[length] = nil end
  end
  table.insert(self.steps, planned)
  if not here:innermost_step() then table.insert(outline.node(self.tree, here).items, planned) end
  planned.number = #self.steps
  local holds = condition(self, planned, here)
  self.loose = nil
  if not holds then
    planned.skipped = "its condition does not hold"
    return
  end
  local done = table.pack(already(self, planned, here))
  if done[1] and not self.target then return table.unpack(done, 2, done.n) end
  local sc = scope.new(self, "step", planned.path, here)
  sc.step, self.touches = planned, nil
  planned.asks = asked(self, planned, sc)
  local result = table.pack(sc:call(fn, control.handler))
  if planned.path == self.target then control.raise("rewound",
    "the step in question has been looked into") end
  if result[1] then return succeeded(self, planned, table.unpack(result, 2, result.n)) end
  failed(self, planned, errors.from(result[2]))
  return unknown.new("the result of step " .. name)
end

--- A check, asked for its reads; whether it holds now says nothing of the day.
function planner:check(name, fn)
  local here = scope.current()
  local planned = here:innermost_step() or self.outside
  planned.checks = planned.checks or {}
  table.insert(planned.checks, tostring(name))
  local sc = scope.new(self, "check", here:check_path(name), here)
  local ok, e = sc:call(fn, control.handler)
  if not ok then
    e = errors.from(e)
    if control.of(e) and control.of(e) ~= "skip" then error(e, 0) end
    if is_bug(self, e) then error(e, 0) end
  end
  return unknown.new("check " .. name)
end

--- A wait, written down; looked at once, for what it reads.
function planner:wait_until(what, _, fn)
  local here = scope.current()
  local planned = here:innermost_step() or self.outside
  table.insert(planned.waits, tostring(what))
  local poll = scope.new(self, "poll", here:join(here:unique("wait")), here)
  local result, doubtful = observe(planned, function() return poll:call(fn, control.handler) end)
  if not result[1] then
    local e = errors.from(result[2])
    if control.passes(e) or is_bug(self, e) then error(e, 0) end
  elseif result[2] and not doubtful then
    return table.unpack(result, 2, result.n)
  end
  return unknown.new(what)
end

function planner:sleep(seconds)
  local planned = scope.current():innermost_step() or self.outside
  if not unknown.is(seconds) then planned.slept = (planned.slept or 0) + seconds end
end

function planner:time() return self:now() end
function planner.incident_started() end
-- What is planned after this does not keep anybody waiting for the service.
function planner:recovered() table.insert(self.tree.items, { recovered = true }) end
function planner.measure() end
function planner.waiting() end
function planner:note(text)
  local here = scope.current()
  local planned = here and here:innermost_step() or self.outside
  planned.notes = planned.notes or {}
  table.insert(planned.notes, tostring(text))
end

--- The region that the playbook declares failed, or nil.
function planner.failed_region(definition, values)
  if definition.control_planes then
    local declared = definition.control_planes(values)
    return type(declared) == "table" and declared.failed_region or nil
  end
  return values.failed_region
end

--- Plans a playbook's run: { steps, planes, expected, critical, open_ended, actions,
-- failed_region, partial (calls may depend on values that only the run knows), stop and
-- unsure (what would end it outside of steps) }, or nil and the error of a mistake in it.
function planner:plan()
  local ok, e = self:execute(self.playbook.run)
  if not ok then
    if control.passes(e) or is_bug(self, e) then return nil, e end
    self.outside.unsure = is_doubtful(self, self.outside) and true or nil
    self.outside.stop = sentence(e)
  end
  local failed_region = planner.failed_region(self.playbook, self.params)
  local expected, critical, open_ended = outline.span(self.tree)
  local steps, partial = {}, outline.is_partial(self.outside)
  for i, planned in ipairs(self.steps) do
    steps[i], partial = outline.step(planned), partial or outline.is_partial(planned)
  end
  return self.secrets:mask { steps = steps, planes = outline.planes(self.steps, failed_region),
    expected = expected,
    critical = critical, open_ended = open_ended, failed_region = failed_region,
      actions = self.actions or {},
    partial = partial or not ok, stop = self.outside.stop, unsure = self.outside.unsure,
      limits = limits.of_plan(self, table.move(self.steps, 1, #self.steps, 2, { self.outside })) }
end

return planner
