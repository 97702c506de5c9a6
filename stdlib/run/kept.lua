--- What a run keeps of inputs and answers: copies that no playbook can change later,
-- fingerprints, and whether something can be kept at all.
local crypto = require "native.crypto"
local sensitive = require "run.sensitive"
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

-- An input as text. A declared secret is not compared: it comes again from where it came,
-- and may have been changed there.
local function text_of(s, e)
  local ok, text = pcall(value.encode, s.secrets:mask_declared(e.input))
  return ok and text or tostring(e.what)
end

local function plain(text) return crypto.hex(crypto.sha256(text)):sub(1, 16) end

--- A short text that is the same for the same input of an effect. Where the input holds a
-- secret it is made with the run's key, so that the secret cannot be guessed from it.
function kept.fingerprint(s, e)
  local text = text_of(s, e)
  local keyed = s.secrets:mask(text) ~= text or sensitive.holds(s.secrets, e)
  local digest = keyed and s.secrets:digest(text)
  return digest and "=" .. digest or plain(text)
end

--- True where a fingerprint on record is that of the effect's input: whatever was known of
-- its secrets when it was made.
function kept.is_same(s, e, fingerprint)
  local text = text_of(s, e)
  if fingerprint and fingerprint:sub(1, 1) == "=" then
    return fingerprint == "=" .. (s.secrets:digest(text) or "")
  end
  if fingerprint == plain(text) then return true end
  -- Of a journal from before keyed ones.
  local ok, masked = pcall(value.encode, s.secrets:mask(e.input))
  return ok and fingerprint == plain(masked)
end

return kept
