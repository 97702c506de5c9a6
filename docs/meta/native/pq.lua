---@meta native.pq

-- PostgreSQL by libpq. Failures: nil, message, kind.

---@class native.pq.options
---@field host? string
---@field port? integer
---@field dbname? string
---@field user? string
---@field password? string
---@field sslmode? string
---@field sslrootcert? string
---@field application_name? string
---@field options? string
---@field target_session_attrs? string
---@field timeout? number seconds

---@class native.pq.limits
---@field timeout? number seconds
---@field max_rows? integer
---@field max_bytes? integer

---@class native.pq.connection
---@field exec fun(self, sql: string, params?: any[], limits?: native.pq.limits): native.op a native.pq.result
---@field prepare fun(self, name: string, sql: string): native.op
---@field exec_prepared fun(self, name: string, params?: any[]): native.op
---@field copy_out fun(self, sql: string, limits?: native.pq.limits): native.op
---@field copy_read fun(self): native.op
---@field copy_in fun(self, sql: string): native.op
---@field copy_write fun(self, data: string): native.op
---@field copy_end fun(self, error_text?: string): native.op
---@field cancel fun(self)
---@field notices fun(self): string[]
---@field status fun(self): "idle"|"busy"|"transaction"|"failed"|"closed"
---@field close fun(self)

---@class native.pq.result
---@field columns string[]
---@field types integer[]
---@field rows any[][]
---@field n integer
---@field affected integer?
---@field command string

local pq = {}

--- Connects; the operation gives a connection.
---@param options native.pq.options
---@return native.op
function pq.connect(options) end

--- A string as a parameter of type bytea.
---@param bytes string
---@return any
function pq.bytea(bytes) end

return pq
