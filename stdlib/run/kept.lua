--- What a run keeps of inputs and answers: copies that no playbook can change later,
-- fingerprints, and whether something can be kept at all.
local crypto = require "native.crypto"
local value = require "run.value"

local kept = {}

local function has_methods(meta)
  return type(meta) == "table"
    and (meta.__index or meta.__gc or meta.__call or meta.__close) and true or false
end

local function copy(v, depth)
  if type(v) ~= "table" then return v end
  local meta = getmetatable(v)
  if depth > value.DEPTH or meta == false or has_methods(meta) then error("not plain", 0) end
  local made = setmetatable({}, meta)
  for k, item in next, v do rawset(made, k, copy(item, depth + 1)) end
  return made
end

--- A copy of a table of plain data, or nil where it holds anything else (a handle).
function kept.copy(v)
  local ok, made = pcall(copy, v, 0)
  return ok and made or nil
end

--- A short text that is the same for the same input of an effect, without its secrets.
function kept.fingerprint(s, e)
  local ok, text = pcall(value.encode, s.secrets:mask(e.input))
  return crypto.hex(crypto.sha256(ok and text or tostring(e.what))):sub(1, 16)
end

return kept
