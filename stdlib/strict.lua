--- Makes a read or a write of an undefined global an error that names it.
local errors = require "errors"

local strict = {}

--- Guards the table of globals `env` (default _G).
function strict.guard(env)
  return setmetatable(env or _G, {
    __index = function(_, name)
      errors.misuse(2, "undefined global \"%s\" (a missing local or require?)", tostring(name))
    end,
    __newindex = function(_, name)
      errors.misuse(2, "assignment to global \"%s\": write local before it", tostring(name))
    end,
  })
end

return strict
