--- Escalation: a step that is over its budget is reported, and handed to the playbook's
-- `escalate`. Methods of a session.
local control = require "run.control"
local duration = require "duration"
local scope = require "run.scope"
local step = require "run.step"
local task = require "task"

local escalation = {}

-- Tells the playbook's escalation, as a step that the run's end waits for.
local function escalate(self, st, text, since)
  local here = scope.new(self, "branch", "escalation/" .. scope.escape(st.path), nil)
  local name = "Escalate: " .. st.name
  local result = table.pack(here:call(step.run, control.handler, self, here, name,
    step.options(name, { optional = true, timeout = "5m" }, self.playbook.escalate), function()
      return self.playbook.escalate(self.params,
        { step = st.name, budget = st.options.budget, text = text,
        elapsed = self:now() - since })
    end))
  if not result[1] then self:note("escalation failed: " .. tostring(result[2]), st) end
end

--- A step is over its budget: said once, and handed to the playbook's escalation, which
-- continues when the step ends. since: when its first attempt began, by the run's clock.
function escalation:overrun(st, since)
  local text = ("step \"%s\" is over its budget of %s"):format(st.name,
    duration.format(st.options.budget))
  self:record("overrun", st.path, { text = text, budget = st.options.budget })
  self:emit("note", { text = text, step = st.name, path = st.path, overrun = true })
  if not self.playbook.escalate or st.escalated then return end
  st.escalated = true
  table.insert(self.escalations, task.spawn(function() pcall(escalate, self, st, text, since) end))
end

-- People are notified before the run ends, unless it is being stopped.
function escalation:end_escalations()
  for _, one in ipairs(self.escalations) do
    if self.stopping then one:cancel() end
    pcall(one.wait, one)
  end
  self.escalations = {}
end

return escalation
