-- How fast a job has lately been, for saying when it will be done.
alter table vault.job add column items_a_second double precision check (items_a_second >= 0);

-- Puts numbers that were sealed anew in the place of what was read: a token that was deleted or changed meanwhile is
-- left as it is. Look-ups by the primary key whatever the planner thinks of the table (see migration 0006).
create function vault.reseal_tokens(
    of_merchant text, in_mode text, ids text[], olds bytea[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    touched integer;
begin
    update vault.token t set sealed_number = u.new, key_version = version
      from (select w.id, w.old, w.new from unnest(ids, olds, news) as w (id, old, new) offset 0) u
     where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = u.id and t.sealed_number = u.old;
    get diagnostics touched = row_count;
    return touched;
end $$;

-- Moves tokens, and the identities of their cards, from older fingerprint keys to a newer one; likewise.
create function vault.move_fingerprints(
    of_merchant text, in_mode text, ids text[], olds bytea[], old_versions integer[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    moved   text[];
    touched integer;
begin
    with done as (
        update vault.token t set fingerprint = u.new, fingerprint_version = version
          from (select w.id, w.old, w.old_version, w.new
                  from unnest(ids, olds, old_versions, news) as w (id, old, old_version, new) offset 0) u
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = u.id
           and t.fingerprint_version = u.old_version and t.fingerprint = u.old
        returning t.token_id)
    select array_agg(token_id) into moved from done;
    touched := coalesce(cardinality(moved), 0);
    if touched = 0 then
        return 0;
    end if;
    delete from vault.card_identity i
     using (select w.id, w.old, w.old_version
              from unnest(ids, olds, old_versions) as w (id, old, old_version) where w.id = any (moved) offset 0) u
     where i.merchant_id = of_merchant and i.mode = in_mode and i.key_version = u.old_version
       and i.fingerprint = u.old and i.token_id = u.id;
    insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
    select of_merchant, in_mode, version, w.new, w.id
      from unnest(ids, news) as w (id, new)
     where w.id = any (moved)
     order by w.new
        on conflict do nothing;
    return touched;
end $$;

-- Which of these fingerprints, under versions other than the one that is written now, have tokens. Whoever makes tokens
-- while fingerprints move asks this first, one at a time for a card (`f_lock`: its fingerprint under the oldest version, which
-- all of them know; held to the end of the transaction), so that two that write under different versions see one another.
create function vault.known_elsewhere(
    merchants text[], f_lock bytea[], f_merchant text[], f_mode text[], f_version integer[], f_fingerprint bytea[]
) returns table (place integer, token_id text)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    perform set_config('strongroom.merchants', array_to_string(merchants, ','), true);
    perform pg_advisory_xact_lock(20813, x.lock)
       from (select distinct hashtext(encode(u.card, 'hex')) as lock from unnest(f_lock) as u (card) order by 1) x;
    return query
        select x.place, x.token
          from (select u.place::integer as place,
                       (select i.token_id from vault.card_identity i
                         where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                           and i.fingerprint = u.fp) as token
                  from (select w.m, w.mode, w.v, w.fp, w.place
                          from unnest(f_merchant, f_mode, f_version, f_fingerprint) with ordinality
                               as w (m, mode, v, fp, place)
                        offset 0) u) x
         where x.token is not null;
end $$;
