local client = require "client"
local json = require "native.json"
local sim = require "sim"
local t = require "harness"

local function started()
  local s = sim.start { speed = 1000 }
  t.cleanup(function() s:stop() end)
  return s
end

-- { method, path, body as text, part of the message }
local BAD = {
  { "POST", "clock", '{"advance":1e999}', "advance must be seconds" },
  { "POST", "clock", '{"advance":-5}', "advance must be seconds" },
  { "POST", "clock", '{"speed":-1}', "speed must be a number above 0" },
  { "POST", "clock", '{"speed":0}', "speed must be a number above 0" },
  { "POST", "clock", '{"speed":"fast"}', "not \"fast\"" },
  { "POST", "clock", '{"sped":1}', "no field \"sped\"" },
  { "POST", "clock", "5", "must be a table, not 5" },
  { "POST", "clock", "null", "must be a table, not null" },
  { "POST", "faults", "5", "must be a list of tables, not 5" },
  { "POST", "faults", "null", "must be a list of tables, not null" },
  { "POST", "faults", '"x"', "must be a list of tables, not \"x\"" },
  { "POST", "faults", "[5]", "must be a list of tables" },
  { "POST", "faults", '{"kind":5}', "unknown fault kind" },
  { "POST", "faults", '{"kind":"throttle","count":"many"}', "count must be a whole number" },
  { "POST", "faults", '{"kind":"throttle","probability":2}',
    "probability must be a number from 0 to 1" },
  { "POST", "faults", '{"kind":"region_down"}', "needs the field \"region\"" },
  { "POST", "faults", '{"kind":"region_down","region":["a"]}', "region must be text" },
  { "POST", "faults", '{"kind":"instance_down","instance":"none"}', "no DB instance none" },
  { "POST", "faults", '{"kind":"error","status":200}', "400 to 599" },
  { "POST", "faults", '{"kind":"throttle","at":1e999}', "at must be seconds" },
  { "POST", "world", '{"instances":"x"}', "instances must be a list of tables, not \"x\"" },
  { "POST", "world", '{"instances":{"id":"a"}}',
    "instances must be a list of tables, not a table" },
  { "POST", "world", '{"instances":[{"id":5}]}', "instances[1]: id must be text" },
  { "POST", "world", '{"instances":[{"id":"a","port":70000}]}', "port must be a port" },
  { "POST", "world", '{"instances":[{"id":"a","multi_az":"yes"}]}',
    "multi_az must be true or false" },
  { "POST", "world", '{"keys":[{"access_key_id":"a"}]}', "needs the field \"secret_access_key\"" },
  { "POST", "world", '{"keys":"x"}', "keys must be a list of tables" },
  { "POST", "world", '{"ecs":[{"cluster":"a","services":[{"name":1}]}]}',
    "services[1]: name must be text" },
  { "POST", "world", '{"status_lag":"soon"}', "status_lag must be seconds" },
  { "POST", "world", '{"faults":[{"kind":"x"}]}', "unknown fault kind" },
  { "POST", "world", '{"world":{},"expect":1}', "a rehearsal file" },
  { "POST", "world", "[]x", "not JSON" },
  { "POST", "writers", '{"instance":5}', "instance must be text" },
  { "POST", "writers", '{"instance":"none"}', "no DB instance none" },
  { "POST", "writers", '{"instance":"none","interval":-1}', "interval must be seconds" },
  { "POST", "sql", '{"instance":"shop"}', "needs the field \"sql\"" },
  { "POST", "sql", '{"instance":["shop"],"sql":"SELECT 1"}', "instance must be text" },
  { "POST", "sql", '{"instance":"none","sql":"SELECT 1"}', "no DB instance none" },
}

t.test("bad input is refused in words and breaks nothing", function()
  local s = started()
  for _, case in ipairs(BAD) do
    local method, path, body, part = table.unpack(case)
    local answer = client.raw(s, method, path, client.headers(s), body)
    local message = json.decode(answer.body).error
    t.equal(answer.status, 400, body)
    t.contains(message, part)
    t.ok(not message:find("%.lua:%d") and not message:find("attempt to", 1, true), message)
  end
  t.equal(client.admin(s, "GET", "faults"), {})
  t.equal(client.admin(s, "GET", "clock").speed, 1000)
  t.equal(client.ok(s, "sts", "GetCallerIdentity").Account, "123456789012")
end)

t.test("what fails inside is logged, not shown", function()
  local said = {}
  local s = sim.start { log = function(text) table.insert(said, text) end }
  t.cleanup(function() s:stop() end)
  s.health.broken = function() return nil + 1 end
  local answer, status = client.admin(s, "GET", "health/broken")
  t.equal(status, 500)
  t.equal(answer.error, "GET /_sim/health failed inside the simulator; its log says more")
  t.contains(table.concat(said), "arithmetic")
end)
