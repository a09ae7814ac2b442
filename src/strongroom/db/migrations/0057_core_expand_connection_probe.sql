-- What the last test of each connection found: whether its processor lets us in. Whoever tests writes here, the worker on
-- a schedule among them. Connections are never removed.
create table payments.connection_probe (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    connection_id text        not null,
    probed_at     timestamptz not null,
    -- A word that says why not; null: it passed.
    reason        text        check (length(reason) between 1 and 64),
    -- When the first of the failures in a row was.
    failing_since timestamptz,
    failures      integer     not null check (failures >= 0),
    check ((reason is null) = (failing_since is null)),
    check ((reason is null) = (failures = 0))
);
alter table payments.connection_probe add primary key (merchant_id, mode, connection_id);
alter table payments.connection_probe enable row level security, force row level security;
create policy tenant on payments.connection_probe using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- The schedule looks which connections are due, whoever's they are, and changes none of them by that.
create policy probes on payments.connection_probe for select using (current_setting('strongroom.job', true) = 'probes');
create policy probes on payments.connection for select using (current_setting('strongroom.job', true) = 'probes');
