--- What the simulated accounts own: a store per account, region and service.
local state = {}

local State = {}
State.__index = State

function state.new()
  return setmetatable({ stores = {}, order = {}, constructors = {} }, State)
end

--- Says how a service's store looks at first: new(account, region).
function State:register(service, new)
  self.constructors[service] = new
end

--- The store of a service in an account and region ("global" for services without
-- one), made when first asked for.
function State:store(account, region, service)
  local key = account .. " " .. region .. " " .. service
  local store = self.stores[key]
  if not store then
    local new = self.constructors[service]
    store = new and new(account, region) or {}
    self.stores[key] = store
    table.insert(self.order,
      { account = account, region = region, service = service, store = store })
  end
  return store
end

--- Calls fn(account, region, store) for every store of a service (nil: of all).
function State:each(service, fn)
  for _, entry in ipairs(self.order) do
    if service == nil or entry.service == service then
      fn(entry.account, entry.region, entry.store, entry.service)
    end
  end
end

--- The keys of a table in byte order.
function state.sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

return state
