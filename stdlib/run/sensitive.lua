--- Inputs and answers of AWS's calls as the journal has them: without the members that are
-- secrets.
--
-- Such a member is kept sealed (run/seal.lua): a replay and a look get it back, and nobody
-- who reads the journal, an output or the report sees it.
local secrets = require "run.secrets"

local sensitive = {}

local function replace(e, side, data, fn)
  if not e.secret_members or type(data) ~= "table" then return data end
  return e.secret_members(side, data, fn)
end

--- The input of an effect for the journal.
function sensitive.input(e)
  return replace(e, "input", e.input, secrets.sealed)
end

--- What an effect returned (of value.pack) for the journal.
function sensitive.values(e, packed)
  local shown = replace(e, "output", packed.v1, secrets.sealed)
  if shown == packed.v1 then return packed end
  local copy = {}
  for k, v in pairs(packed) do copy[k] = v end
  copy.v1 = shown
  return copy
end

--- True where the input of an effect has a secret member that no parameter gave.
function sensitive.holds(registry, e)
  local found = false
  replace(e, "input", e.input, function(member)
    found = found or type(member) ~= "string" or not registry:is_declared(member)
    return member
  end)
  return found
end

return sensitive
