--- What the statuses of RDS instances mean for a recovery, and which refusals pass by
-- themselves. A status that is not listed counts as passing: AWS adds new ones.
local states = {}

local SERVING, PASSING, RESTING, TERMINAL = {}, {}, {}, {}

local function fill(set, names)
  for name in names:gmatch("%S+") do set[name] = true end
end

-- Takes connections and writes.
fill(SERVING, [[available backing-up storage-optimization storage-initialization
  configuring-enhanced-monitoring configuring-iam-database-auth configuring-log-exports
  configuring-associated-roles configuring-activity-stream resetting-master-credentials]])

-- Changes by itself; whether the database serves meanwhile is not certain.
fill(PASSING, [[modifying upgrading maintenance moving-to-vpc converting-to-vpc creating rebooting
  renaming starting stopping delete-precheck deleting backtracking validating-configuration
  storage-config-upgrade]])

-- Stays until somebody acts, without being broken.
fill(RESTING, [[stopped automation-paused]])

-- Needs a person, or another instance.
fill(TERMINAL, [[deleted unsupported-configuration storage-full failed restore-error
  incompatible-restore incompatible-network incompatible-parameters incompatible-option-group
  incompatible-credentials incompatible-create inaccessible-encryption-credentials
  inaccessible-encryption-credentials-recoverable insufficient-capacity modify-failed
  upgrade-failed]])

--- "serving", "passing", "resting", "terminal", or "unknown".
function states.kind(status)
  return SERVING[status] and "serving" or PASSING[status] and "passing"
    or RESTING[status] and "resting" or TERMINAL[status] and "terminal" or "unknown"
end

--- Whether a database in this status takes connections and writes.
function states.serves(status) return SERVING[status] or false end

--- Whether an instance in this status takes changes. In storage-optimization RDS takes all
-- but changes of the storage.
function states.takes_changes(status)
  return status == "available" or status == "storage-optimization"
end

--- Whether waiting longer is of no use.
function states.is_terminal(status) return TERMINAL[status] or false end

-- Texts by which RDS says "not now"; with other texts the same code is final.
local NOT_NOW = { "not in available state", "not in the available state",
  "not currently in the available state", "in-progress management operation" }

--- Whether a refused call is accepted later without anything else being changed.
function states.is_busy(e)
  if not (e.code or ""):find("^InvalidDBInstanceState") then return false end
  for _, text in ipairs(NOT_NOW) do
    if tostring(e.message):find(text, 1, true) then return true end
  end
  return false
end

return states
