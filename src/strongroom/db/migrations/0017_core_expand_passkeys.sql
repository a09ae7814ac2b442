-- Passkeys (WebAuthn), several a person: public keys only. Whoever copies this table can log in with none of them.
create table identity.passkey (
    merchant_id     text        not null,
    person_id       text        not null,
    passkey_id      text        not null unique,
    -- Chosen by the authenticator; one credential belongs to one person of one tenant.
    credential_id   bytea       not null unique check (length(credential_id) between 16 and 1023),
    -- COSE_Key (RFC 9052 §7), as the authenticator gave it.
    public_key      bytea       not null,
    -- Goes up or stays 0; one that goes back is a copy of the authenticator (WebAuthn §6.1.1).
    sign_count      bigint      not null check (sign_count >= 0),
    -- The authenticator's model, proven only where the attestation is not 'none'.
    aaguid          text        not null,
    attestation     text        not null,
    transports      text[]      not null,
    -- Whether it may be copied to other devices (never changes), and whether it has been.
    backup_eligible boolean     not null,
    backed_up       boolean     not null,
    name            text        not null,
    created_at      timestamptz not null,
    last_used_at    timestamptz,
    primary key (merchant_id, person_id, passkey_id),
    foreign key (merchant_id, person_id) references identity.person
);

alter table identity.passkey enable row level security, force row level security;
create policy tenant on identity.passkey using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before somebody has logged in there is no tenant: whoever presents a credential's id may see that one row.
create policy presented on identity.passkey for select using (
    credential_id = decode(nullif(current_setting('strongroom.presented_credential', true), ''), 'hex')
);

-- Challenges that are out, each for one answer: only a hash of each, and what it was given for.
create table identity.passkey_challenge (
    -- The platform's where nobody is known yet, at a login.
    merchant_id    text        not null,
    challenge_hash bytea       not null check (length(challenge_hash) = 32),
    purpose        text        not null check (purpose in ('login', 'register', 'set_up', 'step_up')),
    person_id      text,
    session_id     text,
    expires_at     timestamptz not null,
    primary key (merchant_id, challenge_hash),
    check ((purpose = 'login') = (person_id is null)),
    check ((purpose in ('register', 'step_up')) = (session_id is not null))
);
create index passkey_challenge_expires_at on identity.passkey_challenge (merchant_id, expires_at);

alter table identity.passkey_challenge enable row level security, force row level security;
create policy tenant on identity.passkey_challenge using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
