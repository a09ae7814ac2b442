-- name: identities (merchant, mode, versions, fingerprints)
-- The tokens of a card, by its fingerprint under each version of the key.
select i.token_id
  from unnest($3::integer[], $4::bytea[]) as u (version, fingerprint)
 cross join lateral (
       select k.token_id from vault.card_identity k
        where k.merchant_id = $1 and k.mode = $2 and k.key_version = u.version and k.fingerprint = u.fingerprint
       offset 0) i;

-- name: by_ids (merchant, mode, before_token, now, limit, containers, last4, bin, brand, from_month, to_month, metadata, tokens)
-- Of some tokens those of which everything that is asked for holds, newest first.
select t.merchant_id, t.mode, t.token_id, t.sealed_number, t.key_version, t.brand, t.bin, t.last4, t.exp_month,
       t.exp_year, t.fingerprint, t.fingerprint_version, t.single_use, t.expires_at, t.metadata::text as metadata,
       t.created_by, t.created_at, t.container, t.kind, t.pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = t.merchant_id and d.mode = t.mode and d.token_id = t.token_id) as details
  from vault.token t
 where t.merchant_id = $1 and t.mode = $2 and t.token_id = any ($13::text[]) and t.token_id < $3
   and (t.expires_at is null or t.expires_at > $4) and t.container = any ($6::text[])
   and ($7::text is null or t.last4 = $7) and ($8::text is null or t.bin = $8) and ($9::text is null or t.brand = $9)
   and ($10::integer is null or t.exp_year * 12 + t.exp_month >= $10)
   and ($11::integer is null or t.exp_year * 12 + t.exp_month <= $11)
   and ($12::text is null or t.metadata @> $12::text::jsonb)
 order by t.token_id desc
 limit $5;

-- name: by_last4 (merchant, mode, before_token, now, limit, containers, last4, bin, brand, from_month, to_month, metadata)
-- Likewise by the last four digits, through their index: a ten-thousandth of the rows, sorted here.
select t.merchant_id, t.mode, t.token_id, t.sealed_number, t.key_version, t.brand, t.bin, t.last4, t.exp_month,
       t.exp_year, t.fingerprint, t.fingerprint_version, t.single_use, t.expires_at, t.metadata::text as metadata,
       t.created_by, t.created_at, t.container, t.kind, t.pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = t.merchant_id and d.mode = t.mode and d.token_id = t.token_id) as details
  from (select k.* from vault.token k where k.merchant_id = $1 and k.mode = $2 and k.last4 = $7 offset 0) t
 where t.token_id < $3
   and (t.expires_at is null or t.expires_at > $4) and t.container = any ($6::text[])
   and ($8::text is null or t.bin = $8) and ($9::text is null or t.brand = $9)
   and ($10::integer is null or t.exp_year * 12 + t.exp_month >= $10)
   and ($11::integer is null or t.exp_year * 12 + t.exp_month <= $11)
   and ($12::text is null or t.metadata @> $12::text::jsonb)
 order by t.token_id desc
 limit $5;

-- name: by_looking (merchant, mode, before_token, now, limit, containers, last4, bin, brand, from_month, to_month, metadata, from_token)
-- Likewise among the tokens between two ids, through the primary key.
select t.merchant_id, t.mode, t.token_id, t.sealed_number, t.key_version, t.brand, t.bin, t.last4, t.exp_month,
       t.exp_year, t.fingerprint, t.fingerprint_version, t.single_use, t.expires_at, t.metadata::text as metadata,
       t.created_by, t.created_at, t.container, t.kind, t.pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = t.merchant_id and d.mode = t.mode and d.token_id = t.token_id) as details
  from vault.token t
 where t.merchant_id = $1 and t.mode = $2 and t.token_id < $3 and t.token_id >= $13
   and (t.expires_at is null or t.expires_at > $4) and t.container = any ($6::text[])
   and ($7::text is null or t.last4 = $7) and ($8::text is null or t.bin = $8) and ($9::text is null or t.brand = $9)
   and ($10::integer is null or t.exp_year * 12 + t.exp_month >= $10)
   and ($11::integer is null or t.exp_year * 12 + t.exp_month <= $11)
   and ($12::text is null or t.metadata @> $12::text::jsonb)
 order by t.token_id desc
 limit $5;

-- name: by_looking_inside (merchant, mode, before_token, now, limit, containers, last4, bin, brand, from_month, to_month, metadata, from_token, container)
-- Likewise among the tokens of one container, through its index.
select t.merchant_id, t.mode, t.token_id, t.sealed_number, t.key_version, t.brand, t.bin, t.last4, t.exp_month,
       t.exp_year, t.fingerprint, t.fingerprint_version, t.single_use, t.expires_at, t.metadata::text as metadata,
       t.created_by, t.created_at, t.container, t.kind, t.pan_alias,
       array(select d.field from vault.token_detail d
              where d.merchant_id = t.merchant_id and d.mode = t.mode and d.token_id = t.token_id) as details
  from vault.token t
 where t.merchant_id = $1 and t.mode = $2 and t.container = $14 and t.container <> 'default'
   and t.token_id < $3 and t.token_id >= $13
   and (t.expires_at is null or t.expires_at > $4) and t.container = any ($6::text[])
   and ($7::text is null or t.last4 = $7) and ($8::text is null or t.bin = $8) and ($9::text is null or t.brand = $9)
   and ($10::integer is null or t.exp_year * 12 + t.exp_month >= $10)
   and ($11::integer is null or t.exp_year * 12 + t.exp_month <= $11)
   and ($12::text is null or t.metadata @> $12::text::jsonb)
 order by t.token_id desc
 limit $5;

-- name: look_until (merchant, mode, before_token, rows)
-- The id of the token that is so many rows further on; no row where there are fewer.
select token_id from vault.token
 where merchant_id = $1 and mode = $2 and token_id < $3
 order by token_id desc
offset $4 limit 1;

-- name: look_inside_until (merchant, mode, before_token, rows, container)
-- Likewise among the tokens of one container.
select token_id from vault.token
 where merchant_id = $1 and mode = $2 and container = $5 and container <> 'default' and token_id < $3
 order by token_id desc
offset $4 limit 1;

-- name: walk_indexes ()
-- What follows in this transaction walks an index in its order, whatever the planner thinks of how few rows there are.
select set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true);
