-- Real terraform on terraform_data, which needs no provider and no network.
local fs = require "native.fs"
local process = require "process"
local t = require "harness"
local terraform = require "toolbox.terraform"

local CODE = [[
variable "region" { type = string }
resource "terraform_data" "stack" { input = var.region }
output "region" { value = terraform_data.stack.output }
]]

local function directory()
  if not process.find "terraform" then t.skip("terraform is not installed") end
  local path = assert(fs.tempdir("drlua-terraform-"))
  t.cleanup(function() fs.remove_tree(path) end)
  assert(fs.write(path .. "/main.tf", CODE))
  return path
end

t.test("init, drift, apply, no drift", function()
  local path = directory()
  terraform.init(path)
  t.equal(terraform.has_changes(path, { region = "us-west-2" }), true)
  t.contains(terraform.apply(path, { region = "us-west-2" }), "Apply complete")
  t.equal(terraform.has_changes(path, { region = "us-west-2" }), false)
  t.equal(terraform.has_changes(path, { region = "us-east-1" }), true)
end)

t.test("a missing variable is an error with terraform's words", function()
  local path = directory()
  terraform.init(path)
  local e = t.raises("terraform", terraform.apply, path, {})
  t.contains(tostring(e), "variable \"region\" is not set")
end)
