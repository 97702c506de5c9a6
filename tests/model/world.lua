--- The world of a history: what takes effect there, whatever anybody is told of it.
--
-- It counts the effects of each call and remembers by which tokens they came. A call is
-- { id, sort }; the sorts differ in how its effect can be found again:
--   token       a second sending under the same token has no second effect
--   rule        it makes a thing with a name, which can be looked for
--   goal        the step's goal shows it
--   repeatable  sending it twice does no more harm (its effects are counted all the same)
--   message     likewise, and there is nothing to take back
--   none        nobody can find out but the operator
--
-- What becomes of one sending is its outcome:
--   ok          it takes effect and is answered
--   refused     it takes no effect, and the answer says so
--   lost+ lost- no answer; with and without effect
--   late+ late- an answer of a server that failed on the way; with and without effect
--   hang+ hang- it never ends; with and without effect
local world = {}
world.__index = world

--- Makes a world in which nothing has happened. outcomes: call id -> list of the outcomes
-- of its sendings; "ok" where the list ends.
function world.new(outcomes)
  return setmetatable({ outcomes = outcomes, effects = {}, things = {}, tokens = {}, sendings = {},
    version = 0 }, world)
end

local function happen(self, call, token)
  if call.sort == "token" and self.tokens[token] then return self.tokens[token] end
  if call.sort == "rule" and self.things[call.id] then return nil end
  local n = (self.effects[call.id] or 0) + 1
  self.effects[call.id], self.version = n, self.version + 1
  local answer = call.sort == "rule" and call.id or ("%s:%d"):format(call.id, n)
  if call.sort == "token" then self.tokens[token] = answer end
  if call.sort == "rule" then self.things[call.id] = true end
  return answer
end

--- A call arrives. Returns "ok" and the answer, or "refused", "lost", "late" or "hang".
function world:send(call, token)
  local n = (self.sendings[call.id] or 0) + 1
  self.sendings[call.id] = n
  table.insert(self.sendings, { id = call.id, token = token })
  local outcome = (self.outcomes[call.id] or {})[n] or "ok"
  if outcome == "refused" then return "refused" end
  local what, takes_effect = outcome:match("^(%l+)(.?)$")
  local answer = takes_effect ~= "-" and happen(self, call, token) or nil
  if what ~= "ok" then return what end
  if not answer then return "refused" end -- there is one of that name
  return "ok", answer
end

--- Whether the thing that a call makes is there.
function world:stands(id) return self.things[id] or false end

--- Whether every one of these calls has had an effect.
function world:reached(ids)
  for _, id in ipairs(ids) do
    if not self.effects[id] then return false end
  end
  return true
end

--- Somebody else takes away what a call made.
function world:lose(id)
  if self.things[id] then
    self.things[id], self.version = nil, self.version + 1
  end
end

return world
