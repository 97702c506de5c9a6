---@meta native.relay

-- A TCP relay that can be cut. Failures: nil, message, kind.

---@class native.relay.relay
---@field port integer
---@field target fun(self, address?: string, port?: integer) nil: new connections are reset
---@field cut fun(self, on: boolean) swallows bytes both ways
---@field drop fun(self)
---@field count fun(self): integer
---@field close fun(self)

local relay = {}

--- Listens.
---@param options { host: string?, port: integer? }
---@return native.relay.relay
function relay.listen(options) end

return relay
