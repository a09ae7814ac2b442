-- name: be_watch ()
-- States that this transaction reads every tenant's honeytokens (row-level security).
select set_config('strongroom.job', 'honeytokens', true);

-- name: known ()
-- Every honeytoken, by every id that it has had.
with now as (
    select h.merchant_id, h.mode, h.token_id as made_as, coalesce(a.token_id, h.token_id) as token_id
      from vault.honeytoken h
      left join vault.token_alias a on a.merchant_id = h.merchant_id and a.mode = h.mode and a.old_id = h.token_id
)
select merchant_id, mode, made_as, made_as as token_id from now
 union
select merchant_id, mode, made_as, token_id from now
 union
select n.merchant_id, n.mode, n.made_as, a.old_id
  from now n join vault.token_alias a on a.merchant_id = n.merchant_id and a.mode = n.mode and a.token_id = n.token_id;

-- name: count_honeytokens (merchant, mode)
-- How many a tenant has in a mode.
select count(*) as count from vault.honeytoken where merchant_id = $1 and mode = $2;

-- name: insert_token (merchant, mode, token, sealed, key_version, brand, bin, last4, exp_month, exp_year, metadata, created_by, created_at, container)
-- A token like any other.
insert into vault.token (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
                         single_use, metadata, created_by, created_at, container)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, $11, $12, $13, $14);

-- name: insert_honeytoken (merchant, mode, token, created_by, now)
-- What makes it honey.
insert into vault.honeytoken (merchant_id, mode, token_id, created_by, created_at) values ($1, $2, $3, $4, $5);

-- name: list_honeytokens (merchant, mode)
-- A tenant's honeytokens, newest first, by the ids that they have now.
select coalesce(a.token_id, h.token_id) as token_id, t.brand, t.last4, t.container, h.created_by, h.created_at, u.uses,
       u.last_used_at, u.last_used_by
  from vault.honeytoken h
  left join vault.token_alias a on a.merchant_id = h.merchant_id and a.mode = h.mode and a.old_id = h.token_id
  left join vault.token t on t.merchant_id = h.merchant_id and t.mode = h.mode
                         and t.token_id = coalesce(a.token_id, h.token_id)
 cross join lateral (
    select count(*) as uses, max(o.used_at) as last_used_at,
           (array_agg(o.actor order by o.used_at desc, o.event_id desc))[1] as last_used_by
      from vault.honeytoken_use o
     where o.merchant_id = h.merchant_id and o.mode = h.mode and o.token_id = h.token_id
 ) u
 where h.merchant_id = $1 and h.mode = $2
 order by h.token_id desc;

-- name: insert_use (merchant, mode, event, token, way, actor, now, contain)
-- One was named.
insert into vault.honeytoken_use (merchant_id, mode, event_id, token_id, way, actor, used_at, contain)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: due ()
-- Keys that are to be ended, of every tenant.
select distinct merchant_id, mode, actor from vault.honeytoken_use
 where contain and contained_at is null
 limit 100;

-- name: contained (merchant, mode, actor, now)
-- Notes that a key was ended.
update vault.honeytoken_use set contained_at = greatest($4, used_at)
 where merchant_id = $1 and mode = $2 and actor = $3 and contain and contained_at is null;
