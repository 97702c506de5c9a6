--- Whose line it is: the first frame outside of the standard library, for errors that
-- are the playbook's to mend however deep in the library they are found.
local errors = require "errors"

local caller = {}

--- "playbooks/x.lua:12", or nil when only the library is on the stack.
function caller.where()
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    local ours = info.source:find("^@stdlib/") or info.source:find("/stdlib/", 1, true)
    if not ours and info.currentline > 0 then return info.short_src .. ":" .. info.currentline end
    level = level + 1
  end
end

--- Raises a misuse with the playbook's line. fields: further ones of the error, or nil.
function caller.misuse(fields, text, ...)
  local e = { kind = "misuse", where = caller.where(), message = select("#", ...) > 0
    and text:format(...) or text }
  for k, v in pairs(fields or {}) do e[k] = v end
  errors.raise(e)
end

return caller
