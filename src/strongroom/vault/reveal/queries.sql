-- name: begin_reveal (merchant, mode, token, caller, now, window, bound)
-- Waits for the caller's turn; returns the card, the caller's last stop and how many they were shown (migration 0034).
select container, sealed_number, key_version, brand, last4, exp_month, exp_year, single_use, recent, stop_count,
       stopped_at, ends_at, lifted_at, lifted_by
  from vault.begin_reveal($1, $2, $3, $4, $5, $6, $7);

-- name: insert_reveal (merchant, mode, event, token, caller, purpose, note, now)
-- One more.
insert into vault.reveal (merchant_id, mode, event_id, token_id, caller, purpose, note, revealed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: put_stop (merchant, mode, caller, count, stopped_at, ends_at)
-- Stops a caller, in the place of the stop before.
insert into vault.reveal_stop (merchant_id, mode, caller, count, stopped_at, ends_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (merchant_id, mode, caller) do update
   set count = excluded.count, stopped_at = excluded.stopped_at, ends_at = excluded.ends_at,
       lifted_at = null, lifted_by = null;

-- name: lift_stop (merchant, mode, caller, now, by)
-- Lets a caller go on; no row when they are not stopped.
update vault.reveal_stop set lifted_at = $4, lifted_by = $5
 where merchant_id = $1 and mode = $2 and caller = $3 and lifted_at is null and ends_at > $4 and caller <> $5
returning caller, count, stopped_at, ends_at, lifted_at, lifted_by;

-- name: list_stops (merchant, mode, now, limit)
-- Who reveals nothing now, the newest first.
select caller, count, stopped_at, ends_at, lifted_at, lifted_by from vault.reveal_stop
 where merchant_id = $1 and mode = $2 and lifted_at is null and ends_at > $3
 order by stopped_at desc, caller
 limit $4;

-- name: list_reveals (merchant, mode, before_event, limit)
-- What was revealed, newest first.
select event_id, token_id, caller, purpose, note, revealed_at from vault.reveal
 where merchant_id = $1 and mode = $2 and event_id < $3
 order by event_id desc
 limit $4;

-- name: forget_reveals ()
-- Removes what is older than alarms and reviews need.
delete from vault.reveal where revealed_at < now() - interval '400 days';
