--- Documentation of services and operations from the models, offline: parameters with
-- their types, what must be given, errors, waits, and an example call. The texts of
-- AWS are added where the file of documentation is installed.
local caller = require "aws.caller"
local documentation = require "aws.documentation"
local model = require "native.model"
local names = require "aws.names"
local nearest = require "nearest"
local operations = require "aws.operations"
local shorten = require("text").shorten
local waits = require "aws.waits"

local docs = {}

local WIDTH = 78
local DEPTH = 3

local EFFECTS = {
  read = "changes nothing: allowed under plan and check",
  repeatable = "changes something; safe to send twice",
  once = "changes something; never sent again once it may have been carried out",
}

local SAMPLE = { integer = "1", long = "1", float = "1.5", double = "1.5", boolean = "true",
  timestamp =
  '"2026-01-31T12:00:00Z"', blob = '"..."', map = "{}", list = "{}", structure = "{}",
  document = "{}" }

local function wrap(text, indent)
  local lines, line = {}, indent
  for word in text:gmatch("%S+") do
    if #line + #word + 1 > WIDTH and line ~= indent then
      table.insert(lines, line)
      line = indent
    end
    line = line .. (line == indent and "" or " ") .. word
  end
  if line ~= indent then table.insert(lines, line) end
  return table.concat(lines, "\n")
end

local function paragraphs(text, indent)
  local parts = {}
  for paragraph in (text .. "\n"):gmatch("([^\n]*)\n") do
    if paragraph:find("%S") then table.insert(parts, wrap(paragraph, indent)) end
  end
  return table.concat(parts, "\n")
end

local function first_sentence(text)
  local flat = text:gsub("%s+", " "):gsub("^%s+", "")
  return flat:match("^(.-%.)%s") or flat
end

local function open(service)
  for _, name in ipairs(model.services()) do
    if name == service or name == service:gsub("_", "-") then return model.open(name), name end
  end
  caller.misuse(nil, "AWS has no service %s in its models%s", service,
    nearest.hint(service, model.services()))
end

local function type_text(m, member)
  local shape = m:shape(member.shape)
  if member.type == "list" and shape.member then return "list of " .. shape.member.type end
  if member.type == "map" and shape.value then
    return ("map of %s to %s"):format(shape.key.type, shape.value.type)
  end
  return member.type
end

local function inner(m, member)
  local shape = m:shape(member.shape)
  if member.type == "list" then return inner(m, shape.member) end
  if member.type == "map" then return inner(m, shape.value) end
  return member.type == "structure" and shape or nil
end

local function marks(member)
  local list = {}
  if member.required then table.insert(list, "required") end
  if member.idempotency_token then table.insert(list, "idempotency token, made when absent") end
  if member.streaming then table.insert(list, "stream") end
  if member.deprecated then table.insert(list, "deprecated") end
  return #list > 0 and "  " .. table.concat(list, ", ") or ""
end

local function sorted_members(shape)
  local list = table.move(shape.members or {}, 1, #(shape.members or {}), 1, {})
  table.sort(list, function(a, b)
    if (a.required or false) ~= (b.required or false) then return a.required end
    return a.name < b.name
  end)
  return list
end

-- What AWS says of a member: a sentence, and the values it may have.
local function about(out, indent, service, operation, path)
  local text, values = documentation.text(service, operation, table.unpack(path))
  if text then table.insert(out, wrap(first_sentence(text), indent)) end
  if values then table.insert(out, wrap("one of: " .. table.concat(values, ", "), indent)) end
end

-- into: { m, out, service, operation, detailed }.
local function members(into, shape, path, seen)
  local m, out, depth = into.m, into.out, #path
  local indent = ("  "):rep(depth + 1)
  for _, member in ipairs(sorted_members(shape)) do
    table.insert(out,
      ("%s%-" .. math.max(1, 34 - 2 * depth) .. "s  %s%s"):format(indent, member.name,
      type_text(m, member), marks(member)))
    table.insert(path, member.name)
    if into.detailed then about(out, indent .. "    ", into.service, into.operation, path) end
    local below = inner(m, member)
    if below and depth + 1 < DEPTH and not seen[member.shape] then
      seen[member.shape] = true
      members(into, below, path, seen)
      seen[member.shape] = nil
    end
    table.remove(path)
  end
end

local function section(into, title, id)
  local shape = id and into.m:shape(id)
  if not shape or not shape.members or #shape.members == 0 then
    table.insert(into.out, ("\n%s: none"):format(title))
    return
  end
  table.insert(into.out, "\n" .. title)
  members(into, shape, {}, {})
end

local function sample(m, member, depth)
  if member.type == "structure" and depth < DEPTH then
    local parts = {}
    for _, each in ipairs(sorted_members(m:shape(member.shape))) do
      if each.required then
        table.insert(parts, ("%s = %s"):format(each.name, sample(m, each, depth + 1)))
      end
    end
    return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
  elseif member.type == "list" and depth < DEPTH then
    return ("{ %s }"):format(sample(m, m:shape(member.shape).member, depth + 1))
  end
  return SAMPLE[member.type] or ('"..."')
end

local function local_name(service) return (service:gsub("[^%w]", "_")) end

local function example(m, service, op)
  local variable = local_name(service)
  local lines = { "\nExample",
    ("  local %s = aws.%s { region = \"us-west-2\" }"):format(variable, variable) }
  local shape = op.input and m:shape(op.input)
  local required = {}
  for _, member in ipairs(shape and sorted_members(shape) or {}) do
    if member.required then
      table.insert(required, ("    %s = %s,"):format(member.name, sample(m, member, 0)))
    end
  end
  if #required == 0 then
    table.insert(lines, ("  local answer = %s:%s {}"):format(variable, names.snake(op.name)))
  else
    table.insert(lines, ("  local answer = %s:%s {"):format(variable, names.snake(op.name)))
    table.move(required, 1, #required, #lines + 1, lines)
    table.insert(lines, "  }")
  end
  return table.concat(lines, "\n")
end

local function pages(m, op)
  local pager = (m:paginators() or {})[op.name]
  if not pager then return nil end
  local key = type(pager.result_key) == "table" and pager.result_key[1] or pager.result_key
  if not key then return nil end
  return ("\nPages: for item in client:each(\"%s\", {...}, \"%s\") do ... end")
    :format(names.snake(op.name), key)
end

local function waits_of(m, service)
  local found = {}
  local from_model = m:waiters() or {}
  for name, wait in pairs(from_model.waiters or from_model) do
    if type(wait) == "table" then found[name] = wait.operation end
  end
  for name, wait in pairs(waits.of(service)) do found[name] = wait.operation end
  return found
end

local function waits_on(m, service, operation)
  local list = {}
  for name, asked in pairs(waits_of(m, service)) do
    if not operation or asked == operation then table.insert(list, names.snake(name)) end
  end
  table.sort(list)
  return list
end

local function effect_text(service, op)
  local rule = operations.rule(service, op.name, op.method)
  if type(rule) == "function" then
    return "depends on its input: " .. EFFECTS[rule {}] .. " by default"
  end
  return EFFECTS[rule]
end

local function operation_text(m, service, name)
  local full = m:find(names.snake(name))
  if not full then
    local list = {}
    for _, each in ipairs(m:operations()) do table.insert(list, names.snake(each)) end
    caller.misuse(nil, "%s has no operation %s%s", service, name,
      nearest.hint(names.snake(name), list))
  end
  local op = m:operation(full)
  local out = { ("%s.%s (%s)"):format(local_name(service), names.snake(full), full) }
  table.insert(out, "  " .. effect_text(service, op))
  local text = documentation.text(service, full)
  if text then table.insert(out, "\n" .. paragraphs(text, "  ")) end
  local into = { m = m, out = out, service = service, operation = full, detailed = true }
  section(into, "Parameters", op.input)
  into.detailed = false -- the answer's members speak for themselves, and are many
  section(into, "Answer", op.output)
  table.insert(out, "\nErrors")
  table.insert(out, #op.errors > 0 and wrap(table.concat(op.errors, ", "), "  ")
    or "  those that all services have")
  local waiting = waits_on(m, service, full)
  if #waiting > 0 then
    table.insert(out, "\nWaits that ask this")
    table.insert(out, wrap(table.concat(waiting, ", "), "  "))
  end
  table.insert(out, pages(m, op))
  table.insert(out, example(m, service, op))
  return table.concat(out, "\n") .. "\n"
end

local function service_text(m, service)
  local metadata = m:metadata()
  local out = { ("%s: %s (API version %s, protocol %s)"):format(local_name(service),
    metadata.service_full_name or metadata.service_id or service, metadata.api_version or "?",
    metadata.protocol or "?") }
  local text = documentation.text(service)
  if text then table.insert(out, "\n" .. paragraphs(text, "  ")) end
  table.insert(out, "\nOperations")
  for _, name in ipairs(m:operations()) do
    local said = documentation.summary(service, name)
    table.insert(out, said and ("  %-44s %s"):format(names.snake(name), shorten(said, 100))
      or "  " .. names.snake(name))
  end
  local waiting = waits_on(m, service)
  if #waiting > 0 then
    table.insert(out, "\nWaits")
    table.insert(out, wrap(table.concat(waiting, ", "), "  "))
  end
  return table.concat(out, "\n") .. "\n"
end

--- The text for `drlua doc SERVICE[.OPERATION]`; without a service, the list of them.
-- operation: in either form, or nil for the service's list.
function docs.text(service, operation)
  if not service then
    local list = table.move(model.services(), 1, #model.services(), 1, {})
    table.sort(list)
    return table.concat(list, "\n") .. "\n"
  end
  local m, name = open(service)
  if operation then return operation_text(m, name, operation) end
  return service_text(m, name)
end

return docs
