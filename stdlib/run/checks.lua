--- dr.check: named verifications. Methods of a session.
local control = require "run.control"
local errors = require "errors"
local scope = require "run.scope"

local checks = {}

-- What a check's function answered: true, or false and the reason.
local function verdict(ok, n, first, second)
  if not ok then return false, first end
  if n == 0 then return true end
  if first then return true, type(first) == "string" and first or nil end
  return false, errors.new { kind = "check", message = second and tostring(second)
    or "it does not hold" }
end

local function check_failed(name, e)
  errors.raise { kind = "check", message = ("check \"%s\" failed: %s"):format(name, e.message),
    where = e.where, at = e.at }
end

-- Outside of a step a check is a step for the gate.
local function as_step(self, name, path, here)
  local record = self.history:step(path)
  return { session = self, name = name, path = path, here = here, record = record, waited = 0,
    attempt = record.attempts, options = {} }
end

-- What is on record of a check: true and what it hands back. A failed one is asked again,
-- but for a rollback's replay.
local function checked(self, name, past)
  if not past then
    if self.rewinding then
      control.raise("rewound", "the replay has come to the end of what was done")
    end
    return false
  end
  if past.outcome ~= "failed" then return true, past.outcome == "passed" or nil end
  if self.rewinding then
    check_failed(name, errors.new { kind = "check", message = past.detail or "it does not hold" })
  end
  return false
end

--- A named verification; all of them make the report's checklist. Raises when it
-- fails. Ends like a step: one that passed is not asked again after a resume.
function checks:check(name, fn)
  local here = scope.current()
  self:halt(here)
  local path = here:check_path(name)
  local known, outcome_before = checked(self, name,
    self.history.checks and self.history.checks[path])
  if known then return outcome_before end
  local st = here:innermost_step()
  local sc = scope.new(self, "check", path, here)
  if not st then sc.step = as_step(self, name, path, here) end
  local began = self:now()
  local result = table.pack(sc:call(fn, control.handler))
  local e = not result[1] and errors.from(result[2]) or nil
  local skipped = e and control.of(e) == "skip" and e.inside == path and e.message
  if e and not skipped and (control.of(e) or e.kind == "cancelled") then error(e, 0) end
  local passed, detail = verdict(result[1], result.n - 1, e or result[2], result[3])
  local outcome = skipped and "skipped" or passed and "passed" or "failed"
  local text = skipped or (detail and tostring(detail.message or detail)) or nil
  local data = { name = name, outcome = outcome, detail = text, seconds = self:now() - began,
    step = st and st.name }
  self:record("check", path, data)
  table.insert(self.checks, data)
  self:emit("note", { check = name, passed = passed and not skipped, outcome = outcome, text = text,
    path = path,
    step = st and st.name })
  if outcome == "failed" then self:after_failed_check(name, errors.from(detail)) end
  return passed or nil
end

--- Under run a failed check is a failure; `drlua check` continues with the next one.
function checks.after_failed_check(_, name, e)
  check_failed(name, e)
end

return checks
