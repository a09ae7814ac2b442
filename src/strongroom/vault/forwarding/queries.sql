-- name: insert_destination (merchant, mode, destination, name, config, sealed, key_version, created_by, now)
-- A new destination.
insert into vault.destination (merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by,
                               created_at, updated_at, credentials_changed_at)
values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $9, $9);

-- name: count_destinations (merchant, mode)
-- How many a merchant has in a mode.
select count(*) as count from vault.destination where merchant_id = $1 and mode = $2;

-- name: destination_by_id (merchant, mode, destination)
-- One destination, with its credentials sealed.
select merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by, created_at, updated_at,
       credentials_changed_at
  from vault.destination
 where merchant_id = $1 and mode = $2 and destination_id = $3;

-- name: destination_for_change (merchant, mode, destination)
-- The same, held until what changes it is committed.
select merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by, created_at, updated_at,
       credentials_changed_at
  from vault.destination
 where merchant_id = $1 and mode = $2 and destination_id = $3
   for no key update;

-- name: list_destinations (merchant, mode, before, limit)
-- A page of a merchant's destinations, newest first.
select merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by, created_at, updated_at,
       credentials_changed_at
  from vault.destination
 where merchant_id = $1 and mode = $2 and destination_id < $3
 order by destination_id desc
 limit $4;

-- name: change_destination (merchant, mode, destination, name, config, sealed, key_version, status, now, credentials_changed_at)
-- Puts what is said now in the place of what was.
update vault.destination
   set name = $4, config = $5, sealed = $6, key_version = $7, status = $8, updated_at = $9, credentials_changed_at = $10
 where merchant_id = $1 and mode = $2 and destination_id = $3
returning destination_id;

-- name: look_to_forward (merchant, mode, key, names, now)
-- Whether a key was used, and what may be shown of tokens, by any of their ids (migration 0038). One call, no transaction.
select kind, asked, first_id, token_id, brand, bin, last4, exp_month, exp_year, container, claim, fingerprint,
       destination_id, cvc_state, lease_until, outcome, status, reason, duration_ms
  from vault.look_to_forward($1, $2, $3, $4, $5);

-- name: sealed_beside (merchant, mode, tokens, fields)
-- What is sealed beside the numbers of tokens, of these fields.
select token_id, field, sealed, key_version from vault.token_detail
 where merchant_id = $1 and mode = $2 and token_id = any ($3::text[]) and field = any ($4::text[]);

-- name: begin_forward (merchant, mode, key, claim, fingerprint, destination, now, until, tokens, containers, cvcs, events, payloads, leaves, macs)
-- Records that cards are about to be opened and sent, then gives out what is sealed. One call, no transaction.
select verdict, token_id, sealed_number, key_version
  from vault.begin_forward($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: end_forward (merchant, mode, key, claim, outcome, status, reason, duration_ms)
-- Saves what came of a forward. One call, no transaction.
select vault.end_forward($1, $2, $3, $4, $5, $6, $7, $8) as saved;

-- name: forget_forwards ()
-- Keys of forwards that nobody repeats any more.
delete from vault.forward where begun_at < now() - interval '2 days';
