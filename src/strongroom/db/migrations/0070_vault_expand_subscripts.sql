-- The hot write of migration 0025 with fewer steps a card, and the same outcomes:
--   A column is read by its subscripts. `unnest` made a list of rows of every column first.
--   Identities are put in without `on conflict`, which looks an index through twice. Step 1 has left out those that are
--   there; who loses a race since then starts again, as before.
--   They are sorted by what tells them apart at once. Any order will do that all writers share.
create or replace function vault.put_tokens(
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
    t_container    text[],                -- null: all of them in `default`, as a null in it
    t_kind         text[],                -- null: all of them cards
    t_alias        text[],
    d_item         integer[],             -- a detail's place among the tokens; null: there are none
    d_field        text[],
    d_sealed       bytea[],
    d_key_version  integer[],
    d_expires_at   timestamptz[],
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
    tokens    integer := cardinality(t_token);
    dropped   integer[] := '{}';
    written   integer;
    with_card boolean;
    missing   integer;
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
    with_card := cardinality(array_positions(t_fingerprint, null)) < tokens;
    if with_card then
        return query
            select 'exists', x.g, x.item, x.token, null::bytea, null::integer, null::text, null::bytea
              from (select u.g, u.item,
                           (select i.token_id from vault.card_identity i
                             where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                               and i.fingerprint = u.fp) as token
                      from (select t_group[w.item] as g, w.item, t_fp_version[w.item] as v, t_fingerprint[w.item] as fp,
                                   k_merchant[t_group[w.item]] as m, k_mode[t_group[w.item]] as mode
                              from generate_series(1, tokens) as w (item)
                             where t_fingerprint[w.item] is not null
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
    if with_card then
        begin
            insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
            select k_merchant[t_group[u.i]], k_mode[t_group[u.i]], t_fp_version[u.i], t_fingerprint[u.i], t_token[u.i]
              from generate_series(1, tokens) as u (i)
             where t_fingerprint[u.i] is not null and t_group[u.i] <> all (dropped)
             order by 4, 1, 2, 3;
        exception when unique_violation then
            raise exception 'a card identity was taken meanwhile' using errcode = 'serialization_failure';
        end;
    end if;

    -- 4. Tokens.
    insert into vault.token
           (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
            fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by, created_at, container,
            kind, pan_alias)
    select k_merchant[t_group[u.i]], k_mode[t_group[u.i]], t_token[u.i], t_sealed[u.i], t_key_version[u.i], t_brand[u.i],
           t_bin[u.i], t_last4[u.i], t_exp_month[u.i], t_exp_year[u.i], t_fingerprint[u.i], t_fp_version[u.i],
           t_single_use[u.i], t_expires_at[u.i], t_metadata[u.i]::jsonb, t_created_by[u.i], t_created_at[u.i],
           coalesce(t_container[u.i], 'default'), t_kind[u.i], t_alias[u.i]
      from generate_series(1, tokens) as u (i)
     where t_group[u.i] <> all (dropped);

    -- A container that is not there any more takes no token: whoever ends it holds its row, and waits for this.
    if t_container is not null then
        missing := (select count(*)
                      from (select distinct k_merchant[u.g] as m, k_mode[u.g] as mode, u.c
                              from unnest(t_group, t_container) as u (g, c)
                             where u.c is not null and u.c <> 'default' and u.g <> all (dropped)
                            offset 0) w
                     where (select k.name from vault.container k
                             where k.merchant_id = w.m and k.mode = w.mode and k.name = w.c
                               for key share) is null);
        if missing > 0 then
            raise exception 'a container is gone'
                  using errcode = 'foreign_key_violation', constraint = 'token_container', table = 'token';
        end if;
    end if;

    -- What is sealed beside the number.
    if d_item is not null then
        insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version, expires_at)
        select k_merchant[t_group[u.item]], k_mode[t_group[u.item]], t_token[u.item], u.field, u.sealed, u.kv,
               u.expires_at
          from unnest(d_item, d_field, d_sealed, d_key_version, d_expires_at) as u (item, field, sealed, kv, expires_at)
         where t_group[u.item] <> all (dropped);
    end if;

    -- 5. Their audit records, in the same transaction.
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select a_event[u.i], k_merchant[a_group[u.i]], k_mode[a_group[u.i]], a_payload[u.i], a_leaf[u.i], a_mac[u.i]
      from generate_series(1, cardinality(a_event)) as u (i)
     where a_group[u.i] <> all (dropped);
end $$;
