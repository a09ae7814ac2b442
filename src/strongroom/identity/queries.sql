-- name: insert_merchant (merchant, name, created_at)
-- A new tenant.
insert into identity.merchant (merchant_id, name, status, created_at) values ($1, $2, 'active', $3);

-- name: merchant_by_id (merchant)
-- One tenant.
select merchant_id, name, status, created_at from identity.merchant where merchant_id = $1;

-- name: list_merchants ()
-- Every tenant that this login may see.
select merchant_id, name, status, created_at from identity.merchant order by merchant_id;

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

-- name: revoke_key (merchant, mode, key, now)
-- Ends a key. A key that has ended keeps its first time.
update identity.api_key set revoked_at = coalesce(revoked_at, $4)
 where merchant_id = $1 and mode = $2 and key_id = $3
returning key_id, kind;

-- name: present_key (key_hash_hex)
-- States which key's hash this transaction may look for (row-level security).
select set_config('strongroom.presented_key', $1, true);

-- name: key_by_hash (key_hash)
-- The key behind a presented hash, and whether its merchant is active.
select k.key_id, k.merchant_id, k.mode, k.kind, k.permissions, k.origins, k.expires_at, k.revoked_at, m.status
  from identity.api_key k join identity.merchant m using (merchant_id)
 where k.key_hash = $1;
