--- Routing controls of Application Recovery Controller: a cluster has five endpoints
-- in five regions, and a call is good when any of them takes it. They are tried in
-- turn within the call's one deadline, the last good one first.
--
-- Source: ARC Developer Guide, "Best practices for ARC routing control": keep the
-- endpoints at hand (a describe_cluster in us-west-2 may not answer on the day), and
-- try each of them.
local call = require "aws.call"
local errors = require "errors"
local failure = require "aws.failure"

local arc = { methods = { ["route53-recovery-cluster"] = {} } }

local LEAST = 1 -- second for one endpoint

local function order(cluster, random)
  local list = table.move(cluster.members, 1, #cluster.members, 1, {})
  for i = #list, 2, -1 do
    local j = math.floor(random() * i) + 1
    if j <= i then list[i], list[j] = list[j], list[i] end
  end
  for i, member in ipairs(list) do
    if member == cluster.last_good then table.insert(list, 1, table.remove(list, i)) end
  end
  return list
end

local function goes_on(e)
  return e.kind ~= "misuse" and e.kind ~= "cancelled" and (e.status == nil or e.retryable
    or e.code == "EndpointTemporarilyUnavailableException")
end

local function gather(self, op, input, tried)
  local lines = {}
  for _, each in ipairs(tried) do
    table.insert(lines, ("  %s: %s"):format(each.region, each.error.message))
  end
  return errors.new { kind = "timeout", service = self.service, operation = op.name,
    retryable = true, tried = tried, resource = failure.resource(input),
    message = ("%s.%s failed on every endpoint of the cluster:\n%s"):format(self.service, op.name,
      table.concat(lines, "\n")) }
end

--- Carries out a call on the first of the cluster's endpoints that takes it.
function arc.execute(self, op, input, options, class, token, made)
  local timeout = options and options.timeout or self.timeout
    or call.deadline(self.service, op, class)
  local deadline = self.clock.monotonic() + timeout
  local list, tried = order(self.cluster, self.clock.random), {}
  for i, member in ipairs(list) do
    local left = deadline - self.clock.monotonic()
    if left <= 0 then break end
    if i > 1 and made and made.again then made.again() end
    local share = math.min(left, math.max(LEAST, left / (#list - i + 1)))
    local ok, result = pcall(call.execute, member, op, input, { timeout = share }, class, token,
      made)
    if ok then
      self.cluster.last_good = member
      return result
    end
    local e = errors.from(result)
    if not goes_on(e) then error(result, 0) end
    table.insert(tried, { region = member.region, error = e })
  end
  error(gather(self, op, input, tried), 0)
end

return arc
