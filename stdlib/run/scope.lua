--- Scopes: where in a run the code is that runs now.
--
-- A scope belongs to the run itself, to a branch of dr.parallel or dr.each, or to
-- one attempt of a step. It names what happens inside, the same way on every replay:
-- steps by name ("Deploy", "Deploy#2"), effects and clock readings by their order. A
-- task carries its scope in its field `context`, and tasks it starts inherit it.
local task = require "task"

local scope = {}
scope.__index = scope

--- Makes a scope. kind: "run" "branch" "step" "check" "probe" "poll". path: of the
-- scope, "" for the run.
function scope.new(session, kind, path, parent)
  return setmetatable({ session = session, kind = kind, path = path, parent = parent,
    counters = {} }, scope)
end

-- Names that drlua itself gives to branches, checks and undo steps.
local reserved = { p = { "^parallel%.%d", "^parallel#" },
  e = { "^each%[", "^each#", "^escalation$" }, c = { "^check " }, U = { "^Undo: " } }

local function percent(c) return ("%%%02X"):format(c:byte()) end

--- A step's name as one word of a path: "/" and "#" are percent-encoded, so that two
-- different steps never share a path, and so are control characters, so that a path can be
-- typed as it is shown.
function scope.escape(name)
  if name:find("[/#%%%c]") then
    name = name:gsub("%%(%x%x)", "%%25%1"):gsub("[/#%c]", percent)
  end
  for _, pattern in ipairs(reserved[name:sub(1, 1)] or {}) do
    if name:find(pattern) then return percent(name) .. name:sub(2) end
  end
  return name
end

--- A name that is unique in the scope: the second "x" is "x#2".
function scope:unique(name)
  local n = (self.counters[name] or 0) + 1
  self.counters[name] = n
  return n == 1 and name or ("%s#%d"):format(name, n)
end

--- The path of something inside the scope.
function scope:join(name)
  return self.path == "" and name or self.path .. "/" .. name
end

-- A path is written down and shown as it is, and a resume finds the step by it: a secret
-- in a name is in it by its own name. A journal of the first format has the names of
-- steps as they are.
local function word_of(self, name)
  local history, secrets = self.session.history, self.session.secrets
  if history and history.plain_names then return name end
  return scope.escape(secrets and secrets:name_of(name) or name)
end

--- The path of a check of this name here; it is counted.
function scope:check_path(name)
  local secrets = self.session.secrets
  return self:join(self:unique("check " .. (secrets and secrets:name_of(name) or name)))
end

--- The path that the next step of this name has here; it is counted.
function scope:step_path(name)
  return self:join(self:unique(word_of(self, name)))
end

--- The innermost step (the record that step.lua makes), or nil.
function scope:innermost_step()
  local s = self
  while s and not s.step do s = s.parent end
  return s and s.step
end

--- True inside a probe (done, goal, when, wait_until), which may only read.
function scope:in_probe()
  local s = self
  while s and s.kind ~= "probe" and s.kind ~= "poll" and s.kind ~= "step" do s = s.parent end
  return s ~= nil and s.kind ~= "step"
end

--- The current scope, or nil outside of any run.
function scope.current()
  local t = task.current()
  return t and t.context
end

--- Runs fn(...) with this scope as the current one; returns what pcall would.
function scope:call(fn, handler, ...)
  local t = task.current()
  local outer = t.context
  t.context = self
  local function restore(...)
    t.context = outer
    return ...
  end
  return restore(xpcall(fn, handler, ...))
end

return scope
