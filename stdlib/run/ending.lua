--- What a run leaves at its end, and the command that helps next.
--
-- Read from the facts of its journal alone (facts.lua), so that the screen, the report,
-- `drlua show` and --output json agree: what was agreed to lose, optional steps that
-- failed, what was skipped and why, failed checks, calls in doubt, and after a rollback
-- what was undone and what is left to do by hand.
local identity = require "run.identity"

local ending = {}

--- A text as one word of the shell.
function ending.quoted(text)
  if text:find("^[%w_./:@%%+=-]+$") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function accepted(facts)
  local list = {}
  for _, s in ipairs(facts.steps) do
    local given = facts.accepted[s.path]
    if given and s.outcome ~= "skipped" then table.insert(list, given) end
  end
  return list
end

local function steps_that(facts, outcome)
  local list = {}
  for _, s in ipairs(facts.steps) do
    if s.outcome == outcome then table.insert(list, { step = s.path, reason = s.reason }) end
  end
  return list
end

local function checks_that(facts, outcome)
  local list = {}
  for _, c in ipairs(facts.checks) do
    if c.outcome == outcome then table.insert(list, { check = c.name, reason = c.detail }) end
  end
  return list
end

local function in_doubt(facts)
  local list = {}
  for _, call in ipairs(facts.calls) do
    if call.outcome == "in doubt" then
      table.insert(list, { step = call.path, call = call.what, token = call.token, key = call.key })
    end
  end
  return list
end

local function undone(facts)
  local list = {}
  for _, s in ipairs(facts.undos) do
    if s.outcome == "done" then table.insert(list, { step = s.undoes }) end
  end
  return list
end

--- Everything that a run leaves. Lists, empty ones left out: accepted { step, text, by },
-- optional_failed, skipped, checks_failed, checks_skipped { step or check, reason },
-- in_doubt { step, call, token, key }, undone { step }, by_hand { step, call, why }.
function ending.left(facts)
  local left = { accepted = accepted(facts),
    optional_failed = steps_that(facts, "failed (optional)"),
    skipped = steps_that(facts, "skipped"), checks_failed = checks_that(facts, "failed"),
    checks_skipped = checks_that(facts, "skipped"), in_doubt = in_doubt(facts),
    undone = undone(facts),
    by_hand = facts.rollback and facts.rollback.left or {} }
  for name, list in pairs(left) do
    if #list == 0 then left[name] = nil end
  end
  return left
end

local function with_reason(name, reason)
  return reason and ("%s: %s"):format(name, reason) or name
end

local function people(names)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    if not seen[name] then table.insert(list, name) end
    seen[name] = true
  end
  return table.concat(list, ", ")
end

-- The skipped steps by reason, in the order of the first of each.
local function by_reason(skipped)
  local order, groups = {}, {}
  for _, s in ipairs(skipped) do
    local reason = s.reason or "no reason is on record"
    if not groups[reason] then
      groups[reason] = {}
      table.insert(order, reason)
    end
    table.insert(groups[reason], s.step)
  end
  return order, groups
end

local lines_of = {}

function lines_of.accepted(list, add)
  for _, given in ipairs(list) do
    add("Accepted at \"%s\" by %s: %s", given.step, people(given.by),
      ((given.text or "no text is on record"):gsub("\n", "\n  ")))
  end
end

function lines_of.optional_failed(list, add, again)
  add("%d optional step%s failed%s", #list, #list == 1 and "" or "s",
    again and "; to run them again: " .. again or "")
  for _, s in ipairs(list) do add("  %s", with_reason(s.step, s.reason)) end
end

function lines_of.skipped(list, add)
  local order, groups = by_reason(list)
  for _, reason in ipairs(order) do
    add("Skipped (%s): %s", reason, table.concat(groups[reason], ", "))
  end
end

function lines_of.checks_failed(list, add)
  for _, c in ipairs(list) do add("Check failed: %s", with_reason(c.check, c.reason)) end
end

function lines_of.checks_skipped(list, add)
  for _, c in ipairs(list) do add("Check skipped: %s", with_reason(c.check, c.reason)) end
end

function lines_of.in_doubt(list, add)
  for _, c in ipairs(list) do
    add("\"%s\": call in doubt: %s (whether it took effect is not known yet; token %s)", c.step,
      c.call,
      c.token or "none")
  end
end

function lines_of.undone(list, add)
  local names = {}
  for i, s in ipairs(list) do names[i] = ("\"%s\""):format(s.step) end
  add("Undone: %s", table.concat(names, ", "))
end

function lines_of.by_hand(list, add)
  for _, c in ipairs(list) do
    add("To do by hand: \"%s\"%s", tostring(c.step), (c.call and ": " .. tostring(c.call) or "")
      .. (c.why and " (" .. tostring(c.why) .. ")" or ""))
  end
end

local order = { "accepted", "checks_failed", "checks_skipped", "optional_failed", "skipped",
  "in_doubt", "undone",
  "by_hand" }

--- What is left as lines for a person. again: the command that runs the failed optional
-- steps once more, where there is one.
function ending.lines(left, again)
  local list = {}
  local function add(text, ...) table.insert(list, text:format(...)) end
  for _, name in ipairs(order) do
    if left[name] then lines_of[name](left[name], add, again) end
  end
  return list
end

--- The approvals that the run waits for: asked, the step not ended, and not given by
-- enough people. A list of { path, text, people, given, changes }.
function ending.pending(facts)
  local list = {}
  for _, s in ipairs(facts.steps) do
    local asked = facts.asked[s.path]
    if asked and s.outcome == "under way" and identity.count(asked.given) < (asked.people or 1) then
      table.insert(list, asked)
    end
  end
  return list
end

-- Escalations are not tried again: what they reported has passed.
local function can_try_again(optional_failed)
  for _, s in ipairs(optional_failed or {}) do
    if not s.step:find("^escalation/") then return true end
  end
  return false
end

local function settle_options(doubts, answer)
  local words = {}
  for _, call in ipairs(doubts) do
    table.insert(words, " --settle " .. ending.quoted(("%s=%s"):format(call.key, answer)))
  end
  return table.concat(words)
end

-- States of a run that no command takes further.
local no_way_on = { ["rolled back"] = true, ["partly rolled back"] = true, running = true,
  damaged = true }

--- The commands that take the run further, in their order, each with a word on why;
-- none for one that is over, or a rehearsal, whose world ends with it. status: of the run,
-- which may have stopped since; where: the options that find its state directory again, such
-- as " --state DIR".
function ending.commands(facts, status, where)
  local id, list = facts.head.id, {}
  if facts.head.rehearsal then return list end
  local function add(why, text, ...)
    table.insert(list, { why = why, command = ("drlua " .. text):format(...) .. (where or "") })
  end
  if status == "succeeded" then
    if can_try_again(ending.left(facts).optional_failed) then
      add("to run the failed optional steps again", "resume %s --optional", id)
    end
    return list
  end
  if no_way_on[status] then return list end
  for _, asked in ipairs(ending.pending(facts)) do
    add("to approve", "approve %s %s", id, ending.quoted(asked.path))
  end
  if facts.reason == "settle" then
    local doubts = in_doubt(facts)
    local each = #doubts == 1 and "the call" or "each call"
    add(("look; if %s took effect"):format(each), "resume %s%s", id, settle_options(doubts, "done"))
    add("where it did not, to send it again", "resume %s%s", id, settle_options(doubts, "again"))
    return list
  end
  if status == "rolling back" or facts.rolling_back then
    add("to continue the rollback", "resume %s", id)
  elseif facts.word == "diverged" then
    add("to continue with the edited playbook", "resume %s --accept-changes", id)
  else
    add(status == "failed" and "to continue, once the cause is mended" or "to continue",
      "resume %s", id)
  end
  return list
end

return ending
