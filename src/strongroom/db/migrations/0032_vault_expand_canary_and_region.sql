-- A sealed value of our own by which a restored backup shows that data, wrapped keys and roots belong together, and the
-- region that this vault was made for.
create table vault.canary (
    name        text        not null primary key check (name = 'backup'),
    sealed      bytea       not null,
    key_version integer     not null,
    made_at     timestamptz not null
);

-- Written once, by the first vault that starts here; another region's vault does not start on this database.
create table vault.region (
    only_one boolean     not null primary key default true check (only_one),
    region   text        not null check (region ~ '^[a-z][a-z0-9-]{0,30}$'),
    made_at  timestamptz not null
);

alter table vault.canary enable row level security, force row level security;
alter table vault.region enable row level security, force row level security;
-- Neither belongs to a tenant, and neither tells anything of one.
create policy everybody on vault.canary using (true);
create policy everybody on vault.region using (true);
