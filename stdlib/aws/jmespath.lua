--- JMESPath (jmespath.org): compiled once, evaluated often.
--
--     local search =
--     jmespath.compile("Reservations[].Instances[?State.Name=='running'].InstanceId[]") local ids =
--     search(answer)
--
-- An expression becomes a tree of closures, each taking the current value. null is
-- nil, or json.null inside the lists and objects of a result; what counts as a list
-- is in aws.jmespath.value. Objects are walked in the order of their keys, so a
-- result is the same in every run. Results share tables with the input: do not
-- change them. Faults are errors of kind "invalid" whose `code` is the
-- specification's word: syntax, unknown-function, invalid-arity (by compile),
-- invalid-type, invalid-value (by the search).
local functions = require "aws.jmespath.functions"
local lexer = require "aws.jmespath.lexer"
local parser = require "aws.jmespath.parser"
local value = require "aws.jmespath.value"

local jmespath = {}

local get, is_list, is_object, truth = value.get, value.is_list, value.is_object, value.truth
local compile

local nodes = {}

function nodes.current() return function(v) return v end end

function nodes.literal(node)
  local constant = node.value
  return function() return constant end
end

function nodes.field(node)
  local name = node.name
  return function(v)
    if type(v) == "table" and is_object(v) then return get(v, name) end
  end
end

function nodes.sub(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v)
    local base = left(v)
    if base ~= nil then return right(base) end
  end
end

function nodes.pipe(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v) return right(left(v)) end
end

function nodes.group(node) return compile(node[1]) end

function nodes.index(node)
  local left, index = compile(node[1]), node.index
  return function(v)
    local base = left(v)
    if not is_list(base) then return nil end
    return get(base, index < 0 and #base + index + 1 or index + 1)
  end
end

--- The bounds of a slice as Python has them, zero-based.
local function bounds(n, start, stop, step)
  local function clamp(position, low, high)
    if position < 0 then position = position + n end
    return math.max(low, math.min(position, high))
  end
  if step > 0 then
    return start and clamp(start, 0, n) or 0, stop and clamp(stop, 0, n) or n
  end
  return start and clamp(start, -1, n - 1) or n - 1, stop and clamp(stop, -1, n - 1) or -1
end

function nodes.slice(node)
  local left, step = compile(node[1]), node.step or 1
  return function(v)
    local base = left(v)
    if not is_list(base) then return nil end
    if step == 0 then lexer.fault("invalid-value", "a slice's step cannot be 0") end
    local out = value.list {}
    local first, last = bounds(#base, node.start, node.stop, step)
    for i = first, last + (step > 0 and -1 or 1), step do out[#out + 1] = base[i + 1] end
    return out
  end
end

function nodes.flatten(node)
  local left = compile(node[1])
  return function(v)
    local base = left(v)
    if not is_list(base) then return nil end
    local out = value.list {}
    for i = 1, #base do
      local element = base[i]
      -- An unmarked empty table here is an object: a list would add nothing anyway,
      -- but {} must stay what it is.
      if is_list(element) and not (is_object(element) and next(element) == nil) then
        table.move(element, 1, #element, #out + 1, out)
      else
        out[#out + 1] = element
      end
    end
    return out
  end
end

--- Applies `right` to each element that `keep` lets through; nulls are dropped.
local function project(base, right, keep)
  local out, n = value.list {}, 0
  for i = 1, #base do
    local element = get(base, i)
    if not keep or truth(keep(element)) then
      local result = right(element)
      if result ~= nil then
        n = n + 1
        out[n] = result
      end
    end
  end
  return out
end

function nodes.project(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v)
    local base = left(v)
    if is_list(base) then return project(base, right) end
  end
end

function nodes.filter(node)
  local left, right, keep = compile(node[1]), compile(node[2]), compile(node[3])
  return function(v)
    local base = left(v)
    if is_list(base) then return project(base, right, keep) end
  end
end

function nodes.values(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v)
    local base = left(v)
    if not is_object(base) then return nil end
    local elements = {}
    for i, key in ipairs(value.keys(base)) do elements[i] = base[key] end
    return project(elements, right)
  end
end

function nodes.list(node)
  local parts = {}
  for i, part in ipairs(node) do parts[i] = compile(part) end
  return function(v)
    if v == nil then return nil end
    local out = value.list {}
    for i, part in ipairs(parts) do out[i] = value.stored(part(v)) end
    return out
  end
end

function nodes.hash(node)
  local parts = {}
  for i, part in ipairs(node) do parts[i] = compile(part) end
  return function(v)
    if v == nil then return nil end
    local out = {}
    for i, part in ipairs(parts) do out[node.keys[i]] = value.stored(part(v)) end
    return out
  end
end

nodes["or"] = function(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v)
    local first = left(v)
    if truth(first) then return first end
    return right(v)
  end
end

nodes["and"] = function(node)
  local left, right = compile(node[1]), compile(node[2])
  return function(v)
    local first = left(v)
    if not truth(first) then return first end
    return right(v)
  end
end

nodes["not"] = function(node)
  local inside = compile(node[1])
  return function(v) return not truth(inside(v)) end
end

local orders = {
  ["<"] = function(a, b) return a < b end,
  ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end,
  [">="] = function(a, b) return a >= b end,
}

function nodes.compare(node)
  local left, right, order = compile(node[1]), compile(node[2]), orders[node.sign]
  if node.sign == "==" then return function(v) return value.equal(left(v), right(v)) end end
  if node.sign == "!=" then return function(v) return not value.equal(left(v), right(v)) end end
  return function(v)
    local a, b = left(v), right(v)
    if type(a) == "number" and type(b) == "number" then return order(a, b) end
  end
end

--- &expression: handed to the function as a function.
function nodes.reference(node)
  local inside = compile(node[1])
  return function() return inside end
end

function nodes.call(node)
  local arguments, count = {}, #node
  for i, argument in ipairs(node) do arguments[i] = compile(argument) end
  local fn = functions.get(node.name, count)
  local first, second = arguments[1], arguments[2]
  if count == 1 then return function(v) return fn(first(v)) end end
  if count == 2 then return function(v) return fn((first(v)), (second(v))) end end
  return function(v)
    local values = {}
    for i = 1, count do values[i] = arguments[i](v) end
    return fn(table.unpack(values, 1, count))
  end
end

function compile(node)
  return nodes[node.kind](node)
end

--- Compiles an expression to a function(value) -> result.
function jmespath.compile(expression)
  local search = compile(parser.parse(expression))
  return function(v)
    if v == value.stored(nil) then v = nil end
    return search(v)
  end
end

--- Compiles and evaluates at once.
function jmespath.search(expression, v)
  return jmespath.compile(expression)(v)
end

return jmespath
