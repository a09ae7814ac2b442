-- name: page_of_tokens (merchant, mode, after, limit, version, algorithm)
-- Tokens by their ids; the number comes along where it is not sealed under this version and algorithm.
select token_id as id, '' as part, key_version,
       case when key_version <> $5 or substr(sealed_number, 1, 1) <> $6 then sealed_number end as sealed
  from vault.token
 where merchant_id = $1 and mode = $2 and token_id > $3
 order by token_id
 limit $4;

-- name: reseal_tokens (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile (migration 0072).
select vault.reseal_tokens($1, $2, $3, $5, $6, $7) as touched from (select $4::text[]) as unused;

-- name: page_of_details (merchant, mode, after, limit, version, algorithm)
-- What is sealed beside numbers, by the tokens' ids and the fields, likewise.
select token_id as id, field as part, key_version,
       case when key_version <> $5 or substr(sealed, 1, 1) <> $6 then sealed end as sealed
  from vault.token_detail
 where merchant_id = $1 and mode = $2 and token_id >= split_part($3, ' ', 1)
   and (token_id > split_part($3, ' ', 1) or field > split_part($3, ' ', 2))
 order by token_id, field
 limit $4;

-- name: reseal_details (merchant, mode, ids, parts, olds, news, version)
-- Likewise (migration 0071).
select vault.reseal_details($1, $2, $3, $4, $5, $6, $7) as touched;

-- name: page_of_connections (merchant, mode, after, limit, version, algorithm)
-- Connections by their ids, likewise.
select connection_id as id, '' as part, key_version,
       case when key_version <> $5 or substr(sealed_credentials, 1, 1) <> $6 then sealed_credentials end as sealed
  from vault.connection
 where merchant_id = $1 and mode = $2 and connection_id > $3
 order by connection_id
 limit $4;

-- name: reseal_connections (merchant, mode, ids, parts, olds, news, version)
-- Likewise.
with done as (
    update vault.connection c set sealed_credentials = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where c.merchant_id = $1 and c.mode = $2 and c.connection_id = u.id and c.sealed_credentials = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: page_of_destinations (merchant, mode, after, limit, version, algorithm)
-- Destinations of forwards by their ids, likewise.
select destination_id as id, '' as part, key_version,
       case when key_version <> $5 or substr(sealed, 1, 1) <> $6 then sealed end as sealed
  from vault.destination
 where merchant_id = $1 and mode = $2 and destination_id > $3
 order by destination_id
 limit $4;

-- name: reseal_destinations (merchant, mode, ids, parts, olds, news, version)
-- Likewise.
with done as (
    update vault.destination d set sealed = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where d.merchant_id = $1 and d.mode = $2 and d.destination_id = u.id and d.sealed = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: page_of_import_keys (merchant, mode, after, limit, version, algorithm)
-- The pairs that other providers encrypt to, by their ids, likewise; always of one algorithm.
select key_id as id, '' as part, key_version,
       case when key_version <> $5 or substr(sealed_private, 1, 1) <> $6 then sealed_private end as sealed
  from vault.import_key
 where merchant_id = $1 and mode = $2 and key_id > $3
 order by key_id
 limit $4;

-- name: reseal_import_keys (merchant, mode, ids, parts, olds, news, version)
-- Likewise.
with done as (
    update vault.import_key k set sealed_private = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where k.merchant_id = $1 and k.mode = $2 and k.key_id = u.id and k.sealed_private = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: page_of_import_pieces (merchant, mode, after, limit, version, algorithm)
-- Pieces of uploads by their imports and where they begin, likewise. A piece is sealed for `import.begins`.
select import_id || '.' || begins as id, '' as part, key_version,
       case when key_version <> $5 or substr(sealed, 1, 1) <> $6 then sealed end as sealed
  from vault.import_piece
 where merchant_id = $1 and mode = $2
   and (import_id, begins) > (split_part($3, '.', 1), coalesce(nullif(split_part($3, '.', 2), ''), '-1')::bigint)
 order by import_id, begins
 limit $4;

-- name: reseal_import_pieces (merchant, mode, ids, parts, olds, news, version)
-- Likewise.
with done as (
    update vault.import_piece p set sealed = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where p.merchant_id = $1 and p.mode = $2 and p.import_id = split_part(u.id, '.', 1)
       and p.begins = split_part(u.id, '.', 2)::bigint and p.sealed = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: page_of_fingerprints (merchant, mode, after, limit, version)
-- Tokens by their ids; what it takes to move their fingerprint comes along where it is of another version.
select token_id as id, key_version, fingerprint, fingerprint_version,
       case when fingerprint_version <> $5 then sealed_number end as sealed
  from vault.token
 where merchant_id = $1 and mode = $2 and token_id > $3
 order by token_id
 limit $4;

-- name: move_fingerprints (merchant, mode, ids, olds, old_versions, news, version)
-- Moves tokens and the identities of their cards to another fingerprint key (migration 0028).
select vault.move_fingerprints($1, $2, $3, $4, $5, $6, $7) as touched;

-- name: known_elsewhere (merchants, f_lock, f_merchant, f_mode, f_version, f_fingerprint)
-- Which cards have tokens under other versions of the fingerprint key (migration 0028).
select place, token_id from vault.known_elsewhere($1, $2, $3, $4, $5, $6);

-- name: forget_identities (merchants, i_merchant, i_mode, i_version, i_fingerprint, i_token)
-- Removes identities whose token is gone. A token and its identity are written in one transaction: where the one is seen
-- without the other, nothing will ever bring it back.
delete from vault.card_identity i
 using unnest($2::text[], $3::text[], $4::integer[], $5::bytea[], $6::text[]) as u (m, mode, version, fp, token)
 where i.merchant_id = any ($1::text[]) and i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.version
   and i.fingerprint = u.fp and i.token_id = u.token
   and not exists (select from vault.token t
                    where t.merchant_id = u.m and t.mode = u.mode and t.token_id = u.token);

-- name: count_tokens (merchant, mode, after, limit)
-- How many tokens come next by their ids, at most so many, and the last of them.
with slice as (
    select token_id from vault.token
     where merchant_id = $1 and mode = $2 and token_id > $3
     order by token_id
     limit $4)
select count(*) as rows, (select token_id from slice order by token_id desc limit 1) as last from slice;

-- name: count_details (merchant, mode, after, limit)
-- How many rows beside numbers, likewise.
with slice as (
    select token_id, field from vault.token_detail
     where merchant_id = $1 and mode = $2 and token_id >= split_part($3, ' ', 1)
       and (token_id > split_part($3, ' ', 1) or field > split_part($3, ' ', 2))
     order by token_id, field
     limit $4)
select count(*) as rows, (select token_id || ' ' || field from slice order by token_id desc, field desc limit 1) as last from slice;

-- name: count_connections (merchant, mode, after, limit)
-- Likewise.
with slice as (
    select connection_id from vault.connection
     where merchant_id = $1 and mode = $2 and connection_id > $3
     order by connection_id
     limit $4)
select count(*) as rows, (select connection_id from slice order by connection_id desc limit 1) as last from slice;

-- name: count_destinations (merchant, mode, after, limit)
-- Likewise.
with slice as (
    select destination_id from vault.destination
     where merchant_id = $1 and mode = $2 and destination_id > $3
     order by destination_id
     limit $4)
select count(*) as rows, (select destination_id from slice order by destination_id desc limit 1) as last from slice;

-- name: count_import_keys (merchant, mode, after, limit)
-- Likewise.
with slice as (
    select key_id from vault.import_key
     where merchant_id = $1 and mode = $2 and key_id > $3
     order by key_id
     limit $4)
select count(*) as rows, (select key_id from slice order by key_id desc limit 1) as last from slice;

-- name: count_import_pieces (merchant, mode, after, limit)
-- Likewise.
with slice as (
    select import_id, begins from vault.import_piece
     where merchant_id = $1 and mode = $2 and (import_id, begins) > (split_part($3, '.', 1), coalesce(nullif(split_part($3, '.', 2), ''), '-1')::bigint)
     order by import_id, begins
     limit $4)
select count(*) as rows, (select import_id || '.' || begins from slice order by import_id desc, begins desc limit 1) as last from slice;

-- name: guess_tokens (merchant, mode, pages)
-- About how many tokens a tenant has, by so many pages of the table, at random.
select round(t.found * 100 / share.percent)::bigint as rows
  from (select least(100, 100.0 * $3::integer * current_setting('block_size')::integer
                          / greatest(pg_relation_size('vault.token'), 1)) as percent) share,
       lateral (select count(*) as found from vault.token tablesample system (share.percent)
                 where merchant_id = $1 and mode = $2) t;

-- name: guess_details (merchant, mode, pages)
-- Likewise, of what is beside numbers.
select round(t.found * 100 / share.percent)::bigint as rows
  from (select least(100, 100.0 * $3::integer * current_setting('block_size')::integer
                          / greatest(pg_relation_size('vault.token_detail'), 1)) as percent) share,
       lateral (select count(*) as found from vault.token_detail tablesample system (share.percent)
                 where merchant_id = $1 and mode = $2) t;

-- name: lock_key (what)
-- One change of a key at a time.
select pg_advisory_xact_lock(20814, hashtext($1));

-- name: take_time ()
-- What follows may look at every row of a tenant.
select set_config('statement_timeout', '120s', true);

-- name: card_key_in_use (merchant, mode, version)
-- Whether a number is sealed under this version.
select exists (select from vault.token where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: details_key_in_use (merchant, mode, version)
-- Whether anything beside a number is sealed under this version.
select exists (select from vault.token_detail where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: credentials_key_in_use (merchant, mode, version)
-- Whether credentials are sealed under this version.
select exists (select from vault.connection where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: destinations_key_in_use (merchant, mode, version)
-- Whether a destination is sealed under this version.
select exists (select from vault.destination where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: import_keys_key_in_use (merchant, mode, version)
-- Whether the private part of a pair is sealed under this version.
select exists (select from vault.import_key where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: import_pieces_key_in_use (merchant, mode, version)
-- Whether a piece of an upload is sealed under this version.
select exists (select from vault.import_piece where merchant_id = $1 and mode = $2 and key_version = $3) as used;

-- name: digest_key_in_use (merchant, mode, version)
-- Whether an import is under way, whose digest may be keyed with this version.
select exists (select from vault.import
                where merchant_id = $1 and mode = $2 and state in ('open', 'received') and $3::integer > 0) as used;

-- name: fingerprint_key_in_use (merchant, mode, version)
-- Whether a card is known by a fingerprint of this version.
select exists (select from vault.card_identity where merchant_id = $1 and mode = $2 and key_version = $3)
    or exists (select from vault.token where merchant_id = $1 and mode = $2 and fingerprint_version = $3) as used;

-- name: uses_of_card_keys (merchant, mode, most)
-- How many numbers are sealed under each version, of the newest so many tokens, by the first byte, which names the
-- algorithm; and by which else of them is sealed what lies beside numbers, of as many rows.
select t.key_version as version, t.algorithm, count(*) filter (where t.numbers) as rows
  from ((select key_version, substr(sealed_number, 1, 1) as algorithm, true as numbers
           from vault.token where merchant_id = $1 and mode = $2
          order by merchant_id desc, mode desc, token_id desc limit $3)
         union all
        (select key_version, substr(sealed, 1, 1), false
           from vault.token_detail where merchant_id = $1 and mode = $2
          order by merchant_id desc, mode desc, token_id desc, field desc limit $3)) t
 group by t.key_version, t.algorithm;

-- name: uses_of_fingerprint_keys (merchant, mode, most)
-- How many cards are known by each version's fingerprint, of so many.
select key_version as version, count(*) as rows
  from (select key_version from vault.card_identity where merchant_id = $1 and mode = $2 limit $3) t
 group by key_version;

-- name: uses_of_credentials_keys (merchant, mode, most)
-- How many credentials, of connections and of destinations, are sealed under each version, of so many.
select key_version as version, count(*) as rows
  from (select key_version from vault.connection where merchant_id = $1 and mode = $2
         union all
        select key_version from vault.destination where merchant_id = $1 and mode = $2 limit $3) t
 group by key_version;

-- name: uses_of_transfer_keys (merchant, mode, most)
-- How many import keys and pieces of uploads are sealed under each version, of so many.
select key_version as version, count(*) as rows
  from (select key_version from vault.import_key where merchant_id = $1 and mode = $2
         union all
        select key_version from vault.import_piece where merchant_id = $1 and mode = $2 limit $3) t
 group by key_version;
