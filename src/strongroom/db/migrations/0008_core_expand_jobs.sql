-- Work that waits: a row a piece, put in the transaction that makes it necessary, removed when it is done.
create schema jobs;

-- A claim is a lease: it moves `run_at` behind the lease's end and counts a try. Whoever claimed finishes with the
-- `tries` that it was given, so that one who comes back late changes nothing; a claimer that died is followed when the
-- lease ends. A job says what to look at and holds nothing of it.
create table jobs.job (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    kind        text        not null check (kind in ('delivery', 'lookup', 'notice')),
    object_id   text        not null,
    run_at      timestamptz not null,
    made_at     timestamptz not null,
    tries       integer     not null default 0,
    -- Begins with what is nobody else's: where the table has no statistics yet, an index by merchant seems equal to the
    -- one below, which then would be read from end to end.
    primary key (object_id, kind, merchant_id, mode)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
create index job_due on jobs.job (kind, run_at);

alter table jobs.job enable row level security, force row level security;
create policy tenant on jobs.job using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- The worker takes what is due, whoever's it is; what it then opens, it opens as that merchant. It makes no job for
-- a merchant whom it has not stated.
create policy worker_looks on jobs.job for select to strongroom_worker using (true);
create policy worker_claims on jobs.job for update to strongroom_worker using (true);
create policy worker_removes on jobs.job for delete to strongroom_worker using (true);

-- Put a job, or make one that is there run no later than this.
create function jobs.put(m text, md text, k text, object text, due timestamptz, made timestamptz) returns void
language sql set search_path = pg_catalog as $$
    insert into jobs.job as j (merchant_id, mode, kind, object_id, run_at, made_at)
    values (m, md, k, object, due, made)
        on conflict (merchant_id, mode, kind, object_id)
        do update set run_at = least(j.run_at, excluded.run_at);
$$;
