--- A session for `drlua check`: the playbook's `ready`, reading only.
--
-- The gate is the planner's. Every check is asked, whatever the others said.
local control = require "run.control"
local errors = require "errors"
local planner = require "run.planner"
local session = require "run.session"

local readiness = setmetatable({}, { __index = planner })
readiness.__index = readiness

function readiness.new(fields)
  local self = setmetatable(planner.new(fields), readiness)
  self.history = self.history or {}
  return self
end

readiness.check = session.check
readiness.wait_until = session.wait_until
readiness.sleep = session.sleep

--- What a check declares as failed is.
function readiness.may_fail() return false end

--- A failed check does not end the others.
function readiness.after_failed_check() end

function readiness:note(text) session.note(self, text) end

--- Asks everything: true when ready. Returns the checks, and the error of a mistake in
-- the playbook or of something that ended `ready` early.
function readiness:ask()
  local ok, e = self:execute(self.playbook.ready)
  local ready = ok
  for _, check in ipairs(self.checks) do ready = ready and check.outcome ~= "failed" end
  if not ok then e = errors.from(e) end
  return ready, self.checks, not ok and e or nil, not ok and control.of(e) or nil
end

return readiness
