-- The editor stubs of docs/meta name what is there, no more and no less.
local fs = require "native.fs"
local t = require "harness"

local function stub(path)
  return t.ok(loadfile(path, "t", {}))()
end

local function functions(module)
  local names = {}
  for name, value in pairs(module) do
    if type(value) == "function" then table.insert(names, name) end
  end
  table.sort(names)
  return names
end

t.test("every native module has a stub with its functions", function()
  local declared = 0
  for name in assert(fs.read("engine/modules.c")):gmatch("X%((%l%w*)%)") do
    t.equal(functions(stub("docs/meta/native/" .. name .. ".lua")),
      functions(require("native." .. name)), name)
    declared = declared + 1
  end
  t.equal(#fs.list("docs/meta/native"), declared)
end)

t.test("so have drlua and aws", function()
  for _, name in ipairs { "drlua", "aws" } do
    t.equal(functions(stub("docs/meta/" .. name .. ".lua")), functions(require(name)), name)
  end
end)

-- The names after ---@field in the class of a stub.
local function fields(path, class)
  local text = assert(fs.read(path)):match("%-%-%-@class " .. class:gsub("%.", "%%.")
    .. "\n(.-)\n\n")
  local names = {}
  for name in text:gmatch("%-%-%-@field ([%w_]+)") do table.insert(names, name) end
  table.sort(names)
  return names
end

t.test("options and fields of the stubs are those that the program knows", function()
  local step = require "run.step"
  local e = t.raises("unknown option", step.options, "s", { x = 1 }, print)
  local known = {}
  for name in e.message:match("%(options: (.-)%)"):gmatch("%S+") do table.insert(known, name) end
  t.equal(fields("docs/meta/drlua.lua", "drlua.step_options"), known)

  e = t.raises("unknown option", require("aws").rds, { region = "us-east-1", x = 1 })
  known = {}
  for name in e.message:match("known: (.*)$"):gmatch("[%w_]+") do
    if name ~= "clock" then table.insert(known, name) end -- for tests only
  end
  t.equal(fields("docs/meta/aws.lua", "aws.options"), known)
end)
