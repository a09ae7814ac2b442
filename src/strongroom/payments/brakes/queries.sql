-- name: ask_brakes (asked)
-- Which payments their limits let through; those that pass are counted (migration 0061).
select n, answer::text as answer from payments.brake_ask($1::text::jsonb) order by n;

-- name: count_decline (merchant, mode, payment, now)
-- A decline of what was let through counts for its subjects, once (migration 0061).
select payments.brake_declined($1, $2, $3, $4)::text as counted;

-- name: present_setting (merchant, mode)
-- What a merchant has set last.
select version, config::text as config, set_by, set_at from payments.brake_setting
 where merchant_id = $1 and mode = $2 order by version desc limit 1;

-- name: add_setting (merchant, mode, version, config, actor, now)
-- The next version; nothing where somebody else was first.
insert into payments.brake_setting (merchant_id, mode, version, config, set_by, set_at)
values ($1, $2, $3, $4::text::jsonb, $5, $6)
    on conflict (merchant_id, mode, version) do nothing;

-- name: entries_alive (merchant, mode, now, limit)
-- Who is blocked or allowed now.
select row_to_json(e)::text as row from payments.brake_entry e
 where merchant_id = $1 and mode = $2 and (expires_at is null or expires_at > $3)
 order by entry_id limit $4;

-- name: list_entries (merchant, mode, list, before, now, limit)
-- A page of entries, newest first, those that have expired left out; what is null does not narrow it.
select row_to_json(e)::text as row from payments.brake_entry e
 where merchant_id = $1 and mode = $2 and ($3::text is null or list = $3) and entry_id < $4
   and (expires_at is null or expires_at > $5)
 order by entry_id desc limit $6;

-- name: lock_entries (merchant, mode)
-- Who adds entries of a tenant takes turns, so that each counts what the one before it added. Payments do not wait for it.
select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'brake entries', $1::text, $2::text), 0));

-- name: add_entry (merchant, mode, entry, list, kind, value, enforced, reason, actor, now, expires_at, entries_max)
-- A new entry; nothing where there are too many. Those that have expired make room.
with gone as (
    delete from payments.brake_entry where merchant_id = $1 and mode = $2 and expires_at <= $10
)
insert into payments.brake_entry
       (merchant_id, mode, entry_id, list, kind, value, enforced, reason, made_by, made_at, expires_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
 where (select count(*) from payments.brake_entry
         where merchant_id = $1 and mode = $2 and (expires_at is null or expires_at > $10)) < $12;

-- name: entry_by_id (merchant, mode, entry)
-- One entry.
select row_to_json(e)::text as row from payments.brake_entry e where merchant_id = $1 and mode = $2 and entry_id = $3;

-- name: remove_entry (merchant, mode, entry)
-- An entry that does not count any more.
delete from payments.brake_entry where merchant_id = $1 and mode = $2 and entry_id = $3;

-- name: sign_seen (merchant, mode, incident, subject, value, signs, tries, declines, cards, now, until)
-- Begins an incident, or lets the one that lasts last longer. `begun` tells which.
insert into payments.brake_incident as i
       (merchant_id, mode, incident_id, subject, value, signs, tries, declines, cards, started_at, last_sign_at, until,
        next_pass_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $10)
    on conflict (merchant_id, mode, subject, value) where ended_at is null do update
   set last_sign_at = greatest(i.last_sign_at, excluded.last_sign_at), until = greatest(i.until, excluded.until),
       signs = excluded.signs, tries = excluded.tries, declines = excluded.declines, cards = excluded.cards
returning row_to_json(i)::text as row, incident_id = $3 as begun;

-- name: list_incidents (merchant, mode, before, open_only, limit)
-- A page of incidents, newest first.
select row_to_json(i)::text as row from payments.brake_incident i
 where merchant_id = $1 and mode = $2 and incident_id < $3 and (not $4::boolean or ended_at is null)
 order by incident_id desc limit $5;

-- name: end_incident (merchant, mode, incident, now, actor)
-- Ends an incident that lasts. The round ends those only that are over; a person ends any.
update payments.brake_incident i set ended_at = $4, ended_by = $5
 where merchant_id = $1 and mode = $2 and incident_id = $3 and ended_at is null and ($5 <> 'system:brakes' or until <= $4)
returning row_to_json(i)::text as row;

-- name: tell_event (merchant, mode, event, type, object, payload, now)
-- An event, in the transaction of what it tells.
select webhooks.publish($1, $2, $3, $4, $5, $6, $7);

-- name: be_brakes ()
-- States that this transaction looks after every tenant's counts (row-level security).
select set_config('strongroom.job', 'brakes', true);

-- name: incidents_over (now, limit)
-- Incidents that are over, of all tenants.
select merchant_id, mode, incident_id from payments.brake_incident
 where ended_at is null and until <= $1 order by until limit $2;

-- name: sweep_counts (now, limit)
-- What does not count any more.
delete from payments.brake_count where ctid in (select ctid from payments.brake_count where expires_at <= $1 limit $2);

-- name: sweep_seen (now, limit)
-- Cards that were seen long ago.
delete from payments.brake_seen where ctid in (select ctid from payments.brake_seen where expires_at <= $1 limit $2);

-- name: sweep_passes (now, limit)
-- Payments whose decline would not count any more.
delete from payments.brake_pass where ctid in (select ctid from payments.brake_pass where expires_at <= $1 limit $2);

-- name: counts_now (merchant, mode, subject, value, window_seconds, card, now)
-- What was counted of a subject, for a trial: as `payments.brake_ask` would find it, and nothing is counted.
select json_build_object('tries', payments.brake_sum(q.tries), 'declines', payments.brake_sum(q.declines),
                         'cards', payments.brake_sum(q.cards), 'small', payments.brake_sum(q.small),
                         'new_card', s.seen_at is null or s.seen_at <= $7 - $5::integer * interval '1 second')::text as counts
  from (select $3::text as subject, $4::text as value) w
  left join lateral (
       select payments.brake_moved(c.tries, c.by_parts) as tries, payments.brake_moved(c.declines, c.by_parts) as declines,
              payments.brake_moved(c.cards, c.by_parts) as cards, payments.brake_moved(c.small, c.by_parts) as small
         from (select k.*, floor(extract(epoch from $7::timestamptz) * 20 / $5::integer)::bigint - k.part as by_parts
                 from payments.brake_count k
                where k.merchant_id = $1 and k.mode = $2 and k.subject = $3 and k.value = $4
                  and k.window_seconds = $5) c) q on true
  left join payments.brake_seen s on s.merchant_id = $1 and s.mode = $2 and s.subject = $3 and s.value = $4
       and s.card = $6
 where q.tries is not null;

-- name: incident_now (merchant, mode, subject, value, now)
-- The incident of a subject that lasts.
select json_build_object('id', incident_id, 'subject', subject, 'until', until, 'next_pass_at', next_pass_at)::text as held
  from payments.brake_incident
 where merchant_id = $1 and mode = $2 and subject = $3 and value = $4 and ended_at is null and until > $5;
