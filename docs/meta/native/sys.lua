---@meta native.sys

-- This process and this machine. Failures: nil, message, kind.

local sys = {}

--- A variable.
---@param name string
---@return string?
function sys.getenv(name) end

--- Sets a variable; nil removes it.
---@param name string
---@param value? string
function sys.setenv(name, value) end

--- All variables.
---@return table<string, string>
function sys.environ() end

---
---@return integer
function sys.pid() end

---
---@return integer
function sys.ppid() end

---
---@return integer
function sys.uid() end

--- An account by its name; ours without one.
---@param name? string
---@return table?
function sys.user(name) end

---
---@return string
function sys.hostname() end

---
---@return integer
function sys.cpus() end

--- The path of this program.
---@return string
function sys.exe() end

--- Sends a signal.
---@param pid integer
---@param signal string
---@return boolean?
---@return string? message
---@return string? kind
function sys.kill(pid, signal) end

--- Is there such a process?
---@param pid integer
---@return boolean
function sys.alive(pid) end

--- When it started, to know a pid that was given again.
---@param pid integer
---@return any
function sys.start_time(pid) end

---
---@param fd integer
---@return boolean
function sys.isatty(fd) end

--- Writes out what was printed; nil when any of it was lost.
---@return true?
---@return string? message
---@return string? kind
function sys.flush() end

--- Columns of a terminal.
---@param fd integer
---@return integer?
function sys.winsize(fd) end

--- Sets the mask; returns the former.
---@param mask integer
---@return integer
function sys.umask(mask) end

return sys
