-- The hot write: idempotency keys, card identities, tokens and audit records of a batch, in this order, at once.
--
-- The order is the same in every transaction (keys sorted, identities sorted), so two writers cannot deadlock; a
-- function rather than one statement with CTEs, whose parts would interleave row by row. A "group" is one request;
-- its rows are written all or none. Rows come back only for groups that were not written:
--   'exists'  the card at `item` has the token `token_id` already
--   'replay'  the key was used before; what was answered then
-- Runs as its caller: row-level security holds for every row. What an index search compares
-- with comes ready from a subquery that is not flattened: a subscript's cast is not leakproof, which would keep it out of
-- the search under row-level security.
-- Look-ups are scalar or lateral subqueries, never joins: plans are made once, often on empty tables, and a join's
-- inner side would then be read whole for every batch.
create function vault.put_tokens(
    merchants      text[],
    k_merchant     text[],                -- one a group; the group's number is its place, from 1
    k_mode         text[],
    k_route        text,
    k_key          text[],
    k_claim        text[],
    k_fingerprint  bytea[],
    k_status       integer[],
    k_object       text[],
    k_response     bytea[],
    t_group        integer[],             -- null: token and record n belong to group n
    t_token        text[],
    t_sealed       bytea[],
    t_key_version  integer[],
    t_brand        text[],
    t_bin          text[],
    t_last4        text[],
    t_exp_month    integer[],
    t_exp_year     integer[],
    t_fingerprint  bytea[],
    t_fp_version   integer[],
    t_single_use   boolean[],
    t_expires_at   timestamptz[],
    t_metadata     text[],
    t_created_by   text[],
    t_created_at   timestamptz[],
    a_group        integer[],
    a_event        text[],
    a_payload      bytea[],
    a_leaf         bytea[],
    a_mac          bytea[]
) returns table (kind text, group_no integer, item integer, token_id text,
                 fingerprint bytea, status integer, object_id text, response bytea)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    today     date := (clock_timestamp() at time zone 'utc')::date;
    day_no    integer := today - date '2000-01-01';
    groups    integer := cardinality(k_key);
    dropped   integer[] := '{}';
    written   integer;
    with_card integer;
begin
    perform set_config('strongroom.merchants', array_to_string(merchants, ','), true);
    -- One request, one token, one record: the places are the groups.
    t_group := coalesce(t_group, array(select generate_series(1, groups)));
    a_group := coalesce(a_group, t_group);

    -- A key is unique within a day's partition and looked for in the day before. At midnight the writers of the
    -- new day wait for those of the old; one that computed the old day and comes late starts again.
    perform pg_advisory_xact_lock_shared(20812, day_no);
    if (clock_timestamp() at time zone 'utc')::time < time '00:01' then
        perform pg_advisory_xact_lock(20812, day_no - 1);
    end if;
    if (clock_timestamp() at time zone 'utc')::date <> today then
        raise exception 'midnight' using errcode = 'serialization_failure';
    end if;

    -- 1. Cards that are known already: their groups are left out.
    with_card := (select count(f) from unnest(t_fingerprint) f);
    if with_card > 0 then
        return query
            select 'exists', x.g, x.item, x.token, null::bytea, null::integer, null::text, null::bytea
              from (select u.g, u.item::integer as item,
                           (select i.token_id from vault.card_identity i
                             where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                               and i.fingerprint = u.fp) as token
                      from (select w.g, w.item, w.v, w.fp, k_merchant[w.g] as m, k_mode[w.g] as mode
                              from unnest(t_group, t_fp_version, t_fingerprint) with ordinality as w (g, v, fp, item)
                             where w.fp is not null
                            offset 0) u) x
             where x.token is not null;
        if found then
            dropped := array(
                select x.g
                  from (select u.g,
                               (select i.token_id from vault.card_identity i
                                 where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                                   and i.fingerprint = u.fp) as token
                          from (select w.g, w.v, w.fp, k_merchant[w.g] as m, k_mode[w.g] as mode
                                  from unnest(t_group, t_fp_version, t_fingerprint) as w (g, v, fp)
                                 where w.fp is not null
                                offset 0) u) x
                 where x.token is not null
                 group by x.g);
        end if;
    end if;

    -- 2. Idempotency keys, sorted; what is there already answers for its group.
    insert into idempotency.request
           (day, merchant_id, mode, route, key, claim, fingerprint, status, object_id, response)
    select today, k.m, k.mode, k_route, k.key, k.claim, k.fp, k.status, k.object, k.response
      from unnest(k_merchant, k_mode, k_key, k_claim, k_fingerprint, k_status, k_object, k_response) with ordinality
           as k (m, mode, key, claim, fp, status, object, response, g)
     where k.g <> all (dropped)
       and (select r.claim from idempotency.request r
             where r.merchant_id = k.m and r.mode = k.mode and r.route = k_route and r.key = k.key
               and r.day = today - 1) is null
     order by k.m, k.mode, k.key
        on conflict do nothing;
    get diagnostics written = row_count;
    if written < groups - cardinality(dropped) then
        return query
            select 'replay', k.g::integer, null::integer, null::text, r.fingerprint, r.status, r.object_id, r.response
              from unnest(k_merchant, k_mode, k_key, k_claim) with ordinality as k (m, mode, key, claim, g)
             cross join lateral (
                   select q.claim, q.fingerprint, q.status, q.object_id, q.response from idempotency.request q
                    where q.merchant_id = k.m and q.mode = k.mode and q.route = k_route and q.key = k.key
                      and q.day in (today, today - 1)
                   offset 0) r
             where k.g <> all (dropped) and r.claim <> k.claim;
        dropped := dropped || array(
            select k.g::integer
              from unnest(k_merchant, k_mode, k_key, k_claim) with ordinality as k (m, mode, key, claim, g)
             cross join lateral (
                   select q.claim from idempotency.request q
                    where q.merchant_id = k.m and q.mode = k.mode and q.route = k_route and q.key = k.key
                      and q.day in (today, today - 1)
                   offset 0) r
             where k.g <> all (dropped) and r.claim <> k.claim);
    end if;

    -- 3. Card identities, sorted. Whoever lost a race since step 1 starts again and then sees the winner.
    if with_card > 0 then
        with_card := (select count(*) from unnest(t_group, t_fingerprint) as u (g, fp)
                       where u.fp is not null and u.g <> all (dropped));
        insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
        select k_merchant[u.g], k_mode[u.g], u.v, u.fp, u.t
          from unnest(t_group, t_fp_version, t_fingerprint, t_token) as u (g, v, fp, t)
         where u.fp is not null and u.g <> all (dropped)
         order by 1, 2, 3, 4
            on conflict do nothing;
        get diagnostics written = row_count;
        if written < with_card then
            raise exception 'a card identity was taken meanwhile' using errcode = 'serialization_failure';
        end if;
    end if;

    -- 4. Tokens.
    insert into vault.token
           (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
            fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by, created_at)
    select k_merchant[u.g], k_mode[u.g], u.token, u.sealed, u.kv, u.brand, u.bin, u.last4, u.em, u.ey,
           u.fp, u.fv, u.single_use, u.expires_at, u.metadata::jsonb, u.created_by, u.created_at
      from unnest(t_group, t_token, t_sealed, t_key_version, t_brand, t_bin, t_last4, t_exp_month, t_exp_year,
                  t_fingerprint, t_fp_version, t_single_use, t_expires_at, t_metadata, t_created_by, t_created_at)
           as u (g, token, sealed, kv, brand, bin, last4, em, ey, fp, fv, single_use, expires_at, metadata, created_by,
                 created_at)
     where u.g <> all (dropped);

    -- 5. Their audit records, in the same transaction.
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, k_merchant[u.g], k_mode[u.g], u.payload, u.leaf, u.mac
      from unnest(a_group, a_event, a_payload, a_leaf, a_mac) as u (g, event, payload, leaf, mac)
     where u.g <> all (dropped);
end $$;
