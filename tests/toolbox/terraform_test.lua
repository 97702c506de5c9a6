-- terraform, played by a script that says what it was called with.
local fs = require "native.fs"
local program = require "program"
local sys = require "native.sys"
local t = require "harness"
local terraform = require "toolbox.terraform"

-- Puts a terraform into PATH that writes its arguments down and ends with `code`.
local function pretend(code)
  local directory = program.directory()
  assert(fs.write(directory .. "/terraform",
    ("#!/bin/sh\nprintf '%%s\\n' \"$@\" > '%s/called'\nexit %d\n"):format(directory, code), { mode = 448 }))
  local before = sys.getenv("PATH")
  sys.setenv("PATH", directory .. ":" .. before)
  t.cleanup(function() sys.setenv("PATH", before) end)
  return function() return fs.read(directory .. "/called") end
end

t.test("code 2 of a plan means changes, code 0 none, anything else fails", function()
  pretend(2)
  t.equal(terraform.has_changes("."), true)
  pretend(0)
  t.equal(terraform.has_changes("."), false)
  pretend(1)
  t.raises("terraform.*ended with code 1", terraform.has_changes, ".")
end)

t.test("variables go by name, sorted, in the directory asked for", function()
  local called = pretend(0)
  terraform.apply("infra", { region = "us-west-2", environment = "dr" })
  t.equal(called(), "-chdir=infra\napply\n-no-color\n-auto-approve\n-var=environment=dr\n-var=region=us-west-2\n")
end)
