-- The hot write: idempotency keys, card identities, tokens and audit records of a batch, in this order, at once.
--
-- The order is the same in every transaction (keys sorted, identities sorted), so two writers cannot deadlock; a
-- function rather than one statement with CTEs, whose parts would interleave row by row. A "group" is one request;
-- its rows are written all or none. Rows come back only for groups that were not written:
--   'exists'  the card at `item` has the token `token_id` already
--   'replay'  the key was used before; what was answered then
-- Runs as its caller: row-level security holds for every row.
create function vault.put_tokens(
    merchants      text[],
    k_mode         text[],
    k_merchant     text[],
    k_route        text[],
    k_key          text[],
    k_claim        text[],
    k_fingerprint  bytea[],
    k_status       integer[],
    k_object       text[],
    k_response     bytea[],
    t_group        integer[],
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
    t_created_at   timestamptz,
    a_group        integer[],
    a_event        text[],
    a_payload      bytea[],
    a_leaf         bytea[],
    a_mac          bytea[]
) returns table (kind text, group_no integer, item integer, token_id text,
                 fingerprint bytea, status integer, object_id text, response bytea)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    today     date := (clock_timestamp() at time zone 'utc')::date;
    day_no    integer := today - date '2000-01-01';
    groups    integer := coalesce(array_length(k_key, 1), 0);
    dropped   integer[] := '{}';
    written   integer;
    with_card integer;
begin
    perform set_config('strongroom.merchants', array_to_string(merchants, ','), true);

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
    with_card := (select count(*) from unnest(t_fingerprint) f where f is not null);
    if with_card > 0 then
        return query
            select 'exists', t_group[n], n::integer, i.token_id, null::bytea, null::integer, null::text, null::bytea
              from unnest(t_fingerprint, t_fp_version) with ordinality as u (fp, v, n)
              join vault.card_identity i
                on i.merchant_id = k_merchant[t_group[n]] and i.mode = k_mode[t_group[n]]
               and i.key_version = u.v and i.fingerprint = u.fp
             where u.fp is not null;
        if found then
            dropped := array(
                select t_group[n]
                  from unnest(t_fingerprint, t_fp_version) with ordinality as u (fp, v, n)
                  join vault.card_identity i
                    on i.merchant_id = k_merchant[t_group[n]] and i.mode = k_mode[t_group[n]]
                   and i.key_version = u.v and i.fingerprint = u.fp
                 where u.fp is not null);
        end if;
    end if;

    -- 2. Idempotency keys, sorted; what is there already answers for its group.
    insert into idempotency.request
           (day, merchant_id, mode, route, key, claim, fingerprint, status, object_id, response)
    select today, k_merchant[n], k_mode[n], k_route[n], k_key[n], k_claim[n], k_fingerprint[n], k_status[n],
           k_object[n], k_response[n]
      from generate_series(1, groups) n
     where n <> all (dropped)
       and not exists (select from idempotency.request r
                        where r.merchant_id = k_merchant[n] and r.mode = k_mode[n] and r.route = k_route[n]
                          and r.key = k_key[n] and r.day = today - 1)
     order by k_merchant[n], k_mode[n], k_route[n], k_key[n]
        on conflict do nothing;
    get diagnostics written = row_count;
    if written < groups - coalesce(array_length(dropped, 1), 0) then
        return query
            select 'replay', n, null::integer, null::text, r.fingerprint, r.status, r.object_id, r.response
              from generate_series(1, groups) n
              join idempotency.request r
                on r.merchant_id = k_merchant[n] and r.mode = k_mode[n] and r.route = k_route[n]
               and r.key = k_key[n] and r.day in (today, today - 1)
             where n <> all (dropped) and r.claim <> k_claim[n];
        dropped := dropped || array(
            select n from generate_series(1, groups) n
              join idempotency.request r
                on r.merchant_id = k_merchant[n] and r.mode = k_mode[n] and r.route = k_route[n]
               and r.key = k_key[n] and r.day in (today, today - 1)
             where n <> all (dropped) and r.claim <> k_claim[n]);
    end if;

    -- 3. Card identities, sorted. Whoever lost a race since step 1 starts again and then sees the winner.
    if with_card > 0 then
        insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
        select k_merchant[u.g], k_mode[u.g], u.v, u.fp, u.t
          from unnest(t_group, t_fingerprint, t_fp_version, t_token) as u (g, fp, v, t)
         where u.fp is not null and u.g <> all (dropped)
         order by 1, 2, 3, 4
            on conflict do nothing;
        get diagnostics written = row_count;
        if written < (select count(*) from unnest(t_group, t_fingerprint) as u (g, fp)
                       where u.fp is not null and u.g <> all (dropped)) then
            raise exception 'a card identity was taken meanwhile' using errcode = 'serialization_failure';
        end if;
    end if;

    -- 4. Tokens.
    insert into vault.token
           (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
            fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by, created_at)
    select k_merchant[u.g], k_mode[u.g], u.token, u.sealed, u.kv, u.brand, u.bin, u.last4, u.em, u.ey,
           u.fp, u.fv, u.single_use, u.expires_at, u.metadata::jsonb, u.created_by, t_created_at
      from unnest(t_group, t_token, t_sealed, t_key_version, t_brand, t_bin, t_last4, t_exp_month, t_exp_year,
                  t_fingerprint, t_fp_version, t_single_use, t_expires_at, t_metadata, t_created_by)
           as u (g, token, sealed, kv, brand, bin, last4, em, ey, fp, fv, single_use, expires_at, metadata, created_by)
     where u.g <> all (dropped);

    -- 5. Their audit records, in the same transaction.
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, k_merchant[u.g], k_mode[u.g], u.payload, u.leaf, u.mac
      from unnest(a_group, a_event, a_payload, a_leaf, a_mac) as u (g, event, payload, leaf, mac)
     where u.g <> all (dropped);
end $$;
