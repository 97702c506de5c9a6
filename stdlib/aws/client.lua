--- A client of one service in one region: every operation of the model is a method
-- by its snake_case name, besides wait, each, pages, all, find and try.
local caller = require "aws.caller"
local effect = require "effect"
local errors = require "errors"
local call = require "aws.call"
local names = require "aws.names"
local operations = require "aws.operations"
local sensitive = require "aws.sensitive"
local session = require "aws.session"
local target = require "aws.target"

local client = {}

local Client = {}

-- What a service offers beyond its operations.
local EXTENSIONS = { s3 = "aws.s3", rds = "aws.tokens", eks = "aws.tokens", dsql = "aws.tokens",
  ["route53-recovery-cluster"] = "aws.arc" }

local EMPTY = {}

-- Services of which aws/quirks.lua has something to say.
local QUIRKS = { route53 = true, rds = true, neptune = true, docdb = true, ec2 = true,
  autoscaling = true, iam = true,
  s3 = true, s3control = true, dynamodb = true, glacier = true, apigateway = true,
  cloudformation = true }

local function refuse(self, op, message)
  caller.misuse({ service = self.service, region = self.region or nil, operation = op and op.name },
    op and ("%s.%s: %s"):format(self.service, names.snake(op.name), message) or message)
end

local OPTIONS = { timeout = true, sink = true, on_progress = true, page_size = true }

-- The options in a table of our own, each read once: what is judged is what is used.
local function check_options(self, op, options)
  local own = {}
  for name, value in pairs(options) do
    if not OPTIONS[name] then
      refuse(self, op, ("unknown call option %s; known: "
        .. "on_progress, page_size, sink, timeout"):format(tostring(name)))
    end
    if name == "timeout" and type(value) ~= "number" then
      local seconds, wrong = require("duration").parse(value)
      if not seconds then refuse(self, op, "timeout: " .. wrong) end
      value = seconds
    end
    own[name] = value
  end
  if own.sink ~= nil then
    local file = type(own.sink) == "table" and own.sink.file or nil
    if file == nil then refuse(self, op, "sink is { file = path }") end
    own.sink = { file = file, append = own.sink.append }
  end
  return own
end

-- The file that a call writes its body to, or nil; one in a temporary directory is no
-- change.
local function kept_file(options)
  local file = options and options.sink and options.sink.file
  return file ~= nil and not require("files").is_temporary(file) and file or nil
end

-- Operations of a model, found once and shared by its clients.

local function known_operations(self)
  local list = {}
  for _, name in ipairs(self.model:operations()) do table.insert(list, names.snake(name)) end
  table.sort(list)
  return list
end

local function streams(model, found)
  if not found.payload or not found.input then return false end
  for _, member in ipairs(model:shape(found.input).members or EMPTY) do
    if member.name == found.payload then return member.streaming or false end
  end
  return false
end

local function describe(self, name)
  local found = self.model:operation(name)
  local special = QUIRKS[self.service] and require("aws.quirks").of(self.service, name) or EMPTY
  return {
    name = name, model = found, rule = operations.rule(self.service, name, found.method),
    token_member = found.idempotency_token, streaming = found.streaming_output
    or streams(self.model, found),
    fix_input = special.input, fix_request = special.request, fix_answer = special.answer,
    fix_output = special.output,
  }
end

-- The record of an operation by its name in either form; nil for none.
local function find_operation(self, name)
  local shared = self.shared.operations
  local op = shared[name]
  if op then return op end
  local full = type(name) == "string" and self.model:find(name)
  if not full then return nil end
  op = shared[full] or describe(self, full)
  shared[full], shared[name] = op, op
  return op
end

--- The record of an operation; an error that names the nearest when there is none.
function Client:operation(name)
  local op = find_operation(self, name)
  if op then return op end
  local nearest = require "nearest"
  refuse(self, nil, ("%s has no operation %s%s"):format(self.service, tostring(name),
    nearest.hint(names.snake(tostring(name)), known_operations(self))))
end

--- Where a call of this operation goes: see aws/target.lua.
function Client:target(op, input)
  return target.of(self, op, input)
end

Client.credentials_for = session.methods.credentials_for
Client.renew_credentials = session.methods.renew_credentials
Client.bearer_token = session.methods.bearer_token

-- One call

local function class_of(op, input)
  local rule = op.rule
  if type(rule) == "function" then return rule(input) end
  return rule
end

-- The bytes of a body: a text, or a part of a file.
local function bytes_of(body)
  if type(body) ~= "table" then return #(body or "") end
  local known = body.length or (require("native.fs").stat(body.file) or EMPTY).size
  return known and known - (body.length and 0 or body.offset or 0)
end

-- Another number would leave bytes of the body before the next request on the connection.
local function check_length(self, op, request)
  local given = request.headers["Content-Length"]
  local bytes = given and bytes_of(request.body)
  if bytes and bytes ~= tonumber(given) then
    refuse(self, op, ("ContentLength is %s, but the body has %d "
      .. "bytes: leave ContentLength out"):format(given, bytes))
  end
end

--- Serializes an input; raises with the playbook's line when it is wrong. known: what
-- the operation's quirk of the input wants its quirk of the request to know.
function Client:serialize(op, input, token, known)
  local options = self.serialize_options
  if token then options = setmetatable({ idempotency_token = token }, { __index = options }) end
  local request, message = self.model:serialize(op.name, input, options)
  if not request then refuse(self, nil, message) end
  if request.headers["Content-Length"] then check_length(self, op, request) end
  if op.fix_request then op.fix_request(request, known, self, op) end
  return request
end

--- Raises when the input is wrong; unknown values (under plan) pass.
function Client:check(name, input)
  if require("unknown").within(input) then return end
  local op = self:operation(name)
  if op.fix_input then input = op.fix_input(input, self) end
  local valid, message = self.model:validate(op.name, input)
  if not valid then refuse(self, nil, message) end
end

local function subject(self, op, input)
  local resource = require("aws.failure").resource(input)
  return ("%s.%s%s%s"):format(self.service, names.snake(op.name), resource and " of " .. resource
    or "",
    require("aws.failure").place(self.region))
end

local function sensitive_of(members)
  return function(side, value, fn) return sensitive.replace(members[side], value, fn) end
end

-- A call under a run's handler: it may be journaled, replayed, or stopped.
local function perform(self, op, input, options, class)
  local file = kept_file(options)
  local what = subject(self, op, input) .. (file and " to " .. tostring(file) or "")
  local members = sensitive.of(self.model, op.name)
  sensitive.register(members.input, input)
  local e = {
    kind = "aws", read = class == "read" and not file, what = what, input = input, file = file,
    secret_members = sensitive_of(members),
    repeatable = class ~= "once" and (class ~= "read" or file ~= nil) or op.token_member ~= nil,
    service = self.service, operation = op.name,
    region = self.region or nil, account = self.account or nil, token_member = op.token_member,
    call = function(operation, other) return self:direct(operation, other) end,
    check = function() self:check(op.name, input) end,
    global = session.is_global(self.service),
    whose = function() return require("aws.whose").account(self) end,
    undecided = self.undecided or nil,
  }
  return effect.perform(e, function(token)
    local output = self.execute(self, op, input, options, class, token, e)
    sensitive.register(members.output, output)
    return output
  end)
end

--- Calls an operation by its name in either form: the output, or raises.
function Client:call(name, input, options)
  return client.call(self, self:operation(name), input, options)
end

function client.call(self, op, input, options)
  input = input or EMPTY
  if type(input) ~= "table" then
    refuse(self, op, ("a table of parameters expected, got %s"):format(type(input)))
  end
  if options then options = check_options(self, op, options) end
  local class = class_of(op, input)
  if effect.installed() then return perform(self, op, input, options, class) end
  return self.execute(self, op, input, options, class)
end

--- Calls past the run's handler: for what is part of another effect.
function Client:direct(name, input, options)
  local op = self:operation(name)
  input = input or EMPTY
  return self.execute(self, op, input, options, class_of(op, input))
end

-- Errors that `try` raises: they say nothing about the call's outcome.
local PASSED_ON = { misuse = true, cancelled = true, control = true, lua = true }

local function caught(ok, result)
  if ok then return result end
  if not errors.is(result) or PASSED_ON[result.kind] then error(result, 0) end
  return nil, result
end

--- As direct; the failure is returned as nil and the error object.
function Client:try_direct(name, input, options)
  return caught(pcall(self.direct, self, name, input, options))
end

--- As call; the failure is returned as nil and the error object. Misuse, a cancelled
-- task and what stops a run are raised.
function Client:try(name, input, options)
  return caught(pcall(self.call, self, name, input, options))
end

--- The output of a call that changes nothing, or nil where AWS says that there is no
-- such thing (see stdlib/absence.lua); other failures are raised.
function Client:find(name, input, options)
  local op = self:operation(name)
  if class_of(op, input or EMPTY) ~= "read" then
    refuse(self, op, "find is for operations that change nothing; use dr.try or client:try here")
  end
  local output, e = self:try(name, input, options)
  if e and not require("absence").says(e) then error(e, 0) end
  return output
end

--- Waits until a named state is reached: see aws/waiter.lua.
function Client:wait(name, input, options)
  return require("aws.waiter").wait(self, name, input, options)
end

--- Iterates over the items, the pages, or gives all items: see aws/paginator.lua.
function Client:each(name, input, key, options)
  return require("aws.paginator").each(self, name, input, key, options)
end

function Client:pages(name, input, options)
  return require("aws.paginator").pages(self, name, input, options)
end

function Client:all(name, input, key, options)
  return require("aws.paginator").all(self, name, input, key, options)
end

-- rds.describe_db_instances { ... } would take the input for the client, and lose it.
local function need_colon(self, key, who)
  if client.is(who) then return end
  local variable = self.service:gsub("[^%w]", "_")
  refuse(self, nil,
    ("%s.%s: call it with a colon, %s:%s(...)"):format(variable, key, variable, key))
end

--- The methods of an operation: function(client, input, options).
local function method_of(self, key)
  local methods = self.shared.methods
  local method = methods[key]
  if method then return method end
  local op = self:operation(key)
  method = function(who, input, options)
    need_colon(self, key, who)
    return client.call(who, op, input, options)
  end
  methods[key] = method
  return method
end

local function extension(self, key)
  local module = EXTENSIONS[self.service]
  return module and require(module).methods[self.service][key]
end

local PUBLIC = { call = true, wait = true, each = true, pages = true, all = true, try = true,
  find = true }

-- A method that people call: with a colon.
local function with_colon(self, key, method)
  return function(who, ...)
    need_colon(self, key, who)
    return method(who, ...)
  end
end

local meta = { __name = "aws.client" }

local function found(self, key)
  local method = Client[key]
  if type(key) ~= "string" then return nil end
  local shared = rawget(self, "shared")
  if method ~= nil then
    return PUBLIC[key] and shared and with_colon(self, key, method) or method
  end
  if not shared then return nil end
  method = shared.methods[key]
  if method then return method end
  method = extension(self, key)
  return method and with_colon(self, key, method) or method_of(self, key)
end

-- A method is looked for once.
function meta.__index(self, key)
  local method = found(self, key)
  if method ~= nil then rawset(self, key, method) end
  return method
end

function meta.__tostring(self)
  return ("aws.%s client in %s"):format(self.service, self.region or "no region")
end

--- True for a client.
function client.is(value) return getmetatable(value) == meta end

-- Fields that a client may lack: false, so that they are not looked up as operations.
local FIELDS = { "undecided", "region", "timeout", "retry_mode", "account", "verify", "ca_file",
  "cluster",
  "bucket_regions" }

local shared_by_model = setmetatable({}, { __mode = "k" })

--- Makes a client from its parts (see aws/init.lua): service, model, region, config,
-- credentials, endpoint, clock, share_key and the options of the user.
function client.new(parts)
  local shared = shared_by_model[parts.model]
  if not shared then
    shared = { operations = {}, methods = {} }
    shared_by_model[parts.model] = shared
  end
  for _, name in ipairs(FIELDS) do
    if parts[name] == nil then parts[name] = false end
  end
  parts.shared = shared
  parts.execute = parts.cluster and require("aws.arc").execute or call.execute
  return setmetatable(parts, meta)
end

return client
