--- Finding and loading playbooks and environments.
--
-- A playbook is named by its path, or by its name when it lies in ./playbooks or in
-- the installed share directory. An environment NAME is env/NAME.lua beside the
-- playbook, in ./playbooks, or in the share directory.
local control = require "run.control"
local errors = require "errors"
local fs = require "native.fs"
local gate = require "run.gate"
local nearest = require "nearest"
local playbook = require "run.playbook"
local sandbox = require "run.sandbox"
local sys = require "native.sys"

local library = {}

--- The directory of installed playbooks.
function library.share()
  local own = sys.getenv("DRLUA_SHARE")
  if own and own ~= "" then return own end
  local exe = sys.exe() or ""
  return (exe:match("^(.*)/[^/]*/[^/]*$") or "") .. "/share/drlua"
end

--- Directories that playbooks are listed from.
function library.directories()
  return { "playbooks", library.share() .. "/playbooks" }
end

--- The playbooks of a directory: paths, sorted.
function library.paths(directory)
  local found = {}
  for _, name in ipairs(fs.list(directory) or {}) do
    if name:find("%.lua$") then table.insert(found, directory .. "/" .. name) end
  end
  table.sort(found)
  return found
end

local function stems()
  local names = {}
  for _, directory in ipairs(library.directories()) do
    for _, path in ipairs(library.paths(directory)) do
      table.insert(names, path:match("([^/]*)%.lua$"))
    end
  end
  return names
end

--- The path of the playbook that a person named.
function library.find(name)
  if not name then
    errors.raise { kind = "usage", message = "name a playbook; `drlua list` shows them" }
  end
  if fs.stat(name) then return name end
  if not name:find("/") then
    for _, directory in ipairs(library.directories()) do
      local path = ("%s/%s"):format(directory, name:find("%.lua$") and name or name .. ".lua")
      if fs.stat(path) then return path end
    end
  end
  errors.raise { kind = "usage", message = ("there is no playbook %s%s"):format(name,
    nearest.hint((name:match("([^/]*)%.lua$") or name), stems())) }
end

local function environment_path(name, playbook_path)
  if name == "" then
    errors.raise { kind = "usage", message = "--env needs the name of an environment" }
  end
  if name:find("%.lua$") and fs.stat(name) then return name end
  local beside = playbook_path:match("^(.*)/[^/]*$") or "."
  local places = { beside .. "/env/", "playbooks/env/", library.share() .. "/playbooks/env/" }
  for _, place in ipairs(places) do
    if fs.stat(place .. name .. ".lua") then return place .. name .. ".lua" end
  end
  local known = {}
  for _, place in ipairs(places) do
    for _, file in ipairs(fs.list(place) or {}) do
      table.insert(known, (file:gsub("%.lua$", "")))
    end
  end
  errors.raise { kind = "usage", message = ("there is no environment %s in %s%s"):format(name,
    table.concat(places, ", "), nearest.hint(name, known)) }
end

--- Loads the environment `name`: its table, with `params`, and its path.
function library.environment(name, playbook_path)
  if not name then return nil end
  local path = environment_path(name, playbook_path)
  local room = sandbox.new()
  local t = room:load(path, gate.load)
  if type(t) ~= "table" then
    errors.raise { kind = "usage",
      message = ("%s is no environment: it returns a %s, not a table"):format(path, type(t)) }
  end
  local faults = playbook.environment_faults(t)
  if #faults > 0 then
    errors.raise { kind = "usage", message = ("%s: %s"):format(path, table.concat(faults, "; ")) }
  end
  -- Values may stand in `params`, or by themselves beside contacts and channels.
  local params = {}
  for k, v in pairs(t) do if k ~= "params" then params[k] = v end end
  for k, v in pairs(type(t.params) == "table" and t.params or {}) do params[k] = v end
  local environment = {}
  for k, v in pairs(t) do environment[k] = v end
  environment.params, environment.name = params, name
  return environment, path, room.sources
end

--- Loads a playbook: { definition, path, sources, environment, environment_name,
-- environment_path }.
function library.load(path, environment_name)
  gate.install()
  local environment, env_path, env_sources = library.environment(environment_name, path)
  local room = sandbox.new { environment = environment or {} }
  local definition = room:load(path, gate.load)
  if not playbook.is(definition) then
    errors.raise { kind = "usage", message =
      ("%s is no playbook: it must `return dr.playbook { ... }`"):format(path) }
  end
  for source, text in pairs(env_sources or {}) do room.sources[source] = text end
  return { definition = definition, path = path, sources = room.sources, room = room,
    environment = environment,
    environment_name = environment_name, environment_path = env_path }
end

--- Marks an error of loading or of the command line: nothing was started.
function library.refusal(e)
  e = errors.from(e)
  if e.kind == "misuse" or e.kind == "lua" or control.of(e) then e.nothing_started = true end
  return e
end

return library
