-- Services: machines that prove themselves with a key of their own (RFC 7523) and get short access tokens (RFC 6749 §4.4).
create table identity.service (
    merchant_id       text        not null references identity.merchant,
    mode              text        not null check (mode in ('live', 'test')),
    service_id        text        not null unique,
    name              text        not null,
    permissions       text[]      not null,
    -- Public keys only (RFC 7517), several while one follows another.
    public_keys       jsonb       not null check (jsonb_typeof(public_keys) = 'array'),
    -- Its tokens are bound to the client certificate they were asked for with (RFC 8705), and it gets no others.
    certificate_bound boolean     not null,
    created_by        text        not null,
    created_at        timestamptz not null,
    revoked_at        timestamptz,
    last_used_at      timestamptz,
    primary key (merchant_id, mode, service_id)
);

alter table identity.service enable row level security, force row level security;
create policy tenant on identity.service using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Before an assertion is believed there is no tenant: whoever presents an id may see that one row.
create policy presented on identity.service for select using (
    service_id = nullif(current_setting('strongroom.presented_service', true), '')
);
