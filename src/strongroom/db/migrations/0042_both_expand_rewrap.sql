-- How far the data keys of a root are wrapped anew: whoever was cut off goes on behind this key. `root` is which root and
-- version they are wrapped under: where that is another by now, the walk begins anew.
create table keys.rewrap (
    purpose    text        not null primary key,
    root       text        not null,
    past_owner text        not null,
    past_mode  text        not null,
    past_name  text        not null,
    past_version integer   not null,
    done       bigint      not null,
    at         timestamptz not null
);
alter table keys.rewrap enable row level security, force row level security;
-- Belongs to no tenant, and names keys alone.
create policy work on keys.rewrap using (current_setting('strongroom.job', true) = 'keys');
