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

-- name: leaf_of_event (event)
-- Where a record is in the tree: the tile of level 0 that holds it, and its place there.
select n, array_position(event_ids, $1) - 1 as place from audit.tile
 where level = 0 and last_id >= $1 and first_id <= $1 and $1 = any (event_ids);

-- name: read_tile (level, n)
-- One tile's hashes.
select width, hashes, event_ids from audit.tile where level = $1 and n = $2;

-- name: latest_checkpoint ()
-- The newest signed checkpoint.
select size, root, note, sealed_at from audit.checkpoint order by size desc limit 1;

-- name: list_checkpoints (after_size, limit)
-- Signed checkpoints in order.
select size, root, note, sealed_at from audit.checkpoint where size > $1 order by size limit $2;

-- name: read_tree ()
-- How far the sealer is.
select origin, size, frontier, sealed_below::text as sealed_below, cluster, changed_at from audit.tree;

-- name: start_tree (origin, frontier, cluster, now)
-- A tree's first row. `sealed_below` begins where nothing is sealed.
insert into audit.tree (origin, size, frontier, sealed_below, cluster, changed_at)
values ($1, 0, $2, '0'::xid8, $3, $4) on conflict do nothing;

-- name: move_tree (size, frontier, sealed_below, cluster, now)
-- After a seal.
update audit.tree set size = $1, frontier = $2, sealed_below = $3::text::xid8, cluster = $4, changed_at = $5;

-- name: seal_horizon ()
-- Every transaction before this one has ended: what it wrote is complete.
select pg_snapshot_xmin(pg_current_snapshot())::text as horizon, system_identifier::text as cluster
  from pg_control_system();

-- name: unsealed_events (sealed_below, horizon, after_event, limit)
-- Records of transactions that have ended and are not in the tree yet, in the order of their ids.
select event_id, payload, leaf_hash, row_mac, merchant_id, mode from audit.event
 where xid >= $1::text::xid8 and xid < $2::text::xid8 and event_id > $3
 order by event_id
 limit $4;

-- name: count_unsealed (sealed_below)
-- How many records wait to be sealed, at most ten thousand.
select count(*) as waiting, min(event_id) as oldest
  from (select event_id from audit.event where xid >= $1::text::xid8 limit 10000) e;

-- name: put_tile (level, n, width, hashes, event_ids, first_id, last_id)
-- A new tile, or a partial one that grew.
insert into audit.tile (level, n, width, hashes, event_ids, first_id, last_id) values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (level, n) do update
   set width = excluded.width, hashes = excluded.hashes, event_ids = excluded.event_ids,
       first_id = excluded.first_id, last_id = excluded.last_id
 where audit.tile.width < excluded.width;

-- name: insert_checkpoint (size, root, note, sealed_at)
-- A signed checkpoint.
insert into audit.checkpoint (size, root, note, sealed_at) values ($1, $2, $3, $4);

-- name: try_sealer_lock (key)
-- One sealer a tree: held by the session for as long as it seals.
select pg_try_advisory_lock($1) as held;
