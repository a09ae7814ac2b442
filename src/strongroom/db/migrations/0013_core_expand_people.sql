-- People: of a merchant, or of the platform itself (merchant_id 'platform'). What proves them stands in tables of its own.
create table identity.person (
    merchant_id  text        not null,
    person_id    text        not null unique,
    -- Lower case; one person, one address, one tenant: whoever works for two merchants has two addresses.
    email        text        not null unique check (email = lower(email)),
    name         text        not null,
    role         text        not null check (role in ('admin', 'auditor', 'developer', 'operator')),
    status       text        not null check (status in ('invited', 'active', 'suspended')),
    created_by   text        not null,
    created_at   timestamptz not null,
    last_used_at timestamptz,
    primary key (merchant_id, person_id)
);

alter table identity.person enable row level security, force row level security;
create policy tenant on identity.person using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before somebody has logged in there is no tenant: whoever presents an address or an id may see that one row.
create policy presented on identity.person for select using (
    email = nullif(current_setting('strongroom.presented_email', true), '')
    or person_id = nullif(current_setting('strongroom.presented_person', true), '')
);

-- What no longer holds, for every process to read within a second: ids and nothing personal. A person's or a service's
-- tokens that were made up to `revoked_at` do not hold; a session, a key or a certificate never holds again.
create table identity.revocation (
    revocation_id bigint      generated always as identity primary key,
    kind          text        not null check (kind in ('certificate', 'key', 'person', 'service', 'session')),
    subject       text        not null,
    revoked_at    timestamptz not null,
    -- Nothing that could still be presented lives longer than this; then the row may go.
    keep_until    timestamptz not null
);
create index revocation_keep_until on identity.revocation (keep_until);
create index revocation_subject on identity.revocation (kind, subject);
