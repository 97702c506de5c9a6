-- run 20261125-1515-fjord
BEGIN TRANSACTION;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1.79561970778076076507e+09,'run_started','','{"host":"@HOST@","user":"dora"}');
INSERT INTO "events" VALUES(2,1.79561970778112244603e+09,'seen','','{"key":"read file","values":{"n":1,"v1":0}}');
INSERT INTO "events" VALUES(3,1.79561970778131246568e+09,'seen','','{"key":"now","values":1795619707.781307}');
INSERT INTO "events" VALUES(4,1.79561970778155350681e+09,'step_started','Make','{"attempt":1,"name":"Make","options":{},"scope":""}');
INSERT INTO "events" VALUES(5,1.79561970778274750714e+09,'intent','Make','{"at":1795619707.7827463,"fingerprint":"52cf1e5f7f5e0d84","input":{"DBInstanceIdentifier":"db"},"key":"Make/rds.CreateDBInstance","kind":"aws","mutating":true,"name":"rds.CreateDBInstance","operation":"CreateDBInstance","region":"us-west-2","service":"rds","token":"dec5b499-d0cf-6614-46ae-a75faa26682d","what":"create db"}');
INSERT INTO "events" VALUES(6,1.79561970778333067897e+09,'result','Make','{"key":"Make/rds.CreateDBInstance","seconds":0.00032377243041992188,"values":{"n":1,"v1":{"DBInstance":{"DBInstanceIdentifier":"db","Port":5432}}}}');
INSERT INTO "events" VALUES(7,1.79561970778354763984e+09,'step_succeeded','Make','{"name":"Make","reads":{},"seconds":0.0019824504852294922,"values":{"n":1,"v1":5432},"waited":0}');
INSERT INTO "events" VALUES(8,1.79561970778382420542e+09,'step_started','Look at 0','{"attempt":1,"name":"Look at 0","options":{},"scope":""}');
INSERT INTO "events" VALUES(9,1.79561970778412890439e+09,'step_succeeded','Look at 0','{"name":"Look at 0","reads":{},"seconds":0.0002918243408203125,"values":{"n":1,"v1":[0,1795619707.781307]},"waited":0}');
INSERT INTO "events" VALUES(10,1.79561970778440666202e+09,'step_started','Fail once','{"attempt":1,"name":"Fail once","options":{},"scope":""}');
INSERT INTO "events" VALUES(11,1.79561970778470659255e+09,'intent','Fail once','{"at":1795619707.7847056,"fingerprint":"6b359b60c2bcffdf","input":{"Name":"job"},"key":"Fail once/backup.StartReportJob","kind":"aws","mutating":true,"name":"backup.StartReportJob","operation":"StartReportJob","region":"us-west-2","service":"backup","token":"7e2eb7e4-56a1-58d4-bd43-87190dd3d2f6","what":"start job"}');
INSERT INTO "events" VALUES(12,1.79561970778512263293e+09,'result','Fail once','{"key":"Fail once/backup.StartReportJob","seconds":0.00019812583923339844,"values":{"n":1,"v1":{"JobId":"7e2eb7e4-56a1-58d4-bd43-87190dd3d2f6"}}}');
INSERT INTO "events" VALUES(13,1.7956197077856562137e+09,'step_failed','Fail once','{"attempt":1,"error":{"$error":{"kind":"failed","message":"not yet","step":"Fail once","step_path":"Fail once","where":"a.lua:10"}},"name":"Fail once","reads":{},"seconds":0.0012528896331787109,"waited":0}');
INSERT INTO "events" VALUES(14,1.7956197077859435082e+09,'run_ended','','{"message":"a.lua:10: step \"Fail once\" failed: not yet","outcome":"failed","rto":0.0055902004241943359}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clock','{"boot":914.34047079,"machine":"00000000-0000-4000-8000-000000000000\n","real":1795619707.7803493}');
INSERT INTO "meta" VALUES('locks','["a"]');
INSERT INTO "meta" VALUES('process','{"host":"@HOST@","pid":2701,"start_time":"91432"}');
INSERT INTO "meta" VALUES('run','{"absolute_path":"@DIR@/a.lua","host":"@HOST@","id":"20261125-1515-fjord","nonce":"8db152309e0abce51f0a9ac3ebc983d5","params":{},"path":"a.lua","started":1795619707.7803493,"targets":{},"title":"Golden: failed","user":"dora","version":"0.1.0"}');
INSERT INTO "meta" VALUES('status','"failed"');
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('@DIR@/a.lua','local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: failed",
  run = function(p)
    local count, at = probe.count(), dr.now()
    dr.step("Make", function() return probe.create("db").DBInstance.Port end)
    dr.step("Look at " .. count, function() return { count, at } end)
    dr.step("Fail once", function()
      probe.start("job")
      if not os.getenv("GO") then dr.fail("not yet") end
    end)
    dr.step("After", function() probe.opaque("after") end)
  end,
}
');
COMMIT;
PRAGMA user_version=1;
