--- The outline of a plan: its steps as data, the control planes they need, and how long
-- they are expected to take.
local outline = {}

-- Where the control plane of a service lives that has only one.
local homes = { route53 = "us-east-1", iam = "us-east-1", organizations = "us-east-1",
  cloudfront = "us-east-1",
  shield = "us-east-1", globalaccelerator = "us-west-2", account = "us-east-1",
  ["route53-recovery-control-config"] = "us-west-2", ["route53-recovery-readiness"] = "us-west-2",
  health = "us-east-1", support = "us-east-1", route53domains = "us-east-1" }
-- Bucket configuration of S3 depends on us-east-1, wherever the bucket is.
local bucket_configuration = { "^CreateBucket", "^DeleteBucket", "^PutBucket", "^PutPublicAccess" }

-- The region that a call depends on for being taken.
local function plane_of(e)
  if e.service == "s3" then
    for _, pattern in ipairs(bucket_configuration) do
      if e.operation:find(pattern) then return "us-east-1" end
    end
  end
  return homes[e.service] or e.region or "?"
end

--- Takes down the control plane that a call of a planned step needs.
function outline.add_plane(planned, e)
  if e.kind ~= "aws" then return end
  local name = ("%s in %s"):format(e.service, plane_of(e))
  if not planned.planes[name] then
    planned.planes[name] = { service = e.service, region = plane_of(e) }
    table.insert(planned.order, name)
  end
end

--- The place of a scope in the tree of steps: branches that run together are a group.
function outline.node(tree, here)
  if here.kind ~= "branch" or not here.parent then return tree end
  local parent = outline.node(tree, here.parent)
  local name = here.path:gsub("%.%d+$", ""):gsub("%[%d+%]$", "")
  local group = parent.groups[name]
  if not group then
    group = { children = {}, by_path = {} }
    parent.groups[name] = group
    table.insert(parent.items, group)
  end
  local child = group.by_path[here.path]
  if not child then
    child = { items = {}, groups = {} }
    group.by_path[here.path] = child
    table.insert(group.children, child)
  end
  return child
end

local function add(planned, list, fn)
  local texts = {}
  for _, item in ipairs(planned[list]) do table.insert(texts, fn(item)) end
  return #texts > 0 and texts or nil
end

local function shown_row(row)
  return { kind = row.kind, service = row.service, operation = row.operation, region = row.region,
    account = row.account, what = row.what, resource = row.resource }
end

--- A planned step as data, for --output json.
function outline.step(planned)
  local o = planned.options
  return { number = planned.number, step = planned.name, path = planned.path ~= planned.name
    and planned.path or nil,
    risk = o.risk, budget = o.budget, approval = o.approve and true or nil, asks = planned.asks,
    undo = o.undo and true
      or nil,
    optional = o.optional, skipped = planned.skipped, already = planned.already,
      stop = planned.stop,
    uncertain = planned.uncertain, unsure = planned.unsure, changes = add(planned, "changes",
      shown_row),
    reads = add(planned, "reads", shown_row), waits = #planned.waits > 0 and planned.waits or nil,
    checks = planned.checks, notes = planned.notes, limit_faults = planned.limit_faults,
    control_planes = #planned.order > 0 and planned.order or nil }
end

--- Expected seconds of a node of the tree of steps, the names on its longest way, and
-- whether some step on it has no budget.
function outline.span(node)
  local total, names, open = 0, {}, false
  for _, item in ipairs(node.items) do
    if item.recovered then break end
    if item.children then
      local longest, way = -1, {}
      for _, child in ipairs(item.children) do
        local seconds, path, unsure = outline.span(child)
        open = open or unsure
        if seconds > longest then longest, way = seconds, path end
      end
      total = total + math.max(longest, 0)
      table.move(way, 1, #way, #names + 1, names)
    elseif not item.skipped and not item.already then
      total = total + (item.options.budget or item.slept or 0)
      open = open or not item.options.budget
      table.insert(names, item.name)
    end
  end
  return total, names, open
end

--- Every control plane with the numbers of the planned steps that need it; those in the
-- failed region are marked.
function outline.planes(steps, failed_region)
  local by_name, order = {}, {}
  for _, planned in ipairs(steps) do
    if not planned.skipped then
      for _, name in ipairs(planned.order) do
        if not by_name[name] then
          local plane = planned.planes[name]
          by_name[name] = { service = plane.service, region = plane.region, steps = {},
            failed = failed_region ~= nil and plane.region == failed_region or nil }
          table.insert(order, by_name[name])
        end
        table.insert(by_name[name].steps, planned.number)
      end
    end
  end
  return order
end

--- Whether what followed on some step may be more than was seen: its answer is known
-- only after the run, or it stopped half-way.
function outline.is_partial(planned)
  return #planned.changes > 0 or #planned.waits > 0 or planned.stop ~= nil
end

return outline
