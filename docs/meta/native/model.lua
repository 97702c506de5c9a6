---@meta native.model

-- Compiled service models and the codec; docs/architecture.md has its methods. Failures: nil, message, kind.

local model = {}

---@type lightuserdata
model.null = nil

--- Names of all services.
---@return string[]
function model.services() end

--- The model of a service.
---@param service string
---@return table?
function model.open(service) end

--- A compiled model in a string.
---@param bytes string
---@return table
function model.load(bytes) end

--- A table as bytes.
---@param value any
---@return string
function model.pack(value) end

--- Its reverse.
---@param bytes string
---@return any
function model.unpack(bytes) end

--- PromoteReadReplica as promote_read_replica.
---@param name string
---@return string
function model.snake(name) end

--- CBOR of a value.
---@param value any
---@return string
function model.cbor(value) end

--- Its reverse.
---@param bytes string
---@return any
function model.uncbor(bytes) end

--- Of an event stream.
---@param data string
---@return integer
function model.crc32(data) end

return model
