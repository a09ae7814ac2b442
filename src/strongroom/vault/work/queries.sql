-- name: be_worker ()
-- States that this transaction looks for work, whoever's it is (row-level security).
select set_config('strongroom.job', 'work', true);

-- name: insert_job (merchant, mode, job, kind, params, total, rate, created_by, now)
-- A new job, due at once.
insert into vault.job (merchant_id, mode, job_id, kind, state, params, total, rate, run_at, created_by, created_at,
                       updated_at)
values ($1, $2, $3, $4, 'waiting', $5::text::jsonb, $6, $7, $9, $8, $9, $9);

-- name: job_by_id (merchant, mode, job)
-- One job of a tenant.
select merchant_id, mode, job_id, kind, state, params::text as params, cursor, total, done, refused, rate, problem,
       result::text as result, failures, run_at, created_by, created_at, started_at, updated_at, ended_at,
       items_a_second
  from vault.job
 where merchant_id = $1 and mode = $2 and job_id = $3;

-- name: list_jobs (merchant, mode, before, limit)
-- A page of a tenant's jobs, newest first.
select merchant_id, mode, job_id, kind, state, params::text as params, cursor, total, done, refused, rate, problem,
       result::text as result, failures, run_at, created_by, created_at, started_at, updated_at, ended_at,
       items_a_second
  from vault.job
 where merchant_id = $1 and mode = $2 and job_id < $3
 order by job_id desc
 limit $4;

-- name: claim_job (kinds, now, claim, lease_until)
-- Leases the job that has waited longest for its turn; `updated_at` stays, because speed is measured from it.
update vault.job set state = 'running', claim = $3, lease_until = $4, started_at = coalesce(started_at, $2)
 where (job_id, merchant_id, mode) = (
       select j.job_id, j.merchant_id, j.mode from vault.job j
        where j.state in ('waiting', 'running') and j.run_at <= $2 and (j.lease_until is null or j.lease_until <= $2)
          and j.kind = any ($1::text[])
        order by j.run_at
        limit 1
          for update skip locked)
returning merchant_id, mode, job_id;

-- name: claimed_job (merchant, mode, job, claim)
-- The job as it is now, where the claim still stands.
select merchant_id, mode, job_id, kind, state, params::text as params, cursor, total, done, refused, rate, problem,
       result::text as result, failures, run_at, created_by, created_at, started_at, updated_at, ended_at,
       items_a_second
  from vault.job
 where merchant_id = $1 and mode = $2 and job_id = $3 and claim = $4 and state = 'running';

-- name: save_step (merchant, mode, job, claim, state, cursor, total, done, refused, result, problem, items_a_second, run_at, lease_until, ended_at, now)
-- What a step did, where the claim still stands. Rate and pause are somebody else's to change meanwhile.
update vault.job
   set state = $5, cursor = $6, total = $7, done = $8, refused = $9, result = $10::text::jsonb, problem = $11,
       items_a_second = $12, run_at = $13, lease_until = $14, ended_at = $15, updated_at = $16, failures = 0,
       claim = case when $15::timestamptz is null then claim end
 where merchant_id = $1 and mode = $2 and job_id = $3 and claim = $4 and state = 'running';

-- name: release_job (merchant, mode, job, claim, state, run_at, failures)
-- Gives a job back, where the claim still stands.
update vault.job set state = $5, claim = null, lease_until = null, run_at = $6, failures = $7
 where merchant_id = $1 and mode = $2 and job_id = $3 and claim = $4 and state = 'running';

-- name: fail_job (merchant, mode, job, claim, problem, now)
-- Ends a job that cannot go on, where the claim still stands.
update vault.job set state = 'failed', claim = null, lease_until = null, problem = $5, ended_at = $6, updated_at = $6
 where merchant_id = $1 and mode = $2 and job_id = $3 and claim = $4 and state = 'running';

-- name: pause_job (merchant, mode, job, now)
-- Takes a job out of whoever's hands it is in: the step that is under way saves nothing.
update vault.job set state = 'paused', claim = null, lease_until = null, items_a_second = null, updated_at = $4
 where merchant_id = $1 and mode = $2 and job_id = $3 and state in ('waiting', 'running');

-- name: resume_job (merchant, mode, job, now)
-- Lets a paused job go on where it was.
update vault.job set state = 'waiting', run_at = $4, failures = 0, updated_at = $4
 where merchant_id = $1 and mode = $2 and job_id = $3 and state = 'paused';

-- name: cancel_job (merchant, mode, job, now)
-- Ends a job where it is.
update vault.job set state = 'canceled', claim = null, lease_until = null, ended_at = $4, updated_at = $4
 where merchant_id = $1 and mode = $2 and job_id = $3 and state in ('waiting', 'running', 'paused');

-- name: put_rate (merchant, mode, job, rate, now)
-- How many items a second at most, from the next step on.
update vault.job set rate = $4, run_at = least(run_at, $5)
 where merchant_id = $1 and mode = $2 and job_id = $3 and state in ('waiting', 'running', 'paused');

-- name: job_load ()
-- How many jobs are open, by kind and state, and how long those that run will take at the speed they have.
select kind, state, count(*) as jobs,
       max((total - done - refused) / nullif(items_a_second, 0)) filter (where total is not null) as seconds_left
  from vault.job
 where state in ('waiting', 'running', 'paused')
 group by kind, state;
