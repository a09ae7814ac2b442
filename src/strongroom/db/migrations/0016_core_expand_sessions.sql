-- Sessions of people, the public halves of the keys that sign access tokens, and what may be presented only once.

-- A session: what its person proved, and the hash of the one refresh token that rotates it. `salt` and `previous_hash`
-- are of the last rotation: for ten seconds the token before is answered with the same successor, which is derived from
-- that token, the salt and a key that is not in the database.
create table identity.session (
    merchant_id     text        not null,
    session_id      text        not null unique,
    person_id       text        not null,
    mode            text        not null check (mode in ('live', 'test')),
    methods         text[]      not null,
    dpop_thumbprint text,
    refresh_hash    bytea       not null check (length(refresh_hash) = 32),
    previous_hash   bytea       check (length(previous_hash) = 32),
    salt            bytea       check (length(salt) = 32),
    started_at      timestamptz not null,
    stepped_up_at   timestamptz not null,
    -- When a refresh token was last used: what idle time is counted from.
    used_at         timestamptz not null,
    ends_at         timestamptz not null,
    ended_at        timestamptz,
    ended_reason    text,
    primary key (merchant_id, session_id),
    foreign key (merchant_id, person_id) references identity.person (merchant_id, person_id),
    check ((previous_hash is null) = (salt is null)),
    check ((ended_at is null) = (ended_reason is null))
);
create index session_of_person on identity.session (merchant_id, person_id, session_id);
create index session_ends_at on identity.session (ends_at);

alter table identity.session enable row level security, force row level security;
create policy tenant on identity.session using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before a refresh token is believed there is no tenant: whoever presents a session may see that one row.
create policy presented on identity.session for select using (
    session_id = nullif(current_setting('strongroom.presented_session', true), '')
);
-- Who tidies up sees what ended long ago, of every tenant, and nothing else.
create policy past_seen on identity.session for select to strongroom_console using (ends_at < now() - interval '1 day');
create policy past_removed on identity.session for delete to strongroom_console
    using (ends_at < now() - interval '1 day');

-- Public keys only: whoever verifies needs no key root. A key signs from `sign_from` on, so that every process knows it
-- by then, and is believed until `verify_until`.
create table identity.signing_key (
    kid          text        not null primary key,
    version      integer     not null unique check (version >= 1),
    public_key   bytea       not null check (length(public_key) = 32),
    made_at      timestamptz not null,
    sign_from    timestamptz not null,
    verify_until timestamptz
);

-- Proofs (RFC 9449) and assertions (RFC 7523) that were used: none counts twice, in whichever process it is presented.
create table identity.used_once (
    merchant_id text        not null,
    purpose     text        not null check (purpose in ('assertion', 'proof')),
    value_hash  bytea       not null check (length(value_hash) = 32),
    keep_until  timestamptz not null,
    primary key (merchant_id, purpose, value_hash)
);
create index used_once_keep_until on identity.used_once (keep_until);

alter table identity.used_once enable row level security, force row level security;
create policy tenant on identity.used_once using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy past_seen on identity.used_once for select to strongroom_console using (keep_until < now());
create policy past_removed on identity.used_once for delete to strongroom_console using (keep_until < now());

-- An identity column counts in the order of inserts, not of commits: a reader that goes by it alone would miss a row
-- that commits late. The transaction says what a reader can be sure to have seen (identity/revocation.py).
alter table identity.revocation add column xid xid8 not null default pg_current_xact_id();
create index revocation_xid on identity.revocation (xid);
