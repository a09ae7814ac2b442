-- The audit log (DESIGN §7): canonical records in the business transaction, sealed afterwards into a Merkle tree.
create schema audit;

-- One row a record. The id is time-ordered, so a partition is a span of ids; `xid` is how the sealer finds what
-- has committed without missing a row (a sequence's order is not the order of commits).
create table audit.event (
    event_id    text   not null primary key,
    merchant_id text   not null,                      -- 'platform' for acts of no merchant
    mode        text   not null check (mode in ('', 'live', 'test')),
    payload     bytea  not null,
    leaf_hash   bytea  not null check (length(leaf_hash) = 32),
    row_mac     bytea  not null check (length(row_mac) = 32),
    xid         xid8   not null default pg_current_xact_id()
) partition by range (event_id);
create index event_by_xid on audit.event (xid);
create index event_by_merchant on audit.event (merchant_id, mode, event_id);

alter table audit.event enable row level security, force row level security;
create policy tenant on audit.event using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

create function audit.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit records are only ever added' using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete on audit.event
    for each row execute function audit.refuse_change();
create trigger append_only_whole before truncate on audit.event
    for each statement execute function audit.refuse_change();

-- The clear side of what records hold as a salted hash; erasing a row leaves the tree valid.
create table audit.address (
    merchant_id text  not null,
    day         date  not null,
    reference   bytea not null check (length(reference) = 32),
    salt        bytea not null,
    address     text  not null,
    primary key (merchant_id, day, reference)
);
alter table audit.address enable row level security, force row level security;
create policy tenant on audit.address using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- The tree: C2SP tiles of 256 hashes; at level 0 each tile also knows whose hashes it holds.
create table audit.tile (
    level     smallint not null,
    n         bigint   not null,
    width     smallint not null check (width between 1 and 256),
    hashes    bytea    not null check (length(hashes) = width * 32),
    event_ids text[]   not null default '{}',
    first_id  text,
    last_id   text,
    primary key (level, n)
);
create index tile_by_last_id on audit.tile (last_id, first_id) where level = 0;

create table audit.checkpoint (
    size      bigint      not null primary key,
    root      bytea       not null check (length(root) = 32),
    note      text        not null,
    sealed_at timestamptz not null
);
create trigger append_only before update or delete on audit.checkpoint
    for each row execute function audit.refuse_change();
create trigger append_only_whole before truncate on audit.checkpoint
    for each statement execute function audit.refuse_change();

-- One row: how far the sealer is. `sealed_below` means that every record of an earlier transaction is in the tree.
create table audit.tree (
    one          boolean not null primary key default true check (one),
    origin       text    not null,
    size         bigint  not null check (size >= 0),
    frontier     bytea[] not null,
    sealed_below xid8    not null,
    cluster      text    not null,
    changed_at   timestamptz not null
);

-- The sealer sees every tenant's records, and only it: a policy for its login, not a BYPASSRLS attribute.
create policy sealer on audit.event for select to strongroom_sealer using (true);
