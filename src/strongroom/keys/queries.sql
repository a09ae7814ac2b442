-- name: current_data_key (merchant, mode, name)
-- The version that seals now.
select merchant_id, mode, name, purpose, version, state, wrapped, mac, made_at from keys.data_key
 where merchant_id = $1 and mode = $2 and name = $3 and state = 'active'
 order by version desc
 limit 1;

-- name: data_key_version (merchant, mode, name, version)
-- One version, in any state.
select merchant_id, mode, name, purpose, version, state, wrapped, mac, made_at from keys.data_key
 where merchant_id = $1 and mode = $2 and name = $3 and version = $4;

-- name: add_data_key (merchant, mode, name, purpose, version, state, wrapped, mac, made_at)
-- A new version; of two that race, the first stays.
insert into keys.data_key (merchant_id, mode, name, purpose, version, state, wrapped, mac, made_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing;

-- name: update_data_key (merchant, mode, name, version, state, wrapped, mac)
-- What may change of a version that is not destroyed.
update keys.data_key set state = $5, wrapped = $6, mac = $7
 where merchant_id = $1 and mode = $2 and name = $3 and version = $4 and state <> 'destroyed';

-- name: retire_data_key (merchant, mode, name, version, state, wrapped, mac, mac_before)
-- Likewise, of a version that nobody has changed since it was read.
update keys.data_key set state = $5, wrapped = $6, mac = $7
 where merchant_id = $1 and mode = $2 and name = $3 and version = $4 and mac = $8 and state <> 'destroyed';

-- name: every_data_key ()
-- Every version that still opens, of every tenant that this login sees: a drill unwraps them all.
select merchant_id, mode, name, version from keys.data_key where state <> 'destroyed'
 order by merchant_id, mode, name, version;
-- name: data_key_versions (merchant, mode, name)
-- Every version, oldest first.
select merchant_id, mode, name, purpose, version, state, wrapped, mac, made_at from keys.data_key
 where merchant_id = $1 and mode = $2 and name = $3
 order by version;

-- name: note_key_change (merchant, mode, name, version, what, at)
-- Tells every process that a version was made or destroyed.
insert into keys.change (merchant_id, mode, name, version, what, at) values ($1, $2, $3, $4, $5, $6)
    on conflict do nothing;

-- name: be_key_watch ()
-- States that this transaction looks over every tenant's keys, and changes none (row-level security).
select set_config('strongroom.job', 'keys', true);

-- name: key_changes (since)
-- What was rotated or destroyed since then.
select merchant_id, mode, name, version, what, at from keys.change where at >= $1;

-- name: list_data_keys (purposes, after_merchant, after_mode, after_name, after_version, limit)
-- A page of every tenant's keys of some roots, in the order of the primary key.
select merchant_id, mode, name, purpose, version, state, wrapped, mac, made_at from keys.data_key
 where purpose = any ($1::text[]) and (merchant_id, mode, name, version) > ($2, $3, $4, $5)
 order by merchant_id, mode, name, version
 limit $6;

-- name: rewrap_data_key (merchant, mode, name, version, wrapped, mac, mac_before)
-- Wraps a version anew, where nothing else has changed it meanwhile.
update keys.data_key set wrapped = $5, mac = $6
 where merchant_id = $1 and mode = $2 and name = $3 and version = $4 and mac = $7 and state <> 'destroyed';

-- name: rewrap_at (purpose)
-- Behind which key a walk over the data keys of a root was cut off.
select root, past_owner, past_mode, past_name, past_version, done from keys.rewrap where purpose = $1;

-- name: note_rewrap (purpose, root, owner, mode, name, version, done, at)
-- Notes how far such a walk is.
insert into keys.rewrap (purpose, root, past_owner, past_mode, past_name, past_version, done, at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (purpose) do update
       set root = excluded.root, past_owner = excluded.past_owner, past_mode = excluded.past_mode,
           past_name = excluded.past_name, past_version = excluded.past_version, done = excluded.done, at = excluded.at;

-- name: end_rewrap (purpose)
-- It came to its end: the next one begins anew.
delete from keys.rewrap where purpose = $1;
