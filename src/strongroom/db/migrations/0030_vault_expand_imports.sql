-- Imports: how far a file is, what became of its rows, and what rests of it while it cannot be opened yet.

-- Key pairs that other providers encrypt to. The private part is sealed under the tenant's transfer key.
create table vault.import_key (
    merchant_id    text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    key_id         text        not null,
    certificate    text        not null,
    public_jwk     text        not null,
    sealed_private bytea       not null,
    key_version    integer     not null,
    created_by     text        not null,
    created_at     timestamptz not null,
    primary key (merchant_id, mode, key_id)
);

create table vault.import (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    import_id   text        not null,
    state       text        not null check (state in ('open', 'received', 'done', 'failed', 'canceled')),
    wish        jsonb       not null,
    -- Bytes of the file that were taken, and bytes in clear whose rows are done. Both stand at the end of a row.
    received    bigint      not null default 0,
    consumed    bigint      not null default 0,
    layout      smallint[],
    rows        bigint      not null default 0,
    created     bigint      not null default 0,
    duplicates  bigint      not null default 0,
    refused     bigint      not null default 0,
    digest      bytea       not null default '',
    problem     text,
    job_id      text,
    created_by  text        not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    ended_at    timestamptz,
    primary key (merchant_id, mode, import_id),
    check (rows = created + duplicates + refused)
) with (fillfactor = 70);
create index import_open on vault.import (merchant_id, mode, import_id) where state in ('open', 'received');

-- What became of the rows that committed together: a compressed list, masked.
create table vault.import_part (
    merchant_id text   not null,
    mode        text   not null check (mode in ('live', 'test')),
    import_id   text   not null,
    first_row   bigint not null,
    rows        integer not null,
    results     bytea  not null,
    primary key (merchant_id, mode, import_id, first_row)
);
-- Compressed already.
alter table vault.import_part alter column results set storage external;

-- A file that is opened as a whole rests here until it is there, each piece sealed once more: whoever sends a clear file
-- by mistake has not laid it open. Deleted with the import's end.
create table vault.import_piece (
    merchant_id text    not null,
    mode        text    not null check (mode in ('live', 'test')),
    import_id   text    not null,
    begins      bigint  not null,
    sealed      bytea   not null,
    key_version integer not null,
    primary key (merchant_id, mode, import_id, begins)
);
alter table vault.import_piece alter column sealed set storage external;

alter table vault.import_key enable row level security, force row level security;
alter table vault.import enable row level security, force row level security;
alter table vault.import_part enable row level security, force row level security;
alter table vault.import_piece enable row level security, force row level security;
create policy tenant on vault.import_key using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.import using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.import_part using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.import_piece using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- What nobody feeds is ended across tenants: who looks for it sees only what has stood still for days.
create policy idle on vault.import for select using (
    current_setting('strongroom.job', true) = 'idle_imports'
    and state in ('open', 'received') and updated_at < now() - interval '7 days'
);
