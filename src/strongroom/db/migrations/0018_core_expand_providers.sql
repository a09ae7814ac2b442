-- Identity providers of tenants (OpenID Connect): whom they are asked about, and what their word is worth here.
create table identity.provider (
    merchant_id     text        not null,
    provider_id     text        not null unique,
    name            text        not null,
    issuer          text        not null,
    client_id       text        not null,
    sealed_secret   bytea       not null,
    key_version     integer     not null,
    -- Lower case: whose addresses this provider may vouch for, and who finds it by their address.
    domains         text[]      not null check (cardinality(domains) > 0),
    redirects       text[]      not null check (cardinality(redirects) > 0),
    role_claim      text,
    -- [{"value": …, "role": …}], the first that matches counts.
    roles           jsonb       not null,
    required_amr    text[]      not null,
    required_acr    text[]      not null,
    max_age_seconds integer     check (max_age_seconds > 0),
    creates_people  boolean     not null,
    status          text        not null check (status in ('active', 'disabled')),
    created_by      text        not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (merchant_id, provider_id),
    -- Every login needs several factors: a provider that does not say so is none.
    check (cardinality(required_amr) + cardinality(required_acr) > 0),
    -- Whom a provider makes gets the role that it says, or none is made.
    check (not creates_people or role_claim is not null)
);

alter table identity.provider enable row level security, force row level security;
create policy tenant on identity.provider using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before somebody has logged in there is no tenant: whoever names a provider, or a domain, may see whom to go to.
create policy presented on identity.provider for select using (
    provider_id = nullif(current_setting('strongroom.presented_provider', true), '')
    or (status = 'active' and nullif(current_setting('strongroom.presented_domain', true), '') = any (domains))
);

-- Who somebody is at a provider. The subject is kept as a keyed hash; one subject is one person, and one person one
-- subject, so that an address that was given to somebody else does not hand their access on.
create table identity.provider_link (
    merchant_id  text        not null,
    issuer       text        not null,
    subject_hash bytea       not null check (length(subject_hash) = 32),
    provider_id  text        not null,
    person_id    text        not null,
    linked_at    timestamptz not null,
    used_at      timestamptz not null,
    primary key (merchant_id, issuer, subject_hash),
    unique (merchant_id, issuer, person_id),
    foreign key (merchant_id, provider_id) references identity.provider (merchant_id, provider_id),
    foreign key (merchant_id, person_id) references identity.person (merchant_id, person_id) on delete cascade
);

alter table identity.provider_link enable row level security, force row level security;
create policy tenant on identity.provider_link using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Logins that are under way at a provider, for ten minutes. What comes back names one by its state, once: the verifier,
-- the nonce and the browser's ticket are made from that state again and stand nowhere.
create table identity.provider_flow (
    merchant_id text        not null,
    state_hash  bytea       not null unique check (length(state_hash) = 32),
    provider_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    redirect    text        not null,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    primary key (merchant_id, state_hash),
    foreign key (merchant_id, provider_id) references identity.provider (merchant_id, provider_id)
);
create index provider_flow_expires_at on identity.provider_flow (expires_at);

alter table identity.provider_flow enable row level security, force row level security;
create policy tenant on identity.provider_flow using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy presented on identity.provider_flow for select using (
    encode(state_hash, 'hex') = nullif(current_setting('strongroom.presented_flow', true), '')
);
create policy presented_taken on identity.provider_flow for delete using (
    encode(state_hash, 'hex') = nullif(current_setting('strongroom.presented_flow', true), '')
);
