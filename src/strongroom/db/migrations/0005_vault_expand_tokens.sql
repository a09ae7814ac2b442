-- Cards: sealed before they reach this database. What is in clear here may be shown (first six, last four, expiry).
create schema vault;

create table vault.token (
    merchant_id         text        not null,
    mode                text        not null check (mode in ('live', 'test')),
    token_id            text        not null,
    sealed_number       bytea       not null,
    key_version         integer     not null,
    brand               text        not null,
    bin                 text        not null check (length(bin) = 6),
    last4               text        not null check (length(last4) = 4),
    exp_month           smallint    not null check (exp_month between 1 and 12),
    exp_year            smallint    not null,
    fingerprint         bytea       check (length(fingerprint) = 32),
    fingerprint_version integer,
    single_use          boolean     not null,
    expires_at          timestamptz,
    metadata            jsonb,
    created_by          text        not null,
    created_at          timestamptz not null,
    primary key (merchant_id, mode, token_id),
    check ((fingerprint is null) = (fingerprint_version is null))
);
create index token_expiring on vault.token (expires_at) where expires_at is not null;

-- Which token a card number already has, for those who asked for deduplication. An oracle, hence keyed per merchant.
create table vault.card_identity (
    merchant_id text    not null,
    mode        text    not null check (mode in ('live', 'test')),
    key_version integer not null,
    fingerprint bytea   not null check (length(fingerprint) = 32),
    token_id    text    not null,
    primary key (merchant_id, mode, key_version, fingerprint)
);

-- Epoch keys of CVCs: unlogged (not in the WAL, gone after a crash) and left out of dumps on purpose (promise 2). Four
-- slots, each a file of its own: an epoch is destroyed by truncating its slot, because a deleted row's bytes would stay.
create table vault.cvc_epoch (
    slot       smallint    not null,
    epoch_id   text        not null,
    wrapped    bytea       not null,
    made_at    timestamptz not null,
    destroy_at timestamptz not null,
    primary key (slot, epoch_id),
    check (destroy_at <= made_at + interval '30 minutes')
) partition by list (slot);
create unlogged table vault.cvc_epoch_0 partition of vault.cvc_epoch for values in (0);
create unlogged table vault.cvc_epoch_1 partition of vault.cvc_epoch for values in (1);
create unlogged table vault.cvc_epoch_2 partition of vault.cvc_epoch for values in (2);
create unlogged table vault.cvc_epoch_3 partition of vault.cvc_epoch for values in (3);

-- Which sealed CVCs were used or discarded. Durable, so that a crash does not make one usable again.
create table vault.cvc_use (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    cvc_id      text        not null,
    used_at     timestamptz not null,
    primary key (merchant_id, mode, cvc_id)
);

alter table vault.token enable row level security, force row level security;
alter table vault.card_identity enable row level security, force row level security;
alter table vault.cvc_use enable row level security, force row level security;
create policy tenant on vault.token using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.card_identity using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.cvc_use using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Retention works across tenants, but only on what has run out, and only when a transaction says that it does that.
create policy expiry on vault.token using (
    current_setting('strongroom.job', true) = 'expiry' and expires_at <= now()
);
create policy expiry on vault.cvc_use using (
    current_setting('strongroom.job', true) = 'expiry' and used_at < now() - interval '1 hour'
);
