-- name: count_outcomes (merchant, mode, connection, after_attempt, rows_max, hour_ago)
-- What became of a tenant's newest attempts since a moment, of one connection and of the others. Ids are in order of time, so
-- the primary key is read from its end and no other index is wanted. What is not known yet has no outcome.
select a.connection_id = $3 as own, a.outcome, a.basis, count(*) as day, count(*) filter (where a.created_at >= $6) as hour,
       min(a.created_at) as first_at, max(coalesce(a.settled_at, a.created_at)) as last_at
  from (select connection_id, outcome, basis, created_at, settled_at
          from payments.attempt
         where merchant_id = $1 and mode = $2 and attempt_id > $4
         order by attempt_id desc
         limit $5) a
 group by 1, 2, 3;

-- name: probe_of_connection (merchant, mode, connection)
-- What the last test found.
select probed_at, reason, failing_since, failures from payments.connection_probe
 where merchant_id = $1 and mode = $2 and connection_id = $3;

-- name: put_probe (merchant, mode, connection, probed_at, reason)
-- Keeps what a test found; failures in a row are counted. One that was made earlier and comes later changes nothing.
insert into payments.connection_probe as p (merchant_id, mode, connection_id, probed_at, reason, failing_since, failures)
values ($1, $2, $3, $4::timestamptz, $5::text, case when $5::text is not null then $4::timestamptz end,
        case when $5::text is null then 0 else 1 end)
    on conflict (merchant_id, mode, connection_id) do update
   set probed_at = excluded.probed_at,
       reason = excluded.reason,
       failing_since = case when excluded.reason is not null then coalesce(p.failing_since, excluded.probed_at) end,
       failures = case when excluded.reason is null then 0 else p.failures + 1 end
 where p.probed_at <= excluded.probed_at
returning failures;

-- name: be_prober ()
-- States that this transaction looks which connections are due, of every tenant (row-level security).
select set_config('strongroom.job', 'probes', true);

-- name: due_probes (before, limit)
-- Active connections that were not tested since then, those that waited longest first.
select c.merchant_id, c.mode, c.connection_id
  from payments.connection c
  left join payments.connection_probe p using (merchant_id, mode, connection_id)
 where c.status = 'active' and (p.probed_at is null or p.probed_at < $1)
 order by p.probed_at nulls first, c.connection_id
 limit $2;

-- name: failing_probes ()
-- How many active connections failed their last test, by processor and reason.
select c.processor, p.reason, count(*) as count
  from payments.connection_probe p
  join payments.connection c using (merchant_id, mode, connection_id)
 where c.status = 'active' and p.reason is not null
 group by 1, 2;
