---@meta aws

-- AWS's services, for editors. docs/aws.md explains them; `drlua doc SERVICE.OPERATION`
-- shows the parameters of each operation.

---@class aws.options
---@field region? string
---@field profile? string
---@field endpoint_url? string
---@field role_arn? string
---@field external_id? string
---@field role_session_name? string
---@field duration_seconds? integer
---@field mfa_serial? string
---@field credentials? { access_key_id: string, secret_access_key: string, session_token: string? }
---@field timeout? string|number
---@field max_attempts? integer
---@field retry_mode? "standard"|"adaptive"
---@field use_fips? boolean
---@field use_dualstack? boolean
---@field addressing_style? "path"|"virtual"|"auto"
---@field ca_file? string
---@field verify? boolean
---@field cluster_endpoints? { Endpoint: string, Region: string }[]

---@class aws.call_options
---@field timeout? string|number
---@field sink? { file: string }
---@field on_progress? fun(event: table)
---@field page_size? integer

---@alias aws.operation fun(self: aws.client, input: table?, options: aws.call_options?): table

---@class aws.client
---@field service string
---@field region string
---@field call fun(self, name: string, input: table?, options: aws.call_options?): table
---@field wait fun(self, name: string, input: table?, options: { timeout: string|number }?): table
---@field each fun(self, name: string, input: table?, key: string?, options: aws.call_options?): fun(): any
---@field all fun(self, name: string, input: table?, key: string?, options: aws.call_options?): any[]
---@field find fun(self, name: string, input: table?, options: aws.call_options?): table?
---@field try fun(self, name: string, input: table?, options: aws.call_options?): table?, drlua.error?
---@field pages fun(self, name: string, input: table?, options: aws.call_options?): fun(): table?
---@field [string] aws.operation

---@class aws
---@field null lightuserdata JSON's null in lists and maps
---@field [string] fun(options: aws.options?): aws.client
local aws = {}

--- Names of all services, sorted.
---@return string[]
function aws.services() end

--- A client of the service of this name.
---@param name string
---@param options? aws.options
---@return aws.client
function aws.client(name, options) end

return aws
