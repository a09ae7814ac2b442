-- name: hold_person (merchant, person)
-- Lets one transaction at a time change a person's factors: of two that each remove the last but one, one waits.
select person_id from identity.person where merchant_id = $1 and person_id = $2 for update;

-- name: totp_of (merchant, person, state)
-- A person's authenticator app: the one in use, or the one being set up.
select merchant_id, person_id, sealed_secret, key_version, last_step, created_at
  from identity.totp
 where merchant_id = $1 and person_id = $2 and state = $3;

-- name: put_pending_totp (merchant, person, sealed_secret, key_version, last_step, created_at)
-- Begins to set one up; one that was begun before is forgotten.
insert into identity.totp (merchant_id, person_id, state, sealed_secret, key_version, last_step, created_at)
values ($1, $2, 'pending', $3, $4, $5, $6)
    on conflict (merchant_id, person_id, state) do nothing;

-- name: remove_totp (merchant, person, state)
-- Removes the one in use, or the one being set up.
delete from identity.totp where merchant_id = $1 and person_id = $2 and state = $3;

-- name: activate_totp (merchant, person, step, sealed_secret)
-- The one being set up is in use from now on; the code that confirmed it is used up.
update identity.totp set state = 'active', last_step = $3
 where merchant_id = $1 and person_id = $2 and state = 'pending' and sealed_secret = $4;

-- name: take_totp_step (merchant, person, step)
-- Uses up a code and all before it. Of any number at once, one changes the row (PCI DSS 8.5.1: no replay).
update identity.totp set last_step = $3
 where merchant_id = $1 and person_id = $2 and state = 'active' and last_step < $3;

-- name: insert_recovery_codes (merchant, person, code_hashes, made_at)
-- New recovery codes.
insert into identity.recovery_code (merchant_id, person_id, code_hash, made_at)
select $1, $2, code_hash, $4 from unnest($3::bytea[]) code_hash;

-- name: remove_recovery_codes (merchant, person)
-- Ends every recovery code of a person.
delete from identity.recovery_code where merchant_id = $1 and person_id = $2;

-- name: use_recovery_code (merchant, person, code_hash, used_at)
-- Uses a code up, once.
update identity.recovery_code set used_at = $4
 where merchant_id = $1 and person_id = $2 and code_hash = $3 and used_at is null;

-- name: recovery_codes_left (merchant, person)
-- How many still hold, and when they were made.
select count(*) filter (where used_at is null) as codes_left, max(made_at) as made_at
  from identity.recovery_code
 where merchant_id = $1 and person_id = $2;

-- name: page_of_totp_secrets (merchant, mode, after, limit, version)
-- Secrets of authenticator apps (which belong to no mode) by their ids; what is sealed comes along where it is not of this version.
select person_id as id, state as part, key_version, case when key_version <> $5 then sealed_secret end as sealed
  from identity.totp
 where merchant_id = $1 and $2::text = '' and person_id >= split_part($3, ' ', 1) and (person_id > split_part($3, ' ', 1) or state > split_part($3, ' ', 2))
 order by person_id, state
 limit $4;

-- name: reseal_totp_secrets (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update identity.totp t set sealed_secret = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and $2::text = '' and t.person_id = u.id and t.state = u.part and t.sealed_secret = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_totp_secrets (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from identity.totp
         where merchant_id = $1 and $2::text = '' and ($3::integer is null or key_version = $3)
         limit $4) t;
