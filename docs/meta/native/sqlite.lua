---@meta native.sqlite

-- SQLite. Failures: nil, message, kind.

---@class native.sqlite.database
---@field exec fun(self, sql: string): boolean?, string?, string?
---@field run fun(self, sql: string, ...: any): integer?, string?, string? changes
---@field rows fun(self, sql: string, ...: any): table[]?, string?, string?
---@field last_id fun(self): integer
---@field keep_wal fun(self, keep: boolean) whether close() leaves the write-ahead log as it is
---@field close fun(self)

local sqlite = {}

--- Opens a database.
---@param path string
---@param options? { readonly: boolean?, immutable: boolean?, keep_wal: boolean?, busy_timeout: number? }
---@return native.sqlite.database?
---@return string? message
---@return string? kind
function sqlite.open(path, options) end

return sqlite
