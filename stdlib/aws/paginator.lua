--- Pages of an operation's answer, by the models' paginators.
local caller = require "aws.caller"
local errors = require "errors"
local jmespath = require "aws.jmespath"
local json = require "native.json"
local names = require "aws.names"
local nearest = require "nearest"

local paginator = {}

local function list(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

local function compile_all(expressions)
  local compiled = {}
  for i, expression in ipairs(expressions) do
    compiled[i] = { text = expression, search = jmespath.compile(expression) }
  end
  return compiled
end

local function definition(client, operation)
  local known = client.model:paginators()
  local found = known and known[operation]
  if not found then return nil end
  return {
    inputs = list(found.input_token),
    outputs = compile_all(list(found.output_token)),
    more = found.more_results and jmespath.compile(found.more_results),
    results = compile_all(list(found.result_key)),
    limit = found.limit_key,
  }
end

-- The tokens for the next page by input member, or nil when this was the last one.
local function next_tokens(pager, page)
  if pager.more then
    local more = pager.more(page)
    if not more or more == json.null then return nil end
  end
  local tokens, any = {}, false
  for i, output in ipairs(pager.outputs) do
    local token = output.search(page)
    if token ~= nil and token ~= "" and token ~= json.null and token ~= "None" then
      tokens[pager.inputs[i]] = token
      any = true
    end
  end
  return any and tokens or nil
end

local function with_tokens(input, pager, tokens)
  local copy = {}
  for k, v in pairs(input) do copy[k] = v end
  for _, name in ipairs(pager.inputs) do copy[name] = tokens[name] end
  return copy
end

local function cycle(client, operation, key)
  errors.raise { kind = "corrupt", service = client.service, operation = operation,
    region = client.region,
    message = ("%s.%s in %s gave the same page token twice (%s): its list would never end"):format(
      client.service, operation, client.region or "no region", key) }
end

local function iterate(client, operation, input, options, pager)
  local tokens, seen, ended, first = nil, {}, false, true
  return function()
    if ended then return nil end
    local page = client:call(operation, first and input or with_tokens(input, pager, tokens),
      options)
    first = false
    tokens = pager and next_tokens(pager, page)
    if not tokens then
      ended = true
    else
      local key = json.encode(tokens, { sort = true })
      if seen[key] then cycle(client, operation, key) end
      seen[key] = true
    end
    return page
  end
end

-- The page size as the operation's limit member has it: some services take it as text.
local function limit_of(client, operation, pager, size)
  local shape = operation.model and operation.model.input
    and client.model:shape(operation.model.input)
  for _, member in ipairs(shape and shape.members or {}) do
    if member.name == pager.limit and member.type == "string" then return tostring(size) end
  end
  return size
end

--- An iterator over the pages of an operation (its name in either form). An
-- operation without a paginator gives its one answer. options: as of a call, and
-- page_size.
function paginator.pages(client, name, input, options)
  local operation = client:operation(name)
  local pager = definition(client, operation.name)
  input = input or {}
  if options and options.page_size and pager and pager.limit then
    local size = limit_of(client, operation, pager, options.page_size)
    input = with_tokens(input, { inputs = { pager.limit } }, { [pager.limit] = size })
  end
  return iterate(client, operation.name, input, options, pager)
end

local function result_search(client, operation, key)
  if key then return jmespath.compile(key) end
  local pager = definition(client, operation.name)
  if pager and pager.results[1] then return pager.results[1].search end
  local plain = client.model:paginators() or {}
  local known = {}
  for each in pairs(plain) do table.insert(known, names.snake(each)) end
  caller.misuse(nil,
    "%s.%s has no paginator in AWS's models: name the member to go through as third argument%s",
    client.service, operation.name, nearest.hint(names.snake(operation.name), known))
end

local function is_list(value)
  return type(value) == "table" and (value[1] ~= nil or next(value) == nil)
end

--- An iterator over the items under `key` (a member or a JMESPath; default: the
-- model's first result key) of all pages.
function paginator.each(client, name, input, key, options)
  local operation = client:operation(name)
  local search = result_search(client, operation, key)
  local pages = paginator.pages(client, name, input, options)
  local items, index = {}, 0
  return function()
    while items do
      index = index + 1
      if items[index] ~= nil then return items[index] end
      local page = pages()
      if not page then items = nil return nil end
      local found = search(page)
      if found == nil or found == json.null then found = {} end
      items, index = is_list(found) and found or { found }, 0
    end
    return nil
  end
end

--- The items of all pages as a list.
function paginator.all(client, name, input, key, options)
  local list_of_all = {}
  for item in paginator.each(client, name, input, key, options) do
    table.insert(list_of_all, item)
  end
  return list_of_all
end

return paginator
