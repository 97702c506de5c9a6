--- What a run may touch at most, refused even with --yes.
--
-- `limits = { deletes = 2, accounts = { "123456789012" }, regions = { "us-west-2" } }` in a
-- playbook and in an environment file, each a table or a function of the parameters. Where
-- both say something the stricter holds: the smaller number, the names that both allow.
-- A call is checked before its intent is written. Deletions (deletes.lua) are counted over
-- the whole run with its resumes and its rollback; sending the same call again counts once.
local control = require "run.control"
local deletes = require "run.deletes"
local errors = require "errors"
local nearest = require "nearest"
local value = require "run.value"

local limits = {}

local known = { "accounts", "deletes", "regions" }

local function text_list(name, list, pattern, example, faults)
  if type(list) == "string" then list = { list } end
  local kept = {}
  for i, one in ipairs(type(list) == "table" and list or {}) do
    kept[i] = math.type(one) == "integer" and ("%012d"):format(one) or one
    if type(kept[i]) ~= "string" or not kept[i]:find(pattern) then
      table.insert(faults, ("limits.%s: %s is none; write %s"):format(name, tostring(one), example))
    end
  end
  if type(list) ~= "table" or (#kept == 0 and next(list) ~= nil) then
    table.insert(faults, ("limits.%s is a list of texts: %s"):format(name, example))
  end
  return kept
end

local readers = {}

function readers.deletes(given, faults)
  local n = math.tointeger(tonumber(given))
  if not n or n < 0 then
    table.insert(faults,
      ("limits.deletes is a whole number from 0 on, not %s"):format(tostring(given)))
  end
  return n
end

function readers.accounts(given, faults)
  return text_list("accounts", given, "^%d%d%d%d%d%d%d%d%d%d%d%d$", '{ "123456789012" }', faults)
end

function readers.regions(given, faults)
  return text_list("regions", given, "^%l%l%l?%-[%l-]+%-%d+$", '{ "us-west-2" }', faults)
end

-- Limits as they were given, checked: the table, and what is wrong as sentences.
local function read(given)
  local faults, kept = {}, {}
  if type(given) ~= "table" then
    return kept, { "limits is a table or a function that returns one, not a " .. type(given) }
  end
  for name, v in pairs(given) do
    local reader = readers[name]
    if reader then
      kept[name] = reader(v, faults)
    else
      table.insert(faults, ("limits: unknown field %s%s"):format(tostring(name),
        nearest.hint(tostring(name), known)))
    end
  end
  table.sort(faults)
  return kept, faults
end

--- What is wrong with limits in a file: a list of sentences. Those that a function gives are
-- looked at when its parameters are known.
function limits.faults(given)
  if given == nil or type(given) == "function" then return {} end
  local _, faults = read(given)
  return faults
end

local function evaluated(given, params)
  if type(given) == "function" then given = given(params) end
  if given == nil then return {} end
  local kept, faults = read(given)
  if #faults > 0 then errors.raise { kind = "usage", message = table.concat(faults, "; ") } end
  return kept
end

-- The names that both lists have; one list alone is itself.
local function both(a, b)
  if not (a and b) then return a or b end
  local there, kept = {}, {}
  for _, one in ipairs(b) do there[one] = true end
  for _, one in ipairs(a) do
    if there[one] then table.insert(kept, one) end
  end
  return kept
end

--- The limits of a run: { deletes, accounts, regions }, each nil where there is none; nil
-- where there are none at all. Raises a usage error where they are wrong, or where the
-- playbook and the environment have no account or region in common.
function limits.of(definition, environment, params)
  local own = evaluated(definition and definition.limits, params)
  local theirs = evaluated(environment and environment.limits, params)
  local merged = { accounts = both(own.accounts, theirs.accounts),
    regions = both(own.regions, theirs.regions),
    deletes = own.deletes and theirs.deletes and math.min(own.deletes, theirs.deletes)
      or own.deletes or theirs.deletes }
  for _, name in ipairs { "accounts", "regions" } do
    if own[name] and theirs[name] and #merged[name] == 0 then
      errors.raise { kind = "usage",
        message = ("limits.%s: the playbook allows %s and the environment %s, so "
        .. "nothing could be changed"):format(name, table.concat(own[name], ", "),
        table.concat(theirs[name], ", ")) }
    end
  end
  return next(merged) and merged or nil
end

--- The limits of a session, found out once.
function limits.of_session(s)
  if s.limits == nil then s.limits = limits.of(s.playbook, s.environment, s.params) or false end
  return s.limits or nil
end

local function allowed(list, one)
  for _, name in ipairs(list) do if name == one then return true end end
  return false
end

local function refuse(text, ...)
  errors.raise { kind = "limit", message = text:format(...), where = control.where(2) }
end

-- The region of a call: of AWS's own, or named on the command line of a program.
local function region_of(e)
  if e.kind == "aws" then return e.region end
  local argv = e.kind == "process" and type(e.input) == "table" and e.input.argv
  for i, word in ipairs(type(argv) == "table" and argv or {}) do
    if word == "--region" then return argv[i + 1] end
    if type(word) == "string" and word:find("^%-%-region=") then return word:match("=(.*)$") end
  end
end

--- A sentence on the region of a call that the limits do not allow, or nil. Global services
-- (Route 53, IAM, CloudFront) are in no region.
function limits.region_fault(given, e)
  local region = given.regions and region_of(e)
  if e.global or type(region) ~= "string" or allowed(given.regions, region) then return nil end
  return ("this run may change things in %s only, and this call goes to %s"):format(
    table.concat(given.regions, ", "), region)
end

--- A sentence on the account of a call that the limits do not allow, or nil.
function limits.account_fault(given, e)
  if not given.accounts or e.kind ~= "aws" or not e.whose then return nil end
  local account, why = e.whose()
  if account and allowed(given.accounts, account) then return nil end
  return ("this run may change things in account %s only, and %s"):format(
    table.concat(given.accounts, ", "), account and "this call goes to account " .. account
      or "the account of this call could not be found out: " .. tostring(why))
end

-- The deletions of the run so far: { total, by_token = { token = n }, names }.
local function tally_of(s)
  if s.deleted then return s.deleted end
  local tally = { total = 0, by_token = {}, names = {} }
  for _, kind in ipairs { "intent", "deletes" } do
    for _, event in ipairs(s.journal and s.journal:of_kind(kind) or {}) do
      local data = value.decode(event.data)
      if data.deletes then limits.count(tally, data.token, data.deletes, data.what) end
    end
  end
  s.deleted = tally
  return tally
end

--- Adds what the call with this token deletes to a tally: once, however often it is sent.
function limits.count(tally, token, n, what)
  local before = tally.by_token[token] or 0
  if n <= before then return end
  if before == 0 then table.insert(tally.names, what or "a call") end
  tally.by_token[token], tally.total = n, tally.total + n - before
end

local function so_far(tally)
  if #tally.names == 0 then return "nothing was deleted so far" end
  return ("deleted so far: %s"):format(table.concat(tally.names, "; ", 1, math.min(#tally.names, 5))
    .. (#tally.names > 5 and "; ..." or ""))
end

local function many(n) return n == 1 and "1 thing" or ("%d things"):format(n) end

-- Raises when n deletions of the call with this token are too many.
local function check_deletes(s, given, what, token, n)
  local tally = tally_of(s)
  local total = tally.total + math.max(0, n - (tally.by_token[token] or 0))
  if total <= given.deletes then return end
  if n == deletes.UNBOUNDED then
    refuse("%s does not say how many things it deletes, and this run may delete %s at most "
      .. "(limits.deletes; %s). It was not sent", what, many(given.deletes), so_far(tally))
  end
  refuse("this run may delete %s at most (limits.deletes), and with %s it would be %d (%s). "
    .. "It was not sent", many(given.deletes), what, total, so_far(tally))
end

-- A statement inside a transaction: it is a part of that call, counted as it is reached.
local function count_parts(s, given, step, e, intent)
  local running = 0
  return function(statement)
    local n = deletes.in_sql(statement)
    if n == 0 then return end
    running = running + n
    if given and given.deletes then
      check_deletes(s, given, e.what or "this transaction", intent.token, running)
    end
    s:record("deletes", step.path, { token = intent.token, deletes = running, what = e.what })
    limits.count(tally_of(s), intent.token, running, e.what)
  end
end

--- Checks a call that changes something, before its intent is written; raises an error of
-- kind "limit" that says which limit, what was asked for, and that nothing was sent. What
-- it deletes goes into the intent as `deletes`.
function limits.check(s, step, e, intent)
  local given = limits.of_session(s)
  local what = e.what or intent.name or e.kind
  if given then
    local fault = limits.region_fault(given, e) or limits.account_fault(given, e)
    if fault then refuse("%s: %s. It was not sent", what, fault) end
  end
  local n = deletes.count(e)
  if e.kind == "sql" and e.operation == "transaction" then
    e.part = count_parts(s, given, step, e, intent)
  end
  if n == 0 then return end
  if given and given.deletes then check_deletes(s, given, what, intent.token, n) end
  intent.deletes = n < deletes.UNBOUNDED and n or nil
  if intent.deletes then limits.count(tally_of(s), intent.token, n, what) end
end

-- Plan

--- Notes what a planned call would delete, and which limits it would break: `planned` (a
-- step of the planner) gets `deletes` and `limit_faults`.
function limits.plan(self, planned, e)
  local n, given = deletes.count(e), limits.of_session(self)
  planned.deletes = (planned.deletes or 0) + n
  local fault = given and (limits.region_fault(given, e) or limits.account_fault(given, e))
  if not fault then return end
  planned.limit_faults = planned.limit_faults or {}
  table.insert(planned.limit_faults, ("%s: %s"):format(tostring(e.what or e.kind), fault))
end

local function counted(n)
  return n == deletes.UNBOUNDED and "an unknown number of" or ("%d"):format(n)
end

--- What a plan says of limits: { deletes (nil: not bounded), limit, faults (sentences) }, or
-- nil when it deletes nothing and there are no limits.
function limits.of_plan(self, steps)
  local given, n, faults = limits.of_session(self), 0, {}
  for _, planned in ipairs(steps) do
    n = n + (planned.deletes or 0)
    table.move(planned.limit_faults or {}, 1, #(planned.limit_faults or {}), #faults + 1, faults)
  end
  if not given and n == 0 then return nil end
  local limit = given and given.deletes
  if limit and n > limit then
    table.insert(faults, 1,
      ("it would delete %s things, and this run may delete %s at most"):format(counted(n),
        many(limit)))
  end
  return { deletes = n < deletes.UNBOUNDED and n or nil, unbounded = n == deletes.UNBOUNDED or nil,
    limit = limit, accounts = given and given.accounts, regions = given and given.regions,
    faults = #faults > 0 and faults or nil }
end

return limits
