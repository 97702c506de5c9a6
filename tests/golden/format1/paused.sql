-- run 20261125-1515-dawn
BEGIN TRANSACTION;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1.79561970793387079233e+09,'run_started','','{"host":"@HOST@","user":"dora"}');
INSERT INTO "events" VALUES(2,1.79561970793418550487e+09,'step_started','Prepare','{"attempt":1,"name":"Prepare","options":{},"scope":""}');
INSERT INTO "events" VALUES(3,1.79561970793540191652e+09,'intent','Prepare','{"at":1795619707.9354005,"fingerprint":"df1c0a47f6ae004b","input":["prepare"],"key":"Prepare/process","kind":"process","mutating":true,"name":"process","token":"1e131e36-bdab-0cf2-786a-1e572e514a82","what":"run prepare"}');
INSERT INTO "events" VALUES(4,1.79561970793599057195e+09,'result','Prepare','{"key":"Prepare/process","seconds":0.00033831596374511719,"values":{"n":1,"v1":"ran prepare"}}');
INSERT INTO "events" VALUES(5,1.79561970793620681759e+09,'step_succeeded','Prepare','{"name":"Prepare","reads":{},"seconds":0.0020160675048828125,"values":{"n":0},"waited":0}');
INSERT INTO "events" VALUES(6,1.79561970793646407122e+09,'step_started','Promote','{"attempt":1,"name":"Promote","options":{"approve":true,"risk":"irreversible"},"scope":""}');
INSERT INTO "events" VALUES(7,1.79561970793716526033e+09,'approval_asked','Promote','{"changes":["run promote"],"people":1,"text":"step \"Promote\" cannot be taken back"}');
INSERT INTO "events" VALUES(8,1.79561970793760919571e+09,'run_ended','','{"message":"a.lua:6: step \"Promote\" waits for approval: drlua approve 20261125-1515-dawn ''Promote'', then drlua resume 20261125-1515-dawn","outcome":"paused","rto":0.0040922164916992188}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clock','{"boot":914.493635348,"machine":"00000000-0000-4000-8000-000000000000\n","real":1795619707.9335139}');
INSERT INTO "meta" VALUES('locks','["a"]');
INSERT INTO "meta" VALUES('process','{"host":"@HOST@","pid":2703,"start_time":"91448"}');
INSERT INTO "meta" VALUES('run','{"absolute_path":"@DIR@/a.lua","host":"@HOST@","id":"20261125-1515-dawn","nonce":"807ac4b628d9bc1a563cf2efd4970f30","params":{},"path":"a.lua","started":1795619707.9335139,"targets":{},"title":"Golden: paused","user":"dora","version":"0.1.0"}');
INSERT INTO "meta" VALUES('status','"paused"');
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('@DIR@/a.lua','local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: paused",
  run = function(p)
    dr.step("Prepare", function() probe.opaque("prepare") end)
    dr.step("Promote", { risk = "irreversible" }, function() probe.opaque("promote") end)
  end,
}
');
COMMIT;
PRAGMA user_version=1;
