--- Tokens that are presigned requests: logging in to a database by IAM, and to an EKS
-- cluster. Nothing is sent to make one.
--
-- Sources: RDS User Guide, "Connecting to your DB instance using IAM authentication";
-- aws-iam-authenticator, "API Authorization from Outside a Cluster".
local caller = require "aws.caller"
local confidential = require "confidential"
local crypto = require "native.crypto"
local instants = require "aws.instants"
local json = require "native.json"
local presign_to = require "aws.presign"
local quirks = require "aws.quirks"
local sigv4 = require "aws.sigv4"

local tokens = { methods = { rds = {}, dsql = {}, eks = {} } }

local DATABASE_LIFE = 900 -- seconds, fixed by RDS
local EKS_URL_LIFE, EKS_LIFE = 60, 840 -- of the URL as such; what EKS makes of it

local function required(what, request, ...)
  for _, name in ipairs { ... } do
    if request[name] == nil then caller.misuse(nil, "%s needs %s", what, name) end
  end
end

local function presign(self, service, host, uri, headers, expires)
  local list = { { "Host", host } }
  for _, pair in ipairs(headers) do table.insert(list, pair) end
  return confidential.token(sigv4.apply { method = "GET", uri = uri, headers = list, body = "",
    region = self.region,
    service = service, credentials = self:credentials_for(), time = instants.of(self.clock),
    expires = expires }.uri)
end

--- A password for PostgreSQL or MySQL on RDS by IAM: valid 15 minutes for starting a
-- connection. request: hostname, port, username.
function tokens.methods.rds.auth_token(self, request)
  required("rds:auth_token", request, "hostname", "port", "username")
  local host = ("%s:%d"):format(request.hostname, request.port)
  local uri = "/?Action=connect&DBUser=" .. quirks.percent(request.username)
  return host .. presign(self, "rds-db", host, uri, {}, DATABASE_LIFE)
end

--- The same for Aurora DSQL. request: hostname, admin = true, expires (seconds).
function tokens.methods.dsql.auth_token(self, request)
  required("dsql:auth_token", request, "hostname")
  local uri = "/?Action=" .. (request.admin and "DbConnectAdmin" or "DbConnect")
  return request.hostname
    .. presign(self, "dsql", request.hostname, uri, {}, request.expires or DATABASE_LIFE)
end

local function base64url(text)
  return (crypto.base64(text):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

--- A bearer token for an EKS cluster's API server, and until when it is good (seconds
-- since the epoch).
function tokens.methods.eks.token(self, cluster)
  local host = presign_to.host_of(self, "sts", "GetCallerIdentity")
  local uri = presign(self, "sts", host, "/?Action=GetCallerIdentity&Version=2011-06-15",
    { { "x-k8s-aws-id", cluster } }, EKS_URL_LIFE)
  return "k8s-aws-v1." .. base64url("https://" .. host .. uri), instants.of(self.clock) + EKS_LIFE
end

--- A kubeconfig for a cluster as JSON, which kubectl reads as it does YAML; good for
-- as long as the token in it (14 minutes). options: namespace.
function tokens.methods.eks.kubeconfig(self, cluster, options)
  local found = self:call("describe_cluster", { name = cluster }).cluster
  local token, expires = self:token(cluster)
  local text = json.encode({
    apiVersion = "v1", kind = "Config", ["current-context"] = cluster,
    clusters = json.array { { name = cluster, cluster = { server = found.endpoint,
      ["certificate-authority-data"] = found.certificateAuthority
      and found.certificateAuthority.data } } },
    users = json.array { { name = cluster, user = { token = token } } },
    contexts = json.array { { name = cluster, context = { cluster = cluster, user = cluster,
      namespace = options and options.namespace } } },
  }, { sort = true })
  return text, expires
end

return tokens
