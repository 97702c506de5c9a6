--- Whether the simulator shows nothing that AWS was not seen to show: members by resource
-- and state, the state with which a call is answered, the texts of errors.
local evidence = require "evidence"
local exceptions = require "exceptions"

local json = require "native.json"

local simulated = {}

local function excused(list, name)
  for _, rule in ipairs(list) do
    if name:find(rule[1]) then return rule[2] end
  end
end

-- nil when it was seen, else what is wrong; second: true when nothing can be said.
local function fault_of_member(known, name, owner, path, shape_member, service)
  local members = known.members[name]
  if not members or next(members) == nil then
    return nil, not known.shapes[service .. "." .. shape_member]
  end
  if not members[path] then return "was never recorded" end
  local state = owner.state and (known.states[name] or {})[owner.state]
  if state and not state.members[path] and (state.absent or {})[path] then
    return "was recorded as absent in this state"
  end
end

local function check_members(known, call, each, unknown)
  evidence.walk(call.service, call.operation, call.output, {
    resource = function(owner)
      local answered = known.answered[call.service .. "." .. call.operation]
      if answered and not call.operation:find("^Describe") then
        each(("%s.%s answers the state %s"):format(call.service, call.operation, owner.state),
          not answered[owner.state] and "was not recorded")
      end
    end,
    member = function(owner, path, shape_member)
      local name = call.service .. "." .. owner.name
      local fault, unsaid = fault_of_member(known, name, owner, path, shape_member, call.service)
      if unsaid then unknown(name .. path) return end
      each(name .. path .. (owner.state and " in " .. owner.state or ""), fault)
    end,
  })
end

local function values_of(input, set)
  for _, each in pairs(input) do
    if type(each) == "table" then values_of(each, set) else set[tostring(each)] = true end
  end
  return set
end

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do table.insert(list, (word:gsub("[.,:;]+$", ""))) end
  return list
end

-- The same text, but for what the call itself named.
local function same_text(want, got, given)
  local a, b = words(want), words(got)
  if #a ~= #b then return false end
  for i, word in ipairs(b) do
    if word ~= a[i] and not given[word] then return false end
  end
  return true
end

local function check_error(known, call, each)
  local name = call.service .. "." .. call.failure.code
  local texts = known.errors[name]
  if not texts then return end
  local given, found = values_of(call.input, {}), false
  for text in pairs(texts) do found = found or same_text(text, call.failure.message, given) end
  each(name .. " of " .. call.operation, not found
    and ("has a text that was not recorded: %s"):format(call.failure.message))
end

-- What earlier recordings showed, as evidence.of gave it.
local function facts()
  local file <close> = assert(io.open("tests/truth/facts.json", "rb"))
  return assert(json.decode(file:read("a")))
end

-- The states that the simulator's resources of a kind can come to from a state.
local function reachable(moves, from)
  local found, todo = {}, { from }
  while #todo > 0 do
    local state = table.remove(todo)
    for move in pairs(moves) do
      local a, b = move:match("^(.-) to (.*)$")
      if a == state and not found[b] then
        found[b] = true
        table.insert(todo, b)
      end
    end
  end
  return found
end

-- One state after another, as recorded, must be what the simulator can show.
local function check_moves(known, calls, each)
  local records = {}
  for _, call in ipairs(calls) do
    if call.output then
      table.insert(records, { service = call.service, operation = call.operation,
        output = call.output, path = "simulator", sequence = {} })
    end
  end
  local seen = evidence.of(records)
  local own, states = seen.moves, seen.states
  for name, moves in pairs(known.moves) do
    for move in pairs(own[name] and moves or {}) do
      local from, to = move:match("^(.-) to (.*)$")
      local shown = states[name][from] and states[name][to]
      each(("%s from %s"):format(name, move), not reachable(own[name], from)[to] and (shown
        and "was recorded and not shown by the simulator"
        or "a state that the simulator was not led to"), name:match("^[^.]+"))
    end
  end
end

--- Holds calls of the simulator (see drive.lua) against recordings: each(service, what,
-- faults, open) for every distinct fact, unknown(member) for what no recording speaks of.
function simulated.check(calls, list, report, unknown)
  local known, done = evidence.of(list, facts()), {}
  local function judge(service, what, fault)
    local key = what .. (fault and ": " .. fault or "")
    if done[key] then return end
    done[key] = true
    local reason = fault and excused(exceptions.simulator, key)
    local open = reason and reason:find("^open: ") and { key .. ": " .. reason } or {}
    report(service, what, fault and not reason and { fault } or {}, open)
  end
  check_moves(known, calls, function(what, fault, service) judge(service, what, fault) end)
  for _, call in ipairs(calls) do
    local function each(what, fault) judge(call.service, what, fault) end
    if call.output then
      check_members(known, call, each, unknown)
    else
      check_error(known, call, each)
    end
  end
end

return simulated
