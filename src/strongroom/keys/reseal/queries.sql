-- name: be_resealer ()
-- States that this transaction looks over every tenant's re-seals (row-level security).
select set_config('strongroom.job', 'reseal', true);

-- name: begin_reseal (merchant, mode, name, part, version, run_at, created_by, now)
-- A column is to be sealed anew, from its beginning. One that is under way to an older version begins again.
insert into keys.reseal as r (merchant_id, mode, name, part, version, state, run_at, created_by, created_at, updated_at)
values ($1, $2, $3, $4, $5, 'waiting', $6, $7, $8, $8)
    on conflict (merchant_id, mode, name, part) do update
       set version = excluded.version, state = 'waiting', cursor = '', total = 0, looked = 0, resealed = 0, unread = 0,
           problem = null, failures = 0, claim = null, run_at = excluded.run_at, created_by = excluded.created_by,
           created_at = excluded.created_at, updated_at = excluded.updated_at, ended_at = null
     where r.version <= excluded.version;

-- name: claim_reseal (parts, claim, now, until)
-- Leases one that is due, of the columns that the claimer may write. No two get the same one.
update keys.reseal r set claim = $2, run_at = $4
 where (r.merchant_id, r.mode, r.name, r.part) in (
           select c.merchant_id, c.mode, c.name, c.part from keys.reseal c
            where c.state = 'waiting' and c.run_at <= $3 and c.part = any ($1::text[])
            order by c.run_at
            limit 1
              for update skip locked)
returning merchant_id, mode, name, part;

-- name: held_reseal (merchant, mode, name, part, claim)
-- One whose claim still stands; nobody else changes it until this transaction ends.
select merchant_id, mode, name, part, version, state, cursor, total, looked, resealed, unread, problem, failures,
       run_at, created_by, created_at, updated_at, ended_at
  from keys.reseal
 where merchant_id = $1 and mode = $2 and name = $3 and part = $4 and claim = $5 and state = 'waiting'
   for update;

-- name: step_reseal (merchant, mode, name, part, cursor, total, looked, resealed, unread, state, run_at, now, ended_at)
-- How far it is after a page, in the transaction that wrote the page.
update keys.reseal
   set cursor = $5, total = $6, looked = $7, resealed = $8, unread = $9, state = $10, run_at = $11, updated_at = $12,
       ended_at = $13, problem = null, failures = 0
 where merchant_id = $1 and mode = $2 and name = $3 and part = $4;

-- name: put_off_reseal (merchant, mode, name, part, claim, problem, failures, run_at)
-- Gives one back: its turn is over, or its step failed.
update keys.reseal set claim = null, problem = $6, failures = $7, run_at = $8
 where merchant_id = $1 and mode = $2 and name = $3 and part = $4 and claim = $5;

-- name: list_reseals (parts)
-- Where each column of every tenant is, as the transaction may see them.
select merchant_id, mode, name, part, version, state, cursor, total, looked, resealed, unread, problem, failures,
       run_at, created_by, created_at, updated_at, ended_at
  from keys.reseal
 where part = any ($1::text[])
 order by merchant_id, mode, name, part;

-- name: lock_key (what)
-- One change of a key at a time.
select pg_advisory_xact_lock(20814, hashtext($1));

-- name: take_time ()
-- What follows may look at every row of a tenant.
select set_config('statement_timeout', '120s', true);
