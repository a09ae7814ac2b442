-- name: insert_event (event, merchant, mode, payload, leaf_hash, row_mac)
-- One record, in the transaction of what it records.
insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac) values ($1, $2, $3, $4, $5, $6);

-- name: insert_address (merchant, day, reference, salt, address)
-- The clear side of an origin; erasing the row leaves the record valid.
insert into audit.address (merchant_id, day, reference, salt, address) values ($1, $2, $3, $4, $5)
    on conflict do nothing;

-- name: list_events (merchant, mode, before_event, limit)
-- A tenant's records, newest first.
select event_id, payload, leaf_hash from audit.event
 where merchant_id = $1 and mode = $2 and event_id < $3
 order by event_id desc
 limit $4;

-- name: event_by_id (merchant, mode, event)
-- One record of a tenant.
select event_id, payload, leaf_hash from audit.event where merchant_id = $1 and mode = $2 and event_id = $3;

-- name: events_about (merchant, mode, objects, times, after_ids, before_ids)
-- For each wanted thing and moment the record that names both, in the order of the wishes. Ids are in order of time, so
-- few rows are looked at; the leaf's form has one place for either.
select w.number, e.event_id, e.payload, e.leaf_hash
  from unnest($3::bytea[], $4::bytea[], $5::text[], $6::text[])
       with ordinality as w (object, moment, after_id, before_id, number)
 cross join lateral (
       select event_id, payload, leaf_hash
         from audit.event
        where merchant_id = $1 and mode = $2 and event_id > w.after_id and event_id < w.before_id
          and position(w.object in payload) > 0 and position(w.moment in payload) > 0
        order by event_id
        limit 1) e
 order by w.number;

-- name: events_of_merchant (merchant, after_event, limit)
-- A tenant's records of both modes in the order of their ids, for its bundle.
select event_id from audit.event where merchant_id = $1 and event_id > $2 order by event_id limit $3;

-- name: places_of_events (events)
-- Where records are in the tree: the tile of level 0 that holds each, and its place there. What is not sealed is absent.
select e.event_id, t.n, t.place
  from unnest($1::text[]) as e (event_id)
 cross join lateral (
       select t.n, array_position(t.event_ids, e.event_id) - 1 as place
         from audit.tile t
        where t.level = 0 and audit.id_range(t.first_id, t.last_id, '[]') @> e.event_id
          and e.event_id = any (t.event_ids)
        limit 1) t;

-- name: read_tile (level, n)
-- One tile's hashes.
select hashes, event_ids from audit.tile where level = $1 and n = $2;

-- name: list_tiles (from_n, until_n)
-- Tiles of level 0 in order, with whose hashes they hold.
select n, hashes, event_ids from audit.tile where level = 0 and n >= $1 and n < $2 order by n;

-- name: payloads_of_events (events)
-- Records' exact bytes.
select event_id, payload from audit.event where event_id = any ($1::text[]);

-- name: latest_checkpoint ()
-- The newest signed checkpoint.
select size, origin, root, note, sealed_at from audit.checkpoint order by size desc limit 1;

-- name: list_checkpoints (origin, after_size, limit)
-- One generation's signed checkpoints in order.
select size, origin, root, note, sealed_at from audit.checkpoint
 where origin = $1 and size > $2
 order by size
 limit $3;

-- name: read_tree ()
-- How far the sealer is.
select origin, origin_mac, size, frontier, sealed_xid::text as sealed_xid, sealed_event, cluster, changed_at
  from audit.tree;

-- name: start_tree (origin, origin_mac, sealed_xid, cluster, now)
-- A tree's first row.
insert into audit.tree (origin, origin_mac, size, frontier, sealed_xid, sealed_event, cluster, changed_at)
values ($1, $2, 0, '{}', $3::text::xid8, '', $4, $5) on conflict do nothing;

-- name: rename_tree (old_origin, new_origin, new_origin_mac, now)
-- The tree goes on under the origin of its next generation.
update audit.tree set origin = $2, origin_mac = $3, changed_at = $4 where origin = $1;

-- name: move_tree (old_size, origin, size, frontier, sealed_xid, sealed_event, now)
-- After a seal. Touches no row where somebody else has sealed meanwhile.
update audit.tree
   set size = $3, frontier = $4, sealed_xid = $5::text::xid8, sealed_event = $6, changed_at = $7
 where size = $1 and origin = $2;

-- name: move_cluster (sealed_xid, cluster, now)
-- The database stands in another cluster, whose transactions are counted anew.
update audit.tree set sealed_xid = $1::text::xid8, sealed_event = '', cluster = $2, changed_at = $3;

-- name: seal_horizon ()
-- Every transaction before this one has ended: what it wrote is complete.
select pg_snapshot_xmin(pg_current_snapshot())::text as horizon, system_identifier::text as cluster
  from pg_control_system();

-- name: unsealed_events (sealed_xid, sealed_event, limit)
-- Records of transactions that have ended and are not in the tree yet. Never by id alone: a transaction that began
-- early may commit late. The horizon is the statement's own snapshot's. No column that is returned may be called xid:
-- the order would then be that of its text.
select event_id, merchant_id, mode, payload, leaf_hash, row_mac, xid::text as transaction from audit.event
 where (xid, event_id) > ($1::text::xid8, $2) and xid < pg_snapshot_xmin(pg_current_snapshot())
 order by xid, event_id
 limit $3;

-- name: sealed_among (events, first, last)
-- Which of these records, whose ids lie between first and last, are in the tree already.
select e.event_id
  from audit.tile t cross join lateral unnest(t.event_ids) as held (event_id)
  join unnest($1::text[]) as e (event_id) on e.event_id = held.event_id
 where t.level = 0 and audit.id_range(t.first_id, t.last_id, '[]') && audit.id_range($2, $3, '[]');

-- name: missed_events (after_event, rows, sealed_xid, sealed_event)
-- A page of the sweep over all records: which of them are in no tile although `unsealed_events` will never see them,
-- because they are of an xid that it has passed, or of another cluster's. `last` is null where no page is left.
with page as materialized (
    select event_id, xid from audit.event where event_id > $1 order by event_id limit $2
), span as materialized (
    select min(event_id) as first, max(event_id) as last from page having count(*) > 0
), held as (
    select h.event_id
      from span join audit.tile t on t.level = 0
           and audit.id_range(t.first_id, t.last_id, '[]') && audit.id_range(span.first, span.last, '[]')
           cross join lateral unnest(t.event_ids) as h (event_id)
)
select span.last, array(
    select p.event_id from page p
     where ((p.xid, p.event_id) <= ($3::text::xid8, $4) or p.xid >= pg_snapshot_xmax(pg_current_snapshot()))
       and not exists (select from held where held.event_id = p.event_id)
     order by p.event_id) as missed
  from span;

-- name: events_by_ids (events)
-- What the sweep has found, as `unsealed_events` returns it.
select event_id, merchant_id, mode, payload, leaf_hash, row_mac, xid::text as transaction from audit.event
 where event_id = any ($1::text[])
 order by event_id;

-- name: count_unsealed (sealed_xid, sealed_event)
-- How many committed records wait to be sealed, at most ten thousand, and the oldest of them.
select count(*) as waiting, min(event_id) as oldest
  from (select event_id from audit.event
         where (xid, event_id) > ($1::text::xid8, $2) and xid < pg_snapshot_xmax(pg_current_snapshot())
         order by xid, event_id
         limit 10000) e;

-- name: put_tile (level, n, width, hashes, event_ids, first_id, last_id)
-- A new tile, or a partial one that grew. Touches no row where a tile of that width or wider stands there.
insert into audit.tile (level, n, width, hashes, event_ids, first_id, last_id) values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (level, n) do update
   set width = excluded.width, hashes = excluded.hashes, event_ids = excluded.event_ids,
       first_id = excluded.first_id, last_id = excluded.last_id
 where audit.tile.width < excluded.width;

-- name: insert_checkpoint (size, origin, root, note, sealed_at)
-- A signed checkpoint.
insert into audit.checkpoint (size, origin, root, note, sealed_at) values ($1, $2, $3, $4, $5);
