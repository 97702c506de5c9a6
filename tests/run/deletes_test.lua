-- run.deletes: what an effect deletes, and how many things.
local deletes = require "run.deletes"
local t = require "harness"
local unknown = require "unknown"

local MANY = deletes.UNBOUNDED

local function aws(name, input)
  local service, operation = name:match("^(.-)%.(.*)$")
  return deletes.count { kind = "aws", service = service, operation = operation,
    input = input or {} }
end

t.test("operations of AWS", function()
  for name, n in pairs { ["rds.DeleteDBInstance"] = 1, ["rds.ModifyDBInstance"] = 0,
    ["ec2.TerminateInstances"] = 1, ["kms.ScheduleKeyDeletion"] = 1, ["kms.CancelKeyDeletion"] = 0,
    ["ecr.BatchDeleteImage"] = 1, ["sqs.PurgeQueue"] = 1, ["sqs.DeleteMessage"] = 0,
    ["sqs.DeleteMessageBatch"] = 0, ["sqs.DeleteQueue"] = 1,
    ["ec2.DeregisterImage"] = 1, ["elbv2.DeregisterTargets"] = 0,
    ["rds.RemoveTagsFromResource"] = 0, ["autoscaling.TerminateInstanceInAutoScalingGroup"] = 1,
    ["dynamodb.PutItem"] = 0, ["dynamodb.DeleteItem"] = 1,
    ["iam.RemoveRoleFromInstanceProfile"] = 0, ["ec2.ReleaseAddress"] = 1,
    ["rds.UndeleteThings"] = 0 } do
    t.equal(aws(name), n, name)
  end
end)

t.test("a call that names several things counts as many", function()
  t.equal(aws("ec2.TerminateInstances", { InstanceIds = { "a", "b", "c" } }), 3)
  t.equal(aws("s3.DeleteObjects",
    { Bucket = "b", Delete = { Objects = { { Key = "1" }, { Key = "2" } } } }), 2)
  t.equal(aws("route53.ChangeResourceRecordSets",
    { ChangeBatch = { Changes = { { Action = "DELETE" },
    { Action = "UPSERT" }, { Action = "DELETE" } } } }), 2)
  t.equal(aws("route53.ChangeResourceRecordSets",
    { ChangeBatch = { Changes = { { Action = "UPSERT" } } } }), 0)
  t.equal(aws("dynamodb.BatchWriteItem",
    { RequestItems = { a = { { DeleteRequest = {} }, { PutRequest = {} } },
    b = { { DeleteRequest = {} } } } }), 2)
  t.equal(aws("dynamodb.TransactWriteItems", { TransactItems = { { Delete = {} }, { Put = {} } } }),
    1)
  t.equal(aws("rds-data.ExecuteStatement", { sql = "drop table a, b" }), 2)
  t.equal(aws("dynamodb.ExecuteStatement", { Statement = "DELETE FROM t WHERE id = 1" }), 1)
end)

t.test("what only the run knows counts as one at least, and breaks nothing", function()
  local u = unknown.new("x")
  t.equal(aws("ec2.TerminateInstances", { InstanceIds = u }), 1)
  t.equal(deletes.count { kind = "aws", service = "ec2", operation = "TerminateInstances",
    input = u }, 1)
  t.equal(aws("route53.ChangeResourceRecordSets", { ChangeBatch = u }), 0)
  t.equal(deletes.count { kind = "sql", input = { sql = u } }, 0)
  t.equal(deletes.count { kind = "process", input = { argv = { "kubectl", "delete", "pod", u } } },
    1)
  t.equal(deletes.count { kind = "process", input = u }, 0)
end)

t.test("a read deletes nothing", function()
  t.equal(deletes.count { kind = "process", read = true,
    input = { argv = { "kubectl", "delete", "ns", "x" } } }, 0)
end)

t.test("statements of SQL", function()
  for statement, n in pairs {
    ["drop table a"] = 1, ["DROP TABLE IF EXISTS a, b.c, \"d,e\" CASCADE"] = 3,
    ["truncate a, b"] = 2, ["delete from a where x in (1, 2, 3)"] = 1,
    ["with gone as (delete from a returning *) select * from gone"] = 1,
    ["select 'drop table a; delete from b'"] = 0, ["-- drop table a\nselect 1"] = 0,
    ["/* delete from a */ select 1"] = 0,
    ["alter table a drop column b, drop constraint c"] = 2,
    ["alter table a alter column b drop not null"] = 0,
    ["alter table a alter column b drop default"] = 0,
    ["create table x (y int references z on delete cascade)"] = 0,
    ["merge into a using b on a.i = b.i when matched then delete"] = 1,
    ["grant delete, truncate on a to b"] = 0,
    ["insert into a select 1; delete from a; drop view v"] = 2,
    ["do $$ begin delete from a; drop table b; end $$"] = 2, ["select trunc(1.5)"] = 0,
    ["update a set note = $q$ delete from b $q$"] = 0, ["drop function f(int, text), g(int)"] = 2,
    [""] = 0 } do
    t.equal(deletes.count { kind = "sql", operation = "exec", input = { sql = statement } }, n,
      statement)
  end
end)

t.test("programs, as far as their arguments show", function()
  for command, n in pairs {
    ["kubectl get pods"] = 0, ["kubectl delete pod a b"] = 2,
    ["kubectl --context x -n delete get pods"] = 0,
    ["/usr/bin/kubectl -n prod delete deployment/web service/web"] = 2,
    ["kubectl delete pods,services web"] = 2,
    ["kubectl delete pod web --grace-period 5 -n prod"] = 1, ["kubectl delete pods --all"] = MANY,
    ["kubectl delete pods -l app=web"] = MANY, ["kubectl delete pods --selector=app=web"] = MANY,
    ["kubectl delete -f x.yaml"] = MANY, ["kubectl apply -f x.yaml"] = 0,
    ["kubectl apply --prune -f x.yaml"] = MANY, ["kubectl delete ns shop"] = 1,
    ["helm uninstall a b -n prod"] = 2, ["helm upgrade --install a ./chart"] = 0,
    ["aws rds delete-db-instance --db-instance-identifier x --region us-west-2"] = 1,
    ["aws --region us-east-1 ec2 terminate-instances --instance-ids i-1 i-2 i-3"] = 3,
    ["aws rds describe-db-instances"] = 0, ["aws s3 rm s3://b/k"] = 1,
    ["aws s3 rm --recursive s3://b"] = MANY, ["aws s3 sync a s3://b --delete"] = MANY,
    ["aws s3 sync a s3://b"] = 0, ["aws s3 rb s3://b --force"] = MANY,
    ["aws kms schedule-key-deletion --key-id k"] = 1, ["aws sqs delete-message --queue-url q"] = 0,
    ["terraform destroy -auto-approve"] = MANY, ["terraform apply -destroy"] = MANY,
    ["terraform apply -auto-approve"] = 0,
    ["velero backup delete b --confirm"] = 1, ["velero backup delete --all"] = MANY,
    ["eksctl delete cluster x"] = 1, ["kubectl delete pods -lapp=web"] = MANY,
    ["kubectl delete -fx.yaml"] = MANY,
    ["aws ec2 terminate-instances --cli-input-json file://x"] = MANY,
    ["aws s3api delete-objects --bucket b --delete Objects=[{Key=a},{Key=b}]"] = 2,
    ["aws s3api delete-objects --bucket b --delete file://x.json"] = MANY,
    ["kubectl exec -n prod db-0 -- dropdb shop"] = 1, ["kubectl exec web-0 -- ls"] = 0,
    ["dropdb shop"] = 1, ["sudo -u postgres dropdb shop"] = 1,
    ["env A=1 timeout 5m kubectl delete pod x"] = 1,
    ["psql -h h --command=drop_nothing"] = 0, ["rm -rf /tmp/x"] = 0, ["node delete.js"] = 0 } do
    local argv = {}
    for word in command:gmatch("%S+") do table.insert(argv, word) end
    t.equal(deletes.count { kind = "process", input = { argv = argv } }, n, command)
  end
  for _, case in ipairs { { { "psql", "-c", "drop table a, b" }, 2 },
    { { "psql", "--command=delete from a" }, 1 },
    { { "sh", "-c", "kubectl get pods && kubectl delete pod a b; echo done" }, 2 },
    { { "bash", "-ec", "aws s3 rm 's3://b/k' | cat" }, 1 }, { { "sh", "script.sh" }, 0 },
    { {}, 0 } } do
    t.equal(deletes.count { kind = "process", input = { argv = case[1] } }, case[2],
      table.concat(case[1], " "))
  end
end)

t.test("the method DELETE of HTTP", function()
  t.equal(deletes.count { kind = "http", operation = "DELETE", input = {} }, 1)
  t.equal(deletes.count { kind = "http", operation = "POST", input = {} }, 0)
end)
