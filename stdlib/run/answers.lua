--- What the operator answers about calls in doubt, on the command line of a resume.
local errors = require "errors"

local answers = {}

local function list_of(history, id)
  local list = {}
  for _, doubt in ipairs(history:doubts()) do
    local intent = doubt.call.intent
    table.insert(list, ("'%s' (%s)"):format(doubt.call.key, intent.what or intent.name))
  end
  if #list == 0 then return ("run %s has no call in doubt"):format(id) end
  return ("run %s has these calls in doubt: %s"):format(id, table.concat(list, ", "))
end

local function refuse(text, ...)
  errors.raise { kind = "usage", message = text:format(...) }
end

-- The one call in doubt that a name means: its key, its step's path or name; nil: any,
-- where only one is in doubt.
local function one_call(history, name)
  local found
  for _, doubt in ipairs(history:doubts()) do
    if doubt.call.key == name then return name end
    if name == nil or doubt.step.path == name or doubt.step.name == name then
      if found then return nil end
      found = doubt.call.key
    end
  end
  return found
end

--- What --settle answers: call key -> "done" or "again". words: the option's values, each
-- CALL=done or CALL=again; a bare done or again where only one call is in doubt. Raises a
-- usage error for one that answers no call, or more than one.
function answers.read(history, words, id)
  local found = {}
  for _, word in ipairs(words or {}) do
    local name, answer = word:match("^(.*)=(%l+)$")
    answer = answer or word
    if answer ~= "done" and answer ~= "again" then
      refuse("--settle %s: it is CALL=done or CALL=again; %s", word, list_of(history, id))
    end
    local key = one_call(history, name)
    if not key and (name or #history:doubts() > 0) then
      refuse("--settle %s does not name one call in doubt; %s", word, list_of(history, id))
    end
    if key then found[key] = answer end
  end
  return found
end

return answers
