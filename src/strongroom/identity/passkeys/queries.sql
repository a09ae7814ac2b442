-- name: insert_passkey (merchant, person, passkey, credential, public_key, sign_count, aaguid, attestation, transports, backup_eligible, backed_up, name, created_at)
-- A new passkey.
insert into identity.passkey
       (merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation, transports,
        backup_eligible, backed_up, name, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: passkeys_of_person (merchant, person)
-- A person's passkeys, oldest first.
select merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation, transports,
       backup_eligible, backed_up, name, created_at, last_used_at
  from identity.passkey
 where merchant_id = $1 and person_id = $2
 order by passkey_id;

-- name: lock_person (merchant, person)
-- Whoever adds or removes a factor of a person does so alone.
select person_id from identity.person where merchant_id = $1 and person_id = $2 for update;

-- name: count_passkeys (merchant, person)
-- How many passkeys a person has.
select count(*) as count from identity.passkey where merchant_id = $1 and person_id = $2;

-- name: present_credential (credential_hex)
-- States which credential this transaction may look for (row-level security).
select set_config('strongroom.presented_credential', $1, true);

-- name: owner_of_credential (credential)
-- Whose credential that is.
select merchant_id, person_id from identity.passkey where credential_id = $1;

-- name: passkey_for_use (merchant, credential)
-- A tenant's passkey for one use: two uses of it wait for each other, so that the counter is compared with the last.
select merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation, transports,
       backup_eligible, backed_up, name, created_at, last_used_at
  from identity.passkey
 where merchant_id = $1 and credential_id = $2
   for update;

-- name: passkey_used (merchant, passkey, sign_count, backed_up, used_at)
-- What a passkey's use changes.
update identity.passkey set sign_count = $3, backed_up = $4, last_used_at = $5
 where merchant_id = $1 and passkey_id = $2;

-- name: rename_passkey (merchant, person, passkey, name)
-- Gives a passkey another name.
update identity.passkey set name = $4
 where merchant_id = $1 and person_id = $2 and passkey_id = $3
returning merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation, transports,
          backup_eligible, backed_up, name, created_at, last_used_at;

-- name: delete_passkey (merchant, person, passkey)
-- Ends a passkey.
delete from identity.passkey where merchant_id = $1 and person_id = $2 and passkey_id = $3;

-- name: delete_passkeys_of_person (merchant, person)
-- Ends every passkey of a person who is reset.
delete from identity.passkey where merchant_id = $1 and person_id = $2;

-- name: put_challenge (merchant, challenge_hash, purpose, person, session, expires_at)
-- A challenge that goes out.
insert into identity.passkey_challenge (merchant_id, challenge_hash, purpose, person_id, session_id, expires_at)
values ($1, $2, $3, $4, $5, $6);

-- name: drop_challenges (merchant, person, purpose, session, now)
-- What the new challenge replaces, and what nobody answered in time. Of a login nothing is replaced: anybody may ask.
delete from identity.passkey_challenge
 where merchant_id = $1
   and (expires_at <= $5
        or (person_id = $2::text and purpose = $3::text and session_id is not distinct from $4::text));

-- name: take_challenge (merchant, challenge_hash)
-- Takes a challenge back, once, whatever comes of it.
delete from identity.passkey_challenge
 where merchant_id = $1 and challenge_hash = $2
returning purpose, person_id, session_id, expires_at;

-- name: merchant_status (merchant)
-- Whether a tenant is active; the platform has no row and always is.
select status from identity.merchant where merchant_id = $1;
