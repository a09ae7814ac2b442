-- name: put_tokens (merchants, k_merchant, k_mode, k_route, k_key, k_claim, k_fingerprint, k_status, k_object, k_response, t_group, t_token, t_sealed, t_key_version, t_brand, t_bin, t_last4, t_exp_month, t_exp_year, t_fingerprint, t_fp_version, t_single_use, t_expires_at, t_metadata, t_created_by, t_created_at, t_container, t_kind, t_alias, d_item, d_field, d_sealed, d_key_version, d_expires_at, a_group, a_event, a_payload, a_leaf, a_mac)
-- The hot write: keys, identities, tokens and audit records of a batch in one transaction (migration 0025).
select kind, group_no, item, token_id, fingerprint, status, object_id, response
  from vault.put_tokens($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                        $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39);

-- name: put_columns (groups, tokens, records, t_sealed_bytes, a_payload_bytes, merchants, k_merchant, k_mode, k_route, k_key, k_claim, k_fingerprint, k_status, k_object, k_response, t_group, t_token, t_sealed, t_key_version, t_brand, t_bin, t_last4, t_exp_month, t_exp_year, t_fingerprint, t_fp_version, t_single_use, t_expires_at, t_metadata, t_created_by, t_created_at, t_container, t_kind, t_alias, d_item, d_field, d_sealed, d_key_version, d_expires_at, a_group, a_event, a_payload, a_leaf, a_mac)
-- Likewise, for many tokens: a column is one text or one run of bytes (migration 0069, `vault.packing`).
select kind, group_no, item, token_id, fingerprint, status, object_id, response
  from vault.put_columns($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                         $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38,
                         $39, $40, $41, $42, $43, $44);

-- name: request_by_key (merchant, mode, route, key)
-- What a key was answered with, today or yesterday.
select claim, fingerprint, status, object_id, response from idempotency.request
 where merchant_id = $1 and mode = $2 and route = $3 and key = $4
   and day >= (clock_timestamp() at time zone 'utc')::date - 1;

-- name: token_by_id (merchant, mode, token, now)
-- One token that has not expired.
select merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year, fingerprint,
       fingerprint_version, single_use, expires_at, metadata::text as metadata, created_by, created_at, container,
       kind, pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = token.merchant_id and d.mode = token.mode and d.token_id = token.token_id) as details
  from vault.token
 where merchant_id = $1 and mode = $2 and token_id = $3 and (expires_at is null or expires_at > $4);

-- name: tokens_by_id (merchants, tokens)
-- Tokens that known cards already have.
select merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year, fingerprint,
       fingerprint_version, single_use, expires_at, metadata::text as metadata, created_by, created_at, container,
       kind, pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = token.merchant_id and d.mode = token.mode and d.token_id = token.token_id) as details
  from vault.token
 where merchant_id = any ($1::text[]) and token_id = any ($2::text[]);

-- name: container_of_token (merchant, mode, token)
-- Where a token stands, held there until this transaction ends.
select container from vault.token where merchant_id = $1 and mode = $2 and token_id = $3 for update;

-- name: list_tokens (merchant, mode, before_token, now, limit, containers)
-- A page of a tenant's tokens in some containers, newest first.
select merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year, fingerprint,
       fingerprint_version, single_use, expires_at, metadata::text as metadata, created_by, created_at, container,
       kind, pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = token.merchant_id and d.mode = token.mode and d.token_id = token.token_id) as details
  from vault.token
 where merchant_id = $1 and mode = $2 and token_id < $3 and (expires_at is null or expires_at > $4)
   and container = any ($6::text[])
 order by token_id desc
 limit $5;

-- name: list_contained (merchant, mode, before_token, now, limit, containers)
-- Likewise where `default` is not among them: a few rows of each container, by their own index.
select t.merchant_id, t.mode, t.token_id, t.sealed_number, t.key_version, t.brand, t.bin, t.last4, t.exp_month,
       t.exp_year, t.fingerprint, t.fingerprint_version, t.single_use, t.expires_at, t.metadata, t.created_by,
       t.created_at, t.container, t.kind, t.pan_alias, t.details
  from unnest($6::text[]) as c (name)
 cross join lateral (
       select k.merchant_id, k.mode, k.token_id, k.sealed_number, k.key_version, k.brand, k.bin, k.last4, k.exp_month,
              k.exp_year, k.fingerprint, k.fingerprint_version, k.single_use, k.expires_at,
              k.metadata::text as metadata, k.created_by, k.created_at, k.container, k.kind, k.pan_alias,
              array(select d.field from vault.token_detail d
                     where d.merchant_id = k.merchant_id and d.mode = k.mode and d.token_id = k.token_id) as details
         from vault.token k
        where k.merchant_id = $1 and k.mode = $2 and k.container = c.name and k.container <> 'default'
          and k.token_id < $3 and (k.expires_at is null or k.expires_at > $4)
        order by k.token_id desc
        limit $5) t
 order by t.token_id desc
 limit $5;

-- name: delete_token (merchant, mode, token)
-- Removes a token; says what it had, so that its identity goes with it.
delete from vault.token where merchant_id = $1 and mode = $2 and token_id = $3
returning token_id, brand, last4, fingerprint, fingerprint_version;

-- name: delete_expired_token (merchant, mode, token)
-- Likewise, if its time has passed: one that was kept meanwhile stays.
delete from vault.token where merchant_id = $1 and mode = $2 and token_id = $3 and expires_at <= now()
returning token_id, brand, last4, fingerprint, fingerprint_version;

-- name: delete_identity (merchant, mode, fingerprint_version, fingerprint, token)
-- Removes the card identity of a deleted token.
delete from vault.card_identity
 where merchant_id = $1 and mode = $2 and key_version = $3 and fingerprint = $4 and token_id = $5;

-- name: keep_token (merchant, mode, token, metadata, now)
-- A single-use token becomes lasting.
update vault.token set single_use = false, expires_at = case when single_use then null else expires_at end,
       metadata = coalesce($4::text::jsonb, metadata)
 where merchant_id = $1 and mode = $2 and token_id = $3 and (expires_at is null or expires_at > $5)
returning merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year, fingerprint,
       fingerprint_version, single_use, expires_at, metadata::text as metadata, created_by, created_at, container,
       kind, pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = token.merchant_id and d.mode = token.mode and d.token_id = token.token_id) as details;

-- name: be_expiry_job ()
-- States that this transaction does retention (row-level security).
select set_config('strongroom.job', 'expiry', true);

-- name: expired_tokens (limit)
-- Tokens of every tenant whose time has passed.
select merchant_id, mode, token_id, brand, last4 from vault.token
 where expires_at <= now()
 order by expires_at
 limit $1
   for update skip locked;

-- name: epochs_of_slot (slot, now)
-- CVC epoch keys of a slot that still serve.
select slot, epoch_id, wrapped, made_at, destroy_at from vault.cvc_epoch where slot = $1 and destroy_at > $2
 order by made_at, epoch_id;

-- name: epoch_by_id (epoch, now)
-- One CVC epoch key.
select slot, epoch_id, wrapped, made_at, destroy_at from vault.cvc_epoch where epoch_id = $1 and destroy_at > $2;

-- name: insert_epoch (slot, epoch, wrapped, made_at, destroy_at)
-- A new CVC epoch key.
insert into vault.cvc_epoch (slot, epoch_id, wrapped, made_at, destroy_at) values ($1, $2, $3, $4, $5);

-- name: slots_past (now)
-- Slots all of whose epochs are to be destroyed.
select slot from vault.cvc_epoch group by slot having max(destroy_at) <= $1;

-- name: destroy_slot_0 ()
-- Truncated, not deleted: a deleted row's bytes would stay in the file.
truncate table vault.cvc_epoch_0;

-- name: destroy_slot_1 ()
-- Likewise.
truncate table vault.cvc_epoch_1;

-- name: destroy_slot_2 ()
-- Likewise.
truncate table vault.cvc_epoch_2;

-- name: destroy_slot_3 ()
-- Likewise.
truncate table vault.cvc_epoch_3;

-- name: use_cvc (merchant, mode, cvc, now)
-- Records that a sealed CVC is used; no row when it was before.
insert into vault.cvc_use (merchant_id, mode, cvc_id, used_at) values ($1, $2, $3, $4) on conflict do nothing
returning cvc_id;

-- name: forget_cvc_uses ()
-- Uses of CVCs whose epochs are long gone.
delete from vault.cvc_use where used_at < now() - interval '1 hour';

-- name: card_facts (merchants, modes, tokens, moments)
-- Likewise, with where each stands and what payments read of it, sealed; of the `n`th, if it is there. The function
-- states each one's merchant (migration 0025). What is asked for is read as a row, so that no plan is better for knowing
-- how much that is: PostgreSQL would make one for each call.
with asked as materialized (
    select $1::text[] as ms, $2::text[] as mds, $3::text[] as tokens, $4::timestamptz[] as moments
)
select w.n, f.token_id, f.brand, f.bin, f.last4, f.exp_month, f.exp_year, f.single_use, f.container, f.kind,
       f.network_token, f.network_token_version, f.has_cryptogram, f.stored_credential, f.stored_credential_version
  from asked a
 cross join lateral unnest(a.ms, a.mds, a.tokens, a.moments) with ordinality as w (m, md, token, at, n)
 cross join lateral vault.card_facts(w.m, w.md, w.token, w.at) as f;

-- name: use_card (merchants, modes, tokens, containers, cvcs, cryptograms, moments, record_ends, events, payloads, leaves, macs, addresses)
-- `use_token`, for tokens that stand in the container whose rules were asked, and with their cryptograms (migration
-- 0025): one by one, in one transaction. The records of each end where `record_ends` says. Where an address is wanted
-- it is given out too, once the use is recorded (migration 0067). Read as a row for the reason that `card_facts` has.
with asked as materialized (
    select $1::text[] as ms, $2::text[] as mds, $3::text[] as tokens, $4::text[] as containers, $5::text[] as cvcs,
           $6::boolean[] as cryptograms, $7::timestamptz[] as moments, $8::integer[] as ends,
           (0 || $8::integer[])[1:cardinality($8::integer[])] as begins,
           $9::text[] as events, $10::bytea[] as payloads, $11::bytea[] as leaves, $12::bytea[] as macs,
           $13::boolean[] as addresses
)
select w.n, u.verdict, u.sealed_number, u.key_version, u.exp_month, u.exp_year, u.cryptogram_sealed,
       u.cryptogram_version, b.sealed as address_sealed, b.key_version as address_version
  from asked a
 cross join lateral unnest(a.ms, a.mds, a.tokens, a.containers, a.cvcs, a.cryptograms, a.moments, a.ends, a.begins,
                           a.addresses)
       with ordinality as w (m, md, token, container, cvc, cryptogram, at, last, before, address, n)
 cross join lateral vault.use_card(w.m, w.md, w.token, w.container, w.cvc, w.cryptogram, w.at,
                                   a.events[w.before + 1:w.last], a.payloads[w.before + 1:w.last],
                                   a.leaves[w.before + 1:w.last], a.macs[w.before + 1:w.last]) as u
  left join lateral (select o.sealed, o.key_version
                       from vault.address_of_use(w.m, w.md, w.token, u.verdict = 'used') as o
                      where w.address) as b on true;

-- name: details_of_token (merchant, mode, token)
-- What is sealed beside a number.
select field, sealed, key_version from vault.token_detail where merchant_id = $1 and mode = $2 and token_id = $3;

-- name: container_is_there (merchant, mode, name)
-- A container that does not end before this transaction does.
select name from vault.container where merchant_id = $1 and mode = $2 and name = $3 for key share;

-- name: change_token (merchant, mode, token, exp_month, exp_year, metadata, container, expires_at)
-- What a token has besides its number.
update vault.token set exp_month = $4, exp_year = $5, metadata = $6::text::jsonb, container = $7, expires_at = $8
 where merchant_id = $1 and mode = $2 and token_id = $3;

-- name: put_detail (merchant, mode, token, field, sealed, key_version, expires_at)
-- Something sealed beside a number; takes the place of what was there.
insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (merchant_id, mode, token_id, field) do update
   set sealed = excluded.sealed, key_version = excluded.key_version, expires_at = excluded.expires_at;

-- name: end_details (merchant, mode, token, fields)
-- Takes away what was sealed beside a number.
delete from vault.token_detail
 where merchant_id = $1 and mode = $2 and token_id = $3 and field = any ($4::text[]);

-- name: token_of_alias (merchant, mode, alias)
-- Which token an alias stands for.
select token_id from vault.token where merchant_id = $1 and mode = $2 and pan_alias = $3;

-- name: expired_cryptograms ()
-- Ends the cryptograms of every tenant whose time has passed.
delete from vault.token_detail where expires_at <= now();

-- name: make_lasting (merchant, mode, token, now)
-- A single-use token becomes lasting, as it is.
update vault.token set single_use = false, expires_at = null
 where merchant_id = $1 and mode = $2 and token_id = $3 and single_use and expires_at > $4
returning token_id;

-- name: connection_by_id (merchant, mode, connection)
-- One connection, with its credentials sealed.
select processor, base_url, sealed_credentials, key_version, status from vault.connection
 where merchant_id = $1 and mode = $2 and connection_id = $3;

-- name: insert_connection (merchant, mode, connection, processor, base_url, sealed, key_version, now)
-- A new connection; no row when its id is taken.
insert into vault.connection (merchant_id, mode, connection_id, processor, base_url, sealed_credentials, key_version,
                              status, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $8)
    on conflict do nothing
returning connection_id;

-- name: change_credentials (merchant, mode, connection, sealed_before, sealed, key_version, now)
-- Puts what was decided over the sealed credentials in their place; no row when somebody else was first, or it ended.
update vault.connection set sealed_credentials = $5, key_version = $6, updated_at = $7
 where merchant_id = $1 and mode = $2 and connection_id = $3 and sealed_credentials = $4 and status = 'active'
returning processor;

-- name: disable_connection (merchant, mode, connection, now)
-- Ends a connection; no row when it is not active.
update vault.connection set status = 'disabled', updated_at = $4
 where merchant_id = $1 and mode = $2 and connection_id = $3 and status = 'active'
returning processor;

-- name: newest_token_ids (merchant, mode, most)
-- A tenant's newest tokens: where a value that does not open here may have been taken from.
select token_id from vault.token where merchant_id = $1 and mode = $2
 order by merchant_id desc, mode desc, token_id desc
 limit $3;

-- name: move_canary (sealed, key_version)
-- Puts the canary under a newer version of its key, and never under an older one.
update vault.canary set sealed = $1, key_version = $2 where name = 'backup' and key_version <= $2;

-- name: put_canary (sealed, key_version, now)
-- The sealed value by which a restored backup shows that it opens.
insert into vault.canary (name, sealed, key_version, made_at) values ('backup', $1, $2, $3) on conflict do nothing;

-- name: canary ()
-- That value.
select sealed, key_version from vault.canary where name = 'backup';

-- name: pin_region (region, now)
-- The region that this database was made for; the first one stays.
insert into vault.region (region, made_at) values ($1, $2) on conflict do nothing;

-- name: pinned_region ()
-- That region.
select region from vault.region;

-- name: token_of_old_id (merchant, mode, old, now)
-- What an id of before a retokenization stands for, as long as it does; null: it is none, or does no more.
select vault.present_id($1, $2, $3, $4) as token_id;

-- name: old_ids_of_token (merchant, mode, token, now)
-- The ids of before that still stand for a token.
select old_id from vault.token_alias
 where merchant_id = $1 and mode = $2 and token_id = $3 and until > $4
 order by old_id;
