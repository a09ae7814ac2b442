-- The functions of migration 0028 on a table without statistics (just imported, just restored): the planner takes a merchant
-- for one row, reads all of the merchant's tokens, and compares each with every row of the page: ten seconds for a thousand,
-- until the first analyze. One row by its whole primary key has one plan, whatever the planner thinks. It costs half as much
-- again, so numbers, of which there are most, go that way only while the table was never analyzed.
create or replace function vault.reseal_tokens(
    of_merchant text, in_mode text, ids text[], olds bytea[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    touched integer := 0;
begin
    if (select c.reltuples >= 0 from pg_catalog.pg_class c where c.oid = 'vault.token'::regclass) then
        update vault.token t set sealed_number = u.new, key_version = version
          from (select w.id, w.old, w.new from unnest(ids, olds, news) as w (id, old, new) offset 0) u
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = u.id and t.sealed_number = u.old;
        get diagnostics touched = row_count;
        return touched;
    end if;
    for i in 1 .. cardinality(ids) loop
        update vault.token t set sealed_number = news[i], key_version = version
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = ids[i] and t.sealed_number = olds[i];
        if found then
            touched := touched + 1;
        end if;
    end loop;
    return touched;
end $$;

create or replace function vault.move_fingerprints(
    of_merchant text, in_mode text, ids text[], olds bytea[], old_versions integer[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    moved integer[] := '{}';              -- places in `ids`
    place integer;
begin
    for i in 1 .. cardinality(ids) loop
        update vault.token t set fingerprint = news[i], fingerprint_version = version
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = ids[i]
           and t.fingerprint_version = old_versions[i] and t.fingerprint = olds[i];
        if found then
            moved := moved || i;
        end if;
    end loop;
    foreach place in array moved loop
        delete from vault.card_identity i
         where i.merchant_id = of_merchant and i.mode = in_mode and i.key_version = old_versions[place]
           and i.fingerprint = olds[place] and i.token_id = ids[place];
    end loop;
    insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
    select of_merchant, in_mode, version, news[m.place], ids[m.place]
      from unnest(moved) as m (place)
     order by news[m.place]
        on conflict do nothing;
    return cardinality(moved);
end $$;

-- What is sealed beside a number, likewise.
create function vault.reseal_details(
    of_merchant text, in_mode text, ids text[], fields text[], olds bytea[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    touched integer := 0;
begin
    for i in 1 .. cardinality(ids) loop
        update vault.token_detail d set sealed = news[i], key_version = version
         where d.merchant_id = of_merchant and d.mode = in_mode and d.token_id = ids[i] and d.field = fields[i]
           and d.sealed = olds[i];
        if found then
            touched := touched + 1;
        end if;
    end loop;
    return touched;
end $$;
