--- A session that changes nothing: `drlua plan` runs a playbook's `run` in it.
--
-- Its gate lets reads through and answers every other effect with an unknown value,
-- which flows on. Steps are written down in order instead of journaled; what a step
-- would change, read and wait for is collected while its function runs. A failure
-- inside a step ends that step's part only: what it would have handed back is unknown.
local approval = require "run.approval"
local control = require "run.control"
local errors = require "errors"
local gate = require "run.gate"
local history = require "run.history"
local limits = require "run.limits"
local scope = require "run.scope"
local session = require "run.session"
local step = require "run.step"
local unknown = require "unknown"
local value = require "run.value"

local planner = setmetatable({}, { __index = session })
planner.__index = planner

-- Where the control plane of a service lives that has only one.
local homes = { route53 = "us-east-1", iam = "us-east-1", organizations = "us-east-1", cloudfront = "us-east-1",
  shield = "us-east-1", globalaccelerator = "us-west-2", account = "us-east-1",
  ["route53-recovery-control-config"] = "us-west-2", ["route53-recovery-readiness"] = "us-west-2",
  health = "us-east-1", support = "us-east-1", route53domains = "us-east-1" }
-- Bucket configuration of S3 depends on us-east-1, wherever the bucket is.
local bucket_configuration = { "^CreateBucket", "^DeleteBucket", "^PutBucket", "^PutPublicAccess" }

--- Makes a planning session; fields as of session.new, without journal.
function planner.new(fields)
  local self = setmetatable(session.new(fields), planner)
  self.steps, self.tree = {}, { items = {}, groups = {} }
  self.outside = { name = "(outside of steps)", path = "", changes = {}, reads = {}, waits = {}, planes = {},
    order = {}, options = {} }
  return self
end

-- The region that a call depends on for being taken.
local function plane_of(e)
  if e.service == "s3" then
    for _, pattern in ipairs(bucket_configuration) do
      if e.operation:find(pattern) then return "us-east-1" end
    end
  end
  return homes[e.service] or e.region or "?"
end

local function add_plane(planned, e)
  if e.kind ~= "aws" then return end
  local name = ("%s in %s"):format(e.service, plane_of(e))
  if not planned.planes[name] then
    planned.planes[name] = { service = e.service, region = plane_of(e) }
    table.insert(planned.order, name)
  end
end

local naming = { "Identifier$", "Name$", "Id$", "Arn$", "ARN$", "^cluster$", "^service$" }

-- The names in an input that say what it is about, as "DBInstanceIdentifier=app-dr".
local function resource_of(input)
  if type(input) ~= "table" or unknown.is(input) then return nil end
  local found = {}
  for key, v in pairs(input) do
    for _, pattern in ipairs(naming) do
      if type(key) == "string" and key:find(pattern) and (type(v) == "string" or unknown.is(v)) then
        table.insert(found, ("%s=%s"):format(key, tostring(v)))
        break
      end
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

local function read_through(self, planned, e, fn)
  local name = gate.name(e) .. "@" .. (e.region or "")
  if not planned.reads[name] then
    planned.reads[name] = row_of(e)
    table.insert(planned.reads, planned.reads[name])
  end
  act(self, e)
  if unknown.within(e.input) then return unknown.new(gate.name(e)) end
  local result = table.pack(xpcall(fn, control.handler))
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
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
  add_plane(planned, e)
  if e.wait then
    act(self, e) -- not waited for, but a run asks it
    table.insert(planned.waits, tostring(e.what or gate.name(e)))
    return unknown.new(gate.name(e))
  end
  if e.read then return read_through(self, planned, e, fn) end
  gate.keep_promise(planned.options, planned.name, e)
  act(self, e)
  limits.plan(self, planned, e)
  table.insert(planned.changes, row_of(e))
  self.stopped = true
  if e.check and not unknown.within(e.input) then e.check() end
  return unknown.new(gate.name(e))
end

-- The place of a scope in the tree of steps: branches that run together are a group.
local function node_of(self, here)
  if here.kind ~= "branch" or not here.parent then return self.tree end
  local parent = node_of(self, here.parent)
  local name = here.path:gsub("%.%d+$", ""):gsub("%[%d+%]$", "")
  local group = parent.groups[name]
  if not group then
    group = { children = {}, by_path = {} }
    parent.groups[name] = group
    table.insert(parent.items, group)
  end
  local child = group.by_path[here.path]
  if not child then
    child = { items = {}, groups = {} }
    group.by_path[here.path] = child
    table.insert(group.children, child)
  end
  return child
end

local function condition(self, planned, here)
  local when = planned.options.when
  if when == nil then return true end
  if type(when) == "function" then
    local ok, holds = scope.new(self, "probe", planned.path .. "/when", here):call(when, control.handler)
    when = not ok or holds
    if not ok then planned.uncertain = true end
  end
  if unknown.is(when) then planned.uncertain = true end
  return when
end

local function already(self, planned, here)
  local done = planned.options.done or planned.options.goal
  if not done then return false end
  local result = table.pack(scope.new(self, "probe", planned.path .. "/done", here):call(done, control.handler))
  if not result[1] or not result[2] or unknown.is(result[2]) then return false end
  planned.already = true
  if result[2] == true and not planned.options.goal then return true, table.unpack(result, 3, result.n) end
  return true, table.unpack(result, 2, result.n)
end

-- A mistake in the playbook, unless an unknown value may have led to it.
local function is_bug(self, e)
  return e.kind == "misuse" or (e.kind == "lua" and not self.stopped)
end

local function failed(self, planned, e)
  if control.of(e) == "skip" then
    planned.skipped = e.message
    return
  end
  if control.of(e) or e.kind == "cancelled" then error(e, 0) end
  if is_bug(self, e) then
    e.step = e.step or planned.name
    error(e, 0)
  end
  -- Behind an effect that was stopped, or a step that failed, it may come otherwise.
  planned.unsure = self.stopped or self.blurred or nil
  self.blurred = true
  -- A function of Lua's own that was handed something unknown.
  if e.kind == "lua" and e.message:find("unknown", 1, true) then
    planned.notes = planned.notes or {}
    return table.insert(planned.notes, "what follows in this step depends on values that only the run will know")
  end
  planned.stop = (e.where or e.at) and ("%s (%s)"):format(e.message, e.where or e.at) or e.message
end

-- In a preview only the step in question is looked into: one that the run has ended
-- hands back what it had, any other something unknown. True and the values, or false.
local function beside_target(self, path, name)
  if not self.target or path == self.target or self.target:sub(1, #path + 1) == path .. "/" then return false end
  local past = self.history.steps[path]
  if past and (past.status == "succeeded" or past.status == "skipped") then
    local data = past.decoded or history.results(past)
    return true, value.unpack(self.secrets:reveal(data.values))
  end
  return true, unknown.new("the result of step " .. name)
end

-- account_of(region), which the command line may give, says whose account it is.
local function change_of(self, row)
  local text = row.what or row.name
  local account = row.account or (row.kind == "aws" and self.account_of and self.account_of(row.region)) or nil
  return account and ("%s, account %s"):format(text, account) or text
end

--- What the step at `path` would change, as sentences. The session has the run's
-- history, and a playbook loaded afresh: nothing of the run itself is touched.
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
  local planned = { name = name, path = path, options = checked, changes = {}, reads = {},
    waits = {}, planes = {}, order = {} }
  table.insert(self.steps, planned)
  if not here:innermost_step() then table.insert(node_of(self, here).items, planned) end
  planned.number = #self.steps
  if not condition(self, planned, here) then
    planned.skipped = "its condition does not hold"
    return
  end
  local done = table.pack(already(self, planned, here))
  if done[1] and not self.target then return table.unpack(done, 2, done.n) end
  local sc = scope.new(self, "step", planned.path, here)
  sc.step = planned
  planned.asks = asked(self, planned, sc)
  local result = table.pack(sc:call(fn, control.handler))
  if planned.path == self.target then control.raise("rewound", "the step in question has been looked into") end
  if result[1] then return table.unpack(result, 2, result.n) end
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
  local result = table.pack(poll:call(fn, control.handler))
  if not result[1] then
    local e = errors.from(result[2])
    if control.of(e) or is_bug(self, e) then error(e, 0) end
  elseif result[2] and not self.stopped then
    return table.unpack(result, 2, result.n)
  end
  return unknown.new(what)
end

function planner:sleep(seconds)
  local planned = scope.current():innermost_step() or self.outside
  planned.slept = (planned.slept or 0) + seconds
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

local function add(planned, list, fn)
  local texts = {}
  for _, item in ipairs(planned[list]) do table.insert(texts, fn(item)) end
  return #texts > 0 and texts or nil
end

local function shown_row(row)
  return { kind = row.kind, service = row.service, operation = row.operation, region = row.region,
    account = row.account, what = row.what, resource = row.resource }
end

-- A step as data, for --output json.
local function data_of(planned)
  local o = planned.options
  return { number = planned.number, step = planned.name, path = planned.path ~= planned.name and planned.path or nil,
    risk = o.risk, budget = o.budget, approval = o.approve and true or nil,
    asks = planned.asks, undo = o.undo and true or nil,
    optional = o.optional, skipped = planned.skipped, already = planned.already, stop = planned.stop,
    uncertain = planned.uncertain, unsure = planned.unsure, changes = add(planned, "changes", shown_row),
    reads = add(planned, "reads", shown_row), waits = #planned.waits > 0 and planned.waits or nil,
    checks = planned.checks, notes = planned.notes, limit_faults = planned.limit_faults,
    control_planes = #planned.order > 0 and planned.order or nil }
end

-- Expected seconds of a node, the names on its longest way, and whether some step on
-- it has no budget.
local function span(node)
  local total, names, open = 0, {}, false
  for _, item in ipairs(node.items) do
    if item.recovered then break end
    if item.children then
      local longest, way = -1, {}
      for _, child in ipairs(item.children) do
        local seconds, path, unsure = span(child)
        open = open or unsure
        if seconds > longest then longest, way = seconds, path end
      end
      total = total + math.max(longest, 0)
      table.move(way, 1, #way, #names + 1, names)
    elseif not item.skipped and not item.already then
      total = total + (item.options.budget or item.slept or 0)
      open = open or not item.options.budget
      table.insert(names, item.name)
    end
  end
  return total, names, open
end

-- Every control plane with the numbers of the steps that need it; those in the failed
-- region are marked.
local function planes(self, failed_region)
  local by_name, order = {}, {}
  for _, planned in ipairs(self.steps) do
    if not planned.skipped then
      for _, name in ipairs(planned.order) do
        if not by_name[name] then
          local plane = planned.planes[name]
          by_name[name] = { service = plane.service, region = plane.region, steps = {},
            failed = failed_region ~= nil and plane.region == failed_region or nil }
          table.insert(order, by_name[name])
        end
        table.insert(by_name[name].steps, planned.number)
      end
    end
  end
  return order
end

--- The region that the playbook declares failed, or nil.
function planner.failed_region(definition, values)
  if definition.control_planes then
    local told = definition.control_planes(values)
    return type(told) == "table" and told.failed_region or nil
  end
  return values.failed_region
end

-- Whether what followed on some step may be more than was seen: its answer is known
-- only after the run, or it stopped half-way.
local function is_partial(planned)
  return #planned.changes > 0 or #planned.waits > 0 or planned.stop ~= nil
end

--- Plans a playbook's run: { steps, planes, expected, critical, open_ended, actions,
-- failed_region, partial (calls may hang on values that only the run knows) }, or nil and
-- the error of a mistake in it.
function planner:plan()
  local ok, e = self:execute(self.playbook.run)
  if not ok then return nil, e end
  local failed_region = planner.failed_region(self.playbook, self.params)
  local expected, critical, open_ended = span(self.tree)
  local steps, partial = {}, is_partial(self.outside)
  for i, planned in ipairs(self.steps) do
    steps[i], partial = data_of(planned), partial or is_partial(planned)
  end
  return self.secrets:mask { steps = steps, planes = planes(self, failed_region), expected = expected,
    critical = critical, open_ended = open_ended, failed_region = failed_region, actions = self.actions or {},
    partial = partial, limits = limits.of_plan(self, table.move(self.steps, 1, #self.steps, 2, { self.outside })) }
end

return planner
