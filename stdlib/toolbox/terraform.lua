--- terraform, in a directory, without questions.
local process = require "process"

local terraform = {}

local function run(directory, arguments, options)
  local call = { "terraform", "-chdir=" .. directory, table.unpack(arguments) }
  call.read, call.timeout = options.read, options.timeout
  call.env = { TF_IN_AUTOMATION = "1", TF_INPUT = "0" }
  call.codes = options.codes
  return process.run(call)
end

local function with_variables(arguments, variables)
  local names = {}
  for name in pairs(variables or {}) do table.insert(names, name) end
  table.sort(names)
  for _, name in ipairs(names) do
    table.insert(arguments, ("-var=%s=%s"):format(name, variables[name]))
  end
  return arguments
end

--- terraform init: needed once in a fresh checkout. Writes in the directory.
function terraform.init(directory, timeout)
  return run(directory, { "init", "-no-color" }, { timeout = timeout or "10m" })
end

--- True when the plan has changes (terraform's own exit code 2).
function terraform.has_changes(directory, variables, timeout)
  local result = run(directory,
    with_variables({ "plan", "-no-color", "-detailed-exitcode", "-lock=false" }, variables),
    { read = true, timeout = timeout or "15m", codes = { 0, 2 } })
  return result.code == 2
end

--- terraform apply -auto-approve.
function terraform.apply(directory, variables, timeout)
  return run(directory, with_variables({ "apply", "-no-color", "-auto-approve" }, variables),
    { timeout = timeout or "45m" }).stdout
end

return terraform
