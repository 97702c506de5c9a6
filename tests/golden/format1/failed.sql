-- run 20261125-1526-cabin
BEGIN TRANSACTION;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1.79562036565178632734e+09,'run_started','','{"host":"@HOST@","user":"dora"}');
INSERT INTO "events" VALUES(2,1.79562036565227127072e+09,'seen','','{"key":"read file","values":{"n":1,"v1":0}}');
INSERT INTO "events" VALUES(3,1.79562036565251135827e+09,'seen','','{"key":"now","values":1795620365.65251}');
INSERT INTO "events" VALUES(4,1.79562036565277123451e+09,'step_started','Make','{"attempt":1,"name":"Make","options":{},"scope":""}');
INSERT INTO "events" VALUES(5,1.79562036565393209454e+09,'intent','Make','{"at":1795620365.6539309,"fingerprint":"6b359b60c2bcffdf","input":{"Name":"job"},"key":"Make/backup.StartReportJob","kind":"aws","mutating":true,"name":"backup.StartReportJob","operation":"StartReportJob","region":"us-west-2","service":"backup","token":"9f66b4b0-b040-99e3-17f2-b330da6a2773","what":"start job"}');
INSERT INTO "events" VALUES(6,1.79562036565466237071e+09,'result','Make','{"key":"Make/backup.StartReportJob","seconds":0.00045847892761230469,"values":{"n":1,"v1":{"JobId":"9f66b4b0-b040-99e3-17f2-b330da6a2773"}}}');
INSERT INTO "events" VALUES(7,1.795620365654933691e+09,'intent','Make','{"at":1795620365.654933,"fingerprint":"52cf1e5f7f5e0d84","input":{"DBInstanceIdentifier":"db"},"key":"Make/rds.CreateDBInstance","kind":"aws","mutating":true,"name":"rds.CreateDBInstance","operation":"CreateDBInstance","region":"us-west-2","service":"rds","token":"f4b0e00e-c2b1-8248-1d5f-7f2e7b3bdd00","what":"create db"}');
INSERT INTO "events" VALUES(8,1.79562036565540385246e+09,'result','Make','{"key":"Make/rds.CreateDBInstance","seconds":0.0002155303955078125,"values":{"n":1,"v1":{"DBInstance":{"DBInstanceIdentifier":"db","Port":5432}}}}');
INSERT INTO "events" VALUES(9,1.79562036565569710733e+09,'step_succeeded','Make','{"name":"Make","reads":{},"seconds":0.0029141902923583984,"values":{"n":1,"v1":5432},"waited":0}');
INSERT INTO "events" VALUES(10,1.79562036565600562096e+09,'step_started','Look at 0','{"attempt":1,"name":"Look at 0","options":{},"scope":""}');
INSERT INTO "events" VALUES(11,1.79562036565630316737e+09,'step_succeeded','Look at 0','{"name":"Look at 0","reads":{},"seconds":0.00028467178344726562,"values":{"n":1,"v1":[0,1795620365.65251]},"waited":0}');
INSERT INTO "events" VALUES(12,1.79562036565660858161e+09,'step_started','Fail once','{"attempt":1,"name":"Fail once","options":{},"scope":""}');
INSERT INTO "events" VALUES(13,1.79562036565708756444e+09,'step_failed','Fail once','{"attempt":1,"error":{"$error":{"kind":"failed","message":"not yet","step":"Fail once","step_path":"Fail once","where":"a.lua:12"}},"name":"Fail once","reads":{},"seconds":0.00047993659973144531,"waited":0}');
INSERT INTO "events" VALUES(14,1.79562036565738606446e+09,'run_ended','','{"message":"a.lua:12: step \"Fail once\" failed: not yet","outcome":"failed","rto":0.0059909820556640625}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clock','{"boot":1572.21151324,"machine":"00000000-0000-4000-8000-000000000000\n","real":1795620365.6513917}');
INSERT INTO "meta" VALUES('locks','["a"]');
INSERT INTO "meta" VALUES('process','{"host":"@HOST@","pid":18389,"start_time":"157219"}');
INSERT INTO "meta" VALUES('run','{"absolute_path":"@DIR@/a.lua","host":"@HOST@","id":"20261125-1526-cabin","nonce":"5bc1c5b95d65a30637a7e5456ebae4db","params":{},"path":"a.lua","started":1795620365.6513917,"targets":{},"title":"Golden: failed","user":"dora","version":"0.1.0"}');
INSERT INTO "meta" VALUES('status','"failed"');
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('@DIR@/a.lua','local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: failed",
  run = function(p)
    local count, at = probe.count(), dr.now()
    dr.step("Make", function()
      probe.start("job")
      return probe.create("db").DBInstance.Port
    end)
    dr.step("Look at " .. count, function() return { count, at } end)
    dr.step("Fail once", function()
      if not os.getenv("GO") then dr.fail("not yet") end
    end)
    dr.step("After", function() probe.opaque("after") end)
  end,
}
');
COMMIT;
PRAGMA user_version=1;
