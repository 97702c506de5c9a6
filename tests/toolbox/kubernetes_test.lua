-- Real kubectl against a small API server that records what it was asked.
local fs = require "native.fs"
local json = require "native.json"
local kubernetes = require "toolbox.kubernetes"
local process = require "process"
local server = require "native.server"
local t = require "harness"
local task = require "task"

local function resources(group, list)
  return { kind = "APIResourceList", apiVersion = "v1", groupVersion = group,
    resources = json.array(list) }
end

local VERBS = json.array { "get", "list", "watch", "patch", "update", "create" }

local function deployment(count)
  return { kind = "Deployment", apiVersion = "apps/v1",
    metadata = { name = "api", namespace = "production", generation = 1, resourceVersion = "7",
      uid = "u" },
    spec = { replicas = count, selector = { matchLabels = { app = "api" } },
      template = { metadata = { labels = { app = "api" } }, spec = { containers = json.array {
        { name = "api", image = "api:1" } } } } },
    status = { observedGeneration = 1, replicas = count, updatedReplicas = count,
      availableReplicas = count,
      readyReplicas = count } }
end

-- The least of an API server: discovery, one deployment and its scale.
local function answers(state)
  local apps = "/apis/apps/v1"
  local one = apps .. "/namespaces/production/deployments/api"
  local scale = function()
    return { kind = "Scale", apiVersion = "autoscaling/v1",
      metadata = { name = "api", namespace = "production", resourceVersion = "7" },
      spec = { replicas = state.replicas },
      status = { replicas = state.replicas, selector = "app=api" } }
  end
  return {
    ["/version"] = function() return { major = "1", minor = "30", gitVersion = "v1.30.0" } end,
    ["/api"] = function() return { kind = "APIVersions", versions = json.array { "v1" } } end,
    ["/apis"] = function()
      local version = { groupVersion = "apps/v1", version = "v1" }
      return { kind = "APIGroupList", apiVersion = "v1", groups = json.array { { name = "apps",
        versions = json.array { version }, preferredVersion = version } } }
    end,
    ["/api/v1"] = function() return resources("v1", {
      { name = "nodes", singularName = "node", namespaced = false, kind = "Node",
        verbs = VERBS } }) end,
    [apps] = function() return resources("apps/v1", {
      { name = "deployments", singularName = "deployment", namespaced = true, kind = "Deployment",
        verbs = VERBS,
        shortNames = json.array { "deploy" } },
      { name = "deployments/scale", singularName = "", namespaced = true, kind = "Scale",
        group = "autoscaling",
        version = "v1", verbs = VERBS } }) end,
    ["/api/v1/nodes"] = function() return { kind = "NodeList", apiVersion = "v1", metadata = {},
      items = json.array { { metadata = { name = "node-1" }, status = { conditions = json.array {
        { type = "Ready", status = "True" } } } } } } end,
    [one] = function() return deployment(state.replicas) end,
    [apps .. "/namespaces/production/deployments"] = function()
      return { kind = "DeploymentList", apiVersion = "apps/v1",
        metadata = { resourceVersion = "7" },
        items = json.array { deployment(state.replicas) } }
    end,
    [one .. "/scale"] = function(req)
      if req.method == "PATCH" then state.replicas = json.decode(req.body).spec.replicas end
      return scale()
    end,
  }
end

local function started()
  if not process.find "kubectl" then t.skip("kubectl is not installed") end
  local srv = assert(server.listen {})
  local state = { replicas = 3, asked = {} }
  local routes = answers(state)
  local serving = task.spawn(function()
    while true do
      local req = task.await(srv:accept())
      if not req then return end
      local path = req.target:match("^[^?]*")
      table.insert(state.asked, req.method .. " " .. path)
      local route = routes[path]
      local body = route and json.encode(route(req))
        or '{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}'
      req:respond { status = route and 200 or 404,
        headers = { { "Content-Type", "application/json" } }, body = body }
    end
  end)
  local directory = assert(fs.tempdir("drlua-kube-"))
  t.cleanup(function()
    serving:cancel()
    srv:close()
    fs.remove_tree(directory)
  end)
  assert(fs.write(directory .. "/config", json.encode {
    apiVersion = "v1", kind = "Config", ["current-context"] = "other",
    clusters = json.array { { name = "dr",
      cluster = { server = "http://127.0.0.1:" .. srv.port } } },
    users = json.array { { name = "dr", user = { token = "x" } } },
    contexts = json.array { { name = "dr", context = { cluster = "dr", user = "dr" } } },
  }))
  return { kubeconfig = directory .. "/config", context = "dr", namespace = "production" }, state
end

t.test("reads and scales in the context and namespace that were given", function()
  local cluster, state = started()
  t.contains(kubernetes.read(cluster, { "get", "nodes", "-o", "name" }), "node/node-1")
  t.contains(kubernetes.scale(cluster, "api", 12), "scaled")
  t.equal(state.replicas, 12)
  t.contains(kubernetes.wait_rollout(cluster, "api", "30s"), "successfully rolled out")
end)

t.test("what changes something, or may, is not read", function()
  local cluster = { context = "dr" }
  for _, words in ipairs { "delete ns shop", "-n shop delete pod x",
    "--namespace shop scale deployment/api", "exec pod",
    "--context=other delete ns x", "-s http://x drain node", "rollout restart deployment/api",
    "config use-context x",
    "auth reconcile -f x", "apply -f x", "run x", "proxy", "some-plugin", "" } do
    local arguments = {}
    for word in words:gmatch("%S+") do table.insert(arguments, word) end
    t.raises("is not known to only read: use kubernetes.change", kubernetes.read, cluster,
      arguments)
  end
end)

t.test("an object that is not there is an error with kubectl's words", function()
  local cluster = started()
  local e = t.raises("kubectl", kubernetes.read, cluster, { "get", "deployment", "nothing" })
  t.contains(tostring(e), "NotFound")
end)

t.test("an EKS cluster by its name, with a kubeconfig of its own for each command", function()
  local cluster, state = started()
  local made = 0
  local eks = { kubeconfig = function(_, name)
    t.equal(name, "platform-dr")
    made = made + 1
    return (fs.read(cluster.kubeconfig):gsub('"current%-context":"other"',
      '"current-context":"dr"'))
  end }
  local target = { eks = eks, name = "platform-dr", namespace = "production" }
  t.contains(kubernetes.read(target, { "get", "nodes", "-o", "name" }), "node/node-1")
  kubernetes.scale(target, "api", 4)
  t.equal({ state.replicas, made }, { 4, 2 })
end)
