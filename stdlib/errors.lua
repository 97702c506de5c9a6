--- Error objects: one form for every failure that the stdlib raises.
--
-- `{ kind, message, retryable, cause, ... }`; tostring() is the sentence for a
-- person. `kind` is a stable lower-case word (see docs/architecture.md).
local errors = {}

local meta = { __name = "drlua.error" }

function meta.__tostring(e)
  if e.where then return e.where .. ": " .. e.message end
  return e.message
end

--- Makes an error object from a table of fields; `message` is required.
function errors.new(fields)
  fields.kind = fields.kind or "io"
  return setmetatable(fields, meta)
end

--- True for an object made by errors.new.
function errors.is(value)
  return getmetatable(value) == meta
end

--- Raises a new error object.
function errors.raise(fields)
  error(errors.new(fields), 0)
end

--- Passes values through; turns a native's `nil, message, kind, detail` into a
-- raised error that begins with `what` ("read /etc/hosts").
-- A table in fourth place gives further fields.
function errors.check(what, value, message, kind, detail, ...)
  if value ~= nil and value ~= false then return value, message, kind, detail, ... end
  local fields = {}
  if type(detail) == "table" then
    for k, v in pairs(detail) do fields[k] = v end
  end
  fields.kind = kind or "io"
  fields.message = what .. ": " .. tostring(message or "failed")
  errors.raise(fields)
end

--- Raises a misuse: the caller's mistake, with file and line of the caller at
-- `level` (1: the function that calls misuse, 2: its caller, ...).
function errors.misuse(level, text, ...)
  local where = debug.getinfo(level + 1, "Sl")
  errors.raise {
    kind = "misuse",
    message = select("#", ...) > 0 and text:format(...) or text,
    where = where and where.currentline > 0 and where.short_src .. ":" .. where.currentline or nil,
  }
end

-- The sentence in a value that somebody raised: of a table its `message`, as other
-- libraries raise them.
local function sentence(value)
  if type(value) ~= "table" then return tostring(value) end
  local own = getmetatable(value)
  if type(own) == "table" and own.__tostring then return tostring(value) end
  local message = rawget(value, "message")
  if type(message) == "string" then return message end
  return "a table was raised as an error, without a message: give error() a "
    .. "text, or { message = text }"
end

--- The error object of any raised value; one that is none becomes kind "lua".
function errors.from(value)
  if errors.is(value) then return value end
  local said = sentence(value)
  local where, text = said:match("^([^:\n]+%.lua:%d+): (.*)$")
  if not where then where, text = said:match("^(%[string [^\n]-%]:%d+): (.*)$") end
  return errors.new { kind = "lua", message = text or said, where = where }
end

--- Calls fn(...): its values, or nil and the error object.
function errors.try(fn, ...)
  local function pack(ok, ...)
    if ok then return ... end
    return nil, errors.from((...))
  end
  return pack(pcall(fn, ...))
end

return errors
