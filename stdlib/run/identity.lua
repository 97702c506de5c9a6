--- Who is at the keyboard: the account that answers for what is typed.
--
-- One account is one person, on whatever host. It is the account that logged in, which
-- the kernel keeps through sudo and su (/proc/self/loginuid); where it keeps none (in
-- containers, under cron), the account that root was reached from by sudo; else the
-- account of the process. A plain account is never believed by its SUDO_USER, which
-- everybody can set.
local fs = require "native.fs"
local sys = require "native.sys"

local identity = {}

local UNSET = 4294967295 -- of loginuid: nobody logged in

local function name_of(uid)
  local user = sys.user(uid)
  return user and user.name or tostring(uid)
end

local function logged_in()
  local uid = tonumber(fs.read("/proc/self/loginuid") or "")
  return uid and uid ~= UNSET and name_of(uid) or nil
end

local function came_by_sudo()
  local name = sys.uid() == 0 and sys.getenv("SUDO_USER") or ""
  return name ~= "" and name or nil
end

--- The account that answers for this process.
function identity.account()
  return logged_in() or came_by_sudo() or name_of(sys.uid())
end

--- Who gave an approval, as far as counting goes: the account that typed it, whatever
-- name it gave.
function identity.of(given)
  return given.account or given.by
end

--- How many different people are in a list of approvals.
function identity.count(list)
  local seen, n = {}, 0
  for _, given in ipairs(list or {}) do
    local account = identity.of(given)
    if not seen[account] then n = n + 1 end
    seen[account] = true
  end
  return n
end

return identity
