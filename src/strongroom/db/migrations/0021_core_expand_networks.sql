-- Allow-lists: from which networks a tenant's callers may call. Where several apply, each must admit the address.
create table identity.network (
    merchant_id text        not null,
    network_id  text        not null unique,
    mode        text        not null check (mode in ('both', 'live', 'test')),
    -- 'tenant', 'role:<role>', 'group:<route group>', 'key:<id>', 'person:<id>' or 'service:<id>'.
    subject     text        not null,
    networks    text[]      not null check (cardinality(networks) between 1 and 64),
    name        text        not null,
    changed_by  text        not null,
    changed_at  timestamptz not null,
    primary key (merchant_id, network_id),
    unique (merchant_id, subject, mode)
);

alter table identity.network enable row level security, force row level security;
create policy tenant on identity.network using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Who has or had lists, and how often they changed, for every process to read twice a second: ids and nothing else. It
-- has no tenant of its own, as a process must learn of every change without knowing whose. Its row is also what two
-- changes of one tenant's lists wait for.
create table identity.network_change (
    tenant  text   primary key,
    version bigint not null
);
