-- name: hold_tokens (merchant, mode, tokens)
-- Holds tokens until this transaction ends. In a statement of its own: what a rotation of the fingerprint key has moved
-- while this waited for it, the next statement sees.
select token_id from vault.token where merchant_id = $1 and mode = $2 and token_id = any ($3::text[])
 order by token_id
   for update;

-- name: erase_tokens (merchant, mode, tokens)
-- Deletes tokens that are held, and the identities of their cards; says of each what its record says.
with gone as (
    delete from vault.token where merchant_id = $1 and mode = $2 and token_id = any ($3::text[])
    returning token_id, brand, last4, container, fingerprint, fingerprint_version),
identities as (
    delete from vault.card_identity i using gone g
     where i.merchant_id = $1 and i.mode = $2 and i.key_version = g.fingerprint_version
       and i.fingerprint = g.fingerprint and i.token_id = g.token_id)
select token_id, brand, last4, container from gone order by token_id;

-- name: forget_reveals (merchant, mode, tokens)
-- Who was shown the cards of tokens, and what they wrote beside it; under the ids that the tokens had before, too.
delete from vault.reveal
 where merchant_id = $1 and mode = $2
   and token_id = any ($3::text[] || array(select a.old_id from vault.token_alias a
                                            where a.merchant_id = $1 and a.mode = $2 and a.token_id = any ($3::text[])));

-- name: forget_some_reveals (merchant, mode, limit)
-- Likewise, of a tenant; so many.
delete from vault.reveal
 where (merchant_id, mode, event_id) in (select merchant_id, mode, event_id from vault.reveal
                                          where merchant_id = $1 and mode = $2
                                          order by event_id
                                          limit $3);

-- name: forget_some_aliases (merchant, mode, limit)
-- What a tenant's old ids stood for; so many.
delete from vault.token_alias
 where (merchant_id, mode, old_id) in (select merchant_id, mode, old_id from vault.token_alias
                                        where merchant_id = $1 and mode = $2
                                        order by old_id
                                        limit $3);

-- name: hold_ids (tenant)
-- No token of a tenant gets another id until this transaction ends, or waits for those that do.
select pg_advisory_xact_lock(20815, hashtext($1));

-- name: state_erasing (scope)
-- States that this transaction makes its own erasure, so that the table's trigger makes none.
select set_config('strongroom.erasing', $1, true);

-- name: be_eraser ()
-- States that this transaction looks over every tenant's erasures (row-level security).
select set_config('strongroom.job', 'erasure', true);

-- name: tokens_of_customer (merchant, mode, customer, limit)
-- A customer's tokens: those whose metadata say so.
select token_id, container from vault.token
 where merchant_id = $1 and mode = $2 and metadata ? 'customer' and metadata ->> 'customer' = $3
 order by token_id
 limit $4
   for update;

-- name: token_and_container (merchant, mode, token)
-- One token, kept in its container until the transaction ends.
select token_id, container from vault.token where merchant_id = $1 and mode = $2 and token_id = $3 for update;

-- name: first_tokens (merchant, mode, limit)
-- The oldest tokens of a tenant.
select token_id from vault.token where merchant_id = $1 and mode = $2 order by token_id limit $3;

-- name: tokens_past (merchant, mode, container, after, up_to, before, limit)
-- A page of a container's tokens, and whether each was made before a time. Its id does not say so: retokenization gives
-- a younger one.
select token_id, created_at < $6 as past from vault.token
 where merchant_id = $1 and mode = $2 and container = $3 and token_id > $4 and token_id < $5
 order by token_id
 limit $7;

-- name: newest_card_key (merchant, mode)
-- The newest version of a tenant's card key, which may have sealed any of its tokens.
select coalesce(max(version), 0) as version from keys.data_key
 where merchant_id = $1 and mode = $2 and name = 'card';

-- name: living_card_key (merchant, mode)
-- A version of a tenant's card key that still opens.
select version from keys.data_key
 where merchant_id = $1 and mode = $2 and name = 'card' and state <> 'destroyed'
 limit 1;

-- name: add_erasure (merchant, mode, erasure, scope, state, tokens, key_version, by, now, rotate_at, complete_at)
-- A new erasure.
insert into vault.erasure (merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by, requested_at,
                           rotate_at, look_at, complete_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11);

-- name: erasure_by_id (merchant, mode, erasure)
-- One erasure.
select merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by, requested_at, rotate_at,
       destroyed_at, complete_at, problem
  from vault.erasure where merchant_id = $1 and mode = $2 and erasure_id = $3;

-- name: list_erasures (merchant, mode, before, limit)
-- A page of a tenant's erasures, newest first.
select merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by, requested_at, rotate_at,
       destroyed_at, complete_at, problem
  from vault.erasure where merchant_id = $1 and mode = $2 and erasure_id < $3
 order by erasure_id desc
 limit $4;

-- name: due_erasures (now, limit)
-- Erasures of every tenant that are to be looked at.
select merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by, requested_at, rotate_at,
       destroyed_at, complete_at, problem
  from vault.erasure where state <> 'destroyed' and look_at <= $1
 order by look_at
 limit $2;

-- name: move_erasure (merchant, mode, erasure, from, to, look_at, destroyed_at, complete_at, problem, key_version)
-- How far an erasure is, unless another process was faster, or what was deleted meanwhile joined it with a newer key.
update vault.erasure set state = $5, look_at = $6, destroyed_at = $7, complete_at = coalesce($8, complete_at), problem = $9
 where merchant_id = $1 and mode = $2 and erasure_id = $3 and state = $4 and key_version = $10
returning erasure_id;

-- name: open_reseals (merchant, mode)
-- Jobs that move a tenant's cards to the current key, and go on. One that stands still keeps no erasure waiting.
select job_id from vault.job
 where merchant_id = $1 and mode = $2 and kind = 'reseal' and params ->> 'name' = 'card'
   and state in ('waiting', 'running');

-- name: last_reseal (merchant, mode, version)
-- The last job that has moved a tenant's cards, all that open, to a newer version of the key than this.
select job_id, ended_at, coalesce((result ->> 'unreadable')::bigint, 0) as unreadable from vault.job
 where merchant_id = $1 and mode = $2 and kind = 'reseal' and params ->> 'name' = 'card' and state = 'done'
   and (params ->> 'to')::integer > $3::integer
 order by ended_at desc
 limit 1;

-- name: retentions_due (since)
-- Containers whose tokens go after a time, and which were not looked at since.
select c.merchant_id, c.mode, c.name, c.retention_days from vault.container c
 where c.retention_days is not null
   and not exists (select from vault.job j
                    where j.merchant_id = c.merchant_id and j.mode = c.mode and j.kind = 'retention'
                      and j.params ->> 'container' = c.name
                      and (j.state in ('waiting', 'running') or j.created_at > $1));
