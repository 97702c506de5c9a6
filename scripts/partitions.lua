--- Writes stdlib/aws/partitions.lua from botocore's partitions.json:
-- `drlua script scripts/partitions.lua BOTOCORE/data/partitions.json > stdlib/aws/partitions.lua`
-- To be run again when scripts/models.txt names another botocore.
local json = require "native.json"

local file = assert(io.open(arg[1], "rb"))
local data = assert(json.decode(file:read("a")))
file:close()

--- The region pattern "^(us|eu)\-\w+\-\d+$" as the list of what stands before the
-- last two words; anything of another form must be looked at by a person.
local function prefixes(regex)
  local head = regex:match("^%^(.*)\\%-\\w%+\\%-\\d%+%$$")
    or error("unforeseen region pattern " .. regex)
  head = head:gsub("\\%-", "-")
  local before, choices = head:match("^([%w-]*)%(([%w|]+)%)$")
  if not choices then
    assert(head:find("^[%w-]+$"), "unforeseen region pattern " .. regex)
    return { head }
  end
  local list = {}
  for choice in choices:gmatch("[^|]+") do table.insert(list, before .. choice) end
  return list
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do table.insert(keys, k) end
  table.sort(keys)
  return keys
end

local out = {}
local function write(text, ...) table.insert(out, text:format(...)) end

write("--- AWS's partitions: made by scripts/partitions.lua from botocore's partitions.json.")
write("return {")
for _, partition in ipairs(data.partitions) do
  local list = {}
  for _, prefix in ipairs(prefixes(partition.regionRegex)) do
    table.insert(list, ("%q"):format(prefix))
  end
  write("  {")
  write("    prefixes = { %s },", table.concat(list, ", "))
  write("    outputs = {")
  for _, key in ipairs(sorted_keys(partition.outputs)) do
    local value = key == "name" and partition.id or partition.outputs[key]
    write(type(value) == "string" and "      %s = %q," or "      %s = %s,", key,
      type(value) == "string" and value
      or tostring(value))
  end
  write("    },")
  write("    regions = {")
  for _, region in ipairs(sorted_keys(partition.regions)) do
    write("      [%q] = %q,", region, partition.regions[region].description)
  end
  write("    },")
  write("  },")
end
write("}")
print(table.concat(out, "\n"))
