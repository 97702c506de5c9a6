--- Names as AWS writes them (DescribeDBInstances) and as playbooks do
-- (describe_db_instances), by botocore's rules, which users know.
local native = require "native.model"

local names = {}

--- The snake_case form of a name.
names.snake = native.snake

--- A table from snake_case to the given names; the names themselves are in it too.
function names.index(list)
  local index = {}
  for _, name in ipairs(list) do
    index[names.snake(name)] = name
    index[name] = name
  end
  return index
end

return names
