-- name: insert_service (merchant, mode, service, name, permissions, public_keys, certificate_bound, created_by, created_at)
-- A new service.
insert into identity.service
       (merchant_id, mode, service_id, name, permissions, public_keys, certificate_bound, created_by, created_at)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9);

-- name: list_services (merchant, mode)
-- A tenant's services of one mode, the newest first.
select merchant_id, mode, service_id, name, permissions, public_keys::text as public_keys, certificate_bound, created_by,
       created_at, revoked_at, last_used_at
  from identity.service
 where merchant_id = $1 and mode = $2
 order by service_id desc;

-- name: present_service (service)
-- States which service this transaction may look for, before its tenant is known (row-level security).
select set_config('strongroom.presented_service', $1, true);

-- name: tenant_of_service (service)
-- Whose the presented service is.
select merchant_id from identity.service where service_id = $1;

-- name: service_for_change (service)
-- A service and whether its merchant is active, held until the transaction ends: a token is never made beside a
-- revocation.
select s.merchant_id, s.mode, s.service_id, s.name, s.permissions, s.public_keys::text as public_keys,
       s.certificate_bound, s.created_by, s.created_at, s.revoked_at, s.last_used_at, m.status
  from identity.service s join identity.merchant m using (merchant_id)
 where s.service_id = $1
   for update of s;

-- name: touch_service (service, now)
-- Notes that a service was given a token, for the review of unused access.
update identity.service set last_used_at = $2 where service_id = $1;

-- name: replace_service_keys (service, public_keys)
-- The keys that a service proves itself with from now on.
update identity.service set public_keys = $2::text::jsonb where service_id = $1;

-- name: revoke_service (service, now)
-- Ends a service.
update identity.service set revoked_at = $2 where service_id = $1 and revoked_at is null;

-- name: merchant_there (merchant)
-- Whether there is such a merchant.
select merchant_id from identity.merchant where merchant_id = $1;

-- name: certificate_revoked (subject, now)
-- Whether a client certificate was ended for a tenant.
select 1 as found from identity.revocation
 where kind = 'certificate' and subject = $1 and keep_until > $2 limit 1;

-- name: count_revoked_certificates (beginning, now)
-- How many were.
select count(distinct subject) as count from identity.revocation
 where kind = 'certificate' and starts_with(subject, $1) and keep_until > $2;
