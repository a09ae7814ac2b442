-- Wrapped data keys: versioned, MACed, backed up apart from what they open.
create schema keys;

create table keys.data_key (
    merchant_id text        not null,                 -- '' for a key of the platform
    mode        text        not null check (mode in ('', 'live', 'test')),
    name        text        not null,
    version     integer     not null check (version >= 1),
    purpose     text        not null,
    state       text        not null check (state in ('active', 'retiring', 'destroyed')),
    wrapped     bytea       not null,
    mac         bytea       not null check (length(mac) = 32),
    made_at     timestamptz not null,
    primary key (merchant_id, mode, name, version)
);

alter table keys.data_key enable row level security, force row level security;
create policy tenant on keys.data_key using (
    merchant_id = ''
    or merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
