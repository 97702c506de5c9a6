---@meta native.process

-- Child processes, each the leader of a group of its own. Failures: nil, message, kind.

---@class native.process.options
---@field argv string[]
---@field env? table<string, string|false> over our own; false takes a name away
---@field clear_env? boolean
---@field cwd? string
---@field stdin? "null"|"pipe"|"inherit"|{ file: string }
---@field stdout? "pipe"|"null"|"inherit"|{ file: string }
---@field stderr? "pipe"|"null"|"inherit"|"stdout"|{ file: string }
---@field die_with_parent? boolean|"TERM"
---@field user? { uid: integer, gid: integer }

---@class native.process.child
---@field pid integer
---@field read fun(self, stream: "stdout"|"stderr", max_bytes?: integer): native.op data; nil, "end of file", "closed"
---@field write fun(self, data: string): native.op
---@field close_stdin fun(self)
---@field wait fun(self): native.op { code = } or { signal = }
---@field kill fun(self, signal: string) the whole group
---@field close fun(self)

local process = {}

--- Starts a program.
---@param options native.process.options
---@return native.process.child?
---@return string? message
---@return string? kind
function process.start(options) end

return process
