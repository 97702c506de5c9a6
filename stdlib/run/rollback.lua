--- Rollback: the undo functions of finished steps, newest first.
--
-- The playbook is replayed up to where the run came, so that every undo function finds
-- the values it closes over; nothing is run meanwhile. Then each undo runs as a step of
-- its own, journaled, so that a rollback can itself be interrupted and resumed. One
-- that fails stops it, and what is left is named for doing by hand.
local control = require "run.control"
local errors = require "errors"
local scope = require "run.scope"
local step = require "run.step"

local rollback = {}

-- Replays run(p) to the end of what was done.
local function rewind(definition, p)
  local ok, e = xpcall(definition.run, control.handler, p)
  if ok then return end
  e = errors.from(e)
  local word = control.of(e)
  if word ~= "rewound" and word ~= "stop" then error(e, 0) end
end

local function newest_first(s)
  local order = {}
  for i, undo in ipairs(s.undos or {}) do
    undo.position = i
    table.insert(order, undo)
  end
  table.sort(order, function(a, b)
    local x, y = s.history.steps[a.path].ended or 0, s.history.steps[b.path].ended or 0
    if x == y then return a.position > b.position end
    return x > y
  end)
  return order
end

local function undo_one(s, undo)
  local here = scope.current()
  local options = step.options("Undo: " .. undo.name, {}, undo.undo)
  return step.run(s, here, "Undo: " .. undo.path, options, function()
    return undo.undo(table.unpack(undo.results, 1, undo.results.n))
  end)
end

local function left_by_hand(order, from)
  local names = {}
  for i = from, #order do table.insert(names, ("\"%s\""):format(order[i].path)) end
  return table.concat(names, ", ")
end

-- Finished steps that changed something and have no undo: what a rollback leaves.
local function not_undoable(s, order)
  local undone, left = {}, {}
  for _, undo in ipairs(order) do undone[undo.path] = true end
  for path, past in pairs(s.history.steps) do
    if past.status == "succeeded" and next(past.effects or {}) and not undone[path] and not path:find("^Undo: ") then
      table.insert(left, ("\"%s\""):format(path))
    end
  end
  table.sort(left)
  return left
end

--- Undoes one step at once: for an operator who chose so after a failure.
function rollback.one(s, undo)
  return undo_one(s, undo)
end

--- The body of `drlua rollback`.
function rollback.run(s, definition, p)
  rewind(definition, p)
  s.rewinding = false
  s.accept_changes = true
  local order = newest_first(s)
  if #order == 0 then s:note("no finished step has an undo: nothing to roll back") end
  for i, undo in ipairs(order) do
    local ok, e = xpcall(undo_one, control.handler, s, undo)
    if not ok then
      e = errors.from(e)
      if not control.of(e) and e.kind ~= "cancelled" then
        s:note("left to do by hand: " .. left_by_hand(order, i))
      end
      error(e, 0)
    end
  end
  local left = not_undoable(s, order)
  if #left > 0 then s:note("left as it is, having no undo: " .. table.concat(left, ", ")) end
  s.rolled_back = true
end

return rollback
