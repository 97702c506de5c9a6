-- run 20261125-1515-aspen
BEGIN TRANSACTION;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1.79561970780500769614e+09,'run_started','','{"host":"@HOST@","user":"dora"}');
INSERT INTO "events" VALUES(2,1.79561970780535721777e+09,'step_started','Before','{"attempt":1,"name":"Before","options":{},"scope":""}');
INSERT INTO "events" VALUES(3,1.79561970780648040776e+09,'intent','Before','{"at":1795619707.8064792,"fingerprint":"3480493268b709f5","input":["before"],"key":"Before/process","kind":"process","mutating":true,"name":"process","token":"a1de5d21-b16f-858e-44fc-72da4d108b81","what":"run before"}');
INSERT INTO "events" VALUES(4,1.79561970780701828003e+09,'result','Before','{"key":"Before/process","seconds":0.00030016899108886719,"values":{"n":1,"v1":"ran before"}}');
INSERT INTO "events" VALUES(5,1.79561970780721616739e+09,'step_succeeded','Before','{"name":"Before","reads":{},"seconds":0.0018489360809326172,"values":{"n":1,"v1":1},"waited":0}');
INSERT INTO "events" VALUES(6,1.79561970780747318272e+09,'step_started','Create','{"attempt":1,"name":"Create","options":{},"scope":""}');
INSERT INTO "events" VALUES(7,1.79561970780773329735e+09,'intent','Create','{"at":1795619707.8077326,"fingerprint":"52cf1e5f7f5e0d84","input":{"DBInstanceIdentifier":"db"},"key":"Create/rds.CreateDBInstance","kind":"aws","mutating":true,"name":"rds.CreateDBInstance","operation":"CreateDBInstance","region":"us-west-2","service":"rds","token":"7f264d2e-26d1-dfaf-7ebd-109af74597f7","what":"create db"}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clock','{"boot":914.364760391,"machine":"00000000-0000-4000-8000-000000000000\n","real":1795619707.8046389}');
INSERT INTO "meta" VALUES('locks','["a"]');
INSERT INTO "meta" VALUES('process','{"host":"@HOST@","pid":2702,"start_time":"91435"}');
INSERT INTO "meta" VALUES('run','{"absolute_path":"@DIR@/a.lua","host":"@HOST@","id":"20261125-1515-aspen","nonce":"2550f1dd65a052d296321163fc9b2025","params":{},"path":"a.lua","started":1795619707.8046389,"targets":{},"title":"Golden: killed","user":"dora","version":"0.1.0"}');
INSERT INTO "meta" VALUES('status','"running"');
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('@DIR@/a.lua','local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: killed",
  run = function(p)
    dr.step("Before", function() probe.opaque("before") return 1 end)
    dr.step("Create", function() return probe.create("db").DBInstance.Port end)
    dr.step("After", function() probe.opaque("after") end)
  end,
}
');
COMMIT;
PRAGMA user_version=1;
