-- Where somebody goes back to when a suspension ends: a person who had not set up still has to.
alter table identity.person add column suspended_from text check (suspended_from in ('invited', 'active'));

-- Set-up links: keyed hashes only. One is open a person; whoever opens it holds the one ticket that the next steps take.
create table identity.invitation (
    merchant_id       text        not null,
    invitation_id     text        not null,
    person_id         text        not null,
    reason            text        not null check (reason in ('first_admin', 'invited', 'renewed', 'reset')),
    link_hash         bytea       not null unique check (length(link_hash) = 32),
    ticket_hash       bytea       unique check (length(ticket_hash) = 32),
    ticket_expires_at timestamptz,
    openings          integer     not null default 0,
    created_by        text        not null,
    created_at        timestamptz not null,
    expires_at        timestamptz not null,
    used_at           timestamptz,
    withdrawn_at      timestamptz,
    primary key (merchant_id, invitation_id),
    foreign key (merchant_id, person_id) references identity.person,
    check (used_at is null or withdrawn_at is null),
    check ((ticket_hash is null) = (ticket_expires_at is null))
);
create unique index invitation_open on identity.invitation (person_id) where used_at is null and withdrawn_at is null;

-- Passwords: Argon2id over a keyed hash; the one that holds, and those before it that may not come back (PCI DSS 8.3.7).
create table identity.password (
    merchant_id   text        not null,
    password_id   bigint      generated always as identity,
    person_id     text        not null,
    password_hash text        not null,
    key_version   integer     not null,
    holds         boolean     not null,
    set_at        timestamptz not null,
    primary key (merchant_id, password_id),
    foreign key (merchant_id, person_id) references identity.person
);
create unique index password_holds on identity.password (person_id) where holds;
create index password_person on identity.password (merchant_id, person_id, password_id);

alter table identity.invitation enable row level security, force row level security;
alter table identity.password enable row level security, force row level security;
create policy tenant on identity.invitation using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.password using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Whoever presents a link or a ticket has no tenant yet, and may see that one row.
create policy presented on identity.invitation for select using (
    link_hash = decode(nullif(current_setting('strongroom.presented_link', true), ''), 'hex')
    or ticket_hash = decode(nullif(current_setting('strongroom.presented_ticket', true), ''), 'hex')
);
