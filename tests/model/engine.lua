--- The real engine on a history: a real session with a real journal, whose effects go
-- through the gate to a world of world.lua.
local control = require "run.control"
local dr = require "drlua"
local effect = require "effect"
local errors = require "errors"
local generate = require "model.generate"
local live = require "live"
local model = require "model.model"
local task = require "task"

local engine = {}
engine.__index = engine

-- The entries that change what a run does next; a death is counted in these.
local counted = { step_started = true, step_continued = true, step_succeeded = true,
  step_failed = true,
  step_skipped = true, intent = true, result = true, reads = true, rollback_ended = true }

-- A killed playbook sees nothing any more; what the replay of a rollback sees is no news.
local function see(self, ...)
  local s = self.run.session
  if not s.killed and not s.rewinding then table.insert(self.seen, table.concat({ ... }, " ")) end
end

-- Effects as the gate sees them ------------------------------------------------------

local function described(world, call, id)
  if not world:stands(id) then
    errors.raise { kind = "aws", code = "DBInstanceNotFound", message = "there is none" }
  end
  return { DBInstances = { { DBInstanceIdentifier = id, InstanceCreateTime = call.at } } }
end

local function aws(service, operation, call)
  return { kind = "aws", service = service, operation = operation, region = "us-west-2",
    input = { DBInstanceIdentifier = call.id } }
end

local effects = {
  token = function(_, call)
    local e = aws("backup", "Begin", call)
    e.token_member = "IdempotencyToken"
    return e
  end,
  rule = function(world, call)
    local e = aws("rds", "CreateDBInstance", call)
    e.call = function(_, input) return described(world, call, input.DBInstanceIdentifier) end
    return e
  end,
  message = function(_, call) return aws("sns", "Publish", call) end,
  goal = function(_, call)
    return { kind = "sql", operation = "exec", input = { sql = "insert", id = call.id } }
  end,
  repeatable = function(_, call)
    return { kind = "process", operation = "tool", repeatable = true, input = { id = call.id } }
  end,
  none = function(_, call)
    return { kind = "http", operation = "POST", input = { id = call.id } }
  end,
}

local function id_of(intent) return intent.input.id or intent.input.DBInstanceIdentifier end

-- How a failure looks: { kind of effect = { outcome = error } }.
local lost = { kind = "timeout", message = "no answer came" }
local failures = {
  aws = { refused = { kind = "aws", code = "AccessDenied", status = 403, message = "refused" },
    late = { kind = "aws", code = "InternalFailure", status = 500, in_doubt = true,
      message = "it broke" }, lost = lost },
  http = { refused = { kind = "http", status = 403, message = "refused" },
    late = { kind = "http", status = 502, message = "bad gateway" }, lost = lost },
  process = { refused = { kind = "failed", code = 1, message = "refused" },
    late = { kind = "failed", signal = "KILL", message = "killed" }, lost = lost },
  sql = { refused = { kind = "sql", sqlstate = "23505", message = "refused" },
    late = { kind = "closed", message = "the server closed the connection" }, lost = lost },
}

local function word_of(e)
  for _, list in pairs(failures) do
    for word, one in pairs(list) do
      if e.message == one.message then return word == "refused" and "refused" or "doubt" end
    end
  end
  return tostring(e)
end

local function raise(fields)
  local e = {}
  for k, v in pairs(fields) do e[k] = v end
  errors.raise(e)
end

-- Sends a call to the world, as the client of a service would.
local function send(self, call, timed, kind, token)
  local what, answer = self.world:send(call, token)
  if what == "hang" and not timed then what = "lost" end
  if what == "hang" then task.condition().wait() end
  if self.yields then task.yield() end
  if what ~= "ok" then raise(failures[kind][what]) end
  if call.sort == "rule" then return { DBInstance = { DBInstanceIdentifier = answer } } end
  return answer
end

local function shown(answer)
  if type(answer) ~= "table" then return tostring(answer) end
  return answer.DBInstance and answer.DBInstance.DBInstanceIdentifier or "settled"
end

local function make_call(self, path, item, timed, told)
  local e = effects[item.sort](self.world, item)
  e.what, e.input.told = item.id, item.depends and table.concat(told, ",") or nil
  local ok, answer = pcall(effect.perform, e, function(token)
    return send(self, item, timed, e.kind, token)
  end)
  if ok then
    see(self, path, item.id, shown(answer))
    return shown(answer)
  end
  local failed = errors.from(answer)
  if failed.kind == "control" or failed.kind == "cancelled" then error(failed, 0) end
  see(self, path, item.id, "! " .. word_of(failed))
  if not item.caught then error(failed, 0) end
  return "?"
end

local function make_read(self, path, item)
  local value = effect.perform({ kind = "http", operation = item.name, read = true, input = {} },
    function() return self.world.version end)
  see(self, path, item.name, value)
  return value
end

-- The playbook -----------------------------------------------------------------------

local run_step

local function body(self, path, node)
  local told = {}
  for _, item in ipairs(node.items) do
    local value
    if item.kind == "call" then
      value = make_call(self, path, item, node.timeout, told)
    elseif item.kind == "read" then
      value = make_read(self, path, item)
    elseif item.kind == "skip" then
      dr.skip "enough is done"
    else
      value = run_step(self, path .. "/", item)
    end
    table.insert(told, tostring(value))
  end
  return table.concat(told, ",")
end

local function undo_of(self, path, node)
  if not node.undo then return node.undo end
  return function(result, kept)
    local told = kept and ("nil [%s]"):format(table.concat(kept, ",")) or tostring(result)
    see(self, "Undo: " .. path, "undoes", told)
    return body(self, "Undo: " .. path, { items = node.undo })
  end
end

function run_step(self, prefix, node)
  local path = prefix .. node.name
  local options = { retries = node.retries and { times = node.retries, every = "0s" },
    optional = node.optional, partial = node.partial, timeout = node.timeout and "1m" or nil,
    undo = undo_of(self, path, node) }
  local function probe() return self.world:reached(node.goal) and "reached" or nil end
  if node.goal and node.waits then options.goal, options.within = probe, "1m" end
  if node.goal and not node.waits then options.done = probe end
  return dr.step(node.name, options, function() return body(self, path, node) end)
end

local function run_nodes(self, prefix, nodes)
  local parallels = 0
  for _, node in ipairs(nodes) do
    if node.kind == "parallel" then
      parallels = parallels + 1
      local branches, name = {}, generate.parallel_name(parallels)
      for i, inner in ipairs(node.branches) do
        local path = ("%s%s.%d/"):format(prefix, name, i)
        branches[i] = function() return run_nodes(self, path, inner) end
      end
      self.yields = true
      local ok, e = pcall(dr.parallel, branches)
      self.yields = false
      if not ok then error(e, 0) end
    else
      run_step(self, prefix, node)
    end
  end
end

-- Sessions ---------------------------------------------------------------------------

--- Makes the engine's part of a history. directory: for the state of its run.
function engine.new(history, world, directory)
  local self = setmetatable({ history = history, world = world, seen = {}, asked = {}, chosen = {},
    keys = {} }, engine)
  self.run = live.new(directory, { run = function()
    return run_nodes(self, "", history.program)
  end })
  return self
end

local function count(list, name)
  list[name] = (list[name] or 0) + 1
  return list[name]
end

local function person(self)
  local function ask_settled(_, _, _, intent)
    local id = id_of(intent)
    if self.run.session.killed then return "again" end -- nobody asks any more
    local n = count(self.asked, id)
    return model.answer(self.history, self.world, { id = id }, n) or "done"
  end
  local function stop() control.raise("stop", "stopped by the operator") end
  local function ask_failure(_, st)
    local choice = (self.history.choices[st.path] or {})[count(self.chosen, st.path)] or "stop"
    if choice == "stop" or choice == "undo" and not st.options.undo then stop() end
    return choice, choice == "skip" and "skipped by the operator" or nil
  end
  return { ask_settled = ask_settled, ask_failure = ask_failure, stop = stop,
    confirm = function() return "yes" end,
    forget = function() end }
end

-- Counts the entries that matter, and which was the last one of all.
local function counter(self)
  local counts = { entries = 0 }
  return counts, function(kind, _, data)
    local matters = counted[kind]
      or kind == "operator" and (data.again or data.retry or data.skip)
    counts.last = matters and "counted" or "other"
    if matters then counts.entries = counts.entries + 1 end
    if kind == "intent" then self.keys[data.key] = id_of(data) end
  end
end

-- The call that a pause asks about: by the command that its sentence prints.
local function asked_for(self, message)
  local key = message:match("%-%-settle '(.-)=done'")
  return key and self.keys[key], key
end

-- A pause is a question as well.
local function count_questions(self, s)
  local ask = s.ask_settled
  function s.ask_settled(...)
    local intent = select(4, ...)
    if not s.killed and not s.operator and not s.answers[intent.key] then
      count(self.asked, id_of(intent))
    end
    return ask(...)
  end
end

--- One session, as model:session; how.kill is of live.lua. Returns the outcome, the call
-- that is asked for, and the death as the model takes it.
function engine:session(how)
  local counts, on_write = counter(self)
  local options = { kill = how.kill, on_write = on_write, from = how.from, settle = how.settle,
    skip = how.skip, because = "it is done by hand",
    operator = how.operator and person(self) or nil,
    on_session = function(s) count_questions(self, s) end }
  local result = self.run[how.verb](self.run, options)
  if result.outcome == "killed" then
    local after = how.kill.moment == "after" and counts.last == "counted"
    return "killed", nil, { left = counts.entries, moment = after and "after" or "before" }
  end
  if result.outcome ~= "paused" then return result.outcome, nil, nil, result end
  local id, key = asked_for(self, result.message)
  return "paused", id or result.message, nil, { key = key }
end

return engine
