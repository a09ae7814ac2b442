-- name: present_provider (provider)
-- States which provider this transaction may see before a tenant is known (row-level security).
select set_config('strongroom.presented_provider', $1, true);

-- name: present_domain (domain)
-- States for which domain this transaction may look for providers (row-level security).
select set_config('strongroom.presented_domain', $1, true);

-- name: present_flow (state_hash_hex)
-- States which login under way this transaction may take (row-level security).
select set_config('strongroom.presented_flow', $1, true);

-- name: insert_provider (merchant, provider, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim, roles, required_amr, required_acr, max_age_seconds, creates_people, created_by, now, most)
-- A new provider, unless its tenant has as many as it can have.
insert into identity.provider
       (merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim, roles,
        required_amr, required_acr, max_age_seconds, creates_people, status, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::jsonb, $12, $13, $14, $15, 'active', $16, $17, $17
 where (select count(*) from identity.provider where merchant_id = $1 and status = 'active') < $18;

-- name: list_providers (merchant)
-- A tenant's providers, oldest first.
select merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim,
       roles::text as roles, required_amr, required_acr, max_age_seconds, creates_people, status, created_by, created_at,
       updated_at
  from identity.provider
 where merchant_id = $1
 order by provider_id;

-- name: provider_by_id (merchant, provider)
-- One of a tenant's providers.
select merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim,
       roles::text as roles, required_amr, required_acr, max_age_seconds, creates_people, status, created_by, created_at,
       updated_at
  from identity.provider
 where merchant_id = $1 and provider_id = $2;

-- name: provider_for_change (merchant, provider)
-- Likewise, kept from being changed by anybody else until this transaction ends.
select merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim,
       roles::text as roles, required_amr, required_acr, max_age_seconds, creates_people, status, created_by, created_at,
       updated_at
  from identity.provider
 where merchant_id = $1 and provider_id = $2
   for update;

-- name: presented_providers (provider, domain)
-- The active providers that were named, by their id or by a domain; of two, it is not known which is meant.
select merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim,
       roles::text as roles, required_amr, required_acr, max_age_seconds, creates_people, status, created_by, created_at,
       updated_at
  from identity.provider
 where status = 'active' and (provider_id = $1 or $2 = any (domains))
 limit 2;

-- name: change_provider (merchant, provider, name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim, roles, required_amr, required_acr, max_age_seconds, creates_people, status, now)
-- Puts what a tenant says of its provider.
update identity.provider
   set name = $3, issuer = $4, client_id = $5, sealed_secret = $6, key_version = $7, domains = $8, redirects = $9,
       role_claim = $10, roles = $11::text::jsonb, required_amr = $12, required_acr = $13, max_age_seconds = $14,
       creates_people = $15, status = $16, updated_at = $17
 where merchant_id = $1 and provider_id = $2;

-- name: insert_flow (merchant, state_hash, provider, mode, redirect, now, expires_at)
-- A login that goes to a provider.
insert into identity.provider_flow (merchant_id, state_hash, provider_id, mode, redirect, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: forget_flows (merchant, now)
-- Logins that never came back.
delete from identity.provider_flow where merchant_id = $1 and expires_at <= $2;

-- name: take_flow (state_hash)
-- The login that comes back, once: whoever asks a second time finds nothing.
delete from identity.provider_flow
 where state_hash = $1
returning merchant_id, provider_id, mode, redirect, created_at, expires_at;

-- name: tenant_status (merchant)
-- Whether a tenant may work at all; the platform has no row.
select status from identity.merchant where merchant_id = $1;

-- name: linked_person (merchant, issuer, subject_hash)
-- Who somebody is here, and that nobody changes it meanwhile.
select p.person_id, p.merchant_id, p.email, p.name, p.role, p.status, p.created_by, p.created_at, p.last_used_at
  from identity.provider_link l
  join identity.person p on p.merchant_id = l.merchant_id and p.person_id = l.person_id
 where l.merchant_id = $1 and l.issuer = $2 and l.subject_hash = $3
   for update of p;

-- name: person_for_link (merchant, person)
-- A tenant's person, kept from being changed by anybody else until this transaction ends.
select person_id, merchant_id, email, name, role, status, created_by, created_at, last_used_at
  from identity.person
 where merchant_id = $1 and person_id = $2
   for update;

-- name: put_link (merchant, issuer, subject_hash, provider, person, now)
-- Says who somebody is here. Nothing is put where the subject or the person is somebody else's already.
insert into identity.provider_link (merchant_id, issuer, subject_hash, provider_id, person_id, linked_at, used_at)
values ($1, $2, $3, $4, $5, $6, $6)
on conflict do nothing;

-- name: use_link (merchant, issuer, subject_hash, provider, now)
-- Notes by which provider, and when, somebody logged in.
update identity.provider_link set provider_id = $4, used_at = $5
 where merchant_id = $1 and issuer = $2 and subject_hash = $3;

-- name: people_by_provider (merchant, provider)
-- Who logged in by a provider last, for ending their sessions with it.
select p.person_id, p.merchant_id, p.email, p.name, p.role, p.status, p.created_by, p.created_at, p.last_used_at
  from identity.provider_link l
  join identity.person p on p.merchant_id = l.merchant_id and p.person_id = l.person_id
 where l.merchant_id = $1 and l.provider_id = $2
 order by p.person_id;

-- name: insert_person (merchant, person, email, name, role, created_by, now)
-- Somebody whom a provider vouches for, at their first login. Nothing is put where the address is taken.
insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at)
values ($1, $2, $3, $4, $5, 'active', $6, $7)
on conflict do nothing;

-- name: put_role_and_status (merchant, person, role, status)
-- What a provider's word made of somebody.
update identity.person set role = $3, status = $4 where merchant_id = $1 and person_id = $2;

-- name: page_of_provider_secrets (merchant, mode, after, limit, version)
-- Providers' client secrets (whose key is that of live) by their ids; what is sealed comes along where it is not of this version.
select provider_id as id, '' as part, key_version, case when key_version <> $5 then sealed_secret end as sealed
  from identity.provider
 where merchant_id = $1 and $2::text = 'live' and provider_id > $3
 order by provider_id
 limit $4;

-- name: reseal_provider_secrets (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update identity.provider t set sealed_secret = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and $2::text = 'live' and t.provider_id = u.id and t.sealed_secret = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_provider_secrets (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from identity.provider
         where merchant_id = $1 and $2::text = 'live' and ($3::integer is null or key_version = $3)
         limit $4) t;
