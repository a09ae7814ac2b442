-- How far what older versions of a key have sealed in this database is sealed anew: a row a column, `part` its name. A
-- claim is a lease (`run_at` lies behind its end, `claim` names the claimer); a later rotation begins the row anew.
create table keys.reseal (
    merchant_id text        not null,
    mode        text        not null check (mode in ('', 'live', 'test')),
    name        text        not null,
    part        text        not null,
    -- To which version.
    version     integer     not null check (version >= 1),
    state       text        not null check (state in ('waiting', 'done')),
    cursor      text        not null default '',
    total       bigint      not null default 0,
    looked      bigint      not null default 0,
    resealed    bigint      not null default 0,
    unread      bigint      not null default 0,
    problem     text,
    failures    integer     not null default 0,
    claim       text,
    run_at      timestamptz not null,
    created_by  text        not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    ended_at    timestamptz,
    primary key (merchant_id, mode, name, part),
    check ((state = 'done') = (ended_at is not null))
);
create index reseal_due on keys.reseal (run_at) where state = 'waiting';

alter table keys.reseal enable row level security, force row level security;
create policy tenant on keys.reseal using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Each role takes what is due of the columns that it may write, whoever's it is; what it then does, it does as that
-- merchant. Operators list all of them.
create policy work on keys.reseal using (current_setting('strongroom.job', true) = 'reseal');
