---@meta native.server

-- An HTTP server by libmicrohttpd. Failures: nil, message, kind.

---@class native.server.server
---@field port integer
---@field accept fun(self): native.op a native.server.request
---@field close fun(self)

---@class native.server.request
---@field method string
---@field target string
---@field headers string[][]
---@field body string
---@field remote string
---@field closed boolean
---@field header fun(self, name: string): string?
---@field respond fun(self, answer: { status: integer, headers: string[][]?, body: string?, cut_after_bytes: integer? })
---@field start fun(self, answer: { status: integer, headers: string[][]? })
---@field send fun(self, chunk: string): native.op
---@field finish fun(self)
---@field reset fun(self)

local server = {}

--- Listens.
---@param options { host: string?, port: integer?, max_body_bytes: integer? }
---@return native.server.server?
---@return string? message
---@return string? kind
function server.listen(options) end

return server
