-- run 20261125-1515-beacon
BEGIN TRANSACTION;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1.79561970795504474642e+09,'run_started','','{"host":"@HOST@","user":"dora"}');
INSERT INTO "events" VALUES(2,1.79561970795539140705e+09,'step_started','parallel.1/Left','{"attempt":1,"name":"Left","options":{},"scope":"parallel.1"}');
INSERT INTO "events" VALUES(3,1.79561970795654654497e+09,'intent','parallel.1/Left','{"at":1795619707.9565454,"fingerprint":"0ccc8a239df023f2","input":["left"],"key":"parallel.1/Left/process","kind":"process","mutating":true,"name":"process","token":"1b5e522f-61e8-b81b-5c24-d594c78fbd2c","what":"run left"}');
INSERT INTO "events" VALUES(4,1.79561970795724320411e+09,'result','parallel.1/Left','{"key":"parallel.1/Left/process","seconds":0.00044584274291992188,"values":{"n":1,"v1":"ran left"}}');
INSERT INTO "events" VALUES(5,1.79561970795747017854e+09,'step_succeeded','parallel.1/Left','{"name":"Left","reads":{},"seconds":0.0020682811737060547,"values":{"n":1,"v1":"l"},"waited":0}');
INSERT INTO "events" VALUES(6,1.79561970795771598812e+09,'step_started','parallel.1/Left again','{"attempt":1,"name":"Left again","options":{},"scope":"parallel.1"}');
INSERT INTO "events" VALUES(7,1.79561970795795273776e+09,'intent','parallel.1/Left again','{"at":1795619707.9579518,"fingerprint":"02cec4e1524a796e","input":["left again"],"key":"parallel.1/Left again/process","kind":"process","mutating":true,"name":"process","token":"e09956ce-3a7c-8522-48b1-2e0bef4292a5","what":"run left again"}');
INSERT INTO "events" VALUES(8,1.79561970795831680296e+09,'step_started','parallel.2/Right','{"attempt":1,"name":"Right","options":{},"scope":"parallel.2"}');
INSERT INTO "events" VALUES(9,1.79561970795863199237e+09,'intent','parallel.2/Right','{"at":1795619707.9586313,"fingerprint":"9e6194bdf0105719","input":{"DBInstanceIdentifier":"right"},"key":"parallel.2/Right/rds.CreateDBInstance","kind":"aws","mutating":true,"name":"rds.CreateDBInstance","operation":"CreateDBInstance","region":"us-west-2","service":"rds","token":"e55cb801-23bc-229e-4afb-b8a1a106fca6","what":"create right"}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clock','{"boot":914.514822169,"machine":"00000000-0000-4000-8000-000000000000\n","real":1795619707.9547007}');
INSERT INTO "meta" VALUES('locks','["a"]');
INSERT INTO "meta" VALUES('process','{"host":"@HOST@","pid":2704,"start_time":"91450"}');
INSERT INTO "meta" VALUES('run','{"absolute_path":"@DIR@/a.lua","host":"@HOST@","id":"20261125-1515-beacon","nonce":"ae76edca52d44c6b9b5a7c58dc8fc977","params":{},"path":"a.lua","started":1795619707.9547007,"targets":{},"title":"Golden: parallel","user":"dora","version":"0.1.0"}');
INSERT INTO "meta" VALUES('status','"running"');
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('@DIR@/a.lua','local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: parallel",
  run = function(p)
    dr.parallel {
      function()
        dr.step("Left", function() probe.opaque("left") return "l" end)
        dr.step("Left again", function() probe.opaque("left again") end)
      end,
      function()
        dr.step("Right", function()
          while probe.count() < 1 do probe.block(0.02) end
          return probe.create("right").DBInstance.Port
        end)
      end,
    }
    dr.step("After", function() probe.opaque("after") end)
  end,
}
');
COMMIT;
PRAGMA user_version=1;
