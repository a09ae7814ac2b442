-- Where tokens stand (containers), who may do what with them there (rules), and long work of the vault's own (jobs).

-- A container is a name; a token is in one. `default` exists for everybody without a row.
alter table vault.token add column container text not null default 'default';

create table vault.container (
    merchant_id     text        not null,
    mode            text        not null check (mode in ('live', 'test')),
    name            text        not null,
    description     text        not null default '',
    -- Tokens are deleted so many days after they were made; null: when somebody does it.
    retention_days  integer     check (retention_days between 1 and 36500),
    created_by      text        not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (merchant_id, mode, name)
);

-- Of the rules that match a caller and a container the one with the lowest priority number decides; none: refused.
create table vault.access_rule (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    rule_id      text        not null,
    -- The container and, where the name ends in `/`, all below it.
    container    text        not null,
    priority     integer     not null check (priority between 1 and 1000),
    grantee_kind text        not null check (grantee_kind in ('anybody', 'key', 'payments', 'person', 'role', 'service')),
    grantee      text        not null,
    access       text        not null check (access in ('none', 'mask', 'use', 'reveal')),
    transform    text        not null check (transform in ('redact', 'mask', 'reveal')),
    created_by   text        not null,
    created_at   timestamptz not null,
    primary key (merchant_id, mode, rule_id),
    check (transform <> 'reveal' or access = 'reveal')
);

-- Long work: a row a job, its progress saved in the transaction of each step, so that a killed one goes on where it was.
-- `cursor` says where; a claim is a lease, and who comes back late changes nothing (`claim` names the claimer).
create table vault.job (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    job_id      text        not null,
    kind        text        not null check (kind in ('erasure', 'export', 'import', 'reseal', 'retention', 'retokenize')),
    state       text        not null check (state in ('waiting', 'running', 'paused', 'done', 'failed', 'canceled')),
    params      jsonb       not null default '{}',
    cursor      text        not null default '',
    total       bigint,
    done        bigint      not null default 0,
    refused     bigint      not null default 0,
    -- Items a second at most; null: as fast as it goes.
    rate        integer     check (rate between 1 and 1000000),
    problem     text,
    result      jsonb       not null default '{}',
    claim       text,
    lease_until timestamptz,
    failures    integer     not null default 0,
    run_at      timestamptz not null,
    created_by  text        not null,
    created_at  timestamptz not null,
    started_at  timestamptz,
    updated_at  timestamptz not null,
    ended_at    timestamptz,
    primary key (job_id, merchant_id, mode)
) with (fillfactor = 70);
create index job_due on vault.job (run_at) where state in ('waiting', 'running');
create index job_of_tenant on vault.job (merchant_id, mode, job_id);

alter table vault.container enable row level security, force row level security;
alter table vault.access_rule enable row level security, force row level security;
alter table vault.job enable row level security, force row level security;
create policy tenant on vault.container using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.access_rule using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.job using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- The vault's own worker takes what is due, whoever's it is; what a job then does, it does as that merchant.
create policy work on vault.job using (current_setting('strongroom.job', true) = 'work');
