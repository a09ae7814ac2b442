-- name: hold_ids (tenant)
-- One change of ids at a time for a tenant; what is to be erased by a name other than its id is not erased meanwhile.
select pg_advisory_xact_lock(20815, hashtext($1));

-- name: page_to_replace (merchant, mode, container, after, before, limit, job)
-- Lasting tokens whose ids were made before a time, of one container or of all (''), and not by this job itself. Held
-- until this transaction ends: what is sealed anew is what is there then.
select token_id, sealed_number, key_version from vault.token t
 where merchant_id = $1 and mode = $2 and ($3::text = '' or container = $3) and token_id > $4 and token_id < $5
   and not single_use
   and not exists (select from vault.token_alias a
                    where a.merchant_id = $1 and a.mode = $2 and a.token_id = t.token_id and a.job_id = $7)
 order by token_id
 limit $6
   for update of t;

-- name: named_to_replace (merchant, mode, tokens)
-- Lasting tokens by their ids, likewise.
select token_id, sealed_number, key_version from vault.token
 where merchant_id = $1 and mode = $2 and token_id = any ($3::text[]) and not single_use
 order by token_id
   for update;

-- name: details_to_replace (merchant, mode, tokens)
-- What is sealed beside their numbers, held after their tokens: a cryptogram that is being used is used, and does not come
-- back.
select token_id, field, sealed, key_version, expires_at from vault.token_detail
 where merchant_id = $1 and mode = $2 and token_id = any ($3::text[])
 order by token_id, field
   for update;

-- name: containers_of_tokens (merchant, mode, tokens)
-- Where tokens stand.
select distinct container from vault.token where merchant_id = $1 and mode = $2 and token_id = any ($3::text[]);

-- name: containers_of_tenant (merchant, mode)
-- Where a tenant's tokens may stand, besides `default`.
select name from vault.container where merchant_id = $1 and mode = $2;

-- name: replace_tokens (merchant, mode, job, until, at, olds, news, old_sealed, new_sealed, version, d_new, d_field, d_sealed, d_version, d_expires)
-- Gives tokens other ids (migration 0037).
select old_id, token_id from vault.replace_tokens($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: mapping (merchant, mode, job, after, limit)
-- What a retokenization's old ids became.
select old_id, token_id, until from vault.token_alias
 where merchant_id = $1 and mode = $2 and job_id = $3 and old_id > $4
 order by old_id
 limit $5;
