-- Who may ask: merchants and their API keys (only a keyed hash of each).
create schema identity;

create table identity.merchant (
    merchant_id text        not null primary key,
    name        text        not null,
    status      text        not null check (status in ('active', 'suspended')),
    created_at  timestamptz not null
);

create table identity.api_key (
    merchant_id  text        not null references identity.merchant,
    mode         text        not null check (mode in ('live', 'test')),
    key_id       text        not null,
    kind         text        not null check (kind in ('sk', 'pk', 'rk')),
    key_hash     bytea       not null unique check (length(key_hash) = 32),
    last4        text        not null,
    name         text        not null,
    permissions  text[]      not null,
    origins      text[]      not null default '{}',
    expires_at   timestamptz,
    revoked_at   timestamptz,
    created_by   text        not null,
    created_at   timestamptz not null,
    primary key (merchant_id, mode, key_id)
);

alter table identity.merchant enable row level security, force row level security;
alter table identity.api_key enable row level security, force row level security;

create policy tenant on identity.merchant using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.api_key using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before a key is known there is no tenant: whoever presents a key's hash may see that one row and its merchant.
create policy presented on identity.api_key for select using (
    key_hash = decode(nullif(current_setting('strongroom.presented_key', true), ''), 'hex')
);
create policy presented on identity.merchant for select using (
    merchant_id in (select k.merchant_id from identity.api_key k
                     where k.key_hash = decode(nullif(current_setting('strongroom.presented_key', true), ''), 'hex'))
);

-- Operators list every merchant; keys they see one merchant at a time.
create policy operators on identity.merchant for select to strongroom_console using (true);
