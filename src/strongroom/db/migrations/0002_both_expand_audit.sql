-- The audit log: canonical records in the business transaction, sealed afterwards into a Merkle tree.
create schema audit;

-- One row a record. The id is time-ordered, so a partition is a span of ids; `xid` is how the sealer finds what
-- has committed without missing a row (a sequence's order is not the order of commits). No login may choose its xid.
create table audit.event (
    event_id    text   collate "C" not null primary key,
    merchant_id text   not null,                      -- 'platform' for acts of no merchant
    mode        text   not null check (mode in ('', 'live', 'test')),
    payload     bytea  not null,
    leaf_hash   bytea  not null check (length(leaf_hash) = 32),
    row_mac     bytea  not null check (length(row_mac) = 32),
    xid         xid8   not null default pg_current_xact_id()
) partition by range (event_id);
create index event_by_xid on audit.event (xid, event_id);
create index event_by_merchant on audit.event (merchant_id, mode, event_id);

alter table audit.event enable row level security, force row level security;
create policy tenant on audit.event using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

create function audit.refuse_change() returns trigger language plpgsql set search_path = pg_catalog as $$
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
    event_ids text[]   collate "C" not null check (cardinality(event_ids) = case when level = 0 then width else 0 end),
    first_id  text     collate "C",
    last_id   text     collate "C",
    primary key (level, n),
    check ((level = 0) = (first_id is not null and last_id is not null))
);
alter table audit.tile alter column hashes set storage external; -- hashes do not compress
-- Which tiles may hold a record: those whose smallest and largest id lie around it.
create type audit.id_range as range (subtype = text, collation = "C");
create index tile_by_ids on audit.tile using gist (audit.id_range(first_id, last_id, '[]')) where level = 0;

create function audit.refuse_shrink() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if (new.level, new.n) <> (old.level, old.n)
       or substring(new.hashes from 1 for length(old.hashes)) <> old.hashes
       or new.event_ids[1:cardinality(old.event_ids)] <> old.event_ids then
        raise exception 'a tile only grows' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger only_grows before update on audit.tile
    for each row execute function audit.refuse_shrink();
create trigger never_removed before delete on audit.tile
    for each row execute function audit.refuse_change();
create trigger never_removed_whole before truncate on audit.tile
    for each statement execute function audit.refuse_change();

-- Every head that was signed. The origin names a tree's generation: a tree that was restarted goes on under another.
create table audit.checkpoint (
    size      bigint      not null primary key,
    origin    text        not null,
    root      bytea       not null check (length(root) = 32),
    note      text        not null,
    sealed_at timestamptz not null
);
create trigger append_only before update or delete on audit.checkpoint
    for each row execute function audit.refuse_change();
create trigger append_only_whole before truncate on audit.checkpoint
    for each statement execute function audit.refuse_change();

-- One row: how far the sealer is. Every record up to (sealed_xid, sealed_event) is in the tree; a record of a later
-- xid may be there too (it was taken by the sweep after a restore into another cluster). `origin_mac` is made with a
-- key that is not in the database: nobody restarts the tree from in here.
create table audit.tree (
    one          boolean not null primary key default true check (one),
    origin       text    not null,
    origin_mac   bytea   not null check (length(origin_mac) = 32),
    size         bigint  not null check (size >= 0),
    frontier     bytea[] not null,
    sealed_xid   xid8    not null,
    sealed_event text    collate "C" not null,
    cluster      text    not null,
    changed_at   timestamptz not null
);
create function audit.refuse_smaller() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if new.size < old.size then
        raise exception 'a tree only grows' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger only_grows before update on audit.tree
    for each row execute function audit.refuse_smaller();
create trigger never_removed before delete on audit.tree
    for each row execute function audit.refuse_change();
create trigger never_removed_whole before truncate on audit.tree
    for each statement execute function audit.refuse_change();

-- The sealer sees every tenant's records, and only it: a policy for its login, not a BYPASSRLS attribute.
create policy sealer on audit.event for select to strongroom_sealer using (true);
