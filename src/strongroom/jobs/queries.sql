-- name: claim_jobs (kind, most, now, lease_until)
-- Takes what is due, oldest first, whoever's it is, and leases it: nobody else sees it due before the lease ends.
with due as (
    select j.merchant_id, j.mode, j.kind, j.object_id, j.run_at as due_at from jobs.job j
     where j.kind = $1 and j.run_at <= $3
     order by j.run_at
     limit $2
       for update skip locked
)
update jobs.job j set run_at = $4, tries = j.tries + 1
  from due
 where j.merchant_id = due.merchant_id and j.mode = due.mode and j.kind = due.kind and j.object_id = due.object_id
returning j.merchant_id, j.mode, j.object_id, j.tries, j.failures, due.due_at;

-- name: due_kinds (kinds, now)
-- Of these kinds, those of which something is due.
select k.kind from unnest($1::text[]) as k (kind)
 where (select true from jobs.job j where j.kind = k.kind and j.run_at <= $2 limit 1);

-- name: remove_jobs (merchants, modes, kinds, objects, tries, leases)
-- What was dealt with, where the claim still stands: not where another has claimed it since, and not where somebody
-- asked for another look meanwhile.
delete from jobs.job j
 using unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[])
       as d (merchant_id, mode, kind, object_id, tries, lease_until)
 where j.merchant_id = d.merchant_id and j.mode = d.mode and j.kind = d.kind and j.object_id = d.object_id
   and j.tries = d.tries and j.run_at = d.lease_until;

-- name: put_off_jobs (merchants, modes, kinds, objects, tries, leases, run_at, failures)
-- What is to be looked at again, where the claim still stands; an earlier look that somebody asked for meanwhile stays.
update jobs.job j
   set run_at = case when j.run_at = d.lease_until then d.run_at else least(j.run_at, d.run_at) end,
       failures = d.failures
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[],
              $8::integer[])
       as d (merchant_id, mode, kind, object_id, tries, lease_until, run_at, failures)
 where j.merchant_id = d.merchant_id and j.mode = d.mode and j.kind = d.kind and j.object_id = d.object_id
   and j.tries = d.tries;

-- name: job_lag (kinds, now, most)
-- For each kind, how many jobs are due and not taken (no more than so many are counted), and since when the oldest is.
select k.kind,
       (select count(*) from (select 1 from jobs.job j where j.kind = k.kind and j.run_at <= $2 limit $3) w) as waiting,
       (select min(j.run_at) from jobs.job j where j.kind = k.kind and j.run_at <= $2) as oldest
  from unnest($1::text[]) as k (kind);
