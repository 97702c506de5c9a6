---@meta drlua

-- The words of playbooks, for editors. docs/playbooks.md explains them.

---@alias drlua.duration string|number "90s", "30m", "4h", "7d", or seconds

---@class drlua.param
---@field [1] string its name
---@field type? "string"|"int"|"number"|"bool"|"duration"|"time"|"region"|"arn"|"url"|"enum"|"list"
---@field default? any
---@field required? boolean true where there is no default
---@field optional? boolean
---@field secret? boolean masked everywhere
---@field env? string a variable that gives it
---@field help? string
---@field choices? any[]
---@field pattern? string a Lua pattern

---@class drlua.limits
---@field deletes? integer things deleted in the whole run, at most
---@field accounts? string[] changes in these accounts only
---@field regions? string[] changes in these regions only

---@class drlua.playbook
---@field title string
---@field summary? string
---@field description? string
---@field targets? { rto: drlua.duration?, rpo: drlua.duration?, [string]: any }
---@field params? drlua.param[]
---@field run? fun(p: table)
---@field ready? fun(p: table)
---@field lock? fun(p: table): string|string[]
---@field limits? drlua.limits|(fun(p: table): drlua.limits?)
---@field control_planes? fun(p: table): { failed_region: string }
---@field escalate? fun(p: table, what: { step: string, budget: number, elapsed: number, text: string })
---@field rehearsal? string
---@field tags? table

---@class drlua.step_options
---@field budget? drlua.duration
---@field timeout? drlua.duration
---@field retries? integer|{ times: integer, every: drlua.duration? }
---@field risk? "read"|"reversible"|"irreversible"
---@field approve? boolean|string|(fun(p: table): string)|{ text: (string|fun(p: table): string)?, people: integer?, deadline: drlua.duration? }
---@field done? fun(): any
---@field goal? fun(): any
---@field within? drlua.duration
---@field undo? false|fun(result: any, reads: table?)|{ [1]: fun(result: any, reads: table?), partial: boolean? }
---@field partial? boolean
---@field when? any|fun(): any
---@field optional? boolean
---@field repeatable? boolean
---@field fresh_calls? boolean

---@class drlua.error
---@field kind string
---@field message string
---@field retryable? boolean
---@field code? string
---@field status? integer
---@field request_id? string
---@field sqlstate? string

local dr = {}

--- Declares a playbook.
---@param t drlua.playbook
---@return drlua.playbook
function dr.playbook(t) end

--- A durable step; returns what fn returns.
---@generic T
---@param name string
---@param options drlua.step_options
---@param fn fun(): T
---@return T
---@overload fun(name: string, fn: fun(): any): any
function dr.step(name, options, fn) end

--- Runs functions together; returns their first values.
---@param functions (fun(): any)[]
---@return any ...
function dr.parallel(functions) end

--- fn(item, index) for every item, at most `limit` at a time; the list of first values.
---@param list any[]
---@param options { limit: integer? }
---@param fn fun(item: any, index: integer): any
---@return any[]
---@overload fun(list: any[], fn: fun(item: any, index: integer): any): any[]
function dr.each(list, options, fn) end

--- A line of the checklist. Fails when fn raises, or returns false or nil and a reason.
---@param name string
---@param fn fun(): any, string?
---@return true?
function dr.check(name, fn) end

--- Stops until a person has approved this text.
---@param text string
---@return true
function dr.approve(text) end

--- Until fn() is true; a second value next to a false one is shown as progress.
---@param what string
---@param options { every: drlua.duration?, timeout: drlua.duration? }
---@param fn fun(): any, any
---@return any ...
---@overload fun(what: string, fn: fun(): any, any): any
function dr.wait_until(what, options, fn) end

---@param length drlua.duration
function dr.sleep(length) end

--- A remark for the record.
---@param text any
function dr.note(text) end

--- Ends the step, and the run, as failed.
---@param text string
function dr.fail(text) end

--- Ends the step or check as skipped.
---@param reason string
function dr.skip(reason) end

--- Makes a value (or every text in a table) a secret of this run, and returns it.
---@generic T
---@param secret T at least 4 characters each
---@return T
function dr.secret(secret) end

--- fn's values, or nil and the error.
---@param fn function
---@return any, drlua.error?
function dr.try(fn, ...) end

--- Masks a value everywhere from here on, and returns it.
---@generic T: string|table
---@param secret T
---@return T
function dr.secret(secret) end

--- Seconds since the epoch, by the run's clock; the same again on a replay.
---@return number
function dr.now() end

---@return number
function dr.run_started() end

--- The RTO counts from here.
---@param at number seconds since the epoch
function dr.incident_started(at) end

--- The service serves again: the RTO ends here.
function dr.recovered() end

--- A measurement for the report, such as "rpo".
---@param name string
---@param fields { seconds: number?, rows: integer?, value: any, detail: string? }
function dr.measure(name, fields) end

---@return { id: string, playbook: string, user: string, host: string, environment: string? }
function dr.run() end

--- A variable of the process.
---@param name string
---@return string?
function dr.env(name) end

--- Makes a value a secret of this run, and returns it: masked wherever it would show, sealed
--- in the journal. A table: every text in it.
---@generic T
---@param secret T
---@return T
function dr.secret(secret) end

---@param length drlua.duration
---@return number
function dr.seconds(length) end

---@param seconds number
---@return string
function dr.duration(seconds) end

---@param at number
---@return string
function dr.format_time(at) end

return dr
