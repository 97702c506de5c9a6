---@meta native.http

-- HTTP requests by libcurl. Failures: nil, message, kind.

---@class native.http.options
---@field url string
---@field method? string
---@field headers? string[][] { name, value } each
---@field more_headers? table<string, string>
---@field header_text? boolean the answer's headers as they came, one text
---@field sign? table as of aws.sigv4
---@field body? string|{ file: string, offset: integer?, length: integer? }
---@field sink? { file: string, append: boolean?, statuses: integer[]? } written to file.part until it is complete
---@field timeout? number seconds
---@field connect_timeout? number seconds
---@field ca_file? string
---@field verify? boolean
---@field http2? boolean
---@field follow? boolean
---@field max_body_bytes? integer

local http = {}

--- Sends a request; the operation gives { status, headers, body, seconds, sink_bytes }.
---@param options native.http.options
---@return native.op
function http.request(options) end

--- A header's value in the text that header_text gives; nil: it is not there.
---@param text string
---@param name string
---@return string?
function http.header(text, name) end

--- Closes kept connections that nobody uses.
function http.close_idle() end

return http
