--- AWS: `aws.rds { region = "us-west-2" }` makes a client of any service in the
-- models; `aws["route53-recovery-cluster"]` and `aws.route53_recovery_cluster` are
-- the same. `aws.null` stands for JSON's null inside lists and maps.
local caller = require "aws.caller"
local client = require "aws.client"
local json = require "native.json"
local model = require "native.model"
local session = require "aws.session"

local aws = { null = json.null }

-- Parts of this library that scripts may use as fields; no service has these names.
local PARTS = { jmespath = true, sigv4 = true, model = true, docs = true, observer = true,
  tokens = true }

-- The names under which users of the AWS CLI and of other SDKs know services.
local ALIASES = {
  elb2 = "elbv2", loadbalancing = "elbv2", stepfunction = "stepfunctions", sfn = "stepfunctions",
  states = "stepfunctions", eventbridge = "events", ["cloudwatch-logs"] = "logs",
  cloudwatchlogs = "logs", ["app-autoscaling"] = "application-autoscaling",
  secrets = "secretsmanager", dynamodb_streams = "dynamodbstreams",
  route53domain = "route53domains", r53 = "route53", ses2 = "sesv2",
}

local names

local function service_names()
  if not names then
    names = { list = model.services(), known = {} }
    for _, name in ipairs(names.list) do names.known[name] = name end
  end
  return names
end

local opened = {} -- service -> model: kept, for what was learnt of it is kept with it

local function open(service)
  if not opened[service] then opened[service] = model.open(service) end
  return opened[service]
end

--- The service's name in the models for what a user wrote; nil for none. The names of
-- all services are looked at only when it is not one of them.
local function resolve(name)
  local dashed = name:gsub("_", "-")
  if open(name) then return name end
  if open(dashed) then return dashed end
  local known = service_names().known
  return known[dashed:lower()] or known[ALIASES[name] or ""]
    or known[(name:gsub("[_-]", "")):lower()]
end

local function unknown_service(name)
  local nearest = require "nearest"
  caller.misuse(nil, "AWS has no service %s in its models%s", tostring(name),
    nearest.hint(tostring(name), service_names().list))
end

--- Names of all services in the models, sorted.
function aws.services()
  local list = table.move(service_names().list, 1, #service_names().list, 1, {})
  table.sort(list)
  return list
end

-- Under plan an option may be known only after the run. A client made with it asks nothing;
-- what it would change is written down.
local function undecided(service, options)
  local unknown = require "unknown"
  local known, found = {}, unknown.within(options)
  for name, value in pairs(unknown.is(options) and {} or options) do
    if not unknown.within(value) then known[name] = value end
  end
  known.region = known.region or "us-east-1"
  local made = client.new(session.parts(service, open(service), known))
  if unknown.is(options) or unknown.is(options.region) then made.region = tostring(found) end
  made.undecided = true
  return made
end

--- A client of a service; options: see aws/session.lua.
function aws.client(name, options)
  local service = resolve(name)
  if not service then unknown_service(name) end
  options = options or {}
  if type(options) == "table" and require("unknown").within(options) then
    return undecided(service, options)
  end
  return client.new(session.parts(service, open(service), options))
end

local makers = {}

setmetatable(aws, { __index = function(_, name)
  if type(name) ~= "string" then return nil end
  if PARTS[name] then return require("aws." .. name) end
  local maker = makers[name]
  if maker then return maker end
  if not resolve(name) then unknown_service(name) end
  maker = function(options) return aws.client(name, options) end
  makers[name] = maker
  return maker
end })

return aws
