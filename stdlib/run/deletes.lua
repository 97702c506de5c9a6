--- What an effect deletes, and how many things: what a run's limits count.
--
-- Counted are AWS operations that destroy (Delete..., Terminate..., BatchDelete...,
-- Purge..., ScheduleKeyDeletion, DeregisterImage, ReleaseAddress, record sets and items
-- that are deleted by a change), DROP, TRUNCATE and DELETE in SQL, the method DELETE of
-- HTTP, and the deletions of known programs as far as their arguments show them. A call
-- that names several things counts as many; one that does not say how many (a selector,
-- --all, --recursive) counts as more than any limit.
local reads = require "sql.reads"
local unknown = require "unknown"

local deletes = {}

--- More than any limit: the call does not say how many.
deletes.UNBOUNDED = math.huge

-- AWS

local destroying = { "^Delete", "^Terminate", "^BatchDelete", "^Purge", "^ForceDelete",
  "^ScheduleKeyDeletion$", "^DeregisterImage$", "^ReleaseAddress$" }
-- Messages that were taken from a queue: that is how they are read.
local consuming = { DeleteMessage = true, DeleteMessageBatch = true }

local function is_list(v) return type(v) == "table" and not unknown.is(v) and v[1] ~= nil end

-- The length of the longest list in an input, or in a member of it; 1 without one.
local function longest(input, depth)
  local most = 1
  if type(input) ~= "table" or unknown.is(input) then return most end
  for _, v in pairs(input) do
    if is_list(v) then
      most = math.max(most, #v)
    elseif depth > 0 then
      most = math.max(most, longest(v, depth - 1))
    end
  end
  return most
end

local function count_where(list, holds)
  local n = 0
  for _, item in ipairs(is_list(list) and list or {}) do
    if type(item) == "table" and not unknown.is(item) and holds(item) then n = n + 1 end
  end
  return n
end

-- By "service.Operation": function(input) -> how many.
local special = {}

special["route53.ChangeResourceRecordSets"] = function(input)
  local batch = input.ChangeBatch
  return count_where(type(batch) == "table" and batch.Changes, function(change)
    return change.Action == "DELETE"
  end)
end

special["dynamodb.BatchWriteItem"] = function(input)
  local n = 0
  for _, requests in pairs(type(input.RequestItems) == "table" and input.RequestItems or {}) do
    n = n + count_where(requests, function(one) return one.DeleteRequest ~= nil end)
  end
  return n
end

special["dynamodb.TransactWriteItems"] = function(input)
  return count_where(input.TransactItems, function(one) return one.Delete ~= nil end)
end

local function of_statement(member)
  return function(input) return deletes.in_sql(input[member]) end
end

special["dynamodb.ExecuteStatement"] = of_statement "Statement"
special["rds-data.ExecuteStatement"] = of_statement "sql"
special["redshift-data.ExecuteStatement"] = of_statement "Sql"

special["rds-data.BatchExecuteStatement"] = function(input)
  return deletes.in_sql(input.sql) * longest(input, 0)
end

local function in_aws(e)
  local rule = special[("%s.%s"):format(e.service, e.operation)]
  if rule then return unknown.is(e.input) and 0 or rule(e.input or {}) end
  if consuming[e.operation] then return 0 end
  for _, pattern in ipairs(destroying) do
    if tostring(e.operation):find(pattern) then return longest(e.input, 1) end
  end
  return 0
end

-- SQL

local function is_word(token, ...)
  for _, word in ipairs { ... } do
    if token and token.kind == "word" and token.text == word then return true end
  end
  return false
end

-- How many names follow token i, up to the end of the statement: "a, b.c, d" is 3.
local function names_after(tokens, i)
  local n, depth = 1, 0
  for j = i + 1, #tokens do
    local token = tokens[j]
    if token.kind == "sign" then
      if token.text == ";" then break end
      if token.text == "(" then depth = depth + 1 end
      if token.text == ")" then depth = depth - 1 end
      if token.text == "," and depth == 0 then n = n + 1 end
    end
  end
  return n
end

local function begins_statement(tokens, i)
  local before = tokens[i - 1]
  return before == nil or (before.kind == "sign" and before.text == ";")
    or is_word(before, "begin", "then", "else", "loop")
end

local function in_tokens(tokens)
  local n, altering = 0, false
  for i, token in ipairs(tokens) do
    if begins_statement(tokens, i) then altering = is_word(token, "alter") end
    local merging = is_word(tokens[i - 1], "then") -- MERGE ... WHEN MATCHED THEN DELETE
    if is_word(token, "delete") and (merging or is_word(tokens[i + 1], "from")) then
      n = n + 1
    elseif begins_statement(tokens, i) and is_word(token, "drop", "truncate") then
      n = n + names_after(tokens, i)
    elseif altering and is_word(token, "drop") and not is_word(tokens[i + 1], "not", "default") then
      n = n + 1
    end
  end
  return n
end

--- How many deletions a text of SQL holds: DROP and TRUNCATE by the names they list,
-- DELETE FROM and ALTER ... DROP each once.
function deletes.in_sql(statement)
  if type(statement) ~= "string" then return 0 end
  local tokens = reads.tokens(statement)
  -- The body of a DO block runs at once; it is a literal to the server's lexer only.
  if is_word(tokens[1], "do") then tokens = reads.tokens((statement:gsub("%$[%w_]*%$", " "))) end
  return in_tokens(tokens)
end

-- Programs

-- The words that are no options, without the values that follow options of `takes`.
local function plain_words(words, from, takes)
  local list, i = {}, from
  while i <= #words do
    local word = words[i]
    if not word:find("^%-") then
      table.insert(list, word)
    elseif takes[word] then
      i = i + 1
    end
    i = i + 1
  end
  return list
end

local function has(words, from, ...)
  for i = from, #words do
    for _, wanted in ipairs { ... } do
      if words[i] == wanted or words[i]:sub(1, #wanted + 1) == wanted .. "=" then return true end
    end
  end
  return false
end

-- A short option with its value in one word, such as -lapp=web.
local function has_glued(words, from, letters)
  for i = from, #words do
    if words[i]:find("^%-[" .. letters .. "].") then return true end
  end
  return false
end

local function set(text)
  local found = {}
  for word in text:gmatch("%S+") do found[word] = true end
  return found
end

local programs = {}

local kubectl_takes = set [[--context --kubeconfig -n --namespace --cluster --user -s --server
  --token --as --as-group --request-timeout --timeout --grace-period -o --output --cascade
  --certificate-authority --dry-run -v --v --wait]]

function programs.kubectl(words, from)
  if has(words, from, "--prune") then return deletes.UNBOUNDED end
  local plain = plain_words(words, from, kubectl_takes)
  if plain[1] ~= "delete" then return 0 end
  if has(words, from, "--all", "-l", "--selector", "-A", "--all-namespaces", "--field-selector",
    "-f",
    "--filename", "-k", "--kustomize") then
    return deletes.UNBOUNDED
  end
  if has_glued(words, from, "lfk") then return deletes.UNBOUNDED end
  -- "delete TYPE NAME NAME", "delete TYPE,TYPE NAME", or "delete TYPE/NAME TYPE/NAME".
  if (plain[2] or ""):find("/") then return #plain - 1 end
  local _, commas = (plain[2] or ""):gsub(",", "")
  return math.max(1, #plain - 2) * (commas + 1)
end
programs.oc = programs.kubectl

function programs.helm(words, from)
  local plain = plain_words(words, from, kubectl_takes)
  local verb = plain[1] or ""
  if not set("uninstall delete del un")[verb] then return 0 end
  return math.max(1, #plain - 1)
end

-- The most values that follow one option: "--instance-ids a b c" has three.
local function most_values(words, from)
  local most, n = 1, nil
  for i = from, #words do
    if words[i]:find("^%-") then n = 0 elseif n then n = n + 1 end
    most = math.max(most, n or 0)
  end
  return most
end

local aws_takes = set [[--region --profile --endpoint-url --output --query --ca-bundle
  --cli-read-timeout --cli-connect-timeout --color]]

local function in_s3(verb, words, from)
  if verb == "rm" then return has(words, from, "--recursive") and deletes.UNBOUNDED or 1 end
  if verb == "rb" then return has(words, from, "--force") and deletes.UNBOUNDED or 1 end
  if verb == "sync" then return has(words, from, "--delete") and deletes.UNBOUNDED or 0 end
  return 0
end

-- The objects that `s3api delete-objects` names in its argument; in a file they are not seen.
local function keys_in(words, from)
  local _, n = table.concat(words, " ", from):gsub("%f[%w]Key%f[%W]", "")
  return n > 0 and n or deletes.UNBOUNDED
end

function programs.aws(words, from)
  local plain = plain_words(words, from, aws_takes)
  local service, verb = plain[1] or "", plain[2] or ""
  if service == "s3" then return in_s3(verb, words, from) end
  if consuming[verb:gsub("^%l", string.upper):gsub("%-(%l)", string.upper)] then return 0 end
  local destroys = verb:find("^delete%-") or verb:find("^terminate%-")
    or verb:find("^batch%-delete%-")
    or verb:find("^purge%-") or set("schedule-key-deletion deregister-image release-address")[verb]
  if not destroys then return 0 end
  if has(words, from, "--cli-input-json", "--cli-input-yaml") then return deletes.UNBOUNDED end
  return verb == "delete-objects" and keys_in(words, from) or most_values(words, from)
end

local function destroys_all(words, from)
  local plain = plain_words(words, from, {})
  for _, word in ipairs(plain) do
    if word == "destroy" then return deletes.UNBOUNDED end
  end
  return has(words, from, "-destroy", "--destroy") and deletes.UNBOUNDED or 0
end
programs.terraform, programs.tofu, programs.terragrunt = destroys_all, destroys_all, destroys_all
programs.pulumi, programs.cdk = destroys_all, destroys_all

-- Tools with the verb `delete` somewhere among their first words.
local function deleting(words, from)
  local plain = plain_words(words, from, {})
  for i = 1, math.min(#plain, 5) do
    if plain[i] == "delete" then return has(words, from, "--all") and deletes.UNBOUNDED or 1 end
  end
  return 0
end
programs.velero, programs.eksctl, programs.gcloud, programs.az = deleting, deleting, deleting,
  deleting

local function one() return 1 end
programs.dropdb, programs.dropuser = one, one

function programs.psql(words, from)
  local n = 0
  for i = from, #words do
    local text = words[i]:match("^%-%-command=(.*)$") or words[i]:match("^%-c(.+)$")
    if words[i] == "-c" or words[i] == "--command" then text = words[i + 1] end
    n = n + deletes.in_sql(text)
  end
  return n
end

local in_words

-- The commands of a shell's text, split where one ends, without their quotes.
local function in_script(text)
  local n = 0
  for command in text:gmatch("[^;|&\n]+") do
    local words = {}
    for word in command:gmatch("%S+") do table.insert(words, (word:gsub("[\"']", ""))) end
    n = n + in_words(words)
  end
  return n
end

local function shell(words, from)
  for i = from, #words - 1 do
    if words[i]:find("^%-%a*c$") then return in_script(words[i + 1]) end
  end
  return 0
end
programs.sh, programs.bash, programs.dash, programs.zsh = shell, shell, shell, shell

-- The program may stand behind others: sudo, env, timeout, ssh HOST, kubectl exec.
function in_words(words)
  for i, word in ipairs(words) do
    local counter = programs[word:match("[^/]*$")]
    local n = counter and counter(words, i + 1) or 0
    if n > 0 then return n end
  end
  return 0
end

local function in_process(e)
  local argv = type(e.input) == "table" and not unknown.is(e.input) and e.input.argv or {}
  local words = {}
  for i, word in ipairs(unknown.is(argv) and {} or argv) do words[i] = tostring(word) end
  return in_words(words)
end

local by_kind = {
  aws = in_aws,
  sql = function(e) return type(e.input) == "table" and deletes.in_sql(e.input.sql) or 0 end,
  http = function(e) return tostring(e.operation):upper() == "DELETE" and 1 or 0 end,
  process = in_process,
}

--- How many things an effect deletes: 0 for none, deletes.UNBOUNDED where it does not say.
function deletes.count(e)
  if e.read then return 0 end
  local counter = by_kind[e.kind]
  return counter and counter(e) or 0
end

return deletes
