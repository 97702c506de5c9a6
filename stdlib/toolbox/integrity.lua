--- Is the data in this PostgreSQL database whole? VACUUM ANALYZE does not tell.
local dr = require "drlua"

local integrity = {}

--- Runs amcheck over every B-tree index (with a look for missing index entries)
-- and every heap. Returns the faults as a list of sentences; nil where the
-- extension cannot be had.
function integrity.amcheck(db)
  local made, e = dr.try(db.exec, db, "create extension if not exists amcheck")
  if not made and e then return nil, tostring(e) end
  local faults = {}
  local indexes = db:query [[
    select c.oid::int8 as oid, c.oid::regclass::text as name, i.indisunique as is_unique
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
    join pg_namespace n on n.oid = c.relnamespace
    where a.amname = 'btree' and c.relpersistence = 'p' and i.indisready and i.indisvalid
      and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'
    order by c.relpages desc]]
  for _, index in ipairs(indexes) do
    local _, fault = dr.try(db.query, db, "select bt_index_check($1::oid::regclass, true)",
      index.oid)
    if fault then table.insert(faults, ("index %s: %s"):format(index.name, tostring(fault))) end
  end
  local tables = db:query [[
    select c.oid::int8 as oid, c.oid::regclass::text as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence = 'p'
      and n.nspname not in ('pg_catalog', 'information_schema')
    order by c.relpages desc]]
  for _, relation in ipairs(tables) do
    local rows, fault = dr.try(db.query, db,
      "select blkno, offnum, attnum, msg from verify_heapam($1::oid::regclass) limit 10",
      relation.oid)
    if fault then table.insert(faults, ("table %s: %s"):format(relation.name, tostring(fault))) end
    for _, row in ipairs(rows or {}) do
      table.insert(faults,
        ("table %s, block %s: %s"):format(relation.name, tostring(row.blkno), row.msg))
    end
  end
  return faults
end

-- One query per foreign key: rows whose referenced row is missing.
local FOREIGN_KEYS = [[
  select con.conname as name, con.conrelid::regclass::text as child, con.confrelid::regclass::text as parent,
         string_agg(format('c.%I = p.%I', ca.attname, pa.attname), ' and ' order by k.n) as matches,
         string_agg(format('c.%I is not null', ca.attname), ' and ' order by k.n) as present,
         format('p.%I', min(pa.attname)) as probe
  from pg_constraint con
  cross join lateral unnest(con.conkey, con.confkey) with ordinality as k(child_att, parent_att, n)
  join pg_attribute ca on ca.attrelid = con.conrelid and ca.attnum = k.child_att
  join pg_attribute pa on pa.attrelid = con.confrelid and pa.attnum = k.parent_att
  where con.contype = 'f' and con.conparentid = 0
  group by con.oid, con.conname, con.conrelid, con.confrelid
  order by 1]]

--- Counts the rows that break a foreign key. Returns a list of sentences.
function integrity.orphans(db)
  local faults = {}
  for _, key in ipairs(db:query(FOREIGN_KEYS)) do
    local count = db:value(
      ([[select count(*) from %s c left join %s p on %s where %s and %s is null]])
      :format(key.child, key.parent, key.matches, key.present, key.probe))
    if count > 0 then
      table.insert(faults, ("%d rows of %s point at rows missing from %s (%s)")
        :format(count, key.child, key.parent, key.name))
    end
  end
  return faults
end

--- Fails with all the faults that amcheck and the foreign keys show. Where amcheck
-- cannot be had that is said in a note, not passed over.
function integrity.verify(db)
  local faults, why = integrity.amcheck(db)
  if not faults then
    dr.note("amcheck could not run (" .. why .. "): indexes and heaps were not verified")
    faults = {}
  end
  for _, fault in ipairs(integrity.orphans(db)) do table.insert(faults, fault) end
  if #faults > 0 then dr.fail("the data is not whole: " .. table.concat(faults, "; ")) end
  return true
end

return integrity
