--- kubectl and helm, called with arguments and never through a shell.
--
-- `cluster` is a table { kubeconfig, context, namespace }, each optional: what is
-- absent is left to kubectl's own configuration.
local dr = require "drlua"
local process = require "process"

local kubernetes = {}

local function command(program, cluster, arguments)
  local argv = { program }
  local context_flag = program == "helm" and "--kube-context" or "--context"
  for _, pair in ipairs {
    { "--kubeconfig", cluster.kubeconfig }, { context_flag, cluster.context },
    { "--namespace", cluster.namespace },
  } do
    if pair[2] then
      table.insert(argv, pair[1])
      table.insert(argv, pair[2])
    end
  end
  return table.move(arguments, 1, #arguments, #argv + 1, argv)
end

--- Runs kubectl for reading only and returns its output.
function kubernetes.read(cluster, arguments, timeout)
  local call = command("kubectl", cluster, arguments)
  call.read, call.timeout = true, timeout or "1m"
  return process.run(call).stdout
end

--- Runs kubectl for a change.
function kubernetes.change(cluster, arguments, timeout)
  local call = command("kubectl", cluster, arguments)
  call.timeout = timeout or "5m"
  return process.run(call).stdout
end

--- kubectl apply -f PATH.
function kubernetes.apply(cluster, path)
  return kubernetes.change(cluster, { "apply", "-f", path })
end

--- Sets a deployment's replica count.
function kubernetes.scale(cluster, deployment, replicas)
  return kubernetes.change(cluster, { "scale", "deployment/" .. deployment, "--replicas=" .. replicas })
end

--- Waits until a deployment's rollout has ended; kubectl watches it.
function kubernetes.wait_rollout(cluster, deployment, timeout)
  return kubernetes.read(cluster,
    { "rollout", "status", "deployment/" .. deployment, "--timeout=" .. dr.seconds(timeout or "10m") .. "s" },
    timeout or "10m")
end

--- Installs or upgrades a helm release: `install` alone fails where one exists.
function kubernetes.helm_release(cluster, release, chart, options)
  options = options or {}
  local arguments = { "upgrade", release, chart, "--install", "--wait" }
  for _, file in ipairs(options.values or {}) do
    table.insert(arguments, "--values")
    table.insert(arguments, file)
  end
  local call = command("helm", cluster, arguments)
  call.timeout = options.timeout or "15m"
  return process.run(call).stdout
end

return kubernetes
