-- Which data keys were rotated or destroyed lately, for every process to read each second: a rotation holds everywhere
-- within two. Names and numbers only.
create table keys.change (
    merchant_id text        not null,
    mode        text        not null check (mode in ('', 'live', 'test')),
    name        text        not null,
    version     integer     not null check (version >= 1),
    what        text        not null check (what in ('rotated', 'destroyed')),
    at          timestamptz not null,
    primary key (merchant_id, mode, name, version, what)
);
create index change_at on keys.change (at);

alter table keys.change enable row level security, force row level security;
create policy tenant on keys.change using (
    merchant_id = ''
    or merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy look on keys.change for select using (current_setting('strongroom.job', true) = 'keys');
-- Operators look over every key of the database (`strongroom keys`), and the vault counts what is overdue.
create policy inventory on keys.data_key for select using (current_setting('strongroom.job', true) = 'keys');
