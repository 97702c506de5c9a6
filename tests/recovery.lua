--- What tests of whole playbooks share: the surroundings of a run, and its traces.
local recovery = {}

--- The environment of a drlua that runs against the AWS at `url` with its state in
-- `directory`, cut off from the settings of this machine's user.
function recovery.environment(url, directory, password)
  return {
    AWS_ENDPOINT_URL = url, AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test",
    AWS_REGION = "us-east-1", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null", AWS_EC2_METADATA_DISABLED = "true",
    DRLUA_STATE = directory .. "/state", DB_PASSWORD = password,
  }
end

--- How many calls of the operation the simulator answered with 200.
function recovery.succeeded(s, operation)
  local n = 0
  for _, call in ipairs(s.calls:list { operation = operation }) do
    if call.status == 200 then n = n + 1 end
  end
  return n
end

return recovery
