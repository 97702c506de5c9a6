--- Identity policies, where a world has any: the subset of IAM that decides on
-- actions. A world without policies lets every signed call through.
local policy = {}

-- "rds:Describe*" -> a Lua pattern, case-insensitive by lower-casing both.
local function pattern(glob)
  return "^" .. glob:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- IAM allows a single string or statement where a list is meant.
local function list(value)
  if type(value) ~= "table" or value.Effect then return { value } end
  return value
end

local function covers(statement, action)
  for _, glob in ipairs(list(statement.Action or {})) do
    if action:lower():find(pattern(glob)) then return true end
  end
  if statement.NotAction then
    for _, glob in ipairs(list(statement.NotAction)) do
      if action:lower():find(pattern(glob)) then return false end
    end
    return true
  end
  return false
end

-- Needs no permission.
local free = { ["sts:GetCallerIdentity"] = true, ["sts:GetSessionToken"] = true }

--- nil when the call { service, operation } is allowed to the key's identity; else
-- the error to answer with. policies: a list of { Statement = {...}, principal = arn? }.
function policy.denies(policies, key, call)
  if not policies or #policies == 0 then return nil end
  local action = call.service .. ":" .. call.operation
  if free[action] then return nil end
  local allowed, denied = false, false
  for _, one in ipairs(policies) do
    for _, statement in ipairs(one.principal and one.principal ~= key.arn and {} or list(one.Statement)) do
      if covers(statement, action) then
        if statement.Effect == "Deny" then denied = true else allowed = true end
      end
    end
  end
  if allowed and not denied then return nil end
  return { status = 403, code = "AccessDenied",
    message = ("User: %s is not authorized to perform: %s because %s"):format(key.arn, action,
      denied and "of an explicit deny in an identity-based policy"
        or "no identity-based policy allows the " .. action .. " action") }
end

return policy
