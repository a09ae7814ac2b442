-- name: insert_merchant (merchant, name, region, created_at)
-- A new tenant.
insert into identity.merchant (merchant_id, name, status, region, created_at) values ($1, $2, 'active', $3, $4);

-- name: merchant_by_id (merchant)
-- One tenant.
select merchant_id, name, status, region, created_at from identity.merchant where merchant_id = $1;

-- name: merchant_region (merchant)
-- In which region a tenant's cards rest.
select region from identity.merchant where merchant_id = $1;

-- name: list_merchants ()
-- Every tenant that this login may see.
select merchant_id, name, status, region, created_at from identity.merchant order by merchant_id;

-- name: insert_key (merchant, mode, key, kind, key_hash, last4, name, permissions, origins, expires_at, created_by, created_at)
-- A new API key.
insert into identity.api_key
       (merchant_id, mode, key_id, kind, key_hash, last4, name, permissions, origins, expires_at, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: list_keys (merchant, mode)
-- A tenant's keys of one mode, oldest first.
select key_id, merchant_id, mode, kind, name, last4, permissions, origins, expires_at, revoked_at, created_by, created_at
  from identity.api_key
 where merchant_id = $1 and mode = $2
 order by key_id;

-- name: revoke_key (merchant, mode, key)
-- Ends a key. A key that has ended keeps its first time.
select identity.end_key($1, $2, $3) as kind;

-- name: present_key (key_hash_hex)
-- States which key's hash this transaction may look for (row-level security).
select set_config('strongroom.presented_key', $1, true);

-- name: key_by_hash (key_hash)
-- The key behind a presented hash, and whether its merchant is active.
select k.key_id, k.merchant_id, k.mode, k.kind, k.permissions, k.origins, k.expires_at, k.revoked_at, m.status
  from identity.api_key k join identity.merchant m using (merchant_id)
 where k.key_hash = $1;

-- name: revocations_since (settled, now)
-- What was revoked in transactions that an earlier reading could not be sure to have seen, and up to which transaction
-- this one can: everything below `settled` had ended when it was asked. One statement, so both are of one snapshot.
select s.settled, r.kind, r.subject, r.revoked_at, r.keep_until
  from (select pg_snapshot_xmin(pg_current_snapshot())::text as settled) s
  left join identity.revocation r on r.xid >= $1::text::xid8 and r.keep_until > $2;

-- name: insert_revocation (kind, subject, revoked_at, keep_until)
-- Ends what is named in every process.
insert into identity.revocation (kind, subject, revoked_at, keep_until) values ($1, $2, $3, $4);

-- name: remove_past_revocations (now)
-- Nothing that these ended could still be presented.
delete from identity.revocation where keep_until <= $1;

-- name: signing_keys ()
-- Every public key that signs or has signed access tokens, the newest first.
select kid, version, public_key, made_at, sign_from, verify_until from identity.signing_key order by version desc;

-- name: insert_signing_key (kid, version, public_key, made_at, sign_from)
-- A key that signs from a moment on; of two that race, the first stays.
insert into identity.signing_key (kid, version, public_key, made_at, sign_from) values ($1, $2, $3, $4, $5)
on conflict do nothing;

-- name: end_signing_keys (below_version, verify_until)
-- Says until when the keys before one are believed; never later than was said before.
update identity.signing_key set verify_until = least(verify_until, $2)
 where version < $1 and (verify_until is null or verify_until > $2)
returning version;

-- name: use_once (merchant, purpose, value_hash, keep_until)
-- Notes that a proof or an assertion was used; touches no row when it was used before.
insert into identity.used_once (merchant_id, purpose, value_hash, keep_until) values ($1, $2, $3, $4)
on conflict do nothing;

-- name: remove_past_uses (now)
-- None of these could be presented again.
delete from identity.used_once where keep_until < $1;
