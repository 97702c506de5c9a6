--- kubectl and helm, called with arguments and never through a shell.
--
-- `cluster` is a table, every field optional: kubeconfig (a path), context, namespace;
-- what is absent is left to kubectl's own configuration. Or { eks = client, name =,
-- namespace = }: an EKS cluster by name, with a kubeconfig and a token of AWS made for
-- each command, so that none is too old and no AWS CLI is needed.
local dr = require "drlua"
local files = require "files"
local process = require "process"
local unknown = require "unknown"

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

local function run(program, cluster, arguments, options)
  local function with(target)
    local call = command(program, target, arguments)
    call.read, call.timeout = options.read, options.timeout
    return process.run(call).stdout
  end
  if not cluster.eks then return with(cluster) end
  return files.temporary(function(directory)
    local path = directory .. "/kubeconfig"
    files.write(path, (cluster.eks:kubeconfig(cluster.name)))
    return with { kubeconfig = path, namespace = cluster.namespace }
  end)
end

-- What kubectl only reads with; of some verbs only these second words.
local reading = { get = true, describe = true, logs = true, top = true, events = true,
  explain = true, wait = true, diff = true, version = true, ["api-resources"] = true,
  ["api-versions"] = true, ["cluster-info"] = true,
  rollout = { status = true, history = true }, auth = { ["can-i"] = true, whoami = true },
  config = { view = true, ["current-context"] = true, ["get-contexts"] = true,
    ["get-clusters"] = true } }

-- Options before the verb whose value is the next word.
local takes_value = {}
for name in ([[-n --namespace --context --kubeconfig --cluster --user -s --server --token --as --as-group --as-uid
  --request-timeout --cache-dir --certificate-authority --client-certificate --client-key
  -- --tls-server-name
  -v --v]]):gmatch("%S+") do takes_value[name] = true end

-- The words of a command that are no options, up to two.
local function verb_of(arguments)
  local words, i = {}, 1
  while i <= #arguments and #words < 2 do
    local word = tostring(arguments[i])
    if takes_value[word] then i = i + 1 elseif word:sub(1, 1) ~= "-" then table.insert(words,
      word) end
    i = i + 1
  end
  return words[1], words[2]
end

local function refuse_change(arguments)
  local verb, second = verb_of(arguments)
  local fine = reading[verb]
  if fine == true or (type(fine) == "table" and fine[second]) then return end
  local text = type(fine) == "table" and ("%s %s"):format(verb, tostring(second)) or tostring(verb)
  dr.fail(("kubernetes.read: kubectl %s is not known to only read: use kubernetes.change")
    :format(text))
end

--- Runs kubectl for reading only and returns its output. Raises when its verb is not one
-- that reads.
function kubernetes.read(cluster, arguments, timeout)
  if not unknown.within(arguments) then refuse_change(arguments) end
  return run("kubectl", cluster, arguments, { read = true, timeout = timeout or "1m" })
end

--- Runs kubectl for a change.
function kubernetes.change(cluster, arguments, timeout)
  return run("kubectl", cluster, arguments, { timeout = timeout or "5m" })
end

--- kubectl apply -f PATH.
function kubernetes.apply(cluster, path)
  return kubernetes.change(cluster, { "apply", "-f", path })
end

--- Sets a deployment's replica count.
function kubernetes.scale(cluster, deployment, replicas)
  return kubernetes.change(cluster,
    { "scale", "deployment/" .. deployment, "--replicas=" .. replicas })
end

--- Waits until a deployment's rollout has ended; kubectl watches it.
function kubernetes.wait_rollout(cluster, deployment, timeout)
  return kubernetes.read(cluster,
    { "rollout", "status", "deployment/" .. deployment, "--timeout=" .. dr.seconds(timeout or "10m")
      .. "s" },
    timeout or "10m")
end

--- Installs or upgrades a helm release: `install` alone fails where one exists.
-- options: values (list of files), timeout (default "13m": an EKS token lives for 14).
function kubernetes.helm_release(cluster, release, chart, options)
  options = options or {}
  local arguments = { "upgrade", release, chart, "--install", "--wait" }
  for _, file in ipairs(options.values or {}) do
    table.insert(arguments, "--values")
    table.insert(arguments, file)
  end
  return run("helm", cluster, arguments, { timeout = options.timeout or "13m" })
end

return kubernetes
