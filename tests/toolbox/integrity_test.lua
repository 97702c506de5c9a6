-- amcheck and foreign keys on a real cluster whose files and rows are damaged.
local fs = require "native.fs"
local integrity = require "toolbox.integrity"
local postgres = require "postgres"
local sql = require "sql"
local t = require "harness"

local function connect(cluster)
  return sql.connect { host = cluster.dir, port = cluster.port, user = "postgres",
    dbname = "postgres" }
end

local SEED = {
  "create table customers (id int primary key, name text not null)",
  "create table orders (id int primary key, customer_id int references customers, note text)",
  "insert into customers select n, 'c' || n from generate_series(1, 2000) n",
  "insert into orders select n, n, repeat('x', 100) from generate_series(1, 2000) n",
  "checkpoint",
}

local function started()
  if not postgres.bin then t.skip("PostgreSQL's server programs are not installed") end
  local cluster = postgres.start()
  t.cleanup(function() cluster:stop() end)
  local db = connect(cluster)
  for _, statement in ipairs(SEED) do db:exec(statement) end
  return cluster, db
end

t.test("whole data has no fault", function()
  local _, db = started()
  t.equal(integrity.amcheck(db), {})
  t.equal(integrity.orphans(db), {})
  t.equal(integrity.verify(db), true)
  db:close()
end)

t.test("rows that break a foreign key are counted", function()
  local _, db = started()
  db:exec "set session_replication_role = replica"
  db:exec "delete from customers where id <= 7"
  t.equal(integrity.orphans(db),
    { "7 rows of orders point at rows missing from customers (orders_customer_id_fkey)" })
  local e = t.raises("the data is not whole", integrity.verify, db)
  t.contains(tostring(e), "7 rows of orders")
  db:close()
end)

-- A line pointer of the heap's first page points askew (offset 3, normal, 100 bytes
-- long): what VACUUM ANALYZE passes over.
local ASKEW = string.pack("<I4", 3 | 1 << 15 | 100 << 17)

t.test("a damaged page is found, and named", function()
  local cluster, db = started()
  local path = cluster.data .. "/" .. db:value "select pg_relation_filepath('orders')"
  db:close()
  cluster:kill()
  local file = assert(io.open(path, "r+b"))
  file:seek("set", 24 + 4 * 10)
  file:write(ASKEW)
  file:close()
  cluster:resume()
  db = connect(cluster)
  local faults = integrity.amcheck(db)
  t.ok(#faults > 0, "amcheck found nothing")
  t.contains(table.concat(faults, "\n"), "table orders")
  db:close()
  t.ok(fs.stat(path))
end)
