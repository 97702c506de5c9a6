--- RDS: what it refuses in the members of a call about an instance. A member that is nil
-- is not looked at.
local checks = {}

--- Passwords as RDS takes them.
function checks.password(ctx, password)
  if #password < 8 or password:find('[/@" ]') then
    ctx:fail("InvalidParameterValue",
      "The parameter MasterUserPassword is not a valid password. Only printable ASCII "
      .. "characters besides '/', '@', '\"', ' ' may be used, and it must have at least 8 of them.")
  end
end

-- Words that PostgreSQL's engine on RDS keeps.
local RESERVED = {}
for word in ([[admin rdsadmin rdsrepladmin rdsinspector rds_superuser rds_replication rds_iam rds_password
  all analyse analyze and any array as asc asymmetric both case cast check collate column
  constraint create current_catalog current_date current_role current_time current_timestamp
  current_user default deferrable desc distinct do else end except false fetch for foreign
  from grant group having in initially intersect into lateral leading limit localtime
  localtimestamp not null offset on only or order placing primary public references returning
  select session_user some symmetric table then to trailing true union unique user using
  variadic when where window with]]):gmatch("[%w_]+") do RESERVED[word] = true end

--- The master user's name.
function checks.master(ctx, name)
  local text = name:lower()
  if RESERVED[text] or text:find("^pg_") then
    ctx:fail("InvalidParameterValue",
      ("MasterUsername %s cannot be used as it is a reserved word used by the engine")
      :format(name))
  end
  if not text:find("^%a[%w_]*$") or #text > 63 then
    ctx:fail("InvalidParameterValue",
      "The parameter MasterUsername must begin with a letter, contain only letters, "
      .. "digits and underscores, and have at most 63 of them.")
  end
end

--- "db.r6g.2xlarge": families and sizes as AWS forms their names.
function checks.class(ctx, class)
  local size = class and class:match("^db%.[a-z]%d+[a-z%-]*%.([%w-]+)$")
  if class == nil or class == "db.serverless" or size and (size:find("^%d*xlarge$")
    or size == "micro"
    or size == "small" or size == "medium" or size == "large" or size == "metal") then
    return
  end
  ctx:fail("InvalidParameterValue", "Invalid DB Instance class: " .. class)
end

--- Days that automated backups are kept.
function checks.retention(ctx, days)
  if days and (days < 0 or days > 35) then
    ctx:fail("InvalidParameterValue",
      ("Invalid backup retention period: %d. Must be between 0 and 35."):format(days))
  end
end

-- Whether some instance of another region of the account has this security group, and none
-- in this one: it belongs to a VPC over there.
local function is_elsewhere(ctx, id)
  local here, there = false, false
  ctx.sim.state:each("rds", function(account, region, store)
    for _, instance in pairs(account == ctx.account and store.instances or {}) do
      for _, group in ipairs(instance.shape and instance.shape.VpcSecurityGroups or {}) do
        if group.VpcSecurityGroupId == id then
          here, there = here or region == ctx.region, there or region ~= ctx.region
        end
      end
    end
  end)
  return there and not here
end

--- Security groups and keys must be of the call's region.
function checks.references(ctx, input)
  for _, id in ipairs(input.VpcSecurityGroupIds or {}) do
    if is_elsewhere(ctx, id) then
      ctx:fail("InvalidParameterValue",
        ("Invalid security group , groupId= %s, groupName=."):format(id))
    end
  end
  local region = input.KmsKeyId and input.KmsKeyId:match("^arn:aws[%w-]*:kms:([^:]+):")
  if region and region ~= ctx.region then
    ctx:fail("KMSKeyNotAccessibleFault",
      ("The specified KMS key [%s] does not exist, is not enabled or you do not "
      .. "have permissions to access it."):format(input.KmsKeyId))
  end
end

--- The account's limits in a region: a world's `quotas`. kind: "instances", "snapshots".
function checks.quota(ctx, kind, count)
  local limit = ctx.sim.quotas[kind]
  if count < limit then return end
  if kind == "instances" then
    ctx:fail("InstanceQuotaExceeded",
      ("You have reached the limit of %d DB instances."):format(limit))
  elseif kind == "snapshots" then
    ctx:fail("SnapshotQuotaExceeded",
      ("You have reached the limit of %d manual snapshots."):format(limit))
  end
  ctx:fail("SnapshotQuotaExceeded",
    ("Cannot copy more than %d snapshots across regions"):format(limit))
end

--- A Multi-AZ instance's zones are RDS's to choose.
function checks.zone(ctx, input)
  if input.MultiAZ and input.AvailabilityZone then
    ctx:fail("InvalidParameterCombination",
      "Requesting a specific availability zone is not valid for Multi-AZ "
      .. "instances.")
  end
end

return checks
